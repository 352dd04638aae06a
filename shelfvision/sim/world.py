"""A simulated shelf over time: what stands where, whose hands are there, and the exact truth about it."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

from shelfvision.sim.flat_scene import View
from shelfvision.sim.shoppers import REACH_SECONDS, UNATTENDED_REFILL_SECONDS, Deed, Reach, Script
from shelfvision.sim.stores import SimulatedStore

_PAUSE_AFTER_STAFF = 1.5  # seconds before the next shopper comes


@dataclass(frozen=True, slots=True)
class Refill:
    """Staff are told to fill a slot."""

    slot: str
    key: str


class World:
    """Advances frame by frame. Its views are a function of seed, frame number and the refills asked for.

    Args:
        store: which shelf.
        seed: of the script.
        fps: frames a second.
        attended: whether refills come only when asked for; otherwise staff fill a slot some time after it ran empty.
    """

    def __init__(self, store: SimulatedStore, seed: int, *, fps: float, attended: bool) -> None:
        self.store = store
        self.fps = fps
        self.index = -1  # of the latest frame
        self.done: list[Refill] = []  # refills that are complete, oldest first
        self.reaches: list[Reach] = []  # all that began, oldest first
        self.empty: dict[str, list[tuple[float, float | None]]] = {slot.id: [] for slot in store.slots}
        self.partial_refills: dict[str, list[float]] = {}  # when units came by staff to a slot that was not empty
        self._attended = attended
        self._script = Script(store, seed)
        self._stock = {slot.id: [True] * slot.facings for slot in store.slots}
        self._active: list[Reach] = []
        self._orders: deque[Refill] = deque()
        self._emptied_at: dict[str, float] = {}

    def refill(self, order: Refill) -> None:
        """Ask staff to fill a slot; repeating an order that is not done yet changes nothing.

        Raises:
            KeyError: no such slot.
        """
        self.store.slot(order.slot)
        if order not in self._orders:
            self._orders.append(order)

    def step(self) -> View:
        """Go on by one frame."""
        self.index += 1
        now = self.index / self.fps
        self._carry_on(now)
        self._begin(now)
        units = {slot_id: tuple(there) for slot_id, there in self._stock.items()}
        return View(now, self.index, units, tuple(reach.hand(now) for reach in self._active if reach.start <= now))

    def _carry_on(self, now: float) -> None:
        for reach in list(self._active):
            if now >= reach.change:
                self._change(reach)
            if now >= reach.end:
                self._active.remove(reach)

    def _change(self, reach: Reach) -> None:
        if reach.deed is Deed.TOUCH:
            return
        slot_id, brings = reach.slot.id, reach.deed is not Deed.PICK_UP
        units = self._stock[slot_id]
        if units[reach.place] == brings:
            return
        if reach.deed is Deed.RESTOCK and any(units):
            self.partial_refills.setdefault(slot_id, []).append(reach.change)
        units[reach.place] = brings
        if brings and self._emptied_at.pop(slot_id, None) is not None:
            self.empty[slot_id][-1] = (self.empty[slot_id][-1][0], reach.change)
        if not any(units):
            self._emptied_at[slot_id] = reach.change
            self.empty[slot_id].append((reach.change, None))

    def _begin(self, now: float) -> None:
        if not self._attended:
            for slot_id, since in self._emptied_at.items():
                if now - since >= UNATTENDED_REFILL_SECONDS:
                    self.refill(Refill(slot_id, "unattended"))
        if self._active:
            return
        while self._orders:
            order = self._orders[0]
            missing = [place for place, there in enumerate(self._stock[order.slot]) if not there]
            if missing:
                self._start(self._script.restock(self.store.slot(order.slot), missing[0], now))
                self._script.hold_off(now + REACH_SECONDS + _PAUSE_AFTER_STAFF)
                return
            self.done.append(self._orders.popleft())
        for reach in self._script.next(now, self._stock):
            self._start(reach)

    def _start(self, reach: Reach) -> None:
        self._active.append(reach)
        self.reaches.append(reach)

    def frame_at(self, seconds: float) -> int:
        """The first frame that shows what happened at a time."""
        return math.ceil(round(seconds * self.fps, 6))
