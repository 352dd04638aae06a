"""The seeded script of a store: who comes when, what they do at which slot, and when staff refill."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from shelfvision.sim.shoppers import Deed, Reach, Visit
from shelfvision.sim.stores import SimulatedStore
from shelfvision.sim.visits import ScriptOptions, ShelfState, VisitPlanner

_LEAST_GAP = 1.2  # seconds between arrivals
_STAFF_DELAY = (14.0, 30.0)  # seconds from an empty slot to the refill where nobody orders one


@dataclass(frozen=True, slots=True)
class Order:
    """Staff are told to fill a slot."""

    slot: str
    key: str


@dataclass(frozen=True, slots=True)
class Change:
    """Units came or went."""

    time: float
    slot: str
    count: int  # units after it
    reach: Reach


class StoreScript:
    """Plans visits as time goes on. The same seed, frame times and orders give the same script.

    Args:
        store: the shelf.
        seed: of the people.
        options: how lively it is.
        people: shoppers to choose from; the member of staff has the next index.
    """

    def __init__(self, store: SimulatedStore, seed: int, options: ScriptOptions, *, people: int) -> None:
        self.options = options
        self.reaches: list[Reach] = []  # all that began, in order
        self._state = ShelfState({slot.id: slot.capacity for slot in store.slots}, [])
        self.done: list[Order] = []
        self._store = store
        self._slots = {slot.id: slot for slot in store.slots}
        self._people = people
        self._rng = np.random.default_rng([seed, *b"script"])
        self._orders: deque[Order] = deque()
        self._emptied: dict[str, float] = {}
        self._pending: list[tuple[float, Reach]] = []
        self._next = 1.0 + float(self._rng.uniform(0, 1.5))
        rank = self._rng.permutation(len(store.slots)) + 1.0
        heights = np.array([store.scene.fixture.boards[slot.board].top for slot in store.slots])
        handy = np.where((heights < 45) & store.kind.people, 0.25, 1.0)
        popularity = rank**-0.8 * handy
        self._planner = VisitPlanner(
            store,
            self._state,
            options,
            popularity=popularity / popularity.sum(),
            people=people,
            rng=self._rng,
        )
        if options.start_stock:
            self._draw_stock()
        # close cameras show at once what there is to see: a slot runs empty, something is touched, something put back
        self._opening: deque[Deed] = deque()
        if not store.kind.people:
            rest = [Deed.TOUCH, Deed.PUT_BACK]
            self._opening.extend((Deed.PICK_UP, *(rest[int(place)] for place in self._rng.permutation(2))))
            self._next = float(self._rng.uniform(0.6, 1.2))

    @property
    def stock(self) -> dict[str, int]:
        """Units in each slot now."""
        return self._state.stock

    @property
    def visits(self) -> list[Visit]:
        """Visits that are going on or about to begin."""
        return self._state.visits

    def _draw_stock(self) -> None:
        for slot in self._store.slots:
            kind = self._rng.random()
            if kind < 0.4:
                units = slot.capacity
            elif kind < 0.72:
                units = round(slot.capacity * self._rng.uniform(0.5, 1.0))
            else:
                units = int(self._rng.integers(1, max(2, slot.facings) + 1))
            self.stock[slot.id] = int(np.clip(units, 1, slot.capacity))
        self.stock[self._store.slots[int(self._rng.integers(len(self._store.slots)))].id] = 1

    # ------------------------------------------------------------ time goes on

    def order(self, order: Order) -> None:
        """Ask staff to fill a slot; repeating an order that is not done yet changes nothing.

        Raises:
            KeyError: no such slot.
        """
        if order.slot not in self._slots:
            raise KeyError(order.slot)
        if order not in self._orders:
            self._orders.append(order)

    def advance(self, now: float) -> list[Change]:
        """Go on to a time; what changed on the shelf up to it, in order."""
        changes = []
        for change_time, reach in sorted(self._pending, key=lambda entry: entry[0]):
            if change_time <= now:
                changes.append(self._change(reach))
        self._pending = [entry for entry in self._pending if entry[0] > now]
        self._state.visits = [visit for visit in self.visits if visit.end > now]
        if not self.options.attended:
            for slot_id, due in list(self._emptied.items()):
                if now >= due:
                    self.order(Order(slot_id, "unattended"))
                    del self._emptied[slot_id]
        self._call_staff(now)
        while now >= self._next:  # the times of arrival do not depend on the frame rate
            mean = self._store.kind.arrival_seconds / self.options.busy
            self._next += _LEAST_GAP + float(self._rng.uniform(0, 2) if self._opening else self._rng.exponential(mean))
            if len(self.visits) < self.options.most_people:
                self._arrive(now)
        return changes

    def _change(self, reach: Reach) -> Change:
        count = self.stock[reach.slot] + (reach.count if reach.brings else -reach.count)
        self.stock[reach.slot] = count
        if reach.brings and reach.pack is not None:
            self._state.strangers[reach.slot, reach.order] = reach.pack
        else:
            self._state.strangers.pop((reach.slot, reach.order), None)
        if count == 0:
            self._emptied[reach.slot] = reach.change + float(self._rng.uniform(*_STAFF_DELAY))
        else:
            self._emptied.pop(reach.slot, None)
        return Change(reach.change, reach.slot, count, reach)

    def _add(self, visit: Visit) -> None:
        self.visits.append(visit)
        self.reaches.extend(visit.reaches)
        self._pending.extend((reach.change, reach) for reach in visit.reaches if reach.count)

    # ------------------------------------------------------------ who comes

    def _arrive(self, now: float) -> None:
        rng, store = self._rng, self._store
        free = [visit.person for visit in self.visits]
        person = int(rng.choice([index for index in range(self._people) if index not in free] or [0]))
        kinds = ["pass", "look", "stand", "shop"]
        shares = [0.2, 0.12, 0.03, 0.65] if store.kind.people else [0.07, 0.0, 0.02, 0.91]
        if not self.options.stands:
            shares[2] = 0.0
        kind = str(rng.choice(kinds, p=np.array(shares) / sum(shares)))
        if store.kind.name == "table":
            kind = "shop"
        if self._opening:
            visit = self._planner.opening(self._opening[0], person, now)
            if visit is not None:
                self._opening.popleft()
                self._add(visit)
            return
        if kind == "shop":
            visit = self._planner.shop(person, now)
            if visit is not None:
                self._add(visit)
            return
        self._add(self._planner.stroll(person, kind, now))

    def _call_staff(self, now: float) -> None:
        if not self._orders or any(visit.kind == "staff" for visit in self.visits):
            return
        while self._orders:
            order = self._orders[0]
            missing = self._slots[order.slot].capacity - self.stock[order.slot]
            if not missing:
                self.done.append(self._orders.popleft())
                continue
            if order.slot in self._state.busy_slots():
                return
            self._add(self._planner.refill(self._slots[order.slot], now, missing))
            return
