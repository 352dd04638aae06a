"""Rates that empty shelves do not fool."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shelfvision.core.demand import DemandModel, Observation

HOUR = 3600.0
WEEK = 7 * 24 * HOUR


def trace(rng, rate, hours, stocked):
    """(pick-ups, exposure) of a SKU over hours, of which it was on the shelf a share ``stocked``."""
    seen = hours * stocked
    return rng.poisson(rate * seen), seen * HOUR


def test_a_sku_that_was_empty_half_of_the_time_is_ranked_by_its_demand_not_by_its_pick_ups():
    """Raw counts put the fast seller that ran out behind the slow one that never did; the rate does not."""
    rng = np.random.default_rng(7)
    model = DemandModel(WEEK)
    right_by_count = right_by_rate = 0
    for trial in range(50):
        fast, slow = f"fast-{trial}", f"slow-{trial}"
        counts = {}
        for sku, rate, stocked in ((fast, 3.0, 0.4), (slow, 2.0, 1.0)):
            counts[sku], seconds = trace(rng, rate, 80, stocked)
            model.observe_take(sku, counts[sku], 0)
            model.observe_exposure(sku, seconds, 0)
        right_by_count += counts[fast] > counts[slow]
        right_by_rate += model.posterior(fast, 0).mean > model.posterior(slow, 0).mean
    assert right_by_count <= 5
    assert right_by_rate >= 45


def test_much_evidence_outweighs_the_prior():
    model = DemandModel(WEEK, {"a": "drinks", "b": "drinks"})
    model.observe_take("a", 400, 0)
    model.observe_exposure("a", 100 * HOUR, 0)
    assert model.posterior("a", 0).mean == pytest.approx(4, rel=0.02)


def test_a_sku_without_evidence_is_taken_for_its_category():
    categories = {f"quick{i}": "quick" for i in range(6)} | {f"slow{i}": "slow" for i in range(6)}
    model = DemandModel(WEEK, categories)
    for i in range(5):
        for kind, takes in (("quick", 300 + 5 * i), ("slow", 20 + i)):
            model.observe_take(f"{kind}{i}", takes, 0)
            model.observe_exposure(f"{kind}{i}", 100 * HOUR, 0)
    quick, slow = model.posterior("quick5", 0), model.posterior("slow5", 0)
    assert quick.mean == pytest.approx(3.1, rel=0.1)
    assert slow.mean == pytest.approx(0.22, rel=0.2)


def test_a_little_evidence_moves_part_of_the_way():
    model = DemandModel(WEEK, dict.fromkeys("abcdef", "c"))
    for sku in "abcde":
        model.observe_take(sku, 100, 0)
        model.observe_exposure(sku, 100 * HOUR, 0)
    model.observe_take("f", 4, 0)
    model.observe_exposure("f", 1 * HOUR, 0)
    assert 1.1 < model.posterior("f", 0).mean < 3.9


def test_shrinkage_lowers_the_error_of_rates_known_from_little():
    rng = np.random.default_rng(3)
    true = rng.gamma(4, 0.5, size=200)
    hours = rng.uniform(0.5, 3, size=200)
    takes = rng.poisson(true * hours)
    model = DemandModel(WEEK, {str(i): "c" for i in range(200)})
    for i in range(200):
        model.observe_take(str(i), float(takes[i]), 0)
        model.observe_exposure(str(i), hours[i] * HOUR, 0)
    estimates = np.array([model.posterior(str(i), 0).mean for i in range(200)])
    raw_error = np.mean((takes / hours - true) ** 2)
    assert np.mean((estimates - true) ** 2) < 0.6 * raw_error


def test_put_backs_take_back_and_never_make_a_negative_rate():
    model = DemandModel(WEEK)
    model.observe(Observation("a", 0, takes=3))
    model.observe(Observation("a", 0, puts=5))
    model.observe(Observation("a", 0, seconds=HOUR))
    assert model.evidence("a", 0).takes == 0
    assert model.posterior("a", 0).mean > 0


def test_evidence_halves_with_each_half_life():
    model = DemandModel(WEEK)
    model.observe_take("a", 8, 0)
    model.observe_exposure("a", 4 * HOUR, 0)
    seen = model.evidence("a", 2 * WEEK)
    assert seen.takes == pytest.approx(2)
    assert seen.hours == pytest.approx(1)


def test_the_newer_rate_wins_after_a_change_of_habit():
    model = DemandModel(WEEK)
    for day in range(60):
        at = day * 24 * HOUR
        model.observe_take("a", 24 if day < 30 else 96, at)
        model.observe_exposure("a", 24 * HOUR, at)
    assert model.posterior("a", 60 * 24 * HOUR).mean > 3.6


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.integers(0, 50), st.floats(0, 1e5), st.floats(-1e12, 1e12)), max_size=20
    ),
    st.floats(0.01, 1e9),
)
def test_every_posterior_is_a_proper_distribution_whatever_was_seen(story, half_life):
    model = DemandModel(half_life, {"a": "x", "b": "x"})
    now = max((at for *_, at in story), default=0.0)
    for sku, takes, seconds, at in story:
        model.observe(Observation(sku, at, takes=takes, seconds=seconds))
    for sku in "abcd":
        belief = model.posterior(sku, now)
        assert 0 < belief.shape < float("inf")
        assert 0 < belief.rate < float("inf")


@given(st.permutations([("a", 3, 0.0), ("a", 5, 9e6), ("b", 2, 4e7), ("a", 1, -8e7), ("b", 7, 3e8)]))
def test_the_order_of_observations_does_not_matter(story):
    model = DemandModel(1e5)
    for sku, takes, at in story:
        model.observe(Observation(sku, at, takes=takes, seconds=60.0))
    assert model.evidence("b", 3e8).takes == pytest.approx(7)
    assert model.evidence("a", 3e8).takes == pytest.approx(0, abs=1e-9)
