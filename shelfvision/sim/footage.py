"""Moving pictures of a simulated store, frame by frame, with what is hidden and by whom."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shelfvision.sim.actors import HIDES, Actors, BoxTruth, bounds_of, region_of
from shelfvision.sim.compositing import Canvas, Region
from shelfvision.sim.doors import Doors
from shelfvision.sim.scene import Unit
from shelfvision.sim.script import Change, Order, StoreScript
from shelfvision.sim.sensor import Sensor, SensorOptions
from shelfvision.sim.shoppers import Reach, Visit
from shelfvision.sim.space import project
from shelfvision.sim.stores import SimulatedStore
from shelfvision.sim.visits import ScriptOptions
from shelfvision.sim.wardrobe import Wardrobe

Picture = NDArray[np.uint8]
_PEOPLE = 7  # in the cast


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
        self._actors = Actors(scene, self._slots, self.wardrobe, self._canvas)
        self._base = scene.render().copy()
        self._sensor.soften(self._base, scene.render(), None)
        self._doors = Doors(scene, seed) if store.kind.front == "door" else None
        self._behind_glass: Picture | None = self._base.copy() if self._doors else None
        self._angles: list[float] | None = None  # of the doors as they stand in that picture
        self._known = 0  # reaches of the script that were looked at
        self._coming: list[Reach] = []  # of these, with units to a place, that have not begun
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
        background = self._background(now)
        canvas.begin(background)
        seen: list[BoxTruth] = []
        visits = [visit for visit in self.script.visits if visit.begin <= now]
        for visit in sorted(visits, key=lambda visit: _lane(visit, now)):
            self._actors.draw(visit, now, background, seen if boxes else None)
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

    def _swap_packs(self, now: float) -> None:
        """Units that come to a place are of the slot's own product or of another one."""
        self._coming += [reach for reach in self.script.reaches[self._known :] if reach.brings]
        self._known = len(self.script.reaches)
        begun = sorted((reach for reach in self._coming if reach.start <= now), key=lambda reach: reach.start)
        self._coming = [reach for reach in self._coming if reach.start > now]
        for reach in begun:
            slot = self._slots[reach.slot]
            place, pack = slot.places[reach.order], reach.pack or slot.pack
            if place.pack is pack:
                continue
            if self._shown[slot.id] > slot.capacity - reach.order - 1:  # frames were passed over: it stands there still
                self._scene.set_units(slot.id, slot.capacity - reach.order - 1)
                self._shown[slot.id] = slot.capacity - reach.order - 1
            self._scene.swap_pack(slot.id, place.identity, pack)
            self._actors.forget(place.identity)

    def _restock(self, now: float) -> None:
        """Bring the scene up to date: stock, and units that are drawn apart because a hand moves them."""
        wanted = dict(self.script.stock)
        self._swap_packs(now)
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

    # ------------------------------------------------------------ truth of a frame

    def _hidden(self) -> dict[str, float]:
        cover = self._canvas.cover
        hidden: dict[str, float] = {}
        if not self._canvas.touched:
            return hidden
        for slot_id, (x1, y1, x2, y2) in self._polygons.items():
            if not self._canvas.touches(Region(x1, y1, x2, y2)):
                continue
            part = cover[y1:y2:2, x1:x2:2] > HIDES
            share = int(np.count_nonzero(part)) / max(part.size, 1)
            if share > 0:
                hidden[slot_id] = share
        return hidden

    def _standing_boxes(self) -> list[BoxTruth]:
        """Products on the shelf with what of them is visible now."""
        if self._still is None:
            self._still = []
            for unit in self._scene.units():
                region = region_of(self._scene, unit.identity)
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
            part &= self._canvas.cover[rows, columns] <= HIDES
        box = bounds_of(region, part)
        if box is None:
            return None
        share = min(1.0, int(part.sum()) / max(self._scene.silhouette(unit.identity), 1.0))
        return BoxTruth("product", box, share, unit.sku, unit.slot if unit.slot in self._slots else None)


def _lane(visit: Visit, now: float) -> float:
    """How far in front of the shelf somebody is, cm."""
    return 10.0 if visit.x is None else float(visit.x.at(now)[1])
