"""Poses of a hand: joint angles, grips that fit what is held, and where the joints then are.

Hand axes, in cm from the wrist of a right hand: x to the thumb's side, y to the fingertips, z to the back of the hand.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]


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


FINGERS = (  # knuckle (x to the thumb side, y to the fingertips, z to the back of the hand), bones, radii
    ((2.5, 9.0, 0.2), (4.4, 2.5, 1.9), (1.04, 0.93, 0.84, 0.68)),
    ((0.5, 9.5, 0.4), (4.8, 2.9, 2.0), (1.06, 0.95, 0.86, 0.7)),
    ((-1.4, 9.0, 0.2), (4.5, 2.7, 2.0), (1.0, 0.9, 0.82, 0.66)),
    ((-3.1, 8.1, -0.2), (3.6, 2.1, 1.8), (0.9, 0.78, 0.71, 0.57)),
)
THUMB_ROOT = (1.9, 1.7, -0.9)
THUMB = ((4.4, (1.6, 1.12)), (3.0, (1.08, 0.98)), (2.4, (0.98, 0.76)))
_PALM_CM = 2.0  # from the middle of the hand to the palm's skin
X, Y, Z = np.eye(3, dtype=np.float32)


def grip(radius_cm: float) -> Pose:
    """Fingers and thumb wrapped around a round thing of the given radius that lies across the palm.

    Finger bones are chords of a circle around the thing: a chord of length L spans 2 asin(L / 2R).
    """
    around = radius_cm + 0.95
    bends = []
    for _, lengths, _ in FINGERS:
        spans = [2 * np.rad2deg(np.arcsin(min(0.98, length / 2 / around))) for length in lengths]
        bends.append(
            (min(82, spans[0] / 2 + 9), min(95, (spans[0] + spans[1]) / 2), min(60, (spans[1] + spans[2]) / 2))
        )

    def joint(number: int) -> tuple[float, float, float, float]:
        a, b, c, d = (float(bend[number]) for bend in bends)
        return a, b, c, d

    open_share = float(np.clip((radius_cm - 1.2) / 4.3, 0, 1))
    return Pose(
        joint(0),
        joint(1),
        joint(2),
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
    points, _ = finger_bones(pose, index)
    return points


def finger_bones(pose: Pose, index: int) -> tuple[list[FloatArray], FloatArray]:
    """Joints of a finger, and the axes of its last bone."""
    base, lengths, _ = FINGERS[index]
    points = [np.asarray(base, np.float32)]
    axes = turn(Z, -pose.spread[index])
    for length, bend in zip(lengths, (pose.knuckles[index], pose.middles[index], pose.tips[index]), strict=True):
        axes = axes @ turn(X, -bend)
        points.append(np.asarray(points[-1] + axes @ Y * np.float32(length), np.float32))
    return points, axes


def thumb_joints(pose: Pose) -> list[FloatArray]:
    """Root, two joints and tip of the thumb in hand axes."""
    points, _ = thumb_bones(pose)
    return points


def thumb_bones(pose: Pose) -> tuple[list[FloatArray], FloatArray]:
    """Joints of the thumb, and the axes of its last bone."""
    points = [np.asarray(THUMB_ROOT, np.float32)]
    axes = turn(Y, pose.thumb_out) @ turn(Z, -pose.thumb_side)
    for number, (length, _) in enumerate(THUMB):
        if number:
            axes = axes @ turn(Z, pose.thumb_bend * 0.9)
        points.append(np.asarray(points[-1] + axes @ Y * np.float32(length), np.float32))
    return points, axes


def turn(axis: FloatArray, degrees: float) -> FloatArray:
    """(3, 3) rotation about an axis by the right-hand rule (Rodrigues' formula)."""
    x, y, z = axis / np.linalg.norm(axis)
    angle = np.deg2rad(degrees)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.asarray(np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross, np.float32)
