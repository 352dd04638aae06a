"""Gaps are what the eye takes for one: never where something stands, as high as what stands beside them."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shelfvision.sim.fixture import Board
from shelfvision.sim.gaps import find_gaps
from shelfvision.sim.products import make_assortment
from shelfvision.sim.stocking import Place, ShelfSlot

PACK = make_assortment(np.random.default_rng(2), 1)[0]
BOARD = Board(top=50.0, thickness=3.0, ceiling=100.0)
REACH = (0.0, 100.0)


def a_slot(name, left, *, taken, width=10.0, high=20.0, row=0, lean=0.0):
    """Facings of ``width`` cm side by side, the first at ``left``; ``taken`` says which of them hold a unit."""
    pack = replace(PACK, sku=name, size_cm=(width, high, 8.0))
    slot = ShelfSlot(name, pack, 0, left, left + width * len(taken), len(taken), 1, 1)
    slot.places = [
        Place(pack, left + (column + 0.5) * width, BOARD.top, -5.0, column, row, 0, lean=lean)
        for column in sorted(range(len(taken)), key=lambda column: taken[column])
    ]
    slot.count = sum(taken)
    return slot


def spans(gaps):
    return [(round(gap.left, 6), round(gap.right, 6), round(gap.height, 6), gap.slots, gap.sure) for gap in gaps]


def test_empty_facings_side_by_side_are_one_gap_whosever_they_are():
    slots = [a_slot("a", 0, taken=[1, 0, 0]), a_slot("b", 30, taken=[0, 1], high=12), a_slot("c", 50, taken=[1] * 5)]
    assert spans(find_gaps(slots, BOARD, REACH)) == [(10, 40, 20, ("a", "b"), True)]


def test_a_gap_is_as_high_as_the_higher_neighbour_but_not_higher_than_its_room():
    low, high = a_slot("a", 0, taken=[1, 1, 0], high=8), a_slot("b", 30, taken=[1] * 7, high=60)
    ((_, _, height, _, _),) = spans(find_gaps([low, high], BOARD, REACH))
    assert height == BOARD.ceiling - BOARD.top


def test_an_empty_board_has_the_height_of_its_goods():
    assert spans(find_gaps([a_slot("a", 0, taken=[0] * 10, high=17)], BOARD, REACH)) == [(0, 100, 17, ("a",), True)]
    assert find_gaps([], BOARD, REACH) == []


@pytest.mark.parametrize(("room", "sure"), [(4, []), (8.2, []), (9, [False]), (12, [True])])
def test_room_without_a_facing_is_a_gap_when_a_neighbour_would_fit(room, sure):
    slots = [a_slot("a", 0, taken=[1] * 4), a_slot("b", 40 + room, taken=[1] * 6)]
    assert [gap.sure for gap in find_gaps(slots, BOARD, (0, 100 + room))] == sure


def test_between_unlike_neighbours_room_for_the_narrow_one_alone_is_doubtful():
    slots = [a_slot("a", 0, taken=[1] * 4), a_slot("b", 52, taken=[1] * 2, width=24)]
    assert [gap.sure for gap in find_gaps(slots, BOARD, REACH)] == [False]


def test_a_thin_facing_between_broad_goods_is_doubtful():
    slots = [
        a_slot("a", 0, taken=[1, 1], width=20),
        a_slot("thin", 40, taken=[0], width=8),
        a_slot("b", 48, taken=[1, 1], width=26),
    ]
    assert [(gap.slots, gap.sure) for gap in find_gaps(slots, BOARD, REACH)] == [(("thin",), False)]


def test_what_stands_behind_or_lies_fills_its_place():
    assert find_gaps([a_slot("a", 0, taken=[1] * 10, row=3)], BOARD, REACH) == []
    lying = a_slot("a", 40, taken=[1], lean=90.0, high=30)
    around = [a_slot("l", 0, taken=[1] * 3), lying, a_slot("r", 60, taken=[1] * 4)]
    assert find_gaps(around, BOARD, REACH) == []


def test_on_a_table_no_gap_is_sure():
    slots = [a_slot("a", 0, taken=[1, 0, 0]), a_slot("b", 60, taken=[1] * 4)]
    assert [(gap.slots, gap.sure) for gap in find_gaps(slots, BOARD, REACH, table=True)] == [(("a",), False)]


@given(st.lists(st.booleans(), min_size=1, max_size=12), st.floats(3, 15), st.floats(0, 20))
@settings(max_examples=200, deadline=None)
def test_gaps_never_overlap_units_and_hold_every_empty_facing(taken, width, left):
    slot = a_slot("a", left, taken=taken, width=width)
    gaps = find_gaps([slot], BOARD, (0.0, left + width * len(taken)))
    for place in slot.present:
        assert all(gap.right <= place.x - width / 2 + 1e-6 or gap.left >= place.x + width / 2 - 1e-6 for gap in gaps)
    for column, there in enumerate(taken):
        low, high = slot.column_reach(column)
        held = [gap for gap in gaps if gap.left <= low + 1e-6 and gap.right >= high - 1e-6]
        assert len(held) == (0 if there else 1)
        assert all(gap.sure and gap.slots == ("a",) for gap in held)
