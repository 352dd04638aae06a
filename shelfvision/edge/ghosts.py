"""Tells what stands still in front of the shelf from the ghost of what stood there when the background was learned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from shelfvision.edge.change import ChangeSettings, Pair, outline_cues
from shelfvision.edge.foreground import Background, Maps
from shelfvision.edge.light import Mask
from shelfvision.edge.scene import Piece


@dataclass(frozen=True, slots=True)
class GhostSettings:
    """When a still blob in front of slots is let go. Durations in seconds."""

    look_seconds: float = 0.8  # a blob that has been still for so long is looked at
    again_seconds: float = 0.4  # between two looks at first ...
    again_share: float = 0.3  # ... and this share of how long the blob has been still, later
    sure: float = 2.0  # log-odds that the thing is in the background and not in the picture
    accept_seconds: float = 4.0  # a still thing that no border cuts is a product of odd size after this
    rebuilt_seconds: float = 30.0  # most of the picture has been different, and still, for so long: another shelf
    rebuilt_share: float = 0.5  # of the picture
    same: float = 0.7  # share of a blob that was let go before: it is the same one


@dataclass(frozen=True, slots=True)
class Released:
    """A slot with nothing in front of it after all."""

    slot: int  # index
    since: float  # nothing has moved there since
    stranger: bool  # what the background held there came in from the picture's border: never a product
    rebuilt: bool  # nearly the whole picture has changed for good


class GhostWatch:
    """Remembers which still blobs were let go, so that their slots settle.

    Args:
        shape: height and width of the working picture.
        change: weights of the outline cues.
        settings: see ``GhostSettings``.
    """

    def __init__(self, shape: tuple[int, int], change: ChangeSettings, settings: GhostSettings) -> None:
        self.change, self.settings = change, settings
        self._released: Mask = np.zeros(shape, bool)
        self._looked_at = -1e18

    def release(self, pieces: Sequence[Piece], background: Background, maps: Maps, now: float) -> list[Released]:
        """Take still blobs that are ghosts, or products that stick out far, from what counts as in front.

        Returns:
            Slots that were let go just now.
        """
        released: list[Released] = []
        self._released &= maps.changed & ~maps.moving
        waiting = [piece for piece in pieces if piece.front and piece.still]
        pause = now - self._looked_at
        for piece in waiting:
            x1, y1, x2, y2 = piece.blob.box
            window = (slice(y1, y2), slice(x1, x2))
            if np.count_nonzero(self._released[window] & piece.mask) >= self.settings.same * piece.blob.area:
                piece.front = False
                continue
            if pause < self.settings.again_seconds:
                continue
            still = piece.still_for(maps, now)
            if still < self.settings.look_seconds or pause < self.settings.again_share * still:
                continue
            self._looked_at = now
            rebuilt = maps.changed_share >= self.settings.rebuilt_share and still >= self.settings.rebuilt_seconds
            odd = not piece.cut and still >= self.settings.accept_seconds
            if rebuilt or odd or self._is_ghost(piece, background, maps):
                self._released[window] |= piece.mask
                piece.front = False
                released += [Released(index, now - still, piece.cut, rebuilt) for index in piece.slots]
        return released

    def _is_ghost(self, piece: Piece, background: Background, maps: Maps) -> bool:
        height, width = self._released.shape
        x1, y1, x2, y2 = piece.blob.box
        top, left, bottom, right = max(0, y1 - 8), max(0, x1 - 8), min(height, y2 + 8), min(width, x2 + 8)
        mask = np.zeros((bottom - top, right - left), bool)
        mask[y1 - top : y2 - top, x1 - left : x2 - left] = piece.mask
        window = (slice(None), slice(top, bottom), slice(left, right))
        pair = Pair(background.planes[window], background.recent[window], maps.clipped[window[1:]], background.noise)
        cues = outline_cues(pair, mask, self.change)
        return cues["contour"] + cues["going_on"] + cues["texture"] >= self.settings.sure
