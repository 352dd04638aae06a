"""The order of refills and its reasons."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shelfvision.core.demand import Evidence, Gamma
from shelfvision.core.messages import SlotCondition
from shelfvision.core.ranking import Candidate, RankingRules, duration, expected_unmet, rank

OUT, LOW, IN_STOCK = SlotCondition.OUT, SlotCondition.LOW, SlotCondition.IN_STOCK


class Known:
    """Demand that is known: SKU to units an hour."""

    def __init__(self, **rates):
        self.rates = rates

    def posterior(self, sku, now):
        return Gamma(self.rates[sku] * 50, 50)

    def evidence(self, sku, now):
        return Evidence(self.rates[sku] * 50, 50)


def candidate(slot, sku="a", **changes):
    facts = {"name": sku, "condition": OUT, "since": 0.0, "capacity": 10, "unit_value": 1.0, "backroom_units": 24}
    return Candidate(device="edge-1", slot=slot, sku=sku, **{**facts, **changes})


def order(candidates, demand, **rules):
    workable, apart = rank(candidates, demand, 720, RankingRules(**rules))
    return [line.candidate.slot for line in workable], [line.candidate.slot for line in apart]


def test_an_empty_slot_loses_the_whole_demand_of_the_horizon():
    assert expected_unmet(Gamma(6, 3), 4, 0) == pytest.approx(8)


@given(st.floats(0.05, 400), st.floats(0.05, 400), st.floats(0.1, 50), st.integers(1, 300))
def test_unmet_demand_is_convex_falling_and_bounded(shape, rate, hours, units):
    """For any distribution: ``max(mean - u, 0) <= E[(D - u)+] <= mean``, falling by at most one a unit."""
    mean = shape * hours / rate
    here, more = (expected_unmet(Gamma(shape, rate), hours, u) for u in (units, units + 1))
    slack = 1e-9 * max(mean, units)
    assert max(mean - units, 0) - slack <= here <= mean + slack
    assert -slack <= here - more <= 1 + slack


@pytest.mark.parametrize(
    ("shape", "rate", "hours", "units"),
    [
        (3, 2, 4, 5),
        (3, 2, 4, 20),
        (0.5, 0.1, 100, 3),
        (500, 100, 4, 18),
        (500, 100, 4, 30),
        (40, 1, 10, 350),
        (40, 1, 10, 500),
    ],
)
def test_unmet_demand_equals_the_sum_over_the_mixed_poisson(shape, rate, hours, units):
    """Against numerical integration of the Poisson over the gamma, which shares no formula with the code."""
    log_fact = np.concatenate(([0.0], np.cumsum(np.log(np.arange(1, 20_001)))))
    counts = np.arange(20_001)
    quantiles = (np.arange(4000) + 0.5) / 4000
    draws = np.quantile(np.random.default_rng(0).gamma(shape, 1 / rate, 2_000_000), quantiles) * hours
    total = 0.0
    for chunk in np.array_split(draws, 40):
        for mean in chunk:
            reach = counts[: int(mean + 12 * np.sqrt(mean) + 60)]
            probability = np.exp(reach * np.log(mean) - mean - log_fact[: len(reach)])
            total += float(np.sum(np.maximum(reach - units, 0) * probability))
    assert expected_unmet(Gamma(shape, rate), hours, units) == pytest.approx(total / 4000, rel=0.02, abs=1e-3)


def test_value_is_unit_value_times_unmet_demand_times_priority_per_minute():
    (line,), _ = rank([candidate("s", unit_value=0.5, priority=2)], Known(a=3.0), 720, RankingRules(4, 3))
    assert line.value == pytest.approx(0.5 * 12 * 2 / 3)


def test_what_is_lost_decides_not_what_is_popular():
    demand = Known(cheap=6.0, dear=2.0, full=50.0)
    slots = [
        candidate("full", "full", condition=IN_STOCK, capacity=400),
        candidate("cheap", "cheap", unit_value=0.3),
        candidate("dear", "dear", unit_value=2.0),
    ]
    assert order(slots, demand)[0] == ["dear", "cheap", "full"]


def test_an_empty_slot_comes_before_a_low_one_and_that_before_a_full_one():
    slots = [candidate("full", condition=IN_STOCK), candidate("low", condition=LOW, fullness=0.3), candidate("empty")]
    assert order(slots, Known(a=3.0))[0] == ["empty", "low", "full"]


def test_ties_go_by_walking_order():
    slots = [candidate("z", position=0), candidate("a", position=2), candidate("m", position=1)]
    assert order(slots, Known(a=3.0))[0] == ["z", "m", "a"]


def test_nothing_in_the_backroom_is_listed_apart_and_unknown_stock_is_not():
    slots = [candidate("none", backroom_units=0), candidate("some"), candidate("unsaid", backroom_units=None)]
    workable, apart = rank(slots, Known(a=3.0), 720, RankingRules())
    assert {line.candidate.slot for line in workable} == {"some", "unsaid"}
    assert [(line.rank, line.candidate.slot) for line in apart] == [(1, "none")]
    assert "nothing in the backroom: order" in apart[0].reasons


def test_rank_by_pickups_is_the_plain_count():
    slots = [candidate("few", "a", pick_ups=2, unit_value=100), candidate("many", "b", pick_ups=9, condition=IN_STOCK)]
    assert order(slots, Known(a=9.0, b=1.0), rank_by="pickups")[0] == ["many", "few"]


def test_reasons_say_it_in_words():
    (line,), _ = rank([candidate("s", unit_value=0.31)], Known(a=3.1), 720, RankingRules())
    assert line.reasons == (
        "empty for 12 min",
        "picked up about 3.1 times an hour while on the shelf",
        "worth 0.31 each",
        "24 in the backroom",
    )


def test_a_rate_is_put_into_words_only_after_some_time_on_the_shelf():
    class Short(Known):
        def evidence(self, sku, now):
            return Evidence(2.0, 0.1)

    (line,), _ = rank([candidate("s")], Short(a=7.0), 720, RankingRules())
    assert "picked up 2 times so far, too short to say how often" in line.reasons


def test_units_to_bring_fill_the_slot_as_far_as_the_backroom_goes():
    assert candidate("s", backroom_units=None).units_to_bring == 10
    assert candidate("s", backroom_units=4).units_to_bring == 4
    assert candidate("s", condition=LOW, fullness=0.3).units_to_bring == 7


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(-5, "less than a minute"), (59, "less than a minute"), (720, "12 min"), (7200, "2 h"), (3 * 86_400, "3 days")],
)
def test_durations_get_coarser_with_length(seconds, words):
    assert duration(seconds) == words


def test_ranking_twice_gives_the_same():
    rng = np.random.default_rng(1)
    slots = [candidate(f"s{i}", "a", position=i, unit_value=float(rng.integers(1, 3))) for i in range(50)]
    shuffled = [slots[i] for i in rng.permutation(50)]
    assert order(slots, Known(a=2.0)) == order(shuffled, Known(a=2.0))
