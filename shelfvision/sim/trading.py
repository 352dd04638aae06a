"""A shop floor from opening to closing: shoppers take, staff fill, and every change is logged."""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass
from enum import IntEnum
from itertools import count
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from shelfvision.sim.assortment import Assortment
from shelfvision.sim.demand_settings import HOUR, HOURS, MONDAY, DemandSettings

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

IDLE_SECONDS = 300.0  # staff with nothing to do look again after this


class Happening(IntEnum):
    """What the log of a run records."""

    PICK_UP = 0
    PUT_BACK = 1
    TOUCH = 2
    STOCKOUT = 3
    RESTOCKED = 4


class Record(NamedTuple):
    """One line of the log; ``link`` is the index of the pick-up that a put-back undoes."""

    time: float  # POSIX seconds
    what: Happening
    sku: int  # index into the assortment
    units: int
    on_shelf: int  # after it
    link: int = -1


@dataclass(slots=True)
class ShopView:
    """What someone who decides about refills can see; arrays are live and must not be written to."""

    now: float
    assortment: Assortment
    on_shelf: IntArray  # (skus,) units
    backroom: IntArray  # (skus,) units
    net_takes: IntArray  # (skus,) units picked up less put back, so far
    open_seconds: float  # opening hours so far
    empty_seconds: FloatArray  # (skus,) of them, with nothing on the shelf, up to now
    being_filled: NDArray[np.bool_]  # (skus,) someone is on it
    closing: float  # POSIX seconds at which the store closes today


class RefillPolicy(Protocol):
    """Decides which slot a free member of staff fills next."""

    def __call__(self, view: ShopView) -> int | None:
        """Index of the SKU to fill, or None to wait."""


class Shop:
    """The state that moves while a run goes on."""

    def __init__(self, settings: DemandSettings, assortment: Assortment) -> None:
        count = settings.skus
        self.settings = settings
        self.on_shelf = assortment.capacity.copy()
        self.backroom = assortment.backroom_level.copy()
        self.empty_since = np.full(count, np.nan)
        self.log: list[Record] = []
        self.wanted = np.zeros(count, np.int64)
        self.lost = np.zeros(count, np.int64)
        self.spans: list[list[tuple[float, float]]] = [[] for _ in range(count)]
        self.day_open = 0.0
        self.open_before = 0.0  # opening seconds of the days before
        self.view = ShopView(
            now=MONDAY,
            assortment=assortment,
            on_shelf=self.on_shelf,
            backroom=self.backroom,
            net_takes=np.zeros(count, np.int64),
            open_seconds=0.0,
            empty_seconds=np.zeros(count),
            being_filled=np.zeros(count, bool),
            closing=MONDAY,
        )

    def record(self, time: float, what: Happening, sku: int, units: int, link: int = -1) -> int:
        """Add a line to the log; its index."""
        self.log.append(Record(time, what, sku, units, int(self.on_shelf[sku]), link))
        return len(self.log) - 1

    def take(self, time: float, sku: int, units: int) -> int | None:
        """A shopper comes for ``units``; the log index of the pick-up, or None when the shelf is empty."""
        taken = min(units, int(self.on_shelf[sku]))
        self.wanted[sku] += units
        self.lost[sku] += units - taken
        if not taken:
            return None
        self.on_shelf[sku] -= taken
        self.view.net_takes[sku] += taken
        index = self.record(time, Happening.PICK_UP, sku, taken)
        if not self.on_shelf[sku]:
            self.empty_since[sku] = time
            self.record(time, Happening.STOCKOUT, sku, 0)
        return index

    def give(self, time: float, sku: int, units: int, what: Happening, link: int = -1) -> None:
        """Units come back to the shelf, by a shopper or by staff."""
        if not units:
            return
        self.on_shelf[sku] += units
        if what is Happening.PUT_BACK:
            self.view.net_takes[sku] -= units
        self.record(time, what, sku, units, link)
        since = self.empty_since[sku]
        if not np.isnan(since):
            self.spans[sku].append((float(since), time))
            self.view.empty_seconds[sku] += max(0.0, min(time, self.view.closing) - max(since, self.day_open))
            self.empty_since[sku] = np.nan

    def see(self, time: float) -> ShopView:
        """The view at ``time``; the running emptiness of today counts."""
        view = self.view
        view.now = time
        running = ~np.isnan(self.empty_since)
        if running.any():
            view.empty_seconds[running] += np.maximum(0.0, time - np.maximum(self.empty_since[running], self.day_open))
            # the time up to now is counted; go on from here, the log keeps the true beginning
            for sku in np.flatnonzero(running):
                self.spans[sku].append((float(self.empty_since[sku]), time))
            self.empty_since[running] = time
        view.open_seconds = self.open_before + (time - self.day_open)
        return view

    def open_day(self, opening: float, closing: float, rng: np.random.Generator) -> None:
        """Night crew and delivery, then the doors open."""
        settings, assortment = self.settings, self.view.assortment
        self.open_before += max(0.0, self.view.closing - self.day_open) if self.day_open else 0.0
        delivered = rng.random(settings.skus) < settings.delivery_share
        self.backroom[delivered] = np.maximum(self.backroom, assortment.backroom_level)[delivered]
        filled = rng.random(settings.skus) < settings.night_fill_share
        room = np.minimum(assortment.capacity - self.on_shelf, self.backroom)
        for sku in np.flatnonzero(filled & (room > 0)):
            self.backroom[sku] -= room[sku]
            self.give(opening - HOUR, int(sku), int(room[sku]), Happening.RESTOCKED)
        self.day_open = opening
        self.view.closing = closing

    def close_day(self, closing: float) -> None:
        """Count the day's emptiness; whoever was on a task is free."""
        self.see(closing)
        self.view.being_filled[:] = False

    def fill(self, time: float, sku: int) -> None:
        """Staff bring what fits and what there is."""
        room = int(self.view.assortment.capacity[sku] - self.on_shelf[sku])
        brought = max(0, min(room, int(self.backroom[sku])))
        self.backroom[sku] -= brought
        self.give(time, sku, brought, Happening.RESTOCKED)
        self.view.being_filled[sku] = False


class Visits(NamedTuple):
    """One day's shoppers at slots, in order of time."""

    time: list[float]
    sku: list[int]
    units: list[int]  # 0: a touch
    returned: list[int]  # units that go back, if taken
    hold: list[float]  # seconds until then


def draw_visits(settings: DemandSettings, rates: FloatArray, midnight: float, rng: np.random.Generator) -> Visits:
    """Draw a day's visits from the hourly rates, (skus, 24) units an hour."""
    mean_units = 1 + 0.15 + 0.05 * 2  # of the draw of units below
    counts = rng.poisson(rates * (1 + settings.touches_per_pick) / mean_units)
    sku, hour = np.divmod(np.repeat(np.arange(counts.size), counts.ravel()), HOURS)
    total = len(sku)
    time = midnight + (hour + rng.random(total)) * HOUR
    units = rng.choice([1, 2, 3], size=total, p=[0.8, 0.15, 0.05])
    touch = rng.random(total) < settings.touches_per_pick / (1 + settings.touches_per_pick)
    returned = np.where(rng.random(total) < settings.put_back_share, np.ceil(units * rng.random(total)), 0)
    hold = 5 + rng.exponential(40, total)
    order = np.argsort(time, kind="stable")
    return Visits(
        time[order].tolist(),
        sku[order].tolist(),
        np.where(touch, 0, units)[order].tolist(),
        returned[order].astype(int).tolist(),
        hold[order].tolist(),
    )


class _Due(NamedTuple):
    """Something that will happen today."""

    time: float
    tie: int  # of equal times the one that was planned first
    sku: int  # -1: a member of staff looks for work
    units: int  # 0: staff fill the slot; else a shopper puts so many back
    link: int  # of a put-back: index of its pick-up in the log


class TradingDay:
    """One day from opening to closing."""

    def __init__(self, shop: Shop, policy: RefillPolicy, settings: DemandSettings) -> None:
        self._shop = shop
        self._policy = policy
        self._due: list[_Due] = []
        self._ties = count()
        people = math.ceil(settings.staff)
        # half a person works the same task at half the speed, so that `staff` may be any number
        self._effort = settings.task_minutes * 60 * people / settings.staff if people else math.inf
        for person in range(people):
            self._plan(shop.day_open + person * self._effort / people, -1)

    def run(self, visits: Visits) -> None:
        """Let all shoppers come, in order of time, and staff work between them."""
        shop = self._shop
        for time, sku, units, returned, hold in zip(*visits, strict=True):
            self._settle(time)
            if not units:
                if shop.on_shelf[sku]:
                    shop.record(time, Happening.TOUCH, sku, 0)
                continue
            index = shop.take(time, sku, units)
            if index is not None and returned:
                back = min(returned, shop.log[index].units)
                self._plan(min(time + hold, shop.view.closing - 1e-3), sku, back, index)
        self._settle(shop.view.closing)
        for due in sorted(self._due):  # tasks begun before closing are finished
            if due.sku >= 0:
                shop.fill(shop.view.closing, due.sku)

    def _plan(self, time: float, sku: int, units: int = 0, link: int = -1) -> None:
        heapq.heappush(self._due, _Due(time, next(self._ties), sku, units, link))

    def _settle(self, until: float) -> None:
        """Everything that is due up to ``until``."""
        while self._due and self._due[0].time <= until:
            due = heapq.heappop(self._due)
            if due.units:
                self._shop.give(due.time, due.sku, due.units, Happening.PUT_BACK, due.link)
                continue
            if due.sku >= 0:
                self._shop.fill(due.time, due.sku)
            self._find_work(due.time)

    def _find_work(self, time: float) -> None:
        view = self._shop.see(time)
        if time >= view.closing:
            return
        chosen = self._policy(view)
        if chosen is None:
            self._plan(time + IDLE_SECONDS, -1)
        else:
            view.being_filled[chosen] = True
            self._plan(time + self._effort, int(chosen))
