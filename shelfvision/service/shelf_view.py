"""What the Shelf page shows, ready for its template."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from shelfvision.core.messages import SlotCondition, TaskDocument, TaskState
from shelfvision.service.access import Viewer
from shelfvision.service.queries import ShelfCamera, ShelfSlot
from shelfvision.service.slot_drawing import Glyph, Label, Level, place_marks, points_text
from shelfvision.service.time_words import span_words

CONDITION_WORDS = {
    SlotCondition.OUT: "Out of stock",
    SlotCondition.LOW: "Running low",
    SlotCondition.IN_STOCK: "In stock",
    SlotCondition.UNKNOWN: "Not in view",
}
_COUNT_WORDS = {
    SlotCondition.OUT: "out",
    SlotCondition.LOW: "low",
    SlotCondition.UNKNOWN: "not in view",
    SlotCondition.IN_STOCK: "in stock",
}
_STATUS_WORDS = {
    "unknown": ("Not heard yet", "grey"),
    "starting": ("Starting", "grey"),
    "online": ("Online", "good"),
    "offline": ("Offline", "bad"),
    "frozen": ("Picture frozen", "bad"),
    "moved": ("Camera moved", "bad"),
    "resized": ("Picture size changed", "bad"),
    "ended": ("Video ended", "grey"),
}


@dataclass(frozen=True, slots=True)
class SlotView:
    """One slot."""

    key: str  # unique in the page, safe as an element id
    id: str
    camera: str
    sku: str
    name: str
    condition: SlotCondition
    since: datetime | None
    seconds: float
    updated_at: datetime | None
    percent: int | None
    facings: int | None
    planned_facings: int
    obstructed: bool
    before: str | None
    pick_ups: int
    task: str | None
    task_words: str
    points: str
    glyph: Glyph | None
    level: Level | None
    label: Label | None

    @property
    def condition_words(self) -> str:
        """The state in words."""
        return CONDITION_WORDS[self.condition]

    @property
    def spoken(self) -> str:
        """What a screen reader says of it."""
        words = [self.name, f"slot {self.id}", self.condition_words.lower()]
        if self.since is not None:
            words[-1] += f" for {span_words(self.seconds)}"
        if self.percent is not None:
            words.append(f"{self.percent} percent full")
        if self.task:
            words.append(f"task {self.task_words}")
        return ", ".join(words)


@dataclass(frozen=True, slots=True)
class CameraView:
    """One camera with its slots."""

    key: str
    id: str
    size: tuple[int, int] | None
    status_words: str
    tone: str  # good, bad, grey
    trouble: str | None
    slots: tuple[SlotView, ...]

    @property
    def attention(self) -> tuple[SlotView, ...]:
        """Slots that are not in stock, worst and longest first."""
        order = [SlotCondition.OUT, SlotCondition.LOW, SlotCondition.UNKNOWN]
        found = [slot for slot in self.slots if slot.condition in order]
        return tuple(sorted(found, key=lambda slot: (order.index(slot.condition), -slot.seconds, slot.id)))

    @property
    def calm(self) -> tuple[SlotView, ...]:
        """Slots in stock."""
        return tuple(slot for slot in self.slots if slot.condition is SlotCondition.IN_STOCK)

    @property
    def counts(self) -> list[tuple[SlotCondition, str, int]]:
        """State, words and number of slots, for the legend."""
        return [
            (condition, words, sum(slot.condition is condition for slot in self.slots))
            for condition, words in _COUNT_WORDS.items()
        ]


@dataclass(frozen=True, slots=True)
class ShelfView:
    """The page."""

    at: datetime
    warnings: tuple[str, ...]
    to_do: int
    cameras: tuple[CameraView, ...]


def shelf_view(
    cameras: Sequence[ShelfCamera],
    tasks: Sequence[TaskDocument],
    viewer: Viewer,
    at: datetime,
    *,
    facings: Mapping[tuple[str, str], int],
    warnings: Sequence[str],
) -> ShelfView:
    """Prepare every camera for drawing.

    Args:
        cameras: as ``queries.shelf`` gives them.
        tasks: as ``queries.tasks`` gives them.
        viewer: who looks.
        at: the time now.
        facings: planned facings by device and slot.
        warnings: what the page says on top.
    """
    by_id = {task.id: task for task in tasks}
    open_tasks = [task for task in tasks if task.workable and task.state in {TaskState.OPEN, TaskState.CLAIMED}]
    views = [_camera_view(camera, by_id, viewer, at, facings=facings) for camera in cameras]
    return ShelfView(at, tuple(warnings), len(open_tasks), tuple(views))


def _camera_view(
    camera: ShelfCamera,
    tasks: Mapping[str, TaskDocument],
    viewer: Viewer,
    at: datetime,
    *,
    facings: Mapping[tuple[str, str], int],
) -> CameraView:
    words, tone = _STATUS_WORDS.get(camera.status, (camera.status, "grey"))
    if camera.status == "online" and camera.fps is not None:
        words += f" · {camera.fps:.1f} fps"
    trouble = None
    if tone == "bad":
        trouble = f"{camera.error or words}. Its slots count as not in view until it is back."
        trouble = trouble[0].upper() + trouble[1:]
    slots = tuple(
        _slot_view(
            camera,
            slot,
            tasks.get(slot.task or ""),
            viewer,
            at,
            facings=facings.get((camera.device, slot.state.slot)),
        )
        for slot in camera.slots
    )
    return CameraView(_key(camera.device, camera.camera), camera.camera, camera.frame_size, words, tone, trouble, slots)


def _slot_view(
    camera: ShelfCamera,
    slot: ShelfSlot,
    task: TaskDocument | None,
    viewer: Viewer,
    at: datetime,
    *,
    facings: int | None,
) -> SlotView:
    state = slot.state
    seen = state.updated_at.timestamp() > 0  # time 0: nothing was heard of it yet
    since = state.since if state.since.timestamp() > 0 else None
    glyph = level = label = None
    if slot.polygon and camera.frame_size is not None:
        glyph, level, label = place_marks(slot.polygon, camera.frame_size[0], state.slot, state.fullness)
    return SlotView(
        key=_key(camera.device, state.slot),
        id=state.slot,
        camera=camera.camera,
        sku=state.sku,
        name=slot.name,
        condition=state.state,
        since=since,
        seconds=0.0 if since is None else (at - since).total_seconds(),
        updated_at=state.updated_at if seen else None,
        percent=None if state.fullness is None else round(state.fullness * 100),
        facings=state.facings,
        planned_facings=facings or slot.capacity,
        obstructed=state.obstructed,
        before=None if state.last_known is None else CONDITION_WORDS[state.last_known].lower(),
        pick_ups=slot.pick_ups,
        task=None if task is None else task.id,
        task_words="" if task is None else _task_words(task, viewer),
        points=points_text(slot.polygon),
        glyph=glyph,
        level=level,
        label=label,
    )


def _task_words(task: TaskDocument, viewer: Viewer) -> str:
    if task.state is TaskState.CLAIMED:
        return "yours" if task.claimed_by == viewer.name else f"{task.claimed_by} is on it"
    if task.state is TaskState.DONE:
        return "done, to confirm"
    return "to refill" if task.workable else "to order"


def _key(device: str, name: str) -> str:
    # device and slot ids hold no "/" or ":"; a dot stays, since scripts find elements by id, not by selector
    return f"s:{device}:{name}"
