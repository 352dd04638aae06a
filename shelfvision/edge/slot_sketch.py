"""Draws proposed slots into the picture that they were found in, for people to check."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from shelfvision.core.planogram import Slot
from shelfvision.edge.frame import Image
from shelfvision.edge.lettering import INK, PAPER, Colour, Letters

# neighbours differ: Okabe and Ito's palette (2008) in an order of changing lightness
_COLOURS: tuple[Colour, ...] = (
    (115, 158, 0),
    (0, 159, 230),
    (178, 114, 0),
    (66, 228, 240),
    (167, 121, 204),
    (233, 180, 86),
    (0, 94, 213),
)


def draw_slots(image: Image, slots: Sequence[Slot]) -> Image:
    """A copy of the picture, enlarged when small, with every slot's outline, id and number of facings."""
    zoom = max(1, -(-960 // image.shape[1]))
    view = cv2.resize(image, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_CUBIC) if zoom > 1 else image.copy()
    unit = min(max(view.shape[1] / 1600, 0.7), 3.0)
    line = max(2, round(2.2 * unit))
    letters = Letters(0.45 * unit)
    pad = max(2, round(4 * unit))
    tint = view.copy()
    for index, slot in enumerate(slots):
        cv2.fillPoly(tint, [_corners(slot, zoom)], _COLOURS[index % len(_COLOURS)])
    view = np.asarray(cv2.addWeighted(view, 0.8, tint, 0.2, 0), np.uint8)
    for index, slot in enumerate(slots):
        corners, colour = _corners(slot, zoom), _COLOURS[index % len(_COLOURS)]
        cv2.polylines(view, [corners], True, INK, line + 2, cv2.LINE_AA)
        cv2.polylines(view, [corners], True, colour, line, cv2.LINE_AA)
        (left, top), (right, _) = corners.min(axis=0).tolist(), corners.max(axis=0).tolist()
        text = letters.fitted(f"{slot.id} x{slot.facings}", max(right - left - 2 * pad, letters.width("row1..")))
        below = top + letters.height + 2 * pad
        cv2.rectangle(view, (left, top), (left + letters.width(text) + 2 * pad, below), INK, -1)
        letters.write(view, text, left + pad, (top + below) // 2, PAPER)
    return view


def _corners(slot: Slot, zoom: int) -> np.ndarray:
    return np.round(np.asarray(slot.polygon) * zoom).astype(np.int32)
