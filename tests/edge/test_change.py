"""Before/after judgements of one slot, and the first guess of an unknown one."""

from __future__ import annotations

import numpy as np
import pytest

from shelfvision.edge.change import ChangeJudge, ChangeSettings, Pair, References
from shelfvision.edge.cold_start import ColdStartSettings, guess_occupied
from shelfvision.edge.light import Darkroom, LightSettings, Planes
from shelfvision.edge.slot_view import SlotView
from tests.edge.shelf_footage import ShelfFootage

JUDGE = ChangeJudge(ChangeSettings())


class Bench:
    """A drawn shelf, seen by one slot."""

    def __init__(self, slot: int, facings: tuple[int, ...], seed: int, style: str = "colourful") -> None:
        self.slot, self.facings, self.seed, self.style = slot, facings, seed, style
        plan = self.footage(()).plan
        self.room = Darkroom(plan.frame_size, 2, LightSettings())
        self.view = SlotView(plan.slots[slot], 2, (180, 320))

    def footage(self, empty: tuple[int, ...]) -> ShelfFootage:
        gone = tuple((self.slot, facing) for facing in empty)
        return ShelfFootage(facings=self.facings, per_board=4, seed=self.seed, style=self.style, empty=gone, noise=0.5)

    def look(self, *empty: int) -> Planes:
        """The slot's view with these facings empty."""
        return self.view.cut(self.room.develop(self.footage(empty).frame(0, 0.0).image).planes).copy()

    def judge(self, before: Planes, after: Planes, references: References | None = None, occupied: float = 0.0):
        clipped = np.zeros(before.shape[1:], bool)
        beliefs = np.full(self.facings[self.slot], occupied)
        return JUDGE.judge(Pair(before, after, clipped, 0.5), self.view, references or References(), beliefs)


@pytest.mark.parametrize("style", ["colourful", "dark", "alike"])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_product_that_goes_or_comes_is_told_apart_without_knowing_the_slot(style, seed):
    bench = Bench(1, (1, 1, 1, 1), seed, style)
    assert bench.judge(bench.look(), bench.look(0)).units == -1
    assert bench.judge(bench.look(0), bench.look()).units == 1
    assert bench.judge(bench.look(), bench.look()).units == 0


@pytest.mark.parametrize("facings", [1, 2, 3, 4, 5, 6])
@pytest.mark.parametrize("seed", [1, 5])
def test_units_are_counted_by_the_width_of_what_changed(facings, seed):
    bench = Bench(0, (facings, 2), seed)
    full = bench.look()
    for count in range(1, facings + 1):
        gone = tuple(range(count))
        change = bench.judge(full, bench.look(*gone), occupied=2.0)
        assert change.units == -count
        assert np.round(change.facings).tolist() == [-1] * count + [0] * (facings - count)


def test_facings_apart_from_each_other_are_separate_units():
    bench = Bench(0, (5, 1), 2)
    assert bench.judge(bench.look(), bench.look(0, 3), occupied=2.0).units == -2
    assert bench.judge(bench.look(1), bench.look(4), occupied=0.0).units == 0  # one came, one went


def test_a_product_pushed_aside_is_still_there():
    bench = Bench(1, (1, 1, 1, 1), 2)
    before = bench.look()
    after = np.roll(before, 3, axis=2)
    after[:, :, :3] = before[:, :, :3]
    change = bench.judge(before, after)
    assert change.units == 0


def test_a_shadow_on_an_empty_place_is_no_product_even_when_both_looks_are_known():
    bench = Bench(1, (1, 1, 1, 1), 3)
    stocked, empty = bench.look(), bench.look(0)
    known = References().learn(stocked, empty, np.ones(empty.shape[2], bool))
    shaded = empty.copy()
    x = np.linspace(-1.5, 1.5, empty.shape[2], dtype=np.float32)
    shaded[0] -= 0.5 * np.exp(-(x**2))[None, :]
    assert bench.judge(empty, shaded, known, -6.0).units == 0


def test_known_looks_decide_more_surely():
    bench = Bench(1, (1, 1, 1, 1), 1, "alike")
    stocked, empty = bench.look(), bench.look(0)
    known = References().learn(stocked, empty, np.ones(empty.shape[2], bool))
    assert bench.judge(stocked, empty, known).log_odds > bench.judge(stocked, empty).log_odds > 0


@pytest.mark.parametrize("style", ["colourful", "dark"])
@pytest.mark.parametrize("seed", range(1, 7))
def test_the_first_guess_knows_empty_from_stocked(style, seed):
    bench = Bench(1, (1, 1, 1, 1), seed, style)
    settings = ColdStartSettings()
    assert guess_occupied(bench.look(), bench.view, 0.5, settings)[0] > 0
    assert guess_occupied(bench.look(0), bench.view, 0.5, settings)[0] < -1
