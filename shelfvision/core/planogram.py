"""Where products belong: slots as polygons in the pixels of one camera."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from shelfvision.errors import GeometryError

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Slot:
    """The place of one SKU on a shelf as one camera sees it."""

    id: str
    polygon: tuple[Point, ...]  # (x, y) pixels of ``frame_size``, at least three corners
    sku: str
    facings: int = 1  # units side by side at the front when full
    capacity: int = 1  # units that fit, depth counted
    priority: float = 1.0

    @property
    def bounds(self) -> tuple[int, int, int, int]:
        """Smallest whole-pixel box ``(x1, y1, x2, y2)`` around the polygon, ends exclusive."""
        corners = np.asarray(self.polygon)
        low, high = np.floor(corners.min(axis=0)), np.ceil(corners.max(axis=0))
        return int(low[0]), int(low[1]), int(high[0]), int(high[1])


@dataclass(frozen=True, slots=True)
class CameraPlan:
    """All slots of one camera, bound to the frame size that they were drawn on."""

    camera: str
    frame_size: tuple[int, int]  # width, height in pixels
    slots: tuple[Slot, ...]


def polygon_area(polygon: tuple[Point, ...]) -> float:
    """Area in square pixels by the shoelace formula."""
    x, y = np.asarray(polygon, dtype=float).T
    return float(abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2)


def _side(a: Point, b: Point, c: Point) -> float:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


def _on_segment(a: Point, b: Point, p: Point) -> bool:
    return min(a[0], b[0]) <= p[0] <= max(a[0], b[0]) and min(a[1], b[1]) <= p[1] <= max(a[1], b[1])


def _segments_meet(a: Point, b: Point, c: Point, d: Point) -> bool:
    sides = _side(a, b, c), _side(a, b, d), _side(c, d, a), _side(c, d, b)
    if sides[0] * sides[1] < 0 and sides[2] * sides[3] < 0:
        return True
    touching = ((a, b, c), (a, b, d), (c, d, a), (c, d, b))
    return any(side == 0 and _on_segment(start, end, p) for side, (start, end, p) in zip(sides, touching, strict=True))


def check_polygon(polygon: tuple[Point, ...], frame_size: tuple[int, int]) -> None:
    """Check that a polygon is a simple one inside the frame.

    Raises:
        GeometryError: fewer than three corners, a corner outside ``(0, 0)..frame_size``, an edge that
            crosses or touches another, or an area under four square pixels.
    """
    width, height = frame_size
    if len(polygon) < 3:
        raise GeometryError(f"polygon has {len(polygon)} corners, expected at least 3")
    for x, y in polygon:
        if not (0 <= x <= width and 0 <= y <= height):
            raise GeometryError(f"polygon corner ({x:g}, {y:g}) lies outside the frame of {width}x{height} pixels")
    edges = list(pairwise([*polygon, polygon[0]]))
    for i, first in enumerate(edges):
        for j in range(i + 2, len(edges)):
            if (i, j) != (0, len(edges) - 1) and _segments_meet(*first, *edges[j]):
                raise GeometryError(f"polygon crosses itself: edge {i + 1} meets edge {j + 1}")
    if polygon_area(polygon) < 4:
        raise GeometryError("polygon has an area under 4 square pixels")


def polygon_mask(polygon: tuple[Point, ...], frame_size: tuple[int, int]) -> NDArray[np.bool_]:
    """Pixels whose centre lies inside the polygon (even-odd rule).

    Returns:
        (height, width) booleans.
    """
    width, height = frame_size
    y, x = np.mgrid[0:height, 0:width] + 0.5
    inside = np.zeros((height, width), dtype=bool)
    for (x1, y1), (x2, y2) in pairwise([*polygon, polygon[0]]):
        if y1 == y2:
            continue
        crosses = (y1 > y) != (y2 > y)
        inside ^= crosses & (x < (x2 - x1) * (y - y1) / (y2 - y1) + x1)
    return inside
