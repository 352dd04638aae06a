"""People in stills: hands that reach for a product, hold one or carry one away, with what they hide."""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from shelfvision.sim.compositing import Canvas, Matrix, Stamp, placing, relit
from shelfvision.sim.hands import typology_angle
from shelfvision.sim.scene import Scene, Unit
from shelfvision.sim.space import hold_point, project
from shelfvision.sim.stocking import Place
from shelfvision.sim.wardrobe import ARM_CM, RADII, HandStamps, Wardrobe, place_arm

Image = NDArray[np.uint8]
PEOPLE = 8  # in the cast of one store
_HALF = 127
_COVERED = -1  # in the instance map: an arm, a sleeve or a body, which is neither a product nor an empty place
_BODY_DISTANCE = 120.0  # cm; nearer cameras see arms only
# each of the cast has one way: whoever is drawn once is drawn for many of the store's stills
_YAWS = (0.0, -30.0, 30.0)
_AT_SHELVES, _AT_TABLES = ("low", "level", "low"), ("above", "low", "low")
_CLOSE_UP = 90.0  # cm
_MOST_TRIED = 7  # units; fewer than there are people
_REACH = 68.0  # cm from the shoulder to what a hand holds
_UPRIGHT = 20.0  # degrees; units that lean more are left alone
_MIN_SCALE = 1.5  # pixels per cm; hands smaller than about 14 pixels are not drawn


@dataclass(frozen=True, slots=True)
class HandSeen:
    """A hand in a still."""

    identity: int
    silhouette: float  # pixels that it would cover uncut
    skin: float  # typology angle in degrees


@dataclass(frozen=True, slots=True)
class HeldSeen:
    """A product that is carried in a hand."""

    identity: int
    silhouette: float
    sku: str
    family: str


@dataclass(slots=True)
class Peopled:
    """A still with people: the picture, who is who in it."""

    image: Image
    instance_map: NDArray[np.int32]
    hands: list[HandSeen] = field(default_factory=list)
    held: list[HeldSeen] = field(default_factory=list)


def make_cast(seed: int) -> Wardrobe:
    """The people of one store."""
    return Wardrobe(seed, people=PEOPLE, hand_scale=12.0, body_scale=4.0, max_bytes=100_000_000)


def add_people(scene: Scene, cast: Wardrobe, rng: np.random.Generator) -> Peopled:
    """Let one or two hands reach into a scene; units that they carry away are taken off the shelf.

    Returns:
        The scene's picture and instance map with them; without anybody when no unit can be reached.
    """
    found = _targets(scene, rng, _MOST_TRIED)
    wanted = int(rng.integers(1, 4))
    targets, spare = found[:wanted], found[wanted:]
    deeds = [str(rng.choice(("hold", "carry", "hover"), p=(0.38, 0.36, 0.26))) for _ in targets]
    first = max((place.identity for slot in scene.slots for place in slot.places), default=0) + 1
    plans = []
    for (unit, place), deed in zip(targets, deeds, strict=True):
        done = deed
        following = scene.next_unit(unit.slot)
        if deed == "carry" and (following is None or following.identity != unit.identity):
            done = "hold"
        plans.append((unit, place, done))
    for unit, _, deed in plans:
        if deed == "carry":
            scene.set_units(unit.slot, scene.slot(unit.slot).count - 1)
    painter = _Painter(scene, cast, rng, first)
    for unit, place, deed in plans:
        painter.reach(unit, place, deed)
    for unit, place in spare:  # from some places an arm would end within the picture
        if painter.result.hands:
            break
        painter.reach(unit, place, "hold")
    return painter.result


def _targets(scene: Scene, rng: np.random.Generator, count: int) -> list[tuple[Unit, Place]]:
    """Units in front whose middle is well inside the picture, each of another slot."""
    width, height = scene.settings.size
    standing = []
    for slot in scene.slots:
        following = scene.next_unit(slot.id)
        next_one = following.identity if following is not None else 0
        standing += [
            (slot.id, place, place.identity == next_one)
            for place in slot.present
            if place.row == 0 and abs(place.lean) < _UPRIGHT
        ]
    if not standing:
        return []
    canvas, distance = scene.camera.to_canvas(np.array([hold_point(place, "level") for _, place, _ in standing]))
    x, y = scene.camera.to_picture(canvas).T
    inside = (x > 0.08 * width) & (x < 0.92 * width) & (y > 0.1 * height) & (y < 0.85 * height)
    inside &= scene.camera.focal >= _MIN_SCALE * np.maximum(distance, 6.0)
    found: dict[str, Place] = {}
    for here, (slot_id, place, is_next) in zip(inside.tolist(), standing, strict=True):
        if here and (is_next or slot_id not in found):  # the one that is taken next can be carried away
            found[slot_id] = place
    names = sorted(found)
    chosen = [names[i] for i in rng.permutation(len(names))[:count]]
    return [(next(u for u in scene.units(name) if u.identity == found[name].identity), found[name]) for name in chosen]


class _Painter:
    def __init__(self, scene: Scene, cast: Wardrobe, rng: np.random.Generator, first_identity: int) -> None:
        self._scene, self._cast, self._rng = scene, cast, rng
        self._next = first_identity
        self._canvas = Canvas(scene.settings.size)
        self._canvas.begin(scene.render())
        self._light = scene.light()
        self._people = rng.permutation(PEOPLE).tolist()
        self.result = Peopled(self._canvas.image, scene.instance_map.copy())

    def reach(self, unit: Unit, place: Place, deed: str) -> None:
        """One person's hand at a unit."""
        scene, rng = self._scene, self._rng
        table = scene.fixture.kind == "table"
        mirrored = bool(rng.random() < 0.5)
        side = -1.0 if mirrored else 1.0
        person = self._people.pop()
        approach = (_AT_TABLES if table else _AT_SHELVES)[person % 3]
        home = hold_point(place, approach)
        point = home + self._moved(place, deed, home)
        x, y, scale = project(scene.camera, point)
        half = place.pack.size_cm[0] / 2
        held = max(min(half, RADII[-1]), 0.8)
        tilt = float(rng.normal(0, 10)) if deed != "hold" else 0.0
        at = (x + side * max(half - held, 0.0) * scale, y)
        far = scene.settings.distance_cm > _BODY_DISTANCE and not table
        stamps = self._cast.hand(person, approach, held, 0.2 if deed == "hover" else 1.0, short=far, scale=scale)
        degrees = tilt * 0.6
        body = _within_reach(self._body(person, point, side), at, _REACH * scale) if far else None
        if body is not None:
            degrees += _turn_to(stamps, at, body[2], mirrored=mirrored)
        matrix = placing(stamps.hold, at, scale=scale / stamps.pixels_per_cm, degrees=degrees, mirrored=mirrored)
        wrist = matrix @ np.array([*stamps.wrist, 1.0])
        if body is not None:
            self._limb(person, wrist, body[2], scale)
        else:
            arm = self._cast.arm(person, approach, scale=scale)
            spot = (float(wrist[0]), float(wrist[1]))
            along = place_arm(arm, spot, scale=scale, degrees=degrees, mirrored=mirrored)
            if self._ends_in_view(arm, along):
                return
            self._hide(arm.whole, along)
        identity = self._take_identity()
        self._hide(stamps.whole, matrix)
        self._claim(stamps.skin, matrix, identity)
        if deed == "carry":
            self._carry(unit, place, home, point, tilt)
        elif deed == "hold":
            self._restore(unit.identity)
        if deed != "hover":
            self._canvas.draw(self._lit(stamps.front), matrix)
            self._claim(stamps.front, matrix, _COVERED)
            self._claim(stamps.skin, matrix, identity, within=stamps.front)
        if body is not None:
            self._hide(body[0], body[1])
        area = float(np.count_nonzero(stamps.skin.pixels > _HALF)) * (scale / stamps.pixels_per_cm) ** 2
        look = self._cast.cast[person].look
        self.result.hands.append(HandSeen(identity, area, typology_angle(look.skin)))

    def _moved(self, place: Place, deed: str, home: NDArray[np.float64]) -> NDArray[np.float64]:
        """How far in cm a hand is from where it would hold a unit on the shelf."""
        rng, distance = self._rng, self._scene.settings.distance_cm
        if deed == "hover":
            before = np.array([rng.normal(0, 4), rng.normal(0, 3), place.pack.size_cm[2] / 2 + rng.uniform(3, 22)])
            if distance > _CLOSE_UP:
                return before
            # on its way past a near camera it fills a good part of the picture
            return np.asarray(before + (self._scene.camera.position - home) * 0.55 * rng.random() ** 1.5)
        if deed == "carry":
            out = min(rng.uniform(14, 14 + 0.35 * distance), distance * 0.6)
            return np.array([rng.normal(0, 6), rng.uniform(1, 9), out])
        return np.zeros(3)

    def _take_identity(self) -> int:
        self._next += 1
        return self._next - 1

    def _body(self, person: int, point: NDArray[np.float64], side: float) -> tuple[Stamp, Matrix, tuple[float, float]]:
        """A person who stands in front of the shelf, beside what the hand reaches for, and the shoulder's pixel."""
        rng, camera = self._rng, self._scene.camera
        feet = np.array([point[0] + side * rng.uniform(32, 54), 0.0, max(point[2] + 22.0, 0.0) + rng.uniform(18, 36)])
        feet[2] = min(feet[2], camera.position[2] - 45.0)
        x, y, scale = project(camera, feet + np.array([0.0, 110.0, 0.0]))
        # the left arm, which reaches, is drawn apart; somebody who stands to the left is mirrored
        made = self._cast.body(person, _YAWS[person % len(_YAWS)], None, (False, True), scale=scale)
        turned = float(np.degrees(np.arctan2(*(camera.axes()[0, [1, 0]]))))
        anchor = made.feet[0], made.feet[1] - 110.0 * made.pixels_per_cm
        matrix = placing(anchor, (x, y), scale=scale / made.pixels_per_cm, degrees=turned, mirrored=side < 0)
        shoulder = matrix @ np.array([*made.shoulders[0], 1.0])
        return made.body, matrix, (float(shoulder[0]), float(shoulder[1]))

    def _limb(self, person: int, wrist: NDArray[np.float64], shoulder: tuple[float, float], scale: float) -> None:
        limb = self._cast.limb(person)
        top = limb.shoulders[0]
        own = np.array(limb.feet) - np.array(top)
        span = wrist - np.array(shoulder)
        ratio = scale / limb.pixels_per_cm
        degrees = float(np.degrees(np.arctan2(-span[0], span[1])))
        stretch = max(float(np.linalg.norm(span)), 1.0) / (float(np.linalg.norm(own)) * ratio)
        self._hide(limb.body, placing(top, shoulder, scale=ratio, degrees=degrees, stretch=stretch))

    def _ends_in_view(self, arm: HandStamps, matrix: Matrix) -> bool:
        """Whether the cut end of an arm would be seen."""
        width, height = self._scene.settings.size
        tip = arm.wrist[0] + ARM_CM * 0.82 * arm.pixels_per_cm, arm.wrist[1], 1.0  # it lies to the right
        x, y = matrix @ np.array(tip)
        return bool(-0.02 * width < x < 1.02 * width and -0.02 * height < y < 1.02 * height)

    def _carry(
        self, unit: Unit, place: Place, home: NDArray[np.float64], point: NDArray[np.float64], tilt: float
    ) -> None:
        """Draw a unit that was taken off the shelf where the hand is."""
        scene = self._scene
        x0, y0, scale0 = project(scene.camera, home)
        x, y, scale = project(scene.camera, point)
        around = placing((x0, y0), (x, y), scale=scale / scale0, degrees=tilt)
        matrix = (np.vstack([around, [0, 0, 1]]) @ np.vstack([scene.standing(unit.identity), [0, 0, 1]]))[:2]
        stamp = Stamp(scene.unlit_sprite(unit.identity))
        self._canvas.draw(self._lit(stamp), matrix)
        identity = self._take_identity()
        self._claim(stamp, matrix, identity)
        area = scene.silhouette(unit.identity) * (scale / scale0) ** 2
        self.result.held.append(HeldSeen(identity, area, place.pack.sku, place.pack.family))

    def _restore(self, identity: int) -> None:
        """Draw a standing unit over the hand whose fingers are behind it."""
        mask = (self._scene.instance_map == identity).astype(np.uint8)
        cv2.copyTo(self._scene.render(), mask, self._canvas.image)
        np.copyto(self.result.instance_map, identity, where=mask > 0)

    def _lit(self, stamp: Stamp) -> Stamp:
        return Stamp(relit(stamp.pixels, self._light))

    def _hide(self, stamp: Stamp, matrix: Matrix) -> None:
        self._canvas.draw(self._lit(stamp), matrix)
        self._claim(stamp, matrix, _COVERED)

    def _claim(self, stamp: Stamp, matrix: Matrix, identity: int, *, within: Stamp | None = None) -> None:
        found = self._canvas.mask_of(stamp, matrix)
        if found is None:
            return
        region, mask = found
        inside = mask > _HALF
        if within is not None and (other := self._canvas.mask_of(within, matrix)) is not None:
            inside &= other[1] > _HALF
        part = self.result.instance_map[region.y1 : region.y2, region.x1 : region.x2]
        np.copyto(part, identity, where=inside)


def _within_reach(
    body: tuple[Stamp, Matrix, tuple[float, float]], at: tuple[float, float], reach: float
) -> tuple[Stamp, Matrix, tuple[float, float]]:
    """A body moved to where its shoulder is within ``reach`` pixels of what the hand is at."""
    stamp, matrix, shoulder = body
    away = np.array(shoulder) - np.array(at)
    length = float(np.linalg.norm(away))
    if length <= reach:
        return body
    moved = matrix.copy()
    moved[:, 2] -= away * (1 - reach / length)
    x, y = np.array(at) + away * (reach / length)
    return stamp, moved, (float(x), float(y))


def _turn_to(stamps: HandStamps, at: tuple[float, float], shoulder: tuple[float, float], *, mirrored: bool) -> float:
    """Degrees by which a hand is turned so that its wrist points about to the shoulder."""
    wanted = np.degrees(np.arctan2(shoulder[1] - at[1], shoulder[0] - at[0]))
    own = 180.0 - stamps.arm_degrees if mirrored else stamps.arm_degrees
    return float(np.clip((wanted - own + 180) % 360 - 180, -95, 95))
