"""How people move: smooth timing of reaches and walks."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Point = NDArray[np.float64]


def smooth(share: float) -> float:
    """Minimum-jerk progress: 10 s^3 - 15 s^4 + 6 s^5 (Flash and Hogan 1985, of human reaching)."""
    s = min(max(share, 0.0), 1.0)
    return s * s * s * (10 - 15 * s + 6 * s * s)


def reach_seconds(centimetres: float, pace: float = 1.0) -> float:
    """Duration of a reach over a distance, by Fitts' law with constants of unhurried shopping."""
    return pace * (0.22 + 0.135 * float(np.log2(1 + centimetres / 4.0)))


@dataclass(frozen=True, slots=True)
class Track:
    """A quantity over time through keys, at rest at each of them unless ``flowing``."""

    times: tuple[float, ...]
    values: tuple[tuple[float, ...], ...]
    flowing: bool = False  # move evenly between the keys

    def at(self, time: float) -> Point:
        """The value at a time; before the first key and after the last it stays."""
        place = bisect_right(self.times, time)
        if place == 0:
            return np.array(self.values[0])
        if place == len(self.times):
            return np.array(self.values[-1])
        begin, end = self.times[place - 1], self.times[place]
        share = (time - begin) / (end - begin)
        share = share if self.flowing else smooth(share)
        first, last = np.array(self.values[place - 1]), np.array(self.values[place])
        return np.asarray(first + share * (last - first))


def track(keys: Iterable[tuple[float, Iterable[float]]], *, flowing: bool = False) -> Track:
    """A track from (time, value) keys; keys at the same time as the one before are dropped."""
    times: list[float] = []
    values: list[tuple[float, ...]] = []
    for time, value in keys:
        if times and time <= times[-1] + 1e-9:
            continue
        times.append(float(time))
        values.append(tuple(float(v) for v in value))
    return Track(tuple(times), tuple(values), flowing)
