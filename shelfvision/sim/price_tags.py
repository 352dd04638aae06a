"""What hangs on a shelf to be read: price tags on their rail, offer cards, wobblers."""

from __future__ import annotations

import cv2
import numpy as np

from shelfvision.sim.fixture import Fixture
from shelfvision.sim.lettering import Style, write_small_print, write_word
from shelfvision.sim.palette import Colour, hsv, luminance, mix
from shelfvision.sim.pictures import Image, barcode, ellipse

_READABLE = 9  # pixels; lower price tags carry the price alone


def price_tag(
    width_cm: float, height_cm: float, pixels_per_cm: float, rng: np.random.Generator, *, offer: bool = False
) -> Image:
    """A price tag or an offer card."""
    width, height = max(round(width_cm * pixels_per_cm), 4), max(round(height_cm * pixels_per_cm), 3)
    paper: Colour = (245, 248, 248)
    if offer:
        paper = ((40, 220, 250), (40, 40, 215), (245, 248, 248), (60, 160, 60))[rng.integers(4)]
    elif rng.random() < 0.15:
        paper = (80, 225, 250)
    tag = np.empty((height, width, 3), np.uint8)
    tag[:] = paper
    ink: Colour = (30, 25, 25) if luminance(paper) > 130 else (250, 250, 250)
    price = f"{int(rng.integers(0, 30))}.{rng.choice(('99', '49', '29', '95', '79', '50'))}"
    write_word(tag, price, (width * 0.42, height * 0.12, width * 0.97, height * 0.75), ink, Style(800), align=1)
    small = (width * 0.05, height * 0.08, width * 0.42, height * 0.55)
    if height >= _READABLE:
        write_small_print(tag, small, max(height * 0.2, 2.0), ink, rng)
    if offer:
        write_word(
            tag,
            str(rng.choice(("SALE", "-25%", "2 + 1", "NEW", "TIP", "מבצע", "АКЦИЯ", "特価"))),
            (width * 0.05, height * 0.55, width * 0.45, height * 0.95),
            ink,
            Style(900),
        )
    elif height >= _READABLE:
        barcode(tag, (width * 0.05, height * 0.62, width * 0.4, height * 0.95), rng)
    tag[:1], tag[-1:] = tag[:1] // 2, tag[-1:] // 2
    return tag


def make_rail(
    fixture: Fixture, reach: tuple[float, float], tags: list[float], pixels_per_cm: float, rng: np.random.Generator
) -> Image:
    """The strip along a board's front edge with a price tag at each of the places ``tags`` (x in cm)."""
    p = pixels_per_cm
    width, height = max(round((reach[1] - reach[0]) * p), 4), max(round(fixture.rail * p), 3)
    ramp = np.interp(np.linspace(0, 1, height), (0, 0.12, 0.2, 0.9, 1), (1.12, 1.1, 0.98, 0.9, 0.6))
    column = np.clip(ramp[:, None, None] * np.asarray(fixture.rail_colour, float), 0, 255).astype(np.uint8)
    strip = np.asarray(cv2.copyMakeBorder(column, 0, 0, 0, width - 1, cv2.BORDER_REPLICATE), np.uint8)
    tag_height = fixture.rail * rng.uniform(0.72, 0.92)
    tag_width = tag_height * rng.uniform(1.3, 2.0)
    for x in tags:
        if rng.random() < 0.08:
            continue
        tag = price_tag(tag_width, tag_height, p, rng)
        left, top = round((x - reach[0]) * p), round((fixture.rail - tag_height) / 2 * p)
        if left < 0 or left + tag.shape[1] > width:
            continue
        part = strip[top : top + tag.shape[0], left : left + tag.shape[1]]
        part[:] = tag[: part.shape[0]]
    for x in fixture.uprights:
        joint = round((x - reach[0]) * p)
        if 1 <= joint < width - 1:
            strip[:, joint - 1 : joint + 1] = strip[:, joint - 1 : joint + 1] // 3
    return strip


def make_wobbler(size_px: int, rng: np.random.Generator) -> Image:
    """A round sign on a springy strip, (h, w, 4) with colour times cover."""
    size = max(size_px, 6)
    sign = np.zeros((size, size, 3), np.uint8)
    cover = np.zeros((size, size, 3), np.uint8)
    middle = size / 2 - 0.5
    colour = hsv(rng.choice((0.0, 0.15, 0.33, 0.6)), 0.85, 0.9)
    ellipse(cover, (middle, middle), (middle, middle), (255, 255, 255))
    sign[:] = colour
    ellipse(sign, (middle, middle), (middle * 0.85, middle * 0.85), mix(colour, (255, 255, 255), 0.2))
    write_word(
        sign,
        str(rng.choice(("NEW", "BIO", "-30%", "TOP", "1+1", "%"))),
        (size * 0.15, size * 0.3, size * 0.85, size * 0.7),
        (255, 255, 255),
        Style(900),
    )
    return np.dstack([cv2.multiply(sign, cover, scale=1 / 255), cover[..., 0]])
