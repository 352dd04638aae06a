"""Shopping carts, and the crates that staff push for refilling."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from shelfvision.sim.figure import Sprite
from shelfvision.sim.people import PersonSprite


def draw_cart(rng: np.random.Generator, pixels_per_cm: float, *, load: int = 6) -> PersonSprite:
    """A wire shopping cart from the side, with some goods in it; `feet` is the floor below its middle."""
    scale, thick = pixels_per_cm * 2, 0.9
    width, height = int(110 * scale), int(108 * scale)
    picture = np.zeros((height, width, 4), np.uint8)
    metal = (178, 176, 172, 255)

    def line(points: list[tuple[float, float]], cm: float, colour: tuple[int, ...] = metal) -> None:
        corners = (np.array(points) * scale).astype(np.int32)
        cv2.polylines(picture, [corners], False, colour, max(1, round(cm * scale)), cv2.LINE_AA)

    for _ in range(load):
        x, w, h = rng.uniform(18, 72), rng.uniform(8, 20), rng.uniform(10, 28)
        colour = (*(int(c) for c in rng.uniform(30, 230, 3)), 255)
        corner = (np.array([[x, 66 - h], [x + w, 66 - h], [x + w, 66], [x, 66]]) * scale).astype(np.int32)
        cv2.fillConvexPoly(picture, corner, colour, cv2.LINE_AA)
        cv2.fillConvexPoly(
            picture,
            corner[[0, 0, 1, 1]] + np.array([(0, 0), (0, int(3 * scale)), (0, int(3 * scale)), (0, 0)], np.int32),
            (235, 235, 235, 255),
        )
    for share in np.linspace(0, 1, 17):
        line([(6 + 92 * share, 22 + 6 * share), (16 + 78 * share, 68 - 4 * share)], 0.45)
    for share in np.linspace(0, 1, 8):
        line([(6 + 10 * share, 22 + 46 * share), (98 - 4 * share, 28 + 36 * share)], 0.45)
    line([(2, 14), (6, 22), (98, 28)], thick * 2)
    line([(0, 14), (9, 14)], 3.2, (60, 60, 190, 255))
    line([(12, 62), (22, 94), (92, 94)], thick * 2.4)
    line([(92, 64), (84, 94)], thick * 2)
    for x in (26, 88):
        cv2.circle(picture, (int(x * scale), int(101 * scale)), int(5.5 * scale), (48, 46, 44, 255), -1, cv2.LINE_AA)
        cv2.circle(picture, (int(x * scale), int(101 * scale)), int(2.2 * scale), (140, 138, 136, 255), -1, cv2.LINE_AA)
    small = _halved(picture)
    return PersonSprite(small, (small.shape[1] / 2, 106 * pixels_per_cm), ((0, 0), (0, 0)), pixels_per_cm)


def draw_crate(rng: np.random.Generator, pixels_per_cm: float) -> PersonSprite:
    """A plastic crate with goods on a low trolley, as staff push it for refilling."""
    scale = pixels_per_cm * 2
    width, height = int(70 * scale), int(92 * scale)
    picture = np.zeros((height, width, 4), np.uint8)
    body = np.array([rng.uniform(20, 190), rng.uniform(20, 150), rng.uniform(20, 190)])

    def box(x1: float, y1: float, x2: float, y2: float, colour: NDArray[np.float64]) -> None:
        tone = (*(int(c) for c in np.clip(colour, 0, 255)), 255)
        corners = [int(x1 * scale), int(y1 * scale)], [int(x2 * scale), int(y2 * scale)]
        cv2.rectangle(picture, corners[0], corners[1], tone, -1)

    for x in np.arange(6, 60, 9.5).tolist():
        tone = rng.uniform(40, 230, 3)
        top = float(rng.uniform(4, 14))
        box(x, top, x + 8.6, 40, tone)
        box(x, top, x + 8.6, top + 2, tone * 0.7 + 60)
    for level in (24.0, 54.0):
        box(2, level, 68, level + 28, body)
        box(2, level, 68, level + 3, body * 1.2 + 12)
        for x in np.arange(7, 62, 10).tolist():
            box(x, level + 9, x + 6.5, level + 21, body * 0.55)
        box(24, level + 5, 46, level + 9, body * 0.3)
    for x in (14, 56):
        cv2.circle(picture, (int(x * scale), int(87 * scale)), int(4.5 * scale), (50, 48, 46, 255), -1, cv2.LINE_AA)
    shading = np.linspace(1.05, 0.8, height, dtype=np.float32)[:, None, None]
    picture[..., :3] = np.clip(picture[..., :3] * shading, 0, 255)
    small = _halved(picture)
    return PersonSprite(small, (small.shape[1] / 2, 91 * pixels_per_cm), ((0, 0), (0, 0)), pixels_per_cm)


def _halved(picture: Sprite) -> Sprite:
    """Half as large, colour multiplied by alpha."""
    planes = cv2.split(picture)
    alpha = planes[3]
    covered = cv2.merge([*(cv2.multiply(plane, alpha, scale=1 / 255) for plane in planes[:3]), alpha])
    size = (picture.shape[1] // 2, picture.shape[0] // 2)
    return np.asarray(cv2.resize(covered, size, interpolation=cv2.INTER_AREA), np.uint8)
