"""Moving pictures of a simulated store, frame by frame, with what is hidden and by whom."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from shelfvision.sim.compositing import SHADOW_MARGIN, Canvas, Matrix, Region, Stamp, placing
from shelfvision.sim.doors import Doors
from shelfvision.sim.scene import Unit
from shelfvision.sim.script import Change, Order, ScriptOptions, StoreScript, hold_point, project
from shelfvision.sim.sensor import Sensor, SensorOptions
from shelfvision.sim.shoppers import Deed, Hand, Reach, Visit
from shelfvision.sim.stocking import Place, ShelfSlot
from shelfvision.sim.stores import SimulatedStore
from shelfvision.sim.wardrobe import RADII, BodyStamps, HandStamps, Wardrobe

Picture = NDArray[np.uint8]
_SHUTTER_SECONDS = 1 / 60
_PEOPLE = 7  # in the cast
_HIDES = 127  # cover from which something in front hides a pixel


@dataclass(frozen=True, slots=True)
class BoxTruth:
    """Something seen in one frame."""

    label: str  # product, hand
    xyxy: tuple[float, float, float, float]  # of its visible pixels
    visibility: float  # visible pixels over those that it would have alone
    sku: str | None = None
    slot: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class FilmFrame:
    """One frame and what is true in it."""

    image: Picture | None  # (h, w, 3) BGR, valid until the next frame is drawn
    index: int
    time: float  # seconds from frame 0
    hidden: dict[str, float]  # slot id -> share of its polygon that something in front covers; absent: nothing
    boxes: tuple[BoxTruth, ...] = ()


class Footage:
    """A camera in a simulated store.

    Args:
        store: the shelf.
        seed: of the people and of what befalls the camera.
        fps: frames a second.
        script: how lively it is.
        sensor: what befalls the camera; made from the seed when absent.
    """

    def __init__(
        self,
        store: SimulatedStore,
        seed: int,
        *,
        fps: float,
        script: ScriptOptions | None = None,
        sensor: SensorOptions | None = None,
    ) -> None:
        self.store = store
        self.fps = fps
        self.index = -1
        self.changes: list[Change] = []  # of units, all so far
        self.script = StoreScript(store, seed, script or ScriptOptions(), people=_PEOPLE)
        self.start_stock = dict(self.script.stock)
        scene = store.scene
        self._scene = scene
        self._slots = {slot.id: slot for slot in store.slots}
        for slot_id, units in self.script.stock.items():
            scene.set_units(slot_id, units)
        self._shown = dict(self.script.stock)
        middle = np.array([0.0, scene.fixture.boards[store.slots[0].board].top + 10, 4.0])
        near = project(scene.camera, middle)[2]
        light = np.clip(scene.light() * 0.97, 0.4, 1.25)
        self.wardrobe = Wardrobe(
            seed * 31 + 7,
            people=_PEOPLE,
            hand_scale=float(np.clip(near * 1.12, 2.0, 12.0)),
            body_scale=float(np.clip(near * 1.25, 2.0, 3.6)),
            light=(float(light[0]), float(light[1]), float(light[2])),
        )
        self._canvas = Canvas(scene.settings.size)
        self._sensor = Sensor(scene.settings.size, seed, sensor or SensorOptions())
        self._polygons = {slot.id: slot.bounds for slot in store.plan()}
        self._held = lru_cache(maxsize=24)(self._make_held)
        self._base = scene.render().copy()
        self._sensor.soften(self._base, scene.render(), None)
        self._doors = Doors(scene, seed) if store.kind.front == "door" else None
        self._behind_glass: Picture | None = self._base.copy() if self._doors else None
        self._angles: list[float] | None = None  # of the doors as they stand in that picture
        self._still: list[tuple[Unit, Region, BoxTruth]] | None = None  # units on the shelf, nothing in front
        self._bays = {slot.id: (slot.left + slot.right) / 2 for slot in store.slots}

    # ------------------------------------------------------------ time goes on

    def order(self, order: Order) -> None:
        """See `StoreScript.order`."""
        self.script.order(order)

    def step(self, *, draw: bool = True, boxes: bool = False) -> FilmFrame:
        """The next frame; undrawn ones only let time pass, and know nothing of what is hidden."""
        self.index += 1
        now = self.index / self.fps
        changes = self.script.advance(now)
        self.changes += changes
        if not draw:
            return FilmFrame(None, self.index, now, {})
        self._restock(now)
        canvas = self._canvas
        canvas.begin(self._background(now))
        seen: list[BoxTruth] = []
        visits = [visit for visit in self.script.visits if visit.begin <= now]
        for visit in sorted(visits, key=lambda visit: self._lane(visit, now)):
            self._draw_visit(visit, now, seen if boxes else None)
        hidden = self._hidden()
        if boxes:
            seen += self._standing_boxes()
        image = self._sensor.expose(canvas.image, canvas.cover, self.index, now)
        return FilmFrame(image, self.index, now, hidden, tuple(seen))

    def _background(self, now: float) -> Picture:
        """The shelf without people, behind its doors if it has some."""
        if self._doors is None or self._behind_glass is None:
            return self._base
        angles = self._doors.angles(self.script.visits, now, self._bays)
        if angles != self._angles:
            np.copyto(self._behind_glass, self._base)
            self._doors.paint(self._behind_glass, angles)
            self._angles = angles
        return self._behind_glass

    def _restock(self, now: float) -> None:
        """Bring the scene up to date: stock, and units that are drawn apart because a hand moves them."""
        wanted = dict(self.script.stock)
        for visit in self.script.visits:
            for reach in visit.reaches:
                if reach.turns(now):
                    wanted[reach.slot] -= 1
        for slot_id, units in wanted.items():
            if units != self._shown[slot_id]:
                box = self._scene.set_units(slot_id, units)
                self._shown[slot_id] = units
                self._still = None
                if box is not None:
                    self._angles = None
                    self._sensor.soften(self._base, self._scene.render(), Region(*box))

    def _lane(self, visit: Visit, now: float) -> float:
        return 10.0 if visit.x is None else float(visit.x.at(now)[1])

    # ------------------------------------------------------------ people

    def _draw_visit(self, visit: Visit, now: float, seen: list[BoxTruth] | None) -> None:
        reach_now = [(reach, hand) for reach in visit.reaches if (hand := reach.hand(now)) is not None]
        if visit.x is None or visit.yaw is None:
            for reach, hand in reach_now:
                self._draw_reach(visit, reach, hand, now, None, seen)
            return
        x, lane = (float(v) for v in visit.x.at(now))
        yaw = float(visit.yaw.at(now)[0])
        walking = visit.walking(now)
        pace = 1.35 * self.wardrobe.cast[visit.person].height_cm / 172
        phase = (x / (pace * 100)) % 1.0 if walking else None
        if walking and yaw < 0:
            phase = (-x / (pace * 100)) % 1.0
        arms = [True, True]
        for reach, _ in reach_now:
            arms[1 if reach.mirrored else 0] = False
        body = self.wardrobe.body(visit.person, yaw, phase, (arms[0], arms[1]))
        feet = np.array([x, 0.0, lane])
        matrix, scale = self._body_matrix(body, feet)
        self._shadow(body, matrix, scale, 0.22, 9.0)
        cart = self.wardrobe.cart(visit.person) if visit.cart else None
        if cart is not None:
            ahead = -60.0 if yaw > 45 else (60.0 if yaw < -45 else 72.0)
            cart_matrix, _ = self._body_matrix(cart, np.array([x + ahead, 0.0, lane + 3]), mirrored=yaw > 45)
            self._canvas.draw(cart.body, cart_matrix)
        for reach, hand in reach_now:
            shoulder = body.shoulders[1 if reach.mirrored else 0]  # the one nearer to the slot
            at = matrix @ np.array([*shoulder, 1.0])
            self._draw_reach(visit, reach, hand, now, (float(at[0]), float(at[1])), seen)
        step = self._smear(visit.x.at(now), visit.x.at(now - _SHUTTER_SECONDS), scale)
        self._canvas.draw(body.body, matrix, smear=step)

    def _smear(self, here: NDArray[np.float64], before: NDArray[np.float64], scale: float) -> tuple[float, float]:
        return float((here[0] - before[0]) * scale), 0.0

    def _body_matrix(
        self, body: BodyStamps, feet: NDArray[np.float64], *, mirrored: bool = False
    ) -> tuple[Matrix, float]:
        camera = self._scene.camera
        x, y, scale = project(camera, feet + np.array([0.0, 110.0, 0.0]))  # the chest is in view more often than feet
        ratio = scale / body.pixels_per_cm
        turned = -float(np.degrees(np.arctan2(*(camera.axes()[0, [1, 0]]))))
        anchor = (body.feet[0], body.feet[1] - 110.0 * body.pixels_per_cm)
        return placing(anchor, (x, y), scale=ratio, degrees=-turned, mirrored=mirrored), scale

    def _shadow(self, body: BodyStamps | HandStamps, matrix: Matrix, scale: float, strength: float, cm: float) -> None:
        shrunk = body.shadow_scale
        own = np.array([[shrunk, 0, -SHADOW_MARGIN * shrunk], [0, shrunk, -SHADOW_MARGIN * shrunk]])
        full = np.vstack([matrix, [0, 0, 1]]) @ np.vstack([own, [0, 0, 1]])
        moved = full[:2].copy()
        moved[:, 2] += (0.35 * cm * scale, 0.8 * cm * scale)
        self._canvas.shadow(body.shadow, moved, strength)

    # ------------------------------------------------------------ hands

    def _draw_reach(
        self,
        visit: Visit,
        reach: Reach,
        hand: Hand,
        now: float,
        shoulder: tuple[float, float] | None,
        seen: list[BoxTruth] | None,
    ) -> None:
        slot = self._slots[reach.slot]
        place = slot.places[reach.order]
        x, y, scale = project(self._scene.camera, hand.point)
        before = reach.hand(max(reach.start, now - _SHUTTER_SECONDS))
        px, py, _ = project(self._scene.camera, before.point if before else hand.point)
        smear = (x - px, y - py)
        half = place.pack.size_cm[0] / 2 * (2 if reach.count == 2 else 1)
        held = max(min(half, RADII[-1]), 0.8)
        sides = [-1.0 if reach.mirrored else 1.0]
        if reach.both and shoulder is None:
            sides.append(-sides[0])
        drawn: list[tuple[HandStamps, Matrix]] = []
        for side in sides:
            stamps = self.wardrobe.hand(visit.person, reach.approach, held, hand.closing, short=shoulder is not None)
            at = (x + side * max(half - held, 0.0) * scale, y)
            degrees = hand.tilt * 0.6
            if shoulder is not None:
                degrees += _turn_to(stamps, at, shoulder, mirrored=side < 0)
            matrix = placing(stamps.hold, at, scale=scale / stamps.pixels_per_cm, degrees=degrees, mirrored=side < 0)
            self._shadow(stamps, matrix, scale, 0.3, 3.0)
            if shoulder is None:
                arm = self.wardrobe.arm(visit.person, reach.approach)
                wrist = matrix @ np.array([*stamps.wrist, 1.0])
                self._canvas.draw(
                    arm.whole,
                    placing(arm.wrist, (float(wrist[0]), float(wrist[1])), scale=scale / arm.pixels_per_cm,
                            degrees=degrees, mirrored=side < 0),
                    smear=smear,
                )  # fmt: skip
            else:
                self._draw_limb(visit.person, matrix @ np.array([*stamps.wrist, 1.0]), shoulder, scale)
            drawn.append((stamps, matrix))
        for stamps, matrix in drawn:
            self._canvas.draw(stamps.whole, matrix, smear=smear)
        carried = hand.carries or reach.turns(now)
        identities = [slot.places[reach.order + extra].identity for extra in range(max(reach.count, 1))]
        if carried:
            for identity in identities:
                self._draw_held(slot, identity, reach, hand, smear, seen)
        elif self._grips(reach, now):
            self._restore(identities)
        if carried or self._grips(reach, now):
            for stamps, matrix in drawn:
                self._canvas.draw(stamps.front, matrix, smear=smear)
        if seen is not None:
            for stamps, matrix in drawn:
                self._add_hand_box(stamps, matrix, seen)

    def _grips(self, reach: Reach, now: float) -> bool:
        """Whether fingers are behind a product that stands in its place."""
        if reach.deed is Deed.HOVER:
            return False
        if reach.brings:
            return reach.change <= now < reach.change + 0.3
        return reach.contact - 0.12 <= now < reach.change + (0.25 if reach.deed is Deed.TOUCH else 0.0)

    def _restore(self, identities: list[int]) -> None:
        """Draw units that stand on the shelf over what was drawn: the hand is behind them."""
        background = self._base if self._behind_glass is None else self._behind_glass
        for identity in identities:
            box = self._region_of(identity)
            if box is None:
                continue
            rows, columns = slice(box.y1, box.y2), slice(box.x1, box.x2)
            mask = (self._scene.instance_map[rows, columns] == identity).astype(np.uint8)
            cv2.copyTo(background[rows, columns], mask, self._canvas.image[rows, columns])

    def _region_of(self, identity: int) -> Region | None:
        matrix = self._scene.standing(identity)
        sprite = self._scene.unlit_sprite(identity)
        height, width = sprite.shape[:2]
        corners = matrix[:, :2] @ np.array([[0, width, width, 0], [0, 0, height, height]]) + matrix[:, 2:]
        low, high = np.floor(corners.min(axis=1)).astype(int) - 2, np.ceil(corners.max(axis=1)).astype(int) + 2
        tall, wide = self._scene.instance_map.shape
        region = Region(max(0, int(low[0])), max(0, int(low[1])), min(wide, int(high[0])), min(tall, int(high[1])))
        return region if region.x1 < region.x2 and region.y1 < region.y2 else None

    def _draw_limb(self, person: int, wrist: NDArray[np.float64], shoulder: tuple[float, float], scale: float) -> None:
        limb = self.wardrobe.limb(person)
        top = np.array(limb.shoulders[0])
        own = np.array(limb.feet) - top
        span = wrist - np.array(shoulder)
        length = max(float(np.linalg.norm(span)), 1.0)
        ratio = scale / limb.pixels_per_cm
        degrees = float(np.degrees(np.arctan2(-span[0], span[1])))
        stretch = length / (float(np.linalg.norm(own)) * ratio)
        self._canvas.draw(limb.body, placing(tuple(top), shoulder, scale=ratio, degrees=degrees, stretch=stretch))  # type: ignore[arg-type]

    def _draw_held(
        self,
        slot: ShelfSlot,
        identity: int,
        reach: Reach,
        hand: Hand,
        smear: tuple[float, float],
        seen: list[BoxTruth] | None,
    ) -> None:
        stamp, standing = self._held(identity)
        place = next(place for place in slot.places if place.identity == identity)
        matrix = self._moved(standing, place, reach, hand)
        self._canvas.draw(stamp, matrix, smear=smear)
        if seen is not None and (found := self._canvas.mask_of(stamp, matrix)) is not None:
            self._add_box("product", found, seen, reach.sku)

    def _moved(self, standing: Matrix, place: Place, reach: Reach, hand: Hand) -> Matrix:
        """Where a held unit is drawn: its place's picture, moved, scaled and tilted with the hand."""
        camera = self._scene.camera
        home = hold_point(place, reach.approach)
        x0, y0, scale0 = project(camera, home)
        offset = np.zeros(3)
        if reach.count == 2:
            partner = [p for p in self._slots[reach.slot].places[reach.order : reach.order + 2]]
            offset[0] = place.x - (partner[0].x + partner[1].x) / 2
        x, y, scale = project(camera, hand.point + offset)
        around = placing((x0, y0), (x, y), scale=scale / scale0, degrees=hand.tilt)
        return np.asarray((np.vstack([around, [0, 0, 1]]) @ np.vstack([standing, [0, 0, 1]]))[:2])

    def _make_held(self, identity: int) -> tuple[Stamp, Matrix]:
        pixels = self._scene.unlit_sprite(identity).astype(np.float32)
        pixels[..., :3] *= self._scene.light(identity)
        pixels[..., :3] = np.minimum(pixels[..., :3], pixels[..., 3:])
        return Stamp(np.clip(pixels, 0, 255).round().astype(np.uint8)), self._scene.standing(identity)

    # ------------------------------------------------------------ truth of a frame

    def _hidden(self) -> dict[str, float]:
        cover = self._canvas.cover
        hidden: dict[str, float] = {}
        if not self._canvas.touched:
            return hidden
        for slot_id, (x1, y1, x2, y2) in self._polygons.items():
            if not self._canvas.touches(Region(x1, y1, x2, y2)):
                continue
            part = cover[y1:y2:2, x1:x2:2]
            share = float(cv2.countNonZero(cv2.compare(np.ascontiguousarray(part), 100, cv2.CMP_GT))) / max(
                part.size, 1
            )
            if share > 0:
                hidden[slot_id] = share
        return hidden

    def _standing_boxes(self) -> list[BoxTruth]:
        """Products on the shelf with what of them is visible now."""
        if self._still is None:
            self._still = []
            for unit in self._scene.units():
                region = self._region_of(unit.identity)
                if region is not None and (box := self._standing_box(unit, region, covered=False)) is not None:
                    self._still.append((unit, region, box))
        found = []
        for unit, region, alone in self._still:
            box = self._standing_box(unit, region, covered=True) if self._canvas.touches(region) else alone
            if box is not None:
                found.append(box)
        return found

    def _standing_box(self, unit: Unit, region: Region, *, covered: bool) -> BoxTruth | None:
        rows, columns = slice(region.y1, region.y2), slice(region.x1, region.x2)
        part = self._scene.instance_map[rows, columns] == unit.identity
        if covered:
            part &= self._canvas.cover[rows, columns] <= _HIDES
        box = _bounds(region, part)
        if box is None:
            return None
        share = min(1.0, int(part.sum()) / max(self._scene.silhouette(unit.identity), 1.0))
        return BoxTruth("product", box, share, unit.sku, unit.slot if unit.slot in self._slots else None)

    def _add_hand_box(self, stamps: HandStamps, matrix: Matrix, seen: list[BoxTruth]) -> None:
        found = self._canvas.mask_of(stamps.skin, matrix)
        if found is not None:
            self._add_box("hand", found, seen)

    def _add_box(self, label: str, found: tuple[Region, Picture], seen: list[BoxTruth], sku: str | None = None) -> None:
        region, mask = found
        box = _bounds(region, mask > _HIDES)
        if box is not None:
            seen.append(BoxTruth(label, box, 1.0, sku))


def _bounds(region: Region, inside: NDArray[np.bool_]) -> tuple[float, float, float, float] | None:
    """Box around the true pixels of a part of the picture."""
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    if not len(rows):
        return None
    return (
        float(region.x1 + columns[0]),
        float(region.y1 + rows[0]),
        float(region.x1 + columns[-1] + 1),
        float(region.y1 + rows[-1] + 1),
    )


def _turn_to(stamps: HandStamps, at: tuple[float, float], shoulder: tuple[float, float], *, mirrored: bool) -> float:
    """Degrees by which a hand is turned so that its wrist points about to the shoulder."""
    wanted = np.degrees(np.arctan2(shoulder[1] - at[1], shoulder[0] - at[0]))
    own = 180.0 - stamps.arm_degrees if mirrored else stamps.arm_degrees
    return float(np.clip((wanted - own + 180) % 360 - 180, -95, 95))
