"""The slot-state filter: what is believed, how long it takes, and that nothing flickers."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shelfvision.core.events import EventKind
from shelfvision.core.messages import SlotCondition
from shelfvision.core.shelf import ShelfSettings, SlotEvidence, SlotFilter, StockChange, count_distribution

SURE = 6.0


def looks(*occupied: float, since: float = 0.0, changed_at: float | None = None) -> SlotEvidence:
    return SlotEvidence(clear=True, clear_since=since, occupied=occupied, changed_at=changed_at)


def watch(
    slot: SlotFilter, evidence: SlotEvidence, start: float, end: float, fps: float = 5
) -> list[tuple[float, StockChange]]:
    """Feed the same evidence at a steady rate over (start, end]."""
    seen = []
    for step in range(1, round((end - start) * fps) + 1):
        now = start + step / fps
        seen += [(now, change) for change in slot.update(evidence, now)]
    return seen


@pytest.mark.parametrize("fps", [1, 3, 5, 30])
def test_an_empty_slot_is_confirmed_after_three_seconds_of_clear_view_at_any_frame_rate(fps):
    slot = SlotFilter(1, "a", ShelfSettings(), 0.0)
    assert watch(slot, looks(SURE), 0, 4, fps) == []
    assert slot.condition is SlotCondition.IN_STOCK
    assert watch(slot, SlotEvidence(clear=False), 4, 5, fps) == []
    changes = watch(slot, looks(-SURE, since=5.0, changed_at=4.5), 5, 12, fps)
    assert [change.kind for _, change in changes] == [EventKind.STOCKOUT]
    alert, change = changes[0]
    assert 8.0 <= alert <= 8.0 + 1 / fps + 1e-6  # three seconds after the view cleared at 5.0
    assert change.onset_at == 4.5
    assert change.facings == 0
    assert change.fullness < 0.05
    assert slot.since == 4.5


def test_a_short_absence_is_no_stockout_and_no_refill():
    slot = SlotFilter(1, "a", ShelfSettings(), 0.0)
    watch(slot, looks(SURE), 0, 3)
    assert watch(slot, looks(-SURE, since=3.0, changed_at=3.0), 3, 5) == []
    assert watch(slot, looks(SURE, since=5.0, changed_at=5.0), 5, 12) == []
    assert slot.condition is SlotCondition.IN_STOCK


def test_something_in_front_holds_the_state_then_makes_it_unknown_and_never_out():
    slot = SlotFilter(1, "a", ShelfSettings(), 0.0)
    watch(slot, looks(SURE), 0, 3)
    assert watch(slot, SlotEvidence(clear=False), 3, 22) == []
    assert slot.condition is SlotCondition.IN_STOCK
    assert watch(slot, SlotEvidence(clear=False), 22, 60) == []
    assert slot.condition is SlotCondition.UNKNOWN
    assert slot.last_known is SlotCondition.IN_STOCK
    assert watch(slot, looks(SURE, since=60.0), 60, 63) == []
    assert slot.condition is SlotCondition.IN_STOCK


def test_time_behind_an_obstruction_does_not_count_towards_a_stockout():
    slot = SlotFilter(1, "a", ShelfSettings(), 0.0)
    watch(slot, looks(SURE), 0, 3)
    watch(slot, looks(-SURE, since=3.0, changed_at=3.0), 3, 5)
    assert watch(slot, SlotEvidence(clear=False), 5, 15) == []
    changes = watch(slot, looks(-SURE, since=15.0, changed_at=3.0), 15, 20)
    assert [change.kind for _, change in changes] == [EventKind.STOCKOUT]
    assert changes[0][0] == pytest.approx(16.0, abs=0.25)
    assert changes[0][1].onset_at == 3.0


def test_a_refill_is_told_once_and_only_after_an_alert():
    slot = SlotFilter(1, "a", ShelfSettings(), 0.0)
    watch(slot, looks(-SURE), 0, 4)
    assert slot.condition is SlotCondition.OUT
    changes = watch(slot, looks(SURE, since=4.0, changed_at=4.0), 4, 20)
    assert [(change.kind, change.onset_at) for _, change in changes] == [(EventKind.RESTOCKED, 4.0)]
    slot.forget(20.0)
    assert watch(slot, looks(SURE, since=20.0), 20, 30) == []


def test_facings_that_go_one_by_one_are_low_before_they_are_out():
    slot = SlotFilter(4, "a", ShelfSettings(), 0.0)
    kinds = []
    for gone in range(5):
        occupied = [-SURE] * gone + [SURE] * (4 - gone)
        since = 10.0 * gone
        kinds += [c.kind for _, c in watch(slot, looks(*occupied, since=since, changed_at=since), since, since + 10)]
        assert slot.visible == 4 - gone
    assert kinds == [EventKind.LOW_STOCK, EventKind.STOCKOUT]


def test_an_offline_camera_makes_the_state_unknown_and_an_emptied_slot_is_found_afterwards():
    slot = SlotFilter(1, "a", ShelfSettings(), 0.0)
    watch(slot, looks(SURE), 0, 3)
    slot.forget(3.0)
    assert slot.condition is SlotCondition.UNKNOWN
    changes = watch(slot, looks(-SURE, since=100.0, changed_at=100.0), 100, 105)
    assert [change.kind for _, change in changes] == [EventKind.STOCKOUT]


def test_a_detector_that_sees_no_product_and_a_gap_outvotes_a_wavering_picture():
    slot = SlotFilter(1, "a", ShelfSettings(), 0.0)
    evidence = SlotEvidence(clear=True, clear_since=0.0, occupied=(0.3,), detected_facings=0, gap_share=0.9)
    changes = watch(slot, evidence, 0, 6)
    assert [change.kind for _, change in changes] == [EventKind.STOCKOUT]


def test_a_foreign_sku_that_stays_is_misplaced_once():
    slot = SlotFilter(1, "a", ShelfSettings(), 0.0)
    wrong = SlotEvidence(clear=True, clear_since=0.0, occupied=(SURE,), seen_sku="b", sku_trust=0.9)
    changes = watch(slot, wrong, 0, 30)
    assert [(change.kind, change.seen_sku) for _, change in changes] == [(EventKind.MISPLACED, "b")]
    right = SlotEvidence(clear=True, clear_since=0.0, occupied=(SURE,), seen_sku="a", sku_trust=0.9)
    assert watch(slot, right, 30, 40) == []
    assert len(watch(slot, wrong, 40, 70)) == 1


@given(st.lists(st.floats(-50, 50), min_size=1, max_size=8))
def test_the_count_of_facings_is_a_distribution_with_the_right_mean(occupied):
    belief = count_distribution(tuple(occupied))
    assert belief.sum() == pytest.approx(1)
    assert (belief >= 0).all()
    chances = 1 / (1 + np.exp(-np.clip(occupied, -30, 30)))
    assert np.dot(belief, np.arange(len(belief))) == pytest.approx(chances.sum(), abs=1e-9)


@given(
    st.lists(
        st.tuples(st.booleans(), st.floats(-8, 8), st.floats(0.01, 5), st.sampled_from([None, 0, 1, 2, 3])), max_size=60
    )
)
def test_any_evidence_leaves_a_proper_belief_and_alternating_alerts(steps):
    slot = SlotFilter(3, "a", ShelfSettings(), 0.0)
    now, kinds = 0.0, []
    for clear, odds, elapsed, detected in steps:
        now += elapsed
        evidence = SlotEvidence(clear, occupied=(odds, odds, -odds), detected_facings=detected)
        for change in slot.update(evidence, now):
            kinds.append(change.kind)
            assert change.onset_at <= change.time
        assert slot.belief.sum() == pytest.approx(1)
        assert (slot.belief > 0).all()
        assert 0 <= slot.fullness <= 1
        assert 0 <= slot.confidence <= 1
    assert all(first is not second for first, second in pairwise(kinds))
    assert kinds[:1] != [EventKind.RESTOCKED]
