"""Light on packages: cylinders, films that crinkle, metal, glass; and outlines of soft packages."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from shelfvision.sim.pictures import polygon
from shelfvision.sim.solids import RoundView

FloatArray = NDArray[np.float32]
CRINKLES = 14  # different crumpled films kept


def _round_light(normal: tuple[FloatArray, FloatArray, FloatArray], material: str) -> tuple[FloatArray, FloatArray]:
    """Light on a surface of revolution under shop lamps.

    Args:
        normal: (h, w) parts of the direction: right, up, forward.
        material: matt, glossy, metallic or transparent.

    Returns:
        (h, w) factors for the print's colour, and (h, w) white added on top, 0 to 1.
    """
    right, up, forward = normal
    diffuse = 0.5 + 0.5 * np.clip(0.86 * forward + 0.3 * up - 0.12 * right, 0, 1)
    if material == "matt":
        return diffuse.astype(np.float32), (0.05 * np.clip(forward, 0, 1) ** 8).astype(np.float32)
    # long lamps above the aisle mirror as upright strips on round glossy things
    strip = np.exp(-(((right + 0.5) / 0.1) ** 2)) + 0.45 * np.exp(-(((right - 0.62) / 0.07) ** 2))
    shine = strip * np.clip(1.15 - np.abs(up) * 0.8, 0, 1) + 0.6 * np.clip(up, 0, 1) ** 3
    if material == "metallic":
        bands = 0.24 * np.cos(right * 9.0 + 0.6) + 0.1 * np.cos(right * 17.0)
        return (diffuse * (0.92 + bands)).astype(np.float32), (0.5 * shine).astype(np.float32)
    if material == "transparent":
        rim = np.clip(1 - forward, 0, 1) ** 3
        return (diffuse * (1.05 - 0.55 * rim)).astype(np.float32), (0.55 * shine + 0.1 * rim).astype(np.float32)
    return diffuse.astype(np.float32), (0.34 * shine).astype(np.float32)


def round_light(view: RoundView, material: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Light on the view of a surface of revolution, ready to be multiplied and added.

    Returns:
        (h, w) factors with 128 for one, and (h, w) white to add; uint8.
    """
    colour, white = _round_light(view.normal, material)
    if view.lid.any():
        colour = np.where(view.lid, 1.02, colour).astype(np.float32)
        tilt = 0.1 * np.clip(1 - 3 * np.abs(view.lid_x + 0.4 * view.lid_z), 0, 1)
        white = np.where(view.lid, tilt, white).astype(np.float32)
    factor = np.clip(colour * 128, 0, 255).astype(np.uint8)
    return factor, np.clip(white * 255, 0, 255).astype(np.uint8)


@lru_cache(maxsize=CRINKLES)
def crinkle(kind: int) -> tuple[FloatArray, FloatArray]:
    """A crumpled pillow of film: (160, 112) factors for colour around 1, and white added, 0 to 1."""
    rng = np.random.default_rng(7000 + kind)
    height, width = 160, 112
    y, x = np.mgrid[0:1:160j, 0:1:112j]
    puff = (np.sin(np.pi * np.clip(x, 0, 1)) ** 0.6) * (np.sin(np.pi * np.clip(y * 0.94 + 0.03, 0, 1)) ** 0.45)
    relief = puff * 0.36
    for _ in range(26):  # folds run away from the seals and the edges
        at_top = rng.random() < 0.5
        start = np.array([rng.uniform(0, 1), rng.uniform(0, 0.16) if at_top else rng.uniform(0.84, 1.0)])
        if rng.random() < 0.3:
            start = np.array([rng.choice((0.02, 0.98)), rng.random()])
        aim = np.array([0.5, 0.5]) - start + rng.normal(0, 0.3, 2)
        aim /= np.hypot(*aim)
        along = (x - start[0]) * aim[0] + (y - start[1]) * aim[1]
        off = (x - start[0]) * aim[1] - (y - start[1]) * aim[0] + rng.normal(0, 0.15) * along**2
        reach, thick = rng.uniform(0.1, 0.4), rng.uniform(0.012, 0.04)
        relief += rng.normal(0, 0.035) * np.exp(-((off / thick) ** 2)) * np.exp(-((along / reach) ** 2))
    rough = cv2.GaussianBlur(rng.normal(0, 1, (height, width)), (0, 0), 9)
    relief += 0.12 * rough
    slope_x = cv2.GaussianBlur(np.gradient(relief, axis=1) * width, (0, 0), 0.8)
    slope_y = cv2.GaussianBlur(np.gradient(relief, axis=0) * height, (0, 0), 0.8)
    length = np.sqrt(slope_x**2 + slope_y**2 + 1)
    towards = 1 / length
    light = np.clip((0.3 * slope_x + 0.55 * slope_y + 0.85) / length, 0, 1.4)
    colour = np.clip(0.35 + 0.72 * light, 0.35, 1.25)
    # lamps above: normals that lean up and a little left shine
    half = np.clip((0.22 * slope_x + 0.42 * slope_y + 0.88) / length, 0, 1)
    white = np.clip(half**40 * 0.9 + 0.05 * towards, 0, 1) * (np.abs(relief - puff * 0.36) > 0.006)
    return colour.astype(np.float32), cv2.GaussianBlur(white, (0, 0), 0.7).astype(np.float32)


def soft_outline(kind: str, shape: tuple[int, int], seed: int) -> NDArray[np.uint8]:
    """Cover of a soft package seen from the front, (h, w) uint8.

    Args:
        kind: pillow (crimped at both ends), pouch (stands, rounded), paper (folded top), tube (crimped top, cap below),
            rim (a tray with rounded corners).
        shape: height and width in pixels.
        seed: of the small irregularities.
    """
    height, width = shape
    cover = np.zeros(shape, np.uint8)
    rng = np.random.default_rng(seed)
    steps = np.linspace(0, 1, 25)
    if kind == "pillow":
        waist = 0.035 * np.sin(np.pi * steps) ** 0.5 + rng.normal(0, 0.004, 25)
        left, right = 0.045 - waist, 0.955 + waist
    elif kind == "pouch":
        left = 0.03 + 0.02 * np.sin(np.pi * steps) - 0.03 * steps + rng.normal(0, 0.003, 25)
        right = 1 - left + rng.normal(0, 0.003, 25)
    elif kind == "tube":
        body = np.clip((0.86 - steps) / 0.86, 0, 1)
        left = np.where(steps < 0.86, 0.12 * (1 - body) ** 1.4, 0.2)
        right = 1 - left
    else:
        left, right = np.full(25, 0.012) + rng.normal(0, 0.003, 25), np.full(25, 0.988) + rng.normal(0, 0.003, 25)
    left, right = np.clip(left, 0, 0.4), np.clip(right, 0.6, 1)
    ys = steps * (height - 1)
    outline = np.concatenate([np.stack([left * (width - 1), ys], 1), np.stack([right * (width - 1), ys], 1)[::-1]])
    polygon(cover[..., None], outline, 255)  # type: ignore[arg-type]
    if kind in {"pouch", "rim"}:
        radius = max(int(min(shape) * (0.07 if kind == "pouch" else 0.12)), 1)
        corner = np.zeros(shape, np.uint8)
        cv2.rectangle(corner, (radius, 0), (width - 1 - radius, height - 1), 255, -1)
        cv2.rectangle(corner, (0, radius), (width - 1, height - 1 - (radius if kind == "rim" else 0)), 255, -1)
        lows = (radius, height - 1 - radius) if kind == "rim" else (radius,)
        for x in (radius, width - 1 - radius):
            for y in lows:
                cv2.circle(corner, (x, y), radius, 255, -1, cv2.LINE_AA)
        cover = np.minimum(cover, corner)
    return cover
