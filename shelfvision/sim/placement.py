"""Where each place of a scene falls in the picture, worked out for all places at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shelfvision.sim.optics import Camera
from shelfvision.sim.stocking import Place

SMALL = 8.0  # pixels per cm up to which packages are drawn from fewer directions than larger ones
SIDEWAYS = 58.0  # degrees; seen more from the side than this, a box's front no longer fixes its picture
_ALIKE = 0.75  # steps by which a package's direction may differ from that of its picture, if its slot's is the same
CLOSE = 0.27  # a box whose diagonal is a greater part of its distance is drawn in true perspective
FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Projections:
    """Parallel arrays, one row a place."""

    anchors: FloatArray  # (n, 4, 2) canvas pixels of the sprite's reference rectangle
    azimuth: FloatArray  # (n,) degrees of the sprite to use
    elevation: FloatArray
    turn: FloatArray
    level: FloatArray  # (n,) pixels per cm of the sprite to use
    scale: FloatArray  # (n,) pixels per cm on the canvas
    low: FloatArray  # (n, 2) corner of a rectangle of the canvas that surely holds the unit
    high: FloatArray
    visible: NDArray[np.bool_]  # (n,) in front of the lens and touching the canvas
    close: NDArray[np.bool_]  # (n,) boxes so near that parallel projection would show


def project_places(camera: Camera, places: Sequence[Place], slots: Sequence[int] | None = None) -> Projections:
    """Project every place.

    Args:
        camera: who looks.
        places: where units stand or can stand.
        slots: a number for each place; places of one number are drawn from one direction at one resolution as far as
            that is near enough, so that fewer pictures are needed and neighbours look alike. Each its own when absent.
    """
    count = len(places)
    group = np.arange(count) if slots is None else np.asarray(slots, int)
    foot = np.array([(p.x, p.y, p.z) for p in places], float).reshape(count, 3)
    size = np.array([p.pack.size_cm for p in places], float).reshape(count, 3)
    turn, lean = np.array([(p.turn, p.lean) for p in places], float).reshape(count, 2).T
    is_round, is_flat = (np.array([p.pack.solid == kind for p in places], bool) for kind in ("round", "flat"))
    is_block = ~is_round & ~is_flat
    lying = np.abs(lean) > 45

    middle = foot + np.stack([np.zeros(count), size[:, 1] / 2, np.zeros(count)], axis=1)
    towards = np.asarray(camera.position) - middle
    azimuth = np.degrees(np.arctan2(towards[:, 0], towards[:, 2]))
    elevation = np.degrees(np.arctan2(towards[:, 1], np.hypot(towards[:, 0], towards[:, 2])))
    back = np.abs(turn) > 90
    own = np.where(is_block & ~back, turn, 0.0)  # degrees by which a box's front is turned to the right
    relative = (azimuth - own + 180) % 360 - 180

    centre, middle_distance = camera.to_canvas(middle)
    scale = camera.focal / np.maximum(middle_distance, 6.0)
    # sprites come in octaves: shrunk to no less than 0.61 of their size, stretched to no more than 1.23
    level = np.clip(2.0 ** _stepped(np.log2(np.maximum(scale, 0.1)) + 0.2, np.ones(count), group, 0.65), 2.0, 64.0)
    around, over = (np.where(level <= SMALL, small, large) for small, large in ((20.0, 15.0), (15.0, 10.0)))
    shown_azimuth = np.where(is_block & ~lying, np.clip(_stepped(relative, around, group, _ALIKE), -75.0, 75.0), 0.0)
    shown_elevation = np.where(~is_flat & ~lying, np.clip(_stepped(elevation, over, group, _ALIKE), -50.0, 75.0), 0.0)
    round_turn = np.where((level <= SMALL / 2) & (np.abs(turn) < 30), 0.0, turn)
    shown_turn = np.where(is_round, round_turn, np.where(back, 180.0, 0.0))

    facing = np.radians(np.where(is_round, azimuth, own))
    right = np.stack([np.cos(facing), np.zeros(count), -np.sin(facing)], axis=1)
    out = np.stack([np.sin(facing), np.zeros(count), np.cos(facing)], axis=1)
    plane = np.where(is_round, 0.0, np.where(is_flat, size[:, 2] * 0.3, size[:, 2] / 2))
    base = foot + out * plane[:, None]

    # the reference rectangle leans around the lower corner on the side to which it leans; a fallen one lies centred
    side = np.where(lean >= 0, 1.0, -1.0)
    pivot = np.where(lying, -side * size[:, 1] / 2, side * size[:, 0] / 2)
    cos, sin, half = np.cos(np.radians(lean)), np.sin(np.radians(lean)), size[:, 0] / 2
    corners_x = np.stack([-half, half, half, -half], axis=1) - (side * half)[:, None]
    corners_y = np.stack([0 * half, 0 * half, size[:, 1], size[:, 1]], axis=1)
    leant_x = corners_x * cos[:, None] + corners_y * sin[:, None] + pivot[:, None]
    leant_y = corners_y * cos[:, None] - corners_x * sin[:, None]
    world = base[:, None] + leant_x[..., None] * right[:, None] + leant_y[..., None] * np.array([0.0, 1.0, 0.0])
    anchors, distance = camera.to_canvas(world)

    diagonal = np.sqrt((size**2).sum(axis=1))
    close = is_block & ~lying & (diagonal > CLOSE * np.maximum(middle_distance, 1.0))
    sideways = is_block & ~lying & ~close & (np.abs(relative) > SIDEWAYS)
    if sideways.any():
        anchors[sideways] = _upright(
            camera,
            foot[sideways],
            size[sideways],
            azimuth=shown_azimuth[sideways],
            elevation=shown_elevation[sideways],
            scale=scale[sideways],
        )

    low, high = _bounds(camera, foot, size, facing=np.radians(own), scale=scale)
    tilted = np.abs(lean) > 0.5
    reach = (diagonal * 0.8 * scale)[:, None] + 2
    low = np.minimum(anchors.min(axis=1), np.where(tilted[:, None], centre - reach, low))
    high = np.maximum(anchors.max(axis=1), np.where(tilted[:, None], centre + reach, high))
    visible = (high > 0).all(axis=1) & (low < np.array(camera.canvas_size)).all(axis=1)
    visible &= (distance.min(axis=1, initial=np.inf) > 10) & (middle_distance > 12)
    return Projections(anchors, shown_azimuth, shown_elevation, shown_turn, level, scale, low, high, visible, close)


def _stepped(values: FloatArray, step: FloatArray, group: NDArray[np.int_], reach: float) -> FloatArray:
    """Values rounded to multiples of a step; those near what their group's mean is rounded to join it.

    ``reach`` is in steps.
    """
    if not len(values):
        return values
    counts = np.maximum(np.bincount(group), 1)
    middle = (np.bincount(group, values) / counts)[group]
    common = step * np.rint(middle / step)
    return np.where(np.abs(values - common) <= reach * step, common, step * np.rint(values / step))


def _bounds(
    camera: Camera, foot: FloatArray, size: FloatArray, *, facing: FloatArray, scale: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Corners (n, 2) of the canvas rectangles that hold upright units as they are drawn.

    These are the rectangles around their boxes, with room for the difference between the direction from which a unit
    is seen and that of its sprite: up to 15 degrees around, 11 over.
    """
    signs = np.array([(x, y, z) for x in (-0.5, 0.5) for y in (0.0, 1.0) for z in (-0.5, 0.5)])
    local = size[:, None] * signs
    cos, sin = np.cos(facing)[:, None], np.sin(facing)[:, None]
    turned = (local[..., 0] * cos + local[..., 2] * sin, local[..., 1], local[..., 2] * cos - local[..., 0] * sin)
    spots, _ = camera.to_canvas(foot[:, None] + np.stack(turned, axis=-1))
    room = np.stack([size[:, 2] * scale * 0.26, size[:, 2] * scale * 0.2], axis=1) + 2.0
    return spots.min(axis=1) - room, spots.max(axis=1) + room


def world_of(place: Place, points: FloatArray) -> FloatArray:
    """Points (..., 3) of a standing box, in cm from the centre of its foot, turned, leaning and set in its place."""
    own = np.radians(0.0 if abs(place.turn) > 90 else place.turn)
    side = 1.0 if place.lean >= 0 else -1.0
    pivot = side * place.pack.size_cm[0] / 2
    cos, sin = np.cos(np.radians(place.lean)), np.sin(np.radians(place.lean))
    x = (points[..., 0] - pivot) * cos + points[..., 1] * sin + pivot
    y = points[..., 1] * cos - (points[..., 0] - pivot) * sin
    z = points[..., 2]
    turned_x = x * np.cos(own) + z * np.sin(own)
    turned_z = z * np.cos(own) - x * np.sin(own)
    return np.stack([place.x + turned_x, place.y + y, place.z + turned_z], axis=-1)


def _upright(
    camera: Camera, foot: FloatArray, size: FloatArray, *, azimuth: FloatArray, elevation: FloatArray, scale: FloatArray
) -> FloatArray:
    """Anchors (n, 4, 2) of boxes seen from the side: their orthographic picture, scaled and set on their foot."""
    az, el = np.radians(azimuth), np.radians(elevation)
    half, height, out = size[:, 0] / 2, size[:, 1], size[:, 2] / 2
    x = np.stack([-half, half, half, -half], axis=1)
    y = np.stack([0 * half, 0 * half, height, height], axis=1)
    z = np.broadcast_to(out[:, None], x.shape)
    right = x * np.cos(az)[:, None] - z * np.sin(az)[:, None]
    up = -x * (np.sin(az) * np.sin(el))[:, None] + y * np.cos(el)[:, None] - z * (np.cos(az) * np.sin(el))[:, None]
    roll = np.radians(camera.roll)
    spot, _ = camera.to_canvas(foot)
    dx = (right * np.cos(roll) + up * np.sin(roll)) * scale[:, None]
    dy = (right * np.sin(roll) - up * np.cos(roll)) * scale[:, None]
    return np.stack([spot[:, :1] + dx, spot[:, 1:] + dy], axis=-1)
