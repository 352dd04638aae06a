"""Surfaces behind words and pictures on packaging: plain, gradients, splits, stripes, chequers."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import cv2
import numpy as np

from shelfvision.sim.palette import Scheme, mix
from shelfvision.sim.pictures import Image, ellipse, polygon


def paint_background(image: Image, kind: str, scheme: Scheme, rng: np.random.Generator) -> None:
    """Fill a picture with one of ``BACKGROUNDS``."""
    image[:] = scheme.base
    level = rng.uniform(0.35, 0.65)
    if kind != "plain":
        _PAINTERS[kind](image, scheme, level, rng)


def _gradient(image: Image, scheme: Scheme, _level: float, rng: np.random.Generator) -> None:
    ramp = (np.linspace(0, 1, len(image)) ** rng.uniform(0.6, 2.0))[:, None]
    image[:] = (np.asarray(scheme.base) * (1 - ramp) + np.asarray(scheme.second) * ramp)[:, None].astype(np.uint8)


def _halo(image: Image, scheme: Scheme, level: float, rng: np.random.Generator) -> None:
    height, width = image.shape[:2]
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    far = np.sqrt(((x - width / 2) / width) ** 2 + ((y - height * level) / height) ** 2)
    glow = np.clip(1 - far * rng.uniform(1.6, 2.6), 0, 1)[..., None] * 0.75
    image[:] = (image * (1 - glow) + np.asarray(scheme.second) * glow).astype(np.uint8)


def _split(image: Image, scheme: Scheme, level: float, _rng: np.random.Generator) -> None:
    image[int(len(image) * level) :] = scheme.second


def _diagonal(image: Image, scheme: Scheme, level: float, rng: np.random.Generator) -> None:
    height, width = image.shape[:2]
    rise = rng.uniform(-0.25, 0.25)
    y1, y2 = height * (level - rise), height * (level + rise)
    polygon(image, [(-1, y1), (width, y2), (width, height), (-1, height)], scheme.second)


def _arch(image: Image, scheme: Scheme, _level: float, rng: np.random.Generator) -> None:
    height, width = image.shape[:2]
    y = height * (1.15 if rng.random() < 0.5 else -0.1)
    ellipse(image, (width / 2, y), (width * 0.85, height * rng.uniform(0.45, 0.65)), scheme.second)


def _stripes(image: Image, scheme: Scheme, _level: float, rng: np.random.Generator) -> None:
    height, width = image.shape[:2]
    slant, step = rng.uniform(-0.6, 0.6) * height, max(width / rng.integers(3, 9), 3)
    shade = mix(scheme.base, scheme.second, 0.55)
    for x in np.arange(-abs(slant), width + abs(slant), 2 * step):
        polygon(image, [(x, 0), (x + step, 0), (x + step + slant, height), (x + slant, height)], shade)


def _grid(image: Image, step: float) -> Iterator[tuple[float, float]]:
    """Corners of every second square of a chessboard."""
    height, width = image.shape[:2]
    for row, y in enumerate(np.arange(0, height, step)):
        for x in np.arange((row % 2) * step, width, 2 * step):
            yield x, y


def _checks(image: Image, scheme: Scheme, _level: float, rng: np.random.Generator) -> None:
    step = max(image.shape[1] / rng.integers(5, 11), 3)
    shade = mix(scheme.base, scheme.second, 0.5)
    for x, y in _grid(image, step):
        cv2.rectangle(image, (int(x), int(y)), (int(x + step) - 1, int(y + step) - 1), shade, -1)


def _dots(image: Image, scheme: Scheme, _level: float, rng: np.random.Generator) -> None:
    step = max(image.shape[1] / rng.integers(5, 11), 3)
    shade = mix(scheme.base, scheme.second, 0.5)
    for x, y in _grid(image, step):
        ellipse(image, (x + step / 2, y + step / 2), (step * 0.3, step * 0.3), shade)


def _bands(image: Image, scheme: Scheme, _level: float, rng: np.random.Generator) -> None:
    height, width = image.shape[:2]
    y = height * rng.uniform(0.0, 0.1)
    cv2.rectangle(image, (0, int(y)), (width, int(y + height * rng.uniform(0.03, 0.12))), scheme.second, -1)
    cv2.rectangle(image, (0, int(height * rng.uniform(0.8, 0.92))), (width, height), scheme.accent, -1)


_PAINTERS: dict[str, Callable[[Image, Scheme, float, np.random.Generator], None]] = {
    "gradient": _gradient,
    "halo": _halo,
    "split": _split,
    "diagonal": _diagonal,
    "arch": _arch,
    "stripes": _stripes,
    "checks": _checks,
    "dots": _dots,
    "bands": _bands,
}
BACKGROUNDS = ("plain", *_PAINTERS)
