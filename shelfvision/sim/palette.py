"""Colour schemes of packaging, drawn in HSV because brands choose hue and saturation, not red, green and blue."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass

import numpy as np

Colour = tuple[int, int, int]  # blue, green, red, 0 to 255 as OpenCV wants them


@dataclass(frozen=True, slots=True)
class Scheme:
    """The colours of one brand line."""

    base: Colour  # most of the surface
    second: Colour  # bands, panels, lids
    accent: Colour  # what tells flavours apart
    ink: Colour  # words on ``base``
    paper: Colour  # light panels behind small print


def hsv(hue: float, saturation: float, value: float) -> Colour:
    """A colour from hue (any real number, one turn is 1), saturation and value in [0, 1]."""
    red, green, blue = colorsys.hsv_to_rgb(hue % 1.0, min(max(saturation, 0.0), 1.0), min(max(value, 0.0), 1.0))
    return round(255 * blue), round(255 * green), round(255 * red)


def luminance(colour: Colour) -> float:
    """Perceived lightness in [0, 255] by the Rec. 601 weights."""
    return 0.114 * colour[0] + 0.587 * colour[1] + 0.299 * colour[2]


def mix(first: Colour, second: Colour, share: float) -> Colour:
    """``first`` with ``share`` of ``second`` in it."""
    (b1, g1, r1), (b2, g2, r2) = first, second
    return round(b1 + (b2 - b1) * share), round(g1 + (g2 - g1) * share), round(r1 + (r2 - r1) * share)


def ink_on(colour: Colour, rng: np.random.Generator) -> Colour:
    """A colour that can be read on ``colour``."""
    if luminance(colour) > 140:
        return hsv(rng.random(), 0.9, 0.35) if rng.random() < 0.35 else (25, 22, 24)
    return (int(rng.integers(90, 180)), 215, 245) if rng.random() < 0.25 else (248, 250, 250)


# hues that packaging uses much more often than chance would: red, orange, yellow, green, blue, violet
_BRAND_HUES = (0.0, 0.0, 0.02, 0.07, 0.12, 0.14, 0.3, 0.36, 0.42, 0.55, 0.6, 0.63, 0.65, 0.78, 0.92)


def accent_colour(rng: np.random.Generator) -> Colour:
    """A saturated colour such as tells one flavour from another."""
    hue = _BRAND_HUES[rng.integers(len(_BRAND_HUES))] + rng.normal(0, 0.02)
    return hsv(hue, rng.uniform(0.6, 1.0), rng.uniform(0.45, 0.95))


def make_scheme(rng: np.random.Generator) -> Scheme:
    """A random scheme of one of the kinds met in shops: saturated, white, dark with metal, natural, pastel."""
    hue = _BRAND_HUES[rng.integers(len(_BRAND_HUES))] + rng.normal(0, 0.015)
    other = hue + rng.choice((0.08, -0.08, 0.33, 0.5, 0.55))
    kind = rng.random()
    if kind < 0.5:
        base = hsv(hue, rng.uniform(0.7, 1.0), rng.uniform(0.4, 0.9))
        second = hsv(other, rng.uniform(0.3, 0.95), rng.uniform(0.6, 1.0))
    elif kind < 0.68:
        base = (int(rng.integers(225, 252)), int(rng.integers(232, 252)), int(rng.integers(236, 253)))
        second = hsv(hue, rng.uniform(0.6, 1.0), rng.uniform(0.4, 0.9))
    elif kind < 0.82:
        base = hsv(hue, rng.uniform(0.2, 0.8), rng.uniform(0.06, 0.22))
        second = hsv(0.12 + rng.normal(0, 0.01), rng.uniform(0.4, 0.65), rng.uniform(0.65, 0.9))
    elif kind < 0.9:
        base = hsv(0.09 + rng.normal(0, 0.01), rng.uniform(0.25, 0.5), rng.uniform(0.6, 0.85))
        second = hsv(hue, rng.uniform(0.5, 0.9), rng.uniform(0.25, 0.6))
    else:
        base = hsv(hue, rng.uniform(0.12, 0.35), rng.uniform(0.85, 1.0))
        second = hsv(other, rng.uniform(0.5, 0.9), rng.uniform(0.5, 0.9))
    paper = mix((245, 250, 252), base, rng.uniform(0.0, 0.12))
    return Scheme(base, second, accent_colour(rng), ink_on(base, rng), paper)
