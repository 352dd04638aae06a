"""Small pictures printed on packaging: fruit, nuts, cups, leaves, landscapes, bursts, waves, pictograms."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from shelfvision.sim.palette import Colour, hsv, mix

Image = NDArray[np.uint8]
Box = tuple[float, float, float, float]  # left, top, right, bottom in pixels
_BAR_CODES = 200
_SHIFT = 4  # fractional bits of OpenCV's drawing coordinates


def polygon(image: Image, corners: NDArray[np.floating] | list[tuple[float, float]], colour: Colour) -> None:
    """Fill a polygon with smooth edges; corners in pixels, centres at whole numbers."""
    points = np.round(np.asarray(corners) * (1 << _SHIFT)).astype(np.int32)
    cv2.fillPoly(image, [points], colour, cv2.LINE_AA, _SHIFT)


def ellipse(
    image: Image, centre: tuple[float, float], radii: tuple[float, float], colour: Colour, *, angle: float = 0
) -> None:
    """Fill an ellipse with smooth edges; ``angle`` in degrees."""
    x, y = round(centre[0] * 16), round(centre[1] * 16)
    axes = max(round(radii[0] * 16), 1), max(round(radii[1] * 16), 1)
    cv2.ellipse(image, (x, y), axes, angle, 0, 360, colour, -1, cv2.LINE_AA, _SHIFT)


@lru_cache(maxsize=1)
def _sphere() -> NDArray[np.float32]:
    """Diffuse light, highlight and cover of a unit ball lit from the upper left, (64, 64, 3), each times cover."""
    y, x = np.mgrid[-1:1:64j, -1:1:64j] * 1.04
    square = x * x + y * y
    z = np.sqrt(np.clip(1 - square, 0, 1))
    diffuse = 0.42 + 0.68 * np.clip(-0.45 * x - 0.6 * y + 0.66 * z, 0, 1)
    highlight = np.clip(-0.35 * x - 0.5 * y + 0.79 * z, 0, 1) ** 28
    cover = np.clip((1.02 - np.sqrt(square)) * 26, 0, 1)
    return np.stack([diffuse * cover, highlight * cover, cover], axis=-1).astype(np.float32)


def ball(
    image: Image, centre: tuple[float, float], radii: tuple[float, float], colour: Colour, angle: float = 0
) -> None:
    """A shaded ball or egg, such as a berry, a nut or an olive."""
    size = max(int(2 * max(radii)) + 2, 3)
    left, top = int(centre[0] - size / 2), int(centre[1] - size / 2)
    x1, y1, x2, y2 = max(left, 0), max(top, 0), min(left + size, image.shape[1]), min(top + size, image.shape[0])
    if x1 >= x2 or y1 >= y2:
        return
    cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    wide, high = radii[0] / 32, radii[1] / 32
    a, b, c, d = cos * wide, sin * high, -sin * wide, cos * high
    turn = np.array([[a, b, size / 2 - 31.5 * (a + b)], [c, d, size / 2 - 31.5 * (c + d)]])
    egg = cv2.warpAffine(_sphere(), turn, (size, size))[y1 - top : y2 - top, x1 - left : x2 - left]
    patch = image[y1:y2, x1:x2]
    paint = egg[..., :1] * np.array(colour, np.float32) + 200 * egg[..., 1:2] + patch * (1 - egg[..., 2:])
    np.minimum(paint, 255, out=paint)
    patch[:] = paint


def _leaf(image: Image, x: float, y: float, *, length: float, angle: float, colour: Colour) -> None:
    steps = np.linspace(0, 1, 9)
    bulge = 0.28 * np.sin(np.pi * steps) * length
    along = steps * length
    outline = np.concatenate([np.stack([along, bulge], 1), np.stack([along, -bulge], 1)[::-1]])
    cos, sin = np.cos(angle), np.sin(angle)
    polygon(image, outline @ np.array([[cos, sin], [-sin, cos]]) + (x, y), colour)
    end = (round(x + cos * length * 0.9), round(y + sin * length * 0.9))
    cv2.line(image, (round(x), round(y)), end, mix(colour, (255, 255, 255), 0.35), 1, cv2.LINE_AA)


def fruit(image: Image, box: Box, colour: Colour, rng: np.random.Generator) -> None:
    """A heap of fruit with leaves."""
    left, top, right, bottom = box
    width, height = right - left, bottom - top
    radius = min(width, height) * rng.uniform(0.2, 0.34)
    for _ in range(int(rng.integers(1, 4))):
        x, y = (
            rng.uniform(left + width * 0.2, right - width * 0.2),
            rng.uniform(top + height * 0.15, top + height * 0.5),
        )
        length, angle = radius * rng.uniform(1.2, 2.0), rng.uniform(-3.1, 0.2)
        _leaf(image, x, y, length=length, angle=angle, colour=hsv(rng.uniform(0.25, 0.36), 0.8, 0.5))
    for y in sorted(rng.uniform(top + height * 0.35, bottom - radius * 0.7, int(rng.integers(2, 6)))):
        size = radius * rng.uniform(0.75, 1.05)
        shade = mix(colour, hsv(rng.random(), 0.8, 0.6), rng.uniform(0, 0.15))
        ball(
            image,
            (rng.uniform(left + size, max(right - size, left + size + 1)), y),
            (size, size * rng.uniform(0.88, 1.0)),
            shade,
        )


def slices(image: Image, box: Box, colour: Colour, rng: np.random.Generator) -> None:
    """Cut citrus: rind, pith and wedges."""
    left, top, right, bottom = box
    radius = min(right - left, bottom - top) * rng.uniform(0.26, 0.4)
    for _ in range(int(rng.integers(1, 4))):
        x, y = (
            rng.uniform(left + radius, max(right - radius, left + radius + 1)),
            rng.uniform(top + radius, max(bottom - radius, top + radius + 1)),
        )
        ellipse(image, (x, y), (radius, radius), colour)
        ellipse(image, (x, y), (radius * 0.9, radius * 0.9), (225, 245, 252))
        start = rng.uniform(0, 40)
        for wedge in range(8):
            angles = np.radians(start + wedge * 45 + np.array([4, 22, 41]))
            rim = np.stack([x + radius * 0.84 * np.cos(angles), y + radius * 0.84 * np.sin(angles)], 1)
            polygon(image, np.concatenate([[(x, y)], rim]), mix(colour, (90, 220, 255), 0.25))


def kernels(image: Image, box: Box, colour: Colour, rng: np.random.Generator) -> None:
    """A heap of nuts, beans, corn or sweets."""
    left, top, right, bottom = box
    width, height = right - left, bottom - top
    size = max(min(width, height) * rng.uniform(0.08, 0.17), 1.5)
    count = int(np.clip(1.3 * width * height / (size * size * 3.4), 6, 46))
    slim, spread = rng.uniform(0.5, 0.95), rng.uniform(0.05, 0.25)
    ys = np.sort(rng.uniform(0, 1, count) ** 0.8) * height + top
    for y in ys:
        depth = (y - top) / height
        reach = width * (0.25 + 0.25 * depth)
        x = (left + right) / 2 + rng.uniform(-reach, reach)
        shade = mix(colour, (20, 30, 40) if rng.random() < 0.5 else (210, 235, 250), rng.uniform(0, spread))
        ball(image, (x, y), (size, size * slim), shade, rng.uniform(0, 180))


def cup(image: Image, box: Box, colour: Colour, rng: np.random.Generator) -> None:
    """A cup or bowl with something in it, and steam."""
    left, top, right, bottom = box
    width, height = right - left, bottom - top
    x, rim = (left + right) / 2, top + height * rng.uniform(0.38, 0.5)
    outer, foot = width * rng.uniform(0.3, 0.42), width * rng.uniform(0.12, 0.24)
    china = hsv(rng.random(), rng.choice((0.05, 0.8)), rng.uniform(0.6, 0.98))
    steps = np.linspace(0, 1, 10)
    side = outer + (foot - outer) * steps**1.7
    ys = rim + (bottom - height * 0.06 - rim) * steps
    ellipse(image, (x, bottom - height * 0.05), (outer * 1.25, height * 0.07), mix(china, (0, 0, 0), 0.12))
    if rng.random() < 0.6:
        cv2.ellipse(
            image,
            (int(x + outer), int(rim + height * 0.16)),
            (max(int(outer * 0.28), 1), max(int(height * 0.12), 1)),
            0,
            0,
            360,
            china,
            max(1, int(outer * 0.1)),
            cv2.LINE_AA,
        )
    polygon(image, np.concatenate([np.stack([x - side, ys], 1), np.stack([x + side, ys], 1)[::-1]]), china)
    polygon(
        image,
        np.concatenate([np.stack([x + side * 0.55, ys], 1), np.stack([x + side, ys], 1)[::-1]]),
        mix(china, (0, 0, 0), 0.18),
    )
    ellipse(image, (x, rim), (outer, height * 0.09), mix(china, (255, 255, 255), 0.5))
    ellipse(image, (x, rim), (outer * 0.9, height * 0.07), colour)
    ellipse(
        image, (x - outer * 0.2, rim - height * 0.01), (outer * 0.4, height * 0.025), mix(colour, (200, 230, 245), 0.5)
    )


def landscape(image: Image, box: Box, colour: Colour, rng: np.random.Generator) -> None:
    """Sky, sun and rolling hills."""
    left, top, right, bottom = (int(v) for v in box)
    patch = image[max(top, 0) : bottom, max(left, 0) : right]
    if patch.size == 0:
        return
    height, width = patch.shape[:2]
    sky = np.linspace(0, 1, height)[:, None]
    patch[:] = (np.asarray(hsv(0.57, 0.7, 0.85)) * (1 - sky) + np.asarray(hsv(0.12, 0.25, 1.0)) * sky)[:, None].astype(
        np.uint8
    )
    ellipse(patch, (rng.uniform(0, width), height * rng.uniform(0.15, 0.4)), (height * 0.1,) * 2, (150, 240, 255))
    xs = np.linspace(0, width, 12)
    for hill in range(3):
        base = height * (0.45 + 0.18 * hill)
        ys = base + height * 0.08 * np.sin(xs / width * rng.uniform(3, 8) + rng.uniform(0, 6))
        shade = mix(hsv(rng.uniform(0.2, 0.36), 0.65, 0.75 - 0.15 * hill), colour, 0.25)
        polygon(patch, np.concatenate([np.stack([xs, ys], 1), [(width, height), (0, height)]]), shade)


def burst(image: Image, box: Box, colour: Colour, rng: np.random.Generator) -> None:
    """Rays from a point, as behind a hero product."""
    left, top, right, bottom = box
    x, y = (left + right) / 2, top + (bottom - top) * rng.uniform(0.4, 0.6)
    reach = max(right - left, bottom - top)
    rays = int(rng.integers(8, 16))
    for ray in range(rays):
        angles = 2 * np.pi * (ray + np.array([0.0, 0.5])) / rays
        tips = np.stack([x + reach * np.cos(angles), y + reach * np.sin(angles)], 1)
        tips = np.clip(tips, (left, top), (right, bottom))
        polygon(image, np.concatenate([[(x, y)], tips]), colour)
    radius = min(right - left, bottom - top) * rng.uniform(0.18, 0.3)
    ball(image, (x, y), (radius, radius), mix(colour, (40, 60, 220), 0.4))


def drops(image: Image, box: Box, colour: Colour, rng: np.random.Generator) -> None:
    """Bubbles and drops."""
    left, top, right, bottom = box
    for _ in range(int(rng.integers(5, 14))):
        radius = min(right - left, bottom - top) * rng.uniform(0.03, 0.16)
        x, y = (
            rng.uniform(left + radius, max(right - radius, left + radius + 1)),
            rng.uniform(top + radius, max(bottom - radius, top + radius + 1)),
        )
        ball(image, (x, y), (radius, radius), mix(colour, (255, 250, 245), rng.uniform(0.2, 0.7)))


def waves(image: Image, box: Box, colour: Colour, rng: np.random.Generator) -> None:
    """Swinging bands."""
    left, top, right, bottom = box
    xs = np.linspace(left, right, 14)
    bend, phase = (bottom - top) * rng.uniform(0.08, 0.2), rng.uniform(0, 6)
    for band in range(int(rng.integers(2, 5))):
        ys = (
            top
            + (bottom - top) * (0.3 + 0.17 * band)
            + bend * np.sin((xs - left) / max(right - left, 1) * 5 + phase + band * 0.5)
        )
        shade = mix(colour, (255, 255, 255), 0.5 - 0.15 * band)
        thick = (bottom - top) * 0.1
        polygon(image, np.concatenate([np.stack([xs, ys], 1), np.stack([xs, ys + thick], 1)[::-1]]), shade)


PICTURES: dict[str, Callable[[Image, Box, Colour, np.random.Generator], None]] = {
    "fruit": fruit,
    "slices": slices,
    "kernels": kernels,
    "cup": cup,
    "landscape": landscape,
    "burst": burst,
    "drops": drops,
    "waves": waves,
}


def pictogram(image: Image, box: Box, colour: Colour, rng: np.random.Generator) -> None:
    """One of the little signs in a row at the bottom: recycling, leaf, flame, drop, tick, star."""
    left, top, right, bottom = box
    x, y, radius = (left + right) / 2, (top + bottom) / 2, (bottom - top) / 2
    if radius < 1.5:
        return
    cv2.circle(image, (int(x), int(y)), max(int(radius), 1), colour, max(1, int(radius / 6)), cv2.LINE_AA)
    kind = int(rng.integers(4))
    if kind == 0:
        _leaf(image, x - radius * 0.5, y + radius * 0.4, length=radius * 1.2, angle=-0.8, colour=colour)
    elif kind == 1:
        cv2.line(
            image,
            (int(x - radius * 0.5), int(y)),
            (int(x - radius * 0.1), int(y + radius * 0.5)),
            colour,
            max(1, int(radius / 4)),
            cv2.LINE_AA,
        )
        cv2.line(
            image,
            (int(x - radius * 0.1), int(y + radius * 0.5)),
            (int(x + radius * 0.5), int(y - radius * 0.5)),
            colour,
            max(1, int(radius / 4)),
            cv2.LINE_AA,
        )
    elif kind == 2:
        turns = np.arange(10) * np.pi / 5 - np.pi / 2
        reach = radius * np.where(np.arange(10) % 2, 0.3, 0.7)
        polygon(image, np.stack([x + reach * np.cos(turns), y + reach * np.sin(turns)], 1), colour)
    else:
        turns = np.radians([-90, 30, 150])
        polygon(image, np.stack([x + radius * 0.6 * np.cos(turns), y + radius * 0.6 * np.sin(turns)], 1), colour)


@lru_cache(maxsize=_BAR_CODES)
def _bars(number: int) -> NDArray[np.uint8]:
    dark = np.repeat(np.random.default_rng(number).random(48) < 0.5, 2)[None, :]
    return np.where(dark, 20, 250).astype(np.uint8)


def barcode(image: Image, box: Box, rng: np.random.Generator) -> None:
    """A barcode on white."""
    left, top, right, bottom = (int(v) for v in box)
    if right - left < 4 or bottom - top < 2:
        return
    cv2.rectangle(image, (left, top), (right, bottom), (250, 250, 250), -1)
    margin = max((right - left) // 12, 1)
    drawn = _bars(int(rng.integers(_BAR_CODES)))
    width, height = right - left - 2 * margin, int((bottom - top) * 0.8)
    if width < 2 or height < 1:
        return
    bars_drawn = cv2.resize(drawn, (width, height), interpolation=cv2.INTER_AREA)
    target = image[top + 1 : top + 1 + height, left + margin : left + margin + width]
    target[:] = bars_drawn[: target.shape[0], : target.shape[1], None]
