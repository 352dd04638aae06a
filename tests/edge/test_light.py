"""Working pictures, and light that is taken away from them."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shelfvision.edge.difference import LIVE, SETTLED, bounds_of, changed
from shelfvision.edge.light import Darkroom, LightSettings, fit_tone, local_light

SIZE = (160, 120)
ROOM = Darkroom(SIZE, 1, LightSettings())
NOTHING = np.zeros((120, 160), bool)


def scene(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    picture = np.full((120, 160, 3), 120.0)
    for _ in range(25):
        x, y = rng.integers(0, 150), rng.integers(0, 110)
        w, h = rng.integers(6, 40, 2)
        picture[y : y + h, x : x + w] = rng.integers(25, 190, 3)
    return cv2.GaussianBlur(picture, (3, 3), 0.8)


def shot(picture: np.ndarray, seed: int = 0, noise: float = 1.0) -> np.ndarray:
    return np.clip(picture + np.random.default_rng(seed).normal(0, noise, picture.shape), 0, 255).astype(np.uint8)


def differing(first: np.ndarray, second: np.ndarray, bounds=LIVE) -> np.ndarray:
    a, b = ROOM.develop(first), ROOM.develop(second)
    clipped = a.clipped | b.clipped
    tone = fit_tone(b.planes, a.planes, ~clipped, LightSettings())
    return changed(tone.unlight(b.planes), a.planes, clipped, bounds, bounds_of(a.planes, bounds, 1.0))


def test_a_frame_is_reduced_by_a_whole_number_and_its_rest_is_cut_off():
    room = Darkroom((163, 125), 4, LightSettings())
    picture = room.develop(np.full((125, 163, 3), 100, np.uint8))
    assert picture.planes.shape == (3, 31, 40)
    assert picture.planes[0] == pytest.approx(np.log(108), abs=1e-3)
    assert picture.planes[1:] == pytest.approx(0)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 50), st.floats(0.55, 1.25), st.floats(0.85, 1.2), st.floats(0.96, 1.04))
def test_exposure_gamma_and_white_balance_are_no_change(seed, gain, gamma, blue):
    picture = scene(seed)
    other = 255 * (picture / 255) ** gamma * gain
    other[:, :, 0] *= blue
    assert differing(shot(picture), shot(other, 1)).mean() < 0.05


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 50), st.integers(20, 140), st.floats(0.5, 0.8), st.integers(22, 50))
def test_a_soft_shadow_is_no_change(seed, middle, depth, width):
    picture = scene(seed)
    shade = 1 - (1 - depth) * np.exp(-(((np.arange(160) - middle) / width) ** 2))
    assert differing(shot(picture), shot(picture * shade[None, :, None], 1)).mean() < 0.04


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 50), st.integers(0, 110), st.integers(0, 70))
def test_a_foreign_thing_is_a_change_where_it_is_and_hardly_elsewhere(seed, x, y):
    picture = scene(seed)
    other = picture.copy()
    thing = np.random.default_rng(seed + 1000).integers(0, 2, (10, 10, 1)) * np.array([150.0, 90, 30]) + 40
    other[y : y + 50, x : x + 50] = np.kron(thing, np.ones((5, 5, 1)))
    mask = differing(shot(picture), shot(other, 1))
    assert mask[y : y + 50, x : x + 50].mean() > 0.7
    mask[max(0, y - 4) : y + 54, max(0, x - 4) : x + 54] = False
    assert mask.mean() < 0.03


def test_a_thing_that_is_only_darker_is_seen_by_its_sharp_outline_and_filled():
    picture = np.full((120, 160, 3), 150.0)
    other = picture.copy()
    other[30:90, 50:110] *= 0.75
    assert differing(shot(picture), shot(other, 1))[35:85, 55:105].mean() > 0.95


def test_a_bright_spot_that_clips_is_compared_by_structure_only():
    picture = np.full((120, 160, 3), 235.0)
    assert differing(shot(picture), shot(picture * 1.3, 1)).mean() < 0.02


def test_settled_pictures_are_compared_more_closely():
    picture = np.full((120, 160, 3), 120.0)
    other = picture.copy()
    other[40:80, 60:100] *= 1.09
    assert not differing(shot(picture, 0, 0.3), shot(other, 1, 0.3), LIVE)[40:80, 60:100].any()
    assert differing(shot(picture, 0, 0.3), shot(other, 1, 0.3), SETTLED)[40:80, 60:100].mean() > 0.05


def test_the_tone_leads_there_and_back():
    a, b = ROOM.develop(shot(scene(1))), ROOM.develop(shot(255 * (scene(1) / 255) ** 1.2 * 0.8))
    tone = fit_tone(b.planes, a.planes, ~NOTHING, LightSettings())
    assert np.abs(tone.unlight(tone.relight(a.planes)) - a.planes).max() < 1e-4
    assert np.abs(tone.unlight(b.planes) - a.planes)[0].mean() < 0.05


def test_a_tone_cannot_be_fitted_to_nothing():
    a = ROOM.develop(shot(scene(1)))
    tone = fit_tone(a.planes, a.planes - 1, NOTHING, LightSettings())
    assert not tone.offset.any()
    assert tone.slope == 0


def test_a_slanting_shadow_is_found_from_its_surroundings_alone():
    a = ROOM.develop(shot(scene(2))).planes
    slope = np.linspace(-0.4, 0.1, 160, dtype=np.float32)[None, :].repeat(120, axis=0)
    b = a.copy()
    b[0] += slope
    b[:, 40:80, 60:100] = 1.0
    usable = ~NOTHING
    usable[36:84, 56:104] = False
    assert np.abs(local_light(b, a, usable) - slope).max() < 0.02
    assert not local_light(b, a, NOTHING).any()
