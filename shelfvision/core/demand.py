"""How fast a SKU is taken while it can be: exposure-corrected, decayed, shrunk to its category.

Model. While a SKU is in stock and in view, shoppers take it as a Poisson process of unknown rate ``r`` (units an
hour and slot). Over ``t`` hours in which it took ``y`` net units (pick-ups minus put-backs) the likelihood is
``Poisson(y | r t)``. Hours in which the slot was empty or hidden give no evidence, so an empty shelf does not look
like missing demand (the censored-demand problem: Conrad 1976, "Sales data and the estimation of demand").

* Decay: evidence of age ``a`` has weight ``w = 2 ** (-a / half_life)`` on both ``y`` and ``t``. Raising the
  likelihood to a power keeps the gamma family conjugate (power prior: Ibrahim and Chen 2000, Statistical Science 15).
* Category prior ``r ~ Gamma(shape, rate)`` by empirical Bayes. With ``r_i = y_i / t_i`` of the category's ``n`` SKUs,
  ``m = (sum y + k m0) / (sum t + k)`` and, by the method of moments of Marshall (1991, Applied Statistics 40),
  ``A = sum t_i (r_i - m)^2 / sum t_i - m / mean(t)``. Clayton and Kaldor (1987, Biometrics 43) then give
  ``shape = m^2 / A``, ``rate = m / A``. For few SKUs ``A`` is noise, so the squared coefficient of variation
  ``c = A / m^2`` is averaged with ``c0 = 1`` (an exponential prior) at the weight of ``PRIOR_SKUS`` SKUs.
* Store-wide hyperprior: ``m0 = (sum y + STORE_SHAPE) / (sum t + STORE_HOURS)`` over all SKUs; a new store starts at
  ``STORE_SHAPE / STORE_HOURS`` takes an hour and forgets it within hours.
* Posterior: ``Gamma(shape + y, rate + t)``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

STORE_SHAPE = 0.5  # takes
STORE_HOURS = 1.0
CATEGORY_HOURS = 2.0  # k above: the store-wide mean counts like so many slot-hours of the category
PRIOR_SKUS = 3.0
PRIOR_VARIATION = 1.0  # c0 above
_LEAST_VARIATION, _MOST_VARIATION = 0.05, 20.0
_REBASE = 256.0  # half-lives after which weights are brought back into the range of floats


@dataclass(frozen=True, slots=True)
class Gamma:
    """A gamma distribution over a rate in units an hour."""

    shape: float
    rate: float  # hours

    @property
    def mean(self) -> float:
        """Expected units an hour."""
        return self.shape / self.rate


@dataclass(frozen=True, slots=True)
class Evidence:
    """What stands behind an estimate, decayed to now."""

    takes: float  # net units
    hours: float  # in stock and in view


@dataclass(frozen=True, slots=True)
class Observation:
    """Something that demand is learnt from."""

    sku: str
    at: float  # POSIX seconds
    takes: int = 0  # units picked up by shoppers
    puts: int = 0  # units that shoppers put back
    seconds: float = 0.0  # in stock and in view


@dataclass(frozen=True, slots=True)
class Sale:
    """Units sold at the till."""

    sku: str
    at: float  # POSIX seconds
    units: int  # negative for a return


class SalesFeed(Protocol):
    """Sales from the till, which can stand in for pick-ups or be blended with them."""

    def sales(self, since: float, until: float) -> Iterable[Sale]:
        """Sales with ``since <= at < until`` (POSIX seconds), in any order."""


class Demand(Protocol):
    """What ranking needs to know of demand; a better model has the same face."""

    def posterior(self, sku: str, now: float) -> Gamma:
        """Belief about the units taken an hour while the SKU is on the shelf."""

    def evidence(self, sku: str, now: float) -> Evidence:
        """What the belief rests on besides its prior."""


@dataclass(slots=True)
class _Tally:
    category: str
    takes: float = 0.0  # weighted net units, relative to the model's origin
    seconds: float = 0.0


class DemandModel:
    """Gamma-Poisson rates of every SKU; see the module for the formulas.

    Args:
        half_life: age in seconds at which evidence counts half.
        categories: SKU to category; SKUs that are not named fall into the category ``""``.
    """

    def __init__(self, half_life: float, categories: Mapping[str, str] | None = None) -> None:
        if not half_life > 0:
            raise ValueError(f"half_life must be positive, found {half_life}")
        self._half_life = half_life
        self._tallies = {sku: _Tally(category) for sku, category in (categories or {}).items()}
        self._origin: float | None = None
        self._priors: dict[str, Gamma] = {}
        self._priors_at: float | None = None

    def observe(self, seen: Observation) -> None:
        """Learn from one observation; its time must not lie in the future of ``posterior``'s ``now``."""
        if seen.takes:
            self.observe_take(seen.sku, seen.takes, seen.at)
        if seen.puts:
            self.observe_put(seen.sku, seen.puts, seen.at)
        if seen.seconds:
            self.observe_exposure(seen.sku, seen.seconds, seen.at)

    def observe_take(self, sku: str, units: float, at: float) -> None:
        """Shoppers picked units up at a time (POSIX seconds)."""
        weight = self._weight(at)  # first: it may rescale what is there
        self._tally(sku).takes += units * weight

    def observe_put(self, sku: str, units: float, at: float) -> None:
        """Shoppers put units back."""
        weight = self._weight(at)  # first: it may rescale what is there
        self._tally(sku).takes -= units * weight

    def observe_exposure(self, sku: str, seconds: float, at: float) -> None:
        """One slot of the SKU was in stock and in view for some seconds around a time."""
        weight = self._weight(at)  # first: it may rescale what is there
        self._tally(sku).seconds += seconds * weight

    def posterior(self, sku: str, now: float) -> Gamma:
        """Belief about the units taken an hour by shoppers while a slot of the SKU is in stock."""
        if self._priors_at != now:
            self._priors = self._fit(now)
            self._priors_at = now
        tally = self._tallies.get(sku)
        prior = self._priors.get("" if tally is None else tally.category) or self._priors[""]
        if tally is None:
            return prior
        seen = self._seen(tally, now)
        return Gamma(prior.shape + seen.takes, prior.rate + seen.hours)

    def evidence(self, sku: str, now: float) -> Evidence:
        """Decayed net units and hours behind the estimate."""
        tally = self._tallies.get(sku)
        return Evidence(0.0, 0.0) if tally is None else self._seen(tally, now)

    def _tally(self, sku: str) -> _Tally:
        self._priors_at = None
        return self._tallies.setdefault(sku, _Tally(""))

    def _weight(self, at: float) -> float:
        if self._origin is None:
            self._origin = at
        age = (at - self._origin) / self._half_life
        if age > _REBASE:
            shrink = 2.0**-age if age < 1000 else 0.0
            for tally in self._tallies.values():
                tally.takes *= shrink
                tally.seconds *= shrink
            self._origin = at
            return 1.0
        return 2.0**age if age > -1000 else 0.0

    def _seen(self, tally: _Tally, now: float) -> Evidence:
        if self._origin is None:
            return Evidence(0.0, 0.0)
        age = (now - self._origin) / self._half_life
        decay = 2.0 ** -min(max(age, -1000.0), 1000.0)
        return Evidence(max(tally.takes * decay, 0.0), max(tally.seconds * decay, 0.0) / 3600)

    def _fit(self, now: float) -> dict[str, Gamma]:
        """The prior of every category, and under ``""`` one for SKUs of no category."""
        seen: dict[str, list[tuple[float, float]]] = {"": []}
        for tally in self._tallies.values():
            found = self._seen(tally, now)
            seen.setdefault(tally.category, []).append((found.takes, found.hours))
        every = np.array([pair for pairs in seen.values() for pair in pairs], dtype=float).reshape(-1, 2)
        takes, hours = every.sum(axis=0)
        store_mean = (takes + STORE_SHAPE) / (hours + STORE_HOURS)
        return {category: _prior(np.array(pairs).reshape(-1, 2), store_mean) for category, pairs in seen.items()}


def _prior(seen: np.ndarray[tuple[int, ...], np.dtype[np.float64]], store_mean: float) -> Gamma:
    """Gamma prior of a category.

    Args:
        seen: (n, 2) decayed takes and hours of its SKUs.
        store_mean: rate to lean on, units an hour.
    """
    takes, hours = seen.sum(axis=0)
    mean = float((takes + CATEGORY_HOURS * store_mean) / (hours + CATEGORY_HOURS))
    shown = seen[seen[:, 1] > 1e-6]
    variation, count = PRIOR_VARIATION, len(shown)
    if count >= 2:
        rates, weights = shown[:, 0] / shown[:, 1], shown[:, 1]
        spread = float(np.average((rates - mean) ** 2, weights=weights) - mean / weights.mean())
        measured = min(max(spread / mean**2, 0.0), _MOST_VARIATION)
        variation = ((count - 1) * measured + PRIOR_SKUS * PRIOR_VARIATION) / (count - 1 + PRIOR_SKUS)
    shape = 1 / max(variation, _LEAST_VARIATION)
    return Gamma(shape, shape / mean)
