"""What is believed of each slot: a Bayes filter over visible facings, and states that do not flicker."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from shelfvision.core.events import EventKind
from shelfvision.core.messages import SlotCondition

Belief = NDArray[np.float64]
"""(facings + 1,) probabilities of 0..facings visible facings."""


@dataclass(frozen=True, slots=True)
class ShelfSettings:
    """Durations in seconds of frame time, thresholds in fullness (visible facings over facings)."""

    out_seconds: float = 3.0  # unobstructed view that confirms an empty slot
    low_seconds: float = 3.0  # ... a nearly empty slot
    stocked_seconds: float = 1.0  # ... a stocked slot
    misplaced_seconds: float = 10.0  # ... a foreign SKU
    unknown_seconds: float = 20.0  # an obstructed slot keeps its state for so long
    enter_out: float = 0.6  # probability of no facing at all, to begin to believe it
    leave_out: float = 0.3  # ... and to stop believing it
    enter_low: float = 0.35  # expected fullness at or below it is low ...
    leave_low: float = 0.45  # ... until it is above this
    evidence_seconds: float = 0.4  # a steady picture counts as one independent observation each so often
    turn_seconds: float = 1.0  # clear view before the belief turned that still counts towards a confirmation
    change_rate: float = 0.002  # unseen changes a second, spread over all counts
    surest: float = 1e-3  # no count becomes less likely than this
    gap_strength: float = 2.0  # log-odds of a gap box that covers the whole slot
    prior_full: float = 0.6  # chance that a slot is fully stocked before it has been seen


@dataclass(frozen=True, slots=True)
class SlotEvidence:
    """What one moment tells about a slot. What is None tells nothing."""

    clear: bool  # nothing in front: the rest of the evidence is about the slot itself
    clear_since: float | None = None  # since when the view has been clear
    occupied: tuple[float, ...] | None = None  # log-odds by facing, from the slot's own picture
    changed_at: float | None = None  # when the picture last changed for good
    detected_facings: int | None = None  # products found in the slot by a detector
    detector_trust: float = 0.8  # chance that this count is exact
    gap_share: float | None = None  # share of the slot that gap boxes cover
    seen_sku: str | None = None  # recognised SKU of most facings
    sku_trust: float = 0.0  # probability of it


@dataclass(frozen=True, slots=True)
class StockChange:
    """An event about a slot's stock."""

    kind: EventKind
    time: float  # when it was confirmed
    onset_at: float  # when it really happened
    fullness: float
    facings: int
    confidence: float
    seen_sku: str | None = None


def count_distribution(occupied: tuple[float, ...]) -> Belief:
    """Poisson-binomial distribution of the number of occupied facings, from independent log-odds.

    Returns:
        (len(occupied) + 1,) probabilities.
    """
    result = np.ones(1)
    for odds in occupied:
        chance = 1 / (1 + np.exp(-np.clip(odds, -30, 30)))
        result = np.convolve(result, [1 - chance, chance])
    return np.asarray(result)


@dataclass(slots=True)
class SlotFilter:
    """One slot's belief and confirmed state.

    Args:
        facings: units side by side when full.
        sku: the SKU that belongs there.
        settings: see ``ShelfSettings``.
        now: time of the first frame.
    """

    facings: int
    sku: str
    settings: ShelfSettings
    now: float
    belief: Belief = field(init=False)
    condition: SlotCondition = field(init=False, default=SlotCondition.UNKNOWN)
    since: float = field(init=False)
    last_known: SlotCondition | None = field(init=False, default=None)
    _alert: SlotCondition = field(init=False, default=SlotCondition.IN_STOCK)  # what the last stock event said
    _candidate: SlotCondition | None = field(init=False, default=None)
    _candidate_onset: float = field(init=False, default=0.0)
    _candidate_clear: float = field(init=False, default=0.0)  # seconds of clear view that support the candidate
    _clear_at: float = field(init=False)  # last time the view was clear
    _updated_at: float = field(init=False)
    _wrong_since: float | None = field(init=False, default=None)
    _misplaced: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        self.belief = np.full(self.facings + 1, (1 - self.settings.prior_full) / self.facings)
        self.belief[-1] = self.settings.prior_full
        self.since = self._clear_at = self._updated_at = self.now

    @property
    def fullness(self) -> float:
        """Expected share of visible facings."""
        return float(np.dot(self.belief, np.arange(self.facings + 1)) / self.facings)

    @property
    def visible(self) -> int:
        """Most likely number of visible facings."""
        return int(np.argmax(self.belief))

    @property
    def confidence(self) -> float:
        """Probability of the confirmed state under the belief."""
        counts = np.arange(self.facings + 1)
        low = (counts > 0) & (counts <= self.settings.enter_low * self.facings)
        share = {
            SlotCondition.OUT: self.belief[0],
            SlotCondition.LOW: self.belief[low].sum(),
            SlotCondition.IN_STOCK: self.belief[(counts > 0) & ~low].sum(),
            SlotCondition.UNKNOWN: 0.0,
        }
        return float(np.clip(share[self.condition], 0, 1))

    def update(self, evidence: SlotEvidence, now: float) -> list[StockChange]:
        """Take in one moment's evidence; returns what it confirmed."""
        elapsed = max(0.0, now - self._updated_at)
        self._updated_at = now
        self._predict(elapsed)
        if not evidence.clear:
            if now - self._clear_at >= self.settings.unknown_seconds:
                self._become(SlotCondition.UNKNOWN, now)
            return []
        since = evidence.clear_since if evidence.clear_since is not None else self._clear_at
        # The view was clear for a moment before the picture had settled enough to be judged: that counts too.
        seconds = max(0.0, now - max(since, self._clear_at))
        self._clear_at = now
        self._learn(evidence, seconds)
        changes = self._confirm(evidence, seconds, since, now)
        return changes + self._check_sku(evidence, since, now)

    def forget(self, now: float) -> None:
        """The camera cannot be believed: the state is unknown until the slot is seen again."""
        self._become(SlotCondition.UNKNOWN, now)
        self._candidate = None
        self._wrong_since = None
        self._updated_at = now

    def _predict(self, elapsed: float) -> None:
        mixing = 1 - np.exp(-self.settings.change_rate * elapsed)
        self.belief = (1 - mixing) * self.belief + mixing / len(self.belief)

    def _learn(self, evidence: SlotEvidence, seconds: float) -> None:
        """Bayes' rule; a steady picture is not new evidence every frame, so it is weighed by its seconds."""
        counts = np.arange(self.facings + 1)
        logs = np.zeros(self.facings + 1)
        if evidence.occupied is not None:
            logs += np.log(count_distribution(evidence.occupied) + 1e-6)
        if evidence.detected_facings is not None:
            miss = np.abs(counts - min(evidence.detected_facings, self.facings))
            trust = float(np.clip(evidence.detector_trust, 0.05, 0.99))
            logs += np.log(np.where(miss == 0, trust, (1 - trust) * 0.5**miss))
        if evidence.gap_share is not None:
            expected = 1 - counts / self.facings
            logs -= self.settings.gap_strength * np.abs(expected - np.clip(evidence.gap_share, 0, 1))
        if not logs.any():
            return
        weighed = np.log(self.belief) + logs * min(seconds / self.settings.evidence_seconds, 3.0)
        belief = np.exp(weighed - weighed.max())
        self.belief = np.maximum(belief / belief.sum(), self.settings.surest)
        self.belief /= self.belief.sum()

    def _wanted(self) -> SlotCondition:
        """The state that the belief speaks for, with hysteresis around what holds now."""
        settings = self.settings
        holds = self.condition if self.condition is not SlotCondition.UNKNOWN else self.last_known
        bound = settings.leave_out if holds is SlotCondition.OUT else settings.enter_out
        if self.belief[0] >= bound:
            return SlotCondition.OUT
        bound = settings.leave_low if holds in {SlotCondition.LOW, SlotCondition.OUT} else settings.enter_low
        return SlotCondition.LOW if self.fullness <= bound else SlotCondition.IN_STOCK

    def _confirm(self, evidence: SlotEvidence, seconds: float, since: float, now: float) -> list[StockChange]:
        wanted = self._wanted()
        if wanted is self.condition:
            self._candidate = None
            return []
        if wanted is not self._candidate:
            # It took the belief a moment to turn, in which the picture was already the same.
            self._candidate, self._candidate_clear = wanted, max(seconds, min(now - since, self.settings.turn_seconds))
            self._candidate_onset = evidence.changed_at if evidence.changed_at is not None else since
        else:
            self._candidate_clear += seconds
        needed = {
            SlotCondition.OUT: self.settings.out_seconds,
            SlotCondition.LOW: self.settings.low_seconds,
            SlotCondition.IN_STOCK: self.settings.stocked_seconds,
        }[wanted]
        if self._candidate_clear + 1e-9 < needed:
            return []
        onset = self._candidate_onset
        self._candidate = None
        self._become(wanted, onset)
        if wanted is self._alert:
            return []
        before, self._alert = self._alert, wanted
        kind = {SlotCondition.OUT: EventKind.STOCKOUT, SlotCondition.LOW: EventKind.LOW_STOCK}.get(
            wanted, EventKind.RESTOCKED
        )
        if kind is EventKind.RESTOCKED and before is SlotCondition.IN_STOCK:
            return []
        return [StockChange(kind, now, onset, self.fullness, self.visible, self.confidence)]

    def _check_sku(self, evidence: SlotEvidence, since: float, now: float) -> list[StockChange]:
        if evidence.seen_sku is None:
            return []
        wrong = evidence.seen_sku != self.sku and evidence.sku_trust >= 0.5
        if not wrong:
            self._wrong_since, self._misplaced = None, False
            return []
        if self._wrong_since is None:
            self._wrong_since = max(since, evidence.changed_at or since)
        if self._misplaced or now - self._wrong_since < self.settings.misplaced_seconds:
            return []
        self._misplaced = True
        return [
            StockChange(
                EventKind.MISPLACED,
                now,
                self._wrong_since,
                self.fullness,
                self.visible,
                evidence.sku_trust,
                evidence.seen_sku,
            )
        ]

    def _become(self, condition: SlotCondition, since: float) -> None:
        if condition is self.condition:
            return
        if self.condition is not SlotCondition.UNKNOWN:
            self.last_known = self.condition
        self.condition, self.since = condition, max(since, self.since)
