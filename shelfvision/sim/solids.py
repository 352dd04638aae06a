"""Geometry of packages seen from afar: which point of the package each pixel of its picture shows.

A package is seen orthographically from an azimuth (degrees, positive: camera to the right of its front) and an elevation
(positive: camera above). ``right`` and ``up`` of the picture in package coordinates (x right, y up, z to the front):

    right = (cos az, 0, -sin az)        up = (-sin az sin el, cos el, -cos az sin el)
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
Profile = tuple[tuple[float, float], ...]  # (height, radius) in cm from the foot to the top


def project(points: NDArray[np.floating], azimuth: float, elevation: float) -> NDArray[np.float64]:
    """Package points (n, 3) in cm -> (n, 2): right and up in cm, from the centre of the package's foot."""
    az, el = np.radians(azimuth), np.radians(elevation)
    right = np.array([np.cos(az), 0.0, -np.sin(az)])
    up = np.array([-np.sin(az) * np.sin(el), np.cos(el), -np.cos(az) * np.sin(el)])
    return np.asarray(points @ np.stack([right, up], axis=1), np.float64)


@dataclass(frozen=True, slots=True)
class RoundView:
    """What each pixel of a surface of revolution shows; maps are (h, w), meaningless where ``cover`` is 0."""

    cover: FloatArray  # 0 to 1
    turn: FloatArray  # angle around the axis as a share of a full turn, 0 at the front
    height: FloatArray  # cm above the foot
    lid: NDArray[np.bool_]  # pixels of the flat top
    lid_x: FloatArray  # -1 to 1 across the top
    lid_z: FloatArray  # -1 to 1, front positive
    normal: FloatArray  # (h, w, 3) surface direction: right, up in the world, towards the viewer's side
    foot: tuple[float, float]  # pixel of the centre of the foot


def _rings(profile: Profile, step: float) -> NDArray[np.float64]:
    """Rings every ``step`` cm along the outline: (n, 3) height, radius, slope angle (90 degrees: facing up)."""
    points = np.asarray(profile, float)
    edges = np.diff(points, axis=0)
    lengths = np.hypot(edges[:, 0], edges[:, 1])
    ends = np.concatenate([[0], np.cumsum(lengths)])
    along = np.arange(0, ends[-1], step)
    heights, radii = np.interp(along, ends, points[:, 0]), np.interp(along, ends, points[:, 1])
    slope = np.arctan2(-edges[:, 1], np.maximum(edges[:, 0], 1e-6))
    slopes = slope[np.clip(np.searchsorted(ends, along, side="right") - 1, 0, len(slope) - 1)]
    # round the corners of the outline so that light runs over them
    width = max(int(0.25 / step) | 1, 3)
    padded = np.pad(slopes, width // 2, mode="edge")
    slopes = np.convolve(padded, np.ones(width) / width, mode="valid")
    return np.stack([heights, radii, slopes], axis=1)


@lru_cache(maxsize=160)
def round_view(profile: Profile, pixels_per_cm: float, elevation: float) -> RoundView:
    """The view of a surface of revolution.

    Args:
        profile: outline from foot to top.
        pixels_per_cm: resolution.
        elevation: degrees; the camera above sees the flat top, the camera below does not see the foot's underside.
    """
    oversampling = 2 if pixels_per_cm <= 14 else 1
    fine = oversampling * pixels_per_cm
    el = np.radians(elevation)
    cos, sin = np.cos(el), np.sin(el)
    rings = _rings(profile, 0.45 / fine)
    rings = rings if elevation >= 0 else rings[::-1]
    widest, tall = max(r for _, r in profile), profile[-1][0]
    columns = oversampling * 2 * int(np.ceil(widest * pixels_per_cm) + 1)
    top = tall * cos + widest * abs(sin)
    below = widest * abs(sin)
    rows = oversampling * int(np.ceil((top + below) * pixels_per_cm) + 4)
    foot = columns / 2, top * fine + 2.0 * oversampling
    x = (np.arange(columns) + 0.5 - foot[0]) / fine
    radius = rings[:, 1:2]
    inside = radius > np.abs(x)[None]
    z = np.sqrt(np.clip(radius**2 - x[None] ** 2, 0, None))
    row = np.floor(foot[1] - (rings[:, 0:1] * cos - z * sin) * fine).astype(np.int64)
    inside &= (row >= 0) & (row < rows)
    ring_at = np.full(rows * columns, -1, np.int32)
    index = row * columns + np.arange(columns)[None]
    ring_at[index[inside]] = np.broadcast_to(np.arange(len(rings))[:, None], index.shape)[inside]
    ring_at = ring_at.reshape(rows, columns)
    shown = ring_at >= 0
    height, ring_radius, slope = (rings[ring_at, k] for k in range(3))
    across = np.clip(x[None] / np.maximum(ring_radius, 1e-6), -1, 1)
    lid = np.zeros((rows, columns), bool)
    lid_x, lid_z = np.zeros((rows, columns)), np.zeros((rows, columns))
    if elevation > 0.5:
        up = (foot[1] - (np.arange(rows) + 0.5))[:, None] / fine
        depth = (tall * cos - up) / sin
        end = profile[-1][1]
        lid = depth**2 + x[None] ** 2 < end**2
        lid_x, lid_z = np.broadcast_to(x[None] / max(end, 1e-6), lid.shape), depth / max(end, 1e-6) + 0 * lid_x
        shown = shown | lid
    facing = np.sqrt(1 - across**2)
    normal = np.stack([across * np.cos(slope), np.sin(slope), facing * np.cos(slope)], axis=-1)
    normal[lid] = (0, 1, 0)

    size = rows // oversampling, columns // oversampling
    cover = cv2.resize(shown.astype(np.float32), size[::-1], interpolation=cv2.INTER_AREA)
    if oversampling == 1:
        cover = cv2.GaussianBlur(cover, (3, 3), 0) * (cover > 0)
    # each final pixel shows one of its fine ones, the first that hits the package
    blocks = shown.reshape(size[0], oversampling, size[1], oversampling).transpose(0, 2, 1, 3)
    choice = blocks.reshape(*size, oversampling**2).argmax(-1)
    pick_row = oversampling * np.arange(size[0])[:, None] + choice // oversampling
    pick_column = oversampling * np.arange(size[1])[None] + choice % oversampling

    def coarse(values: NDArray[np.floating]) -> FloatArray:
        return np.ascontiguousarray(values[pick_row, pick_column], np.float32)

    return RoundView(
        cover=cover,
        turn=coarse(np.arcsin(across) / (2 * np.pi)),
        height=coarse(height),
        lid=lid[pick_row, pick_column],
        lid_x=coarse(np.asarray(lid_x)),
        lid_z=coarse(lid_z),
        normal=coarse(normal),
        foot=(foot[0] / oversampling, foot[1] / oversampling),
    )


@dataclass(frozen=True, slots=True)
class Face:
    """One flat face of a box-like package."""

    name: str  # which print it carries: front, back, side, top, slope, fin
    corners: tuple[
        tuple[float, float, float], ...
    ]  # top left, top right, bottom right, bottom left as seen from outside
    light: float  # how bright it is under a ceiling light


def block_faces(size_cm: tuple[float, float, float], gable_cm: float = 0.0) -> tuple[Face, ...]:
    """Faces of a box standing on its foot's centre; with ``gable_cm`` its top is a milk carton's roof with a fin."""
    width, height, depth = size_cm
    x, z = width / 2, depth / 2
    fin = gable_cm * 0.38
    wall = height - gable_cm
    faces = [
        Face("side", ((x, wall, z), (x, wall, -z), (x, 0, -z), (x, 0, z)), 0.74),
        Face("side", ((-x, wall, -z), (-x, wall, z), (-x, 0, z), (-x, 0, -z)), 0.78),
        Face("front", ((-x, wall, z), (x, wall, z), (x, 0, z), (-x, 0, z)), 1.0),
    ]
    if gable_cm <= 0:
        return (*faces, Face("top", ((-x, height, -z), (x, height, -z), (x, height, z), (-x, height, z)), 1.1))
    ridge = height - fin
    return (
        *faces,
        Face("cheek", ((x, ridge, 0.05), (x, ridge, -0.05), (x, wall, -z), (x, wall, z)), 0.66),
        Face("cheek", ((-x, ridge, -0.05), (-x, ridge, 0.05), (-x, wall, z), (-x, wall, -z)), 0.7),
        Face("slope", ((-x, ridge, 0.05), (x, ridge, 0.05), (x, wall, z), (-x, wall, z)), 1.1),
        Face("fin", ((-x, height, 0.1), (x, height, 0.1), (x, ridge, 0.1), (-x, ridge, 0.1)), 0.95),
    )


def faces_camera(face: Face, azimuth: float, elevation: float) -> bool:
    """Whether a face's outside is seen."""
    a, b, _, d = project(np.asarray(face.corners), azimuth, elevation)
    across, down = b - a, d - a
    return bool(across[0] * down[1] - across[1] * down[0] < -1e-6)
