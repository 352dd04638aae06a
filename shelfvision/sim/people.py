"""Whole people, seen walking past, standing and turned to the shelf; shopping carts and baskets."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import cv2
import numpy as np
from numpy.typing import NDArray

from shelfvision.sim.figure import Bones, Relief, Sprite, noise, relief, shade, to_sprite
from shelfvision.sim.hand_pose import turn
from shelfvision.sim.hands import Look, draw_look

FloatArray = NDArray[np.float32]
WALK_PHASES = 8
_X, _Y, _ = np.eye(3, dtype=np.float32)


class Cloth(IntEnum):
    """Materials of a person."""

    SKIN = 0
    HAIR = 1
    TOP = 2
    LEGS = 3
    SHOES = 4
    BAG = 5
    VEST = 6


_GROUPS = (0, 1, 2, 3, 4, 5, 6)


@dataclass(frozen=True, slots=True)
class Person:
    """How one person looks."""

    look: Look  # of hands and sleeves
    height_cm: float
    width: float  # 1: average
    hair: tuple[float, float, float]  # BGR
    hair_style: str  # short, long, bun, cap
    legs: tuple[float, float, float]
    shoes: tuple[float, float, float]
    coat: float  # cm that the top reaches below the hips
    bag: str  # none, backpack, shoulder
    bag_colour: tuple[float, float, float]
    staff: bool = False


def draw_person(rng: np.random.Generator, *, staff: bool = False) -> Person:
    """A person at random; staff wear a bright vest and a cap."""
    hair = ((22, 22, 24), (30, 42, 62), (48, 76, 112), (92, 142, 178), (150, 152, 154), (34, 52, 110))
    look = draw_look(rng)
    shade_of_legs = rng.choice([0.16, 0.25, 0.4, 0.6])
    legs = np.array([rng.uniform(0.9, 1.8), rng.uniform(0.85, 1.1), rng.uniform(0.7, 1.0)]) * 160 * shade_of_legs
    shoes = float(rng.uniform(15, 200))
    return Person(
        look=look,
        height_cm=float(np.clip(rng.normal(170, 8), 150, 192)),
        width=float(rng.uniform(0.88, 1.22)),
        hair=hair[rng.integers(len(hair))],
        hair_style="cap"
        if staff
        else str(rng.choice(["short", "short", "long", "bun", "cap"], p=[0.3, 0.2, 0.3, 0.1, 0.1])),
        legs=(float(legs[0]), float(legs[1]), float(legs[2])),
        shoes=(shoes, shoes * 0.97, shoes * float(rng.uniform(0.85, 1.1))),
        coat=float(rng.choice([4, 8, 30], p=[0.5, 0.35, 0.15])),
        bag="none" if staff else str(rng.choice(["none", "none", "backpack", "shoulder"])),
        bag_colour=(float(rng.uniform(20, 150)), float(rng.uniform(20, 150)), float(rng.uniform(20, 150))),
        staff=staff,
    )


@dataclass(frozen=True, slots=True, eq=False)
class PersonSprite:
    """A drawn person."""

    picture: Sprite
    feet: tuple[float, float]  # pixel on the floor between the feet
    shoulders: tuple[tuple[float, float], tuple[float, float]]  # pixels of the left and right one as seen
    pixels_per_cm: float


def draw_walker(
    person: Person,
    rng: np.random.Generator,
    pixels_per_cm: float,
    *,
    yaw: float,
    phase: float | None = None,
    arms: tuple[bool, bool] = (True, True),
    bow: float = 0.0,
    pitch: float = 8.0,
) -> PersonSprite:
    """Draw a person.

    Args:
        person: who.
        rng: for the folds of the clothes.
        pixels_per_cm: scale.
        yaw: 0: facing the shelf, seen from behind; 90: walking to the left, seen from the side; -90: to the right.
        phase: 0 to 1 of a double step; None: standing.
        arms: whether the left and the right arm (as seen from behind) hang down; False leaves them out, for arms that
            reach out and are drawn apart.
        bow: degrees that the upper body leans to the shelf.
        pitch: degrees that the camera looks down.
    """
    skeleton = _Skeleton(person, phase, arms, bow)
    bones, shoulders = skeleton.bones, skeleton.shoulders
    view = turn(np.array([1, 0, 0], np.float32), -pitch) @ turn(_Y, yaw)
    bones.turn(view)
    solid = relief(bones, len(Cloth), pixels_per_cm, eye_cm=420, blend_cm=0.9, groups=_GROUPS, fine=5.2)
    shape = solid.alpha.shape
    folds = _folds(rng, shape, solid.scale)
    weave = noise(rng, shape, (0.12 * solid.scale,))
    cloth = 1 - solid.shares[Cloth.SKIN] - solid.shares[Cloth.HAIR]
    strands = noise(rng, (shape[0] // 8 + 1, shape[1]), (0.25 * solid.scale,))
    strands = np.asarray(cv2.resize(strands, shape[::-1], interpolation=cv2.INTER_LINEAR), np.float32)
    hair = solid.shares[Cloth.HAIR]
    lit = shade(solid, bumps=folds * cloth + strands * np.float32(0.1) * hair, smooth_cm=0.5)
    look = person.look
    vest = np.array((40, 200, 235) if person.staff else look.sleeve, np.float32)
    palette = np.array(
        [look.skin, person.hair, look.sleeve, person.legs, person.shoes, person.bag_colour, vest], np.float32
    )
    colour = _patterned(look, solid, solid.mixed(palette))
    tone = (1 + np.float32(0.018) * weave * cloth + np.float32(0.12) * strands * hair) * lit.diffuse
    gloss = lit.shine * (26 * hair + 8 * (1 - cloth - hair))
    colour = np.asarray(cv2.merge([plane * tone + gloss for plane in cv2.split(colour)]), np.float32)
    origin = np.array(solid.origin)

    def pixel(point: FloatArray) -> tuple[float, float]:
        seen = view @ point
        flat = origin + seen[:2] * (420 / (420 - seen[2])) * pixels_per_cm
        return float(flat[0]), float(flat[1])

    feet = np.array([0, 0, 0], np.float32)
    return PersonSprite(
        to_sprite(colour, solid),
        pixel(feet),
        (pixel(shoulders[0]), pixel(shoulders[1])),
        pixels_per_cm,
    )


def _patterned(look: Look, solid: Relief, colour: FloatArray) -> FloatArray:
    """The top's rings or checks."""
    if look.pattern not in {"rings", "checks"}:
        return colour
    y, x = (np.arange(side, dtype=np.float32) / np.float32(solid.scale) for side in colour.shape[:2])
    lines = ((np.sin(y * 0.9) > 0.4) * 0.8)[:, None]
    if look.pattern == "checks":
        lines = 0.4 * (np.sin(y * 0.9) > 0)[:, None] + 0.4 * (np.sin(x * 0.9) > 0)
    share = (lines * (solid.shares[Cloth.TOP] > 0.5))[..., None].astype(np.float32)
    return np.asarray(colour * (1 - share) + np.array(look.sleeve_second, np.float32) * share, np.float32)


def _folds(rng: np.random.Generator, shape: tuple[int, int], scale: float) -> FloatArray:
    """Creases of cloth in cm: slanting to one side or the other, soft with sharp valleys."""
    total = np.zeros(shape, np.float32)
    for slant in (-0.45, 0.35):
        wide = noise(rng, (shape[0] + abs(int(slant * shape[1])) + 1, shape[1] // 5 + 1), (1.3 * scale, 5.0 * scale))
        matrix = np.array([[5.0, 0.0, 0.0], [5.0 * slant, 1.0, -max(slant, 0.0) * shape[1]]])
        size = shape[::-1]
        total += np.abs(cv2.warpAffine(wide, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT))
    return np.asarray(0.13 * total, np.float32)


class _Skeleton:
    """Bones of a person who faces away from the camera (towards -z), feet at the origin, y down."""

    def __init__(self, person: Person, phase: float | None, arms: tuple[bool, bool], bow: float) -> None:
        self.bones = Bones()
        self._person = person
        self._size, self._wide = person.height_cm / 172.0, person.width
        self._moving = phase is not None
        swing = float(np.sin(2 * np.pi * phase)) if phase is not None else 0.0
        lift = abs(float(np.cos(2 * np.pi * phase))) if phase is not None else 0.0
        self._hips = self._at(0, -92.0 - 1.5 * lift, 0)
        self._lean = turn(_X, bow + (3 if self._moving else 0))
        self.shoulders = self._torso_at(-17.5 * self._wide, 46, 1), self._torso_at(17.5 * self._wide, 46, 1)
        for side in (-1, 1):
            self._leg(side, -side * swing)
        self._torso()
        self._head()
        for index, side in enumerate((-1, 1)):
            if arms[index]:
                self._arm(side, swing * side * 24)
        self._bag()

    def _at(self, x: float, y: float, z: float) -> FloatArray:
        return np.array([x, y, z], np.float32) * np.float32(self._size)

    def _torso_at(self, x: float, up: float, z: float) -> FloatArray:
        """A point of the upper body: right of, above and behind the middle of the hips."""
        return np.asarray(self._hips + self._lean @ self._at(x, -up, z), np.float32)

    def _bone(self, a: FloatArray, b: FloatArray, radii: tuple[float, float], part: int) -> None:
        self.bones.add_bone(a, b, (radii[0] * self._size, radii[1] * self._size), part)

    def _leg(self, side: float, forward: float) -> None:
        hip = self._hips + self._at(side * 8.5 * self._wide, 0, 0)
        thigh = 22 * forward
        knee_bend = (8 + 26 * max(0.0, -forward)) if self._moving else 3.0
        knee = hip + turn(_X, -thigh) @ self._at(0, 43, 0)
        ankle = knee + turn(_X, -thigh + knee_bend) @ self._at(0, 42, 0)
        self._bone(hip, knee, (8.6 * self._wide, 6.4), Cloth.LEGS)
        self._bone(knee, ankle, (6.2, 4.6), Cloth.LEGS)
        self._bone(ankle + self._at(0, 3.5, 2.5), ankle + self._at(0, 4.5, -13), (4.4, 3.6), Cloth.SHOES)

    def _torso(self) -> None:
        wide, at, coat = self._wide, self._torso_at, self._person.coat
        body = Cloth.VEST if self._person.staff else Cloth.TOP
        self._bone(at(0, 2, 0.5), at(0, 44, 1.5), (10.5, 9.5), body)
        for side in (-1, 1):
            middle, hips = side * 8.5 * wide, self._hips
            self._bone(at(side * 8.0 * wide, 2, 0), at(middle, 26, 0), (9.8 * wide, 10.2 * wide), body)
            self._bone(at(middle, 26, 0), at(side * 9.5 * wide, 44, 1), (10.2 * wide, 8.8), body)
            self._bone(at(side * 4, 50, 1.5), at(side * 15.5 * wide, 47, 1), (6.5, 6.8), Cloth.TOP)
            if coat > 10:
                hem = hips + self._at(side * 9.5 * wide, coat, 0)
                self._bone(at(middle, 2, 0), hem, (10.2 * wide, 11.0 * wide), Cloth.TOP)
            else:
                self._bone(at(middle, 0, 0), hips + self._at(middle, coat, 0), (10.4 * wide, 10.2 * wide), body)
                hem = hips + self._at(side * 9.0 * wide, coat + 1.5, 0)  # straight from leg to leg
                self._bone(hem, hips + self._at(0, coat + 1.5, 0.5), (8.4 * wide, 7.6 * wide), body)

    def _head(self) -> None:
        head, at = self._torso_at(0, 68, -3.5), self._at
        self._bone(self._torso_at(0, 52, -1), self._torso_at(0, 60, -2), (5.8, 5.6), Cloth.SKIN)
        self._bone(head + at(0, 3, -1.0), head + at(0, -2, 0.5), (8.2, 9.0), Cloth.SKIN)
        for side in (-1, 1):
            self._bone(head + at(side * 8.4, 1.5, -0.5), head + at(side * 8.7, -1.5, 0.3), (1.6, 1.9), Cloth.SKIN)
        style = self._person.hair_style
        if style == "cap":
            cap = Cloth.VEST if self._person.staff else Cloth.BAG
            self._bone(head + at(0, -2.5, 1.5), head + at(0, -4, 0), (9.5, 9.0), cap)
            self._bone(head + at(0, -3, -7), head + at(0, -2, -12.5), (5.0, 4.0), cap)
            self._bone(head + at(0, 3, 3.5), head + at(0, 5, 3.0), (7.4, 6.0), Cloth.HAIR)
            return
        self._bone(head + at(0, -2.5, 1.2), head + at(0, 2.5, 3.2), (9.4, 8.4), Cloth.HAIR)
        self._bone(head + at(0, -4, -1.5), head + at(0, -3, 2.0), (8.2, 9.0), Cloth.HAIR)
        if style == "long":
            for lock in (-4.0, 0.0, 4.0):
                self._bone(head + at(lock, 2, 5), head + at(lock * 1.5, 24, 7.5), (6.0, 3.8), Cloth.HAIR)
        elif style == "bun":
            self._bone(head + at(0, -7, 8), head + at(0, -6, 9), (4.6, 4.4), Cloth.HAIR)

    def _arm(self, side: int, forward: float) -> None:
        """A hanging arm with a simple hand; ``forward`` in degrees."""
        shoulder = self.shoulders[0 if side < 0 else 1]
        elbow = shoulder + turn(_X, -forward) @ self._at(side * 4.5, 28, 0)
        down = turn(_X, -forward - 16) @ self._at(side * 0.02, 1, 0)
        wrist = elbow + down * np.float32(24)
        self._bone(shoulder, elbow, (6.0, 5.0), Cloth.TOP)
        self._bone(elbow, wrist, (4.9, 3.9), Cloth.TOP)
        for finger in range(4):
            knuckle = wrist + down * np.float32(7) + self._at(0, 0, -2.4 + 1.6 * finger)
            tip = knuckle + down * np.float32(7.5) + self._at(-side * 1.5, 0, -0.8)
            self._bone(wrist, knuckle, (2.5, 1.5), Cloth.SKIN)
            self._bone(knuckle, tip, (1.25, 0.9), Cloth.SKIN)

    def _bag(self) -> None:
        at, wide = self._torso_at, self._wide
        if self._person.bag == "backpack":
            for side in (-6.0, 0.0, 6.0):
                self._bone(at(side, 14, 15), at(side, 38, 13), (8.5, 7.5), Cloth.BAG)
        elif self._person.bag == "shoulder":
            for step in (-6.0, 0.0, 6.0):
                self._bone(at(24 * wide, 2, step), at(24 * wide, -14, step), (4.2, 4.6), Cloth.BAG)
            self._bone(at(22 * wide, 2, 3), at(-8, 52, 4), (1.2, 1.2), Cloth.BAG)


def draw_limb(person: Person, rng: np.random.Generator, pixels_per_cm: float) -> PersonSprite:
    """A straight arm that hangs down, without the hand; `feet` is the wrist, the first shoulder its upper end."""
    bones = Bones()
    size = person.height_cm / 172.0
    top, elbow, wrist = (np.array([0, y * size, 0], np.float32) for y in (0, 28, 52))
    bones.add_bone(top, elbow, (6.2 * size, 5.0 * size), Cloth.TOP)
    if person.look.sleeve_begins > 25:  # short sleeves
        bones.add_bone(elbow, wrist, (4.3 * size, 3.0 * size), Cloth.SKIN)
    else:
        bones.add_bone(elbow, wrist, (5.0 * size, 3.6 * size), Cloth.TOP)
    solid = relief(bones, len(Cloth), pixels_per_cm, eye_cm=420, blend_cm=0.6, groups=_GROUPS, fine=7.0)
    folds = _folds(rng, solid.alpha.shape, solid.scale)
    lit = shade(solid, bumps=folds, smooth_cm=0.4)
    palette = np.array(
        [
            person.look.skin,
            person.hair,
            person.look.sleeve,
            person.legs,
            person.shoes,
            person.bag_colour,
            person.look.sleeve,
        ],
        np.float32,
    )
    colour = _patterned(person.look, solid, solid.mixed(palette)) * lit.diffuse[..., None]
    x, y = solid.origin
    end = (x, y + 52 * size * pixels_per_cm)
    return PersonSprite(to_sprite(np.asarray(colour, np.float32), solid), end, ((x, y), (x, y)), pixels_per_cm)
