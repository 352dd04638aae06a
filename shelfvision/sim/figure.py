"""Round bodies from balls: a smooth union of many balls, shaded, as a sprite with alpha.

Hands, arms and people are skeletons whose bones are rows of balls. Each sprite is made once and then only warped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
Sprite = NDArray[np.uint8]
"""(height, width, 4), BGRA, colour not multiplied by alpha."""

LIGHT = np.array([-0.25, -0.72, 0.65], np.float32)  # from above, a little left, towards the camera
_BLEND_CM = 0.16  # width of the smooth union's seams


@dataclass(slots=True)
class Balls:
    """Balls in camera axes: x right, y down, z towards the camera, in cm."""

    centre: list[FloatArray] = field(default_factory=list)  # (n, 3) each
    radius: list[FloatArray] = field(default_factory=list)  # (n,) each
    material: list[NDArray[np.int64]] = field(default_factory=list)  # (n,) index of a colour each

    def add_bone(
        self,
        begin: FloatArray,
        end: FloatArray,
        radii: tuple[float, float],
        material: int,
        *,
        spacing: float = 0.3,
    ) -> None:
        """A row of balls from one point to another, radius changing evenly."""
        length = float(np.linalg.norm(end - begin))
        count = max(2, int(np.ceil(length / (spacing * max(min(radii), 0.2)))) + 1)
        along = np.linspace(0, 1, count, dtype=np.float32)
        self.centre.append((begin + along[:, None] * (end - begin)).astype(np.float32))
        self.radius.append((radii[0] + along * (radii[1] - radii[0])).astype(np.float32))
        self.material.append(np.full(count, material))

    def add_ball(self, centre: FloatArray, radius: float, material: int) -> None:
        """One ball."""
        self.centre.append(np.asarray(centre, np.float32)[None])
        self.radius.append(np.array([radius], np.float32))
        self.material.append(np.array([material]))


@dataclass(frozen=True, slots=True)
class Relief:
    """What the balls look like before colour: everything at the supersampled size."""

    height: FloatArray  # (h, w) cm towards the camera; very low outside
    shares: FloatArray  # (h, w, materials) how much of each material
    alpha: FloatArray  # (h, w) 0 or 1
    scale: float  # supersampled pixels per cm
    origin: tuple[float, float]  # pixel of x = y = 0 in the finished sprite
    size: tuple[int, int]  # width and height of the finished sprite


def relief(
    balls: Balls,
    materials: int,
    pixels_per_cm: float,
    *,
    bounds: tuple[float, float, float, float] | None = None,
    eye_cm: float = 180.0,
    blend_cm: float = _BLEND_CM,
    groups: Sequence[int] | None = None,
    fine: float = 16.0,
) -> Relief:
    """Project the balls (perspective, eye on the z axis) and join them smoothly.

    Smooth union: height = k log sum exp(h_i / k) of the balls' heights h_i; the same weights mix the materials.

    Args:
        balls: the body.
        materials: number of materials.
        pixels_per_cm: scale of the finished sprite in the plane z = 0.
        bounds: x1, y1, x2, y2 in cm of the picture; the balls' own bounds when absent.
        eye_cm: distance of the eye from that plane.
        blend_cm: width of the seams.
        groups: group of each material; materials mix softly inside a group, between groups the nearest one counts.
        fine: pixels per cm up to which small sprites are drawn larger than they will be, for soft edges.
    """
    group = np.zeros(materials, np.int64) if groups is None else np.asarray(groups)
    centre, radius = np.concatenate(balls.centre), np.concatenate(balls.radius)
    material = np.concatenate(balls.material)
    # small sprites are drawn at twice their size; large ones less so, since their edges matter less than the time
    scale = min(2 * pixels_per_cm, max(1.25 * pixels_per_cm, fine))
    grow = (eye_cm / np.maximum(eye_cm - centre[:, 2], eye_cm * 0.2)).astype(np.float32)
    flat, size = centre[:, :2] * grow[:, None], radius * grow
    if bounds is None:
        low, high = (flat - size[:, None]).min(axis=0) - 0.3, (flat + size[:, None]).max(axis=0) + 0.3
        bounds = (float(low[0]), float(low[1]), float(high[0]), float(high[1]))
    finished = (
        max(2, int(np.ceil((bounds[2] - bounds[0]) * pixels_per_cm))),
        max(2, int(np.ceil((bounds[3] - bounds[1]) * pixels_per_cm))),
    )
    width, height = (round(side * scale / pixels_per_cm) for side in finished)
    x, y = (flat[:, 0] - bounds[0]) * scale, (flat[:, 1] - bounds[1]) * scale
    reach = size * scale
    # weights are exp((h - top) / k) with one top for all, so that they add up over overlapping patches
    top = float((centre[:, 2] + radius).max())
    weight = np.zeros((height, width), np.float32)
    shares = np.zeros((height, width, materials), np.float32)
    nearest = np.full((int(group.max()) + 1, height, width), -1e3, np.float32)
    for index in range(len(x)):
        left, right = max(0, int(x[index] - reach[index])), min(width, int(x[index] + reach[index]) + 2)
        upper, lower = max(0, int(y[index] - reach[index])), min(height, int(y[index] + reach[index]) + 2)
        if left >= right or upper >= lower:
            continue
        across = np.arange(left, right, dtype=np.float32) - x[index]
        down = np.arange(upper, lower, dtype=np.float32) - y[index]
        square = reach[index] ** 2 - across[None] ** 2 - down[:, None] ** 2
        hit = square > 0
        rise = np.sqrt(np.maximum(square, 0)) / scale
        part = np.exp(np.maximum((centre[index, 2] + rise - top) / blend_cm, -85)) * hit
        weight[upper:lower, left:right] += part
        shares[upper:lower, left:right, material[index]] += part
        near = nearest[group[material[index]], upper:lower, left:right]
        np.maximum(near, np.where(hit, centre[index, 2] + rise, -1e3), out=near)
    inside = (nearest.max(axis=0) > -900).astype(np.float32)
    if len(nearest) > 1:
        winner = nearest.argmax(axis=0).astype(np.uint8)
        for number in range(materials):
            shares[..., number][winner != group[number]] = 0
    del nearest
    safe = np.maximum(weight, 1e-38)
    surface = np.where(inside > 0, top + blend_cm * np.log(safe), -1e3).astype(np.float32)
    shares /= np.maximum(shares.sum(axis=2, keepdims=True), 1e-38)
    return Relief(surface, shares, inside, scale, (-bounds[0] * pixels_per_cm, -bounds[1] * pixels_per_cm), finished)


@dataclass(frozen=True, slots=True)
class Shaded:
    """A relief's light, at the supersampled size."""

    diffuse: FloatArray  # (h, w) about 0.3 to 1.1
    shine: FloatArray  # (h, w) 0 to 1
    normal: FloatArray  # (h, w, 3)


def shade(form: Relief, *, bumps: FloatArray | None = None, smooth_cm: float = 0.05) -> Shaded:
    """Light a relief from above: wrapped diffuse light, darker in hollows, a highlight.

    Args:
        form: the relief.
        bumps: (h, w) cm added to the height: wrinkles and pores.
        smooth_cm: heights are smoothed by so much, which hides that bones are rows of balls.
    """
    inside = form.alpha
    sigma = max(smooth_cm * form.scale, 0.5)
    floor = float(form.height[inside > 0].min()) if inside.any() else 0.0
    height = np.where(inside > 0, form.height, floor).astype(np.float32)
    smooth = _smoothed(height, inside, sigma)
    if bumps is not None:
        smooth = smooth + bumps
    # one-sided differences at the outline would turn the normals; smoothing inside the mask only keeps them
    dx = cv2.Sobel(smooth, cv2.CV_32F, 1, 0, ksize=3) * (form.scale / 8)
    dy = cv2.Sobel(smooth, cv2.CV_32F, 0, 1, ksize=3) * (form.scale / 8)
    normal = np.dstack([-dx, -dy, np.ones_like(dx)])
    normal /= np.linalg.norm(normal, axis=2, keepdims=True)
    light = LIGHT / np.linalg.norm(LIGHT)
    facing = normal @ light
    wrapped = np.clip((facing + 0.45) / 1.45, 0, 1)
    hollow = np.clip((_smoothed(height, inside, 0.55 * form.scale) - smooth) * 0.35, 0, 0.45)
    sky = 0.5 + 0.5 * normal[..., 2]
    diffuse = (0.34 * sky + 0.78 * wrapped) * (1 - hollow)
    half = light + np.array([0, 0, 1], np.float32)
    half /= np.linalg.norm(half)
    shine = np.clip(normal @ half, 0, 1) ** 28
    return Shaded(diffuse.astype(np.float32), shine.astype(np.float32), normal.astype(np.float32))


def _smoothed(height: FloatArray, inside: FloatArray, sigma: float) -> FloatArray:
    """Gaussian mean over the inside only."""
    total = cv2.GaussianBlur(height * inside, (0, 0), sigma)
    share = cv2.GaussianBlur(inside, (0, 0), sigma)
    return np.where(inside > 0, total / np.maximum(share, 1e-4), height).astype(np.float32)


def to_sprite(colour: FloatArray, form: Relief) -> Sprite:
    """Shrink a supersampled picture, (h, w, 3) BGR from 0 to 255, to the finished sprite; edges become soft."""
    alpha = form.alpha
    if form.size[0] * 1.6 > alpha.shape[1]:
        alpha = np.asarray(
            cv2.GaussianBlur(alpha, (0, 0), 0.6), np.float32
        )  # little supersampling: soften the outline instead
    small = cv2.resize(alpha, form.size, interpolation=cv2.INTER_AREA)
    mixed = cv2.resize(colour * alpha[..., None], form.size, interpolation=cv2.INTER_AREA)
    plain = mixed / np.maximum(small[..., None], 1e-3)
    return np.dstack([np.clip(plain, 0, 255), np.clip(small * 255, 0, 255)]).round().astype(np.uint8)


def noise(rng: np.random.Generator, shape: tuple[int, int], sigmas: Sequence[float]) -> FloatArray:
    """(h, w) smooth noise of unit spread: white noise blurred at several scales (pixels) and summed."""
    total = np.zeros(shape, np.float32)
    for sigma in sigmas:
        step = max(1, int(sigma / 2))
        small = rng.standard_normal((shape[0] // step + 2, shape[1] // step + 2), np.float32)
        small = np.asarray(cv2.GaussianBlur(small, (0, 0), max(sigma / step, 0.5)), np.float32)
        small /= max(float(small.std()), 1e-6)
        total += cv2.resize(small, shape[::-1], interpolation=cv2.INTER_CUBIC)
    return total / np.float32(np.sqrt(max(len(sigmas), 1)))
