"""Geometry of boxes ``(x1, y1, x2, y2)``: areas, overlaps and their union, as plain arrays."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Boxes = NDArray[np.floating]
"""(n, 4) corners x1, y1, x2, y2 in pixels."""


def area(boxes: Boxes) -> NDArray[np.float64]:
    """(n,) areas in square pixels; a box whose corners are out of order has none."""
    sides = np.maximum(np.asarray(boxes, np.float64)[:, 2:] - np.asarray(boxes, np.float64)[:, :2], 0)
    return np.asarray(sides[:, 0] * sides[:, 1])


def intersection(first: Boxes, second: Boxes) -> NDArray[np.float64]:
    """(n, m) areas that each box of ``first`` shares with each box of ``second``."""
    a, b = np.asarray(first, np.float64)[:, None], np.asarray(second, np.float64)[None]
    sides = np.maximum(np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2]), 0)
    return np.asarray(sides[..., 0] * sides[..., 1])


def iou(first: Boxes, second: Boxes) -> NDArray[np.float64]:
    """(n, m) intersection over union; 0 where both boxes are empty."""
    shared = intersection(first, second)
    union = area(first)[:, None] + area(second)[None] - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def coverage(first: Boxes, second: Boxes) -> NDArray[np.float64]:
    """(n, m) share of each box of ``first`` that lies inside each box of ``second``; 0 for empty boxes."""
    own = area(first)[:, None]
    shared = intersection(first, second)
    return np.divide(shared, own, out=np.zeros_like(shared), where=own > 0)


def centres(boxes: Boxes) -> NDArray[np.float64]:
    """(n, 2) middle points x, y."""
    return np.asarray((np.asarray(boxes, np.float64)[:, :2] + np.asarray(boxes, np.float64)[:, 2:]) / 2)


def enclosing(boxes: Boxes) -> tuple[float, float, float, float]:
    """Smallest box around all of ``boxes`` (at least one)."""
    low, high = boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])
