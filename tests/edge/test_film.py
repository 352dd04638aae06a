"""When a product was lifted or set down, found afterwards in a film of the visit."""

from __future__ import annotations

import numpy as np
import pytest

from shelfvision.edge.film import Film, FilmSettings

SHAPE = (40, 30)
PLACE = np.zeros(SHAPE, bool)
PLACE[5:35, 8:22] = True
EMPTY = np.full((3, *SHAPE), 4.0, np.float32)
STOCKED = EMPTY.copy()
STOCKED[:, PLACE] = np.random.default_rng(0).normal(4.5, 0.4, (3, int(PLACE.sum())))
HAND = 3.2


def film(moments: list[tuple[float, float, float]], fps: float, *, reverse: bool = False) -> Film:
    """Frames of (until, product height lifted in pixels or None as -1, covered share); times are those of the lift."""
    made = Film(FilmSettings())
    end = moments[-1][0]
    steps = np.arange(0, end, 1 / fps)
    for now in steps:
        time = end - now if reverse else now
        until = next(m for m in moments if time <= m[0] + 1e-9)
        planes, front = EMPTY.copy(), np.zeros(SHAPE, bool)
        lifted = int(until[1])
        if 0 <= lifted < 30:
            planes[:, 0 : 35 - lifted] = STOCKED[:, lifted:35]
        covered = int(until[2] * 30)
        if covered:
            planes[:, 5 : 5 + covered, 6:24] = HAND
            front[5 : 5 + covered, 6:24] = True
        if made.wants(float(now)):
            made.take(float(now), planes, front)
    return made


PICK = [(1.0, 0, 0.0), (2.0, 0, 0.25), (2.1, 8, 0.2), (2.2, 20, 0.1), (2.3, -1, 0.0), (3.3, -1, 0.0)]


@pytest.mark.parametrize("fps", [4, 10, 30])
def test_a_lift_is_when_the_place_stops_looking_as_before_and_contact_when_the_hand_is_there(fps):
    found = film(PICK, fps).moments(STOCKED, EMPTY, PLACE, 0.0, 3.3)
    assert found.contact_at == pytest.approx(1.0, abs=1 / fps + 0.05)
    assert found.lifted_at == pytest.approx(2.0, abs=1 / fps + 0.1)


@pytest.mark.parametrize("fps", [4, 10, 30])
def test_a_product_is_set_down_when_it_comes_to_rest_though_the_hand_still_holds_it(fps):
    found = film(PICK, fps, reverse=True).moments(EMPTY, STOCKED, PLACE, 0.0, 3.3)
    assert found.placed_at == pytest.approx(3.3 - 2.0, abs=1 / fps + 0.1)


def test_a_film_without_frames_falls_back_to_the_visit():
    found = Film(FilmSettings()).moments(STOCKED, EMPTY, PLACE, 1.0, 3.0)
    assert (found.contact_at, found.lifted_at, found.placed_at) == (1.0, 3.0, 3.0)


def test_a_long_visit_keeps_a_bounded_number_of_frames_from_its_whole_length():
    made = Film(FilmSettings(frames=40))
    for step in range(20_000):
        if made.wants(step / 10):
            made.take(step / 10, EMPTY, PLACE)
    times = [still.time for still in made._stills]
    assert len(times) <= 40
    assert times[0] == 0
    assert times[-1] > 1900
