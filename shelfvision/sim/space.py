"""Where things of the shelf's world appear in the picture, and back."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shelfvision.sim.optics import Camera
from shelfvision.sim.packaging import Packaging
from shelfvision.sim.shoppers import Point
from shelfvision.sim.stocking import Place
from shelfvision.sim.wardrobe import APPROACHES


def hold_point(place: Place, approach: str, pack: Packaging | None = None) -> Point:
    """Where a hand holds a unit, of the place's own product or another, that stands in its place."""
    _, height, _ = (pack or place.pack).size_cm
    up = height - 1.2 if APPROACHES[approach].pinches else height * 0.52
    return np.array([place.x, place.y + up, place.z])


def project(camera: Camera, point: NDArray[np.float64]) -> tuple[float, float, float]:
    """Pixel x, y of a world point, and pixels per cm there."""
    canvas, distance = camera.to_canvas(point[None])
    x, y = camera.to_picture(canvas)[0]
    return float(x), float(y), camera.focal / max(float(distance[0]), 6.0)


def world_at(camera: Camera, pixel: tuple[float, float], z: float) -> Point:
    """The world point at depth ``z`` that appears at a pixel; the lens's bend is left out."""
    right, up, forward = camera.axes()
    width, height = camera.size
    ray = forward + right * ((pixel[0] - width / 2) / camera.focal) - up * ((pixel[1] - height / 2) / camera.focal)
    position = np.array(camera.position)
    return np.asarray(position + ray * ((z - position[2]) / ray[2]), np.float64)
