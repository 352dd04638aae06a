"""Draws a simulated shelf: furniture, units, hands, shadows, light and noise."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from shelfvision.sim.sprites import GRIP_X, GRIP_Y, Sprite, as_floats, hand_sprite, product_sprite
from shelfvision.sim.stores import BASE_SIZE, Colour, SimulatedStore

Picture = NDArray[np.uint8]
"""(height, width, 3), BGR."""

_SKINS: tuple[Colour, ...] = ((150, 182, 226), (120, 156, 206), (84, 118, 168), (58, 82, 124))
_SLEEVES: tuple[Colour, ...] = ((128, 78, 44), (60, 60, 66), (54, 60, 152), (146, 140, 132), (96, 104, 46))
STAFF_SLEEVE: Colour = (70, 132, 52)
_NOISE_MARGIN = 64  # pixels
_NOISE = 2.2  # standard deviation, grey levels


@dataclass(frozen=True, slots=True)
class Hand:
    """A hand in the picture; positions in layout pixels."""

    x: float  # middle of the grip
    y: float
    lean: float  # degrees the forearm leans; positive: it comes from the right
    person: int  # decides skin and sleeve; -1 is staff
    closed: bool
    carries: str | None = None  # slot id whose product it holds


@dataclass(frozen=True, slots=True)
class View:
    """All that a picture shows."""

    time: float  # seconds since the start
    index: int  # of the frame
    units: dict[str, tuple[bool, ...]]  # slot id to which places hold a unit
    hands: tuple[Hand, ...]


class Scene:
    """Renders the views of one store. The same seed and view give the same picture."""

    def __init__(self, store: SimulatedStore, seed: int) -> None:
        self.store = store
        self._scale = store.scale
        random = np.random.default_rng([seed, 1])
        self._phases = random.uniform(0, 2 * math.pi, 2)
        # one tile larger than the picture; each frame looks at another place of it
        wide, high = store.size
        self._noise = random.normal(0, _NOISE, (high + _NOISE_MARGIN, wide + _NOISE_MARGIN, 3)).astype(np.int16)
        self._noise_order = random.integers(0, 2**31, 2)
        self._products = {slot.id: product_sprite(slot.look, self._scale) for slot in store.slots}
        self._hands: dict[tuple[int, bool], Sprite] = {}
        self._furniture = self._draw_furniture()
        self._stocked: tuple[dict[str, tuple[bool, ...]], Picture] | None = None

    def render(self, view: View) -> Picture:
        """The picture of a view."""
        picture = self._with_units(view.units).copy()
        for hand in view.hands:
            self._draw_hand(picture, hand)
        return self._as_filmed(picture, view)

    def _with_units(self, units: dict[str, tuple[bool, ...]]) -> Picture:
        if self._stocked is None or self._stocked[0] != units:
            picture = self._furniture.copy()
            for slot in self.store.slots:
                for place, there in enumerate(units[slot.id]):
                    if there:
                        middle, foot = slot.place(place), slot.floor
                        self._contact_shadow(picture, middle, foot, slot.look.width)
                        self._put(
                            picture, self._products[slot.id], middle - slot.look.width / 2, foot - slot.look.height
                        )
            self._stocked = (dict(units), picture)
        return self._stocked[1]

    def _put(self, picture: Picture, sprite: Sprite, x: float, y: float) -> None:
        """Lay a sprite over the picture with its upper left corner at layout ``(x, y)``."""
        left, top = round(x * self._scale), round(y * self._scale)
        high, wide = sprite.shape[:2]
        x1, y1 = max(left, 0), max(top, 0)
        x2, y2 = min(left + wide, picture.shape[1]), min(top + high, picture.shape[0])
        if x1 >= x2 or y1 >= y2:
            return
        _lay_over(picture[y1:y2, x1:x2], sprite[y1 - top : y2 - top, x1 - left : x2 - left])

    def _contact_shadow(self, picture: Picture, middle: float, foot: float, width: float) -> None:
        s = self._scale
        x1, x2 = round((middle - width * 0.6) * s), round((middle + width * 0.66) * s)
        y1, y2 = round((foot - 5) * s), round((foot + 3) * s)
        x1, x2 = max(x1, 0), min(x2, picture.shape[1])
        if x1 >= x2:
            return
        across = np.linspace(-1, 1, x2 - x1, dtype=np.float32)[None, :]
        down = np.linspace(-1, 1, y2 - y1, dtype=np.float32)[:, None]
        dark = 1 - 0.42 * np.clip(1 - across**4, 0, 1) * np.clip(1 - down**2, 0, 1)
        part = picture[y1:y2, x1:x2]
        part[:] = (part * dark[..., None]).astype(np.uint8)

    def _draw_hand(self, picture: Picture, hand: Hand) -> None:
        sprite = self._hand(hand.person, closed=hand.closed)
        turn: NDArray[np.float64] = np.asarray(
            cv2.getRotationMatrix2D((GRIP_X * self._scale, GRIP_Y * self._scale), -hand.lean, 1.0), np.float64
        )
        turn[:, 2] += (np.array([hand.x, hand.y]) - np.array([GRIP_X, GRIP_Y])) * self._scale
        corners = np.array([[0, 0], [sprite.shape[1], 0], [0, sprite.shape[0]], [sprite.shape[1], sprite.shape[0]]])
        reach = corners @ turn[:, :2].T + turn[:, 2]
        x1, y1 = np.maximum(np.floor(reach.min(axis=0)).astype(int), 0).tolist()
        x2, y2 = np.minimum(np.ceil(reach.max(axis=0)).astype(int), (picture.shape[1], picture.shape[0])).tolist()
        if x1 >= x2 or y1 >= y2:
            return
        turn[:, 2] -= np.array([x1, y1])
        placed = as_floats(cv2.warpAffine(sprite, turn, (x2 - x1, y2 - y1), flags=cv2.INTER_LINEAR))
        self._cast_shadow(picture, placed, (x1, y1))
        if hand.carries is not None:
            look = self.store.slot(hand.carries).look
            self._put(picture, self._products[hand.carries], hand.x - look.width / 2, hand.y - look.height * 0.42)
        _lay_over(picture[y1:y2, x1:x2], placed)

    def _cast_shadow(self, picture: Picture, hand: Sprite, corner: tuple[int, int]) -> None:
        """A soft shadow up and left of the hand, on what lies behind it."""
        coarse = 4  # the shadow is so soft that a quarter of the resolution shows all of it
        spread, away = 24 * self._scale, 9 * self._scale
        pad = spread // coarse
        high, wide = (max(side // coarse, 1) for side in hand.shape[:2])
        alpha = cv2.resize(cv2.extractChannel(hand, 3), (wide, high))
        alpha = cv2.copyMakeBorder(alpha, pad, pad, pad, pad, cv2.BORDER_CONSTANT)
        alpha = cv2.GaussianBlur(alpha, (0, 0), 2.2 * self._scale)
        dark = cv2.cvtColor(1 - 0.3 * alpha, cv2.COLOR_GRAY2BGR)
        dark = cv2.resize(dark, None, fx=coarse, fy=coarse)
        x, y = corner[0] - spread - away, corner[1] - spread - away // 2
        x1, y1 = max(x, 0), max(y, 0)
        part = picture[y1 : y + dark.shape[0], x1 : x + dark.shape[1]]
        if part.size:
            dark = dark[y1 - y : y1 - y + part.shape[0], x1 - x : x1 - x + part.shape[1]]
            part[:] = cv2.multiply(part, dark, dtype=cv2.CV_8U)

    def _hand(self, person: int, *, closed: bool) -> Sprite:
        key = (person, closed)
        if key not in self._hands:
            skin = _SKINS[person % len(_SKINS)]
            sleeve = STAFF_SLEEVE if person < 0 else _SLEEVES[person % len(_SLEEVES)]
            self._hands[key] = hand_sprite(skin, sleeve, self._scale, closed=closed)
        return self._hands[key]

    def _as_filmed(self, picture: Picture, view: View) -> Picture:
        slow, slower = self._phases
        gain = 1 + 0.025 * math.sin(view.time / 17 + slow) + 0.02 * math.sin(view.time / 53 + slower)
        x, y = np.random.default_rng([*self._noise_order, view.index]).integers(0, _NOISE_MARGIN, 2).tolist()
        noise = self._noise[y : y + picture.shape[0], x : x + picture.shape[1]]
        lit = cv2.convertScaleAbs(picture, alpha=gain)
        return np.asarray(cv2.add(lit, noise, dtype=cv2.CV_8U), np.uint8)

    def _draw_furniture(self) -> Picture:
        """Back panel, boards, price rails and the dark floor below, drawn oversampled."""
        s, over = self._scale, 2
        zoom = s * over
        wide, high = BASE_SIZE[0] * zoom, BASE_SIZE[1] * zoom
        picture = np.empty((high, wide, 3), np.float32)
        picture[:] = (196, 200, 202)
        x = np.linspace(-1, 1, wide, dtype=np.float32)[None, :, None]
        picture *= 1.03 - 0.13 * x**2
        for seam in range(40, BASE_SIZE[0], 80):  # perforated uprights of the back panel
            picture[:, seam * zoom : seam * zoom + zoom] *= 0.93
            for hole in range(6, BASE_SIZE[1], 14):
                picture[hole * zoom : (hole + 5) * zoom, (seam - 3) * zoom : (seam - 1) * zoom] *= 0.72
        for top, board in zip((-14.0, *(y + 30 for y in self.store.boards)), self.store.boards, strict=False):
            y1, y2 = round(top * zoom), round(board * zoom)
            y1 = max(y1, 0)
            depth = np.linspace(0, 1, max(y2 - y1, 1), dtype=np.float32)[:, None, None]
            picture[y1:y2] *= 0.66 + 0.36 * np.clip(depth * 2.6, 0, 1)  # the board above keeps the light off
        for board in self.store.boards:
            self._draw_board(picture, board, zoom)
        last = round((self.store.boards[-1] + 30) * zoom)
        picture[last:] = (72, 76, 80)
        fade = np.linspace(0.5, 0.9, max(high - last, 1), dtype=np.float32)[:, None, None]
        picture[last:] *= fade[: high - last]
        small = cv2.resize(picture, self.store.size, interpolation=cv2.INTER_AREA)
        drawn = np.clip(small, 0, 255).astype(np.uint8)
        self._draw_prices(drawn)
        return drawn

    def _draw_board(self, picture: NDArray[np.float32], board: float, zoom: int) -> None:
        top = round((board - 6) * zoom)
        front, rail, end = (round((board + drop) * zoom) for drop in (4, 9, 30))
        grain = np.random.default_rng(7).normal(0, 1, (1, picture.shape[1], 1)).astype(np.float32)
        grain = as_floats(cv2.GaussianBlur(grain, (0, 0), 9 * zoom)).reshape(1, -1, 1)
        grain /= max(float(np.abs(grain).max()), 1e-6)
        picture[top:front] = np.array((166, 192, 214), np.float32) * (1 + 0.03 * grain)
        picture[top:front] *= np.linspace(0.82, 1.02, front - top, dtype=np.float32)[:, None, None]
        picture[front:rail] = np.array((116, 146, 172), np.float32) * (1 + 0.04 * grain)
        picture[rail:end] = (204, 204, 202)
        picture[rail:end] *= np.linspace(1.06, 0.84, end - rail, dtype=np.float32)[:, None, None]
        picture[end - zoom : end] *= 0.6

    def _draw_prices(self, picture: Picture) -> None:
        s = self._scale
        for slot in self.store.slots:
            x1, y1 = round((slot.centre - 23) * s), round((slot.floor + 11) * s)
            x2, y2 = round((slot.centre + 23) * s), round((slot.floor + 27) * s)
            cv2.rectangle(picture, (x1, y1), (x2, y2), (248, 250, 250), -1)
            cv2.rectangle(picture, (x1, y1), (x2, y2), (150, 150, 150), 1, cv2.LINE_AA)
            text, font, size = f"{slot.product.price:.2f}", cv2.FONT_HERSHEY_DUPLEX, 0.4 * s
            (wide, tall), _ = cv2.getTextSize(text, font, size, s)
            at = (round((x1 + x2 - wide) / 2), round((y1 + y2 + tall) / 2))
            cv2.putText(picture, text, at, font, size, (40, 36, 34), s, cv2.LINE_AA)


def _lay_over(under: Picture, sprite: Sprite) -> None:
    """Blend a sprite over a picture of the same size, in place."""
    clear = cv2.cvtColor(1 - cv2.extractChannel(sprite, 3), cv2.COLOR_GRAY2BGR)
    behind = cv2.multiply(under, clear, dtype=cv2.CV_32F)
    under[:] = cv2.add(behind, np.ascontiguousarray(sprite[..., :3]), dtype=cv2.CV_8U)
