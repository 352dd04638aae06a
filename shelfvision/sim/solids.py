"""Geometry of packages seen from afar: which point of the package each pixel of its picture shows.

A package is seen orthographically from an azimuth (degrees, positive: camera to the right of its front) and an
elevation (positive: camera above). ``right`` and ``up`` of the picture in package coordinates (x right, y up, z to
the front):

    right = (cos az, 0, -sin az)        up = (-sin az sin el, cos el, -cos az sin el)
"""

from __future__ import annotations

from dataclasses import dataclass

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
    normal: tuple[FloatArray, FloatArray, FloatArray]  # surface direction: right, up in the world, towards the viewer
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


def _nearest_rings(
    rings: NDArray[np.floating], x: FloatArray, foot_row: np.float32, lift: tuple[np.float32, np.float32], rows: int
) -> NDArray[np.int32]:
    """Which ring each pixel of the right half shows, -1 for none; rings are given from the farthest to the nearest.

    ``lift`` is how many rows a centimetre of height moves up and a centimetre towards the camera moves down.
    """
    depth_square = rings[:, 1:2] ** 2 - x[None] ** 2
    inside = depth_square > 0
    z = np.sqrt(np.maximum(depth_square, 0))
    row = (foot_row - (rings[:, 0:1] * lift[0] - z * lift[1])).astype(np.int32)
    inside &= (row >= 0) & (row < rows)
    index = row * len(x) + np.arange(len(x), dtype=np.int32)[None]
    ring_at = np.full(rows * len(x), -1, np.int32)
    # later rings hide earlier ones: with repeated indices the last value stays
    ring_at[index[inside]] = np.broadcast_to(np.arange(len(rings), dtype=np.int32)[:, None], index.shape)[inside]
    return ring_at.reshape(rows, len(x))


def round_view(profile: Profile, pixels_per_cm: float, elevation: float) -> RoundView:
    """The view of a surface of revolution.

    Args:
        profile: outline from foot to top.
        pixels_per_cm: resolution.
        elevation: degrees; the camera above sees the flat top, the camera below does not see the foot's underside.
    """
    oversampling = 2 if pixels_per_cm <= 4 else 1
    fine = np.float32(oversampling * pixels_per_cm)
    el = np.radians(elevation)
    cos, sin = np.float32(np.cos(el)), np.float32(np.sin(el))
    rings = _rings(profile, 0.62 / float(fine))
    rings = np.asarray(rings if elevation >= 0 else rings[::-1], np.float32)
    widest, tall = max(r for _, r in profile), np.float32(profile[-1][0])
    below = widest * abs(sin)
    rows = oversampling * int(np.ceil((tall * cos + 2 * below) * pixels_per_cm) + 4)
    half = oversampling * int(np.ceil(widest * pixels_per_cm) + 1)
    foot_row = np.float32((tall * cos + below) * fine + 2.0 * oversampling)
    # the body is symmetric: work out its right half
    x = ((np.arange(half) + 0.5) / float(fine)).astype(np.float32)
    ring_at = _nearest_rings(rings, x, np.float32(foot_row), (fine * cos, fine * sin), rows)
    shown = ring_at >= 0
    up = (foot_row - (np.arange(rows, dtype=np.float32) + np.float32(0.5)))[:, None] / fine
    lid = np.zeros((rows, half), bool)
    lid_depth = np.zeros((rows, 1), np.float32)
    end = np.float32(max(profile[-1][1], 1e-3))
    bottom = np.zeros((rows, half), bool)
    if elevation < -0.5:  # the underside, which a board mostly hides
        bottom = ((up / -sin) ** 2 + x[None] ** 2 < profile[0][1] ** 2) & ~shown
    elif elevation > 0.5:
        lid_depth = (tall * cos - up) / sin
        lid = lid_depth**2 + x[None] ** 2 < end**2
    shown |= lid | bottom

    size = rows // oversampling, half // oversampling
    cover = np.asarray(cv2.resize(shown.astype(np.float32), size[::-1], interpolation=cv2.INTER_AREA), np.float32)
    if oversampling == 1:
        soft = cv2.GaussianBlur(cover, (3, 3), 0, borderType=cv2.BORDER_REPLICATE)
        cover = np.where(cover > 0, soft, 0).astype(np.float32)
        pick_row, pick_column = np.arange(rows)[:, None], np.arange(half)[None]
    else:
        # each final pixel shows one of its four fine ones, the first that hits the package
        blocks = shown.reshape(size[0], 2, size[1], 2).transpose(0, 2, 1, 3)
        choice = blocks.reshape(*size, 4).argmax(-1)
        pick_row = 2 * np.arange(size[0])[:, None] + choice // 2
        pick_column = 2 * np.arange(size[1])[None] + choice % 2
        ring_at, lid, bottom = (part[pick_row, pick_column] for part in (ring_at, lid, bottom))

    xs = x[pick_column]
    height, radius, slope = (rings[:, k][ring_at] for k in range(3))
    across = np.minimum(xs / np.maximum(radius, np.float32(1e-6)), 1)
    forward = np.sqrt(1 - across**2)
    height[bottom] = 0
    slope[bottom] = -np.pi / 2
    slope[lid] = np.pi / 2
    level = np.cos(slope)

    def whole(right: NDArray[np.floating], *, odd: bool = False) -> FloatArray:
        return np.ascontiguousarray(np.concatenate([(-right if odd else right)[:, ::-1], right], axis=1), np.float32)

    return RoundView(
        cover=whole(cover),
        turn=whole(np.arcsin(across) / np.float32(2 * np.pi), odd=True),
        height=whole(height),
        lid=np.concatenate([lid[:, ::-1], lid], axis=1),
        lid_x=whole(np.broadcast_to(xs / end, size), odd=True),
        lid_z=whole(np.broadcast_to(lid_depth[pick_row, 0] / end, size)),
        normal=(whole(across * level, odd=True), whole(np.sin(slope)), whole(forward * level)),
        foot=(float(size[1]), float(foot_row) / oversampling),
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
