"""The SKUs of a simulated store: how popular, when bought, how much fits, what they cost."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shelfvision.core.catalogue import Product, gtin_check_digit
from shelfvision.sim.demand_settings import HOURS, DemandSettings

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

CATEGORIES = ("bakery", "dairy", "drinks", "snacks", "household", "coffee and tea", "beer and wine", "sweets")
WEEKDAY_WEIGHT = np.array([0.9, 0.88, 0.92, 0.98, 1.15, 1.35, 0.82])
"""Monday to Sunday; mean 1. Supermarkets trade most on Friday and Saturday."""
_PEAKS = {  # hour of the peaks, of a bell curve, and its width in hours
    "bakery": ((8.5, 1.5), (17.0, 2.0)),
    "dairy": ((10.0, 2.5), (17.5, 2.0)),
    "drinks": ((12.5, 2.0), (18.0, 2.5)),
    "snacks": ((15.0, 3.0), (19.5, 2.0)),
    "household": ((11.0, 2.5), (16.5, 2.5)),
    "coffee and tea": ((9.5, 2.0), (16.5, 2.5)),
    "beer and wine": ((17.5, 1.5), (19.5, 1.5)),
    "sweets": ((14.0, 3.0), (18.5, 2.5)),
}


@dataclass(frozen=True, slots=True)
class Assortment:
    """All SKUs of a store as parallel arrays."""

    category: IntArray  # (skus,) index into CATEGORIES
    daily_rate: FloatArray  # (skus,) units wanted on an average day
    hour_weight: FloatArray  # (categories, 24) share of a day's demand, zero outside opening hours
    promotion: FloatArray  # (days, skus) factor on the day's demand
    capacity: IntArray  # (skus,) units that fit on the shelf
    facings: IntArray  # (skus,)
    backroom_level: IntArray  # (skus,) units after a delivery
    price: FloatArray  # (skus,)
    unit_value: FloatArray  # (skus,) margin of one unit

    def __len__(self) -> int:
        return len(self.daily_rate)

    def sku(self, index: int) -> str:
        """The store's key of a SKU."""
        return f"sku-{index + 1:05d}"

    def hourly_rates(self, days: int) -> FloatArray:
        """(days, skus, 24) units wanted in each hour; day 0 is a Monday."""
        weekday = WEEKDAY_WEIGHT[np.arange(days) % 7]
        daily = weekday[:, None] * self.promotion[:days] * self.daily_rate
        rates: FloatArray = daily[:, :, None] * self.hour_weight[self.category]
        return rates

    def catalogue(self) -> list[Product]:
        """The SKUs as the service's catalogue wants them, with valid GTIN-13."""
        products = []
        for index in range(len(self)):
            body = f"200{index:09d}"  # prefix 200: numbers for use inside one store
            category = CATEGORIES[self.category[index]]
            products.append(
                Product(
                    sku=self.sku(index),
                    name=f"{category.capitalize()} {index + 1}",
                    gtin=f"{body}{gtin_check_digit(body)}",
                    category=category,
                    price=round(float(self.price[index]), 2),
                    unit_margin=round(float(self.unit_value[index]), 4),
                    backroom_units=int(self.backroom_level[index]),
                )
            )
        return products


def make_shop_floor(settings: DemandSettings, rng: np.random.Generator) -> Assortment:
    """Draw a store's SKUs.

    Popularity follows Zipf's law (rate of rank r falls as r to the minus exponent) with some noise; space on the shelf
    grows with the rate but far from in step, which is why shelves run empty.
    """
    count = settings.skus
    rank = rng.permutation(count) + 1.0
    rate = rank**-settings.zipf_exponent * rng.gamma(8, 1 / 8, count)
    rate *= settings.picks_per_sku_day / rate.mean()
    category = rng.integers(len(CATEGORIES), size=count)
    low, high = settings.days_of_supply
    supply = np.exp(rng.uniform(np.log(low), np.log(high), count))
    capacity = np.clip(np.round(rate * supply), 3, None).astype(np.int64)
    depth = rng.integers(2, 7, count)
    facings = np.clip(np.round(capacity / depth), 1, None).astype(np.int64)
    price = np.exp(rng.normal(1.0, 0.7, count))
    promotion = np.ones((settings.days, count))
    for sku in np.flatnonzero(rng.random(count) < settings.promotion_share):
        begin = rng.integers(settings.days)
        promotion[begin : begin + rng.integers(2, 6), sku] = rng.uniform(1.5, 4)
    return Assortment(
        category=category,
        daily_rate=rate,
        hour_weight=_hour_weights(settings.opens, settings.closes),
        promotion=promotion,
        capacity=capacity,
        facings=facings,
        backroom_level=np.round(capacity * rng.choice([0.0, 1.0, 2.0, 4.0], count, p=[0.08, 0.3, 0.4, 0.22])).astype(
            np.int64
        ),
        price=price,
        unit_value=price * rng.uniform(0.15, 0.45, count),
    )


def _hour_weights(opens: int, closes: int) -> FloatArray:
    """(categories, 24): two bells over a floor, nothing outside opening hours, each row sums to 1."""
    hours = np.arange(HOURS) + 0.5
    weights = np.empty((len(CATEGORIES), HOURS))
    for row, name in enumerate(CATEGORIES):
        weights[row] = 0.15 + sum(np.exp(-0.5 * ((hours - at) / wide) ** 2) for at, wide in _PEAKS[name])
    weights[:, (hours < opens) | (hours > closes)] = 0
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))
