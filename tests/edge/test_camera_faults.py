"""Frozen and moved cameras."""

from __future__ import annotations

import numpy as np
import pytest

from shelfvision.edge.camera_faults import FaultSettings, FreezeWatch, MoveWatch, measure_shift
from shelfvision.edge.difference import LIVE, bounds_of, changed
from shelfvision.edge.light import Darkroom, LightSettings, Planes
from tests.edge.shelf_footage import Person, ShelfFootage

ROOM = Darkroom((640, 360), 2, LightSettings())
CLEAR = np.zeros((180, 320), bool)


def view(footage: ShelfFootage, time: float) -> Planes:
    return ROOM.develop(footage.frame(round(time * 10), time).image).planes


def test_identical_frames_are_frozen_after_ten_seconds_and_one_grey_level_ends_it():
    watch = FreezeWatch(FaultSettings())
    image = np.zeros((20, 30, 3), np.uint8)
    assert [watch.update(image.copy(), now) for now in (0.0, 5.0, 9.9, 10.0, 20.0)] == [False, False, False, True, True]
    image[3, 7, 1] = 1
    assert not watch.update(image, 20.1)


def test_nearly_identical_frames_are_never_frozen():
    watch, image = FreezeWatch(FaultSettings()), np.zeros((20, 30, 3), np.uint8)
    for step in range(200):
        image = image.copy()
        image[step % 20, 5, 0] ^= 1
        assert not watch.update(image, float(step))


@pytest.mark.parametrize("shift", [(9, 4), (-14, 0), (0, 12), (20, -10)])
def test_a_shift_is_measured_in_working_pixels(shift):
    still, moved = ShelfFootage(seed=1), ShelfFootage(seed=1, nudge=lambda _: shift)
    x, y = measure_shift(view(moved, 0.1), view(still, 0.0))
    assert (x, y) == pytest.approx((shift[0] / 2, shift[1] / 2), abs=0.4)


def follow(footage: ShelfFootage, seconds: float) -> list[bool]:
    watch, anchor = MoveWatch(FaultSettings(), 320), view(footage, 0.0)
    bounds, moved = bounds_of(anchor, LIVE, 2.0), []
    for step in range(round(seconds * 5)):
        now = step / 5
        lit = view(footage, now)
        moved.append(watch.update(lit, anchor, CLEAR, changed(lit, anchor, CLEAR, LIVE, bounds), now))
    return moved


def test_a_pushed_camera_is_moved_until_it_is_back_and_a_short_shake_is_nothing():
    footage = ShelfFootage(seed=2, nudge=lambda t: (10, 5) if 2 < t < 2.7 or 5 < t < 10 else (0, 0))
    moved = follow(footage, 14)
    assert not any(moved[:25])
    assert all(moved[40:50])
    assert not any(moved[62:])


def test_a_person_in_front_is_no_move():
    footage = ShelfFootage(seed=2)
    footage.people.append(Person(1, 8, 300, 280))
    assert not any(follow(footage, 9))
