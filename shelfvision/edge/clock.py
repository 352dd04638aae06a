"""A wall clock that never runs backwards, for the times of live frames."""

from __future__ import annotations

import time
from collections.abc import Callable


class SteadyClock:
    """POSIX seconds that rise with every call.

    The clock of a device is set while it runs: by hand, or by NTP some time after a start without a battery-backed
    clock. A step forward is followed at once; after a step back the clock goes on at its own pace until the wall clock
    has caught up, since frames must come in order of time.
    """

    def __init__(
        self, *, wall: Callable[[], float] = time.time, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._wall = wall
        self._monotonic = monotonic
        self._last = wall()
        self._read_at = monotonic()

    def now(self) -> float:
        """The time now."""
        read_at = self._monotonic()
        # a microsecond, so that two readings within one tick of the system's clock still rise
        own = self._last + max(read_at - self._read_at, 1e-6)
        self._last, self._read_at = max(self._wall(), own), read_at
        return self._last
