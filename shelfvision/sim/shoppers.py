"""What people do in front of a shelf: visits, and in them reaches with the moments that truth files tell."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from shelfvision.sim.motion import Track, reach_seconds, track

Point = NDArray[np.float64]
"""(3,) cm in the world of the scene: x right, y up, z towards the camera from the shelf's edge."""


class Deed(StrEnum):
    """What a hand does at a slot."""

    TOUCH = "touch"  # and perhaps turn it, without taking it out
    HOVER = "hover"  # reach towards it and think better of it
    PICK_UP = "pick_up"
    PUT_BACK = "put_back"
    RESTOCK = "restock"


@dataclass(frozen=True, slots=True)
class Hand:
    """A hand at one moment."""

    point: Point  # middle of what it holds or would hold
    closing: float  # 0 open, 1 closed
    tilt: float  # degrees clockwise
    carries: bool


@dataclass(frozen=True, slots=True)
class Reach:
    """One hand's way to a slot and back; times in seconds of the footage."""

    deed: Deed
    slot: str
    sku: str
    count: int  # units moved
    order: int  # of the unit among the slot's places, the first of them when it is several
    mirrored: bool  # a left hand
    both: bool  # two hands on a wide product
    start: float
    contact: float  # the hand is at the product; of things brought: they stand on the board
    change: float  # a taken unit leaves its place, a brought one is let go
    end: float
    path: Track
    closings: Track
    tilts: Track
    approach: str = "low"  # see `wardrobe.APPROACHES`

    @property
    def brings(self) -> bool:
        """Whether units come to the slot."""
        return self.deed in {Deed.PUT_BACK, Deed.RESTOCK}

    def carries(self, time: float) -> bool:
        """Whether the hand holds the product at a time."""
        if self.brings:
            return time < self.change
        if self.deed is Deed.PICK_UP:
            return time >= self.change
        return False

    def turns(self, time: float) -> bool:
        """Whether the product moves in its place under the hand."""
        return self.deed is Deed.TOUCH and len(self.tilts.times) > 2 and self.contact <= time < self.change

    def hand(self, time: float) -> Hand | None:
        """The hand at a time; None before and after the reach."""
        if not self.start <= time < self.end:
            return None
        point, closing, tilt = self.path.at(time), self.closings.at(time), self.tilts.at(time)
        return Hand(point, float(closing[0]), float(tilt[0]), self.carries(time))


def plan_reach(
    deed: Deed,
    rng: np.random.Generator,
    *,
    start: float,
    rest: Point,
    target: Point,
    slot: str,
    sku: str,
    count: int = 1,
    order: int = 0,
    mirrored: bool = False,
    both: bool = False,
    inspect: Point | None = None,
    after: Point | None = None,
    pace: float = 1.0,
    clearance_cm: float = 3.0,
    approach: str = "low",
) -> Reach:
    """Time a reach.

    Args:
        deed: what is done.
        rng: decides the pauses and jitter.
        start: when the hand leaves its rest.
        rest: where it comes from, and goes to when ``after`` is absent.
        target: the middle of the unit in its place.
        slot: id of the slot.
        sku: what is moved.
        count: units moved at once.
        order: which place of the slot.
        mirrored: a left hand.
        both: two hands.
        inspect: where a taken unit is held and looked at, if it is.
        after: where the hand ends.
        pace: 1 is unhurried, less is faster.
        clearance_cm: how far a unit is lifted off the board before it moves out.
        approach: from which side the hand comes.
    """
    after = rest if after is None else after
    away = np.array([0.0, clearance_cm * rng.uniform(0.6, 1.0), 7.0 + rng.uniform(0, 4)])
    out = target + away
    jitter = rng.normal(0, 0.35, 3)
    travel = reach_seconds(float(np.linalg.norm(target - rest)), pace)
    back = reach_seconds(float(np.linalg.norm(after - out)), pace * rng.uniform(0.9, 1.25))
    lean = float(rng.normal(0, 5))
    if deed in {Deed.PUT_BACK, Deed.RESTOCK}:
        settle = pace * rng.uniform(0.22, 0.4)
        contact = start + travel * rng.uniform(1.15, 1.4) + settle
        change = contact + pace * rng.uniform(0.18, 0.55)
        leave = change + pace * rng.uniform(0.18, 0.3)
        end = leave + back
        path = track(
            [
                (start, rest),
                (contact - settle, out),
                (contact, target),
                (change, target),
                (leave, out + [0, 0, 3]),
                (end, after),
            ]
        )
        closings = track([(start, [1]), (change - 0.08, [1]), (change + 0.2, [0.25]), (end, [0.0])])
        tilts = track([(start, [lean * 2.5]), (contact, [0]), (change, [0]), (end, [lean])])
        return Reach(
            deed, slot, sku, count, order, mirrored, both, start, contact, change, end, path, closings, tilts, approach
        )
    contact = start + travel
    near = target + np.array([0.0, 1.0, 8.0])
    if deed is Deed.HOVER:
        stop = target + np.array([rng.normal(0, 2), 1.5, rng.uniform(9, 14)])
        stay = contact + rng.uniform(0.15, 0.9)
        end = stay + back
        path = track([(start, rest), (contact, stop), (stay, stop + jitter), (end, after)])
        closings = track([(start, [0.1]), (contact, [0.3]), (end, [0.0])])
        return Reach(
            deed,
            slot,
            sku,
            0,
            order,
            mirrored,
            both,
            start,
            contact,
            stay,
            end,
            path,
            closings,
            track([(start, [lean]), (end, [0])]),
            approach,
        )
    grasp = pace * rng.uniform(0.18, 0.55)
    if deed is Deed.TOUCH:
        turning = rng.random() < 0.5
        change = contact + (rng.uniform(0.7, 1.8) if turning else rng.uniform(0.25, 0.9))
        leave = change + rng.uniform(0.15, 0.3)
        end = leave + back
        path = track(
            [
                (start, rest),
                (contact - 0.12 * travel, near),
                (contact, target),
                (change, target),
                (leave, near),
                (end, after),
            ]
        )
        firm = 0.95 if turning else rng.uniform(0.3, 0.8)
        closings = track(
            [
                (start, [0.0]),
                (contact - 0.1, [0.2]),
                (contact + 0.15, [firm]),
                (change, [firm]),
                (leave, [0.2]),
                (end, [0.0]),
            ]
        )
        swing = rng.uniform(3, 7) * rng.choice([-1, 1])
        middle = (contact + change) / 2
        keys = [(start, [lean]), (contact, [0.0]), (middle, [swing]), (change, [0.0]), (end, [lean])]
        tilts = track(keys if turning else [(start, [lean]), (end, [lean])])
        return Reach(
            deed, slot, sku, 0, order, mirrored, both, start, contact, change, end, path, closings, tilts, approach
        )
    change = contact + grasp
    lifted = change + pace * rng.uniform(0.22, 0.38)
    keys: list[tuple[float, Point]] = [
        (start, rest),
        (contact - 0.12 * travel, near),
        (contact, target),
        (change, target),
        (lifted, out),
    ]
    tilt_keys: list[tuple[float, list[float]]] = [(start, [lean]), (contact, [0.0]), (change, [0.0]), (lifted, [lean])]
    left = lifted
    if inspect is not None:
        held = lifted + reach_seconds(float(np.linalg.norm(inspect - out)), pace)
        left = held + rng.uniform(0.6, 2.2)
        keys += [(held, inspect), (left, inspect + jitter * 2)]
        tilt_keys += [(held, [lean * 2]), ((held + left) / 2, [-lean * 3]), (left, [lean])]
        back = reach_seconds(float(np.linalg.norm(after - inspect)), pace)
    end = left + back * 1.1
    path = track([*keys, (end, after)])
    closings = track([(start, [0.0]), (contact - 0.15, [0.15]), (change, [1.0]), (end, [1.0])])
    tilts = track([*tilt_keys, (end, [lean * 3])])
    return Reach(
        deed, slot, sku, count, order, mirrored, both, start, contact, change, end, path, closings, tilts, approach
    )


@dataclass(frozen=True, slots=True)
class Visit:
    """One person's stay in front of the shelf."""

    person: int  # index into the cast
    kind: str  # pass, look, stand, shop, staff
    begin: float
    end: float
    x: Track | None  # (x, z) of the feet over time, cm; None: only the arms come into view
    yaw: Track | None  # degrees: 0 to the shelf, 90 to the left, -90 to the right
    reaches: tuple[Reach, ...] = ()
    cart: bool = False

    def walking(self, time: float) -> bool:
        """Whether the feet move at a time."""
        if self.x is None:
            return False
        return bool(np.linalg.norm(self.x.at(time + 0.05) - self.x.at(time - 0.05)) > 1.0)
