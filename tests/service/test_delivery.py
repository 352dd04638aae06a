"""Exactly-once effects in the order of the device's sequence, whatever arrives when and how often."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shelfvision.core.events import EventKind
from shelfvision.errors import StoreError
from shelfvision.service import queries
from shelfvision.service.store import open_store
from shelfvision.transport.inbox import InboxStore
from tests.service.builders import DEVICE, EPOCH, NEXT_EPOCH, Sender

PICK_UP, PUT_BACK, STOCKOUT, RESTOCKED = (
    EventKind.PICK_UP,
    EventKind.PUT_BACK,
    EventKind.STOCKOUT,
    EventKind.RESTOCKED,
)


def pick_ups(count, slot="left"):
    sender = Sender()
    return [sender.send(PICK_UP, slot, count=1) for _ in range(count)]


def seq_of(store):
    return store.watermarks()[DEVICE].seq


def test_the_store_is_what_the_link_wants(store):
    inbox: InboxStore = store
    assert inbox.watermarks() == {}
    assert inbox.apply([]) == {}


def test_events_are_applied_once_and_acknowledged(store):
    sent = pick_ups(10)
    assert store.apply(sent)[DEVICE].seq == 10
    assert store.apply(sent)[DEVICE].seq == 10
    assert store.apply([*sent[3:], *sent])[DEVICE].seq == 10
    found = queries.applied(store)
    assert (found.events, found.units, found.waiting) == (10, 10, 0)


def test_a_hole_holds_the_watermark_and_later_events_wait_for_it(store):
    sent = pick_ups(6)
    assert store.apply([sent[0], sent[1], sent[3], sent[4]])[DEVICE].seq == 2
    assert queries.applied(store).units == 2
    assert queries.applied(store).waiting == 2
    assert store.apply([sent[5]])[DEVICE].seq == 2
    assert store.apply([sent[2]])[DEVICE].seq == 6
    found = queries.applied(store)
    assert (found.events, found.units, found.waiting) == (6, 6, 0)


def test_waiting_events_survive_a_restart(store_url):
    sent = pick_ups(3)
    first = open_store(store_url, "demo")
    first.apply([sent[1], sent[2]])
    first.close()
    second = open_store(store_url, "demo")
    assert second.apply([sent[0]])[DEVICE].seq == 3
    assert queries.applied(second).units == 3
    second.close()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.randoms(use_true_random=False), st.integers(1, 25), st.integers(1, 6))
def test_any_order_any_repeats_any_batches_give_the_same(tmp_path_factory, shuffler, count, size):
    sender = Sender()
    kinds = [shuffler.choice([PICK_UP, PUT_BACK, STOCKOUT, RESTOCKED, EventKind.TOUCH]) for _ in range(count)]
    sent = [sender.send(kind, "left", count=1, at=float(place)) for place, kind in enumerate(kinds)]
    expected, found = (open_store(str(tmp_path_factory.mktemp("db") / "x.sqlite"), "demo") for _ in range(2))
    expected.apply(sent)
    chaotic = sent * 2
    shuffler.shuffle(chaotic)
    for start in range(0, len(chaotic), size):
        found.apply(chaotic[start : start + size])
    assert queries.applied(found) == queries.applied(expected)
    assert found.watermarks() == expected.watermarks()
    expected.close()
    found.close()


def test_state_follows_the_sequence_and_not_the_clock(store):
    """The device's clock was set back an hour between the two events."""
    sender = Sender()
    now = time.time()
    out = sender.send(STOCKOUT, "left", at=now)
    back = sender.send(RESTOCKED, "left", at=now - 3600)
    store.apply([back])
    store.apply([out])
    with store.database.read() as connection:
        from shelfvision.service.schema import slots

        row = connection.execute(slots.select()).one()
    assert (row.condition, row.changes, row.refills) == ("in_stock", 2, 1)


def test_unreadable_messages_become_dead_letters_and_the_watermark_passes_them(store):
    sender = Sender()
    first, poison, last = sender.send(PICK_UP, "left"), sender.unreadable(), sender.send(PICK_UP, "left")
    assert store.apply([first, poison, last])[DEVICE].seq == 3
    store.apply([poison])
    found = queries.applied(store)
    assert (found.units, found.dead_letters, found.events) == (2, 1, 3)


def test_a_message_without_a_place_is_a_dead_letter_that_moves_nothing(store):
    sender = Sender()
    assert store.apply([sender.unreadable(placed=False)]) == {}
    assert queries.applied(store).dead_letters == 1


@pytest.mark.parametrize(("epoch", "seq"), [("NOT-HEX", 1), (EPOCH, 0), (EPOCH, -4), (EPOCH, 2**70)])
def test_an_impossible_place_is_no_place(store, epoch, seq):
    from dataclasses import replace

    assert store.apply([replace(pick_ups(1)[0], epoch=epoch, seq=seq)]) == {}
    assert queries.applied(store).dead_letters == 1


def test_a_gap_lets_the_watermark_pass_over_what_the_device_gave_up(store):
    sender = Sender()
    first = sender.send(PICK_UP, "left")
    assert store.apply([first, sender.gap(2, 9, reason="disk full"), sender.send(PICK_UP, "left")])[DEVICE].seq == 10
    assert queries.applied(store).units == 2


def test_a_gap_keeps_what_arrived_before_it(store):
    sent = pick_ups(6)
    assert store.apply([sent[0], sent[3], sent[4]])[DEVICE].seq == 1
    assert store.apply([Sender().gap(2, 5)])[DEVICE].seq == 5
    assert queries.applied(store).units == 3
    assert store.apply([sent[5]])[DEVICE].seq == 6


def test_a_gap_above_a_hole_waits_for_it(store):
    sent = pick_ups(8)
    assert store.apply([sent[0], Sender().gap(3, 6), sent[7]])[DEVICE].seq == 1
    assert store.apply([sent[1]])[DEVICE].seq == 6
    assert store.apply([sent[6]])[DEVICE].seq == 8
    assert queries.applied(store).units == 4


def test_a_new_epoch_starts_at_one_and_the_old_one_stays_known(store):
    old = pick_ups(5)
    store.apply(old)
    fresh = Sender(NEXT_EPOCH)
    assert store.apply([fresh.send(PICK_UP, "left")])[DEVICE].epoch == NEXT_EPOCH
    assert seq_of(store) == 1
    assert store.apply(old)[DEVICE].seq == 5
    assert queries.applied(store).units == 6


def test_devices_have_sequences_of_their_own(store):
    sent = [Sender(device=name).send(PICK_UP, "left") for name in ("edge-1", "edge-2")]
    assert {name: ack.seq for name, ack in store.apply(sent).items()} == {"edge-1": 1, "edge-2": 1}
    assert queries.applied(store).units == 2


def test_deleting_old_events_forgets_no_place(store):
    sender = Sender()
    sent = [sender.send(PICK_UP, "left", at=1000.0) for _ in range(5)]
    waiting = [sender.send(PICK_UP, "left", at=1000.0) for _ in range(3)][1:]
    store.apply([*sent, *waiting])
    assert store.forget(1000.0 + 91 * 86_400, 90) == 5
    assert queries.applied(store).waiting == 2
    store.apply(sent)
    assert queries.applied(store).units == 5


def test_a_failing_batch_stores_nothing(store, monkeypatch):
    from shelfvision.service.effects import Effects

    def broken(self):
        raise StoreError("disk full")

    sent = pick_ups(4)
    with monkeypatch.context() as patch:
        patch.setattr(Effects, "flush", broken)
        with pytest.raises(StoreError, match="disk full"):
            store.apply(sent)
    assert queries.applied(store).events == 0
    assert store.apply(sent)[DEVICE].seq == 4


def test_counts_separate_shoppers_staff_and_exposure(store):
    sender = Sender()
    now = time.time()
    store.apply(
        [
            sender.send(PICK_UP, "left", count=2, at=now),
            sender.send(PICK_UP, "left", count=9, at=now, by_staff=True),
            sender.send(PUT_BACK, "left", count=1, at=now, hold_seconds=4.0, linked_event="x"),
            sender.send(EventKind.TOUCH, "left", at=now),
            sender.send(EventKind.PRESENCE, "left", at=now, available_seconds=300, count=0),
            sender.send(EventKind.PRESENCE, at=now, passes=7, stops=2, count=2),
        ]
    )
    from shelfvision.service.schema import activity, traffic

    with store.database.read() as connection:
        row = connection.execute(activity.select()).one()
        passed = connection.execute(traffic.select()).one()
    assert (row.pick_ups, row.put_backs, row.touches, row.staff_units) == (2, 1, 1, 9)
    assert (row.holds, row.hold_seconds, row.available_seconds) == (1, 4.0, 300.0)
    assert (passed.passes, passed.stops) == (7, 2)


def test_a_stockout_is_kept_with_its_onset_and_end(store):
    sender = Sender()
    store.apply([sender.send(STOCKOUT, "left", at=100.0, onset_at=97.0), sender.send(STOCKOUT, "left", at=105.0)])
    store.apply([sender.send(RESTOCKED, "left", at=200.0, onset_at=199.0)])
    from shelfvision.service.schema import stockouts

    with store.database.read() as connection:
        row = connection.execute(stockouts.select()).one()
    assert (row.onset_at, row.alerted_at, row.ended_at, row.false_alarm) == (97.0, 100.0, 199.0, False)


def test_a_clock_that_is_off_is_flagged_and_changes_nothing_else(store):
    sender = Sender()
    now = time.time()
    store.apply([sender.send(PICK_UP, "left", at=now + 3600, received_at=now)])
    (device,) = queries.summary(store, now).devices
    assert device.clock_lag_seconds == pytest.approx(-3600, abs=1)
    store.apply([sender.send(PICK_UP, "left", at=now - 10, received_at=now)])
    assert queries.summary(store, now).devices[0].clock_lag_seconds is None
    assert seq_of(store) == 2


def test_batches_of_durable_commits_are_quick(tmp_path: Path):
    """The target is 3,000 events a second; a machine that is busy with other things must still do a third."""
    store = open_store(str(tmp_path / "x.sqlite"), "demo")
    sender = Sender()
    rng = random.Random(1)
    kinds = [PICK_UP, PUT_BACK, EventKind.TOUCH, STOCKOUT, RESTOCKED]
    sent = [sender.send(rng.choice(kinds), f"s{rng.randrange(100)}", count=1) for _ in range(4000)]
    started = time.perf_counter()
    for start in range(0, len(sent), 200):
        store.apply(sent[start : start + 200])
    rate = len(sent) / (time.perf_counter() - started)
    assert queries.applied(store).events == 4000
    assert rate > 1000, f"{rate:.0f} events/s"
    store.close()


def test_values_that_no_column_holds_are_cut_and_stop_nothing(store):
    from dataclasses import replace

    from shelfvision.core.messages import CameraStatus, DeviceStatus, Health
    from shelfvision.service.live_state import LiveMessage
    from tests.service.builders import slot_state

    sender = Sender()
    store.apply(
        [
            sender.send(EventKind.PRESENCE, passes=2**62, stops=2**62),
            sender.send(EventKind.PRESENCE, "left", available_seconds=1e300),
            sender.send(PICK_UP, "left", count=100_000),
            replace(sender.send(PICK_UP, "left"), device="x" * 300),
            replace(sender.unreadable(), fault="a\0b" * 400, topic="t" * 900),
        ]
    )
    models = [
        DeviceStatus(status="online", device=DEVICE, version="v" * 200, backlog=2**70, dropped=2**70),
        CameraStatus(camera="cam", status="online", since=1.0, dropped=2**70, restarts=2**70),
        Health(device=DEVICE, at=1.0, backlog=2**70),
        slot_state("left", "in_stock", at=1.0, facings=2**70).model_copy(update={"sku": "s" * 200}),
        slot_state("new", "in_stock", at=1.0).model_copy(update={"sku": "s" * 200}),
    ]
    store.keep_live([LiveMessage(DEVICE, model, 1.0, retained=False) for model in models])
    store.keep_live([LiveMessage("x" * 300, models[0], 1.0, retained=False)])
    assert store.watermarks()[DEVICE].seq == 3
    assert queries.applied(store).dead_letters == 2
