"""Text and plates for annotated pictures: measured, anti-aliased, never over one another."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from shelfvision.edge.frame import Image

Colour = tuple[int, int, int]  # BGR
Box = tuple[int, int, int, int]  # x1, y1, x2, y2, ends exclusive

INK: Colour = (28, 24, 22)
PAPER: Colour = (250, 250, 248)
_FONT = cv2.FONT_HERSHEY_DUPLEX


@dataclass(frozen=True, slots=True)
class Letters:
    """One size of type."""

    scale: float

    def width(self, text: str) -> int:
        """Pixels that a text takes across."""
        return int(cv2.getTextSize(text, _FONT, self.scale, 1)[0][0])

    @property
    def height(self) -> int:
        """Pixels of a capital letter."""
        return int(cv2.getTextSize("H", _FONT, self.scale, 1)[0][1])

    def fitted(self, text: str, width: int) -> str:
        """The text, cut with ``..`` so that it takes no more than ``width``; empty when nothing fits."""
        if self.width(text) <= width:
            return text
        while text and self.width(text + "..") > width:
            text = text[:-1]
        return text + ".." if text else ""

    def write(self, image: Image, text: str, x: int, middle: int, colour: Colour) -> None:
        """Write a line that starts at ``x`` and whose capitals are centred on the row ``middle``."""
        baseline = middle + self.height // 2
        cv2.putText(image, text, (x, baseline), _FONT, self.scale, colour, 1, cv2.LINE_AA)


def fade(image: Image, box: Box, colour: Colour, strength: float) -> None:
    """Tint a part of the picture; ``strength`` 1 covers it."""
    x1, y1, x2, y2 = box
    part = image[max(y1, 0) : max(y2, 0), max(x1, 0) : max(x2, 0)]
    if part.size:
        part[:] = cv2.addWeighted(part, 1 - strength, np.full_like(part, colour), strength, 0)


def plate(image: Image, box: Box, colour: Colour, *, strength: float = 1.0, radius: int = 5) -> None:
    """A filled box with round corners."""
    x1, y1, x2, y2 = (max(0, side) for side in box)
    x2, y2 = min(x2, image.shape[1]), min(y2, image.shape[0])
    if x1 >= x2 or y1 >= y2:
        return
    part = image[y1:y2, x1:x2]
    mask = np.zeros(part.shape[:2], np.uint8)
    high, wide = y2 - y1, x2 - x1
    r = min(radius, wide // 2, high // 2)
    cv2.rectangle(mask, (r, 0), (wide - 1 - r, high - 1), 255, -1)
    cv2.rectangle(mask, (0, r), (wide - 1, high - 1 - r), 255, -1)
    for centre in ((r, r), (wide - 1 - r, r), (r, high - 1 - r), (wide - 1 - r, high - 1 - r)):
        cv2.circle(mask, centre, r, 255, -1, cv2.LINE_AA)
    share = mask.astype(np.float32)[..., None] * (strength / 255)
    part[:] = np.clip(part * (1 - share) + np.asarray(colour, np.float32) * share, 0, 255).astype(np.uint8)


class FreePlaces:
    """Finds places for labels that lie inside the picture and not over one another."""

    def __init__(self, size: tuple[int, int], *, gap: int = 4) -> None:
        self._width, self._height = size
        self._gap = gap
        self._taken: list[Box] = []

    def take(self, wanted: list[tuple[int, int]], size: tuple[int, int]) -> Box:
        """The box of a label of ``size`` at the first of the ``wanted`` upper left corners that is free.

        When none is, the label moves down and up from the first one, step by step, until it is free; a picture that is
        full keeps the first place.
        """
        width, height = size
        steps = range(0, self._height, max(height // 2, 1))
        x, y = wanted[0]
        spare = [(x, y + step * side) for step in steps for side in (1, -1)]
        boxes = [self._inside(corner, width, height) for corner in [*wanted, *spare]]
        box = next((box for box in boxes if self._free(box)), boxes[0])
        self._taken.append(box)
        return box

    def _inside(self, corner: tuple[int, int], width: int, height: int) -> Box:
        x = max(self._gap, min(corner[0], self._width - width - self._gap))
        y = max(self._gap, min(corner[1], self._height - height - self._gap))
        return x, y, x + width, y + height

    def _free(self, box: Box) -> bool:
        x1, y1, x2, y2 = box
        gap = self._gap
        return not any(
            x1 < right + gap and left < x2 + gap and y1 < bottom + gap and top < y2 + gap
            for left, top, right, bottom in self._taken
        )
