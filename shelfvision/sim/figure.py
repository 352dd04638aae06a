"""Round bodies from bones: a smooth union of many tapering bones, shaded, as a sprite with alpha.

Hands, arms and people are skeletons. Each sprite is made once and then only warped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
Sprite = NDArray[np.uint8]
"""(height, width, 4), BGRA, colour multiplied by alpha."""
_Window = tuple[slice, slice]  # rows, columns

LIGHT = np.array([-0.25, -0.72, 0.65], np.float32)  # from above, a little left, towards the camera
_BLEND_CM = 0.16  # width of the smooth union's seams
_PIECE_CM = 12.0  # longer bones are projected in pieces, since perspective does not taper them evenly
_OUTSIDE = np.float32(-1e3)
_GRAIN = 1024  # side of the kept field of white noise


@dataclass(slots=True)
class Bones:
    """Tapering bones with round ends, in camera axes: x right, y down, z towards the camera, in cm."""

    begin: list[FloatArray] = field(default_factory=list)  # (3,) each
    end: list[FloatArray] = field(default_factory=list)
    radii: list[tuple[float, float]] = field(default_factory=list)
    material: list[int] = field(default_factory=list)  # index of a colour each

    def add_bone(self, begin: FloatArray, end: FloatArray, radii: tuple[float, float], material: int) -> None:
        """A bone from one point to another, its radius changing evenly."""
        self.begin.append(np.asarray(begin, np.float32))
        self.end.append(np.asarray(end, np.float32))
        self.radii.append(radii)
        self.material.append(material)

    def add_ball(self, centre: FloatArray, radius: float, material: int) -> None:
        """One ball."""
        self.add_bone(centre, centre, (radius, radius), material)

    def turn(self, rotation: FloatArray) -> None:
        """Rotate everything about the origin by a (3, 3) matrix."""
        self.begin = [np.asarray(rotation @ point, np.float32) for point in self.begin]
        self.end = [np.asarray(rotation @ point, np.float32) for point in self.end]


@dataclass(frozen=True, slots=True)
class Relief:
    """What the bones look like before colour: everything at the supersampled size."""

    height: FloatArray  # (h, w) cm towards the camera; very low outside
    shares: FloatArray  # (materials, h, w) how much of each material
    alpha: FloatArray  # (h, w) 0 or 1
    scale: float  # supersampled pixels per cm
    origin: tuple[float, float]  # pixel of x = y = 0 in the finished sprite
    size: tuple[int, int]  # width and height of the finished sprite
    windows: dict[int, _Window]  # the rectangle of each material that is there at all

    def mixed(self, palette: FloatArray) -> FloatArray:
        """(h, w, 3) colour of each pixel, given that of each material (materials, 3)."""
        planes = np.zeros((3, *self.alpha.shape), np.float32)
        for material, window in self.windows.items():
            share = self.shares[material][window]
            for plane, value in zip(planes, palette[material], strict=True):
                plane[window] += share * value
        return np.asarray(cv2.merge(list(planes)), np.float32)


@dataclass(frozen=True, slots=True)
class _Patch:
    """What one bone shows in its rectangle of the picture."""

    window: _Window
    rise: FloatArray  # cm towards the camera, ``_OUTSIDE`` where it is not
    material: int


def relief(
    bones: Bones,
    materials: int,
    pixels_per_cm: float,
    *,
    eye_cm: float = 180.0,
    blend_cm: float = _BLEND_CM,
    groups: Sequence[int] | None = None,
    fine: float = 16.0,
    within: Bones | None = None,
) -> Relief:
    """Project the bones (perspective, eye on the z axis) and join them smoothly.

    Smooth union: height = k log sum exp(h_i / k) of the bones' heights h_i; the same weights mix the materials.

    Args:
        bones: the body.
        materials: number of materials.
        pixels_per_cm: scale of the finished sprite in the plane z = 0.
        eye_cm: distance of the eye from that plane.
        blend_cm: width of the seams.
        groups: group of each material; materials mix softly inside a group, between groups the nearest one counts.
        fine: pixels per cm up to which small sprites are drawn larger than they will be, for soft edges.
        within: only the rectangle of these bones is drawn.
    """
    group = np.zeros(materials, np.int64) if groups is None else np.asarray(groups)
    # small sprites are drawn at twice their size; large ones less so, since their edges matter less than the time
    scale = min(2 * pixels_per_cm, max(1.25 * pixels_per_cm, fine))
    pieces = _projected(bones, eye_cm)
    everything = np.concatenate(pieces if within is None else _projected(within, eye_cm))
    low = (everything[:, :2] - everything[:, 3:]).min(axis=0) - 0.3
    high = (everything[:, :2] + everything[:, 3:]).max(axis=0) + 0.3
    finished = tuple(max(2, int(np.ceil(side * pixels_per_cm))) for side in (high - low).tolist())
    width, height = (round(side * scale / pixels_per_cm) for side in finished)
    surface = np.full((height, width), _OUTSIDE, np.float32)
    owner = np.zeros((height, width), np.uint8)  # the group of what is nearest
    patches = []
    for joints, material in zip(pieces, bones.material, strict=True):
        patch = _patch(joints - [*low, 0.0, 0.0], scale, (width, height), material)
        if patch is not None:
            patches.append(patch)
            near = surface[patch.window]
            np.copyto(owner[patch.window], group[material], where=patch.rise > near, casting="unsafe")
            np.maximum(near, patch.rise, out=near)
    shares = np.zeros((materials, height, width), np.float32)
    weight = np.full((height, width), 1e-9, np.float32)
    for patch in patches:
        part = np.exp((patch.rise - surface[patch.window]) * np.float32(1 / blend_cm))
        part *= owner[patch.window] == group[patch.material]  # else another group hides it
        shares[patch.material][patch.window] += part
        weight[patch.window] += part
    inside = surface > _OUTSIDE / 2
    surface += np.where(inside, np.float32(blend_cm) * np.log(weight), 0)
    shown = np.where(inside, 1 / weight, 0)
    windows = {
        material: _around([patch.window for patch in patches if patch.material == material])
        for material in {patch.material for patch in patches}
    }
    for material, window in windows.items():
        shares[material][window] *= shown[window]
    origin = (float(-low[0] * pixels_per_cm), float(-low[1] * pixels_per_cm))
    return Relief(surface, shares, inside.astype(np.float32), scale, origin, (finished[0], finished[1]), windows)


def _around(windows: Sequence[_Window]) -> _Window:
    rows, columns = (slice(min(w[axis].start for w in windows), max(w[axis].stop for w in windows)) for axis in (0, 1))
    return rows, columns


def _projected(bones: Bones, eye_cm: float) -> list[NDArray[np.float64]]:
    """For each bone the joints (n, 4) of its pieces: x, y and radius as the eye sees them, z as it is; x, y, z, r."""
    ends = np.stack([bones.begin, bones.end]).astype(float)  # (2, bones, 3)
    radii = np.array(bones.radii, float).T
    counts = np.ceil(np.linalg.norm(ends[1] - ends[0], axis=1) / _PIECE_CM).astype(int) + 1
    found: list[NDArray[np.float64]] = []
    for count in counts.tolist():
        along = np.linspace(0, 1, count)[:, None]
        index = len(found)
        spots = ends[0, index] + along * (ends[1, index] - ends[0, index])
        found.append(np.column_stack([spots, radii[0, index] + along * (radii[1, index] - radii[0, index])]))
    joints = np.concatenate(found)
    grow = (eye_cm / np.maximum(eye_cm - joints[:, 2], eye_cm * 0.2))[:, None]
    joints[:, [0, 1, 3]] *= grow
    return np.split(joints, np.cumsum(counts)[:-1])


def _patch(joints: NDArray[np.float64], scale: float, size: tuple[int, int], material: int) -> _Patch | None:
    """The part of the picture that a bone covers; None when it is nothing."""
    reach = joints[:, 3:]
    lows, highs = ((joints[:, :2] - reach) * scale).astype(int), ((joints[:, :2] + reach) * scale).astype(int) + 2
    lows, highs = np.maximum(lows, 0), np.minimum(highs, size)
    left, upper = lows.min(axis=0).tolist()
    right, lower = highs.max(axis=0).tolist()
    if left >= right or upper >= lower:
        return None
    rise = np.full((lower - upper, right - left), _OUTSIDE, np.float32)
    for first, last in pairwise(range(len(joints)) if len(joints) > 1 else (0, 0)):
        x1, y1 = np.minimum(lows[first], lows[last]).tolist()
        x2, y2 = np.maximum(highs[first], highs[last]).tolist()
        if x1 < x2 and y1 < y2:
            across = (np.arange(x1, x2) / scale - joints[first, 0]).astype(np.float32)[None]
            down = (np.arange(y1, y2) / scale - joints[first, 1]).astype(np.float32)[:, None]
            part = rise[y1 - upper : y2 - upper, x1 - left : x2 - left]
            np.maximum(part, _cone(across, down, joints[first, 2:], joints[last] - joints[first]), out=part)
    return _Patch((slice(upper, lower), slice(left, right)), rise, material)


def _cone(x: FloatArray, y: FloatArray, first: NDArray[np.float64], change: NDArray[np.float64]) -> FloatArray:
    """Height of a bone seen from straight above, ``_OUTSIDE`` beside it.

    The bone is the union of balls whose centre and radius run evenly from the first to the last. The ball at t has
    over (x, y) the height z(t) + sqrt(q(t)) with the quadratic q(t) = r(t)^2 - |(x, y) - c(t)|^2; the greatest such
    height is that at the root of its derivative, or at the nearer end.

    Args:
        x: (1, w) cm from the first centre.
        y: (h, 1) likewise.
        first: z and radius of the first ball.
        change: x, y, z and radius of the last ball less those of the first.
    """
    z0, r0 = (np.float32(value) for value in first)
    dx, dy, dz, dr = (float(value) for value in change)
    bend = dx * dx + dy * dy - dr * dr
    begun = np.float32(r0 * r0) - x * x - y * y  # q(0)
    if bend <= 1e-6:  # seen along its axis: one ball covers the other
        last = np.float32((r0 + dr) ** 2) - (x - np.float32(dx)) ** 2 - (y - np.float32(dy)) ** 2
        return np.maximum(_ball(begun, z0), _ball(last, z0 + np.float32(dz)))
    slope = np.float32(2 * dx) * x + np.float32(2 * r0 * dr) + np.float32(2 * dy) * y  # of q at 0
    middle = slope * np.float32(0.5 / bend)  # where q is greatest
    along = np.maximum(begun + middle * slope * np.float32(0.5), 0)
    np.sqrt(along, out=along)
    along *= np.float32(dz / np.sqrt(bend * (bend + dz * dz)))
    along += middle
    np.clip(along, 0, 1, out=along)
    square = begun + along * (slope - np.float32(bend) * along)
    np.multiply(along, np.float32(dz), out=along)
    along += z0
    return np.asarray(_ball(square, along), np.float32)


def _ball(square: FloatArray, z: FloatArray | np.float32) -> FloatArray:
    return np.where(square > 0, z + np.sqrt(np.maximum(square, 0)), _OUTSIDE)


@dataclass(frozen=True, slots=True)
class Shaded:
    """A relief's light, at the supersampled size."""

    diffuse: FloatArray  # (h, w) about 0.3 to 1.1
    shine: FloatArray  # (h, w) 0 to 1


def shade(
    form: Relief, *, bumps: FloatArray | None = None, smooth_cm: float = 0.05, light: FloatArray = LIGHT
) -> Shaded:
    """Light a relief from above: wrapped diffuse light, darker in hollows, a highlight.

    Args:
        form: the relief.
        bumps: (h, w) cm added to the height: wrinkles and pores.
        smooth_cm: heights are smoothed by so much, which hides the seams of bones.
        light: where it comes from, in camera axes.
    """
    inside = form.alpha > 0
    floor = float(form.height[inside].min()) if inside.any() else 0.0
    height = np.where(inside, form.height, np.float32(floor))
    smooth = _smoothed(height, form.alpha, max(smooth_cm * form.scale, 0.5))
    wide = _wide_mean(height, form.alpha, 0.55 * form.scale)
    if bumps is not None:
        smooth = smooth + bumps
    # one-sided differences at the outline would turn the normals; smoothing inside the mask only keeps them
    dx = cv2.Sobel(smooth, cv2.CV_32F, 1, 0, ksize=3, scale=form.scale / 8)
    dy = cv2.Sobel(smooth, cv2.CV_32F, 0, 1, ksize=3, scale=form.scale / 8)
    up = 1 / np.sqrt(dx * dx + dy * dy + 1)  # the normal is (-dx, -dy, 1) times this

    def towards(way: FloatArray) -> FloatArray:
        return np.asarray((way[2] - way[0] * dx - way[1] * dy) * up, np.float32)

    light = np.asarray(light / np.linalg.norm(light), np.float32)
    wrapped = np.clip((towards(light) + np.float32(0.45)) * np.float32(1 / 1.45), 0, 1)
    hollow = np.clip((wide - smooth) * np.float32(0.35), 0, 0.45)
    diffuse = (np.float32(0.17) + np.float32(0.17) * up + np.float32(0.78) * wrapped) * (1 - hollow)
    half = light + np.array([0, 0, 1], np.float32)
    shine = cv2.pow(np.clip(towards(half / np.linalg.norm(half)), 0, 1), 28)
    return Shaded(np.asarray(diffuse, np.float32), np.asarray(shine, np.float32))


def _smoothed(height: FloatArray, inside: FloatArray, sigma: float) -> FloatArray:
    """Gaussian mean over the inside only."""
    total = cv2.GaussianBlur(height * inside, (0, 0), sigma)
    share = cv2.GaussianBlur(inside, (0, 0), sigma)
    return np.where(inside > 0, total / np.maximum(share, np.float32(1e-4)), height)


def _wide_mean(height: FloatArray, inside: FloatArray, sigma: float) -> FloatArray:
    """As `_smoothed` for a wide blur, worked out on a coarser grid."""
    step = int(max(sigma / 2, 1))
    size = (-(-height.shape[1] // step), -(-height.shape[0] // step))
    total, share = (
        cv2.GaussianBlur(cv2.resize(part, size, interpolation=cv2.INTER_AREA), (0, 0), sigma / step)
        for part in (height * inside, inside)
    )
    mean = np.asarray(total / np.maximum(share, np.float32(1e-4)), np.float32)
    return np.asarray(cv2.resize(mean, height.shape[::-1], interpolation=cv2.INTER_LINEAR), np.float32)


def to_sprite(colour: FloatArray, form: Relief) -> Sprite:
    """Shrink a supersampled picture, (h, w, 3) BGR from 0 to 255, to the finished sprite; edges become soft."""
    cover = np.where(form.alpha > 0, np.uint8(255), np.uint8(0))
    plain = cv2.convertScaleAbs(np.maximum(colour, 0))
    picture = cv2.merge([*(cv2.bitwise_and(plane, cover) for plane in cv2.split(plain)), cover])
    if form.size[0] * 1.6 > cover.shape[1]:  # little supersampling: soften the outline instead
        picture = cv2.GaussianBlur(picture, (0, 0), 0.6)
    return np.asarray(cv2.resize(picture, form.size, interpolation=cv2.INTER_AREA), np.uint8)


@lru_cache(maxsize=1)
def _grain() -> FloatArray:
    """A field of white noise whose edges meet; drawing it anew for each sprite would take longer than painting."""
    return np.random.default_rng(1).standard_normal((_GRAIN, _GRAIN), np.float32)


def noise(rng: np.random.Generator, shape: tuple[int, int], sigmas: Sequence[float]) -> FloatArray:
    """(h, w) smooth noise of unit spread: white noise blurred at several scales (pixels) and summed."""
    total = np.zeros(shape, np.float32)
    for sigma in sigmas:
        step = max(1, int(sigma / 2))
        top, left = (int(corner) for corner in rng.integers(_GRAIN, size=2))
        rows, columns = shape[0] // step + 2, shape[1] // step + 2
        small = _grain().take(range(top, top + rows), 0, mode="wrap").take(range(left, left + columns), 1, mode="wrap")
        small = np.asarray(cv2.GaussianBlur(small, (0, 0), max(sigma / step, 0.5)), np.float32)
        small *= np.float32(1 / max(float(small.std()), 1e-6))
        total += small[: shape[0], : shape[1]] if step == 1 else cv2.resize(small, shape[::-1])
    return total / np.float32(np.sqrt(max(len(sigmas), 1)))
