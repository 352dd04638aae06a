"""One camera's frames become evidence, slot states and events. Deterministic: time comes with the frame."""

from __future__ import annotations

from dataclasses import dataclass, field

from shelfvision.core.events import EventDraft, to_utc
from shelfvision.core.interactions import Deed, InteractionLog
from shelfvision.core.messages import SlotCondition, SlotState
from shelfvision.core.planogram import CameraPlan
from shelfvision.core.presence import PresenceCounter
from shelfvision.edge.camera_faults import FreezeWatch, MoveWatch
from shelfvision.edge.drafts import Drafter
from shelfvision.edge.evidence import ActionClips, NetworkEvidence
from shelfvision.edge.frame import Frame
from shelfvision.edge.inference import ActionClassifier, AskedDetector, Recogniser
from shelfvision.edge.light import Darkroom
from shelfvision.edge.settings import PipelineSettings, choose_reduction
from shelfvision.edge.shelf_watch import ShelfWatch, Sight


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
        detector: AskedDetector | None = None,
        recogniser: Recogniser | None = None,
        actions: ActionClassifier | None = None,
    ) -> None:
        self.plan = plan
        self.presence_window_seconds = presence_window_seconds
        self.settings = settings or PipelineSettings()
        self._darkroom = Darkroom(plan.frame_size, choose_reduction(plan, self.settings), self.settings.light)
        self._networks = NetworkEvidence(plan, detector, recogniser, self.settings.evidence)
        self._clips = None if actions is None else ActionClips(plan.slots, actions, self.settings.evidence)
        self._log = InteractionLog(self.settings.interactions)
        self._drafter = Drafter(plan.camera)
        self._freeze = FreezeWatch(self.settings.faults)
        self._move = MoveWatch(self.settings.faults, self._darkroom.width)
        self._shelf: ShelfWatch | None = None  # from the first frame that can be used
        self._presence: PresenceCounter | None = None  # from the first frame
        self._started_at = 0.0
        self._fault: str | None = None
        self._offline = False

    def step(self, frame: Frame) -> StepResult:
        """Take in one frame; frames come in order of time."""
        now = frame.time
        self._begin(now)
        events: list[EventDraft] = []
        returning = self._offline
        if returning:
            self._offline = False
            events.append(self._drafter.camera_status("online", REASONS["online"], now))
        fault, sight = self._see(frame, returning, now)
        events += self._report(fault, now)
        events += [self._tell(index, deed) for index, deed in sight.deeds]
        if self._shelf is not None:
            if fault is None:
                events += self._update(self._shelf, sight, frame, now)
            else:
                self._lose(now)
        events += self._count(sight, now, usable=fault is None)
        scale = self._darkroom.reduction
        boxes = tuple(
            (float(x1 * scale), float(y1 * scale), float(x2 * scale), float(y2 * scale))
            for x1, y1, x2, y2 in (piece.blob.box for piece in sight.pieces if piece.front)
        )
        return StepResult(tuple(events), self._states(now), fault, boxes, self._notes())

    def interrupted(self, now: float) -> StepResult:
        """The camera is offline since its last frame: slots become unknown until frames come again."""
        self._begin(now)
        events = []
        if not self._offline:
            self._offline = True
            events.append(self._drafter.camera_status("offline", REASONS["offline"], now))
        self._lose(now)
        events += self._count(Sight(), now, usable=False)
        return StepResult(tuple(events), self._states(now), self._fault)

    def _begin(self, now: float) -> None:
        if self._presence is None:
            self._started_at = now
            ids = [slot.id for slot in self.plan.slots]
            self._presence = PresenceCounter(ids, self.presence_window_seconds, self.settings.presence, now)

    def _see(self, frame: Frame, returning: bool, now: float) -> tuple[str | None, Sight]:
        """Check that the picture can be used, and use it.

        Args:
            frame: the frame.
            returning: it is the first one after the camera was offline.
            now: its time in seconds.
        """
        if frame.size != self.plan.frame_size:
            return "resized", Sight()
        if self._freeze.update(frame.image, now):
            return "frozen", Sight()
        picture = self._darkroom.develop(frame.image)
        if self._shelf is None:
            self._shelf = ShelfWatch(
                self.plan,
                picture,
                now,
                reduction=self._darkroom.reduction,
                settings=self.settings,
                clips=self._clips,
            )
        shelf = self._shelf
        if returning or self._fault in {"resized", "frozen"}:
            shelf.restart(picture, now)
        maps = shelf.background.compare(picture, now)
        was_moved = self._move.moved
        if self._move.update(maps.lit, shelf.background.planes, maps.clipped, maps.changed, now):
            return "moved", Sight()
        if was_moved:
            shelf.restart(picture, now)
        if self._move.suspected:
            return None, Sight()
        return None, shelf.look(frame.image, maps, now)

    def _update(self, shelf: ShelfWatch, sight: Sight, frame: Frame, now: float) -> list[EventDraft]:
        """Let every slot's state follow its evidence; returns the stock events."""
        for index in sight.closed:
            self._networks.forget(index)
        self._networks.look(frame.image, [watch.clear for watch in shelf.slots], now)
        return [
            self._drafter.stock(watch.view.slot, change)
            for index, watch in enumerate(shelf.slots)
            for change in watch.filter.update(
                self._networks.add(index, watch.evidence(), witnessed=watch.references.seen is not None), now
            )
        ]

    def _lose(self, now: float) -> None:
        """Nothing can be said of any slot."""
        for watch in self._shelf.slots if self._shelf is not None else ():
            watch.lose(now)

    def _report(self, fault: str | None, now: float) -> list[EventDraft]:
        """A camera event when the fault begins, changes or ends."""
        if fault == self._fault:
            return []
        self._fault = fault
        status = fault or "online"
        return [self._drafter.camera_status(status, REASONS[status], now)]

    def _tell(self, index: int, deed: Deed) -> EventDraft:
        slot = self.plan.slots[index]
        if self._presence is not None:
            self._presence.touched(slot.id)
        return self._drafter.interaction(self._log.add(deed, slot=slot.id, sku=slot.sku))

    def _count(self, sight: Sight, now: float, *, usable: bool) -> list[EventDraft]:
        """Count presence; returns the events of complete windows."""
        presence, shelf = self._presence, self._shelf
        if presence is None:
            return []
        available = [False] * len(self.plan.slots)
        if usable and shelf is not None:
            there = {SlotCondition.IN_STOCK, SlotCondition.LOW}
            available = [w.filter.condition in there and not w.visit.visiting for w in shelf.slots]
        windows = presence.update([(track.id, track.born_at) for track in sight.tracks], available, now)
        return [draft for window in windows for draft in self._drafter.presence(window)]

    def _states(self, now: float) -> tuple[SlotState, ...]:
        if self._shelf is None:
            return tuple(self._unseen(index, now) for index in range(len(self.plan.slots)))
        states = []
        for watch in self._shelf.slots:
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
                    obstructed=watch.obstructed,
                    last_known=watch.filter.last_known,
                )
            )
        return tuple(states)

    def _unseen(self, index: int, now: float) -> SlotState:
        """A slot before the first frame that can be used."""
        slot = self.plan.slots[index]
        return SlotState(
            slot=slot.id,
            camera=self.plan.camera,
            sku=slot.sku,
            state=SlotCondition.UNKNOWN,
            since=to_utc(self._started_at),
            updated_at=to_utc(now),
            confidence=0.0,
        )

    def _notes(self) -> dict[str, str]:
        if self._shelf is None:
            return {}
        return {
            watch.view.slot.id: "something in front" if watch.obstructed else "settling"
            for watch in self._shelf.slots
            if watch.visit.visiting
        }
