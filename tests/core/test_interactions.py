"""Visits to a slot, and how acts are numbered and linked."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shelfvision.core.interactions import (
    Action,
    Deed,
    InteractionLog,
    InteractionSettings,
    SlotReading,
    Visit,
    VisitWatch,
)

NOTHING = SlotReading(0.0, 0.0)
HAND = SlotReading(0.2, 0.0)
LEFT_BEHIND = SlotReading(0.0, 0.5)


def follow(watch: VisitWatch, readings: list[tuple[SlotReading, float]], fps: float) -> list[tuple[float, Visit]]:
    """Feed each reading for its seconds; returns the visits with the times at which they were told."""
    visits, now = [], 0.0
    for reading, seconds in readings:
        for _ in range(round(seconds * fps)):
            visit = watch.update(reading, now)
            if visit is not None:
                visits.append((now, visit))
            now += 1 / fps
    return visits


@pytest.mark.parametrize("fps", [3, 10, 30])
def test_a_hand_that_comes_and_goes_is_one_visit_with_its_times(fps):
    ((told, visit),) = follow(VisitWatch(InteractionSettings()), [(NOTHING, 2), (HAND, 2), (NOTHING, 2)], fps)
    assert visit.started_at == pytest.approx(2, abs=1 / fps)
    assert visit.ended_at == pytest.approx(4, abs=1.01 / fps)
    assert not visit.left_change
    assert told <= 4 + 0.3 + 2 / fps


def test_what_is_left_behind_must_stand_still_before_it_is_judged():
    restless = SlotReading(0.0, 0.5, restless=True)
    readings = [(HAND, 1), (restless, 3), (LEFT_BEHIND, 3)]
    told, visit = follow(VisitWatch(InteractionSettings()), readings, 10)[0]
    assert visit.left_change
    assert told >= 4 + InteractionSettings().settle_seconds - 0.11


def test_a_hand_that_comes_back_at_once_is_the_same_visit():
    readings = [(HAND, 1), (NOTHING, 0.2), (HAND, 1), (NOTHING, 1)]
    assert len(follow(VisitWatch(InteractionSettings()), readings, 10)) == 1


def test_a_change_between_two_frames_is_a_visit_too():
    _, visit = follow(VisitWatch(InteractionSettings()), [(NOTHING, 1), (LEFT_BEHIND, 3)], 4)[0]
    assert visit.left_change


def test_the_longest_rest_of_the_hand_is_kept_and_lies_within_the_visit():
    watch = VisitWatch(InteractionSettings())
    watch.update(SlotReading(0.2, 0, False, 5.0), 10.0)
    watch.update(SlotReading(0.2, 0, False, 5.5), 10.5)
    watch.update(SlotReading(0.2, 0, False, 0.1), 11.0)
    watch.update(NOTHING, 11.5)
    visit = watch.update(NOTHING, 12.0)
    assert visit is not None
    assert visit.resting == 0.5
    assert visit.rested_at == 10.0


def test_what_was_nothing_after_all_ends_when_it_stood_still():
    watch = VisitWatch(InteractionSettings())
    for now in (0.0, 1.0, 2.0, 3.0):
        watch.update(HAND, now)
    watch.cleared(1.5)
    visit = watch.update(LEFT_BEHIND, 3.1)
    assert visit is not None
    assert visit.ended_at == 1.5


def deed(action: Action, contact: float, count: int = 1) -> Deed:
    return Deed(action, count, 0.9, contact - 1, contact, contact + 1)


def test_a_put_back_is_linked_to_its_pick_up_and_tells_how_long_it_was_held():
    log = InteractionLog(InteractionSettings())
    pick = log.add(deed(Action.PICK_UP, 10), slot="a", sku="x")
    put = log.add(deed(Action.PUT_BACK, 16.5), slot="a", sku="x")
    assert (put.linked, put.hold_seconds, put.by_staff) == (pick.key, 6.5, None)
    assert log.add(deed(Action.PUT_BACK, 20), slot="a", sku="x").linked is None


def test_a_put_back_prefers_its_own_slot_and_never_another_sku():
    log = InteractionLog(InteractionSettings())
    own = log.add(deed(Action.PICK_UP, 10), slot="a", sku="x")
    log.add(deed(Action.PICK_UP, 11), slot="b", sku="x")
    log.add(deed(Action.PICK_UP, 12), slot="c", sku="y")
    assert log.add(deed(Action.PUT_BACK, 13), slot="a", sku="x").linked == own.key
    assert log.add(deed(Action.PUT_BACK, 14), slot="d", sku="z").linked is None


def test_a_pick_up_of_long_ago_is_not_linked():
    log = InteractionLog(InteractionSettings())
    log.add(deed(Action.PICK_UP, 0), slot="a", sku="x")
    assert log.add(deed(Action.PUT_BACK, 10_000), slot="a", sku="x").linked is None


def test_many_put_backs_without_pick_ups_are_restocking_by_staff():
    log = InteractionLog(InteractionSettings())
    staff = [log.add(deed(Action.PUT_BACK, 10 * n), slot=f"s{n}", sku=f"x{n}").by_staff for n in range(1, 5)]
    assert staff == [None, None, True, True]
    assert log.add(deed(Action.PUT_BACK, 500), slot="s9", sku="x9").by_staff is None


@given(
    st.lists(
        st.tuples(st.sampled_from(list(Action)), st.sampled_from("ab"), st.sampled_from("xy"), st.integers(1, 3)),
        max_size=40,
    )
)
def test_keys_are_unique_and_no_more_units_are_linked_than_were_picked(acts):
    log = InteractionLog(InteractionSettings())
    done = [
        log.add(deed(action, 1.0 * n, count), slot=slot, sku=sku) for n, (action, slot, sku, count) in enumerate(acts)
    ]
    assert len({act.key for act in done}) == len(done)
    picked = {act.key: act for act in done if act.action is Action.PICK_UP}
    uses: dict[str, int] = {}
    for act in done:
        if act.linked is not None:
            assert act.action is Action.PUT_BACK
            assert picked[act.linked].sku == act.sku
            assert act.hold_seconds is not None
            assert act.hold_seconds >= 0
            uses[act.linked] = uses.get(act.linked, 0) + 1
    assert all(count <= picked[key].count for key, count in uses.items())
