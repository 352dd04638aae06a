"""What to refill first: the value that is lost until the next refill, per minute of work.

Demand over ``h`` hours at a rate ``r ~ Gamma(a, b)`` is negative binomial with size ``a`` and success probability
``p = b / (b + h)`` (Poisson mixed over a gamma), so the expected unmet demand of a slot with ``u`` units left is
``E[(D - u)+]``. An empty slot loses all of ``E[D] = a h / b``; a full one only what outruns its stock.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from shelfvision.core.demand import Demand, Evidence, Gamma
from shelfvision.core.messages import SlotCondition

_LOW_FULLNESS = 0.25  # of a low slot whose fullness was not said
_MOST_TERMS = 200_000
_FEW_UNITS = 64
_TELLING_HOURS = 0.5  # on the shelf and in view, before a rate of its own is put into words


@dataclass(frozen=True, slots=True)
class Candidate:
    """A slot as ranking sees it."""

    device: str
    slot: str
    sku: str
    name: str
    condition: SlotCondition  # the last one known; UNKNOWN before the first
    since: float | None = None  # POSIX seconds: when it began
    fullness: float | None = None  # 0 to 1, None when not said
    capacity: int = 1  # units
    priority: float = 1.0
    unit_value: float = 1.0  # value of one unit to the store
    backroom_units: int | None = None  # None: not known
    position: int = 0  # walking order
    pick_ups: int = 0  # plain count, for rank_by "pickups"

    @property
    def units_left(self) -> int:
        """Units that stand in the slot, as far as one can tell."""
        if self.condition is SlotCondition.OUT:
            return 0
        if self.condition is SlotCondition.LOW:
            share = _LOW_FULLNESS if self.fullness is None else self.fullness
            return max(1, min(self.capacity, round(share * self.capacity)))
        return self.capacity if self.fullness is None else max(1, round(self.fullness * self.capacity))

    @property
    def units_to_bring(self) -> int:
        """Units that fit, as far as the backroom has them."""
        room = max(self.capacity - self.units_left, 0)
        return room if self.backroom_units is None else min(room, self.backroom_units)

    @property
    def workable(self) -> bool:
        """Whether there may be something in the backroom to bring."""
        return self.backroom_units != 0

    @property
    def needs_refill(self) -> bool:
        """Whether it is empty or low."""
        return self.condition in {SlotCondition.OUT, SlotCondition.LOW}


@dataclass(frozen=True, slots=True)
class RankingRules:
    """How to weigh."""

    horizon_hours: float = 4.0  # until the next regular refill
    task_minutes: float = 3.0  # effort of one task
    rank_by: Literal["lost_value", "pickups"] = "lost_value"
    count_days: float = 7.0  # what ``Candidate.pick_ups`` counts over, for the words


@dataclass(frozen=True, slots=True)
class Ranked:
    """A slot with its place."""

    candidate: Candidate
    rank: int  # from 1, among the workable ones or among the others
    value: float  # lost value per minute of effort; pick-ups with rank_by "pickups"
    rate_per_hour: float
    reasons: tuple[str, ...]


def rank(
    candidates: Iterable[Candidate], demand: Demand, now: float, rules: RankingRules
) -> tuple[list[Ranked], list[Ranked]]:
    """Slots by value, and apart from them those that the backroom cannot refill.

    Ties go by walking order, then by device and slot id.
    """
    weighed = []
    for candidate in candidates:
        belief = demand.posterior(candidate.sku, now)
        if rules.rank_by == "pickups":
            value = float(candidate.pick_ups)
        else:
            unmet = expected_unmet(belief, rules.horizon_hours, candidate.units_left)
            value = candidate.unit_value * unmet * candidate.priority / rules.task_minutes
        weighed.append((candidate, belief, value))
    # nine digits: sums that differ by rounding alone are ties
    weighed.sort(key=lambda item: (-float(f"{item[2]:.9g}"), item[0].position, item[0].device, item[0].slot))
    workable: list[Ranked] = []
    apart: list[Ranked] = []
    for candidate, belief, value in weighed:
        target = workable if candidate.workable else apart
        words = reasons(candidate, belief, demand.evidence(candidate.sku, now), now, rules)
        target.append(Ranked(candidate, len(target) + 1, value, belief.mean, words))
    return workable, apart


def expected_unmet(belief: Gamma, hours: float, units_left: int) -> float:
    """``E[(D - u)+]`` for negative binomial demand ``D``: units asked for over ``hours`` beyond ``units_left``.

    Where ``u`` is at most the mean, ``mean - u + E[(u - D)+]`` adds terms that are not negative. Above the mean it
    is still taken for few units, being quick, unless it cancels; else the upper tail is summed itself. Terms come
    from logarithms, so none overflows.
    """
    mean = belief.shape * hours / belief.rate
    if units_left <= 0 or mean == 0:
        return mean
    odds = hours / (belief.rate + hours)  # 1 - p: pmf(k) = C(k + a - 1, k) p^a odds^k
    if units_left <= mean or units_left <= _FEW_UNITS:
        unmet = mean - units_left + _unused(belief.shape, odds, units_left)
        if units_left <= mean or unmet > 1e-6 * units_left:
            return unmet
    total, start, block = 0.0, units_left + 1, 64
    while start - units_left < _MOST_TERMS:
        counts = np.arange(start, start + block)
        terms = (counts - units_left) * _pmf(counts, belief.shape, odds)
        total += float(terms.sum())
        if terms[-1] <= 1e-12 * total or total == 0.0:
            break
        start += block
        block *= 2
    return total


def _unused(shape: float, odds: float, units: int) -> float:
    """``E[(u - D)+]``: units that stand unasked for."""
    if units > _FEW_UNITS:
        below = np.arange(units)
        return float(np.sum((units - below) * _pmf(below, shape, odds)))
    log_term = shape * math.log1p(-odds)
    total = units * math.exp(log_term)
    log_odds = math.log(odds)
    for count in range(1, units):
        log_term += log_odds + math.log((count - 1 + shape) / count)
        total += (units - count) * math.exp(log_term)
    return total


def _pmf(
    counts: np.ndarray[tuple[int, ...], np.dtype[np.int64]], shape: float, odds: float
) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Probability of consecutive counts under the negative binomial of ``expected_unmet``, shape (n,)."""
    first = int(counts[0])
    start = math.lgamma(first + shape) - math.lgamma(shape) - math.lgamma(first + 1)
    start += shape * math.log1p(-odds) + first * math.log(odds)
    steps = np.log((counts[1:] - 1 + shape) / counts[1:] * odds)
    return np.exp(start + np.concatenate(([0.0], np.cumsum(steps))))


def reasons(
    candidate: Candidate, belief: Gamma, evidence: Evidence, now: float, rules: RankingRules
) -> tuple[str, ...]:
    """Why a slot stands where it stands, in words for staff."""
    words = []
    lasting = "" if candidate.since is None else f" for {duration(now - candidate.since)}"
    if candidate.condition is SlotCondition.OUT:
        words.append(f"empty{lasting}")
    elif candidate.condition is SlotCondition.LOW:
        words.append(f"low{lasting}, about {candidate.units_left} of {candidate.capacity} left")
    if rules.rank_by == "pickups":
        words.append(f"picked up {candidate.pick_ups} times in the last {rules.count_days:g} days")
    elif evidence.takes >= 0.5 and evidence.hours >= _TELLING_HOURS:
        words.append(f"picked up about {_rate_words(belief.mean)} times an hour while on the shelf")
    elif evidence.takes >= 0.5:
        times = round(evidence.takes)
        words.append(f"picked up {'once' if times <= 1 else f'{times} times'} so far, too short to say how often")
    else:
        words.append(f"hardly seen picked up yet; products like it about {_rate_words(belief.mean)} times an hour")
    words.append(f"worth {candidate.unit_value:.2f} each")
    if candidate.priority != 1:
        words.append(f"priority {candidate.priority:g}")
    if candidate.backroom_units is None:
        words.append("backroom stock not known")
    elif candidate.backroom_units == 0:
        words.append("nothing in the backroom: order")
    else:
        words.append(f"{candidate.backroom_units} in the backroom")
    return tuple(words)


def duration(seconds: float) -> str:
    """A span of time in words, coarser the longer it is."""
    minutes = max(seconds, 0) / 60
    if minutes < 1:
        return "less than a minute"
    if minutes < 90:
        return f"{minutes:.0f} min"
    if minutes < 36 * 60:
        return f"{minutes / 60:.0f} h"
    return f"{minutes / 1440:.0f} days"


def _rate_words(rate: float) -> str:
    return f"{rate:.0f}" if rate >= 10 else f"{rate:.2g}"
