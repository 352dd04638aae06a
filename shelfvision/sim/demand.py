"""What shoppers want, take and do not find: a store over days, without pictures, with its true rates known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shelfvision.sim.assortment import Assortment, make_shop_floor
from shelfvision.sim.demand_settings import DAY, HOUR, MONDAY, DemandSettings
from shelfvision.sim.refill_rules import AllKnowing, by_emptiness, nothing
from shelfvision.sim.trading import Record, RefillPolicy, Shop, TradingDay, draw_visits

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(slots=True)
class DemandRun:
    """A whole run: what happened, and what the cameras cannot know."""

    settings: DemandSettings
    assortment: Assortment
    log: list[Record]
    wanted: IntArray  # (skus,) units that shoppers came for
    sold: IntArray  # (skus,) units taken and kept
    lost: IntArray  # (skus,) units not found
    empty_seconds: FloatArray  # (skus,) opening hours with an empty shelf
    empty_spans: list[list[tuple[float, float]]]  # per SKU, POSIX seconds, open or not

    @property
    def lost_value(self) -> float:
        """Margin of all units that shoppers did not find."""
        return float(self.lost @ self.assortment.unit_value)

    @property
    def true_rate(self) -> FloatArray:
        """(skus,) units wanted an opening hour if the shelf were never empty: the mean of the run's own days."""
        settings = self.settings
        hours = settings.days * (settings.closes - settings.opens)
        wanted: FloatArray = self.assortment.hourly_rates(settings.days).sum(axis=(0, 2)) / hours
        return wanted


def simulate_demand(settings: DemandSettings, policy: RefillPolicy = by_emptiness) -> DemandRun:
    """Run a store for some days.

    What shoppers want (who comes when, for what, and whether it goes back) depends on the seed alone and not on the
    policy, so that two policies are compared on the same shoppers.

    Args:
        settings: the store.
        policy: which slot staff fill next.
    """
    structure, visits, nights = np.random.SeedSequence(settings.seed).spawn(3)
    assortment = make_shop_floor(settings, np.random.default_rng(structure))
    rates = assortment.hourly_rates(settings.days)  # (days, skus, 24)
    shop = Shop(settings, assortment)
    for day, (visit_seed, night_seed) in enumerate(
        zip(visits.spawn(settings.days), nights.spawn(settings.days), strict=True)
    ):
        midnight = MONDAY + day * DAY
        opening, closing = midnight + settings.opens * HOUR, midnight + settings.closes * HOUR
        shop.open_day(opening, closing, np.random.default_rng(night_seed))
        TradingDay(shop, policy, settings).run(
            draw_visits(settings, rates[day], midnight, np.random.default_rng(visit_seed))
        )
        shop.close_day(closing)
    spans = [_joined(found) for found in shop.spans]
    order = sorted(range(len(shop.log)), key=lambda index: shop.log[index].time)
    place = {old: new for new, old in enumerate(order)}
    log = [shop.log[old] for old in order]
    log = [record._replace(link=place[record.link]) if record.link >= 0 else record for record in log]
    return DemandRun(
        settings, assortment, log, shop.wanted, shop.view.net_takes.copy(), shop.lost, shop.view.empty_seconds, spans
    )


def _joined(spans: list[tuple[float, float]]) -> list[tuple[float, float]]:
    joined: list[tuple[float, float]] = []
    for begin, end in spans:
        if joined and begin <= joined[-1][1]:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((begin, end))
    return joined


@dataclass(frozen=True, slots=True)
class RuleScore:
    """How a rule compares with doing nothing and with knowing everything, on the same shoppers."""

    lost_value: float
    lost_value_nothing: float
    lost_value_all_knowing: float
    run: DemandRun

    @property
    def avoided_share(self) -> float:
        """Share of the avoidable lost margin that the rule avoids; 1 is as good as knowing the true rates."""
        avoidable = self.lost_value_nothing - self.lost_value_all_knowing
        return (self.lost_value_nothing - self.lost_value) / avoidable if avoidable > 0 else 1.0


def score_rule(settings: DemandSettings, policy: RefillPolicy) -> RuleScore:
    """Run the store three times with the same shoppers: with the rule, with nothing, with the true rates."""
    idle = simulate_demand(settings, nothing)
    oracle = simulate_demand(settings, AllKnowing(idle.assortment.hourly_rates(settings.days)))
    run = simulate_demand(settings, policy)
    return RuleScore(run.lost_value, idle.lost_value, oracle.lost_value, run)
