"""The service on a real broker with a real device link: events in, tasks out, commands decided."""

from __future__ import annotations

import threading
import time

import pytest

from shelfvision.core.events import EventData, EventDraft, EventKind, to_utc
from shelfvision.service import queries
from shelfvision.service.consumer import ReplenishmentService
from shelfvision.service.desk import Desk
from shelfvision.service.store import open_store
from shelfvision.transport.edge_link import EdgeLink
from shelfvision.transport.outbox import Outbox
from tests.service.builders import DEVICE, build_site, slot_state
from tests.service.staff import StaffApp
from tests.waiting import wait_until


class Running:
    """The service with its loop in a thread."""

    def __init__(self, site, path):
        self.store = open_store(str(path), "demo")
        self.desk = Desk(self.store, "demo")
        self.service = ReplenishmentService(site, self.store, self.desk)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.service.startup()
        self._thread.start()

    def _run(self):
        while not self._stop.is_set():
            self.service.step()
            self.service.wait(0.1)

    def close(self):
        self._stop.set()
        self._thread.join(10)
        self.service.shutdown(3)
        self.store.close()


class Device:
    """An edge device: outbox and link."""

    def __init__(self, broker, folder):
        self.outbox = Outbox(folder / "outbox.sqlite", store="demo", device=DEVICE, max_bytes=10_000_000)
        self.link = EdgeLink(
            broker, store="demo", device=DEVICE, outbox=self.outbox, delivery="watermark", cameras=["cam"]
        )
        self.link.start()
        self._count = 0

    def see(self, kind, slot, **data):
        self._count += 1
        now = time.time()
        facts = EventData(slot=slot, sku=slot.upper(), onset_at=to_utc(now - 3), **data)
        self.outbox.append([EventDraft(kind, now, "cam", facts, f"{now}-{self._count}")])

    def close(self):
        self.link.stop(time.monotonic() + 3)
        self.outbox.close()


@pytest.fixture
def site(mosquitto):
    return build_site().model_copy(update={"broker": mosquitto.section()})


@pytest.fixture
def running(site, tmp_path):
    service = Running(site, tmp_path / "replenish.sqlite")
    yield service
    service.close()


@pytest.fixture
def device(site, tmp_path):
    made = Device(site.broker, tmp_path)
    yield made
    made.close()


@pytest.fixture
def staff(mosquitto):
    app = StaffApp(mosquitto.port)
    yield app
    app.close()


def test_a_stockout_becomes_a_task_and_the_refill_closes_it(running, device, staff):
    device.see(EventKind.STOCKOUT, "left", fullness=0)
    wait_until(lambda: staff.task("left"), what="the task")
    task = staff.task("left")
    assert (task["state"], task["version"], task["rank"], task["units"]) == ("open", 1, 1, 4)
    assert task["reasons"]
    wait_until(lambda: staff.ack() == 1, what="the acknowledgement")
    wait_until(lambda: device.outbox.backlog == 0, what="the empty outbox")
    wait_until(lambda: f"{staff.root}/ranking" in staff.retained, what="the ranking")
    device.see(EventKind.RESTOCKED, "left", fullness=1)
    wait_until(lambda: staff.task("left") is None, what="the cleared task")
    states = [doc and doc["state"] for task_id, doc in staff.seen if task_id == task["id"]]
    assert states == ["open", "confirmed", None]


def test_two_claims_at_once_give_one_winner_and_a_repeat_changes_nothing(running, device, staff, mosquitto):
    device.see(EventKind.STOCKOUT, "left")
    wait_until(lambda: staff.task("left"), what="the task")
    task = staff.task("left")
    other = StaffApp(mosquitto.port, name="other")
    start = threading.Barrier(2)

    def claim(app, actor):
        start.wait()
        app.send(task["id"], "claim", task["version"], actor, f"claim-of-{actor}")

    pair = [threading.Thread(target=claim, args=args) for args in ((staff, "ana"), (other, "ben"))]
    for thread in pair:
        thread.start()
    for thread in pair:
        thread.join()
    wait_until(lambda: staff.task("left")["state"] == "claimed", what="the claim")
    winner = staff.task("left")["claimed_by"]
    loser = {"ana": "ben", "ben": "ana"}[winner]
    for actor in (winner, loser):
        staff.send(task["id"], "claim", task["version"], actor, f"claim-of-{actor}")
    staff.send(task["id"], "complete", 2, loser, "complete-of-loser")
    staff.send(task["id"], "complete", 2, winner, "complete-of-winner")
    wait_until(lambda: staff.task("left")["state"] == "done", what="the report of the winner")
    assert (staff.task("left")["version"], staff.task("left")["claimed_by"]) == (3, winner)
    versions = [doc["version"] for task_id, doc in staff.seen if task_id == task["id"] and doc]
    assert versions == sorted(versions)
    other.close()


def test_commands_from_the_page_and_over_mqtt_meet_at_the_same_desk(running, device, staff):
    from shelfvision.core.messages import TaskCommand

    device.see(EventKind.STOCKOUT, "left")
    wait_until(lambda: staff.task("left"), what="the task")
    task = staff.task("left")
    command = TaskCommand(action="claim", version=1, actor="page", key="key-of-page")
    running.desk.command(task["id"], command, time.time())
    wait_until(lambda: staff.task("left").get("claimed_by") == "page", what="the claim on the broker")
    staff.send(task["id"], "claim", 1, "app", "key-of-app")
    staff.send(task["id"], "claim", 1, "page", "key-of-page")
    staff.send(task["id"], "release", 2, "page", "key-of-page-2")
    wait_until(lambda: staff.task("left")["version"] == 3, what="the release")
    assert staff.task("left")["state"] == "open"


@pytest.mark.parametrize("payload", ["", "{", "[]", '{"action": "claim"}', '{"action": "claim", "version": NaN}'])
def test_a_broken_command_is_ignored_and_the_next_one_works(running, device, staff, payload):
    device.see(EventKind.STOCKOUT, "left")
    wait_until(lambda: staff.task("left"), what="the task")
    task = staff.task("left")
    staff.publish(f"{staff.root}/tasks/{task['id']}/set", payload)
    staff.send("no-such-task", "claim", 1, "ana", "key-nowhere")
    staff.send(task["id"], "claim", 1, "ana", "key-of-ana")
    wait_until(lambda: staff.task("left")["state"] == "claimed", what="the claim")


def test_live_states_and_the_will_reach_the_shelf(running, device, staff):
    device.link.publish_slot_state(slot_state("left", "in_stock", at=time.time()))

    def left():
        return queries.shelf(running.store, time.time())[0].slots[0].state

    wait_until(lambda: left().state.value == "in_stock", what="the live state")
    with running.desk.subscribe() as changes:
        device.link.stop(time.monotonic() + 3)
        wait_until(lambda: left().state.value == "unknown", what="the device's goodbye")
        assert "shelf" in changes.take(5)
    assert left().last_known.value == "in_stock"


def test_events_of_an_absence_are_caught_up_and_old_tasks_stand(site, tmp_path, device, staff):
    first = Running(site, tmp_path / "replenish.sqlite")
    device.see(EventKind.STOCKOUT, "left")
    wait_until(lambda: staff.task("left"), what="the first task")
    first.close()
    device.see(EventKind.STOCKOUT, "mid")
    device.see(EventKind.RESTOCKED, "left")
    second = Running(site, tmp_path / "replenish.sqlite")
    wait_until(lambda: staff.task("mid") and staff.task("left") is None, what="the caught up tasks")
    assert queries.applied(second.store).events == 3
    second.close()


def test_a_broker_that_restarts_and_forgot_everything_gets_the_tasks_again(running, device, staff, mosquitto):
    device.see(EventKind.STOCKOUT, "left")
    wait_until(lambda: staff.task("left"), what="the task")
    mosquitto.restart(kill=True)
    late = StaffApp(mosquitto.port, name="late")
    wait_until(lambda: late.task("left"), 20, what="the task on the new broker")
    device.see(EventKind.RESTOCKED, "left")
    wait_until(lambda: late.task("left") is None, 20, what="the cleared task")
    late.close()


def test_a_database_that_fails_for_a_while_loses_no_command(running, device, staff, monkeypatch):
    from shelfvision.errors import StoreError

    device.see(EventKind.STOCKOUT, "left")
    wait_until(lambda: staff.task("left"), what="the task")
    task = staff.task("left")
    tries = []
    real = Desk.command

    def failing(self, *args, **options):
        tries.append(1)
        if len(tries) < 3:
            raise StoreError("the disk is full")
        return real(self, *args, **options)

    monkeypatch.setattr(Desk, "command", failing)
    staff.send(task["id"], "claim", 1, "ana", "key-of-ana")
    wait_until(lambda: staff.task("left")["state"] == "claimed", what="the claim")
    assert len(tries) == 3
