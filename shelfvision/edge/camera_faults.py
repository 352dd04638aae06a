"""Notices when a camera's picture cannot be used: another size, the same frame for ever, or another direction."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from shelfvision.edge.change import gradient
from shelfvision.edge.difference import LIVE, bounds_of, changed
from shelfvision.edge.frame import Image
from shelfvision.edge.light import Mask, Planes


@dataclass(frozen=True, slots=True)
class FaultSettings:
    """When a camera counts as frozen or moved."""

    frozen_seconds: float = 10.0  # of bit-identical frames; a live sensor's noise never repeats
    suspicious_share: float = 0.12  # of the picture differs from the background: look whether the camera moved
    check_seconds: float = 0.5  # between two looks
    shift_share: float = 0.006  # of the picture's width; a smaller shift is vibration
    explained: float = 0.55  # shifting it back must leave at most this part of the difference
    moved_seconds: float = 1.5  # a shift that stays for so long
    returned_seconds: float = 1.0  # back in place for so long


class FreezeWatch:
    """Counts how long frames have been bit-identical."""

    def __init__(self, settings: FaultSettings) -> None:
        self.settings = settings
        self._last: Image | None = None
        self._since = 0.0

    def update(self, image: Image, now: float) -> bool:
        """Whether the camera is frozen."""
        last, self._last = self._last, image
        # A coarse grid decides nearly always, and costs nothing.
        same = (
            last is not None
            and last.shape == image.shape
            and np.array_equal(last[::16, ::16], image[::16, ::16])
            and np.array_equal(last, image)
        )
        if not same:
            self._since = now
        return now - self._since >= self.settings.frozen_seconds


def measure_shift(picture: Planes, anchor: Planes) -> tuple[float, float]:
    """Displacement (x, y) in working pixels of a picture against an anchor, by phase correlation of their edges."""
    first, second = (np.minimum(gradient(planes), 0.15) for planes in (anchor, picture))
    window = cv2.createHanningWindow(first.shape[::-1], cv2.CV_32F)
    (x, y), _ = cv2.phaseCorrelate(first, second, window)
    return float(x), float(y)


class MoveWatch:
    """Notices a camera that was pushed and stays so."""

    def __init__(self, settings: FaultSettings, width: int) -> None:
        self.settings = settings
        self.least = max(1.0, settings.shift_share * width)  # working pixels
        self.moved = False
        self.suspected = False  # a shift is seen, but has not stayed long enough
        self.shift: tuple[float, float] = (0.0, 0.0)
        self._since: float | None = None
        self._checked_at = -1e18

    def update(self, lit: Planes, background: Planes, clipped: Mask, differs: Mask, now: float) -> bool:
        """Take in one frame.

        Args:
            lit: the frame in the background's light.
            background: the settled shelf.
            clipped: saturated pixels.
            differs: where both show different things.
            now: time in seconds.

        Returns:
            Whether the camera counts as moved.
        """
        settings = self.settings
        if now - self._checked_at < settings.check_seconds:
            return self.moved
        self._checked_at = now
        share = float(differs.mean())
        shifted = share >= settings.suspicious_share and self._is_shifted(lit, background, clipped, differs)
        if shifted == self.moved:
            self._since, self.suspected = None, False
            return self.moved
        if self._since is None:
            self._since = now
        self.suspected = True
        if now - self._since >= (settings.returned_seconds if self.moved else settings.moved_seconds):
            # A picture that differs everywhere without a shift is a covered lens, not a camera back in place.
            self.moved = shifted if not self.moved else share >= settings.suspicious_share
            self._since, self.suspected = None, False
        return self.moved

    def _is_shifted(self, lit: Planes, background: Planes, clipped: Mask, differs: Mask) -> bool:
        self.shift = measure_shift(lit, background)
        if float(np.hypot(*self.shift)) < self.least:
            return False
        matrix: NDArray[np.float64] = np.array([[1, 0, -self.shift[0]], [0, 1, -self.shift[1]]])
        height, width = clipped.shape
        back = np.stack(
            [cv2.warpAffine(plane, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE) for plane in lit]
        )
        edge = int(np.ceil(max(map(abs, self.shift)))) + 3
        inner = (slice(edge, height - edge), slice(edge, width - edge))
        if height <= 2 * edge + 8 or width <= 2 * edge + 8:
            return True
        left = changed(np.asarray(back, np.float32), background, clipped, LIVE, bounds_of(background, LIVE, 3.0))[inner]
        return float(left.mean()) <= self.settings.explained * float(differs[inner].mean())
