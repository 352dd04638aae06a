"""What people do in front of a shelf: visits, and in them reaches with the moments that truth files tell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from shelfvision.sim.motion import Track, reach_seconds, track
from shelfvision.sim.packaging import Packaging

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
    pack: Packaging | None = None  # of a unit that is not the slot's own

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


@dataclass(frozen=True, slots=True)
class Errand:
    """What a hand sets out to do, before it is timed."""

    deed: Deed
    slot: str
    sku: str
    start: float  # when the hand leaves its rest
    rest: Point  # where it comes from
    after: Point  # where it ends
    target: Point  # where it holds the unit in its place
    count: int = 1  # units moved at once
    order: int = 0  # which place of the slot
    mirrored: bool = False  # a left hand
    both: bool = False  # two hands
    approach: str = "low"
    pack: Packaging | None = None  # of a unit that is not the slot's own
    inspect: Point | None = None  # where a taken unit is held and looked at, if it is
    pace: float = 1.0  # 1 is unhurried, less is faster
    clearance_cm: float = 3.0  # how far a unit may be lifted off the board before it moves out


class _Times(NamedTuple):
    contact: float
    change: float
    end: float


def plan_reach(errand: Errand, rng: np.random.Generator) -> Reach:
    """Time an errand; the generator decides pauses and jitter."""
    plan = {
        Deed.PICK_UP: _take,
        Deed.PUT_BACK: _bring,
        Deed.RESTOCK: _bring,
        Deed.TOUCH: _touch,
        Deed.HOVER: _hover,
    }[errand.deed]
    out = errand.target + np.array([0.0, errand.clearance_cm * rng.uniform(0.6, 1.0), 7.0 + rng.uniform(0, 4)])
    times, path, closings, tilts = plan(errand, out, rng)
    moves = errand.deed not in {Deed.TOUCH, Deed.HOVER}
    return Reach(
        deed=errand.deed,
        slot=errand.slot,
        sku=errand.sku,
        count=errand.count if moves else 0,
        order=errand.order,
        mirrored=errand.mirrored,
        both=errand.both,
        start=errand.start,
        contact=times.contact,
        change=times.change,
        end=times.end,
        path=track(path),
        closings=track(closings),
        tilts=track(tilts),
        approach=errand.approach,
        pack=errand.pack,
    )


_Keys = list[tuple[float, Sequence[float] | Point]]
_Plan = tuple[_Times, _Keys, _Keys, _Keys]


def _far(a: Point, b: Point) -> float:
    return float(np.linalg.norm(a - b))


def _bring(errand: Errand, out: Point, rng: np.random.Generator) -> _Plan:
    """Come with a unit, stand it down, let go, leave."""
    start, target, pace = errand.start, errand.target, errand.pace
    lean = float(rng.normal(0, 5))
    settle = pace * rng.uniform(0.22, 0.4)
    travel = reach_seconds(_far(target, errand.rest), pace) * rng.uniform(1.15, 1.4)
    contact = start + travel + settle
    change = contact + pace * rng.uniform(0.18, 0.55)
    leave = change + pace * rng.uniform(0.18, 0.3)
    end = leave + reach_seconds(_far(errand.after, out), pace)
    away = out + np.array([0.0, 0.0, 3.0])
    path: _Keys = [
        (start, errand.rest), (contact - settle, out), (contact, target), (change, target), (leave, away),
        (end, errand.after),
    ]  # fmt: skip
    closings: _Keys = [(start, [1]), (change - 0.08, [1]), (change + 0.2, [0.25]), (end, [0.0])]
    tilts: _Keys = [(start, [lean * 2.5]), (contact, [0]), (change, [0]), (end, [lean])]
    return _Times(contact, change, end), path, closings, tilts


def _take(errand: Errand, out: Point, rng: np.random.Generator) -> _Plan:
    """Reach, close the hand, lift, perhaps look at it, leave with it."""
    start, target, pace = errand.start, errand.target, errand.pace
    lean = float(rng.normal(0, 5))
    travel = reach_seconds(_far(target, errand.rest), pace)
    contact = start + travel
    change = contact + pace * rng.uniform(0.18, 0.55)
    lifted = change + pace * rng.uniform(0.22, 0.38)
    path: _Keys = [
        (start, errand.rest), (contact - 0.12 * travel, _before(target)), (contact, target), (change, target),
        (lifted, out),
    ]  # fmt: skip
    tilts: _Keys = [(start, [lean]), (contact, [0.0]), (change, [0.0]), (lifted, [lean])]
    left, last = lifted, out
    if errand.inspect is not None:
        held = lifted + reach_seconds(_far(errand.inspect, out), pace)
        left, last = held + rng.uniform(0.6, 2.2), errand.inspect + rng.normal(0, 0.7, 3)
        path += [(held, errand.inspect), (left, last)]
        tilts += [(held, [lean * 2]), ((held + left) / 2, [-lean * 3]), (left, [lean])]
    end = left + reach_seconds(_far(errand.after, last), pace) * rng.uniform(1.0, 1.3)
    closings: _Keys = [(start, [0.0]), (contact - 0.15, [0.15]), (change, [1.0]), (end, [1.0])]
    return _Times(contact, change, end), [*path, (end, errand.after)], closings, [*tilts, (end, [lean * 3])]


def _touch(errand: Errand, out: Point, rng: np.random.Generator) -> _Plan:
    """Reach, lay a hand on the unit or turn it a little in its place, leave it."""
    del out
    start, target = errand.start, errand.target
    lean = float(rng.normal(0, 5))
    travel = reach_seconds(_far(target, errand.rest), errand.pace)
    turning = rng.random() < 0.5
    contact = start + travel
    change = contact + (rng.uniform(0.7, 1.8) if turning else rng.uniform(0.25, 0.9))
    leave = change + rng.uniform(0.15, 0.3)
    end = leave + reach_seconds(_far(errand.after, target), errand.pace)
    near = _before(target)
    path: _Keys = [
        (start, errand.rest), (contact - 0.12 * travel, near), (contact, target), (change, target), (leave, near),
        (end, errand.after),
    ]  # fmt: skip
    firm = 0.95 if turning else float(rng.uniform(0.3, 0.8))
    closings: _Keys = [
        (start, [0.0]), (contact - 0.1, [0.2]), (contact + 0.15, [firm]), (change, [firm]), (leave, [0.2]), (end, [0.0])
    ]  # fmt: skip
    swing = float(rng.uniform(3, 7) * rng.choice([-1, 1]))
    tilts: _Keys = [(start, [lean]), (end, [lean])]
    if turning:
        middle = (contact + change) / 2
        tilts = [(start, [lean]), (contact, [0.0]), (middle, [swing]), (change, [0.0]), (end, [lean])]
    return _Times(contact, change, end), path, closings, tilts


def _hover(errand: Errand, out: Point, rng: np.random.Generator) -> _Plan:
    """Reach towards the unit and think better of it."""
    del out
    start, lean = errand.start, float(rng.normal(0, 5))
    contact = start + reach_seconds(_far(errand.target, errand.rest), errand.pace)
    stop = errand.target + np.array([rng.normal(0, 2), 1.5, rng.uniform(9, 14)])
    stay = contact + rng.uniform(0.15, 0.9)
    end = stay + reach_seconds(_far(errand.after, stop), errand.pace)
    path: _Keys = [(start, errand.rest), (contact, stop), (stay, stop + rng.normal(0, 0.35, 3)), (end, errand.after)]
    closings: _Keys = [(start, [0.1]), (contact, [0.3]), (end, [0.0])]
    return _Times(contact, stay, end), path, closings, [(start, [lean]), (end, [0.0])]


def _before(target: Point) -> Point:
    """Where a hand slows down before it closes."""
    return np.asarray(target + np.array([0.0, 1.0, 8.0]))


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
