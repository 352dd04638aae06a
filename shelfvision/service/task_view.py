"""What the Tasks page shows, ready for its template."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from shelfvision.core.messages import SlotCondition, TaskDocument, TaskState
from shelfvision.service.access import Viewer
from shelfvision.service.queries import Summary

_CONDITION_WORDS = {
    SlotCondition.OUT: "Empty",
    SlotCondition.LOW: "Running low",
    SlotCondition.IN_STOCK: "In stock again",
    SlotCondition.UNKNOWN: "Not in view",
}


@dataclass(frozen=True, slots=True)
class TaskCard:
    """One task."""

    document: TaskDocument
    camera: str | None
    shown: str  # open, mine, theirs, done: what the viewer can do
    own: bool
    may_release: bool
    seconds: float  # since onset
    note: str | None  # what happened to it before
    reasons: tuple[str, ...]

    @property
    def condition_words(self) -> str:
        """The slot's state in words."""
        return _CONDITION_WORDS[self.document.condition]

    @property
    def closed_words(self) -> str:
        """How it ended."""
        match self.document.state:
            case TaskState.CONFIRMED:
                return "Refilled, the camera saw it"
            case TaskState.REJECTED:
                return f"Rejected: {self.document.closed_reason or 'no reason given'}"
            case _:
                return f"Expired: {self.document.closed_reason or 'nobody took it'}"


@dataclass(frozen=True, slots=True)
class TasksView:
    """The page."""

    at: datetime
    warnings: tuple[str, ...]
    availability: float | None
    quiet_words: str
    mine: tuple[TaskCard, ...]
    open: tuple[TaskCard, ...]  # open, or claimed by somebody else
    done: tuple[TaskCard, ...]
    order: tuple[TaskCard, ...]  # nothing in the backroom
    closed: tuple[TaskCard, ...]

    @property
    def to_do(self) -> int:
        """Tasks that can be worked on."""
        return len(self.mine) + len(self.open)


def tasks_view(
    documents: Iterable[TaskDocument],
    summary: Summary,
    viewer: Viewer,
    at: datetime,
    *,
    cameras: Mapping[tuple[str, str], str],
    warnings: Sequence[str],
) -> TasksView:
    """Sort the tasks into the page's sections, keeping their order.

    Args:
        documents: as ``queries.tasks`` gives them.
        summary: the store at a glance.
        viewer: who looks.
        at: the time now.
        cameras: camera id by device and slot.
        warnings: what the page says on top.
    """
    sections: dict[str, list[TaskCard]] = {name: [] for name in ("mine", "open", "done", "order", "closed")}
    for document in documents:
        own = document.claimed_by is not None and document.claimed_by == viewer.name
        shown = _shown(document, own)
        onset = document.onset_at or document.created_at
        card = TaskCard(
            document,
            cameras.get((document.device, document.slot)),
            shown,
            own,
            shown == "mine" or (shown == "theirs" and viewer.is_manager),
            (at - onset).total_seconds(),
            *_note_and_reasons(document.reasons),
        )
        sections[_section(document, own)].append(card)
    return TasksView(
        at,
        tuple(warnings),
        summary.availability,
        _quiet_words(summary),
        *(tuple(sections[name]) for name in ("mine", "open", "done", "order", "closed")),
    )


def _note_and_reasons(reasons: Sequence[str]) -> tuple[str | None, tuple[str, ...]]:
    """The note apart; the duration left out, since the card counts it on by itself.

    The words are those of ``core.tasks`` and ``core.ranking``: "open again: ...", "low for 5 min, about 3 of 12 left".
    """
    note = None
    kept = []
    for reason in reasons:
        if reason.startswith("open again: "):
            note = reason
        elif reason.startswith(("empty for ", "low for ")):
            _, comma, rest = reason.partition(", ")
            kept += [rest] if comma else []
        else:
            kept.append(reason)
    return note, tuple(kept)


def _shown(document: TaskDocument, own: bool) -> str:
    if document.state is TaskState.CLAIMED:
        return "mine" if own else "theirs"
    return "open" if document.state is TaskState.OPEN else "done"


def _section(document: TaskDocument, own: bool) -> str:
    match document.state:
        case TaskState.CLAIMED:
            return "mine" if own else "open"
        case TaskState.OPEN:
            return "open" if document.workable else "order"
        case TaskState.DONE:
            return "done"
        case _:
            return "closed"


def _quiet_words(summary: Summary) -> str:
    if summary.slots == 0:
        return "No slot is watched yet."
    if summary.unknown == summary.slots:
        return "No slot is in view yet; tasks appear as soon as the cameras see the shelves."
    if summary.unknown:
        return f"All slots in view are filled; {summary.unknown} cannot be seen now."
    return "Every slot that the cameras see is filled. New tasks appear here by themselves."
