"""The simulated shelf: the same for everyone with the same seed, lively, and honest about what happened."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from shelfvision.core.catalogue import Catalogue
from shelfvision.core.planogram import check_polygon
from shelfvision.sim.camera import SimulatedShelf, parse_address
from shelfvision.sim.scene import Scene
from shelfvision.sim.shoppers import STAFF, Deed
from shelfvision.sim.stores import STORES, store_plan
from shelfvision.sim.truth import truth
from shelfvision.sim.world import Refill, World

NAMES = list(STORES)
DIGEST = """
import hashlib
from shelfvision.sim.camera import SimulatedShelf, parse_address
shelf = SimulatedShelf(parse_address("table?seed=5&fps=4"))
digest = hashlib.sha256()
for _ in range(40):
    digest.update(shelf.picture().tobytes())
print(digest.hexdigest())
"""


def run(name: str, seed: int, seconds: float, *, fps: float = 10, attended: bool = False) -> World:
    world = World(STORES[name], seed, fps=fps, attended=attended)
    for _ in range(int(seconds * fps)):
        world.step()
    return world


@pytest.mark.parametrize("name", NAMES)
def test_a_plan_is_a_valid_part_of_a_site_file(name: str) -> None:
    size, slots, products = store_plan(name)
    catalogue = Catalogue(products)
    for slot in slots:
        check_polygon(slot.polygon, size)
        assert slot.sku in catalogue
    assert len({slot.id for slot in slots}) == len(slots)


def test_slots_of_all_stores_can_live_on_one_device() -> None:
    ids = [slot.id for name in NAMES for slot in store_plan(name)[1]]
    assert len(set(ids)) == len(ids)


def test_pictures_are_the_same_in_every_process() -> None:
    digests = {
        subprocess.run([sys.executable, "-c", DIGEST], capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    }
    shelf = SimulatedShelf(parse_address("table?seed=5&fps=4"))
    own = hashlib.sha256()
    for _ in range(40):
        own.update(shelf.picture().tobytes())
    assert digests == {own.hexdigest() + "\n"}


def test_frames_passed_over_undrawn_do_not_change_the_later_ones() -> None:
    whole, thinned = (SimulatedShelf(parse_address("table?seed=3&fps=10")) for _ in range(2))
    pictures = [whole.picture() for _ in range(60)]
    for index in range(4, 60, 5):
        assert np.array_equal(thinned.picture(skip=4), pictures[index])


def test_seeds_differ() -> None:
    stories = {
        str([(reach.deed, reach.slot.id, reach.start) for reach in run("table", seed, 60).reaches]) for seed in range(8)
    }
    assert len(stories) == 8


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("seed", range(12))
def test_a_minute_holds_what_a_demonstration_needs(name: str, seed: int) -> None:
    world = run(name, seed, 60)
    deeds = [reach.deed for reach in world.reaches]
    assert deeds.count(Deed.PICK_UP) >= 3
    assert Deed.PUT_BACK in deeds
    assert Deed.TOUCH in deeds
    emptied = [begin for intervals in world.empty.values() for begin, _ in intervals]
    assert min(emptied) < 8


@pytest.mark.parametrize("name", NAMES)
def test_units_are_neither_made_nor_lost(name: str) -> None:
    """What stands on the shelf is what was there, less what was taken, plus what was brought."""
    world = World(STORES[name], 4, fps=10, attended=False)
    counts = {slot.id: slot.facings for slot in world.store.slots}
    for _ in range(3000):
        view = world.step()
    for reach in world.reaches:
        if reach.change <= view.time and reach.deed is not Deed.TOUCH:
            counts[reach.slot.id] += -1 if reach.deed is Deed.PICK_UP else 1
    assert {slot: sum(units) for slot, units in view.units.items()} == counts
    assert all(0 <= count <= world.store.slot(slot).facings for slot, count in counts.items())


def test_without_staff_commands_an_empty_slot_is_refilled_after_a_while() -> None:
    world = run("table", 1, 120)
    visits = [reach for reach in world.reaches if reach.person == STAFF]
    assert visits
    for visit in visits:
        emptied = max(begin for begin, _ in world.empty[visit.slot.id] if begin < visit.start)
        assert 40 <= visit.start - emptied < 55


def test_attended_slots_stay_empty_until_a_refill_is_asked_for() -> None:
    world = run("table", 1, 60, attended=True)
    assert all(reach.person != STAFF for reach in world.reaches)
    slot = next(slot for slot, intervals in world.empty.items() if intervals and intervals[-1][1] is None)
    asked = world.index / world.fps
    world.refill(Refill(slot, "k1"))
    world.refill(Refill(slot, "k1"))
    while not world.done:
        view = world.step()
        assert view.time < asked + 12, "the refill takes too long"
    assert world.done == [Refill(slot, "k1")]
    assert all(view.units[slot])
    visits = [reach for reach in world.reaches if reach.person == STAFF]
    assert len(visits) == world.store.slot(slot).facings


def test_an_order_for_a_full_slot_is_done_at_once_and_for_an_unknown_one_refused() -> None:
    world = World(STORES["table"], 1, fps=10, attended=True)
    world.refill(Refill("table-left", "k"))
    world.step()
    assert world.done == [Refill("table-left", "k")]
    with pytest.raises(KeyError):
        world.refill(Refill("nowhere", "k"))


def visible_units(picture: Any, empty: Any, box: tuple[int, int, int, int]) -> float:
    x1, y1, x2, y2 = box
    return float(np.abs(picture[y1:y2, x1:x2].astype(int) - empty[y1:y2, x1:x2]).mean())


def test_the_truth_is_what_the_pictures_show() -> None:
    """A slot looks bare in exactly the frames in which the truth calls it empty, hands aside."""
    fps, seconds = 10, 45
    shelf = SimulatedShelf(parse_address(f"table?seed=2&fps={fps}"))
    pictures = [shelf.picture() for _ in range(seconds * fps)]
    told = truth(shelf.world)
    assert told["frames"] == len(pictures)
    bare = Scene(STORES["table"], 2)._furniture
    checked = 0
    for slot in STORES["table"].slots:
        hands = [(one["hand_in"], one["end"]) for one in told["interactions"] if one["slot"] == slot.id]
        hands += told["occluded_intervals"].get(slot.id, [])
        box = tuple(round(side) for side in slot.box)
        for frame in range(0, len(pictures) - 30, 4):
            if any(begin - 2 <= frame <= end + 2 for begin, end in hands):
                continue
            empty = any(
                begin <= frame and (end is None or frame < end)
                for begin, end in told["empty_facing_intervals"][slot.id]
            )
            assert (visible_units(pictures[frame], bare, box) < 14) == empty, (slot.id, frame)
            checked += 1
    assert checked > 150


def test_the_truth_counts_every_finished_reach_once_and_in_order() -> None:
    world = run("corner", 3, 90)
    told = truth(world, camera="aisle", video="x.mp4")
    finished = [reach for reach in world.reaches if world.frame_at(reach.end) <= world.index]
    assert len(told["interactions"]) == len(finished)
    assert told["cameras"] == ["aisle"]
    for one in told["interactions"]:
        assert one["hand_in"] <= one["contact"] <= one["end"] < told["frames"]
    staff = [one for one in told["interactions"] if one.get("by_staff")]
    assert all(one["type"] == "put_back" for one in staff)
