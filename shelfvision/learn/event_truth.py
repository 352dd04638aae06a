"""What really happened in some footage, and which events should follow from it. ``docs/truth-format.md`` explains."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from shelfvision.core.events import EventKind
from shelfvision.errors import ConfigError
from shelfvision.learn.truth_file import Span, TruthFile, read_truth_file

CONFIRM_SECONDS = 3.0
"""Unobstructed view after which an empty slot is reported (the agent's default)."""
RESTOCK_SECONDS = 1.0
"""Unobstructed view after which a refilled slot must be noticed."""


@dataclass(frozen=True, slots=True)
class Interaction:
    """A true interaction, in POSIX seconds."""

    kind: EventKind
    camera: str | None
    slot: str
    sku: str | None
    contact: float
    count: int
    by_staff: bool | None
    ignore: bool


@dataclass(frozen=True, slots=True)
class Alert:
    """A state of a slot that should (or may) be reported, in POSIX seconds."""

    kind: EventKind
    camera: str | None
    slot: str
    onset: float  # when the state began
    until: float  # last moment at which a report is still right
    required: bool  # False: a judgement call, neither a miss when absent nor false when present
    views: tuple[tuple[float, float], ...]  # spans of unobstructed view while it lasted
    at_start: bool  # it was so from the first frame on, so that its onset cannot be known


@dataclass(frozen=True, slots=True)
class Truth:
    """Everything that events are compared with."""

    interactions: tuple[Interaction, ...]
    alerts: tuple[Alert, ...]
    slots: frozenset[str]  # every slot that the file names
    cameras: frozenset[str]  # empty: the file names none, events of any camera are judged
    capacities: dict[str, int]  # slot to units, where the file says
    low_known: frozenset[str]  # slots whose low stock the file knows
    misplaced_known: bool
    footage_seconds: float | None  # of all cameras together


def read_truth(
    path: Path,
    *,
    start: float | None = None,
    tolerance: float = 0.5,
    confirm: float = CONFIRM_SECONDS,
    camera_of: dict[str, str] | None = None,
) -> Truth:
    """Read a truth file and work out the events that should follow.

    Args:
        path: the JSON file.
        start: POSIX seconds of the first frame, in place of the file's own.
        tolerance: accuracy of the labels and events, seconds; views shorter or longer than needed by no more than
            this make an alert optional.
        confirm: unobstructed view after which an empty slot is reported, seconds.
        camera_of: slot to camera, where the file names none.

    Raises:
        ConfigError: the file cannot be read or is no truth file; one line a fault.
    """
    file = read_truth_file(path)
    clock = _Clock(path, file, start, tolerance)
    seen_by = _cameras(file, camera_of or {})
    alerts: list[Alert] = []
    for kind, intervals in (
        (EventKind.STOCKOUT, file.empty_facing_intervals),
        (EventKind.LOW_STOCK, file.low_intervals),
        (EventKind.MISPLACED, file.misplaced_intervals),
    ):
        for slot, given in intervals.items():
            blocked = _blocked(file, clock, slot)
            for began, ended in clock.spans(given):
                views = clear_views((began, ended), blocked)
                required = must_notice(views, confirm, tolerance)
                if required is not None:
                    at_start = began <= clock.zero + tolerance
                    until = ended + tolerance
                    alerts.append(Alert(kind, seen_by(slot), slot, began, until, required, views, at_start))
    for slot in {*file.empty_facing_intervals, *file.refills}:
        stockouts = [alert for alert in alerts if alert.kind is EventKind.STOCKOUT and alert.slot == slot]
        alerts.extend(_restocks(file, clock, slot, stockouts, seen_by(slot), tolerance=tolerance))
    cameras = {name for name in (*file.cameras, *(slot.camera for slot in file.slots.values())) if name}
    return Truth(
        interactions=tuple(
            Interaction(
                EventKind(hand.type),
                seen_by(hand.slot),
                hand.slot,
                hand.sku or (file.slots[hand.slot].sku if hand.slot in file.slots else None),
                clock.at(hand.contact),
                hand.count,
                hand.by_staff,
                hand.ignore,
            )
            for hand in file.interactions
        ),
        alerts=tuple(sorted(alerts, key=lambda alert: (alert.onset, alert.slot))),
        slots=frozenset(
            {hand.slot for hand in file.interactions}.union(
                file.slots, file.empty_facing_intervals, file.low_intervals, file.misplaced_intervals, file.refills
            )
        ),
        cameras=frozenset(cameras),
        capacities={slot: known.capacity for slot, known in file.slots.items()},
        low_known=frozenset(file.low_intervals),
        misplaced_known="misplaced_intervals" in file.model_fields_set,
        footage_seconds=None if clock.length is None else clock.length * max(1, len(cameras)),
    )


def clear_views(span: tuple[float, float], blocked: Iterable[tuple[float, float]]) -> tuple[tuple[float, float], ...]:
    """The parts of ``span`` in which nothing stands in front, in order."""
    views, begin = [], span[0]
    for first, last in sorted(blocked):
        if first > begin:
            views.append((begin, min(first, span[1])))
        begin = max(begin, last)
    views.append((begin, span[1]))
    return tuple((a, b) for a, b in views if b > a)


def must_notice(views: Iterable[tuple[float, float]], confirm: float, slack: float) -> bool | None:
    """Whether a state seen in ``views`` must be reported (True), may be (False) or must not (None).

    It must be when one view alone is longer than the confirmation time by the slack, and must not be when all views
    together are shorter than it by the slack.
    """
    lengths = [b - a for a, b in views]
    if max(lengths, default=0.0) >= confirm + slack:
        return True
    return False if sum(lengths) >= confirm - slack else None


def _restocks(
    file: TruthFile, clock: _Clock, slot: str, stockouts: list[Alert], camera: str | None, *, tolerance: float
) -> Iterator[Alert]:
    """After each stockout that could be reported the slot's refill; refills of a slot that was not empty may be."""
    blocked = _blocked(file, clock, slot)
    empty = clock.spans(file.empty_facing_intervals.get(slot, []))
    reported = {stockout.onset: stockout.required for stockout in stockouts}
    for place, (began, ended) in enumerate(empty):
        if began in reported and ended < clock.end:
            next_empty = empty[place + 1][0] if place + 1 < len(empty) else clock.end
            views = clear_views((ended, next_empty), blocked)
            noticed = max((b - a for a, b in views), default=0.0) >= RESTOCK_SECONDS + tolerance
            until = next_empty + tolerance
            yield Alert(EventKind.RESTOCKED, camera, slot, ended, until, reported[began] and noticed, views, False)
    for moment in map(clock.at, file.refills.get(slot, [])):
        until = min([begin for begin, _ in empty if begin > moment], default=clock.end) + tolerance
        views = clear_views((moment, until), blocked)
        yield Alert(EventKind.RESTOCKED, camera, slot, moment, until, False, views, False)


class _Clock:
    """Turns the file's moments into POSIX seconds."""

    def __init__(self, path: Path, file: TruthFile, start: float | None, tolerance: float) -> None:
        self._scale = 1.0 if file.unit == "seconds" else 1.0 / (file.fps or 1.0)
        self.length = file.duration  # seconds
        if self.length is None and file.frames is not None and file.fps is not None:
            self.length = file.frames / file.fps
        latest = max(_moments(file), default=0.0) * self._scale
        if self.length is not None and latest > self.length + tolerance:
            raise ConfigError(
                f"{path}: a time of {latest:g} s lies after the end of the footage, which is {self.length:g} s long"
            )
        self.zero = start if start is not None else (file.start.timestamp() if file.start else 0.0)
        self.end = self.zero + (latest if self.length is None else self.length)

    def at(self, moment: float) -> float:
        return self.zero + moment * self._scale

    def spans(self, given: Iterable[Span]) -> list[tuple[float, float]]:
        return [(self.at(a), self.end if b is None else self.at(b)) for a, b in given]


def _cameras(file: TruthFile, camera_of: dict[str, str]) -> Callable[[str], str | None]:
    only = file.cameras[0] if len(file.cameras) == 1 else None

    def seen_by(slot: str) -> str | None:
        named = file.slots[slot].camera if slot in file.slots else None
        return named or only or camera_of.get(slot)

    return seen_by


def _blocked(file: TruthFile, clock: _Clock, slot: str) -> list[tuple[float, float]]:
    """When something stands in front of a slot: what the file says, and every hand at the slot."""
    blocked = clock.spans(file.occluded_intervals.get(slot, []))
    for hand in file.interactions:
        if hand.slot == slot:
            first = hand.contact if hand.hand_in is None else min(hand.hand_in, hand.contact)
            last = hand.contact if hand.end is None else max(hand.end, hand.contact)
            blocked.append((clock.at(first), clock.at(last)))
    return blocked


def _moments(file: TruthFile) -> Iterator[float]:
    for hand in file.interactions:
        yield hand.contact
    for spans in (file.empty_facing_intervals, file.low_intervals, file.misplaced_intervals, file.occluded_intervals):
        for given in spans.values():
            for begin, end in given:
                yield begin if end is None else end
    for moments in file.refills.values():
        yield from moments
