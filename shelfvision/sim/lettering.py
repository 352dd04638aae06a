"""Words painted on pictures: sized to a box, with outlines, shadows, plates, slant and small print.

OpenCV 5 carries TrueType fonts with Latin, Cyrillic, Greek, Hebrew, Arabic, Chinese, Japanese and Korean. Older
versions have Latin strokes only; there a word in another script becomes a row of strokes that looks like writing.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from shelfvision.sim.palette import Colour
from shelfvision.sim.words import SMALL_PRINT

Image = NDArray[np.uint8]
_REFERENCE = 40  # size at which words are measured


@dataclass(frozen=True, slots=True)
class Style:
    """How a word looks."""

    weight: int = 700  # 100 thin to 900 heavy
    italic: bool = False
    outline: Colour | None = None
    shadow: Colour | None = None


@lru_cache(maxsize=4)
def _font(italic: bool) -> Any:
    return cv2.FontFace("italic" if italic else "sans") if hasattr(cv2, "FontFace") else None


@lru_cache(maxsize=4096)
def _extent(word: str, weight: int, italic: bool) -> tuple[int, int, int, int]:
    """Box ``(x, y, width, height)`` of the inked part of a word at the reference size, from its origin."""
    font = _font(italic)
    if font is None:
        (width, height), below = cv2.getTextSize(_latin(word), cv2.FONT_HERSHEY_DUPLEX, _REFERENCE / 30, 3)
        return 0, -height, max(width, 1), height + below
    x, y, width, height = cv2.getTextSize((4000, 200), word, (0, 0), font, _REFERENCE, weight)
    return x, y, max(width, 1), max(height, 1)


def _latin(word: str) -> str:
    return "".join(letter if letter.isascii() else "HMNIE"[ord(letter) % 5] for letter in word)


def word_aspect(word: str, style: Style = Style()) -> float:
    """Width of a word divided by its height."""
    _, _, width, height = _extent(word, style.weight, style.italic)
    return width / height


def _put(
    image: Image, word: str, origin: tuple[int, int], *, size: int, colour: Colour, style: Style, swell: int = 0
) -> None:
    font = _font(style.italic)
    if font is None:
        thickness = max(1, round(size * style.weight / 9000)) + swell
        cv2.putText(image, _latin(word), origin, cv2.FONT_HERSHEY_DUPLEX, size / 30, colour, thickness, cv2.LINE_AA)
    elif swell:
        for dx, dy in ((-swell, 0), (swell, 0), (0, -swell), (0, swell)):
            cv2.putText(image, word, (origin[0] + dx, origin[1] + dy), colour, font, size, style.weight)
    else:
        cv2.putText(image, word, origin, colour, font, size, style.weight)


def write_word(
    image: Image,
    word: str,
    box: tuple[float, float, float, float],
    colour: Colour,
    style: Style = Style(),
    *,
    align: float = 0.5,
) -> None:
    """Write a word as large as fits into a box.

    Args:
        image: (h, w, 3) picture, painted in place.
        word: what to write.
        box: left, top, right, bottom in pixels.
        colour: of the letters.
        style: weight, slant, outline, shadow.
        align: 0 at the left of the box, 0.5 in the middle, 1 at the right.
    """
    left, top, right, bottom = box
    x, y, width, height = _extent(word, style.weight, style.italic)
    factor = min((right - left) / width, (bottom - top) / height)
    size = int(_REFERENCE * factor)
    if size < 3:
        # too small to read: a grey line keeps the look of print
        if bottom - top >= 1 and right - left >= 2:
            middle = round((top + bottom) / 2)
            cv2.line(image, (round(left), middle), (round(right), middle), colour, 1)
        return
    factor = size / _REFERENCE
    origin_x = round(left + (right - left - width * factor) * align - x * factor)
    origin_y = round((top + bottom - height * factor) / 2 - y * factor)
    if style.shadow is not None and size >= 10:
        offset = max(1, size // 18)
        _put(image, word, (origin_x + offset, origin_y + offset), size=size, colour=style.shadow, style=style)
    if style.outline is not None and size >= 10:
        swell = max(1, size // 22)
        _put(image, word, (origin_x, origin_y), size=size, colour=style.outline, style=style, swell=swell)
    _put(image, word, (origin_x, origin_y), size=size, colour=colour, style=style)


def write_small_print(
    image: Image, box: tuple[float, float, float, float], line_height: float, colour: Colour, rng: np.random.Generator
) -> None:
    """Fill a box with lines of small print; under five pixels a line they are drawn as broken strokes."""
    left, top, right, bottom = box
    lines = int((bottom - top) / line_height)
    for line in range(lines):
        y = top + (line + 0.75) * line_height
        end = right if line < lines - 1 else left + (right - left) * rng.uniform(0.3, 0.9)
        if line_height < 5:
            cv2.line(image, (int(left), int(y)), (int(end), int(y)), colour, 1)
            continue
        start = int(rng.integers(0, 300))
        letters = max(3, int((end - left) / (line_height * 0.42)))
        words = SMALL_PRINT[start : start + letters]
        _put(image, words, (int(left), int(y)), size=int(line_height * 0.8), colour=colour, style=Style(400))
