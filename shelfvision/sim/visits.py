"""Plans of visits: how people come to a shelf, what their hands do there, how they leave."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from shelfvision.sim.motion import track
from shelfvision.sim.packaging import Packaging
from shelfvision.sim.shoppers import Deed, Errand, Point, Reach, Visit, plan_reach
from shelfvision.sim.space import hold_point, project, world_at
from shelfvision.sim.stocking import Place, ShelfSlot
from shelfvision.sim.stores import SimulatedStore

_TWO_HANDS_CM = 10.8  # width from which a thing may be taken with both hands
_STAYS = {"pass": (0.0, 0.0), "look": (2.5, 7.0), "stand": (12.0, 28.0), "shop": (0.5, 0.5), "staff": (0.5, 0.5)}


@dataclass(frozen=True, slots=True)
class ScriptOptions:
    """How lively a store is."""

    busy: float = 1.0  # 2: twice as many people come
    attended: bool = False  # refills come only when ordered
    most_people: int = 2  # at once
    stands: bool = True  # somebody stands in front for long now and then
    start_stock: bool = True  # slots begin with all kinds of stock; else full
    most_moves: int = 3  # reaches of one shopper
    touches: float = 0.13  # share of reaches that only touch
    hovers: float = 0.07  # share of reaches that stop before the product
    strays: float = 0.06  # share of taken units that are put down in another slot


@dataclass(slots=True)
class ShelfState:
    """What is on the shelf and who is before it."""

    stock: dict[str, int]
    visits: list[Visit]  # now in view, or about to be
    strangers: dict[tuple[str, int], Packaging] = field(
        default_factory=dict
    )  # (slot, place): what does not belong there

    def busy_slots(self) -> set[str]:
        """Slots at which somebody is at work, or will be."""
        return {reach.slot for visit in self.visits for reach in visit.reaches}


class VisitPlanner:
    """Plans visits one by one.

    Args:
        store: the shelf.
        state: its state, which the script keeps up to date.
        options: what people do.
        popularity: (slots,) share of shoppers that want each.
        people: shoppers in the cast; the member of staff has the next index.
        rng: decides everything.
    """

    def __init__(
        self,
        store: SimulatedStore,
        state: ShelfState,
        options: ScriptOptions,
        *,
        popularity: NDArray[np.float64],
        people: int,
        rng: np.random.Generator,
    ) -> None:
        self.state = state
        self._store = store
        self._options = options
        self._popularity = popularity
        self._people = people
        self._rng = rng

    def _across(self) -> tuple[float, float]:
        """Range of x at the shelf that the camera sees."""
        camera = self._store.scene.camera
        left, right = (world_at(camera, (x, camera.size[1] / 2), 0.0)[0] for x in (0, camera.size[0]))
        return float(left), float(right)

    def _aside(self, slot: ShelfSlot) -> float:
        """How far from the slot's middle a person stands: people reach sideways, and do not look through themselves."""
        return min((slot.right - slot.left) / 2, 14.0) + float(self._rng.uniform(30, 46))

    def _lane(self) -> float:
        distance = self._store.scene.settings.distance_cm
        return float(np.clip(distance * 0.22, 26, 46))

    def stroll(self, person: int, kind: str, now: float) -> Visit:
        """Somebody who passes, looks, or stands for long."""
        return self.walk(person, kind, now, float(self._rng.uniform(*self._across())))

    def walk(self, person: int, kind: str, now: float, stop: float) -> Visit:
        """Come in from a side, stay at ``stop`` for as long as the kind says, leave."""
        rng = self._rng
        lane = self._lane() + (float(rng.uniform(8, 20)) if kind == "pass" else 0.0)
        left, right = self._across()
        margin = 70.0 + (60.0 if self._store.kind.people else 0.0)
        side = -1.0 if rng.random() < 0.5 else 1.0
        speed = float(rng.uniform(75, 125))
        come = (left - margin) if side < 0 else (right + margin)
        leave_side = side if rng.random() < 0.25 and kind != "pass" else -side
        go = (left - margin) if leave_side < 0 else (right + margin)
        facing_in, facing_out = (-90.0 if stop > come else 90.0), (-90.0 if go > stop else 90.0)
        cart = bool(rng.random() < 0.3) and kind in {"pass", "shop"} and self._store.kind.people
        if kind == "pass":
            arrive = now + abs(go - come) / speed
            x = track([(now, (come, lane)), (arrive, (go, lane))], flowing=True)
            return Visit(person, kind, now, arrive, x, track([(now, [facing_in])]), (), cart)
        stay = float(rng.uniform(*_STAYS[kind]))
        arrive = now + abs(stop - come) / speed
        turn = 0.45
        depart = arrive + turn + stay
        end = depart + turn + abs(go - stop) / speed
        x = track(
            [(now, (come, lane)), (arrive, (stop, lane)), (depart + turn, (stop, lane)), (end, (go, lane))],
            flowing=True,
        )
        yaw = track(
            [
                (now, [facing_in]),
                (arrive, [facing_in]),
                (arrive + turn, [0.0]),
                (depart, [0.0]),
                (depart + turn, [facing_out]),
            ]
        )
        return Visit(person, kind, now, end, x, yaw, (), cart)

    def shop(self, person: int, now: float) -> Visit | None:
        """A shopper who reaches for one or several things; None when nothing is to be had."""
        if self._store.kind.people:
            return self._shop_on_foot(person, now)
        if self._rng.random() < 0.08 and (pair := self._both_hands_apart(person, now)):
            return pair
        slot = self._choose_slot(set())
        reaches = self._moves(slot, now) if slot is not None else []
        return Visit(person, "shop", now, reaches[-1].end, None, None, tuple(reaches)) if reaches else None

    def _shop_on_foot(self, person: int, now: float) -> Visit | None:
        rng = self._rng
        slot = self._choose_slot(set())
        if slot is None:
            return None
        middle = (slot.left + slot.right) / 2
        side = -1.0 if middle > sum(self._across()) / 2 else 1.0
        stop = middle + (-side if rng.random() < 0.25 else side) * self._aside(slot)
        standing = [visit.x.values[1][0] for visit in self.state.visits if visit.x is not None and visit.kind != "pass"]
        if any(abs(other - stop) < 65 for other in standing):
            return None
        walk = self.walk(person, "shop", now, stop)
        reaches = self._moves(slot, _arrival(walk) + float(rng.uniform(0.3, 1.4)), body=stop)
        if not reaches:
            return None
        return _stretched(walk, reaches[-1].end + float(rng.uniform(0.3, 1.2)), tuple(reaches))

    def opening(self, deed: Deed, person: int, now: float) -> Visit | None:
        """The first visits before a close camera."""
        slot = self._choose_slot(set())
        if deed is Deed.PICK_UP:  # the one that runs empty by it, if there is one
            slot = next((slot for slot in self._store.slots if self.state.stock[slot.id] == 1), slot)
        if slot is None or not self.state.stock[slot.id]:
            return None
        way = self._draw_way(slot, None)
        first = Deed.TOUCH if deed is Deed.TOUCH else Deed.PICK_UP
        reaches = [self._reach(first, slot, self.state.stock[slot.id], now, way, count=1)]
        if deed is Deed.PUT_BACK and reaches[0] is not None:
            begin = reaches[0].end + float(self._rng.uniform(0.6, 2.0))
            reaches.append(self._reach(deed, slot, self.state.stock[slot.id] - 1, begin, way, count=1))
        done = tuple(reach for reach in reaches if reach is not None)
        return Visit(person, "shop", now, done[-1].end, None, None, done) if done else None

    def _choose_slot(self, without: set[str], *, stocked: bool = True) -> ShelfSlot | None:
        busy = self.state.busy_slots() | without
        weights = np.array(
            [
                share if slot.id not in busy and (self.state.stock[slot.id] or not stocked) else 0.0
                for slot, share in zip(self._store.slots, self._popularity, strict=True)
            ]
        )
        if weights.sum() <= 0:
            return None
        return self._store.slots[int(self._rng.choice(len(weights), p=weights / weights.sum()))]

    def _moves(self, slot: ShelfSlot, begin: float, body: float | None = None) -> list[Reach]:
        """What one shopper does at a slot, and where a taken unit may be put down again."""
        rng = self._rng
        reaches: list[Reach] = []
        now, here = begin, self.state.stock[slot.id]
        way = self._draw_way(slot, body)
        moves = int(rng.integers(1, self._options.most_moves + 1)) if rng.random() < 0.45 else 1
        for _ in range(moves):
            last = reaches[-1] if reaches else None
            deed, count = self._draw_deed(slot, here, last)
            back = last.pack if last is not None and deed is Deed.PUT_BACK else None
            if deed is not Deed.PUT_BACK and not here:
                break
            reach = self._reach(deed, slot, here, now, way, count=count, body=body, stranger=back)
            if reach is None:
                break
            reaches.append(reach)
            here += reach.count if reach.brings else -reach.count
            now = reach.end + float(rng.uniform(0.5, 3.0) if deed is Deed.PICK_UP else rng.uniform(0.2, 1.2))
        if reaches and reaches[-1].deed is Deed.PICK_UP and reaches[-1].count == 1:
            taken = reaches[-1]
            again: Reach | None = None
            if rng.random() < self._options.strays:
                again = self._put_elsewhere(slot, taken, now, body)
            elif rng.random() < 0.22:
                begin = now + float(rng.uniform(0.5, 3))
                again = self._reach(Deed.PUT_BACK, slot, here, begin, way, count=1, body=body, stranger=taken.pack)
            reaches += [again] if again is not None else []
        return reaches

    def _draw_deed(self, slot: ShelfSlot, here: int, last: Reach | None) -> tuple[Deed, int]:
        """What comes after the last reach, and with how many units."""
        rng, options = self._rng, self._options
        if last is not None and last.deed is Deed.PICK_UP and last.count == 1 and rng.random() < 0.4:
            return Deed.PUT_BACK, 1
        kind = rng.random()
        if kind < options.touches:
            return Deed.TOUCH, 0
        if kind < options.touches + options.hovers:
            return Deed.HOVER, 0
        return Deed.PICK_UP, 2 if slot.pack.size_cm[0] < 7 and here >= 2 and rng.random() < 0.08 else 1

    def _put_elsewhere(self, slot: ShelfSlot, taken: Reach, now: float, body: float | None) -> Reach | None:
        """A taken unit is put down where another product belongs: in a near slot with a free place that it fits."""
        pack = taken.pack or slot.pack
        busy = self.state.busy_slots()
        clearances = self._store.scene.fixture.boards
        fitting = [
            other
            for other in self._store.slots
            if other is not slot
            and other.id not in busy
            and other.sku != pack.sku
            and 0 < self.state.stock[other.id] < other.capacity
            and pack.size_cm[0] <= other.pack.size_cm[0] * 1.1
            and pack.size_cm[2] <= other.pack.size_cm[2] * 1.4
            and clearances[other.board].top + pack.size_cm[1] < clearances[other.board].ceiling - 3
            and (body is None or abs((other.left + other.right) / 2 - body) < 75)
        ]
        if not fitting:
            return None
        other = fitting[int(self._rng.integers(len(fitting)))]
        way = self._draw_way(other, body)
        begin = now + float(self._rng.uniform(0.3, 2.0))
        return self._reach(
            Deed.PUT_BACK, other, self.state.stock[other.id], begin, way, count=1, body=body, stranger=pack
        )

    def _both_hands_apart(self, person: int, now: float) -> Visit | None:
        """Both hands of one shopper at two slots at once."""
        first = self._choose_slot(set())
        second = self._choose_slot({first.id}) if first else None
        if first is None or second is None:
            return None
        left, right = sorted((first, second), key=lambda slot: slot.left)
        if right.left - left.right < 2:
            return None
        reaches = []
        for slot, mirrored in ((left, True), (right, False)):
            way = self._draw_way(slot, None)
            reach = self._reach(
                Deed.PICK_UP,
                slot,
                self.state.stock[slot.id],
                now + float(self._rng.uniform(0, 0.25)),
                (way[0], mirrored),
                count=1,
            )
            if reach is None:
                return None
            reaches.append(reach)
        return Visit(person, "shop", now, max(reach.end for reach in reaches), None, None, tuple(reaches))

    def refill(self, slot: ShelfSlot, now: float, missing: int) -> Visit:
        """Staff bring units one after another, at most eight in a visit."""
        rng = self._rng
        count = min(missing, 8)
        body: float | None = None
        walk: Visit | None = None
        begin = now + float(rng.uniform(0.2, 0.8))
        if self._store.kind.people:
            body = (slot.left + slot.right) / 2 + float(rng.choice([-1, 1])) * self._aside(slot)
            walk = self.walk(self._people, "staff", now, body)
            begin = _arrival(walk) + 0.4
        way = self._draw_way(slot, body)
        reaches, stock = [], self.state.stock[slot.id]
        for _ in range(count):
            reach = self._reach(Deed.RESTOCK, slot, stock, begin, way, count=1, body=body, pace=0.8)
            if reach is None:
                break
            reaches.append(reach)
            stock += 1
            begin = reach.end + float(rng.uniform(0.05, 0.3))
        if walk is not None and reaches:
            return replace(_stretched(walk, reaches[-1].end + 0.4, tuple(reaches)), cart=True)
        end = reaches[-1].end if reaches else now
        return Visit(self._people, "staff", now, end, None, None, tuple(reaches))

    # ------------------------------------------------------------ one reach

    def _draw_way(self, slot: ShelfSlot, body: float | None) -> tuple[str, bool]:
        """The approach, and whether it is mirrored, that is with an arm that leads to the left."""
        rng, camera = self._rng, self._store.scene.camera
        middle = (slot.left + slot.right) / 2
        if body is not None:
            return "low", body < middle
        name = str(rng.choice(self._store.kind.approaches))
        x = project(camera, np.array([middle, 100.0, 0.0]))[0] / camera.size[0]
        mirrored = bool(rng.random() < (0.5 + 0.9 * (0.5 - x)))
        if name == "level":  # arms come over the nearer side
            mirrored = x < 0.5
        return name, mirrored

    def _reach(
        self,
        deed: Deed,
        slot: ShelfSlot,
        stock: int,
        begin: float,
        way: tuple[str, bool],
        *,
        count: int,
        body: float | None = None,
        pace: float = 1.0,
        stranger: Packaging | None = None,
    ) -> Reach | None:
        brings = deed in {Deed.PUT_BACK, Deed.RESTOCK}
        order = slot.capacity - stock - (1 if brings else 0)
        if not 0 <= order < slot.capacity:
            return None
        place = slot.places[order]
        if not brings:
            stranger = self.state.strangers.get((slot.id, order))
        alone = stranger is None and (slot.id, order + 1) not in self.state.strangers
        if count == 2 and not (alone and _side_by_side(slot, order)):
            count = 1
        rng, kind = self._rng, self._store.kind
        pack = stranger or slot.pack
        target = hold_point(place, way[0], pack)
        if count == 2:
            target[0] = (place.x + slot.places[order + 1].x) / 2
        side = -1.0 if way[1] else 1.0
        after: Point | None = None
        if body is not None:
            rest = np.array([body + side * 4, 104.0, self._lane() - 16])
            inspect_at = np.array([body - side * 26, 128.0, self._lane() - 14])
        else:
            rest = self._out_of_view(target, place, way)
            after = self._out_of_view(target, place, way)
            inspect_at = 0.5 * target + 0.5 * rest + np.array([0, 8.0, 0])
            inspect_at[2] = min(inspect_at[2], 10.0)
        inspect = inspect_at if deed is Deed.PICK_UP and rng.random() < 0.25 else None
        both = pack.size_cm[0] > _TWO_HANDS_CM and way[0] == "low" and rng.random() < 0.6
        ceiling = self._store.scene.fixture.boards[slot.board].ceiling
        room = max(0.2, min(3.0, ceiling - place.y - pack.size_cm[1] - 1.5))
        errand = Errand(
            deed, slot.id, pack.sku, begin, rest, rest if after is None else after, target, count=count, order=order,
            mirrored=way[1], both=both, approach=way[0], pack=stranger, inspect=inspect, clearance_cm=room,
            pace=pace * float(rng.uniform(0.85, 1.3)) * (1.15 if kind.people else 1.0),
        )  # fmt: skip
        return plan_reach(errand, rng)

    def _out_of_view(self, target: Point, place: Place, way: tuple[str, bool]) -> Point:
        """A point outside the picture from where a hand comes."""
        rng, camera = self._rng, self._store.scene.camera
        width, height = camera.size
        x, y, scale = project(camera, target)
        depth = float(np.clip(self._store.scene.settings.distance_cm * 0.2, 10, 22))
        scale *= 1.25
        tall = place.pack.size_cm[1]
        side = -1.0 if way[1] else 1.0
        if way[0] == "above":
            spot = (x + side * rng.uniform(0.02, 0.14) * width, -(13 + tall) * scale)
        elif way[0] == "level":
            edge = width if side > 0 else 0
            spot = (edge + side * (12 + place.pack.size_cm[0]) * scale, y + rng.uniform(-0.02, 0.12) * height)
        else:
            spot = (x + side * rng.uniform(0.05, 0.22) * width, height + (11 + tall / 2) * scale)
        return world_at(camera, (float(spot[0]), float(spot[1])), depth)


def _arrival(walk: Visit) -> float:
    """When a person who walks in has turned to the shelf."""
    assert walk.yaw is not None
    return walk.yaw.times[2]


def _stretched(walk: Visit, until: float, reaches: tuple[Reach, ...]) -> Visit:
    """The same walk with a stay until a later time."""
    assert walk.x is not None
    assert walk.yaw is not None
    later = until - walk.yaw.times[3]
    x = replace(walk.x, times=(*walk.x.times[:2], walk.x.times[2] + later, walk.x.times[3] + later))
    yaw = replace(walk.yaw, times=(*walk.yaw.times[:3], walk.yaw.times[3] + later, walk.yaw.times[4] + later))
    return replace(walk, x=x, yaw=yaw, end=walk.end + later, reaches=reaches)


def _side_by_side(slot: ShelfSlot, order: int) -> bool:
    if order + 1 >= slot.capacity:
        return False
    first, second = slot.places[order], slot.places[order + 1]
    return first.row == second.row and abs(first.column - second.column) == 1
