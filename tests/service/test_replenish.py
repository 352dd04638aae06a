"""``shelfvision replenish`` as a process: ready line, clear refusals, kills that lose nothing."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request

import pytest

from shelfvision.core.events import EventKind
from shelfvision.service import queries
from shelfvision.service.store import open_store
from tests.service.builders import DEVICE, build_site
from tests.service.staff import StaffApp
from tests.service.test_consumer import Device
from tests.waiting import wait_until


def write_site(folder, broker_url, **broker):
    site = build_site().model_dump(mode="json", exclude_defaults=True)
    site["broker"] = {"url": broker_url, **broker}
    path = folder / "site.yaml"
    path.write_text(json.dumps(site))  # JSON is YAML
    return path


class Service:
    """The command in a process of its own."""

    def __init__(self, folder, site, *options):
        self.log = folder / f"replenish-{time.monotonic_ns()}.log"
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "shelfvision", "replenish", str(site), *options],
                cwd=folder,
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
            )

    @property
    def text(self):
        return self.log.read_text(errors="replace")

    def ready(self):
        def said():
            assert self.process.poll() is None, self.text
            return "ready: " in self.text

        wait_until(said, 30, what="the ready line")
        return next(line for line in self.text.splitlines() if line.startswith("ready: "))

    def end(self, number=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(20)


@pytest.fixture
def launch(tmp_path):
    started = []

    def start(site, *options):
        service = Service(tmp_path, site, *options)
        started.append(service)
        return service

    yield start
    for service in started:
        service.end(signal.SIGKILL)


def refusal(launch, site, *options):
    service = launch(site, *options)
    code = service.process.wait(30)
    lines = [line for line in service.text.splitlines() if not line.startswith("{")]
    assert code == 1, service.text
    assert "Traceback" not in service.text
    assert len(lines) == 1
    return lines[0]


def test_it_serves_the_page_says_ready_and_ends_in_order(launch, mosquitto, tmp_path):
    service = launch(write_site(tmp_path, mosquitto.url), "--port", "0")
    line = service.ready()
    url = re.search(r"http://127\.0\.0\.1:\d+", line)[0]
    assert f"broker 127.0.0.1:{mosquitto.port} connected" in line
    with urllib.request.urlopen(f"{url}/healthz", timeout=10) as answer:  # noqa: S310 - http
        assert json.load(answer)["status"] == "ok"
    assert (tmp_path / "var" / "replenish.sqlite").exists()
    assert service.end() == 0
    assert "Traceback" not in service.text


def test_without_a_broker_it_works_and_goes_on_trying(launch, tmp_path, mosquitto_factory):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    service = launch(write_site(tmp_path, f"mqtt://127.0.0.1:{port}"), "--no-web")
    line = service.ready()
    assert "not connected yet, trying on" in line
    assert str(port) in line
    mosquitto_factory(port=port)
    wait_until(lambda: "broker_connected" in service.text, 20, what="the connection")
    assert service.end(signal.SIGINT) == 0


def test_a_wrong_password_is_said_plainly_and_is_not_shown(launch, tmp_path, mosquitto_factory):
    broker = mosquitto_factory(passwords={"service": "right-one"})
    site = write_site(tmp_path, broker.url, username="service", password="wr0ng-one")  # noqa: S106 - made up
    line = launch(site, "--no-web")
    assert re.search("not authorised.*check user name, password|wrong user name or password", line.ready())
    assert "wr0ng-one" not in line.text


def test_a_port_in_use_is_one_clear_line(launch, tmp_path, mosquitto):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        line = refusal(launch, write_site(tmp_path, mosquitto.url), "--port", port)
    assert f"port {port}" in line
    assert "in use" in line


def test_a_host_beyond_this_machine_needs_login_and_tls(launch, tmp_path, mosquitto):
    assert "login and TLS" in refusal(launch, write_site(tmp_path, mosquitto.url), "--host", "0.0.0.0")  # noqa: S104 - it must be refused


def test_a_read_only_database_is_one_clear_line(launch, tmp_path, mosquitto):
    path = tmp_path / "x.sqlite"
    open_store(str(path), "demo").close()
    path.chmod(0o444)
    assert "read-only" in refusal(launch, write_site(tmp_path, mosquitto.url), "--db", str(path))


def test_a_folder_as_database_is_one_clear_line(launch, tmp_path, mosquitto):
    assert "is a folder" in refusal(launch, write_site(tmp_path, mosquitto.url), "--db", str(tmp_path))


def test_another_stores_database_is_one_clear_line(launch, tmp_path, mosquitto):
    path = tmp_path / "x.sqlite"
    open_store(str(path), "other").close()
    assert "belongs to store 'other'" in refusal(launch, write_site(tmp_path, mosquitto.url), "--db", str(path))


def test_kills_in_the_middle_lose_nothing_and_apply_nothing_twice(launch, tmp_path, mosquitto):
    site = write_site(tmp_path, mosquitto.url)
    device = Device(mosquitto.section(), tmp_path)
    staff = StaffApp(mosquitto.port)
    sent = 0
    for life in range(3):
        service = launch(site, "--no-web", "--db", "x.sqlite")
        for _ in range(300):
            device.see(EventKind.PICK_UP, "left", count=1)
        sent += 300
        enough = sent - 250
        wait_until(lambda enough=enough: staff.ack() >= enough, 30, what=f"events of life {life}")
        service.end(signal.SIGKILL)
    last = launch(site, "--no-web", "--db", "x.sqlite")
    wait_until(lambda: device.outbox.backlog == 0, 30, what="the empty outbox")
    device.see(EventKind.STOCKOUT, "left")
    wait_until(lambda: staff.task("left"), what="the task")
    assert last.end() == 0
    store = open_store(str(tmp_path / "x.sqlite"), "demo")
    found = queries.applied(store)
    assert (found.events, found.units, found.waiting, found.dead_letters) == (sent + 1, sent, 0, 0)
    assert store.watermarks()[DEVICE].seq == sent + 1
    store.close()
    device.close()
    staff.close()


def test_a_claim_sent_while_the_service_is_dead_is_decided_when_it_is_back(launch, tmp_path, mosquitto):
    site = write_site(tmp_path, mosquitto.url)
    device = Device(mosquitto.section(), tmp_path)
    staff = StaffApp(mosquitto.port)
    service = launch(site, "--no-web", "--db", "x.sqlite")
    device.see(EventKind.STOCKOUT, "left")
    wait_until(lambda: staff.task("left"), 20, what="the task")
    service.end(signal.SIGKILL)
    task = staff.task("left")
    staff.send(task["id"], "claim", 1, "ana", "key-of-ana")
    staff.send(task["id"], "claim", 1, "ana", "key-of-ana")
    launch(site, "--no-web", "--db", "x.sqlite")
    wait_until(lambda: staff.task("left")["state"] == "claimed", 20, what="the claim")
    assert staff.task("left")["version"] == 2
    device.close()
    staff.close()


def test_a_second_signal_forces_the_end(launch, tmp_path, mosquitto):
    service = launch(write_site(tmp_path, mosquitto.url), "--no-web")
    service.ready()
    os.kill(service.process.pid, signal.SIGINT)
    os.kill(service.process.pid, signal.SIGINT)
    assert service.process.wait(10) in {0, 130}


def test_a_database_deleted_under_the_service_ends_it_and_the_next_start_catches_up(launch, tmp_path, mosquitto):
    site = write_site(tmp_path, mosquitto.url)
    device = Device(mosquitto.section(), tmp_path)
    staff = StaffApp(mosquitto.port)
    service = launch(site, "--no-web", "--db", "x.sqlite")
    device.see(EventKind.PICK_UP, "left", count=1)
    wait_until(lambda: staff.ack() == 1, 20, what="the first event")
    for file in tmp_path.glob("x.sqlite*"):
        file.unlink()
    device.see(EventKind.STOCKOUT, "left")
    assert service.process.wait(20) == 1
    assert "was deleted or replaced while in use; start the service again" in service.text
    launch(site, "--no-web", "--db", "x.sqlite")
    wait_until(lambda: staff.task("left") and staff.ack() == 2, 20, what="the event sent meanwhile")
    device.close()
    staff.close()


def test_it_runs_on_postgresql(launch, tmp_path, mosquitto, postgres_server):
    device = Device(mosquitto.section(), tmp_path)
    staff = StaffApp(mosquitto.port)
    service = launch(write_site(tmp_path, mosquitto.url), "--no-web", "--db", postgres_server)
    device.see(EventKind.STOCKOUT, "left")
    wait_until(lambda: staff.task("left"), 30, what="the task")
    assert postgres_server.rsplit("@", 1)[1] in service.ready()
    device.see(EventKind.RESTOCKED, "left")
    wait_until(lambda: staff.task("left") is None, 20, what="the closed task")
    assert service.end() == 0
    device.close()
    staff.close()
