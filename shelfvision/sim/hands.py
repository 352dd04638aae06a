"""Hands with five jointed fingers, wrist, forearm and sleeve, in any pose and seen from any side."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum
from itertools import pairwise
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from shelfvision.sim.figure import LIGHT, Bones, Relief, Sprite, noise, relief, shade, to_sprite
from shelfvision.sim.hand_pose import FINGERS, THUMB, Pose, X, Y, Z, finger_bones, thumb_bones, turn
from shelfvision.sim.palette import hsv

FloatArray = NDArray[np.float32]

FOREARM_CM = 25.0
_EYE_CM = 180.0  # from the plane of what is held
_SKIN = (  # BGR; from the lightest to the darkest
    (178, 196, 232),
    (150, 178, 224),
    (128, 160, 212),
    (104, 140, 198),
    (82, 116, 176),
    (62, 92, 148),
    (48, 72, 118),
    (38, 54, 88),
)


class Part(IntEnum):
    """Materials of a hand and arm."""

    SKIN = 0
    KNUCKLE = 1  # redder skin: joints, fingertips
    NAIL = 2
    SLEEVE = 3
    CUFF = 4
    STRAP = 5  # watch or bracelet


_GROUPS = (0, 0, 0, 1, 1, 2)  # skin, cloth, strap


Colour = tuple[float, float, float]
"""BGR, 0 to 255."""


def _colour(values: NDArray[np.float64]) -> Colour:
    blue, green, red = (float(value) for value in values)
    return blue, green, red


@dataclass(frozen=True, slots=True)
class Look:
    """Skin and clothes of one person."""

    skin: tuple[float, float, float]  # BGR
    size: float  # 1: an average adult's hand
    sleeve: tuple[float, float, float]
    sleeve_second: tuple[float, float, float]
    pattern: str  # plain, rings, checks, knit
    sleeve_begins: float  # cm from the wrist; over FOREARM_CM: a bare arm
    thickness: float  # cm of cloth
    strap: bool
    nails: tuple[float, float, float]


def typology_angle(colour: Colour) -> float:
    """How light skin is: the individual typology angle in degrees, above 28 light, below -30 dark.

    Source: Chardon, Cretois and Hourseau, International Journal of Cosmetic Science 13, 1991; of CIELAB under D65.

    Args:
        colour: BGR of sRGB, 0 to 255.
    """
    lightness, _, yellow = cv2.cvtColor(np.array(colour, np.float32).reshape(1, 1, 3) / 255, cv2.COLOR_BGR2Lab)[0, 0]
    return math.degrees(math.atan2(float(lightness) - 50, float(yellow)))


def draw_look(rng: np.random.Generator) -> Look:
    """A person at random."""
    skin = np.array(_SKIN[rng.integers(len(_SKIN))], float) * rng.uniform(0.92, 1.08) + rng.normal(0, 3, 3)
    vivid = rng.random() < 0.45
    tone = hsv(rng.random(), rng.uniform(0.35, 0.82) if vivid else rng.uniform(0, 0.24), rng.uniform(0.1, 0.85))
    sleeve = np.array(tone, float)
    second = np.clip(sleeve * rng.uniform(0.4, 0.8) if rng.random() < 0.5 else sleeve + rng.uniform(40, 110), 5, 240)
    short = rng.random() < 0.25
    painted = rng.random() < 0.15
    nails = skin * 0.35 + np.array([165, 165, 228]) * 0.65
    if painted:
        nails = np.array(hsv(rng.random(), 0.75, rng.uniform(0.35, 0.86)), float)
    return Look(
        skin=_colour(np.clip(skin, 15, 250)),
        size=float(rng.uniform(0.9, 1.1)),
        sleeve=_colour(sleeve),
        sleeve_second=_colour(second),
        pattern=str(rng.choice(["plain", "plain", "plain", "rings", "checks", "knit"])),
        sleeve_begins=float(rng.uniform(30, 34) if short else rng.uniform(1.0, 7.0)),
        thickness=float(rng.uniform(0.2, 0.8)),
        strap=bool(rng.random() < 0.2),
        nails=_colour(nails),
    )


class _Bone(Protocol):
    def __call__(self, a: FloatArray, b: FloatArray, radii: tuple[float, float], part: int) -> None: ...


class _Ball(Protocol):
    def __call__(self, point: FloatArray, radius: float, part: int) -> None: ...


def build_hand(
    look: Look,
    pose: Pose,
    facing: FloatArray,
    *,
    hold: tuple[float, float, float],
    wrist_bend: tuple[float, float] = (0.0, 0.0),
    arm_cm: tuple[float, float] = (0.0, FOREARM_CM),
) -> Bones:
    """Bones of a right hand and its arm in camera axes.

    Args:
        look: whose hand.
        pose: joint angles.
        facing: (3, 3) columns: where the hand's thumb side, fingertips and back point in camera axes.
        hold: point in hand axes, cm, that is moved to the origin: the middle of what it grips.
        wrist_bend: the forearm turned against the hand, degrees about the hand's x and z axes.
        arm_cm: the part of the arm that is made, cm from the wrist; the hand is made when it begins at 0.
    """
    bones = Bones()
    scale = np.float32(look.size)

    def place(point: FloatArray) -> FloatArray:
        return np.asarray(facing @ ((point - np.asarray(hold, np.float32)) * scale), np.float32)

    def bone(a: FloatArray, b: FloatArray, radii: tuple[float, float], part: int) -> None:
        bones.add_bone(place(a), place(b), (radii[0] * look.size, radii[1] * look.size), part)

    def ball(point: FloatArray, radius: float, part: int) -> None:
        bones.add_ball(place(point), radius * look.size, part)

    if arm_cm[0] <= 0:
        _add_fingers(pose, bone, ball)
    arm = turn(X, wrist_bend[0]) @ turn(Z, wrist_bend[1])

    def along(distance: float, side: float = 0.0) -> FloatArray:
        return np.asarray(arm @ np.array([side, -distance, -0.2], np.float32), np.float32)

    _add_forearm(look, arm_cm, along, bone)
    _add_sleeve(look, arm_cm, along, bone)
    return bones


class _Along(Protocol):
    def __call__(self, distance: float, side: float = 0.0) -> FloatArray:
        """A point of the arm, cm from the wrist and to the side, in hand axes."""


def _add_forearm(look: Look, arm_cm: tuple[float, float], along: _Along, bone: _Bone) -> None:
    begin, end = arm_cm
    for side in (-0.85, 0.85):
        if begin <= 0:
            bone(along(-1.6, side), along(3.5, side), (1.75, 1.85), Part.SKIN)
        if look.sleeve_begins > 3 and begin < look.sleeve_begins:
            last = min(end, look.sleeve_begins + 2)
            a, b = (np.interp(d, (3.5, 28), (1.85, 3.4)) for d in (max(begin, 3.5), last))
            bone(along(max(begin, 3.5), side), along(last, side * 1.3), (float(a), float(b)), Part.SKIN)
    if look.strap and begin <= 0:
        for side in (-1.0, -0.3, 0.4, 1.0):
            bone(along(2.6, side), along(4.2, side), (2.0, 2.02), Part.STRAP)


def _add_sleeve(look: Look, arm_cm: tuple[float, float], along: _Along, bone: _Bone) -> None:
    begin, end = arm_cm
    cuff, cloth = max(look.sleeve_begins, 0.6), look.thickness
    if cuff >= end:
        return
    first_cm = max(begin, cuff + 1.2)
    stops = sorted({first_cm, end, *([26.0] if first_cm < 26 < end else [])})
    for side in (-0.8, 0.8):
        if begin < cuff + 2:
            bone(along(cuff, side), along(cuff + 2.2, side), (2.15 + cloth, 2.2 + cloth), Part.CUFF)
        for first, last in pairwise(stops):
            a, b = (np.interp(d, (cuff + 1.2, 26, 80), (2.25, 3.4, 4.0)) + cloth for d in (first, last))
            sides = [side * np.interp(d, (cuff + 1.2, 26), (1.05, 1.5)) for d in (first, last)]
            bone(along(first, sides[0]), along(last, sides[1]), (float(a), float(b)), Part.SLEEVE)


def _add_fingers(pose: Pose, bone: _Bone, ball: _Ball) -> None:
    skin, joint, nail = Part.SKIN, Part.KNUCKLE, Part.NAIL
    for index, (base, _, radii) in enumerate(FINGERS):
        joints, axes = finger_bones(pose, index)
        knuckle = joints[0]
        root = np.array([base[0] * 0.42, 1.2, -0.25], np.float32)
        bone(root, knuckle + Z * np.float32(-0.25), (1.45, 1.15), skin)
        palm = np.array([0, -0.4, -0.75], np.float32)
        bone(root + Z * np.float32(-0.7), knuckle + palm, (1.2, 0.98), skin)  # the palm's side
        ball(knuckle - Y * np.float32(0.1), radii[0] * 1.03, joint)
        for number in range(3):
            bone(joints[number], joints[number + 1], (radii[number], radii[number + 1]), skin)
        for number in (1, 2):
            ball(joints[number], radii[number] * 1.03, joint)
        ball(joints[3], radii[3] * 1.02, joint)
        on_top, wide = joints[3] + axes @ Z * np.float32(radii[3] * 0.5), radii[3] * 0.58
        bone(on_top - axes @ Y * np.float32(0.05), on_top - axes @ Y * np.float32(0.95), (wide, wide), nail)
    joints, axes = thumb_bones(pose)
    bone(np.array([0.6, 2.6, -1.2], np.float32), joints[0] + (joints[1] - joints[0]) * 0.72, (1.7, 1.35), skin)
    for number, (_, ends) in enumerate(THUMB):
        bone(joints[number], joints[number + 1], ends, skin)
    for number in (1, 2):
        ball(joints[number], THUMB[number][1][0] * 1.04, joint)
    ball(joints[3], 0.78, joint)
    on_top = joints[3] + axes @ Z * np.float32(0.38)
    bone(on_top, on_top - axes @ Y, (0.48, 0.48), nail)
    bone(np.array([-2.2, 2.2, -0.9], np.float32), np.array([-3.0, 6.6, -0.8], np.float32), (1.35, 1.15), skin)


@dataclass(frozen=True, slots=True, eq=False)
class HandSprite:
    """A drawn hand, or the arm behind it."""

    whole: Sprite
    front: NDArray[np.uint8]  # (h, w) share of each pixel that lies in front of what it holds, 0 to 255
    skin: NDArray[np.uint8]  # (h, w) share of each pixel that is the hand itself, without arm and sleeve
    hold: tuple[float, float]  # pixel of the middle of what it holds
    wrist: tuple[float, float]  # pixel of the wrist
    arm_degrees: float  # where the arm goes from there: 0 to the right, 90 down; an arm's own sprite lies to the right
    pixels_per_cm: float


def draw_hand(
    look: Look,
    pose: Pose,
    facing: FloatArray,
    rng: np.random.Generator,
    pixels_per_cm: float,
    *,
    hold: tuple[float, float, float],
    wrist_bend: tuple[float, float] = (0.0, 0.0),
    hold_half_cm: float = 3.0,
    arm_cm: tuple[float, float] = (0.0, FOREARM_CM),
) -> HandSprite:
    """Draw a hand; what it holds stands upright around ``hold`` with half depth ``hold_half_cm``.

    The arguments are those of `build_hand`. An arm without its hand lies to the right, whatever its direction: a
    slanting one would fill a small part of a large sprite.
    """
    bare = arm_cm[0] > 0
    arm = facing @ turn(X, wrist_bend[0]) @ turn(Z, wrist_bend[1]) @ (-Y)
    wrist = facing @ (-np.asarray(hold, np.float32)) * np.float32(look.size)
    degrees = _direction(wrist, wrist + 10 * arm)
    laid = turn(Z, -degrees) if bare else np.eye(3, dtype=np.float32)
    facing, arm, wrist = laid @ facing, laid @ arm, laid @ wrist

    def build(arm_cm: tuple[float, float]) -> Bones:
        return build_hand(look, pose, facing, hold=hold, wrist_bend=wrist_bend, arm_cm=arm_cm)

    if bare:
        solid = relief(build(arm_cm), len(Part), pixels_per_cm, groups=_GROUPS, fine=9.0)
    else:  # the arm is made longer than it is shown, so that its end is not seen where it points to the camera
        made = build((arm_cm[0], arm_cm[1] + 11))
        solid = relief(made, len(Part), pixels_per_cm, groups=_GROUPS, within=build(arm_cm))
    # nearer to the camera than the middle of the held thing: the hand hides it; further: it hides the hand
    ahead = (solid.height > hold_half_cm * 0.15) & (solid.alpha > 0)
    covered = solid.shares[Part.SLEEVE] + solid.shares[Part.CUFF]
    hand = solid.alpha * (1 - covered) * (_beyond(solid, wrist, wrist + arm) < 1.5)
    whole = to_sprite(_paint(look, solid, rng, turned=degrees if bare else 0.0), solid)
    if not bare:  # the arm's own sprite goes on from here: fade into it
        last = wrist + arm * np.float32(arm_cm[1] * look.size)
        fade = _share(np.clip(_beyond(solid, last, last + arm) / np.float32(-2.5), 0, 1), solid)
        whole = np.asarray(cv2.multiply(whole, cv2.merge([fade] * 4), scale=1 / 255), np.uint8)
    seen = np.array(solid.origin) + _flat(wrist) * pixels_per_cm
    return HandSprite(
        whole,
        _share(ahead.astype(np.float32), solid),
        _share(hand, solid),
        solid.origin,
        (float(seen[0]), float(seen[1])),
        degrees,
        pixels_per_cm,
    )


def _flat(point: NDArray[np.floating]) -> NDArray[np.floating]:
    """(2,) cm of the picture where a point is seen."""
    return np.asarray(point[:2] * (_EYE_CM / (_EYE_CM - point[2])))


def _direction(near: NDArray[np.floating], far: NDArray[np.floating]) -> float:
    """Degrees from one point to another in the picture: 0 to the right, 90 down."""
    across, down = _flat(far) - _flat(near)
    return float(np.degrees(np.arctan2(down, across)))


def _share(mask: FloatArray, solid: Relief) -> NDArray[np.uint8]:
    """A mask from 0 to 1 in the size of the finished sprite, 0 to 255."""
    small = cv2.resize(cv2.convertScaleAbs(mask, alpha=255), solid.size, interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.uint8)


def _beyond(solid: Relief, point: NDArray[np.floating], further: NDArray[np.floating]) -> FloatArray:
    """(h, w) how far, in cm of the picture, each pixel lies beyond a point in the direction of another."""
    grow = solid.alpha.shape[1] / solid.size[0]
    ends = [_flat(p) * solid.scale + np.array(solid.origin) * grow for p in (point, further)]
    along = (ends[1] - ends[0]) / max(float(np.linalg.norm(ends[1] - ends[0])), 1e-3) / solid.scale
    y, x = (np.arange(side, dtype=np.float32) for side in solid.alpha.shape)
    down, across = ((y - ends[0][1]) * along[1])[:, None], ((x - ends[0][0]) * along[0])[None]
    return np.asarray(down + across, np.float32)


def _paint(look: Look, solid: Relief, rng: np.random.Generator, *, turned: float) -> FloatArray:
    """(h, w, 3) BGR of a relief at the supersampled size; ``turned`` degrees it will be turned clockwise."""
    shape = solid.alpha.shape
    pores = noise(rng, shape, (0.05 * solid.scale, 0.2 * solid.scale))
    wide = noise(rng, shape, (1.2 * solid.scale,))
    cloth = noise(rng, shape, (0.5 * solid.scale, 1.3 * solid.scale))
    weave = noise(rng, shape, (0.06 * solid.scale,))
    covered = solid.shares[Part.SLEEVE] + solid.shares[Part.CUFF]
    bare = 1 - covered
    soft = np.float32(min(look.thickness, 0.8))
    bumps = pores * np.float32(0.0025) * bare + (cloth * np.float32(0.16) + weave * np.float32(0.012)) * covered * soft
    lit = shade(solid, bumps=bumps, light=turn(Z, -turned) @ LIGHT)
    skin = np.array(look.skin, np.float32)
    knuckle = skin * np.array([0.84, 0.86, 1.0], np.float32)
    sleeve = np.array(look.sleeve, np.float32)
    palette = np.stack([skin, knuckle, np.array(look.nails, np.float32), sleeve, sleeve * 0.9, np.full(3, 40.0)])
    colour = _pattern(look, solid, solid.mixed(palette.astype(np.float32)), turned)
    # light that has gone through skin comes out red: shadows on skin stay warm
    spots = (1 + (np.float32(0.025) * wide + np.float32(0.02) * pores) * bare) * lit.diffuse
    shadow = np.clip(1 - lit.diffuse, 0, 1) * bare
    gloss = lit.shine * (16 * bare + 60 * solid.shares[Part.NAIL])
    painted = [
        plane * (spots * (1 + warm * shadow)) + gloss
        for plane, warm in zip(cv2.split(colour), np.array((-0.16, -0.09, 0.1), np.float32), strict=True)
    ]
    return np.asarray(cv2.merge(painted), np.float32)


def _pattern(look: Look, solid: Relief, colour: FloatArray, turned: float) -> FloatArray:
    if look.pattern == "plain":
        return colour
    y, x = (np.arange(side, dtype=np.float32) / np.float32(solid.scale) for side in colour.shape[:2])
    # from the hold on and along the picture's own axes, so that hand and arm fit together
    x = (x - np.float32(solid.origin[0] * solid.alpha.shape[1] / solid.size[0] / solid.scale))[None]
    y = (y - np.float32(solid.origin[1] * solid.alpha.shape[0] / solid.size[1] / solid.scale))[:, None]
    if turned:
        cos, sin = np.float32(np.cos(np.radians(turned))), np.float32(np.sin(np.radians(turned)))
        x, y = x * cos - y * sin, x * sin + y * cos
    if look.pattern == "rings":
        stripes = (np.sin((x * 0.6 + y) * 2.6) > 0.35).astype(np.float32)
    elif look.pattern == "checks":
        stripes = 0.5 * (np.sin((x + y) * 2.1) > 0) + 0.5 * (np.sin((x - y) * 2.1) > 0)
    else:
        stripes = 0.35 + 0.35 * np.sin((x + 0.2 * np.sin(y * 9)) * 11)
    share = (stripes * (solid.shares[Part.SLEEVE] > 0.5))[..., None].astype(np.float32)
    return np.asarray(colour * (1 - share) + np.array(look.sleeve_second, np.float32) * share, np.float32)
