"""Ways to decide which slot to refill next."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shelfvision.sim.demand_settings import DAY, HOUR, MONDAY
from shelfvision.sim.trading import ShopView

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

LOOK_AHEAD_HOURS = 1.5
"""Loss that lies further ahead can wait for a later task; with the true rates 1 to 2 h lose least."""


def workable(view: ShopView) -> NDArray[np.bool_]:
    """(skus,) room on the shelf, units in the backroom, nobody on it."""
    return (view.on_shelf < view.assortment.capacity) & (view.backroom > 0) & ~view.being_filled


def best(view: ShopView, value: FloatArray) -> int | None:
    """The workable SKU of the highest value, if it is over zero; of equals the first."""
    value = np.where(workable(view), value, 0.0)
    chosen = int(np.argmax(value))
    return chosen if value[chosen] > 0 else None


def by_emptiness(view: ShopView) -> int | None:
    """The emptiest slot first, once it is half empty: what staff see with their own eyes."""
    emptiness = 1 - view.on_shelf / view.assortment.capacity
    return best(view, np.where(emptiness >= 0.5, emptiness, 0.0))


def by_pickups(view: ShopView) -> int | None:
    """Among slots that are half empty, the most picked up so far: the raw count, fooled by empty shelves."""
    half_empty = view.on_shelf <= view.assortment.capacity / 2
    return best(view, np.where(half_empty, view.net_takes + 1e-3, 0.0))


def by_observed_rate(view: ShopView) -> int | None:
    """Expected lost margin soon, from net takes over the hours in stock: what an honest observer can do."""
    hours = np.maximum(view.open_seconds - view.empty_seconds, 0) / HOUR
    rate = (np.maximum(view.net_takes, 0) + 0.5) / (hours + 2)
    ahead = min(max(view.closing - view.now, 0) / HOUR, LOOK_AHEAD_HOURS)
    return best(view, _saved(view, rate * ahead))


@dataclass(slots=True)
class AllKnowing:
    """Expected lost margin soon, from the true rates: as good as rates can make it."""

    rates: FloatArray  # (days, skus, 24)

    def __call__(self, view: ShopView) -> int | None:
        """Index of the SKU whose refill saves most."""
        day, second = divmod(view.now - MONDAY, DAY)
        hour = second / HOUR
        starts = np.arange(self.rates.shape[2])
        part = np.clip(np.minimum(hour + LOOK_AHEAD_HOURS, starts + 1) - np.maximum(hour, starts), 0, 1)
        return best(view, _saved(view, self.rates[int(day)] @ part))


def nothing(view: ShopView) -> int | None:  # noqa: ARG001 - a policy
    """Staff never refill during the day."""
    return None


def _saved(view: ShopView, expected: FloatArray) -> FloatArray:
    """(skus,) expected margin that a refill now saves, when so many units are expected to be wanted soon."""
    after = np.minimum(view.assortment.capacity, view.on_shelf + view.backroom)
    saved = expected_shortage(expected, view.on_shelf) - expected_shortage(expected, after)
    return saved * view.assortment.unit_value


def expected_shortage(expected: FloatArray, stock: IntArray) -> FloatArray:
    """E[(N - stock)+] of a Poisson N with the given means.

    It is m - stock + the sum over k < stock of (stock - k) * P(N = k). Large means and stocks, where the spread
    matters little, take (m - stock)+.
    """
    shortage = np.maximum(expected - stock, 0.0)
    exact = (expected < 60) & (stock < 120)
    if exact.any():
        mean, limit = expected[exact], stock[exact]
        probability, total = np.exp(-mean), mean - limit
        for units in range(int(limit.max(initial=0))):
            total = total + np.maximum(limit - units, 0) * probability
            probability = probability * mean / (units + 1)
        shortage[exact] = np.maximum(total, 0.0)
    return shortage
