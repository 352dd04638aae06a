"""Glass doors of a chiller: reflections, frames and handles, opened by whoever reaches in."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from shelfvision.sim.compositing import Image
from shelfvision.sim.motion import smooth
from shelfvision.sim.optics import Camera
from shelfvision.sim.scene import Scene
from shelfvision.sim.shoppers import Visit

_OPEN_DEGREES = 86.0
_OPENS_BEFORE = 0.75  # seconds before the hand sets off
_CLOSES_AFTER = 0.35  # seconds after it is back
_SWING_SECONDS = 0.6
_STILE_CM = 2.4
_PLANE_CM = 5.0  # in front of the boards


@dataclass(frozen=True, slots=True, eq=False)
class _Door:
    left: float
    right: float
    hinge_left: bool
    glare: Image  # of the whole picture's rectangle below
    box: tuple[int, int, int, int]


class Doors:
    """All doors that the camera sees.

    Args:
        scene: the chiller.
        seed: of the reflections.
    """

    def __init__(self, scene: Scene, seed: int) -> None:
        rng = np.random.default_rng([seed, *b"doors"])
        self._camera: Camera = scene.camera
        self._height = scene.fixture.height
        base = np.array(scene.fixture.board_colour, float)
        self._frame = tuple(float(c) for c in 0.5 * base + 0.5 * rng.uniform(60, 150))
        lamps = self._lamps(scene, rng)
        self._doors: list[_Door] = []
        for left, right in pairwise(scene.fixture.uprights):
            corners = self._quad(left, right, (0.0, 1.0), (4.0, self._height), angle=0.0)
            if corners is None:
                continue
            width, height = self._camera.size
            x1, y1 = np.maximum(np.floor(corners.min(axis=0)).astype(int), 0)
            x2, y2 = np.minimum(np.ceil(corners.max(axis=0)).astype(int) + 1, (width, height))
            if x1 >= x2 or y1 >= y2:
                continue
            mask = np.zeros((y2 - y1, x2 - x1), np.uint8)
            cv2.fillConvexPoly(mask, np.round(corners - (x1, y1)).astype(np.int32), 255, cv2.LINE_AA)
            glare = np.asarray(cv2.multiply(lamps[y1:y2, x1:x2], cv2.merge([mask] * 3), scale=1 / 255), np.uint8)
            self._doors.append(
                _Door(left, right, len(self._doors) % 2 == 0, glare, (int(x1), int(y1), int(x2), int(y2)))
            )

    def _lamps(self, scene: Scene, rng: np.random.Generator) -> Image:
        """What the glass mirrors of the room, (h, w, 3) to be added: rows of lamps, a light floor, a window."""
        width, height = self._camera.size
        small = np.zeros((height // 4, width // 4), np.float32)
        for _ in range(int(rng.integers(1, 4))):
            x, y = rng.uniform(-0.1, 1.1) * width / 4, rng.uniform(0.0, 0.55) * height / 4
            length, lean = rng.uniform(0.08, 0.3) * width / 4, rng.uniform(-0.25, 0.25)
            ends = (int(x), int(y)), (int(x + length), int(y + lean * length))
            cv2.line(small, ends[0], ends[1], float(rng.uniform(30, 75)), int(rng.integers(2, 5)), cv2.LINE_AA)
        small = np.asarray(cv2.GaussianBlur(small, (0, 0), 1.6), np.float32)
        ys, xs = np.mgrid[0 : 1 : small.shape[0] * 1j, 0 : 1 : small.shape[1] * 1j].astype(np.float32)
        small += 10 * scene.settings.brightness * (0.4 + 0.6 * np.clip(ys * 1.4 - 0.5, 0, 1))
        band, lean = rng.uniform(-0.2, 1.2), rng.uniform(0.2, 0.6)
        small += rng.uniform(6, 22) * np.exp(-(((xs - band - lean * ys) / rng.uniform(0.08, 0.22)) ** 2))
        full = cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)
        tint = np.array([1.05, 1.0, 0.94], np.float32)
        return np.asarray(np.clip(full[..., None] * tint, 0, 255), np.uint8)

    def angles(self, visits: Iterable[Visit], now: float, bays: dict[str, float]) -> list[float]:
        """How far each door is open, degrees; ``bays`` gives the x of each slot's middle."""
        angles = [0.0] * len(self._doors)
        for visit in visits:
            for reach in visit.reaches:
                opening = smooth((now - (reach.start - _OPENS_BEFORE)) / _SWING_SECONDS)
                closing = smooth((now - (reach.end + _CLOSES_AFTER)) / _SWING_SECONDS)
                middle = bays[reach.slot]
                for number, door in enumerate(self._doors):
                    if door.left <= middle < door.right:
                        angles[number] = max(angles[number], _OPEN_DEGREES * min(opening, 1 - closing))
        return angles

    def paint(self, picture: Image, angles: list[float]) -> None:
        """Draw all doors over a picture of the shelf."""
        for door, angle in zip(self._doors, angles, strict=True):
            x1, y1, x2, y2 = door.box
            part = picture[y1:y2, x1:x2]
            share = 1 - angle / _OPEN_DEGREES
            if share > 0.99:
                cv2.add(part, door.glare, dst=part)
            elif share > 0.03:
                cv2.scaleAdd(door.glare, share, part, dst=part)
        order = sorted(zip(self._doors, angles, strict=True), key=lambda pair: pair[1])  # the open ones come towards us
        for door, angle in order:
            self._paint_frame(picture, door, angle)

    def _paint_frame(self, picture: Image, door: _Door, angle: float) -> None:
        hinge, free = (door.left, door.right) if door.hinge_left else (door.right, door.left)
        wide = abs(free - hinge)
        stile = _STILE_CM / wide
        shade = 1.0 - 0.25 * angle / _OPEN_DEGREES
        colour = tuple(c * shade for c in self._frame)
        bars = (
            (0.0, stile, 4.0, self._height),
            (1 - stile, 1.0, 4.0, self._height),
            (0.0, 1.0, 4.0, 4.0 + 4.5),
            (0.0, 1.0, self._height - 4.5, self._height),
        )
        for first, last, low, high in bars:
            self._fill(picture, self._quad(hinge, free, (first, last), (low, high), angle=angle), colour)
        grip = tuple(c * 0.35 for c in self._frame)
        self._fill(
            picture,
            self._quad(hinge, free, (1 - 2.2 * stile, 1 - 1.5 * stile), (92, 138), angle=angle, ahead=3.0),
            grip,
        )

    def _quad(
        self,
        hinge: float,
        free: float,
        across: tuple[float, float],
        up: tuple[float, float],
        *,
        angle: float,
        ahead: float = 0.0,
    ) -> NDArray[np.float64] | None:
        turned = np.radians(angle)
        points = []
        for share, y in ((across[0], up[0]), (across[1], up[0]), (across[1], up[1]), (across[0], up[1])):
            x = hinge + (free - hinge) * share * np.cos(turned) - np.sign(free - hinge) * ahead * np.sin(turned)
            z = _PLANE_CM + abs(free - hinge) * share * np.sin(turned) + ahead * np.cos(turned)
            points.append((x, y, z))
        polygon = self._camera.polygon(np.array(points))
        return self._camera.to_picture(polygon) if len(polygon) >= 3 else None

    @staticmethod
    def _fill(picture: Image, corners: NDArray[np.float64] | None, colour: tuple[float, ...]) -> None:
        if corners is not None:
            points = np.round(np.clip(corners, -3000, 6000) * 16).astype(np.int32)
            cv2.fillConvexPoly(picture, points, colour, cv2.LINE_AA, 4)
