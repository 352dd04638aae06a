"""The writer never blocks who submits, groups its commits, and rides out a failing disk."""

from __future__ import annotations

import threading
import time

import pytest

from shelfvision.core.events import EventKind
from shelfvision.errors import OutboxError
from shelfvision.transport.outbox_writer import GROUP_EVENTS, OutboxWriter
from tests.transport.builders import draft, drafts
from tests.waiting import wait_until


class FakeOutbox:
    """Counts commits; fails while ``broken``."""

    def __init__(self) -> None:
        self.groups: list[list[str]] = []
        self.broken = False
        self.checked = 0

    def append(self, batch):
        if self.broken:
            raise OutboxError("no space left")
        self.groups.append([item.key for item in batch])
        return [item.key for item in batch]

    def check_file(self):
        self.checked += 1

    @property
    def keys(self) -> list[str]:
        return [key for group in self.groups for key in group]


def keys(items) -> list[str]:
    return [item.key for item in items]


def test_events_are_stored_in_order_and_in_groups():
    outbox = FakeOutbox()
    writer = OutboxWriter(outbox)
    batch = drafts(220)
    for item in batch:
        writer.submit(item)
    writer.stop(time.monotonic() + 5)
    assert outbox.keys == keys(batch)
    assert len(outbox.groups) < 40
    assert max(map(len, outbox.groups)) <= GROUP_EVENTS
    assert writer.waiting == 0


def test_a_single_event_is_durable_soon_without_any_more_coming(rig):
    stored = threading.Event()
    writer = OutboxWriter(rig.outbox(), on_stored=lambda _: stored.set())
    writer.submit(draft(1))
    assert stored.wait(5)
    writer.stop(time.monotonic() + 5)


def test_flush_waits_for_durability(rig):
    outbox = rig.outbox()
    writer = OutboxWriter(outbox)
    for item in drafts(120):
        writer.submit(item)
    assert writer.flush(10)
    assert outbox.backlog == 120
    writer.stop(time.monotonic() + 5)


def test_a_disk_that_fails_for_a_while_loses_nothing_and_is_told():
    outbox = FakeOutbox()
    outbox.broken = True
    writer = OutboxWriter(outbox)
    batch = drafts(130)
    for item in batch:
        writer.submit(item)
    wait_until(lambda: writer.last_error == "no space left")
    assert writer.waiting == 130
    outbox.broken = False
    assert writer.flush(10)
    assert outbox.keys == keys(batch)
    assert writer.last_error is None
    writer.stop(time.monotonic() + 5)


def test_memory_is_bounded_while_the_disk_fails_and_minor_events_go_first():
    outbox = FakeOutbox()
    outbox.broken = True
    writer = OutboxWriter(outbox, max_waiting=100)
    vital = drafts(60, EventKind.STOCKOUT)
    minor = drafts(200, EventKind.TOUCH, start=100)
    for item in (*vital[:30], *minor, *vital[30:]):
        writer.submit(item)
    wait_until(lambda: writer.waiting <= 100)
    outbox.broken = False
    assert writer.flush(10)
    found = outbox.keys
    assert [key for key in found if "stockout" in key] == keys(vital)
    assert writer.lost == 260 - len(found)
    writer.stop(time.monotonic() + 5)


def test_memory_is_bounded_when_events_come_while_the_disk_is_being_tried():
    outbox, tried, go_on = FakeOutbox(), threading.Event(), threading.Event()

    def append(_):
        tried.set()
        go_on.wait(10)
        raise OutboxError("no space left")

    outbox.append = append
    writer = OutboxWriter(outbox, max_waiting=100)
    batch = drafts(150, EventKind.TOUCH)
    for item in batch[:50]:
        writer.submit(item)
    assert tried.wait(10)
    for item in batch[50:]:
        writer.submit(item)
    go_on.set()
    wait_until(lambda: writer.waiting == 100)
    assert writer.lost == 50
    del outbox.append
    assert writer.flush(10)
    assert outbox.keys == keys(batch[50:])
    writer.stop(time.monotonic() + 5)


def test_stopping_makes_at_least_one_attempt_for_every_event_even_past_its_deadline():
    outbox = FakeOutbox()
    writer = OutboxWriter(outbox)
    batch = drafts(500)
    for item in batch:
        writer.submit(item)
    writer.stop(time.monotonic())
    assert outbox.keys == keys(batch)


def test_stopping_with_a_broken_disk_ends_in_time_and_keeps_count():
    outbox = FakeOutbox()
    outbox.broken = True
    writer = OutboxWriter(outbox)
    writer.submit(draft(1))
    started = time.monotonic()
    writer.stop(time.monotonic() + 1)
    assert time.monotonic() - started < 5
    assert writer.waiting == 1


def test_a_file_deleted_while_nothing_happens_is_noticed(rig, tmp_path):
    outbox = rig.outbox()
    outbox.append(drafts(10))
    writer = OutboxWriter(outbox)
    for path in tmp_path.glob("outbox.sqlite*"):
        path.unlink()
    wait_until(lambda: outbox.notice and "deleted" in outbox.notice)
    assert (tmp_path / "outbox.sqlite").exists()
    assert outbox.backlog == 10
    writer.stop(time.monotonic() + 5)


@pytest.mark.parametrize("count", [1, 49, 50, 51])
def test_any_number_of_events_gets_through(rig, count):
    outbox = rig.outbox()
    writer = OutboxWriter(outbox)
    for item in drafts(count):
        writer.submit(item)
    writer.stop(time.monotonic() + 5)
    assert outbox.backlog == count
