"""The camera of a scene: pinhole with position, yaw, pitch and roll, and a lens that bends lines.

World in centimetres: x to the right along the shelf, y up from the floor, z from the shelf's front edge towards the
camera; goods stand at negative z. Pixels: centres at whole numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]
NEAR = 6.0  # cm; nothing nearer to the lens is drawn
_FAR = 20_000.0  # pixels; polygons are cut there, since OpenCV draws in fixed-point numbers


@dataclass(frozen=True, slots=True)
class Camera:
    """A camera in front of a shelf."""

    size: tuple[int, int]  # width, height of its pictures
    position: tuple[float, float, float]
    yaw: float  # degrees, positive to the right
    pitch: float  # degrees, positive downwards
    roll: float  # degrees, positive clockwise as seen in the picture
    field_of_view: float  # degrees across the width
    distortion: float = 0.0  # share by which the lens pulls the corners in (barrel) or, negative, pushes them out

    @property
    def focal(self) -> float:
        """Focal length in pixels."""
        return self.size[0] / 2 / float(np.tan(np.radians(self.field_of_view) / 2))

    @property
    def margin(self) -> tuple[int, int]:
        """Pixels that the undistorted canvas is larger than the picture at each side, (x, y)."""
        share = max(self.distortion, 0.0)
        return int(np.ceil(share * self.size[0] / 2)) + 1, int(np.ceil(share * self.size[1] / 2)) + 1

    @property
    def canvas_size(self) -> tuple[int, int]:
        """Width and height of the undistorted canvas."""
        return self.size[0] + 2 * self.margin[0], self.size[1] + 2 * self.margin[1]

    def axes(self) -> Points:
        """(3, 3) rows: right, up and forward of the camera in the world."""
        return _axes(self.yaw, self.pitch, self.roll)

    @property
    def _middle(self) -> tuple[float, float]:
        width, height = self.canvas_size
        return (width - 1) / 2, (height - 1) / 2

    def to_canvas(self, points: Points) -> tuple[Points, Points]:
        """World points (..., 3) -> canvas pixels (..., 2) and distance along the view (...,).

        Points nearer than ``NEAR`` are projected as if they stood there; look at the distance.
        """
        seen = (np.asarray(points, float) - np.asarray(self.position)) @ self.axes().T
        distance = seen[..., 2]
        factor = self.focal / np.maximum(distance, NEAR)
        width, height = self.canvas_size
        x = (width - 1) / 2 + seen[..., 0] * factor
        y = (height - 1) / 2 - seen[..., 1] * factor
        return np.stack([x, y], axis=-1), distance

    def polygon(self, corners: Points) -> Points:
        """A flat polygon in the world, cut at the near plane, in canvas pixels; (0, 2) when nothing is left."""
        seen = (np.asarray(corners, float) - np.asarray(self.position)) @ self.axes().T
        if seen[:, 2].min() < NEAR:
            kept: list[Points] = []
            for here, after in zip(seen, np.roll(seen, -1, axis=0), strict=True):
                if here[2] >= NEAR:
                    kept.append(here)
                if (here[2] >= NEAR) != (after[2] >= NEAR):
                    kept.append(here + (after - here) * (NEAR - here[2]) / (after[2] - here[2]))
            if len(kept) < 3:
                return np.zeros((0, 2))
            seen = np.stack(kept)
        factor = self.focal / seen[:, 2]
        middle_x, middle_y = self._middle
        spots = np.empty((len(seen), 2))
        spots[:, 0] = middle_x + seen[:, 0] * factor
        spots[:, 1] = middle_y - seen[:, 1] * factor
        return spots if np.abs(spots).max() < _FAR else _cut(spots)

    def to_picture(self, canvas: Points) -> Points:
        """Canvas pixels (..., 2) -> pixels of the picture, through the lens."""
        width, height = self.canvas_size
        offset = np.asarray(canvas, float) - ((width - 1) / 2, (height - 1) / 2)
        half = np.hypot(*self.size) / 2
        radius = np.linalg.norm(offset, axis=-1, keepdims=True) / half
        if self.distortion < 0:  # beyond its widest reach a pincushion lens shows nothing
            widest = np.sqrt(-1 / (3 * self.distortion))
            radius = np.minimum(radius, widest * 2 / 3)
        bent = radius.copy()
        for _ in range(12):  # Newton on bent * (1 + k * bent^2) = radius
            slope = np.maximum(1 + 3 * self.distortion * bent**2, 0.05)
            bent = np.maximum(bent - (bent * (1 + self.distortion * bent**2) - radius) / slope, 0)
            bent = np.minimum(bent, radius * 2)
        factor = np.where(radius > 1e-9, bent / np.maximum(radius, 1e-9), 1.0)
        return offset * factor + ((self.size[0] - 1) / 2, (self.size[1] - 1) / 2)

    def lens_maps(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """For each pixel of the picture the canvas pixel that it shows: two (h, w) maps for ``cv2.remap``."""
        x = (np.arange(self.size[0]) - (self.size[0] - 1) / 2).astype(np.float32)[None]
        y = (np.arange(self.size[1]) - (self.size[1] - 1) / 2).astype(np.float32)[:, None]
        bend = np.float32(self.distortion / (np.hypot(*self.size) / 2) ** 2)
        factor = 1 + bend * (x * x) + bend * (y * y)
        width, height = self.canvas_size
        return x * factor + np.float32((width - 1) / 2), y * factor + np.float32((height - 1) / 2)


def _cut(polygon: Points) -> Points:
    """A polygon cut to the square of ``_FAR`` pixels around the origin (Sutherland and Hodgman, CACM 17, 1974)."""
    for axis, side in ((0, 1.0), (0, -1.0), (1, 1.0), (1, -1.0)):
        inside = polygon[:, axis] * side <= _FAR
        kept: list[Points] = []
        for index, here in enumerate(polygon):
            after = (index + 1) % len(polygon)
            if inside[index]:
                kept.append(here)
            if inside[index] != inside[after]:
                share = (_FAR * side - here[axis]) / (polygon[after, axis] - here[axis])
                kept.append(here + share * (polygon[after] - here))
        if len(kept) < 3:
            return np.zeros((0, 2))
        polygon = np.stack(kept)
    return polygon


@lru_cache(maxsize=64)
def _axes(yaw_degrees: float, pitch_degrees: float, roll_degrees: float) -> Points:
    yaw, pitch, roll = np.radians((yaw_degrees, pitch_degrees, roll_degrees))
    forward = np.array([np.sin(yaw) * np.cos(pitch), -np.sin(pitch), -np.cos(yaw) * np.cos(pitch)])
    right = np.array([np.cos(yaw), 0.0, np.sin(yaw)])
    up = np.cross(right, forward)
    right, up = right * np.cos(roll) + up * np.sin(roll), up * np.cos(roll) - right * np.sin(roll)
    axes = np.stack([right, up, forward])
    axes.setflags(write=False)
    return axes


def perspective(source: NDArray[np.floating], target: NDArray[np.floating]) -> NDArray[np.float64]:
    """The (3, 3) projective map that takes four points to four points."""
    return np.asarray(cv2.getPerspectiveTransform(source.astype(np.float32), target.astype(np.float32)), np.float64)
