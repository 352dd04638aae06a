"""What a comparison of events with the truth comes to, in a store's own terms; see ``docs/truth-format.md``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from shelfvision.core.events import EventKind

INTERACTION_KINDS = (EventKind.PICK_UP, EventKind.PUT_BACK, EventKind.TOUCH)
ALERT_KINDS = (EventKind.STOCKOUT, EventKind.LOW_STOCK, EventKind.MISPLACED)
SHELF_DAY_SECONDS = 86_400
"""A shelf-day is 24 hours of one camera's footage."""


@dataclass(frozen=True, slots=True)
class Spread:
    """How a set of differences lies, in seconds."""

    median: float
    p95: float
    largest: float

    @staticmethod
    def of(values: Sequence[float]) -> Spread | None:
        """None when there are no values."""
        if not values:
            return None
        numbers = np.asarray(values)
        return Spread(float(np.median(numbers)), float(np.percentile(numbers, 95)), float(numbers.max()))


@dataclass(slots=True)
class KindScore:
    """One kind of event."""

    true: int = 0
    found: int = 0
    matched: int = 0
    optional: int = 0  # found where the truth allows but does not ask for it; in neither count above
    right_slot: int = 0  # of the matched
    right_sku: int = 0
    sku_known: int = 0  # matched events whose true SKU is known
    right_count: int = 0
    count_known: int = 0  # matched interactions; alerts move no units
    right_staff: int = 0
    staff_known: int = 0  # matched interactions of which the truth says whether staff or shoppers did them
    time_errors: list[float] = field(default_factory=list)  # seconds, of contact or onset

    @property
    def precision(self) -> float | None:
        """Share of the found that are true; None when nothing was found."""
        return self.matched / self.found if self.found else None

    @property
    def recall(self) -> float | None:
        """Share of the true that were found; None when there were none."""
        return self.matched / self.true if self.true else None

    @property
    def f1(self) -> float | None:
        """2 TP / (2 TP + FP + FN); None when there was neither truth nor event."""
        total = self.true + self.found
        return 2 * self.matched / total if total else None

    @property
    def slot_rate(self) -> float | None:
        """Share of the matched that name the right slot."""
        return self.right_slot / self.matched if self.matched else None

    @property
    def sku_rate(self) -> float | None:
        """Share of the matched that name the right SKU, where the truth knows it."""
        return self.right_sku / self.sku_known if self.sku_known else None

    @property
    def count_rate(self) -> float | None:
        """Share of the matched with the right number of units, where units are counted."""
        return self.right_count / self.count_known if self.count_known else None

    @property
    def staff_rate(self) -> float | None:
        """Share of the matched that tell staff from shoppers rightly, where the truth knows it."""
        return self.right_staff / self.staff_known if self.staff_known else None

    @property
    def time_error(self) -> Spread | None:
        """How far contacts (interactions) or onsets (alerts) are from the truth."""
        return Spread.of(self.time_errors)


@dataclass(frozen=True, slots=True)
class Fault:
    """A missed or false event, for reading."""

    kind: EventKind
    time: float  # POSIX seconds
    slot: str | None


@dataclass(frozen=True, slots=True)
class Score:
    """Everything that ``evaluate events`` reports."""

    kinds: dict[EventKind, KindScore]
    missed: tuple[Fault, ...]
    false: tuple[Fault, ...]
    seconds_to_alert: Spread | None  # alert time minus true onset
    seconds_in_view: Spread | None  # the unobstructed part of it
    shelf_days: float | None
    duplicates: int  # lines that repeat an event id
    not_judged: dict[str, int]  # kind to events of which the truth says nothing
    other_cameras: int  # events of cameras that the truth does not cover

    @property
    def macro_f1(self) -> float | None:
        """Mean F1 of the interaction kinds that the truth or the events hold."""
        present = [f1 for kind in INTERACTION_KINDS if (f1 := self.kinds[kind].f1) is not None]
        return sum(present) / len(present) if present else None

    @property
    def right_slot_rate(self) -> float | None:
        """Share of the interactions matched in time that name the right slot."""
        parts = [self.kinds[kind] for kind in INTERACTION_KINDS]
        matched = sum(part.matched for part in parts)
        return sum(part.right_slot for part in parts) / matched if matched else None

    @property
    def contact_error(self) -> Spread | None:
        """How far the contacts of all interactions are from the truth."""
        return Spread.of([error for kind in INTERACTION_KINDS for error in self.kinds[kind].time_errors])

    @property
    def false_alerts(self) -> int:
        """Stockout, low-stock and misplaced events that are not true: each sends somebody to a shelf in vain."""
        return sum(self.kinds[kind].found - self.kinds[kind].matched for kind in ALERT_KINDS)

    @property
    def false_alerts_a_shelf_day(self) -> float | None:
        """None when the truth does not say how long the footage is."""
        return self.false_alerts / self.shelf_days if self.shelf_days else None

    @property
    def false_alerts_a_shelf_day_at_most(self) -> float | None:
        """One-sided 95 % upper bound, since short footage cannot show a low rate."""
        return poisson_upper_bound(self.false_alerts) / self.shelf_days if self.shelf_days else None

    @property
    def perfect(self) -> bool:
        """Whether every event is there once, at its slot, and nothing else."""
        return not self.missed and not self.false and all(k.right_slot == k.matched for k in self.kinds.values())


def poisson_upper_bound(count: int, confidence: float = 0.95) -> float:
    """The largest mean that is compatible with a count at most this small, one-sided (Garwood 1936).

    For no event at all it is 3.0, the rule of three.
    """

    def tail(mean: float) -> float:  # P(at most `count`)
        logs = [index * math.log(mean) - mean - math.lgamma(index + 1) for index in range(count + 1)]
        return math.fsum(map(math.exp, logs))

    low, high = 1e-9, count + 10 * math.sqrt(count + 1) + 10
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if tail(middle) > 1 - confidence else (low, middle)
    return high
