"""What the page and API read."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from shelfvision.core.events import EventKind
from shelfvision.core.messages import CameraStatus, DeviceStatus, SlotCondition, TaskCommand
from shelfvision.service import queries
from shelfvision.service.desk import Desk
from shelfvision.service.live_state import LiveMessage
from shelfvision.service.planner import Planner
from tests.service.builders import DEVICE, Board, Sender, build_site, slot_state

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC).timestamp()
HOUR = 3600.0


@pytest.fixture
def site(store):
    made = build_site()
    store.adopt_site(made)
    return made


def keep(store, *models, at=NOON):
    store.keep_live([LiveMessage(DEVICE, model, at, retained=False) for model in models])


def test_a_new_store_reads_as_unknown_and_empty(store, site):
    (camera,) = queries.shelf(store, NOON)
    assert (camera.camera, camera.status, camera.frame_size) == ("cam", "unknown", (640, 480))
    assert [slot.state.state for slot in camera.slots] == [SlotCondition.UNKNOWN] * 3
    assert [slot.name for slot in camera.slots] == ["Left", "Mid", "Right"]
    assert camera.slots[0].polygon == ((10.0, 10.0), (90.0, 10.0), (90.0, 90.0))
    assert queries.tasks(store, NOON) == []
    assert queries.ranking(store, NOON).items == []
    assert queries.summary(store, NOON).availability is None
    assert [product.pick_ups for product in queries.products(store, NOON)] == [0, 0, 0]
    assert queries.task(store, "nope") is None


def test_today_begins_at_midnight_of_the_stores_time_zone(store, site):
    sender = Sender()
    store.apply([sender.send(EventKind.PICK_UP, "left", count=1, at=NOON - hours * HOUR) for hours in (1, 10, 13, 30)])
    utc, berlin, west = (
        queries.products(store, NOON, timezone=zone)[0].pick_ups
        for zone in ("UTC", "Europe/Berlin", "America/Los_Angeles")
    )
    assert (utc, berlin, west) == (2, 3, 1)
    assert queries.products(store, NOON)[0].pick_ups_week == 4
    assert queries.shelf(store, NOON, timezone="Europe/Berlin")[0].slots[0].pick_ups == 3


def test_products_show_returns_holding_time_and_time_on_the_shelf(store, site):
    sender = Sender()
    store.apply(
        [
            sender.send(EventKind.PICK_UP, "left", count=3, at=NOON),
            sender.send(EventKind.PUT_BACK, "left", count=1, at=NOON, hold_seconds=4, linked_event="a"),
            sender.send(EventKind.PUT_BACK, "left", count=1, at=NOON, hold_seconds=8, linked_event="b"),
            sender.send(EventKind.PRESENCE, "left", at=NOON, available_seconds=1800),
            sender.send(EventKind.STOCKOUT, "left", at=NOON),
        ]
    )
    product = queries.products(store, NOON)[0]
    assert (product.put_backs, product.hold_seconds, product.available_hours_week) == (2, 6.0, 0.5)
    assert (product.slots, product.slots_out) == (1, 1)


def test_availability_counts_slots_that_are_known(store, site):
    keep(store, slot_state("left", "in_stock", at=NOON), slot_state("mid", "out", at=NOON))
    summary = queries.summary(store, NOON)
    assert (summary.slots, summary.in_stock, summary.out, summary.unknown) == (3, 1, 1, 1)
    assert summary.availability == 0.5


@pytest.mark.parametrize("status", ["offline", "frozen", "moved", "resized", "ended"])
def test_a_camera_that_cannot_see_leaves_its_slots_unknown(store, site, status):
    keep(store, slot_state("left", "in_stock", at=NOON))
    keep(store, CameraStatus(camera="cam", status=status, since=NOON + 9, error="why"))
    (camera,) = queries.shelf(store, NOON)
    assert (camera.status, camera.error) == (status, "why")
    state = camera.slots[0].state
    assert (state.state, state.last_known, state.since.timestamp()) == (
        SlotCondition.UNKNOWN,
        SlotCondition.IN_STOCK,
        NOON + 9,
    )
    assert queries.summary(store, NOON).unknown == 3


def test_a_stock_event_newer_than_the_live_state_is_shown(store, site):
    keep(store, slot_state("left", "in_stock", at=NOON))
    store.apply([Sender().send(EventKind.STOCKOUT, "left", at=NOON + 5, onset_at=NOON + 2)])
    state = queries.shelf(store, NOON)[0].slots[0].state
    assert (state.state, state.since.timestamp()) == (SlotCondition.OUT, NOON + 2)
    keep(store, slot_state("left", "unknown", at=NOON + 9, last_known="out", obstructed=True))
    state = queries.shelf(store, NOON)[0].slots[0].state
    assert (state.state, state.last_known, state.obstructed) == (SlotCondition.UNKNOWN, SlotCondition.OUT, True)


def test_the_summary_agrees_with_the_shelf(store, site):
    keep(store, slot_state("left", "in_stock", at=NOON), slot_state("mid", "low", at=NOON))
    store.apply([Sender().send(EventKind.STOCKOUT, "left", at=NOON + 5)])
    keep(store, DeviceStatus(status="online", device=DEVICE, backlog=4))
    shown = [slot.state.state for camera in queries.shelf(store, NOON) for slot in camera.slots]
    summary = queries.summary(store, NOON)
    for name in ("in_stock", "low", "out", "unknown"):
        assert getattr(summary, name) == shown.count(SlotCondition(name))
    (device,) = summary.devices
    assert (device.status, device.backlog, device.seq) == ("online", 4, 1)


def test_tasks_come_by_rank_then_those_that_need_an_order_then_closed_ones(store):
    site = build_site(("a", "b", "c", "d"))
    nothing = site.catalogue[3].model_copy(update={"backroom_units": 0})
    site = site.model_copy(update={"catalogue": [*site.catalogue[:3], nothing]})
    store.adopt_site(site)
    sender, desk = Sender(), Desk(store, "demo")
    planner = Planner(site, store, desk, Board())
    store.apply([sender.send(EventKind.STOCKOUT, slot, at=NOON) for slot in "abcd"])
    planner.plan(NOON)
    closed = next(task for task in queries.tasks(store, NOON) if task.slot == "b")
    desk.command(closed.id, TaskCommand(action="reject", version=1, actor="ana", key="key-0001"), NOON)
    planner.plan(NOON + 1)
    assert [task.slot for task in queries.tasks(store, NOON)] == ["c", "a", "d", "b"]
    summary = queries.summary(store, NOON)
    assert (summary.open_tasks, summary.not_workable_tasks) == (2, 1)


def test_a_site_file_without_a_slot_no_longer_shows_it(store, site):
    keep(store, slot_state("left", "in_stock", at=NOON))
    store.adopt_site(build_site(("mid",)))
    assert [slot.state.slot for slot in queries.shelf(store, NOON)[0].slots] == ["mid"]
    store.adopt_site(site)
    assert queries.shelf(store, NOON)[0].slots[0].state.state is SlotCondition.IN_STOCK
