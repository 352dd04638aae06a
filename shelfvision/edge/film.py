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

    def take(self, time: float, planes: Planes, front: Mask) -> None:
        """Keep this frame unless the last one is too recent.

        Args:
            time: seconds.
            planes: (3, h, w) the slot's view in the background's light.
            front: (h, w) what moves or stands in front.
        """
        if self._stills and time - self._stills[-1].time < self._interval - 1e-6:
            return
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
        before_share = self._likeness(stills, before, after, place)
        as_before = np.flatnonzero(before_share >= self.settings.plateau_share * before_share.max())
        gone = int(as_before[-1]) + 1 if before_share.max() > 0 else 0
        lifted = stills[gone].time if gone < len(stills) else ended_at
        after_share = 1 - before_share
        not_after = np.flatnonzero(after_share < self.settings.plateau_share * after_share.max())
        there = int(not_after[-1]) + 1 if len(not_after) else 0
        placed = stills[there].time if there < len(stills) else ended_at
        return Moments(min(contact, lifted), lifted, placed)

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
