"""When a process that died is started again: soon, but not over and over."""

from __future__ import annotations

from collections import deque

RESTART_WINDOW = 600.0  # seconds in which deaths count towards the pause before the next start


class Restarts:
    """Pauses that double with every death within ``RESTART_WINDOW``.

    Args:
        first: seconds of the first pause.
        longest: seconds of the longest.
    """

    def __init__(self, first: float, longest: float) -> None:
        self._first, self._longest = first, longest
        self._deaths: deque[float] = deque()

    def pause(self, now: float) -> float:
        """Seconds to wait after a death at ``now`` (monotonic seconds)."""
        while self._deaths and self._deaths[0] < now - RESTART_WINDOW:
            self._deaths.popleft()
        seconds: float = min(self._first * 2.0 ** len(self._deaths), self._longest)
        self._deaths.append(now)
        return seconds
