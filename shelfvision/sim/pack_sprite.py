"""The picture of one package from one direction, with what is needed to set it on a shelf."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from shelfvision.sim.pictures import Image

SEEN = 72  # a pixel belongs to a package from this cover on (of 255); transparent parts are never below


@dataclass(frozen=True, slots=True)
class Sprite:
    """A package seen from one direction."""

    pixels: Image  # (h, w, 4) BGRA, colour multiplied by cover
    anchors: NDArray[
        np.float32
    ]  # (4, 2) pixels of the reference rectangle: bottom left, bottom right, top right, top left
    plane: float  # cm that the rectangle stands in front of the foot's centre
    turns: bool  # the rectangle faces the camera (round bodies) or the package's own front
    seen_area: float  # pixels that belong to the package


def multiply_light(pixels: Image, colour: NDArray[np.float32], white: NDArray[np.float32]) -> Image:
    """BGR lit: colour factor from 0 to 2 and white added from 0 to 1, both (h, w), or (h, 1) for whole rows."""
    factor, added = (
        cv2.cvtColor(cv2.convertScaleAbs(part, alpha=most), cv2.COLOR_GRAY2BGR)
        for part, most in ((colour, 127.5), (white, 255.0))
    )
    if (across := pixels.shape[1] - factor.shape[1]) > 0:
        factor, added = (cv2.copyMakeBorder(part, 0, 0, 0, across, cv2.BORDER_REPLICATE) for part in (factor, added))
    return np.asarray(cv2.add(cv2.multiply(pixels, factor, scale=1 / 127.5), added), np.uint8)


def make_sprite(
    bgr: Image, cover: NDArray[np.uint8], anchors: NDArray[np.floating], plane: float, turns: bool
) -> Sprite:
    """A sprite from its colour (h, w, 3) and cover (h, w), 0 to 255."""
    pixels = cv2.cvtColor(cv2.multiply(bgr, cv2.cvtColor(cover, cv2.COLOR_GRAY2BGR), scale=1 / 255), cv2.COLOR_BGR2BGRA)
    cv2.insertChannel(cover, pixels, 3)
    seen = float(np.count_nonzero(cover >= SEEN))
    return Sprite(np.asarray(pixels, np.uint8), anchors.astype(np.float32), plane, turns, seen)


def straight(sprite: Sprite) -> Image:
    """A sprite cut to its package, (h, w, 4) BGRA with colour not multiplied by cover."""
    low, high = sprite.anchors.min(axis=0), sprite.anchors.max(axis=0)
    box = slice(max(int(low[1]) - 1, 0), int(high[1]) + 2), slice(max(int(low[0]) - 1, 0), int(high[0]) + 2)
    pixels = sprite.pixels[box].astype(np.float32)
    pixels[..., :3] *= 255 / np.maximum(pixels[..., 3:], 1)
    return np.clip(pixels, 0, 255).astype(np.uint8)
