"""At most so many frames a second, chosen by their times alone."""

from __future__ import annotations

# a frame this share of a period early still counts as due: real cameras round and jitter their times, and a 30 fps
# video under a limit of 30 must lose no frame
_EARLY = 0.25


class FrameSampler:
    """Lets frames through at an even pace of at most ``fps`` on average."""

    def __init__(self, fps: float) -> None:
        self._period = 1.0 / fps
        self._due: float | None = None

    def takes(self, time: float) -> bool:
        """Whether the frame of this time (seconds, any origin) is to be processed; times come in order."""
        if self._due is not None and time < self._due - _EARLY * self._period:
            return False
        # after a pause the grid starts anew at this frame, so that no burst makes up for the gap
        on_grid = self._due is not None and time - self._due < self._period
        self._due = (self._due if on_grid and self._due is not None else time) + self._period
        return True
