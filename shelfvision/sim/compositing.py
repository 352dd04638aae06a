"""Draws sprites into a picture, fast: premultiplied 8-bit colour, only the touched rectangle."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Mask = NDArray[np.uint8]
Matrix = NDArray[np.float64]
"""(2, 3): from pixels of the sprite to pixels of the picture."""


@dataclass(frozen=True, slots=True, eq=False)
class Stamp:
    """A sprite ready to be drawn."""

    pixels: Image  # (h, w, 4) BGRA, colour multiplied by alpha; (h, w) cover of what is only asked where it is

    @property
    def nbytes(self) -> int:
        """Memory it takes."""
        return int(self.pixels.nbytes)


def make_stamp(sprite: Image, *, share: Mask | None = None) -> Stamp:
    """A stamp of a BGRA sprite, colour multiplied by alpha; ``share`` (0 to 255) of its pixels if given."""
    if share is None:
        return Stamp(sprite)
    return Stamp(np.asarray(cv2.multiply(sprite, cv2.merge([share] * 4), scale=1 / 255), np.uint8))


def relit(pixels: Image, gains: NDArray[np.floating]) -> Image:
    """BGRA pixels, colour multiplied by alpha, in a light with the given (3,) BGR factors."""
    lit = cv2.multiply(pixels, np.array([*gains, 1.0], np.float64))
    if float(np.max(gains)) > 1:  # no colour may exceed its alpha
        alpha = cv2.extractChannel(pixels, 3)
        lit = cv2.min(lit, cv2.merge([alpha] * 4))
    return np.asarray(lit, np.uint8)


def placing(
    anchor: tuple[float, float],
    target: tuple[float, float],
    *,
    scale: float = 1.0,
    degrees: float = 0.0,
    mirrored: bool = False,
    stretch: float = 1.0,
) -> Matrix:
    """The matrix that brings a sprite's anchor to a target pixel, scaled, turned (clockwise on the screen), mirrored.

    ``stretch`` scales the sprite's own y axis besides.
    """
    angle = np.deg2rad(degrees)
    turned = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    own = turned @ np.diag([-1.0 if mirrored else 1.0, stretch])
    return np.column_stack([own, np.array(target) - own @ np.array(anchor)])


@dataclass(frozen=True, slots=True)
class Region:
    """A rectangle of a picture, ends exclusive."""

    x1: int
    y1: int
    x2: int
    y2: int


class Canvas:
    """A picture being composed, and what of it is covered by things in front of the shelf."""

    def __init__(self, size: tuple[int, int]) -> None:
        width, height = size
        self.image: Image = np.zeros((height, width, 3), np.uint8)
        self.cover: Mask = np.zeros((height, width), np.uint8)
        self._touched: list[Region] = []

    @property
    def touched(self) -> bool:
        """Whether anything was drawn that covers the shelf."""
        return bool(self._touched)

    def touches(self, region: Region) -> bool:
        """Whether something that covers the shelf may have been drawn in a rectangle."""
        return any(
            t.x1 < region.x2 and region.x1 < t.x2 and t.y1 < region.y2 and region.y1 < t.y2 for t in self._touched
        )

    def begin(self, background: Image) -> None:
        """Start a new picture on a copy of the background."""
        np.copyto(self.image, background)
        for region in self._touched:
            self.cover[region.y1 : region.y2, region.x1 : region.x2] = 0
        self._touched.clear()

    def draw(
        self, stamp: Stamp, matrix: Matrix, *, smear: tuple[float, float] = (0.0, 0.0), covers: bool = True
    ) -> Region | None:
        """Draw a stamp; ``smear`` is its movement in pixels while the shutter is open.

        Returns:
            The rectangle that it may have changed, or None when it lies outside the picture.
        """
        region, warped = self._warp(stamp.pixels, matrix, smear)
        if region is None or warped is None:
            return None
        part = self.image[region.y1 : region.y2, region.x1 : region.x2]
        blue, green, red, alpha = cv2.split(warped)
        rest = cv2.bitwise_not(alpha)
        kept = cv2.multiply(part, cv2.merge([rest, rest, rest]), scale=1 / 255)
        cv2.add(kept, cv2.merge([blue, green, red]), dst=part)
        if covers:
            below = self.cover[region.y1 : region.y2, region.x1 : region.x2]
            cv2.max(below, alpha, dst=below)
            self._touched.append(region)
        return region

    def shadow(self, stamp: Stamp, matrix: Matrix, strength: float) -> None:
        """Darken by a stamp's alpha, which should be a blurred one."""
        region, warped = self._warp(stamp.pixels, matrix, (0.0, 0.0))
        if region is None or warped is None:
            return
        part = self.image[region.y1 : region.y2, region.x1 : region.x2]
        dark = cv2.convertScaleAbs(cv2.extractChannel(warped, 3), alpha=-strength, beta=0)
        rest = cv2.bitwise_not(dark)
        cv2.multiply(part, cv2.merge([rest, rest, rest]), dst=part, scale=1 / 255)

    def mask_of(self, stamp: Stamp, matrix: Matrix) -> tuple[Region, Mask] | None:
        """The alpha of a stamp where it would be drawn."""
        region, warped = self._warp(stamp.pixels, matrix, (0.0, 0.0))
        if region is None or warped is None:
            return None
        return region, warped if warped.ndim == 2 else np.asarray(cv2.extractChannel(warped, 3), np.uint8)

    def _warp(self, pixels: Image, matrix: Matrix, smear: tuple[float, float]) -> tuple[Region | None, Image | None]:
        height, width = pixels.shape[:2]
        corners = matrix[:, :2] @ np.array([[0, width, width, 0], [0, 0, height, height]]) + matrix[:, 2:]
        grow = np.abs(smear) / 2 + 1
        low, high = corners.min(axis=1) - grow, corners.max(axis=1) + grow
        region = Region(
            max(0, int(np.floor(low[0]))),
            max(0, int(np.floor(low[1]))),
            min(self.image.shape[1], int(np.ceil(high[0]))),
            min(self.image.shape[0], int(np.ceil(high[1]))),
        )
        if region.x1 >= region.x2 or region.y1 >= region.y2:
            return None, None
        moved = matrix.copy()
        moved[:, 2] -= (region.x1, region.y1)
        size = (region.x2 - region.x1, region.y2 - region.y1)
        warped = np.asarray(cv2.warpAffine(pixels, moved, size, flags=cv2.INTER_LINEAR), np.uint8)
        if max(abs(smear[0]), abs(smear[1])) >= 2.5:
            warped = _smeared(warped, smear)
        return region, warped


def _smeared(picture: Image, smear: tuple[float, float]) -> Image:
    """Mean along a line: what a moving thing leaves on the sensor."""
    reach = np.ceil(np.abs(smear) / 2).astype(int)
    kernel = np.zeros((2 * reach[1] + 1, 2 * reach[0] + 1), np.float32)
    middle = (int(reach[0]), int(reach[1]))
    half = (smear[0] / 2, smear[1] / 2)
    ends = [(round(middle[0] + sign * half[0]), round(middle[1] + sign * half[1])) for sign in (-1, 1)]
    cv2.line(kernel, ends[0], ends[1], 1.0)
    return np.asarray(cv2.filter2D(picture, -1, kernel / kernel.sum()), np.uint8)


SHADOW_MARGIN = 8  # pixels of a shadow stamp around its sprite, so that the blur ends inside


def shadow_stamp(sprite: Image, blur: float, shrink: int = 8) -> tuple[Stamp, float]:
    """A blurred, shrunk stamp of a sprite's alpha for `Canvas.shadow`, and its scale: sprite pixels per stamp pixel."""
    alpha = sprite[..., 3]
    size = (max(1, alpha.shape[1] // shrink), max(1, alpha.shape[0] // shrink))
    small = cv2.resize(alpha, size, interpolation=cv2.INTER_AREA)
    around = (SHADOW_MARGIN, SHADOW_MARGIN, SHADOW_MARGIN, SHADOW_MARGIN)
    small = cv2.copyMakeBorder(small, *around, cv2.BORDER_CONSTANT, value=0)
    soft = cv2.GaussianBlur(small, (0, 0), min(max(blur / shrink, 0.6), SHADOW_MARGIN / 3))
    pixels = np.zeros((*soft.shape, 4), np.uint8)
    pixels[..., 3] = soft
    return Stamp(pixels), float(shrink)
