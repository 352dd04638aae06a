"""All slots of one camera against one background: who is in front, what visits leave behind, what is settled."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shelfvision.core.interactions import Deed, SlotReading, Visit
from shelfvision.core.planogram import CameraPlan
from shelfvision.core.tracking import Track, Tracker
from shelfvision.edge.change import ChangeJudge
from shelfvision.edge.evidence import ActionClips
from shelfvision.edge.foreground import Background, Maps, find_blobs
from shelfvision.edge.frame import Image
from shelfvision.edge.ghosts import GhostWatch
from shelfvision.edge.inference import ActionScores
from shelfvision.edge.light import FloatMap, Mask, Picture, local_light
from shelfvision.edge.scene import Piece, Scene
from shelfvision.edge.settings import PipelineSettings
from shelfvision.edge.slot_view import SlotView
from shelfvision.edge.slot_watch import SlotWatch


@dataclass(frozen=True, slots=True, eq=False)
class Sight:
    """What one frame showed."""

    pieces: tuple[Piece, ...] = ()
    tracks: tuple[Track, ...] = ()  # of the pieces in front
    closed: tuple[int, ...] = ()  # slots, by index, whose visit has ended and whose picture is settled anew
    deeds: tuple[tuple[int, Deed], ...] = ()  # what those visits did


class ShelfWatch:
    """Everything that is believed of one camera's shelf.

    Args:
        plan: the camera's slots.
        picture: the first picture; it is the settled shelf until told better.
        now: its time in seconds.
        reduction: frame pixels per working pixel and side.
        settings: all thresholds.
        clips: lets an action classifier see visits, or None.
    """

    def __init__(
        self,
        plan: CameraPlan,
        picture: Picture,
        now: float,
        *,
        reduction: int,
        settings: PipelineSettings,
        clips: ActionClips | None = None,
    ) -> None:
        self.settings, self._clips = settings, clips
        self._shape = picture.clipped.shape
        self.background = Background(picture, now, settings.light, settings.foreground)
        self._views = [SlotView(slot, reduction, self._shape) for slot in plan.slots]
        self._scene = Scene(self._views, self._shape, settings.scene)
        self._ghosts = GhostWatch(self._shape, settings.change, settings.ghosts)
        self._tracker = Tracker(self._shape[1], settings.tracking)
        judge = ChangeJudge(settings.change)
        self.slots = [SlotWatch(view, judge, settings, now) for view in self._views]

    def look(self, image: Image, maps: Maps, now: float) -> Sight:
        """Sort what the frame shows, follow the visits of every slot and let the background follow.

        Args:
            image: the whole frame.
            maps: its comparison with the background.
            now: time in seconds.
        """
        labels, blobs = find_blobs(maps.changed, self.settings.foreground)
        pieces = self._scene.sort(labels, blobs, maps, now)
        for released in self._ghosts.release(pieces, self.background, maps, now):
            watch = self.slots[released.slot]
            watch.visit.cleared(released.since)
            if released.stranger:
                watch.doubt(rebuilt=released.rebuilt)
        front = [piece for piece in pieces if piece.front]
        tracks, _ = self._tracker.update([piece.blob.box for piece in front], [piece.tip for piece in front], now)
        painted = self._scene.paint(front)
        closed, deeds = [], []
        for index, reading in enumerate(self._read(pieces, front, tracks)):
            watch = self.slots[index]
            visit = watch.watch(reading, maps, self.background, painted, now)
            if visit is not None:
                light = self._local_light(watch, maps)
                deed = self._close(index, visit, maps, light)
                self._adopt(index, pieces, painted, light)
                closed.append(index)
                if deed is not None:
                    deeds.append((index, deed))
            elif watch.visit.visiting and self._clips is not None:
                self._clips.take(index, image, now)
            watch.get_to_know(self.background, now)
        self._follow(maps, pieces, now)
        return Sight(tuple(pieces), tuple(tracks), tuple(closed), tuple(deeds))

    def restart(self, picture: Picture, now: float) -> None:
        """Frames can be used again after a pause; what happened meanwhile was not seen."""
        self.background.restart(picture, now)
        for watch in self.slots:
            watch.resume(now)

    def _close(self, index: int, visit: Visit, maps: Maps, light: FloatMap) -> Deed | None:
        scores: ActionScores | None = None
        hint = 0.0
        if self._clips is not None:
            scores = self._clips.name(index, (visit.started_at + visit.ended_at) / 2)
            hint = 0.0 if scores is None else self._clips.direction(scores)
        return self.slots[index].close(
            visit, self.background, clipped=maps.clipped, light=light, scores=scores, hint=hint
        )

    def _read(self, pieces: list[Piece], front: list[Piece], tracks: list[Track]) -> list[SlotReading]:
        """What is in front of each slot, or differs in it."""
        covered, changed, resting = (np.zeros(len(self.slots)) for _ in range(3))
        restless = [False] * len(self.slots)
        for piece in pieces:
            for index in piece.slots:
                share = self._scene.share(piece, self._views[index])
                (covered if piece.front else changed)[index] += share
                restless[index] = restless[index] or not piece.still
        for piece, track in zip(front, tracks, strict=True):
            for index in piece.slots:
                view = self._views[index]
                if view.holds(piece.tip):
                    radius = self.settings.interactions.touch_radius * min(view.width, view.height)
                    resting[index] = max(resting[index], track.still_seconds(radius))
        return [
            SlotReading(float(covered[i]), float(changed[i]), restless[i], float(resting[i]))
            for i in range(len(self.slots))
        ]

    def _adopt(self, index: int, pieces: list[Piece], painted: Mask, light: FloatMap) -> None:
        """The slot's present picture becomes the settled one."""
        view = self._views[index]
        where = self._scene.paint([piece for piece in pieces if not piece.front and index in piece.slots])
        for other in self._views:
            if other is not view:
                other.cut(where)[other.near] = False
        view.cut(where)[view.near] = True
        self.background.adopt(where & ~painted, light)

    def _local_light(self, watch: SlotWatch, maps: Maps) -> FloatMap:
        """(H, W) shadow that lies on a slot now, 0 elsewhere, from the pixels around what changed."""
        view, light = watch.view, np.zeros(self._shape, np.float32)
        usable = ~view.cut(maps.changed | maps.clipped)
        recent, settled = view.cut(self.background.recent), view.cut(self.background.planes)
        view.cut(light)[...] = local_light(recent, settled, usable)
        return light

    def _follow(self, maps: Maps, pieces: list[Piece], now: float) -> None:
        """Let slow light and strays into the background, away from everything that is going on."""
        background, settings = self.background, self.settings.foreground
        strays = [
            piece
            for piece in pieces
            if piece.still and not piece.slots and piece.still_for(maps, now) >= settings.stray_seconds
        ]
        if strays:
            background.adopt(self._scene.paint(strays))
        if now - background.drifted_at < settings.drift_every:
            return
        busy = self._scene.paint(pieces)
        for watch in self.slots:
            if watch.visit.visiting:
                watch.view.cut(busy)[...] = True
        quiet = not any(watch.visit.visiting for watch in self.slots)
        tone = background.follow(maps, ~busy, quiet, now)
        if tone is not None:
            for watch in self.slots:
                watch.relight(tone)
