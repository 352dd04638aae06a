"""Sorts what differs from the settled shelf: hands and people in front, things that came or went, and strays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from shelfvision.edge.foreground import Blob, Maps
from shelfvision.edge.light import Mask
from shelfvision.edge.slot_view import SlotView


@dataclass(frozen=True, slots=True)
class SceneSettings:
    """How blobs are told apart. Shares are of the blob's area unless said."""

    still_seconds: float = 0.15  # a pixel that has not moved for so long is still
    moving_share: float = 0.06  # more moving pixels than this: the blob moves
    outside_share: float = 0.35  # more of it away from every slot: it is no product of a slot
    reach_pixels: int = 12  # working pixels of a moving blob away from every slot: it reaches in from outside
    arm: float = 0.025  # of the picture's width: thickness of the thinnest arm


@dataclass(slots=True, eq=False)
class Piece:
    """A blob with what it seems to be."""

    blob: Blob
    mask: Mask  # (h, w) of the blob's box
    front: bool  # it moves and reaches in from outside, or stands where no product can
    still: bool  # nothing of it moves
    cut: bool  # the picture's border cuts it
    slots: list[int] = field(default_factory=list)  # indices of the slots that it touches
    tip: tuple[float, float] = (0.0, 0.0)  # working pixels: the point furthest from where it enters the picture

    def still_for(self, maps: Maps, now: float) -> float:
        """Seconds for which nearly all of it has not moved."""
        x1, y1, x2, y2 = self.blob.box
        return now - float(np.percentile(maps.still_since[y1:y2, x1:x2][self.mask], 94))


def furthest_point(mask: Mask, box: tuple[int, int, int, int], shape: tuple[int, int]) -> tuple[float, float]:
    """The tip of a blob: its pixel that is furthest from where it is cut by the picture's border.

    A blob that touches no border is taken to come from the border nearest to it.

    Args:
        mask: (h, w) of the blob within ``box``.
        box: working pixels, ends exclusive.
        shape: height and width of the picture.
    """
    x1, y1, x2, y2 = box
    height, width = shape
    rows, columns = np.nonzero(mask)
    x, y = columns + x1, rows + y1
    border = (x == 0) | (y == 0) | (x == width - 1) | (y == height - 1)
    if border.any():
        origin_x, origin_y = float(x[border].mean()), float(y[border].mean())
    else:
        middle_x, middle_y = (x1 + x2) / 2, (y1 + y2) / 2
        sides = {(0.0, middle_y): x1, (float(width), middle_y): width - x2, (middle_x, 0.0): y1}
        sides[middle_x, float(height)] = height - y2
        origin_x, origin_y = min(sides, key=lambda side: sides[side])
    furthest = int(np.argmax((x - origin_x) ** 2 + (y - origin_y) ** 2))
    return float(x[furthest]), float(y[furthest])


class Scene:
    """Sorts the blobs of each frame by where the slots are.

    Args:
        views: the slots at working resolution.
        shape: height and width of the working picture.
        settings: see ``SceneSettings``.
    """

    def __init__(self, views: Sequence[SlotView], shape: tuple[int, int], settings: SceneSettings) -> None:
        self.views, self.shape, self.settings = views, shape, settings
        self.near: Mask = np.zeros(shape, bool)  # any slot or its nearest surroundings
        self.inside: Mask = np.zeros(shape, bool)  # any slot itself
        for view in views:
            view.cut(self.near)[view.near] = True
            view.cut(self.inside)[view.inside] = True
        self.mean_slot = float(np.mean([view.pixels for view in views])) if views else float(np.prod(shape))

    def sort(self, labels: NDArray[np.int32], blobs: Sequence[Blob], maps: Maps, now: float) -> list[Piece]:
        """Judge each blob of a frame."""
        pieces = []
        for blob in blobs:
            x1, y1, x2, y2 = blob.box
            window = (slice(y1, y2), slice(x1, x2))
            mask = labels[window] == blob.label
            moving = mask & (now - maps.still_since[window] < self.settings.still_seconds)
            still = bool(np.count_nonzero(moving) <= self.settings.moving_share * blob.area)
            piece = Piece(blob, mask, not still and self._reaches_in(mask, blob, window), still, self._cut(blob))
            for index, view in enumerate(self.views):
                if (
                    x1 < view.right
                    and view.left < x2
                    and y1 < view.bottom
                    and view.top < y2
                    and self.share(piece, view)
                ):
                    piece.slots.append(index)
            if still:
                piece.front = bool(piece.slots) and self._foreign(piece, window)
            if piece.front:
                piece.tip = furthest_point(mask, blob.box, self.shape)
            pieces.append(piece)
        return pieces

    def _reaches_in(self, mask: Mask, blob: Blob, window: tuple[slice, slice]) -> bool:
        """Whether a moving blob comes from outside the slots; what moves only within one flickers or falls over."""
        if np.count_nonzero(mask & ~self.near[window]) >= self.settings.reach_pixels:
            return True
        return self._cut(blob)

    def _cut(self, blob: Blob) -> bool:
        """Whether the picture's border cuts the blob."""
        x1, y1, x2, y2 = blob.box
        return x1 == 0 or y1 == 0 or x2 == self.shape[1] or y2 == self.shape[0]

    def _foreign(self, piece: Piece, window: tuple[slice, slice]) -> bool:
        """Whether a still blob lies where no product of a slot can make it."""
        settings = self.settings
        outside = np.count_nonzero(piece.mask & ~self.near[window]) / piece.blob.area
        if outside > settings.outside_share:
            return True
        return piece.cut and self._arm(piece)

    def _arm(self, piece: Piece) -> bool:
        """Whether something thicker than a line comes from the picture's border, away from every slot, into one.

        Arms and people do; what came to or went from a slot does not, though a line along the board may seem to.
        """
        x1, y1, x2, y2 = piece.blob.box
        thickness = max(6, round(self.settings.arm * self.shape[1]))
        kernel = np.ones((thickness, thickness), np.uint8)
        # Beyond the border the arm goes on.
        padded = cv2.copyMakeBorder(
            piece.mask.astype(np.uint8), thickness, thickness, thickness, thickness, cv2.BORDER_REPLICATE
        )
        opened = cv2.morphologyEx(padded, cv2.MORPH_OPEN, kernel)[thickness:-thickness, thickness:-thickness]
        _, labels = cv2.connectedComponents(np.ascontiguousarray(opened), connectivity=8)
        away = ~self.inside[y1:y2, x1:x2]
        rows, columns = np.arange(y1, y2)[:, None], np.arange(x1, x2)[None, :]
        edge = (rows == 0) | (columns == 0) | (rows == self.shape[0] - 1) | (columns == self.shape[1] - 1)
        entering = np.unique(labels[edge & away & (opened > 0)])
        for index in piece.slots:
            view = self.views[index]
            left, top = max(x1, view.left), max(y1, view.top)
            right, bottom = min(x2, view.right), min(y2, view.bottom)
            part = labels[top - y1 : bottom - y1, left - x1 : right - x1]
            inside = view.inside[top - view.top : bottom - view.top, left - view.left : right - view.left]
            if np.isin(part[inside], entering[entering > 0]).any():
                return True
        return False

    def share(self, piece: Piece, view: SlotView) -> float:
        """Share of a slot that a blob covers."""
        x1, y1, x2, y2 = piece.blob.box
        left, top = max(x1, view.left), max(y1, view.top)
        right, bottom = min(x2, view.right), min(y2, view.bottom)
        if left >= right or top >= bottom:
            return 0.0
        mask = piece.mask[top - y1 : bottom - y1, left - x1 : right - x1]
        inside = view.inside[top - view.top : bottom - view.top, left - view.left : right - view.left]
        return float(np.count_nonzero(mask & inside) / view.pixels)

    def paint(self, pieces: Sequence[Piece]) -> Mask:
        """(h, w) of all the given pieces together."""
        result = np.zeros(self.shape, bool)
        for piece in pieces:
            x1, y1, x2, y2 = piece.blob.box
            result[y1:y2, x1:x2] |= piece.mask
        return result
