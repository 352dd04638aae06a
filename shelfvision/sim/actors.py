"""Draws people before a shelf: bodies, carts, arms, hands, and what the hands hold."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from shelfvision.sim.compositing import SHADOW_MARGIN, Canvas, Matrix, Region, Stamp, placing
from shelfvision.sim.scene import Scene
from shelfvision.sim.shoppers import Deed, Hand, Reach, Visit
from shelfvision.sim.space import hold_point, project
from shelfvision.sim.stocking import Place, ShelfSlot
from shelfvision.sim.wardrobe import RADII, BodyStamps, HandStamps, Wardrobe, place_arm

Picture = NDArray[np.uint8]

HIDES = 127  # cover from which something in front hides a pixel
_SHUTTER_SECONDS = 1 / 60


@dataclass(frozen=True, slots=True)
class BoxTruth:
    """Something seen in one frame."""

    label: str  # product, hand
    xyxy: tuple[float, float, float, float]  # of its visible pixels
    visibility: float  # visible pixels over those that it would have alone
    sku: str | None = None
    slot: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class _Act:
    """One reach at one moment, in the picture."""

    person: int
    reach: Reach
    hand: Hand
    now: float
    background: Picture
    at: tuple[float, float]  # pixel of what is held
    scale: float  # pixels per cm there
    smear: tuple[float, float]  # pixels moved while the shutter is open
    half_cm: float  # half the width of what is held
    shoulder: tuple[float, float] | None = None  # pixel; None: the arm comes from outside the picture

    @property
    def sides(self) -> list[float]:
        """1: a hand whose arm leads to the right, -1: to the left."""
        side = -1.0 if self.reach.mirrored else 1.0
        return [side, -side] if self.reach.both and self.shoulder is None else [side]


@dataclass(frozen=True, slots=True, eq=False)
class _PlacedHand:
    stamps: HandStamps
    matrix: Matrix
    degrees: float
    mirrored: bool


class Actors:
    """Draws visits onto a canvas.

    Args:
        scene: the shelf.
        slots: its planned slots by id.
        wardrobe: the cast.
        canvas: where to.
    """

    def __init__(self, scene: Scene, slots: dict[str, ShelfSlot], wardrobe: Wardrobe, canvas: Canvas) -> None:
        self._scene = scene
        self._camera = scene.camera
        self._slots = slots
        self._wardrobe = wardrobe
        self._canvas = canvas
        self._held = lru_cache(maxsize=24)(self._make_held)

    def forget(self, identity: int) -> None:
        """The unit at a place is another one from now on."""
        del identity  # few places are kept, and they are soon made again
        self._held.cache_clear()

    def draw(self, visit: Visit, now: float, background: Picture, seen: list[BoxTruth] | None) -> None:
        """Draw somebody; what is seen of hands and carried products is added to ``seen`` if given."""
        acts = [
            self._act(visit, reach, hand, now, background)
            for reach in visit.reaches
            if (hand := reach.hand(now)) is not None
        ]
        if visit.x is None or visit.yaw is None:
            for act in acts:
                self._draw_reach(act, seen)
            return
        x, lane = (float(v) for v in visit.x.at(now))
        yaw = float(visit.yaw.at(now)[0])
        body = self._body(visit, acts, x, yaw, walking=visit.walking(now))
        matrix, scale = self._body_matrix(body, np.array([x, 0.0, lane]))
        self._shadow(body, matrix, scale, strength=0.22, cm=9.0)
        if visit.cart:
            cart = self._wardrobe.cart(visit.person)
            ahead = -60.0 if yaw > 45 else (60.0 if yaw < -45 else 72.0)
            cart_matrix, _ = self._body_matrix(cart, np.array([x + ahead, 0.0, lane + 3]), mirrored=yaw > 45)
            self._canvas.draw(cart.body, cart_matrix)
        for act in acts:
            at = matrix @ np.array([*body.shoulders[_arm_of(act.reach)], 1.0])
            self._draw_reach(replace(act, shoulder=(float(at[0]), float(at[1]))), seen)
        step = float(visit.x.at(now)[0] - visit.x.at(now - _SHUTTER_SECONDS)[0]) * scale
        self._canvas.draw(body.body, matrix, smear=(step, 0.0))

    def _body(self, visit: Visit, acts: list[_Act], x: float, yaw: float, *, walking: bool) -> BodyStamps:
        """The body in its phase of walking, without the arms that reach."""
        step_cm = 135.0 * self._wardrobe.cast[visit.person].height_cm / 172
        phase = ((-x if yaw < 0 else x) / step_cm) % 1.0 if walking else None
        reaching = {_arm_of(act.reach) for act in acts}
        return self._wardrobe.body(visit.person, yaw, phase, (0 not in reaching, 1 not in reaching))

    def _body_matrix(
        self, body: BodyStamps, feet: NDArray[np.float64], *, mirrored: bool = False
    ) -> tuple[Matrix, float]:
        camera = self._camera
        x, y, scale = project(camera, feet + np.array([0.0, 110.0, 0.0]))  # the chest is in view more often than feet
        ratio = scale / body.pixels_per_cm
        turned = -float(np.degrees(np.arctan2(*(camera.axes()[0, [1, 0]]))))
        anchor = (body.feet[0], body.feet[1] - 110.0 * body.pixels_per_cm)
        return placing(anchor, (x, y), scale=ratio, degrees=-turned, mirrored=mirrored), scale

    def _shadow(
        self, body: BodyStamps | HandStamps, matrix: Matrix, scale: float, *, strength: float, cm: float
    ) -> None:
        shrunk = body.shadow_scale
        own = np.array([[shrunk, 0, -SHADOW_MARGIN * shrunk], [0, shrunk, -SHADOW_MARGIN * shrunk]])
        full = np.vstack([matrix, [0, 0, 1]]) @ np.vstack([own, [0, 0, 1]])
        moved = full[:2].copy()
        moved[:, 2] += (0.35 * cm * scale, 0.8 * cm * scale)
        self._canvas.shadow(body.shadow, moved, strength)

    def _draw_reach(self, act: _Act, seen: list[BoxTruth] | None) -> None:
        """Arm, hand, what it holds, and the fingers in front of it."""
        slot, reach, hand = self._slots[act.reach.slot], act.reach, act.hand
        hands = [self._place_hand(act, side) for side in act.sides]
        for placed in hands:
            self._shadow(placed.stamps, placed.matrix, act.scale, strength=0.3, cm=3.0)
            self._draw_arm(act, placed)
        for placed in hands:
            self._canvas.draw(placed.stamps.whole, placed.matrix, smear=act.smear)
        carried = hand.carries or reach.turns(act.now)
        gripped = not carried and _grips(reach, act.now)
        for place in slot.places[reach.order : reach.order + max(reach.count, 1)]:
            if carried:
                self._draw_held(act, place, seen)
            elif gripped:
                self._restore(place.identity, act.background)
        for placed in hands:
            if carried or gripped:
                self._canvas.draw(placed.stamps.front, placed.matrix, smear=act.smear)
            if seen is not None and (found := self._canvas.mask_of(placed.stamps.skin, placed.matrix)) is not None:
                _add_box("hand", found, seen)

    def _act(self, visit: Visit, reach: Reach, hand: Hand, now: float, background: Picture) -> _Act:
        place = self._slots[reach.slot].places[reach.order]
        x, y, scale = project(self._camera, hand.point)
        before = reach.hand(max(reach.start, now - _SHUTTER_SECONDS))
        px, py, _ = project(self._camera, before.point if before else hand.point)
        return _Act(
            person=visit.person,
            reach=reach,
            hand=hand,
            now=now,
            background=background,
            at=(x, y),
            scale=scale,
            smear=(x - px, y - py),
            half_cm=place.pack.size_cm[0] / 2 * (2 if reach.count == 2 else 1),
        )

    def _place_hand(self, act: _Act, side: float) -> _PlacedHand:
        """One hand; ``side`` is 1 for an arm that leads to the right."""
        held = max(min(act.half_cm, RADII[-1]), 0.8)
        if len(act.sides) == 2:  # each hand has a side of it
            held = RADII[1]
        on_foot = act.shoulder is not None
        stamps = self._wardrobe.hand(act.person, act.reach.approach, held, act.hand.closing, short=on_foot)
        at = (
            act.at[0] + side * max(act.half_cm - held + (1.6 if len(act.sides) == 2 else 0.0), 0.0) * act.scale,
            act.at[1],
        )
        degrees = act.hand.tilt * 0.6
        if act.shoulder is not None:
            degrees += _turn_to(stamps, at, act.shoulder, mirrored=side < 0)
        scale = act.scale / stamps.pixels_per_cm
        matrix = placing(stamps.hold, at, scale=scale, degrees=degrees, mirrored=side < 0)
        return _PlacedHand(stamps, matrix, degrees, mirrored=side < 0)

    def _draw_arm(self, act: _Act, placed: _PlacedHand) -> None:
        wrist = placed.matrix @ np.array([*placed.stamps.wrist, 1.0])
        at = (float(wrist[0]), float(wrist[1]))
        if act.shoulder is not None:
            self._draw_limb(act.person, at, act.shoulder, act.scale)
            return
        arm = self._wardrobe.arm(act.person, act.reach.approach)
        matrix = place_arm(arm, at, scale=act.scale, degrees=placed.degrees, mirrored=placed.mirrored)
        self._canvas.draw(arm.whole, matrix, smear=act.smear)

    def _restore(self, identity: int, background: Picture) -> None:
        """Draw a unit that stands on the shelf over what was drawn: the hand is behind it."""
        box = region_of(self._scene, identity)
        if box is not None:
            part = slice(box.y1, box.y2), slice(box.x1, box.x2)
            mask = (self._scene.instance_map[part] == identity).astype(np.uint8)
            cv2.copyTo(background[part], mask, self._canvas.image[part])

    def _draw_limb(self, person: int, wrist: tuple[float, float], shoulder: tuple[float, float], scale: float) -> None:
        limb = self._wardrobe.limb(person)
        top = np.array(limb.shoulders[0])
        own = np.array(limb.feet) - top
        span = np.array(wrist) - np.array(shoulder)
        length = max(float(np.linalg.norm(span)), 1.0)
        ratio = scale / limb.pixels_per_cm
        degrees = float(np.degrees(np.arctan2(-span[0], span[1])))
        stretch = length / (float(np.linalg.norm(own)) * ratio)
        self._canvas.draw(limb.body, placing(tuple(top), shoulder, scale=ratio, degrees=degrees, stretch=stretch))

    def _draw_held(self, act: _Act, place: Place, seen: list[BoxTruth] | None) -> None:
        """A unit in a hand: its place's picture, moved, scaled and tilted with the hand."""
        stamp, standing = self._held(place.identity)
        reach, hand = act.reach, act.hand
        x0, y0, scale0 = project(self._camera, hold_point(place, reach.approach))
        offset = np.zeros(3)
        if reach.count == 2:
            first, second = self._slots[reach.slot].places[reach.order : reach.order + 2]
            offset[0] = place.x - (first.x + second.x) / 2
        x, y, scale = project(self._camera, hand.point + offset)
        around = placing((x0, y0), (x, y), scale=scale / scale0, degrees=hand.tilt)
        matrix = np.asarray((np.vstack([around, [0, 0, 1]]) @ np.vstack([standing, [0, 0, 1]]))[:2])
        self._canvas.draw(stamp, matrix, smear=act.smear)
        if seen is not None and (found := self._canvas.mask_of(stamp, matrix)) is not None:
            _add_box("product", found, seen, place.pack.sku)

    def _make_held(self, identity: int) -> tuple[Stamp, Matrix]:
        pixels = self._scene.unlit_sprite(identity).astype(np.float32)
        pixels[..., :3] *= self._scene.light(identity)
        pixels[..., :3] = np.minimum(pixels[..., :3], pixels[..., 3:])
        return Stamp(np.clip(pixels, 0, 255).round().astype(np.uint8)), self._scene.standing(identity)


def _arm_of(reach: Reach) -> int:
    """The shoulder that is nearer to the slot: 0 the left one, 1 the right one, as seen from behind."""
    return 1 if reach.mirrored else 0


def _grips(reach: Reach, now: float) -> bool:
    """Whether fingers are behind a product that stands in its place."""
    if reach.deed is Deed.HOVER:
        return False
    if reach.brings:
        return reach.change <= now < reach.change + 0.3
    return reach.contact - 0.12 <= now < reach.change + (0.25 if reach.deed is Deed.TOUCH else 0.0)


def region_of(scene: Scene, identity: int) -> Region | None:
    """Rectangle of the picture that a unit can touch in its place; None outside the picture."""
    matrix = scene.standing(identity)
    height, width = scene.unlit_sprite(identity).shape[:2]
    corners = matrix[:, :2] @ np.array([[0, width, width, 0], [0, 0, height, height]]) + matrix[:, 2:]
    low, high = np.floor(corners.min(axis=1)).astype(int) - 3, np.ceil(corners.max(axis=1)).astype(int) + 3
    tall, wide = scene.instance_map.shape
    region = Region(max(0, int(low[0])), max(0, int(low[1])), min(wide, int(high[0])), min(tall, int(high[1])))
    return region if region.x1 < region.x2 and region.y1 < region.y2 else None


def _add_box(label: str, found: tuple[Region, Picture], seen: list[BoxTruth], sku: str | None = None) -> None:
    region, mask = found
    box = bounds_of(region, mask > HIDES)
    if box is not None:
        seen.append(BoxTruth(label, box, 1.0, sku))


def bounds_of(region: Region, inside: NDArray[np.bool_]) -> tuple[float, float, float, float] | None:
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
