"""Follows the same hand or person from frame to frame by place alone: no identity, no appearance."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from shelfvision.core.boxes import centres, iou

Box = tuple[float, float, float, float]
Place = tuple[float, float]


@dataclass(frozen=True, slots=True)
class TrackingSettings:
    """When two boxes in different frames are one thing. Lengths are shares of the picture's width."""

    lost_seconds: float = 1.0  # a track that is not seen for so long has left
    speed: float = 1.2  # picture widths a second that a hand may move
    slack: float = 0.06  # picture widths, added to what the speed allows
    memory_seconds: float = 2.0  # how far back the tip's path is kept


@dataclass(slots=True)
class Track:
    """One thing in front of the shelf."""

    id: int
    born_at: float
    seen_at: float
    box: Box
    tip: Place  # the point that reaches furthest into the picture
    path: deque[tuple[float, float, float]] = field(default_factory=deque)  # time, tip x, tip y

    @property
    def seconds(self) -> float:
        """How long it has been in view."""
        return self.seen_at - self.born_at

    def still_seconds(self, radius: float) -> float:
        """How long the tip has stayed within ``radius`` pixels of where it is now."""
        since = self.seen_at
        for time, x, y in reversed(self.path):
            if (x - self.tip[0]) ** 2 + (y - self.tip[1]) ** 2 > radius**2:
                break
            since = time
        return self.seen_at - since


class Tracker:
    """Greedy association of boxes: best overlap first, then nearest tip.

    Args:
        width: width of the picture in the boxes' pixels.
        settings: see ``TrackingSettings``.
    """

    def __init__(self, width: float, settings: TrackingSettings | None = None) -> None:
        self.width = width
        self.settings = settings or TrackingSettings()
        self.tracks: list[Track] = []
        self._born = 0

    def update(self, boxes: Sequence[Box], tips: Sequence[Place], now: float) -> tuple[list[Track], list[Track]]:
        """Take in the boxes of one frame.

        Returns:
            The track of each box, in the boxes' order, and the tracks that have ended.
        """
        settings = self.settings
        ended = [track for track in self.tracks if now - track.seen_at > settings.lost_seconds]
        self.tracks = [track for track in self.tracks if now - track.seen_at <= settings.lost_seconds]
        found: list[Track | None] = [None] * len(boxes)
        for _, column, row in self._pairs(boxes, tips, now):
            track = self.tracks[row]
            if found[column] is None and track not in found:
                found[column] = track
        result = []
        for box, tip, match in zip(boxes, tips, found, strict=True):
            track = match or self._start(box, tip, now)
            track.box, track.tip, track.seen_at = box, tip, now
            track.path.append((now, *tip))
            while track.path and now - track.path[0][0] > settings.memory_seconds:
                track.path.popleft()
            result.append(track)
        return result, ended

    def _start(self, box: Box, tip: Place, now: float) -> Track:
        self._born += 1
        track = Track(self._born, now, now, box, tip)
        self.tracks.append(track)
        return track

    def _pairs(self, boxes: Sequence[Box], tips: Sequence[Place], now: float) -> list[tuple[float, int, int]]:
        """Possible (cost, box, track) pairs, best first."""
        if not boxes or not self.tracks:
            return []
        overlap = iou(np.asarray(boxes, np.float64), np.asarray([track.box for track in self.tracks], np.float64))
        places = centres(np.asarray(boxes, np.float64))
        pairs = []
        for row, track in enumerate(self.tracks):
            allowed = self.width * (self.settings.slack + self.settings.speed * (now - track.seen_at))
            middle = ((track.box[0] + track.box[2]) / 2, (track.box[1] + track.box[3]) / 2)
            for column, tip in enumerate(tips):
                apart = min(
                    float(np.hypot(tip[0] - track.tip[0], tip[1] - track.tip[1])),
                    float(np.hypot(*(places[column] - middle))),
                )
                if overlap[column, row] > 0 or apart <= allowed:
                    pairs.append((apart / max(allowed, 1e-6) - 2 * float(overlap[column, row]), column, row))
        return sorted(pairs)
