"""Pictures with transparency, drawn large and made smaller so that their edges are smooth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from shelfvision.sim.stores import Colour, Look

Sprite = NDArray[np.float32]
"""(height, width, 4): blue, green, red multiplied by alpha, 0..255, and alpha 0..1."""

_OVERSAMPLING = 4


class Canvas:
    """Draws in layout pixels on a picture that is ``scale`` times finer and oversampled on top of it."""

    def __init__(self, width: float, height: float, scale: float) -> None:
        self._zoom = scale * _OVERSAMPLING
        self._target = (max(1, round(width * scale)), max(1, round(height * scale)))
        shape = (self._target[1] * _OVERSAMPLING, self._target[0] * _OVERSAMPLING)
        self._colour = np.zeros((*shape, 3), np.float32)
        self._alpha = np.zeros(shape, np.float32)

    def _points(self, points: Sequence[tuple[float, float]]) -> NDArray[np.int32]:
        return np.round(np.asarray(points, float) * self._zoom).astype(np.int32)

    def _mask(self, points: Sequence[tuple[float, float]]) -> NDArray[np.float32]:
        mask = np.zeros(self._alpha.shape, np.uint8)
        cv2.fillPoly(mask, [self._points(points)], 255)
        return _share(mask)

    def polygon(
        self, points: Sequence[tuple[float, float]], colour: Colour, *, shade: NDArray[np.float32] | None = None
    ) -> None:
        """Fill a polygon; ``shade`` (broadcast over the canvas) multiplies the colour."""
        self._paint(self._mask(points), colour, shade)

    def ellipse(
        self,
        centre: tuple[float, float],
        axes: tuple[float, float],
        colour: Colour,
        *,
        angle: float = 0,
        shade: NDArray[np.float32] | None = None,
    ) -> None:
        """Fill an ellipse with the given half axes, turned by ``angle`` degrees."""
        mask = np.zeros(self._alpha.shape, np.uint8)
        middle, half = self._points([centre])[0], self._points([axes])[0]
        cv2.ellipse(mask, middle.tolist(), np.maximum(half, 1).tolist(), angle, 0, 360, 255, -1)
        self._paint(_share(mask), colour, shade)

    def capsule(
        self,
        start: tuple[float, float],
        end: tuple[float, float],
        width: float,
        colour: Colour,
        *,
        shade: NDArray[np.float32] | None = None,
    ) -> None:
        """A thick line with round ends."""
        mask = np.zeros(self._alpha.shape, np.uint8)
        first, last = self._points([start, end])
        cv2.line(mask, first.tolist(), last.tolist(), 255, max(1, round(width * self._zoom)))
        self._paint(_share(mask), colour, shade)

    def text(self, text: str, centre: tuple[float, float], width: float, colour: Colour) -> None:
        """One word, ``width`` wide, its middle at ``centre``."""
        font, thickness = cv2.FONT_HERSHEY_DUPLEX, 1
        (unit, _), _ = cv2.getTextSize(text, font, 1.0, thickness)
        size = width * self._zoom / max(unit, 1)
        thickness = max(1, round(size * 1.8))
        (wide, high), _ = cv2.getTextSize(text, font, size, thickness)
        middle = self._points([centre])[0]
        mask = np.zeros(self._alpha.shape, np.uint8)
        origin = (int(middle[0] - wide / 2), int(middle[1] + high / 2))
        cv2.putText(mask, text, origin, font, size, 255, thickness, cv2.LINE_AA)
        self._paint(_share(mask), colour, None)

    def cylinder(self, left: float, right: float, *, strength: float = 0.55) -> NDArray[np.float32]:
        """Shading across an upright cylinder: darker to the sides, a soft highlight left of the middle."""
        columns = np.arange(self._alpha.shape[1], dtype=np.float32) / self._zoom
        across = np.clip((columns - left) / max(right - left, 1e-6), 0, 1) * 2 - 1
        body = 1 - strength * across**2 * 0.9
        highlight = 0.28 * np.exp(-(((across + 0.38) / 0.17) ** 2))
        return np.asarray((body + highlight)[None, :, None], np.float32)

    def ramp(self, top: float, bottom: float) -> NDArray[np.float32]:
        """Shading from one brightness at the top to another at the bottom."""
        return np.linspace(top, bottom, self._alpha.shape[0], dtype=np.float32)[:, None, None]

    def _paint(self, mask: NDArray[np.float32], colour: Colour, shade: NDArray[np.float32] | None) -> None:
        paint = np.clip(np.asarray(colour, np.float32) * (1.0 if shade is None else shade), 0, 255)
        keep = (1 - mask)[..., None]
        self._colour = self._colour * keep + paint * mask[..., None]
        self._alpha = self._alpha * keep[..., 0] + mask

    def sprite(self) -> Sprite:
        """What was drawn, at the target's resolution."""
        full = np.dstack([self._colour, self._alpha])
        return as_floats(cv2.resize(full, self._target, interpolation=cv2.INTER_AREA))


def as_floats(array: Any) -> NDArray[np.float32]:
    """What cv2 returns, as the type that it really has."""
    return np.asarray(array, np.float32)


def _share(mask: NDArray[np.uint8]) -> NDArray[np.float32]:
    return as_floats(mask) / np.float32(255)


def product_sprite(look: Look, scale: float) -> Sprite:
    """One unit of a product from the front."""
    canvas = Canvas(look.width, look.height, scale)
    {"bottle": _bottle, "can": _can, "carton": _carton}[look.form](canvas, look)
    return canvas.sprite()


def _darker(colour: Colour, by: float) -> Colour:
    blue, green, red = (min(255, round(part * by)) for part in colour)
    return blue, green, red


def _bottle(canvas: Canvas, look: Look) -> None:
    w, h = look.width, look.height
    neck, shade = w * 0.17, canvas.cylinder(0, w)
    profile = [(0.5, 0.06), (0.5, 0.2), (0.62, 0.26), (0.88, 0.36), (1.0, 0.44), (1.0, 0.97), (0.94, 1.0)]
    right = [(w / 2 + neck if x == 0.5 else w / 2 + w / 2 * x, h * y) for x, y in profile]
    canvas.polygon([*right, *[(w - x, y) for x, y in reversed(right)]], look.body, shade=shade)
    canvas.polygon(
        _rect(w / 2 - neck * 1.12, 0, w / 2 + neck * 1.12, h * 0.085), _darker(look.accent, 0.8), shade=shade
    )
    canvas.polygon(_rect(w * 0.02, h * 0.5, w * 0.98, h * 0.86), look.accent, shade=canvas.cylinder(0, w, strength=0.4))
    canvas.polygon(_rect(w * 0.02, h * 0.8, w * 0.98, h * 0.835), _darker(look.body, 1.2), shade=shade)
    canvas.text(look.text, (w / 2, h * 0.65), w * 0.7, _darker(look.body, 0.75))


def _can(canvas: Canvas, look: Look) -> None:
    w, h = look.width, look.height
    lip, shade = h * 0.055, canvas.cylinder(0, w)
    steel = (198, 196, 192)
    canvas.ellipse((w / 2, h - lip), (w / 2, lip), steel, shade=shade)
    canvas.polygon(_rect(0, lip, w, h - lip), steel, shade=shade)
    canvas.polygon(_rect(0, h * 0.09, w, h * 0.93), look.body, shade=shade)
    canvas.polygon(_rect(0, h * 0.09, w, h * 0.34), look.accent, shade=canvas.cylinder(0, w, strength=0.4))
    canvas.ellipse((w / 2, h * 0.62), (w * 0.27, w * 0.27), look.accent, shade=canvas.cylinder(0, w, strength=0.3))
    canvas.ellipse((w / 2, h * 0.62), (w * 0.19, w * 0.19), _darker(look.body, 0.85))
    canvas.text(look.text, (w / 2, h * 0.215), w * 0.72, _darker(look.body, 0.8))
    canvas.ellipse((w / 2, lip), (w / 2, lip), (226, 224, 220), shade=shade)
    canvas.ellipse((w / 2, lip), (w / 2 * 0.86, lip * 0.7), (168, 166, 162), shade=shade)


def _carton(canvas: Canvas, look: Look) -> None:
    w, h = look.width, look.height
    side = w * 0.1
    canvas.polygon(_rect(0, 0, w - side, h), look.body, shade=canvas.ramp(1.1, 0.86))
    canvas.polygon([(w - side, 0), (w, h * 0.02), (w, h * 0.985), (w - side, h)], _darker(look.body, 0.62))
    front = w - side
    canvas.polygon(_rect(0, h * 0.12, front, h * 0.36), look.accent, shade=canvas.ramp(1.06, 0.9))
    light = (240, 244, 246) if sum(look.accent) < 420 else _darker(look.body, 0.7)
    canvas.text(look.text, (front / 2, h * 0.24), front * 0.8, light)
    canvas.ellipse((front * 0.5, h * 0.66), (front * 0.3, h * 0.17), _darker(look.accent, 1.1))
    canvas.ellipse((front * 0.42, h * 0.62), (front * 0.12, h * 0.07), light)
    canvas.polygon(_rect(front * 0.08, h * 0.9, front * 0.5, h * 0.925), _darker(look.body, 0.55))


def _rect(x1: float, y1: float, x2: float, y2: float) -> list[tuple[float, float]]:
    return [(x1, y1), (x2, y1), (x2, y2), (x1, y2)]


HAND_WIDTH, HAND_REACH = 110.0, 470.0  # of the hand's sprite; the middle of the grip is at (GRIP_X, GRIP_Y)
GRIP_X, GRIP_Y = 55.0, 34.0


def hand_sprite(skin: Colour, sleeve: Colour, scale: float, *, closed: bool) -> Sprite:
    """A hand with a forearm in a sleeve, reaching up; open with spread fingers, or closed around something."""
    canvas = Canvas(HAND_WIDTH, HAND_REACH, scale)
    arm = canvas.cylinder(14, 96, strength=0.5)
    round_ = canvas.cylinder(26, 84, strength=0.42)
    # forearm and sleeve
    canvas.polygon([(38, 92), (72, 92), (80, 190), (32, 190)], _darker(skin, 0.94), shade=round_)
    canvas.polygon([(28, 162), (84, 162), (104, HAND_REACH), (8, HAND_REACH)], sleeve, shade=arm)
    canvas.polygon([(26, 156), (86, 156), (87, 172), (25, 172)], _darker(sleeve, 0.72), shade=arm)
    # palm
    canvas.ellipse((55, 74), (25, 31), skin, shade=round_)
    tips = (
        [((38, 66), (31, 22)), ((49, 60), (46, 8)), ((60, 60), (63, 9)), ((70, 66), (77, 22))]
        if not closed
        else [((36, 62), (33, 40)), ((48, 58), (47, 30)), ((61, 58), (62, 31)), ((72, 63), (74, 42))]
    )
    for base, tip in tips:
        canvas.capsule(base, tip, 13.5, _darker(skin, 0.8))
        canvas.capsule(base, tip, 11.5, skin, shade=round_)
        canvas.capsule(tip, tip, 6.5, _darker(skin, 1.1))
    thumb = ((34, 88), (12, 62)) if not closed else ((32, 88), (22, 58))
    canvas.capsule(*thumb, 15, _darker(skin, 0.82))
    canvas.capsule(*thumb, 13, skin, shade=round_)
    return canvas.sprite()
