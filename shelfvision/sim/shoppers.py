"""What simulated people do at a shelf: reaches of one hand, and the script that strings them together."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from shelfvision.sim.flat_scene import Hand
from shelfvision.sim.sprites import GRIP_Y
from shelfvision.sim.stores import BASE_SIZE, ShelfSlot, SimulatedStore

APPROACH, DWELL, RETREAT = 0.85, 0.45, 0.85  # seconds: to the product, at it, and away
REACH_SECONDS = APPROACH + DWELL + RETREAT
STAFF = -1
UNATTENDED_REFILL_SECONDS = 40.0
_OPENING = 3.0  # seconds of quiet at the start, in which a camera learns its shelf
_ELBOW_ROOM = 150.0  # two hands at once keep this far apart, in layout pixels


class Deed(StrEnum):
    """What a reach does."""

    PICK_UP = "pick_up"
    PUT_BACK = "put_back"
    TOUCH = "touch"
    RESTOCK = "restock"  # a put-back by staff


@dataclass(frozen=True, slots=True)
class Reach:
    """One hand goes to one place of a slot and away again."""

    deed: Deed
    slot: ShelfSlot
    place: int  # unit counted from the left
    person: int
    start: float  # seconds
    entry: float  # x at which the hand comes in and goes out, at the lower edge

    @property
    def contact(self) -> float:
        """When the hand, or what it brings, is at the place."""
        return self.start + APPROACH

    @property
    def change(self) -> float:
        """When the unit leaves its place or stands on it; the end of a touch."""
        return self.contact + DWELL

    @property
    def end(self) -> float:
        """When the hand is out of the picture."""
        return self.change + RETREAT

    def hand(self, time: float) -> Hand:
        """The hand as it is at ``time``, between start and end."""
        brings = self.deed in {Deed.PUT_BACK, Deed.RESTOCK}
        look = self.slot.look
        goal = (self.slot.place(self.place), self.slot.floor - look.height * 0.58)
        outside = (self.entry, BASE_SIZE[1] + GRIP_Y + look.height * 0.45)
        takes = self.deed is Deed.PICK_UP
        holds = (brings and time < self.change) or (takes and time >= self.change)
        if time < self.contact:
            x, y = _between(outside, goal, (time - self.start) / APPROACH)
        elif time < self.change:
            x, y = goal
            y += 1.5 * math.sin((time - self.contact) / DWELL * math.pi)
        else:
            x, y = _between(goal, outside, (time - self.change) / RETREAT)
        closed = holds or (takes and time >= self.contact + DWELL / 3) or (brings and time < self.change)
        lean = math.degrees(math.atan2(self.entry - goal[0], 420.0))
        return Hand(x, y, lean, self.person, closed, self.slot.id if holds else None)


def _between(start: tuple[float, float], end: tuple[float, float], share: float) -> tuple[float, float]:
    """A point on the way of a reaching hand.

    Speed follows the minimum-jerk profile of Flash and Hogan (1985); the way bulges a little, as an arm's does.
    """
    share = min(max(share, 0.0), 1.0)
    done = share**3 * (10 - 15 * share + 6 * share**2)
    bulge = 14 * math.sin(math.pi * done)
    return start[0] + (end[0] - start[0]) * done + bulge, start[1] + (end[1] - start[1]) * done


class Script:
    """Decides who reaches where and when; every decision follows from the seed and the stock.

    It opens with a fixed order of deeds (which slots is up to the seed): a slot is emptied, a product is taken and put
    back, another one touched. After that everything is drawn at random.
    """

    def __init__(self, store: SimulatedStore, seed: int) -> None:
        self._store = store
        self._random = np.random.default_rng([seed, 2])
        fewest = min(slot.facings for slot in store.slots)
        emptied = self._choose([slot for slot in store.slots if slot.facings == fewest])
        others = [slot for slot in store.slots if slot is not emptied]
        borrowed = self._choose(others)
        touched = self._choose([slot for slot in others if slot is not borrowed])
        self._opening: list[tuple[Deed, ShelfSlot]] = [
            *[(Deed.PICK_UP, emptied)] * fewest,
            (Deed.PICK_UP, borrowed),
            (Deed.PUT_BACK, borrowed),
            (Deed.TOUCH, touched),
            (Deed.PICK_UP, borrowed),
        ]
        self._due = _OPENING
        self._person = int(self._random.integers(0, 1000))
        self._bring_back: tuple[float, ShelfSlot] | None = None

    def next(self, now: float, stock: Mapping[str, Sequence[bool]]) -> list[Reach]:
        """The reaches that begin now; none while nothing is due."""
        if now < self._due:
            return []
        if self._opening:
            deed, slot = self._opening.pop(0)
            if deed is not Deed.PUT_BACK:
                self._person += 1
            reach = self._reach(deed, slot, stock, now)
            # the second unit of a slot follows soon, everything else leaves time to see what happened
            soon = bool(self._opening) and self._opening[0] == (deed, slot)
            self._due = now + REACH_SECONDS + (0.6 if soon else float(self._random.uniform(3.2, 3.8)))
            return [reach] if reach else []
        reaches = self._draw(now, stock)
        self._due = now + REACH_SECONDS + float(self._random.uniform(2.5, 4.5))
        return reaches

    def hold_off(self, until: float) -> None:
        """Let nobody reach before ``until``; staff are at the shelf."""
        self._due = max(self._due, until)

    def restock(self, slot: ShelfSlot, place: int, now: float) -> Reach:
        """Staff bring one unit."""
        return Reach(Deed.RESTOCK, slot, place, STAFF, now, self._entry(slot, place))

    def _draw(self, now: float, stock: Mapping[str, Sequence[bool]]) -> list[Reach]:
        if self._bring_back is not None and now >= self._bring_back[0]:
            slot, self._bring_back = self._bring_back[1], None
            back = self._reach(Deed.PUT_BACK, slot, stock, now)
            if back:
                return [back]
        self._person += 1
        stocked = [slot for slot in self._store.slots if any(stock[slot.id])]
        if not stocked:
            return []
        slot = self._choose(stocked)
        chance = float(self._random.random())
        if chance < 0.2:
            reach = self._reach(Deed.TOUCH, slot, stock, now)
            return [reach] if reach else []
        reaches = [self._reach(Deed.PICK_UP, slot, stock, now)]
        if chance > 0.85 and (far := [s for s in stocked if abs(s.centre - slot.centre) >= _ELBOW_ROOM]):
            reaches.append(self._reach(Deed.PICK_UP, self._choose(far), stock, now + 0.25))
        elif chance > 0.6 and self._bring_back is None:
            self._bring_back = (now + float(self._random.uniform(4, 9)), slot)
        return [reach for reach in reaches if reach is not None]

    def _reach(self, deed: Deed, slot: ShelfSlot, stock: Mapping[str, Sequence[bool]], start: float) -> Reach | None:
        full = deed is not Deed.PUT_BACK  # which kind of place it needs
        places = [place for place, there in enumerate(stock[slot.id]) if there == full]
        if not places:
            return None
        place = places[int(self._random.integers(len(places)))]
        return Reach(deed, slot, place, self._person % 1000, start, self._entry(slot, place))

    def _entry(self, slot: ShelfSlot, place: int) -> float:
        return slot.place(place) + float(self._random.uniform(-70, 70))

    def _choose(self, slots: Sequence[ShelfSlot]) -> ShelfSlot:
        return slots[int(self._random.integers(len(slots)))]
