"""Matching: as many pairs as possible, then the fewest penalties, then the least time."""

from itertools import combinations, permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from shelfvision.learn.matching import least_cost, match_in_time

moments = st.lists(st.tuples(st.integers(0, 40).map(lambda tick: tick / 10), st.sampled_from(["a", "b"])), max_size=5)


def score(found, true, pairs):
    """Pairs, right slots and time differences, so that the larger tuple is the better matching."""
    right = sum(found[i][1] == true[j][1] for i, j in pairs)
    return len(pairs), right, -sum(abs(found[i][0] - true[j][0]) for i, j in pairs)


def best_by_trying_all(found, true, tolerance, same_slot):
    best = (0, 0, 0.0)
    swap = len(found) > len(true)
    few, many = (true, found) if swap else (found, true)
    for size in range(1, len(few) + 1):
        for chosen in combinations(range(len(few)), size):
            for partners in permutations(range(len(many)), size):
                pairs = [(j, i) if swap else (i, j) for i, j in zip(chosen, partners, strict=True)]
                near = all(abs(found[i][0] - true[j][0]) <= tolerance + 1e-6 for i, j in pairs)
                if near and not (same_slot and any(found[i][1] != true[j][1] for i, j in pairs)):
                    best = max(best, score(found, true, pairs))
    return best


@given(found=moments, true=moments, same_slot=st.booleans())
def test_matching_is_the_best_of_all(found, true, same_slot):
    pairs = match_in_time(found, true, 0.5, same_slot=same_slot)
    assert len({i for i, _ in pairs}) == len({j for _, j in pairs}) == len(pairs), "one to one"
    assert all(abs(found[i][0] - true[j][0]) <= 0.5 + 1e-6 for i, j in pairs)
    assert score(found, true, pairs) == pytest.approx(best_by_trying_all(found, true, 0.5, same_slot), abs=1e-6)


@given(arrays(float, st.tuples(st.integers(1, 5), st.integers(1, 5)), elements=st.integers(-9, 9).map(float)))
def test_assignment_has_the_least_cost(cost):
    pairs = least_cost(cost)
    flat = cost if cost.shape[0] <= cost.shape[1] else cost.T
    rows = range(flat.shape[0])
    least = min(sum(flat[i, p[i]] for i in rows) for p in permutations(range(flat.shape[1]), flat.shape[0]))
    assert len(pairs) == min(cost.shape)
    assert sum(cost[i, j] for i, j in pairs) == pytest.approx(least)


def test_two_hands_at_once_are_told_apart_by_slot():
    """Contacts 0.33 s apart could be paired either way by time; the right slots decide."""
    found, true = [(16.50, "mid"), (16.55, "left")], [(16.36, "left"), (16.69, "mid")]
    assert match_in_time(found, true, 0.5) == [(0, 1), (1, 0)]


def test_another_slot_pairs_only_when_asked_for_time_alone():
    assert match_in_time([(1.0, "a")], [(1.0, "b")], 0.5) == [(0, 0)]
    assert match_in_time([(1.0, "a")], [(1.0, "b")], 0.5, same_slot=True) == []


def test_a_greedy_choice_does_not_cost_a_pair():
    """1.4 is nearest to 1.5 but must go to 1.0 so that 1.9 finds a partner."""
    assert match_in_time([(1.4, "a"), (1.9, "a")], [(1.0, "a"), (1.5, "a")], 0.5) == [(0, 0), (1, 1)]


def test_many_days_of_events_are_matched_in_small_groups():
    """Fifty thousand events in separate moments never become one large matrix."""
    true = [(moment * 3.0, "a") for moment in range(50_000)]
    found = [(time + 0.2, slot) for time, slot in true]
    assert match_in_time(found, true, 0.5) == [(i, i) for i in range(50_000)]
