"""Users, passwords and certificates against the real broker; every refusal is one clear line without the secret."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path

import pytest

from shelfvision.config import BrokerSection
from shelfvision.errors import BrokerError
from shelfvision.transport.mosquitto import free_port
from shelfvision.transport.mqtt import Connection, Wakeup
from shelfvision.transport.reconnects import Reconnects
from tests.transport.builders import drafts
from tests.waiting import wait_until

SECRET = "correct horse battery"  # noqa: S105 - a test's own

WRONG = SECRET[::-1]


def refused(**section: object) -> str:
    connection = Connection(BrokerSection.model_validate(section), "probe", wakeup=Wakeup())
    with pytest.raises(BrokerError) as caught:
        connection.open()
    text = str(caught.value)
    assert "\n" not in text
    assert SECRET not in text
    return text


def accepted(**section: object) -> None:
    connection = Connection(BrokerSection.model_validate(section), "probe", wakeup=Wakeup())
    connection.open()
    connection.close()


def test_right_and_wrong_passwords(mosquitto_factory, tmp_path):
    broker = mosquitto_factory(passwords={"edge": SECRET})
    accepted(url=broker.url, username="edge", password=SECRET)
    (tmp_path / "password").write_text(f"{SECRET}\nsecond line\n")
    accepted(url=broker.url, username="edge", password_file=tmp_path / "password")
    assert "check user name, password" in refused(url=broker.url, username="edge", password=WRONG)
    assert "check user name, password" in refused(url=broker.url, username="nobody", password=SECRET)
    assert "check user name, password" in refused(url=broker.url)
    assert "cannot be read" in refused(url=broker.url, username="edge", password_file=tmp_path / "absent")


def test_a_wrong_password_is_visible_at_the_link_and_events_stay(mosquitto_factory, rig):
    broker = mosquitto_factory(passwords={"edge": SECRET})
    section = BrokerSection.model_validate({"url": broker.url, "username": "edge", "password": "wrong"})
    outbox = rig.outbox()
    outbox.append(drafts(3))
    link, service = rig.edge(section, outbox), rig.service(section)
    wait_until(lambda: link.last_error and service.last_error)
    assert "password" in link.last_error
    assert "password" in service.last_error
    assert not link.connected
    assert outbox.backlog == 3


def test_a_broker_that_is_away_or_no_broker_is_one_clear_line(tmp_path):
    assert "cannot be reached" in refused(url=f"mqtt://127.0.0.1:{free_port()}")
    assert "no such host" in refused(url="mqtt://no-such-host.invalid")
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert "no answer" in refused(url=f"mqtt://127.0.0.1:{silent.getsockname()[1]}")


@pytest.fixture(scope="module")
def certificates(tmp_path_factory) -> Path:
    if shutil.which("openssl") is None:
        pytest.skip("the program openssl is not installed")
    folder = tmp_path_factory.mktemp("certificates")

    def run(*words: str) -> None:
        subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)

    for authority in ("ca", "other"):
        name = f"/CN={authority}"
        run(
            *("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", name),
            *("-keyout", f"{authority}.key", "-out", f"{authority}.pem"),
        )
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1\n")
    for name, extra in (("server", ["-extfile", "names"]), ("client", [])):
        run(
            *("req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}"),
            *("-keyout", f"{name}.key", "-out", f"{name}.csr"),
        )
        run(
            *("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"),
            *("-days", "2", "-out", f"{name}.pem", *extra),
        )
    return folder


@pytest.fixture
def tls_broker(mosquitto_factory, certificates):
    return mosquitto_factory(
        extra=[
            f"cafile {certificates / 'ca.pem'}",
            f"certfile {certificates / 'server.pem'}",
            f"keyfile {certificates / 'server.key'}",
            "require_certificate true",
            "use_identity_as_username true",
        ]
    )


def test_events_travel_over_tls_with_client_certificates(tls_broker, certificates, rig):
    section = BrokerSection(
        url=f"mqtts://127.0.0.1:{tls_broker.port}",
        ca_file=certificates / "ca.pem",
        cert_file=certificates / "client.pem",
        key_file=certificates / "client.key",
    )
    outbox = rig.outbox()
    outbox.append(drafts(1_000))
    rig.service(section)
    rig.edge(section, outbox)
    wait_until(lambda: outbox.backlog == 0, 20)
    assert rig.inbox().seqs() == [(outbox.epoch, seq) for seq in range(1, 1_001)]


def test_wrong_certificates_are_told_apart(tls_broker, certificates):
    url = f"mqtts://127.0.0.1:{tls_broker.port}"
    good = {"cert_file": certificates / "client.pem", "key_file": certificates / "client.key"}
    assert "certificate is not trusted" in refused(url=url, ca_file=certificates / "other.pem", **good)
    assert "certificate is not trusted" in refused(url=url, **good)
    assert "broker.ca_file" in refused(url=url, ca_file=certificates / "absent.pem", **good)
    assert "check ca_file, cert_file, key_file" in refused(
        url=url, ca_file=certificates / "ca.pem", cert_file=certificates / "client.pem"
    )
    assert "mqtts://" in refused(url=f"mqtt://127.0.0.1:{tls_broker.port}")
    assert "broker.cert_file" in refused(url=url, ca_file=certificates / "ca.pem")


def test_pauses_between_connections_double_to_half_a_minute_with_jitter():
    reconnects = Reconnects("me")
    pauses = [reconnects.pause() for _ in range(8)]
    for pause, base in zip(pauses, (1, 2, 4, 8, 16, 30, 30, 30), strict=True):
        assert base * 0.75 <= pause <= base * 1.25
    assert len({round(pause / base, 6) for pause, base in zip(pauses[5:], (30, 30, 30), strict=True)}) > 1


def test_a_connection_survives_idle_times_longer_than_its_keepalive(mosquitto, rig):
    client = rig.client(mosquitto.section(), "idle", keepalive=1)
    end = time.monotonic() + 4
    while time.monotonic() < end:
        client.wait(0.2)
    assert client.lost is None
