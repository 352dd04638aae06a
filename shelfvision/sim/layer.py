"""Painting on a part of a canvas: polygons, warped pictures and sprites, with the map of what belongs to which unit."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from shelfvision.sim.pack_sprite import SEEN, Sprite
from shelfvision.sim.palette import Colour

Image = NDArray[np.uint8]
_STILL = 0.05  # pixels; OpenCV's warps round to a 32nd
_LIMIT = 30_000.0  # OpenCV's fixed-point drawing overflows beyond


class Layer:
    """A rectangle of a canvas that is painted back to front."""

    def __init__(self, box: tuple[int, int, int, int]) -> None:
        """Args: box: left, top, right, bottom of the rectangle in canvas pixels, ends exclusive."""
        self.left, self.top = box[0], box[1]
        self.image: Image = np.zeros((box[3] - box[1], box[2] - box[0], 3), np.uint8)
        self.ids = np.zeros(self.image.shape[:2], np.int32)  # 0: no unit
        self._mask = np.zeros(self.image.shape[:2], np.uint8)

    def _local(self, corners: NDArray[np.floating]) -> NDArray[np.int32]:
        local = corners - (self.left, self.top)
        if abs(local).max(initial=0) > _LIMIT:
            local = np.clip(local, -_LIMIT, _LIMIT)
        return np.asarray(np.rint(local * 16), np.int32)

    def polygon(self, corners: NDArray[np.floating], colour: Colour) -> None:
        """Fill a polygon with smooth edges; what it covers belongs to no unit."""
        if len(corners) < 3:
            return
        points = self._local(corners)
        cv2.fillPoly(self.image, [points], colour, cv2.LINE_AA, 4)
        cv2.fillPoly(self.ids, [points], 0, cv2.LINE_8, 4)

    def tint(self, corners: NDArray[np.floating], colour: Colour) -> None:
        """Colour a polygon of what has just been painted with `polygon`."""
        if len(corners) >= 3:
            cv2.fillPoly(self.image, [self._local(corners)], colour, cv2.LINE_AA, 4)

    def polygons(self, corners: NDArray[np.floating], colour: Colour) -> None:
        """Fill many small polygons (n, k, 2) of the background at once; what belongs to units is left alone."""
        low, high = corners.min(axis=1), corners.max(axis=1)
        corner = np.array([self.left, self.top])
        inside = ((high >= corner) & (low <= corner + self.image.shape[1::-1])).all(axis=1)
        cv2.fillPoly(self.image, list(self._local(corners[inside])), colour, cv2.LINE_AA, 4)

    def lines(self, segments: Sequence[NDArray[np.floating]], colour: Colour, thickness: int) -> None:
        """Open lines; too thin to hide a unit."""
        cv2.polylines(
            self.image,
            [self._local(line) for line in segments if len(line) >= 2],
            False,
            colour,
            thickness,
            cv2.LINE_AA,
            4,
        )

    def _window(self, corners: NDArray[np.floating]) -> tuple[int, int, int, int] | None:
        """Pixels of this layer (left, top, right, bottom) that a quadrilateral with a border of one can touch."""
        low, high = np.floor(corners.min(axis=0)) - 1, np.ceil(corners.max(axis=0)) + 2
        x1, y1 = max(int(low[0]) - self.left, 0), max(int(low[1]) - self.top, 0)
        x2, y2 = min(int(high[0]) - self.left, self.image.shape[1]), min(int(high[1]) - self.top, self.image.shape[0])
        return None if x1 >= x2 or y1 >= y2 else (x1, y1, x2, y2)

    def stretched(self, picture: Image, canvas_size: tuple[int, int]) -> Image:
        """The layer's part of a picture that is stretched over the whole canvas."""
        height, width = self.image.shape[:2]
        if (width, height) == canvas_size:
            return np.asarray(cv2.resize(picture, canvas_size, interpolation=cv2.INTER_LINEAR), np.uint8)
        ratio_x, ratio_y = picture.shape[1] / canvas_size[0], picture.shape[0] / canvas_size[1]
        # the same pixel centres as ``cv2.resize`` uses
        offset = (self.left + 0.5) * ratio_x - 0.5, (self.top + 0.5) * ratio_y - 0.5
        matrix = np.array([[ratio_x, 0, offset[0]], [0, ratio_y, offset[1]]])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        part = cv2.warpAffine(picture, matrix, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(part, np.uint8)

    def panel(self, picture: Image, matrix: NDArray[np.float64]) -> None:
        """Paint an opaque picture of the background through a map to the canvas, with hard edges; quick."""
        placed = self._placed(picture, matrix)
        if placed is None:
            return
        _, (x1, y1, x2, y2), moved = placed
        cv2.warpPerspective(
            picture,
            moved,
            (x2 - x1, y2 - y1),
            dst=self.image[y1:y2, x1:x2],
            flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_TRANSPARENT,
        )

    def picture(self, picture: Image, matrix: NDArray[np.float64]) -> None:
        """Paint an opaque (h, w, 3) or covering (h, w, 4, colour times cover) picture; it belongs to no unit."""
        if picture.shape[2] == 4:
            self._covering(picture, matrix, 0, 1.0)
            return
        placed = self._placed(picture, matrix)
        if placed is None:
            return
        corners, (x1, y1, x2, y2), moved = placed
        size = x2 - x1, y2 - y1
        mask = np.zeros(size[::-1], np.uint8)
        local = np.array(corners) - (self.left + x1, self.top + y1)
        cv2.fillConvexPoly(mask, np.round(local * 16).astype(np.int32), 255, cv2.LINE_AA, 4)
        warped = cv2.warpPerspective(picture, moved, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        target = self.image[y1:y2, x1:x2]
        inside, rest = (cv2.cvtColor(part, cv2.COLOR_GRAY2BGR) for part in (mask, cv2.bitwise_not(mask)))
        kept = cv2.multiply(target, rest, scale=1 / 255)
        cv2.add(kept, cv2.multiply(warped, inside, scale=1 / 255), dst=target)
        np.copyto(self.ids[y1:y2, x1:x2], 0, where=mask >= SEEN)

    def sprite(self, sprite: Sprite, matrix: NDArray[np.float64], identity: int, gain: float) -> None:
        """Paint a package, its light times ``gain``; its pixels belong to ``identity``."""
        self._covering(sprite.pixels, matrix, identity, gain)

    def _covering(self, picture: Image, matrix: NDArray[np.float64], identity: int, gain: float) -> None:
        placed = self._placed(picture, matrix)
        if placed is None:
            return
        _, (x1, y1, x2, y2), moved = placed
        shift = _shift(moved, picture.shape)
        if shift is None:
            warped = cv2.warpPerspective(picture, moved, (x2 - x1, y2 - y1), flags=cv2.INTER_LINEAR)
        else:  # close views are made where they stand: nothing to warp
            left, top = x1 + shift[0], y1 + shift[1]
            x1, y1 = max(x1, left), max(y1, top)
            x2, y2 = min(x2, left + picture.shape[1]), min(y2, top + picture.shape[0])
            if x1 >= x2 or y1 >= y2:
                return
            warped = picture[y1 - top : y2 - top, x1 - left : x2 - left]
        mask = cv2.extractChannel(warped, 3)
        target = self.image[y1:y2, x1:x2]
        rest = cv2.cvtColor(cv2.bitwise_not(mask), cv2.COLOR_GRAY2BGR)
        kept = cv2.multiply(target, rest, scale=1 / 255)
        cv2.addWeighted(cv2.cvtColor(warped, cv2.COLOR_BGRA2BGR), gain, kept, 1.0, 0.0, dst=target)
        np.copyto(self.ids[y1:y2, x1:x2], identity, where=mask >= SEEN)

    def _placed(
        self, picture: Image, matrix: NDArray[np.float64]
    ) -> tuple[list[tuple[float, float]], tuple[int, int, int, int], NDArray[np.float64]] | None:
        """A picture's four corners on the canvas, its window of this layer, and its map to that window.

        None when nothing of it falls into the layer.
        """
        height, width = picture.shape[:2]
        right, bottom = width - 0.5, height - 0.5
        # plain numbers: this runs for each package, where NumPy's calls would take longer than the work
        (a, b, c), (d, e, f), (g, h, i) = matrix.tolist()
        xs, ys = [], []
        for x, y in ((-0.5, -0.5), (right, -0.5), (right, bottom), (-0.5, bottom)):
            away = g * x + h * y + i
            xs.append((a * x + b * y + c) / away)
            ys.append((d * x + e * y + f) / away)
        rows, columns = self.image.shape[:2]
        x1 = max(math.floor(min(xs)) - 1 - self.left, 0)
        y1 = max(math.floor(min(ys)) - 1 - self.top, 0)
        x2 = min(math.ceil(max(xs)) + 2 - self.left, columns)
        y2 = min(math.ceil(max(ys)) + 2 - self.top, rows)
        if x1 >= x2 or y1 >= y2:
            return None
        moved = matrix.copy()
        moved[0] -= (self.left + x1) * matrix[2]
        moved[1] -= (self.top + y1) * matrix[2]
        return list(zip(xs, ys, strict=True)), (x1, y1, x2, y2), moved

    def darken(self, polygons: Sequence[NDArray[np.floating]], strength: float, spread: float) -> None:
        """Soft shadows: fill polygons, blur them by ``spread`` pixels, take away up to ``strength`` of the light."""
        if not polygons or strength <= 0:
            return
        everything = np.concatenate(polygons)
        pad = 3 * spread
        window = self._window(np.stack([everything.min(axis=0) - pad, everything.max(axis=0) + pad]))
        if window is None:
            return
        x1, y1, x2, y2 = window
        factor = 4 if spread >= 3 else 2
        # a coarse grid that is the same whatever part of the canvas is painted, with room for the blur around it
        room = factor * (int(pad / factor) + 3)
        left, top = ((edge - room) // factor * factor for edge in (self.left + x1, self.top + y1))
        right, bottom = (-(-(edge + room) // factor) * factor for edge in (self.left + x2, self.top + y2))
        mask = np.zeros(((bottom - top) // factor, (right - left) // factor), np.uint8)
        local = np.clip((everything - (left, top) + 0.5) / factor - 0.5, -_LIMIT, _LIMIT)
        points = np.round(local * 16).astype(np.int32)
        for corners in np.split(points, np.cumsum([len(polygon) for polygon in polygons[:-1]])):
            cv2.fillConvexPoly(mask, corners, round(255 * strength), cv2.LINE_AA, 4)
        width = max(int(spread / factor) * 2 + 1, 1)
        soft = cv2.blur(cv2.blur(mask, (width, width)), (3, 3))
        full = cv2.resize(soft, (right - left, bottom - top), interpolation=cv2.INTER_LINEAR)
        x, y = self.left + x1 - left, self.top + y1 - top
        shade = full[y : y + y2 - y1, x : x + x2 - x1]
        target = self.image[y1:y2, x1:x2]
        cv2.multiply(target, cv2.cvtColor(cv2.bitwise_not(shade), cv2.COLOR_GRAY2BGR), dst=target, scale=1 / 255)


def _shift(matrix: NDArray[np.float64], shape: tuple[int, ...]) -> tuple[int, int] | None:
    """Whole pixels by which a map moves a picture of a shape; None when it does anything else to it."""
    (a, b, c), (d, e, f), (g, h, i) = matrix.tolist()
    x, y = round(c), round(f)
    reach = max(shape[:2])
    off = max(abs(a / i - 1), abs(b), abs(d), abs(e / i - 1), (abs(g) + abs(h)) * (reach + abs(x) + abs(y))) * reach
    return (x, y) if off + max(abs(c / i - x), abs(f / i - y)) < _STILL else None
