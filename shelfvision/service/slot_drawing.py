"""Where the marks of a slot stand on the drawn shelf: numbers for the SVG, in pixels of the camera's frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Glyph:
    """Square box of the state's symbol."""

    x: float
    y: float
    side: float


@dataclass(frozen=True, slots=True)
class Level:
    """The bar that shows how full a slot is."""

    x: float
    y: float
    width: float
    height: float
    filled: float


@dataclass(frozen=True, slots=True)
class Label:
    """Middle of the slot id's text."""

    x: float
    y: float
    size: float


def points_text(polygon: Sequence[Point]) -> str:
    """The polygon as SVG wants it."""
    return " ".join(f"{x:g},{y:g}" for x, y in polygon)


def inner_point(polygon: Sequence[Point]) -> Point:
    """The centroid by the shoelace formula; a point inside for any shape that a slot is likely to have."""
    doubled = x = y = 0.0
    for (x1, y1), (x2, y2) in zip(polygon, [*polygon[1:], polygon[0]], strict=True):
        cross = x1 * y2 - x2 * y1
        doubled += cross
        x += (x1 + x2) * cross
        y += (y1 + y2) * cross
    if doubled == 0:
        return polygon[0]
    return x / (3 * doubled), y / (3 * doubled)


def place_marks(
    polygon: Sequence[Point], frame_width: float, slot_id: str, fullness: float | None
) -> tuple[Glyph, Level | None, Label | None]:
    """Symbol in the middle, the id above it where there is room, the level bar near the lower edge."""
    width = max(x for x, _ in polygon) - min(x for x, _ in polygon)
    top, bottom = min(y for _, y in polygon), max(y for _, y in polygon)
    height = bottom - top
    x, y = inner_point(polygon)
    side = round(min(width * 0.62, height * 0.46, frame_width / 16), 1)
    size = frame_width / 64
    label = None
    if len(slot_id) * size * 0.62 <= width * 0.94 and height > side + 3.4 * size:
        label = Label(round(x, 1), round(max(top + size * 1.35, y - side / 2 - size * 0.7), 1), round(size, 1))
    level = None
    if fullness is not None:
        thickness = round(min(height * 0.07, width * 0.2, frame_width / 110), 1)
        bar = width * 0.68
        level = Level(
            round(x - bar / 2, 1),
            round(bottom - height * 0.1 - thickness, 1),
            round(bar, 1),
            thickness,
            round(max(bar * fullness, thickness if fullness > 0 else 0), 1),
        )
    return Glyph(round(x - side / 2, 1), round(y - side / 2, 1), side), level, label
