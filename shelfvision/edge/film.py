"""A short film of one slot while something is in front of it, to find out afterwards when what happened."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from shelfvision.edge.light import Mask, Planes


@dataclass(frozen=True, slots=True)
class FilmSettings:
    """How much of a visit is kept."""

    interval: float = 0.06  # seconds between two kept frames at first
    frames: int = 160  # kept at most; then every other one goes and the interval doubles
    contact_share: float = 0.03  # of the product's place that is covered: the hand has reached it
    plateau_share: float = 0.9  # of the best likeness during the visit: still, or already, the settled look
    rest_seconds: float = 0.25  # a product that has been set down rests for so long ...
    rest_change: float = 0.06  # ... while its likeness grows by less than this


@dataclass(frozen=True, slots=True)
class Moments:
    """Times in seconds found in a film."""

    contact_at: float  # something first covers the product's place
    lifted_at: float  # the place stops looking as before
    placed_at: float  # the place looks as after from here on


@dataclass(frozen=True, slots=True, eq=False)
class _Still:
    time: float
    planes: NDArray[np.float16]  # (3, h, w)
    front: Mask


class Film:
    """Frames of one visit; holds at most ``FilmSettings.frames``."""

    def __init__(self, settings: FilmSettings) -> None:
        self.settings = settings
        self._interval = settings.interval
        self._stills: list[_Still] = []

    def wants(self, time: float) -> bool:
        """Whether the last kept frame is old enough for another one."""
        return not self._stills or time - self._stills[-1].time >= self._interval - 1e-6

    def take(self, time: float, planes: Planes, front: Mask) -> None:
        """Keep this frame.

        Args:
            time: seconds.
            planes: (3, h, w) the slot's view in the background's light.
            front: (h, w) what moves or stands in front.
        """
        self._stills.append(_Still(time, planes.astype(np.float16), front.copy()))
        if len(self._stills) > self.settings.frames:
            del self._stills[1::2]
            self._interval *= 2

    def moments(self, before: Planes, after: Planes, place: Mask, started_at: float, ended_at: float) -> Moments:
        """When the change happened, seen from its end.

        Args:
            before: (3, h, w) settled picture before.
            after: (3, h, w) settled picture after.
            place: (h, w) the pixels that changed.
            started_at: fallback for the contact.
            ended_at: fallback for the turn, and the latest time of both.
        """
        near = cv2.dilate(place.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
        needed = max(3.0, self.settings.contact_share * np.count_nonzero(near))
        stills = [still for still in self._stills if still.time <= ended_at + self._interval]
        if not stills:
            return Moments(started_at, ended_at, ended_at)
        contact = next((s.time for s in stills if np.count_nonzero(s.front & near) >= needed), started_at)
        times = np.array([still.time for still in stills])
        before_share = self._likeness(stills, before, after, place)
        arrived = self._arrival(times, 1 - before_share)
        placed = times[arrived] if arrived is not None else ended_at
        # A lift is a set-down in a film that runs backwards.
        gone = self._arrival(-times[::-1], before_share[::-1])
        last = len(stills) - 1 - gone if gone is not None else -1
        lifted = times[last + 1] if last + 1 < len(stills) else ended_at
        return Moments(min(contact, float(lifted)), float(lifted), float(placed))

    def _arrival(self, times: NDArray[np.float64], share: NDArray[np.float64]) -> int | None:
        """Index from which the share stays high: when it first rests there, hidden in part by the hand or not."""
        settings = self.settings
        high = np.flatnonzero(share < settings.plateau_share * max(float(share.max()), 1e-6))
        settled = int(high[-1]) + 1 if len(high) else 0
        low = np.flatnonzero(share < 0.5 * float(share.max()))
        for index in range(int(low[-1]) + 1 if len(low) else 0, min(settled, len(share))):
            later = np.flatnonzero(times >= times[index] + settings.rest_seconds - 1e-6)
            if len(later) and share[later[0]] - share[index] < settings.rest_change:
                return index
        return settled if settled < len(share) else None

    @staticmethod
    def _likeness(stills: Sequence[_Still], before: Planes, after: Planes, place: Mask) -> NDArray[np.float64]:
        """(n,) share of the place that is nearer to the look before than to the look after.

        Pixels near to neither, such as those behind a hand, have no vote; without any vote the last share holds.
        """
        first, last = before[:, place], after[:, place]
        bound = 0.8 * np.abs(last - first).sum(axis=0)
        shares, share = [], 1.0
        for still in stills:
            here = still.planes[:, place].astype(np.float32)
            to_first, to_last = np.abs(here - first).sum(axis=0), np.abs(here - last).sum(axis=0)
            old = int(np.count_nonzero((to_first < to_last) & (to_first < bound)))
            new = int(np.count_nonzero((to_last <= to_first) & (to_last < bound)))
            if (old + new) * 20 >= len(bound):
                share = old / (old + new)
            shares.append(share)
        return np.array(shares)
