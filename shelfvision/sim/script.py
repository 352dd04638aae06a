"""The seeded script of a store: who comes when, what they do at which slot, and when staff refill."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from shelfvision.sim.motion import track
from shelfvision.sim.optics import Camera
from shelfvision.sim.shoppers import Deed, Point, Reach, Visit, plan_reach
from shelfvision.sim.stocking import Place, ShelfSlot
from shelfvision.sim.stores import SimulatedStore
from shelfvision.sim.wardrobe import APPROACHES

_LEAST_GAP = 1.2  # seconds between arrivals
_STAFF_DELAY = (14.0, 30.0)  # seconds from an empty slot to the refill where nobody orders one


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
        self.visits: list[Visit] = []  # now in view, or about to be
        self.reaches: list[Reach] = []  # all that began, in order
        self.stock = {slot.id: slot.capacity for slot in store.slots}
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
        self.popularity = popularity / popularity.sum()
        self._scarce = store.slots[0].id
        if options.start_stock:
            self._draw_stock()
        # close cameras show at once what there is to see: a slot runs empty, something is touched, something put back
        self._opening: deque[Deed] = deque()
        if not store.kind.people:
            rest = [Deed.TOUCH, Deed.PUT_BACK]
            self._opening.extend((Deed.PICK_UP, *(rest[int(place)] for place in self._rng.permutation(2))))
            self._next = float(self._rng.uniform(0.6, 1.2))

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
        self._scarce = self._store.slots[int(self._rng.integers(len(self._store.slots)))].id
        self.stock[self._scarce] = 1

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
        self.visits = [visit for visit in self.visits if visit.end > now]
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
        if count == 0:
            self._emptied[reach.slot] = reach.change + float(self._rng.uniform(*_STAFF_DELAY))
        else:
            self._emptied.pop(reach.slot, None)
        return Change(reach.change, reach.slot, count, reach)

    def _add(self, visit: Visit) -> None:
        self.visits.append(visit)
        self.reaches.extend(visit.reaches)
        self._pending.extend((reach.change, reach) for reach in visit.reaches if reach.count)

    def _busy_slots(self) -> set[str]:
        return {reach.slot for visit in self.visits for reach in visit.reaches}

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
            visit = self._open(self._opening[0], person, now)
            if visit is not None:
                self._opening.popleft()
                self._add(visit)
            return
        if kind == "shop":
            visit = self._shop(person, now)
            if visit is not None:
                self._add(visit)
            return
        self._add(self._walk(person, kind, now, float(rng.uniform(*self._across())), float(rng.uniform(2.5, 7.0))))

    def _call_staff(self, now: float) -> None:
        if not self._orders or any(visit.kind == "staff" for visit in self.visits):
            return
        while self._orders:
            order = self._orders[0]
            missing = self._slots[order.slot].capacity - self.stock[order.slot]
            if not missing:
                self.done.append(self._orders.popleft())
                continue
            if order.slot in self._busy_slots():
                return
            self._add(self._refill(self._slots[order.slot], now, missing))
            return

    # ------------------------------------------------------------ visits

    def _across(self) -> tuple[float, float]:
        """Range of x at the shelf that the camera sees."""
        camera = self._store.scene.camera
        left, right = (world_at(camera, (x, camera.size[1] / 2), 0.0)[0] for x in (0, camera.size[0]))
        return float(left), float(right)

    def _aside(self, slot: ShelfSlot) -> float:
        """How far from the slot's middle a person stands: people reach sideways, and do not look through themselves."""
        return min((slot.right - slot.left) / 2, 14.0) + float(self._rng.uniform(36, 56))

    def _lane(self) -> float:
        distance = self._store.scene.settings.distance_cm
        return float(np.clip(distance * 0.22, 26, 46))

    def _walk(
        self, person: int, kind: str, now: float, stop: float, stay: float, reaches: tuple[Reach, ...] = ()
    ) -> Visit:
        """Come in from a side, stay if the kind says so, leave."""
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
        if kind == "stand":
            stay = float(rng.uniform(12, 28))
        arrive = now + abs(stop - come) / speed
        turn = 0.45
        depart = max(arrive + turn + stay, *(reach.end + 0.4 for reach in reaches)) if reaches else arrive + turn + stay
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
        return Visit(person, kind, now, end, x, yaw, reaches, cart)

    def _shop(self, person: int, now: float) -> Visit | None:
        """A shopper who reaches for one or several things."""
        rng, store = self._rng, self._store
        if not store.kind.people and rng.random() < 0.08 and (pair := self._both_hands_apart(person, now)):
            return pair
        slot = self._choose_slot(set())
        if slot is None:
            return None
        if not store.kind.people:
            reaches = self._moves(slot, now, person)
            if not reaches:
                return None
            return Visit(person, "shop", now, reaches[-1].end, None, None, tuple(reaches))
        middle = (slot.left + slot.right) / 2
        left, right = self._across()
        side = -1.0 if middle > (left + right) / 2 else 1.0
        side = -side if rng.random() < 0.25 else side
        stop = middle + side * self._aside(slot)
        if any(
            visit.x is not None and abs(visit.x.values[1][0] - stop) < 65
            for visit in self.visits
            if visit.kind != "pass"
        ):
            return None  # somebody stands there
        walk = self._walk(person, "shop", now, stop, 0.5)
        assert walk.yaw is not None
        begin = walk.yaw.times[2] + float(rng.uniform(0.3, 1.4))
        reaches = self._moves(slot, begin, person, body=stop)
        if not reaches:
            return None
        stay = reaches[-1].end + float(rng.uniform(0.3, 1.2)) - walk.yaw.times[2]
        return self._stretched(walk, stay, tuple(reaches))

    def _open(self, deed: Deed, person: int, now: float) -> Visit | None:
        """The first visits before a close camera."""
        slot = self._choose_slot(set())
        if deed is Deed.PICK_UP and self.options.start_stock:
            slot = self._slots[self._scarce]
        if slot is None or not self.stock[slot.id]:
            return None
        way = self._draw_way(slot, None)
        first = Deed.TOUCH if deed is Deed.TOUCH else Deed.PICK_UP
        reaches = [self._reach(first, slot, self.stock[slot.id], now, way, count=1)]
        if deed is Deed.PUT_BACK and reaches[0] is not None:
            begin = reaches[0].end + float(self._rng.uniform(0.6, 2.0))
            reaches.append(self._reach(deed, slot, self.stock[slot.id] - 1, begin, way, count=1))
        done = tuple(reach for reach in reaches if reach is not None)
        return Visit(person, "shop", now, done[-1].end, None, None, done) if done else None

    def _stretched(self, walk: Visit, stay: float, reaches: tuple[Reach, ...]) -> Visit:
        """The same walk with a longer stay."""
        assert walk.x is not None
        assert walk.yaw is not None
        later = stay - (walk.yaw.times[3] - walk.yaw.times[2])
        x = replace(walk.x, times=(*walk.x.times[:2], walk.x.times[2] + later, walk.x.times[3] + later))
        yaw = replace(walk.yaw, times=(*walk.yaw.times[:3], walk.yaw.times[3] + later, walk.yaw.times[4] + later))
        return replace(walk, x=x, yaw=yaw, end=walk.end + later, reaches=reaches)

    def _choose_slot(self, without: set[str], *, stocked: bool = True) -> ShelfSlot | None:
        busy = self._busy_slots() | without
        weights = np.array(
            [
                share if slot.id not in busy and (self.stock[slot.id] or not stocked) else 0.0
                for slot, share in zip(self._store.slots, self.popularity, strict=True)
            ]
        )
        if weights.sum() <= 0:
            return None
        return self._store.slots[int(self._rng.choice(len(weights), p=weights / weights.sum()))]

    def _moves(self, slot: ShelfSlot, begin: float, person: int, body: float | None = None) -> list[Reach]:
        """What one shopper does at a slot, and perhaps at a second one."""
        rng = self._rng
        reaches: list[Reach] = []
        now = begin
        here = {slot.id: self.stock[slot.id]}
        way = self._draw_way(slot, body)
        moves = int(rng.integers(1, self.options.most_moves + 1)) if rng.random() < 0.45 else 1
        holding = 0
        for _ in range(moves):
            kind = rng.random()
            if holding and rng.random() < 0.45:
                deed, count = Deed.PUT_BACK, 1
            elif here[slot.id] == 0:
                break
            elif kind < self.options.touches:
                deed, count = Deed.TOUCH, 0
            elif kind < self.options.touches + self.options.hovers:
                deed, count = Deed.HOVER, 0
            else:
                deed, count = Deed.PICK_UP, 1
                if slot.pack.size_cm[0] < 7 and here[slot.id] >= 2 and rng.random() < 0.08:
                    count = 2
            reach = self._reach(deed, slot, here[slot.id], now, way, count=count, body=body)
            if reach is None:
                break
            reaches.append(reach)
            here[slot.id] += reach.count if reach.brings else -reach.count
            holding += -reach.count if reach.brings else reach.count
            now = reach.end + float(rng.uniform(0.5, 3.0) if deed is Deed.PICK_UP else rng.uniform(0.2, 1.2))
        if reaches and holding and reaches[-1].deed is Deed.PICK_UP and rng.random() < 0.22:
            back = self._reach(
                Deed.PUT_BACK, slot, here[slot.id], now + float(rng.uniform(0.5, 3)), way, count=1, body=body
            )
            if back is not None:
                reaches.append(back)
        return reaches

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
                self.stock[slot.id],
                now + float(self._rng.uniform(0, 0.25)),
                (way[0], mirrored),
                count=1,
            )
            if reach is None:
                return None
            reaches.append(reach)
        return Visit(person, "shop", now, max(reach.end for reach in reaches), None, None, tuple(reaches))

    def _refill(self, slot: ShelfSlot, now: float, missing: int) -> Visit:
        """Staff bring units one after another, at most eight in a visit."""
        rng = self._rng
        count = min(missing, 8)
        body: float | None = None
        walk: Visit | None = None
        begin = now + float(rng.uniform(0.2, 0.8))
        if self._store.kind.people:
            body = (slot.left + slot.right) / 2 + float(rng.choice([-1, 1])) * self._aside(slot)
            walk = self._walk(self._people, "staff", now, body, 0.5)
            assert walk.yaw is not None
            begin = walk.yaw.times[2] + 0.4
        way = self._draw_way(slot, body)
        reaches, stock = [], self.stock[slot.id]
        for _ in range(count):
            reach = self._reach(Deed.RESTOCK, slot, stock, begin, way, count=1, body=body, pace=0.8)
            if reach is None:
                break
            reaches.append(reach)
            stock += 1
            begin = reach.end + float(rng.uniform(0.05, 0.3))
        if walk is not None and reaches:
            assert walk.yaw is not None
            stay = reaches[-1].end + 0.4 - walk.yaw.times[2]
            return replace(self._stretched(walk, stay, tuple(reaches)), cart=True)
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
    ) -> Reach | None:
        brings = deed in {Deed.PUT_BACK, Deed.RESTOCK}
        order = slot.capacity - stock - (1 if brings else 0)
        if not 0 <= order < slot.capacity:
            return None
        place = slot.places[order]
        if count == 2 and not _side_by_side(slot, order):
            count = 1
        rng, kind = self._rng, self._store.kind
        target = hold_point(place, way[0])
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
        both = place.pack.size_cm[0] > 13.5 and way[0] != "above"
        ceiling = self._store.scene.fixture.boards[slot.board].ceiling
        room = max(0.2, min(3.0, ceiling - place.y - place.pack.size_cm[1] - 1.5))
        return plan_reach(
            deed, rng, start=begin, rest=rest, target=target, slot=slot.id, sku=slot.sku,
            count=count if deed not in {Deed.TOUCH, Deed.HOVER} else 0, order=order, mirrored=way[1], both=both,
            inspect=inspect, after=after, pace=pace * float(rng.uniform(0.85, 1.3)) * (1.15 if kind.people else 1.0),
            clearance_cm=room, approach=way[0],
        )  # fmt: skip

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


def _side_by_side(slot: ShelfSlot, order: int) -> bool:
    if order + 1 >= slot.capacity:
        return False
    first, second = slot.places[order], slot.places[order + 1]
    return first.row == second.row and abs(first.column - second.column) == 1


def hold_point(place: Place, approach: str) -> Point:
    """Where a hand holds a unit that stands in its place."""
    _, height, _ = place.pack.size_cm
    up = height - 1.2 if APPROACHES[approach].pinches else height * 0.52
    return np.array([place.x, place.y + up, place.z])


def project(camera: Camera, point: NDArray[np.float64]) -> tuple[float, float, float]:
    """Pixel x, y of a world point, and pixels per cm there."""
    canvas, distance = camera.to_canvas(point[None])
    x, y = camera.to_picture(canvas)[0]
    return float(x), float(y), camera.focal / max(float(distance[0]), 6.0)


def world_at(camera: Camera, pixel: tuple[float, float], z: float) -> Point:
    """The world point at depth ``z`` that appears at a pixel; the lens's bend is left out."""
    right, up, forward = camera.axes()
    width, height = camera.size
    ray = forward + right * ((pixel[0] - width / 2) / camera.focal) - up * ((pixel[1] - height / 2) / camera.focal)
    position = np.array(camera.position)
    return np.asarray(position + ray * ((z - position[2]) / ray[2]), np.float64)
