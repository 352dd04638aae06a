"""Hands with five jointed fingers, wrist, forearm and sleeve, in any pose and seen from any side."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from itertools import pairwise
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from shelfvision.sim.figure import Balls, Relief, Sprite, noise, relief, shade, to_sprite

FloatArray = NDArray[np.float32]

FOREARM_CM = 25.0
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
    glove: bool = False


def draw_look(rng: np.random.Generator) -> Look:
    """A person at random."""
    skin = np.array(_SKIN[rng.integers(len(_SKIN))], float) * rng.uniform(0.92, 1.08) + rng.normal(0, 3, 3)
    hue = rng.integers(180)
    vivid = rng.random() < 0.45
    tone = np.uint8([[[hue, rng.integers(90, 210) if vivid else rng.integers(0, 60), rng.integers(25, 215)]]])
    sleeve = cv2.cvtColor(tone, cv2.COLOR_HSV2BGR)[0, 0].astype(float)
    second = np.clip(sleeve * rng.uniform(0.4, 0.8) if rng.random() < 0.5 else sleeve + rng.uniform(40, 110), 5, 240)
    short = rng.random() < 0.25
    painted = rng.random() < 0.15
    nails = skin * 0.35 + np.array([165, 165, 228]) * 0.65
    if painted:
        nails = cv2.cvtColor(np.uint8([[[rng.integers(180), 190, rng.integers(90, 220)]]]), cv2.COLOR_HSV2BGR)[0, 0]
    return Look(
        skin=tuple(float(c) for c in np.clip(skin, 15, 250)),
        size=float(rng.uniform(0.9, 1.1)),
        sleeve=tuple(float(c) for c in sleeve),
        sleeve_second=tuple(float(c) for c in second),
        pattern=str(rng.choice(["plain", "plain", "plain", "rings", "checks", "knit"])),
        sleeve_begins=float(rng.uniform(30, 34) if short else rng.uniform(1.0, 7.0)),
        thickness=float(rng.uniform(0.2, 0.8)),
        strap=bool(rng.random() < 0.2),
        nails=tuple(float(c) for c in nails),
    )


@dataclass(frozen=True, slots=True)
class Pose:
    """Joint angles in degrees; lists go from index to little finger."""

    knuckles: tuple[float, float, float, float]  # bend of the first joints
    middles: tuple[float, float, float, float]
    tips: tuple[float, float, float, float]
    spread: tuple[float, float, float, float]  # sideways, positive towards the thumb
    thumb_out: float  # thumb away from the palm's plane (opposition)
    thumb_side: float  # thumb away from the index finger
    thumb_bend: float

    def towards(self, other: Pose, share: float) -> Pose:
        """A pose between this one (0) and another (1)."""

        def mix(a: tuple[float, ...], b: tuple[float, ...]) -> tuple[float, float, float, float]:
            first, second, third, fourth = (x + share * (y - x) for x, y in zip(a, b, strict=True))
            return first, second, third, fourth

        return Pose(
            mix(self.knuckles, other.knuckles),
            mix(self.middles, other.middles),
            mix(self.tips, other.tips),
            mix(self.spread, other.spread),
            self.thumb_out + share * (other.thumb_out - self.thumb_out),
            self.thumb_side + share * (other.thumb_side - self.thumb_side),
            self.thumb_bend + share * (other.thumb_bend - self.thumb_bend),
        )


RELAXED = Pose((14, 20, 26, 32), (22, 28, 32, 34), (12, 14, 16, 18), (5, 1, -3, -8), 32, 34, 14)
OPEN = Pose((6, 8, 10, 12), (14, 16, 16, 18), (8, 8, 8, 8), (9, 2, -5, -13), 48, 50, 4)
FIST = Pose((72, 78, 80, 82), (88, 90, 90, 88), (48, 50, 50, 50), (2, 0, -2, -4), 50, 12, 40)


_FINGERS = (  # knuckle (x to the thumb side, y to the fingertips, z to the back of the hand), bones, radii
    ((2.5, 9.0, 0.2), (4.4, 2.5, 1.9), (1.04, 0.93, 0.84, 0.68)),
    ((0.5, 9.5, 0.4), (4.8, 2.9, 2.0), (1.06, 0.95, 0.86, 0.7)),
    ((-1.4, 9.0, 0.2), (4.5, 2.7, 2.0), (1.0, 0.9, 0.82, 0.66)),
    ((-3.1, 8.1, -0.2), (3.6, 2.1, 1.8), (0.9, 0.78, 0.71, 0.57)),
)
_THUMB_ROOT = (1.9, 1.7, -0.9)
_THUMB = ((4.4, (1.6, 1.12)), (3.0, (1.08, 0.98)), (2.4, (0.98, 0.76)))
_PALM_CM = 2.0  # from the middle of the hand to the palm's skin
_X, _Y, _Z = np.eye(3, dtype=np.float32)


def grip(radius_cm: float) -> Pose:
    """Fingers and thumb wrapped around a round thing of the given radius that lies across the palm.

    Finger bones are chords of a circle around the thing: a chord of length L spans 2 asin(L / 2R).
    """
    around = radius_cm + 0.95
    bends = []
    for _, lengths, _ in _FINGERS:
        spans = [2 * np.rad2deg(np.arcsin(min(0.98, length / 2 / around))) for length in lengths]
        bends.append(
            (min(82, spans[0] / 2 + 9), min(95, (spans[0] + spans[1]) / 2), min(60, (spans[1] + spans[2]) / 2))
        )
    first, second, third = (tuple(float(bend[joint]) for bend in bends) for joint in range(3))
    open_share = float(np.clip((radius_cm - 1.2) / 4.3, 0, 1))
    return Pose(
        first,  # type: ignore[arg-type] - four fingers
        second,  # type: ignore[arg-type]
        third,  # type: ignore[arg-type]
        (3 + 4 * open_share, 1, -2 - 3 * open_share, -5 - 6 * open_share),
        84,
        42 + 24 * open_share,
        34 - 22 * open_share,
    )


def grip_point(radius_cm: float) -> tuple[float, float, float]:
    """Where the middle of that thing is, in hand axes."""
    return (0.0, 7.6 + 0.15 * radius_cm, -_PALM_CM - radius_cm)


def pinch(radius_cm: float) -> Pose:
    """Fingertips and thumb around a cap or rim: as far apart as the thing is wide."""
    narrow = Pose((50, 52, 55, 60), (50, 54, 56, 60), (26, 26, 28, 32), (3, 0, -2, -5), 78, 30, 26)
    wide = Pose((12, 14, 16, 22), (34, 36, 36, 38), (24, 24, 24, 26), (8, 2, -4, -11), 80, 60, 10)
    low, high = 0.0, 1.0
    for _ in range(12):
        share = (low + high) / 2
        apart = _tips_apart(narrow.towards(wide, share))
        low, high = (share, high) if apart < 2 * radius_cm else (low, share)
    return narrow.towards(wide, (low + high) / 2)


def pinch_point(pose: Pose) -> tuple[float, float, float]:
    """The middle between thumb and fingertips, in hand axes."""
    middle = (thumb_joints(pose)[-1] + 0.5 * (finger_joints(pose, 0)[-1] + finger_joints(pose, 1)[-1])) / 2
    return float(middle[0]), float(middle[1]), float(middle[2])


def _tips_apart(pose: Pose) -> float:
    fingers = 0.5 * (finger_joints(pose, 0)[-1] + finger_joints(pose, 1)[-1])
    return float(np.linalg.norm(thumb_joints(pose)[-1] - fingers)) - 1.5


def finger_joints(pose: Pose, index: int) -> list[FloatArray]:
    """Knuckle, two joints and tip of a finger in hand axes; the last entry is the tip."""
    points, _ = _finger(pose, index)
    return points


def _finger(pose: Pose, index: int) -> tuple[list[FloatArray], FloatArray]:
    """Joints of a finger, and the axes of its last bone."""
    base, lengths, _ = _FINGERS[index]
    points = [np.asarray(base, np.float32)]
    axes = turn(_Z, -pose.spread[index])
    for length, bend in zip(lengths, (pose.knuckles[index], pose.middles[index], pose.tips[index]), strict=True):
        axes = axes @ turn(_X, -bend)
        points.append(points[-1] + axes @ _Y * np.float32(length))
    return points, axes


def thumb_joints(pose: Pose) -> list[FloatArray]:
    """Root, two joints and tip of the thumb in hand axes."""
    points, _ = _thumb(pose)
    return points


def _thumb(pose: Pose) -> tuple[list[FloatArray], FloatArray]:
    points = [np.asarray(_THUMB_ROOT, np.float32)]
    axes = turn(_Y, pose.thumb_out) @ turn(_Z, -pose.thumb_side)
    for number, (length, _) in enumerate(_THUMB):
        if number:
            axes = axes @ turn(_Z, pose.thumb_bend * 0.9)
        points.append(points[-1] + axes @ _Y * np.float32(length))
    return points, axes


def turn(axis: FloatArray, degrees: float) -> FloatArray:
    """(3, 3) rotation about an axis by the right-hand rule (Rodrigues' formula)."""
    x, y, z = axis / np.linalg.norm(axis)
    angle = np.deg2rad(degrees)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.asarray(np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross, np.float32)


class _Bone(Protocol):
    def __call__(
        self, a: FloatArray, b: FloatArray, radii: tuple[float, float], part: int, spacing: float = 0.3
    ) -> None: ...


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
) -> Balls:
    """Bones of a right hand and its arm as balls in camera axes.

    Args:
        look: whose hand.
        pose: joint angles.
        facing: (3, 3) columns: where the hand's thumb side, fingertips and back point in camera axes.
        hold: point in hand axes, cm, that is moved to the origin: the middle of what it grips.
        wrist_bend: the forearm turned against the hand, degrees about the hand's x and z axes.
        arm_cm: the part of the arm that is made, cm from the wrist; the hand is made when it begins at 0.
    """
    balls = Balls()
    scale = np.float32(look.size)

    def place(point: FloatArray) -> FloatArray:
        return np.asarray(facing @ ((point - np.asarray(hold, np.float32)) * scale), np.float32)

    def bone(a: FloatArray, b: FloatArray, radii: tuple[float, float], part: int, spacing: float = 0.3) -> None:
        balls.add_bone(place(a), place(b), (radii[0] * look.size, radii[1] * look.size), part, spacing=spacing)

    def ball(point: FloatArray, radius: float, part: int) -> None:
        balls.add_ball(place(point), radius * look.size, part)

    if arm_cm[0] <= 0:
        _add_fingers(look, pose, bone, ball)
    arm = turn(_X, wrist_bend[0]) @ turn(_Z, wrist_bend[1])

    def along(distance: float, side: float = 0.0) -> FloatArray:
        return np.asarray(arm @ np.array([side, -distance, -0.2], np.float32), np.float32)

    _add_forearm(look, arm_cm, along, bone)
    _add_sleeve(look, arm_cm, along, bone)
    return balls


class _Along(Protocol):
    def __call__(self, distance: float, side: float = 0.0) -> FloatArray:
        """A point of the arm, cm from the wrist and to the side, in hand axes."""


def _add_forearm(look: Look, arm_cm: tuple[float, float], along: _Along, bone: _Bone) -> None:
    begin, end = arm_cm
    skin = Part.CUFF if look.glove else Part.SKIN
    for side in (-0.85, 0.85):
        if begin <= 0:
            bone(along(-1.6, side), along(3.5, side), (1.75, 1.85), skin)
        if look.sleeve_begins > 3 and begin < look.sleeve_begins:
            last = min(end, look.sleeve_begins + 2)
            a, b = (np.interp(d, (3.5, 28), (1.85, 3.4)) for d in (max(begin, 3.5), last))
            bone(along(max(begin, 3.5), side), along(last, side * 1.3), (float(a), float(b)), skin, 0.25)
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
            bone(along(cuff, side), along(cuff + 2.2, side), (2.15 + cloth, 2.2 + cloth), Part.CUFF, 0.2)
        for first, last in pairwise(stops):
            a, b = (np.interp(d, (cuff + 1.2, 26, 80), (2.25, 3.4, 4.0)) + cloth for d in (first, last))
            sides = [side * np.interp(d, (cuff + 1.2, 26), (1.05, 1.5)) for d in (first, last)]
            bone(along(first, sides[0]), along(last, sides[1]), (float(a), float(b)), Part.SLEEVE, 0.2)


def _add_fingers(look: Look, pose: Pose, bone: _Bone, ball: _Ball) -> None:
    skin = Part.CUFF if look.glove else Part.SKIN
    joint = Part.CUFF if look.glove else Part.KNUCKLE
    nail = joint if look.glove else Part.NAIL
    for index, (base, _, radii) in enumerate(_FINGERS):
        joints, axes = _finger(pose, index)
        knuckle = joints[0]
        root = np.array([base[0] * 0.42, 1.2, -0.25], np.float32)
        bone(root, knuckle + _Z * np.float32(-0.25), (1.45, 1.15), skin)
        palm = np.array([0, -0.4, -0.75], np.float32)
        bone(root + _Z * np.float32(-0.7), knuckle + palm, (1.2, 0.98), skin)  # the palm's side
        ball(knuckle - _Y * np.float32(0.1), radii[0] * 1.03, joint)
        for number in range(3):
            bone(joints[number], joints[number + 1], (radii[number], radii[number + 1]), skin)
        for number in (1, 2):
            ball(joints[number], radii[number] * 1.03, joint)
        ball(joints[3], radii[3] * 1.02, joint)
        for step in (0.05, 0.35, 0.65, 0.95):
            ball(
                joints[3] - axes @ _Y * np.float32(step) + axes @ _Z * np.float32(radii[3] * 0.5), radii[3] * 0.58, nail
            )
    joints, axes = _thumb(pose)
    bone(np.array([0.6, 2.6, -1.2], np.float32), joints[0] + (joints[1] - joints[0]) * 0.72, (1.7, 1.35), skin)
    for number, (_, ends) in enumerate(_THUMB):
        bone(joints[number], joints[number + 1], ends, skin)
    for number in (1, 2):
        ball(joints[number], _THUMB[number][1][0] * 1.04, joint)
    ball(joints[3], 0.78, joint)
    for step in (0.0, 0.35, 0.7, 1.0):
        ball(joints[3] - axes @ _Y * np.float32(step) + axes @ _Z * np.float32(0.38), 0.48, nail)
    bone(np.array([-2.2, 2.2, -0.9], np.float32), np.array([-3.0, 6.6, -0.8], np.float32), (1.35, 1.15), skin)


@dataclass(frozen=True, slots=True, eq=False)
class HandSprite:
    """A drawn hand, or the arm behind it."""

    whole: Sprite
    front: NDArray[np.uint8]  # (h, w) share of each pixel that lies in front of what it holds, 0 to 255
    skin: NDArray[np.uint8]  # (h, w) share of each pixel that is the hand itself, without arm and sleeve
    hold: tuple[float, float]  # pixel of the middle of what it holds
    wrist: tuple[float, float]  # pixel of the wrist
    arm_degrees: float  # where the arm goes from there: 0 to the right, 90 down
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

    The arguments are those of `build_hand`.
    """
    made = (arm_cm[0], arm_cm[1] + 11) if arm_cm[0] <= 0 else arm_cm
    balls = build_hand(look, pose, facing, hold=hold, wrist_bend=wrist_bend, arm_cm=made)
    solid = relief(balls, len(Part), pixels_per_cm, groups=_GROUPS, fine=16.0 if arm_cm[0] <= 0 else 9.0)
    # nearer to the camera than the middle of the held thing: the hand hides it; further: it hides the hand
    ahead = ((solid.height > hold_half_cm * 0.15) * solid.alpha).astype(np.float32)
    covered = solid.shares[..., Part.SLEEVE] + (0 if look.glove else solid.shares[..., Part.CUFF])
    wrist = facing @ (-np.asarray(hold, np.float32)) * np.float32(look.size)
    arm = facing @ turn(_X, wrist_bend[0]) @ turn(_Z, wrist_bend[1]) @ (-_Y)
    hand = solid.alpha * (1 - covered) * (_beyond(solid, wrist, wrist + arm) < 1.5)
    whole = to_sprite(_paint(look, solid, rng), solid)
    if arm_cm[0] <= 0:  # the arm's own sprite goes on from here: fade into it
        last = wrist + arm * np.float32(arm_cm[1] * look.size)
        fade = np.clip(_beyond(solid, last, last + arm) / -2.5, 0, 1)
        whole[..., 3] = (whole[..., 3] * cv2.resize(fade, solid.size, interpolation=cv2.INTER_AREA)).round()
    near, far = (point[:2] * (180.0 / (180.0 - point[2])) for point in (wrist, wrist + 10 * arm))
    seen = np.array(solid.origin) + near * pixels_per_cm
    arm_degrees = float(np.degrees(np.arctan2(far[1] - near[1], far[0] - near[0])))

    def share(mask: FloatArray) -> NDArray[np.uint8]:
        return np.round(cv2.resize(mask.astype(np.float32), solid.size, interpolation=cv2.INTER_AREA) * 255).astype(
            np.uint8
        )

    return HandSprite(
        whole, share(ahead), share(hand), solid.origin, (float(seen[0]), float(seen[1])), arm_degrees, pixels_per_cm
    )


def _beyond(solid: Relief, point: FloatArray, further: FloatArray) -> FloatArray:
    """(h, w) how far, in cm of the picture, each pixel lies beyond a point in the direction of another."""
    grow = solid.alpha.shape[1] / solid.size[0]
    ends = [p[:2] * (180.0 / (180.0 - p[2])) * solid.scale + np.array(solid.origin) * grow for p in (point, further)]
    along = (ends[1] - ends[0]) / max(float(np.linalg.norm(ends[1] - ends[0])), 1e-3) / solid.scale
    y, x = np.mgrid[0 : solid.alpha.shape[0], 0 : solid.alpha.shape[1]].astype(np.float32)
    return np.asarray((x - ends[0][0]) * along[0] + (y - ends[0][1]) * along[1], np.float32)


def _paint(look: Look, solid: Relief, rng: np.random.Generator) -> FloatArray:
    """(h, w, 3) BGR of a relief at the supersampled size."""
    shape = solid.alpha.shape
    pores = noise(rng, shape, (0.05 * solid.scale, 0.2 * solid.scale))
    wide = noise(rng, shape, (1.2 * solid.scale,))
    cloth = noise(rng, shape, (0.5 * solid.scale, 1.3 * solid.scale))
    weave = noise(rng, shape, (0.06 * solid.scale,))
    covered = solid.shares[..., Part.SLEEVE] + solid.shares[..., Part.CUFF]
    bumps = pores * 0.0025 * (1 - covered) + (cloth * 0.16 + weave * 0.012) * covered * min(look.thickness, 0.8)
    lit = shade(solid, bumps=bumps)
    skin = np.array(look.skin, np.float32)
    knuckle = skin * np.array([0.84, 0.86, 1.0], np.float32)
    sleeve = np.array(look.sleeve, np.float32)
    palette = np.stack([skin, knuckle, np.array(look.nails, np.float32), sleeve, sleeve * 0.9, np.full(3, 40.0)])
    colour = solid.shares @ palette.astype(np.float32)
    colour *= 1 + (0.025 * wide + 0.02 * pores)[..., None] * (1 - covered)[..., None]
    colour = _pattern(look, solid, colour)
    # light that has gone through skin comes out red: shadows on skin stay warm
    shadow = np.clip(1 - lit.diffuse, 0, 1)[..., None]
    warm = np.ones(3, np.float32) + shadow * np.array([-0.16, -0.09, 0.1], np.float32)
    bare = (1 - covered)[..., None]
    colour = colour * lit.diffuse[..., None] * (warm * bare + (1 - bare))
    gloss = 16 * (1 - covered) + 60 * solid.shares[..., Part.NAIL]
    return np.asarray(colour + (lit.shine * gloss)[..., None], np.float32)


def _pattern(look: Look, solid: Relief, colour: FloatArray) -> FloatArray:
    if look.pattern == "plain":
        return colour
    y, x = np.mgrid[0 : colour.shape[0], 0 : colour.shape[1]].astype(np.float32) / solid.scale
    x -= solid.origin[0] * solid.alpha.shape[1] / solid.size[0] / solid.scale  # so that hand and arm fit together
    y -= solid.origin[1] * solid.alpha.shape[0] / solid.size[1] / solid.scale
    if look.pattern == "rings":
        stripes = (np.sin((x * 0.6 + y) * 2.6) > 0.35).astype(np.float32)
    elif look.pattern == "checks":
        stripes = 0.5 * (np.sin((x + y) * 2.1) > 0) + 0.5 * (np.sin((x - y) * 2.1) > 0)
    else:
        stripes = 0.35 + 0.35 * np.sin((x + 0.2 * np.sin(y * 9)) * 11)
    share = (stripes * (solid.shares[..., Part.SLEEVE] > 0.5))[..., None].astype(np.float32)
    return np.asarray(colour * (1 - share) + np.array(look.sleeve_second, np.float32) * share, np.float32)
