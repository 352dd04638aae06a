"""Beliefs become tasks: made, ranked, kept true, closed by the camera, published in order."""

from __future__ import annotations

import time

import pytest

from shelfvision.core.events import EventKind
from shelfvision.core.messages import CameraStatus, DeviceStatus, SlotCondition, TaskCommand, TaskState
from shelfvision.errors import TaskConflictError
from shelfvision.service import queries
from shelfvision.service.desk import Desk
from shelfvision.service.live_state import LiveMessage
from shelfvision.service.planner import Planner
from tests.service.builders import DEVICE, Board, Sender, build_site, slot_state

NOW = 1_700_000_000.0
STOCKOUT, LOW, RESTOCKED = EventKind.STOCKOUT, EventKind.LOW_STOCK, EventKind.RESTOCKED
PICK_UP, PRESENCE = EventKind.PICK_UP, EventKind.PRESENCE


class Floor:
    """A store with a device, a desk, a planner and a board, and a clock in our hands."""

    def __init__(self, store, site=None):
        self.store = store
        self.site = site or build_site()
        self.sender = Sender()
        self.now = NOW
        self.keys = 0
        self.open()

    def open(self):
        self.store.adopt_site(self.site)
        self.desk, self.board = Desk(self.store, "demo"), Board()
        self.planner = Planner(self.site, self.store, self.desk, self.board)
        self.planner.startup(self.now)
        self.elapsed = 0.0

    def see(self, kind, slot, wait=1.0, **data):
        self.now += wait
        self.store.apply([self.sender.send(kind, slot, at=self.now, **data)])

    def live(self, model, *, retained=False):
        self.store.keep_live([LiveMessage(DEVICE, model, self.now, retained)])

    def plan(self, wait=1.0):
        self.now += wait
        self.elapsed += 100
        return self.planner.step(self.now, self.elapsed)

    def task(self, slot):
        """The newest task of a slot."""
        found = [task for task in queries.tasks(self.store, self.now) if task.slot == slot]
        return max(found, key=lambda task: task.created_at, default=None)

    def do(self, action, slot, actor="ana", reason=None):
        self.keys += 1
        task = self.task(slot)
        key = f"key-{self.keys:08d}"
        command = TaskCommand(action=action, version=task.version, actor=actor, key=key, reason=reason)
        return self.desk.command(task.id, command, self.now)


@pytest.fixture
def floor(store):
    return Floor(store)


def test_an_empty_slot_gets_one_task_with_its_facts(floor):
    floor.see(STOCKOUT, "left", onset_at=NOW - 59)
    floor.plan()
    floor.see(STOCKOUT, "left")
    floor.plan()
    (task,) = queries.tasks(floor.store, floor.now)
    assert (task.state, task.slot, task.sku, task.units, task.rank) == (TaskState.OPEN, "left", "LEFT", 4, 1)
    assert task.onset_at.timestamp() == NOW - 59
    assert task.reasons[0] == "empty for 1 min"
    assert floor.board.tasks[task.id].version == 1


def test_a_low_slot_gets_a_task_that_turns_into_one_for_an_empty_slot(floor):
    floor.see(LOW, "left", fullness=0.5)
    floor.plan()
    assert (floor.task("left").condition, floor.task("left").units) == (SlotCondition.LOW, 2)
    floor.see(STOCKOUT, "left", fullness=0)
    floor.plan()
    task = floor.task("left")
    assert (task.condition, task.units, task.version) == (SlotCondition.OUT, 4, 2)


@pytest.mark.parametrize("state", ["open", "claimed", "done"])
def test_the_camera_confirms_the_refill_and_the_task_is_cleared(floor, state):
    floor.see(STOCKOUT, "left")
    floor.plan()
    if state != "open":
        floor.do("claim", "left")
    if state == "done":
        floor.do("complete", "left")
    task = floor.task("left")
    floor.see(RESTOCKED, "left", fullness=1)
    floor.plan()
    assert floor.task("left").state is TaskState.CONFIRMED
    assert floor.board.log[-2:] == [(task.id, task.version + 1, "confirmed"), (task.id, None, "cleared")]
    assert floor.board.tasks == {}


def test_refilled_and_empty_again_between_two_plans_gives_a_confirmed_and_a_new_task(floor):
    floor.see(STOCKOUT, "left")
    floor.plan()
    first = floor.task("left").id
    floor.see(RESTOCKED, "left")
    floor.see(STOCKOUT, "left")
    floor.plan()
    assert queries.task(floor.store, first).state is TaskState.CONFIRMED
    assert floor.task("left").id != first
    assert floor.task("left").state is TaskState.OPEN


def test_after_a_rejection_the_slot_is_left_alone_until_its_state_changes(floor):
    floor.see(STOCKOUT, "left")
    floor.plan()
    floor.do("reject", "left", reason="the shelf is full")
    floor.see(STOCKOUT, "left")
    floor.plan(3600)
    assert floor.task("left").state is TaskState.REJECTED
    floor.see(RESTOCKED, "left")
    floor.see(STOCKOUT, "left")
    floor.plan()
    assert floor.task("left").state is TaskState.OPEN


def test_a_slot_that_stays_empty_is_not_forgotten_when_its_task_expires(floor):
    floor.see(STOCKOUT, "left")
    floor.plan()
    first = floor.task("left").id
    floor.plan(25 * 3600)
    floor.plan()
    assert queries.task(floor.store, first).state is TaskState.EXPIRED
    assert floor.task("left").id != first


def test_unknown_makes_no_task_and_keeps_the_one_that_is_there(floor):
    floor.live(slot_state("mid", "unknown", at=NOW))
    floor.plan(100)
    assert floor.task("mid") is None
    floor.see(STOCKOUT, "left")
    floor.plan()
    floor.live(slot_state("left", "unknown", at=floor.now + 1, last_known="out"))
    floor.plan(100)
    task = floor.task("left")
    assert (task.condition, task.version) == (SlotCondition.OUT, 1)


def test_done_is_not_reopened_while_the_camera_cannot_see(floor):
    floor.see(STOCKOUT, "left")
    floor.live(slot_state("left", "out", at=floor.now))
    floor.plan()
    floor.do("claim", "left")
    floor.do("complete", "left")
    floor.live(CameraStatus(camera="cam", status="offline", since=floor.now))
    floor.plan(700)
    assert floor.task("left").state is TaskState.DONE
    floor.live(CameraStatus(camera="cam", status="online", since=floor.now))
    floor.plan()
    assert floor.task("left").state is TaskState.OPEN
    assert "no refill" in floor.task("left").reasons[0]


def test_a_claim_times_out(floor):
    floor.see(STOCKOUT, "left")
    floor.plan()
    floor.do("claim", "left")
    floor.plan(31 * 60)
    assert (floor.task("left").state, floor.task("left").claimed_by) == (TaskState.OPEN, None)


def test_rank_follows_lost_value_and_counts_open_workable_tasks_only(floor):
    for slot in ("left", "mid", "right"):
        floor.see(STOCKOUT, slot)
    floor.plan()
    assert [floor.task(slot).rank for slot in ("right", "mid", "left")] == [1, 2, 3]
    floor.do("claim", "right")
    floor.plan()
    assert [floor.task(slot).rank for slot in ("right", "mid", "left")] == [None, 1, 2]


def test_nothing_in_the_backroom_is_a_task_without_a_rank(store):
    site = build_site()
    empty = site.catalogue[0].model_copy(update={"backroom_units": 0})
    floor = Floor(store, site.model_copy(update={"catalogue": [empty, *site.catalogue[1:]]}))
    floor.see(STOCKOUT, "left")
    floor.plan()
    task = floor.task("left")
    assert (task.workable, task.rank, task.units) == (False, None, 0)
    assert floor.board.ranking.not_workable[0].task == task.id


def test_raw_pick_ups_under_rank_what_ran_out_and_our_rate_does_not(store):
    """Left sells 3 an hour but was empty half of the time, mid sells 2 an hour: counts say mid, the rate left."""
    hours = 40
    for rank_by, expected in (("lost_value", "left"), ("pickups", "mid")):
        site = build_site(("left", "mid"), rank_by=rank_by)
        same_price = [product.model_copy(update={"price": 1.0}) for product in site.catalogue]
        floor = Floor(store, site.model_copy(update={"catalogue": same_price}))
        if rank_by == "lost_value":
            batch = []
            for hour in range(hours):
                at = NOW - (hours - hour) * 3600
                stocked = hour % 2 == 0
                if stocked:
                    batch.append(floor.sender.send(PICK_UP, "left", at=at, count=3))
                batch.append(floor.sender.send(PRESENCE, "left", at=at, available_seconds=3600.0 * stocked))
                batch.append(floor.sender.send(PICK_UP, "mid", at=at, count=2))
                batch.append(floor.sender.send(PRESENCE, "mid", at=at, available_seconds=3600.0))
            store.apply(batch)
            floor.see(STOCKOUT, "left")
            floor.see(STOCKOUT, "mid")
        floor.plan()
        first = floor.board.ranking.items[0]
        assert (first.slot, floor.board.ranking.rank_by) == (expected, rank_by)
        rates = {line.slot: line.rate_per_hour for line in floor.board.ranking.items}
        assert rates["left"] == pytest.approx(3, rel=0.15)
        assert rates["mid"] == pytest.approx(2, rel=0.15)


def test_a_restart_remembers_demand_and_publishes_every_task_again(floor):
    for _ in range(30):
        floor.see(PICK_UP, "left", wait=3600, count=4)
        floor.see(PRESENCE, "left", wait=0, available_seconds=3600)
    floor.see(STOCKOUT, "left")
    floor.plan()
    before = floor.board.ranking.items[0]
    task = floor.task("left")
    floor.open()
    assert floor.board.tasks[task.id].version == task.version
    floor.plan()
    after = floor.board.ranking.items[0]
    assert after.slot == before.slot
    assert after.rate_per_hour == pytest.approx(before.rate_per_hour, rel=0.05)
    assert floor.task("left").version == task.version


def test_a_service_that_was_killed_after_closing_a_task_clears_it_later(floor):
    floor.see(STOCKOUT, "left")
    floor.plan()
    task = floor.task("left")
    floor.see(RESTOCKED, "left")
    floor.planner.plan(floor.now)  # in the database, then killed before anything was published
    floor.open()
    assert (task.id, None, "cleared") in floor.board.log


def test_drift_is_published_seldom_and_leaves_the_version(floor):
    floor.see(STOCKOUT, "left")
    floor.plan()
    for _ in range(20):
        floor.plan(4)
    published = [version for _, version, _ in floor.board.log]
    assert set(published) == {1}
    assert len(published) <= 4


def test_a_plan_never_publishes_over_a_newer_command(floor):
    floor.see(STOCKOUT, "left")
    floor.plan()
    plan = floor.planner.plan(floor.now + 120)
    floor.do("claim", "left")
    for task in (*plan.changed, *plan.drifted):
        floor.planner._announcer.task(task, floor.now + 120)
    assert floor.board.tasks[floor.task("left").id].state is TaskState.CLAIMED


def test_a_slot_taken_out_of_the_site_file_loses_its_task(floor):
    floor.see(STOCKOUT, "left")
    floor.plan()
    task = floor.task("left")
    floor.site = build_site(("mid", "right"))
    floor.open()
    floor.plan()
    closed = queries.task(floor.store, task.id)
    assert (closed.state, closed.closed_reason) == (TaskState.EXPIRED, "the slot is no longer in the site file")


def test_a_slot_planned_for_another_product_gets_a_task_for_that_one(floor):
    floor.see(STOCKOUT, "left")
    floor.plan()
    cameras = floor.site.cameras[0]
    slots = [slot.model_copy(update={"sku": "MID"}) if slot.id == "left" else slot for slot in cameras.slots]
    floor.site = floor.site.model_copy(update={"cameras": [cameras.model_copy(update={"slots": slots})]})
    floor.open()
    floor.plan()
    assert (floor.task("left").sku, floor.task("left").state) == ("MID", TaskState.OPEN)


def test_units_put_down_while_the_task_is_worked_are_no_shoppers_return(floor):
    floor.see(PICK_UP, "left", count=4)
    floor.see(STOCKOUT, "left")
    floor.plan()
    floor.do("claim", "left")
    floor.see(EventKind.PUT_BACK, "left", count=4)
    (product, *_) = queries.products(floor.store, floor.now)
    assert (product.pick_ups_week, product.put_backs_week) == (4, 0)


def test_a_live_state_whose_event_was_lost_is_believed_after_a_while(floor):
    floor.see(STOCKOUT, "left")
    floor.plan()
    floor.live(slot_state("left", "in_stock", at=floor.now + 5))
    floor.plan(10)
    assert floor.task("left").state is TaskState.OPEN
    floor.plan(40)
    assert floor.task("left").state is TaskState.CONFIRMED


def test_an_old_retained_state_undoes_nothing(floor):
    floor.see(STOCKOUT, "left")
    floor.live(slot_state("left", "in_stock", at=floor.now - 60), retained=True)
    floor.plan(100)
    assert floor.task("left").state is TaskState.OPEN
    (camera,) = queries.shelf(floor.store, floor.now)
    assert camera.slots[0].state.state is SlotCondition.OUT


def test_the_shelf_is_unknown_with_its_last_state_while_the_device_is_away(floor):
    floor.live(slot_state("left", "in_stock", at=floor.now))
    floor.live(DeviceStatus(status="online", device=DEVICE))
    (camera,) = queries.shelf(floor.store, floor.now)
    assert camera.slots[0].state.state is SlotCondition.IN_STOCK
    floor.now += 50
    floor.live(DeviceStatus(status="offline", device=DEVICE))
    (camera,) = queries.shelf(floor.store, floor.now)
    state = camera.slots[0].state
    assert camera.status == "offline"
    assert (state.state, state.last_known) == (SlotCondition.UNKNOWN, SlotCondition.IN_STOCK)
    assert state.since.timestamp() == floor.now
    assert queries.summary(floor.store, floor.now).unknown == 3


def test_a_device_of_another_site_file_gets_tasks_for_known_products(floor):
    other = Sender(device="edge-2")
    floor.store.apply([other.send(STOCKOUT, "left", at=floor.now), other.send(STOCKOUT, "nowhere", at=floor.now)])
    floor.plan()
    (task,) = queries.tasks(floor.store, floor.now)
    assert (task.device, task.slot) == ("edge-2", "left")


def test_a_task_that_lost_to_a_plan_tells_the_actor_how_it_stands(floor):
    floor.see(STOCKOUT, "left")
    floor.plan()
    seen = floor.task("left")
    floor.see(RESTOCKED, "left")
    floor.plan()
    late = TaskCommand(action="claim", version=seen.version, actor="ana", key="key-late-1")
    with pytest.raises(TaskConflictError, match="confirmed"):
        floor.desk.command(seen.id, late, floor.now)


def test_two_thousand_slots_are_planned_quickly(tmp_path):
    from shelfvision.service.store import open_store

    names = tuple(f"s{i}" for i in range(2000))
    store = open_store(str(tmp_path / "x.sqlite"), "demo")
    floor = Floor(store, build_site(names))
    batch = [floor.sender.send(STOCKOUT, name, at=NOW) for name in names[::10]]
    batch += [floor.sender.send(PICK_UP, name, at=NOW, count=2) for name in names]
    store.apply(batch)
    started = time.perf_counter()
    floor.plan()
    took = time.perf_counter() - started
    assert sum(task.state is TaskState.OPEN for task in queries.tasks(store, NOW)) == 200
    assert took < 3, f"{took:.2f} s"
    store.close()
