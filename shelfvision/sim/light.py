"""How light falls over a scene: shade under boards, lamps, windows, spots, colour of the light."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from shelfvision.sim.fixture import Fixture, rectangle
from shelfvision.sim.optics import Camera
from shelfvision.sim.scene_settings import SceneSettings

STEP = 8  # light is worked out on every eighth pixel
UNIT = 128  # the stored value that leaves a pixel as it is


def light_map(camera: Camera, fixture: Fixture, settings: SceneSettings, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Factors for each pixel of the canvas.

    Returns:
        (h, w, 3) with ``UNIT`` for no change.
    """
    width, height = camera.canvas_size
    shape = max(height // STEP, 2), max(width // STEP, 2)
    light: NDArray[np.float32] = np.ones(shape, np.float32)
    scale = np.array([shape[1] / width, shape[0] / height])
    for board in fixture.boards:
        if fixture.kind == "table" or board.ceiling > fixture.height:  # nothing above keeps the light off
            continue
        clearance = board.ceiling - board.top
        steps = 7
        for step in range(steps):
            low = board.top + clearance * (0.35 + 0.65 * step / steps)
            corners = camera.polygon(rectangle(fixture.left, fixture.right, low, board.ceiling, -4.0))
            if len(corners) >= 3:
                share = 1 - settings.shadows * 0.5 * ((step + 1) / steps) ** 1.6
                cv2.fillConvexPoly(light, np.round(corners * scale * 16).astype(np.int32), float(share), cv2.LINE_8, 4)
    softness = max(1.2, camera.focal / max(settings.distance_cm, 20) / STEP)
    light = np.asarray(cv2.GaussianBlur(light, (0, 0), softness), np.float32)
    coarse = rng.normal(0, 1, (3, 4)).astype(np.float32)
    drift = cv2.resize(coarse, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC)
    light *= np.clip(1 + 0.16 * settings.unevenness * drift, 0.4, 1.6)
    y, x = np.mgrid[-1 : 1 : shape[0] * 1j, -1 : 1 : shape[1] * 1j].astype(np.float32)
    light *= 1 - (0.06 + 0.16 * settings.unevenness) * (x * x + y * y) / 2
    light *= 1 - 0.1 * y * settings.shadows  # lamps hang above
    for _ in range(settings.spots):
        at = rng.uniform(-1, 1, 2)
        wide = rng.uniform(0.2, 0.6)
        light += rng.uniform(0.15, 0.5) * np.exp(-((x - at[0]) ** 2 + 0.6 * (y - at[1]) ** 2) / wide**2)
    tint = _tint(settings.temperature)
    colour = light[..., None] * tint
    if settings.window > 0:
        side = rng.choice((-1, 1))
        fall = np.clip((1 + side * x) / 2, 0, 1) ** 2.5
        colour += (0.8 * settings.window * fall)[..., None] * np.array([1.1, 1.0, 0.92], np.float32)
        colour *= 1 - 0.12 * settings.window
    full = np.clip(colour * settings.brightness * UNIT, 0, 255).astype(np.uint8)
    return np.asarray(cv2.resize(full, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)


def _tint(temperature: float) -> NDArray[np.float32]:
    """Factors for blue, green and red: -1 like a candle-warm lamp, 1 like shade under a blue sky."""
    return np.array([1 + 0.24 * temperature, 1 - 0.02 * abs(temperature), 1 - 0.2 * temperature], np.float32)
