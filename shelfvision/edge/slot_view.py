"""The part of a working picture that belongs to one slot, with some of its surroundings."""

from __future__ import annotations

from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from shelfvision.core.planogram import Slot
from shelfvision.edge.light import Mask

Value = TypeVar("Value", bound=np.generic)

MARGIN = 0.3  # of the slot's shorter side: surroundings that show how the background goes on
NEAR = 0.12  # of the slot's shorter side: a product may stick out of its polygon that far


def _dilate(mask: Mask, pixels: int) -> Mask:
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * pixels + 1, 2 * pixels + 1))
    return np.asarray(cv2.dilate(mask.astype(np.uint8), kernel) > 0)


class SlotView:
    """Where a slot lies at working resolution.

    Args:
        slot: polygon in frame pixels.
        reduction: frame pixels per working pixel.
        shape: height and width of the working picture.
    """

    def __init__(self, slot: Slot, reduction: int, shape: tuple[int, int]) -> None:
        self.slot = slot
        height, width = shape
        corners = np.asarray(slot.polygon, np.float64) / reduction
        low, high = corners.min(axis=0), corners.max(axis=0)
        side = max(2.0, float((high - low).min()))
        margin = max(4, round(MARGIN * side))
        near = max(1, round(NEAR * side))
        self.left, self.top = max(0, int(low[0]) - margin), max(0, int(low[1]) - margin)
        self.right, self.bottom = min(width, int(high[0]) + 1 + margin), min(height, int(high[1]) + 1 + margin)
        local = np.round((corners - (self.left, self.top)) * 16).astype(np.int32)
        canvas = np.zeros((self.bottom - self.top, self.right - self.left), np.uint8)
        cv2.fillPoly(canvas, [local], 1, shift=4)
        self.inside: Mask = canvas > 0
        if not self.inside.any():
            middle = ((low + high) / 2 - (self.left, self.top)).astype(int)
            self.inside[min(middle[1], canvas.shape[0] - 1), min(middle[0], canvas.shape[1] - 1)] = True
        self.near: Mask = _dilate(self.inside, near)
        self.pixels = int(np.count_nonzero(self.inside))
        self.facings = slot.facings
        columns = np.flatnonzero(self.inside.any(axis=0))
        self.first, self.width = int(columns[0]), int(columns[-1] - columns[0] + 1)
        position = (np.arange(canvas.shape[1]) - self.first) * self.facings // self.width
        self.column: NDArray[np.int64] = np.clip(position, 0, self.facings - 1)  # (w,) facing of each pixel column
        self.facing_pixels = max(1.0, self.pixels / self.facings)
        self.facing_width = max(1.0, self.width / self.facings)
        self.height = max(1, int(np.count_nonzero(self.inside.any(axis=1))))

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Working-pixel box of the view, ends exclusive."""
        return self.left, self.top, self.right, self.bottom

    def holds(self, place: tuple[float, float]) -> bool:
        """Whether a place in working pixels lies in the slot or its nearest surroundings."""
        x, y = int(place[0]) - self.left, int(place[1]) - self.top
        height, width = self.near.shape
        return 0 <= x < width and 0 <= y < height and bool(self.near[y, x])

    def cut(self, values: NDArray[Value]) -> NDArray[Value]:
        """The view's part of maps (..., H, W): (..., h, w), not copied."""
        return values[..., self.top : self.bottom, self.left : self.right]
