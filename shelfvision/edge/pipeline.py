"""One camera's frames become evidence, slot states and events. Deterministic: time comes with the frame."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from shelfvision.core.events import EventDraft, to_utc
from shelfvision.core.interactions import Deed, InteractionLog, SlotReading, Visit
from shelfvision.core.messages import SlotCondition, SlotState
from shelfvision.core.planogram import CameraPlan
from shelfvision.core.presence import PresenceCounter
from shelfvision.core.tracking import Track, Tracker
from shelfvision.edge.camera_faults import FreezeWatch, MoveWatch
from shelfvision.edge.change import ChangeJudge
from shelfvision.edge.drafts import Drafter
from shelfvision.edge.evidence import ActionClips, NetworkEvidence
from shelfvision.edge.foreground import Background, Maps, find_blobs
from shelfvision.edge.frame import Frame
from shelfvision.edge.ghosts import GhostWatch
from shelfvision.edge.inference import ActionClassifier, ActionScores, Detector, Recogniser
from shelfvision.edge.light import Darkroom, FloatMap, Mask, Picture, local_light
from shelfvision.edge.scene import Piece, Scene
from shelfvision.edge.settings import PipelineSettings, choose_reduction
from shelfvision.edge.slot_view import SlotView
from shelfvision.edge.slot_watch import SlotWatch


@dataclass(frozen=True, slots=True)
class StepResult:
    """What one frame changed and what is believed after it."""

    events: tuple[EventDraft, ...]
    slots: tuple[SlotState, ...]  # one a slot, in the plan's order
    camera_fault: str | None = None  # "moved", "frozen", "resized" while the picture cannot be used
    foreground: tuple[tuple[float, float, float, float], ...] = ()  # boxes in front of the shelf, pixels of the frame
    notes: dict[str, str] = field(default_factory=dict)  # slot id to what happens there now, for annotation


REASONS = {
    "moved": "the camera points elsewhere than when its slots were seen first; turn it back or draw the slots again",
    "frozen": "the camera repeats one and the same frame",
    "resized": "the frames have another size than the slots were drawn on",
    "offline": "no frames come",
    "online": "the picture can be used again",
}


class CameraPipeline:
    """The reasoning of one camera, from pixels to events.

    Args:
        plan: the camera's slots and the frame size that they are bound to.
        presence_window_seconds: length of the windows in which presence is counted.
        settings: all thresholds; the defaults serve every shelf.
        detector: finds products and gaps, when there is one.
        recogniser: names the SKUs of the detector's boxes, when there is one.
        actions: names what hands do, when there is one.
    """

    def __init__(
        self,
        plan: CameraPlan,
        *,
        presence_window_seconds: float = 300,
        settings: PipelineSettings | None = None,
        detector: Detector | None = None,
        recogniser: Recogniser | None = None,
        actions: ActionClassifier | None = None,
    ) -> None:
        self.plan = plan
        self.presence_window_seconds = presence_window_seconds
        self.settings = settings or PipelineSettings()
        reduction = choose_reduction(plan, self.settings)
        self._darkroom = Darkroom(plan.frame_size, reduction, self.settings.light)
        self._shape = (self._darkroom.height, self._darkroom.width)
        self._views = [SlotView(slot, reduction, self._shape) for slot in plan.slots]
        self._scene = Scene(self._views, self._shape, self.settings.scene)
        self._ghosts = GhostWatch(self._shape, self.settings.change, self.settings.ghosts)
        self._judge = ChangeJudge(self.settings.change)
        self._networks = NetworkEvidence(plan, detector, recogniser, self.settings.evidence)
        self._clips = None if actions is None else ActionClips(plan.slots, actions, self.settings.evidence)
        self._tracker = Tracker(self._darkroom.width, self.settings.tracking)
        self._log = InteractionLog(self.settings.interactions)
        self._drafter = Drafter(plan.camera)
        self._freeze = FreezeWatch(self.settings.faults)
        self._move = MoveWatch(self.settings.faults, self._darkroom.width)
        self._background: Background | None = None
        self._watches: list[SlotWatch] = []
        self._presence: PresenceCounter | None = None
        self._fault: str | None = None
        self._offline = False

    def step(self, frame: Frame) -> StepResult:
        """Take in one frame; frames come in order of time."""
        now = frame.time
        if not self._watches or self._presence is None:
            self._begin(now)
        events: list[EventDraft] = []
        if self._offline:
            self._offline = False
            events.append(self._drafter.camera_status("online", REASONS["online"], now))
            self._resume(frame, now)
        fault, pieces, tracks = self._see(frame, events, now)
        events += self._report(fault, now)
        usable = fault is None
        if usable:
            self._networks.look(frame.image, [watch.clear for watch in self._watches], now)
        for index, watch in enumerate(self._watches):
            if usable:
                changes = watch.filter.update(self._networks.add(index, watch.evidence()), now)
                events += [self._drafter.stock(watch.view.slot, change) for change in changes]
            else:
                watch.lose(now)
        events += self._count(tracks, usable, now)
        step = self._darkroom.reduction
        boxes = tuple(
            (float(b[0] * step), float(b[1] * step), float(b[2] * step), float(b[3] * step))
            for b in (piece.blob.box for piece in pieces if piece.front)
        )
        return StepResult(tuple(events), self._states(now), fault, boxes, self._notes())

    def interrupted(self, now: float) -> StepResult:
        """The camera is offline since its last frame: slots become unknown until frames come again."""
        if not self._watches or self._presence is None:
            self._begin(now)
        events = []
        if not self._offline:
            self._offline = True
            events.append(self._drafter.camera_status("offline", REASONS["offline"], now))
        for watch in self._watches:
            watch.lose(now)
        events += self._count([], False, now)
        return StepResult(tuple(events), self._states(now), self._fault, (), {})

    def _see(self, frame: Frame, events: list[EventDraft], now: float) -> tuple[str | None, list[Piece], list[Track]]:
        """Check that the picture can be used, and use it."""
        if frame.size != self.plan.frame_size:
            return "resized", [], []
        if self._freeze.update(frame.image, now):
            return "frozen", [], []
        if self._fault in {"resized", "frozen"}:
            self._resume(frame, now)
        picture = self._darkroom.develop(frame.image)
        if self._background is None:
            self._background = Background(picture, now, self.settings.light, self.settings.foreground)
        maps = self._background.compare(picture, now)
        was_moved = self._move.moved
        if self._move.update(maps.lit, self._background.planes, maps.clipped, maps.changed, now):
            return "moved", [], []
        if was_moved:
            self._restart(picture, now)
        if self._move.suspected:
            return None, [], []
        return None, *self._look(frame, maps, events, now)

    def _begin(self, now: float) -> None:
        settings = self.settings
        self._watches = [
            SlotWatch(
                view,
                self._judge,
                settings.cold_start,
                settings.interactions,
                settings.shelf,
                settings.film,
                settings.slot,
                now,
            )
            for view in self._views
        ]
        ids = [slot.id for slot in self.plan.slots]
        self._presence = PresenceCounter(ids, self.presence_window_seconds, settings.presence, now)

    def _resume(self, frame: Frame, now: float) -> None:
        """Frames can be used again after a pause."""
        if self._background is not None and frame.size == self.plan.frame_size:
            self._restart(self._darkroom.develop(frame.image), now)

    def _restart(self, picture: Picture, now: float) -> None:
        if self._background is not None:
            self._background.restart(picture, now)
        for watch in self._watches:
            watch.resume(now)

    def _report(self, fault: str | None, now: float) -> list[EventDraft]:
        """A camera event when the fault begins, changes or ends."""
        if fault == self._fault:
            return []
        self._fault = fault
        status = fault or "online"
        return [self._drafter.camera_status(status, REASONS[status], now)]

    def _look(self, frame: Frame, maps: Maps, events: list[EventDraft], now: float) -> tuple[list[Piece], list[Track]]:
        """Sort what the frame shows, follow the visits of every slot and let the background follow."""
        background = self._background
        assert background is not None
        labels, blobs = find_blobs(maps.changed, self.settings.foreground)
        pieces = self._scene.sort(labels, blobs, maps, now)
        for released in self._ghosts.release(pieces, background, maps, now):
            watch = self._watches[released.slot]
            watch.visit.cleared(released.since)
            if released.stranger:
                watch.doubt()
        front = [piece for piece in pieces if piece.front]
        tracks, _ = self._tracker.update([piece.blob.box for piece in front], [piece.tip for piece in front], now)
        painted = self._scene.paint(front)
        readings = self._read(pieces, front, tracks)
        for index, (watch, reading) in enumerate(zip(self._watches, readings, strict=True)):
            visit = watch.watch(reading, maps, background, painted, now)
            if visit is not None:
                light = self._local_light(watch, maps)
                scores, hint = self._action(index, visit)
                deed = watch.close(visit, background, clipped=maps.clipped, light=light, scores=scores, hint=hint)
                self._networks.forget(index)
                if deed is not None:
                    events.append(self._tell(deed, watch))
                self._adopt(index, pieces, painted, light)
            elif watch.visit.visiting and self._clips is not None:
                self._clips.take(index, frame.image, now)
            watch.get_to_know(background, now)
        self._follow(maps, pieces, now)
        return pieces, tracks

    def _action(self, index: int, visit: Visit) -> tuple[ActionScores | None, float]:
        """What the action classifier says of a visit, and its log-odds for a pick-up against a put-back."""
        scores = None if self._clips is None else self._clips.name(index, (visit.started_at + visit.ended_at) / 2)
        return scores, 0.0 if scores is None or self._clips is None else self._clips.direction(scores)

    def _tell(self, deed: Deed, watch: SlotWatch) -> EventDraft:
        slot = watch.view.slot
        if self._presence is not None:
            self._presence.touched(slot.id)
        return self._drafter.interaction(self._log.add(deed, slot=slot.id, sku=slot.sku))

    def _read(self, pieces: list[Piece], front: list[Piece], tracks: list[Track]) -> list[SlotReading]:
        covered, changed, resting = (np.zeros(len(self._watches)) for _ in range(3))
        restless = [False] * len(self._watches)
        for piece in pieces:
            for index in piece.slots:
                share = self._scene.share(piece, self._views[index])
                (covered if piece.front else changed)[index] += share
                restless[index] = restless[index] or not piece.still
        for piece, track in zip(front, tracks, strict=True):
            for index in piece.slots:
                view = self._views[index]
                x, y = int(piece.tip[0]) - view.left, int(piece.tip[1]) - view.top
                height, width = view.near.shape
                if 0 <= x < width and 0 <= y < height and view.near[y, x]:
                    radius = self.settings.interactions.touch_radius * min(view.width, view.height)
                    resting[index] = max(resting[index], track.still_seconds(radius), 1e-6)
        return [
            SlotReading(float(covered[i]), float(changed[i]), restless[i], float(resting[i]))
            for i in range(len(self._watches))
        ]

    def _adopt(self, index: int, pieces: list[Piece], painted: Mask, light: FloatMap) -> None:
        """The slot's present picture becomes the settled one."""
        background, view = self._background, self._views[index]
        assert background is not None
        where = self._scene.paint([piece for piece in pieces if not piece.front and index in piece.slots])
        for other in self._views:
            if other is not view:
                other.cut(where)[other.near] = False
        view.cut(where)[view.near] = True
        background.adopt(where & ~painted, light)

    def _local_light(self, watch: SlotWatch, maps: Maps) -> FloatMap:
        """(H, W) shadow that lies on a slot now, 0 elsewhere, from the pixels around what changed."""
        background, view = self._background, watch.view
        assert background is not None
        light = np.zeros(self._shape, np.float32)
        usable = ~view.cut(maps.changed | maps.clipped)
        view.cut(light)[...] = local_light(view.cut(background.recent), view.cut(background.planes), usable)
        return light

    def _follow(self, maps: Maps, pieces: list[Piece], now: float) -> None:
        """Let slow light and strays into the background, away from everything that is going on."""
        background, settings = self._background, self.settings.foreground
        assert background is not None
        strays = []
        for piece in pieces:
            if piece.still and not piece.slots:
                x1, y1, x2, y2 = piece.blob.box
                since = maps.still_since[y1:y2, x1:x2][piece.mask]
                if now - float(np.percentile(since, 95)) >= settings.stray_seconds:
                    strays.append(piece)
        if strays:
            background.adopt(self._scene.paint(strays))
        if now - background.drifted_at < settings.drift_every:
            return
        busy = self._scene.paint(pieces)
        for watch in self._watches:
            if watch.visit.visiting:
                watch.view.cut(busy)[...] = True
        quiet = not any(watch.visit.visiting for watch in self._watches)
        tone = background.follow(maps, ~busy, quiet, now)
        if tone is not None:
            for watch in self._watches:
                watch.relight(tone)

    def _count(self, tracks: list[Track], usable: bool, now: float) -> list[EventDraft]:
        presence = self._presence
        assert presence is not None
        available = [
            usable
            and watch.filter.condition in {SlotCondition.IN_STOCK, SlotCondition.LOW}
            and not watch.visit.visiting
            for watch in self._watches
        ]
        windows = presence.update([(track.id, track.born_at) for track in tracks], available, now)
        return [draft for window in windows for draft in self._drafter.presence(window)]

    def _states(self, now: float) -> tuple[SlotState, ...]:
        states = []
        for watch in self._watches:
            known = watch.filter.condition is not SlotCondition.UNKNOWN
            states.append(
                SlotState(
                    slot=watch.view.slot.id,
                    camera=self.plan.camera,
                    sku=watch.view.slot.sku,
                    state=watch.filter.condition,
                    since=to_utc(watch.filter.since),
                    updated_at=to_utc(now),
                    fullness=round(watch.filter.fullness, 3) if known else None,
                    facings=watch.filter.visible if known else None,
                    confidence=round(watch.filter.confidence, 3),
                    obstructed=watch.reading.covered >= self.settings.interactions.reach_share,
                    last_known=watch.filter.last_known,
                )
            )
        return tuple(states)

    def _notes(self) -> dict[str, str]:
        notes = {}
        for watch in self._watches:
            if watch.visit.visiting:
                covered = watch.reading.covered >= self.settings.interactions.reach_share
                notes[watch.view.slot.id] = "something in front" if covered else "settling"
        return notes
