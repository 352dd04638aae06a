"""What a simulated store is asked to be."""

from __future__ import annotations

from dataclasses import dataclass

from shelfvision.errors import ConfigError

HOURS = 24
DAY = 86_400.0
HOUR = 3_600.0
MONDAY = 1_767_571_200.0
"""POSIX seconds of 2026-01-05T00:00:00Z, a Monday: day 0 of every simulated store."""


@dataclass(frozen=True, slots=True)
class DemandSettings:
    """A store to simulate.

    Raises:
        ConfigError: a value outside its range; every fault on its own line.
    """

    skus: int = 200
    days: int = 14
    seed: int = 0
    opens: int = 8  # hour of the day
    closes: int = 22
    picks_per_sku_day: float = 8.0  # wanted units of the average SKU on an average day
    zipf_exponent: float = 0.9
    put_back_share: float = 0.08
    touches_per_pick: float = 0.5
    promotion_share: float = 0.08  # of SKUs, a promotion of 2 to 5 days
    staff: float = 0.3  # people who refill during opening hours
    task_minutes: float = 4.0  # for one slot
    night_fill_share: float = 0.9  # slots that the night crew fills before opening
    days_of_supply: tuple[float, float] = (0.35, 2.0)  # shelf capacity over daily demand, range over SKUs
    delivery_share: float = 0.9  # SKUs that the morning's delivery brings back to their backroom level
    seen_share: float = 1.0  # interactions that the cameras report

    def __post_init__(self) -> None:
        low, high = self.days_of_supply
        checks = {
            f"skus: expected 1 to 100000, found {self.skus}": 1 <= self.skus <= 100_000,
            f"days: expected 1 to 730, found {self.days}": 1 <= self.days <= 730,
            f"seed: expected 0 or more, found {self.seed}": self.seed >= 0,
            f"opens, closes: expected 0 <= opens < closes <= 24, found {self.opens} and {self.closes}": (
                0 <= self.opens < self.closes <= HOURS
            ),
            f"picks_per_sku_day: expected over 0 and up to 10000, found {self.picks_per_sku_day:g}": (
                0 < self.picks_per_sku_day <= 10_000
            ),
            f"zipf_exponent: expected 0 to 3, found {self.zipf_exponent:g}": 0 <= self.zipf_exponent <= 3,
            f"touches_per_pick: expected 0 to 20, found {self.touches_per_pick:g}": 0 <= self.touches_per_pick <= 20,
            f"staff: expected 0 to 1000, found {self.staff:g}": 0 <= self.staff <= 1000,
            f"task_minutes: expected over 0 and up to 480, found {self.task_minutes:g}": 0 < self.task_minutes <= 480,
            f"days_of_supply: expected 0 < low <= high <= 1000, found {low:g} to {high:g}": 0 < low <= high <= 1000,
        }
        shares = ("put_back_share", "promotion_share", "night_fill_share", "delivery_share", "seen_share")
        for name in shares:
            value = getattr(self, name)
            checks[f"{name}: expected 0 to 1, found {value:g}"] = 0 <= value <= 1
        faults = [fault for fault, right in checks.items() if not right]
        if faults:
            raise ConfigError("\n".join(f"demand {fault}" for fault in faults))
