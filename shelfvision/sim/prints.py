"""The printed design of a product: what stands on its front and its back, painted at any resolution.

A ``Design`` is a handful of numbers and words, so thousands fit in memory; pixels exist only once somebody looks.
Near-twins share everything but the flavour: accent colour, flavour word, picture colour.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from shelfvision.sim.byte_cache import ByteCache
from shelfvision.sim.lettering import Style, word_aspect, write_small_print, write_word
from shelfvision.sim.palette import Colour, Scheme, accent_colour, ink_on, luminance, make_scheme, mix
from shelfvision.sim.photographs import load_photograph
from shelfvision.sim.pictures import PICTURES, Box, Image, barcode, ellipse, pictogram, polygon
from shelfvision.sim.print_backgrounds import BACKGROUNDS, paint_background
from shelfvision.sim.words import Wording

_KEPT = 16.0  # pixels a centimetre at which prints are painted and kept, and halved from there
_COARSEST = 2.0
PLATES = ("none", "none", "oval", "bar", "band", "slant")
BADGES = ("none", "none", "circle", "star", "flag")


@dataclass(frozen=True, slots=True)
class Design:
    """Everything that decides how a print looks."""

    scheme: Scheme
    wording: Wording
    background: str
    plate: str
    badge: str
    picture: str
    picture_colour: Colour
    picture_frame: str  # none, oval, box, or bleed: over the edges
    brand_style: Style
    brand_top: float  # share of the height above the brand
    brand_height: float
    photograph: Path | None  # a texture whose crop is the picture
    crop: tuple[float, float, float]  # left, top, size as shares of the photograph
    seed: int


def make_design(wording: Wording, photographs: list[Path], rng: np.random.Generator) -> Design:
    """A random design for one brand line."""
    scheme = make_scheme(rng)
    style = Style(
        weight=int(rng.choice((500, 700, 800, 900))),
        italic=bool(rng.random() < 0.25),
        outline=scheme.second if rng.random() < 0.25 else None,
        shadow=(20, 20, 20) if rng.random() < 0.2 else None,
    )
    return Design(
        scheme=scheme,
        wording=wording,
        background=str(rng.choice(BACKGROUNDS)),
        plate=str(rng.choice(PLATES)),
        badge=str(rng.choice(BADGES)),
        picture=str(rng.choice(tuple(PICTURES))),
        picture_colour=accent_colour(rng),
        picture_frame=str(rng.choice(("none", "oval", "box", "bleed", "bleed"))),
        brand_style=style,
        brand_top=float(rng.uniform(0.05, 0.16) if rng.random() < 0.75 else rng.uniform(0.35, 0.5)),
        brand_height=float(rng.uniform(0.1, 0.24)),
        photograph=photographs[int(rng.integers(len(photographs)))] if photographs and rng.random() < 0.6 else None,
        crop=(float(rng.random()), float(rng.random()), float(rng.uniform(0.25, 0.8))),
        seed=int(rng.integers(2**31)),
    )


def other_flavour(design: Design, wording: Wording, rng: np.random.Generator) -> Design:
    """A near-twin: the same brand and layout in another flavour."""
    scheme = design.scheme
    accent = accent_colour(rng)
    kind = rng.random()
    if kind < 0.3:  # the whole pack changes colour
        base = mix(accent, scheme.base, 0.15)
        scheme = replace(scheme, base=base, ink=ink_on(base, rng), accent=scheme.base)
    elif kind < 0.65:
        scheme = replace(scheme, second=accent, accent=accent)
    else:
        scheme = replace(scheme, accent=accent)
    crop = (float(rng.random()), float(rng.random()), design.crop[2])
    return replace(design, scheme=scheme, wording=wording, picture_colour=accent, crop=crop)


def paint_front(design: Design, width_cm: float, height_cm: float, pixels_per_cm: float) -> Image:
    """The front print.

    Returns:
        (height_cm * pixels_per_cm, width_cm * pixels_per_cm, 3) BGR, at least 4x4; not to be written to.
    """
    return _sized(_front, design, width_cm, height_cm, pixels_per_cm)


def paint_back(design: Design, width_cm: float, height_cm: float, pixels_per_cm: float) -> Image:
    """The back or side print: nutrition table, small print, barcode; same size rule as ``paint_front``."""
    return _sized(_back, design, width_cm, height_cm, pixels_per_cm)


def _sized(
    paint: Callable[[Design, int, int], Image], design: Design, width_cm: float, height_cm: float, pixels_per_cm: float
) -> Image:
    """A print at a resolution: painted as it is for close views, else shrunk from one kept at ``_KEPT`` pixels a cm.

    Shrinking is quicker than painting and blurs small words as a camera does.
    """
    width, height = max(round(width_cm * pixels_per_cm), 4), max(round(height_cm * pixels_per_cm), 4)
    if pixels_per_cm >= _KEPT:

        def make() -> Image:
            image = paint(design, width, height)
            image.setflags(write=False)
            return image

        return _close_prints.get((paint, design, width, height), make)
    level = _KEPT
    while level >= 2 * pixels_per_cm and level > _COARSEST:
        level /= 2
    kept = _kept_print(paint, design, width_cm, height_cm, level)
    if level == pixels_per_cm:
        return kept
    return np.asarray(cv2.resize(kept, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


# prints for close views, which the units of a slot share; large, so that they are counted in bytes
_close_prints: ByteCache[Image] = ByteCache(30_000_000, lambda image: image.nbytes)


@lru_cache(maxsize=1200)
def _kept_print(
    paint: Callable[[Design, int, int], Image], design: Design, width_cm: float, height_cm: float, level: float
) -> Image:
    width, height = max(round(width_cm * level), 4), max(round(height_cm * level), 4)
    if level < _KEPT:
        finer = _kept_print(paint, design, width_cm, height_cm, 2 * level)
        image = np.asarray(cv2.resize(finer, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
    else:
        image = paint(design, width, height)
    image.setflags(write=False)
    return image


def _front(design: Design, width: int, height: int) -> Image:
    rng = np.random.default_rng(design.seed)
    image = np.empty((height, width, 3), np.uint8)
    paint_background(image, design.background, design.scheme, rng)
    if height < width * 0.55:
        _lay_out_wide(image, design, rng)
    else:
        _lay_out_tall(image, design, rng)
    return image


def _back(design: Design, width: int, height: int) -> Image:
    rng = np.random.default_rng(design.seed + 1)
    scheme = design.scheme
    image = np.empty((height, width, 3), np.uint8)
    image[:] = mix(scheme.base, scheme.paper, 0.1)
    margin = width * 0.08
    write_word(
        image,
        design.wording.brand,
        (margin, height * 0.05, width - margin, height * 0.15),
        scheme.ink,
        design.brand_style,
    )
    panel = (margin, height * 0.2, width - margin, height * 0.92)
    if rng.random() < 0.6:
        cv2.rectangle(image, (int(panel[0]), int(panel[1])), (int(panel[2]), int(panel[3])), scheme.paper, -1)
        ink: Colour = (40, 40, 40)
    else:
        ink = scheme.ink
    inner = margin * 1.6
    line = max(height / 42, 2.0)
    write_small_print(image, (inner, height * 0.22, width - inner, height * 0.42), line, ink, rng)
    _nutrition_table(image, (inner, height * 0.45, width - inner, height * 0.7), ink)
    if rng.random() < 0.8:
        barcode(image, (inner, height * 0.74, inner + (width - 2 * inner) * 0.7, height * 0.89), rng)
    return image


def _nutrition_table(image: Image, box: Box, ink: Colour) -> None:
    left, top, right, bottom = (round(v) for v in box)
    if right - left < 8 or bottom - top < 8:
        return
    cv2.rectangle(image, (left, top), (right, bottom), ink, 1)
    rows = min(7, (bottom - top) // 4)
    for row in range(1, rows):
        y = top + (bottom - top) * row // rows
        cv2.line(image, (left, y), (right, y), ink, 1)
        height = (bottom - top) / rows
        if height >= 7:
            names = ("Energy", "Fat", "Salt", "Sugar", "Protein", "Fibre", "Energie")
            write_word(
                image,
                names[row],
                (left + 2, y + 1, left + (right - left) * 0.5, y + height - 1),
                ink,
                Style(400),
                align=0,
            )
            write_word(
                image,
                f"{(row * 37) % 90 / 10:.1f} g",
                (left + (right - left) * 0.6, y + 1, right - 2, y + height - 1),
                ink,
                Style(400),
                align=1,
            )
    cv2.line(image, (left + (right - left) * 3 // 5, top), (left + (right - left) * 3 // 5, bottom), ink, 1)


def _paint_picture(image: Image, design: Design, box: Box, rng: np.random.Generator) -> None:
    left, top, right, bottom = (int(v) for v in box)
    if design.picture_frame == "bleed":  # to the edges that it is near to
        tall, wide = image.shape[:2]
        left, right = (0 if left < wide * 0.15 else left), (wide if right > wide * 0.85 else right)
        top, bottom = (0 if top < tall * 0.12 else top), (tall if bottom > tall * 0.75 else bottom)
    left, top, right, bottom = max(left, 0), max(top, 0), min(right, image.shape[1]), min(bottom, image.shape[0])
    if right - left < 3 or bottom - top < 3:
        return
    scheme = design.scheme
    if design.photograph is None:
        if design.picture_frame == "oval":
            ellipse(
                image, ((left + right) / 2, (top + bottom) / 2), ((right - left) / 2, (bottom - top) / 2), scheme.paper
            )
        elif design.picture_frame == "box":
            cv2.rectangle(image, (left, top), (right - 1, bottom - 1), mix(scheme.second, scheme.paper, 0.6), -1)
        PICTURES[design.picture](image, (left, top, right, bottom), design.picture_colour, rng)
        return
    photograph = load_photograph(design.photograph)
    size = max(int(min(photograph.shape[:2]) * design.crop[2]), 4)
    x = int(design.crop[0] * (photograph.shape[1] - size))
    y = int(design.crop[1] * (photograph.shape[0] - size))
    shape = right - left, bottom - top
    tall = min(size, max(int(size * shape[1] / shape[0]), 2)) if shape[1] <= shape[0] else size
    wide = min(size, max(int(size * shape[0] / shape[1]), 2)) if shape[0] < shape[1] else size
    crop = cv2.resize(photograph[y : y + tall, x : x + wide], shape, interpolation=cv2.INTER_AREA)
    target = image[top:bottom, left:right]
    if design.picture_frame in {"box", "bleed"}:
        target[:] = crop
        return
    mask = np.zeros(shape[::-1], np.float32)
    reach = (0.5, 0.5) if design.picture_frame == "oval" else (0.44, 0.42)
    cv2.ellipse(
        mask,
        (shape[0] // 2, shape[1] // 2),
        (max(int(shape[0] * reach[0]), 1), max(int(shape[1] * reach[1]), 1)),
        0,
        0,
        360,
        1.0,
        -1,
    )
    if design.picture_frame == "none":
        mask = cv2.GaussianBlur(mask, (0, 0), max(min(shape) * 0.06, 0.5))
    target[:] = (target * (1 - mask[..., None]) + crop * mask[..., None]).astype(np.uint8)


def _paint_brand(image: Image, design: Design, box: Box) -> None:
    left, top, right, bottom = box
    scheme = design.scheme
    width, height = right - left, bottom - top
    ink = scheme.ink
    word = design.wording.brand
    # the plate follows the word: a short word gets a small plate
    reach = min(width / 2, height * 0.62 * word_aspect(word, design.brand_style))
    middle = (left + right) / 2
    if design.plate == "oval":
        ellipse(image, (middle, (top + bottom) / 2), (min(reach * 1.25, width / 2), height / 2), scheme.second)
    elif design.plate == "bar":
        cv2.rectangle(image, (int(middle - reach), int(top)), (int(middle + reach), int(bottom)), scheme.second, -1)
    elif design.plate == "band":
        cv2.rectangle(image, (0, int(top)), (image.shape[1], int(bottom)), scheme.second, -1)
    elif design.plate == "slant":
        lean = height * 0.25
        polygon(
            image,
            [
                (middle - reach + lean, top),
                (middle + reach + lean, top),
                (middle + reach - lean, bottom),
                (middle - reach - lean, bottom),
            ],
            scheme.second,
        )
    style = design.brand_style
    if design.plate != "none":
        ink = (252, 252, 252) if luminance(scheme.second) < 140 else (25, 20, 20)
        style = replace(style, outline=None)
        inset = height * 0.18
        left, top, right, bottom = left + inset, top + inset, right - inset, bottom - inset
    write_word(image, word, (left, top, right, bottom), ink, style)


def _paint_badge(image: Image, design: Design, centre: tuple[float, float], radius: float) -> None:
    if design.badge == "none" or radius < 2:
        return
    x, y = centre
    colour = design.scheme.accent
    if design.badge == "circle":
        ellipse(image, centre, (radius, radius), colour)
        ellipse(image, centre, (radius * 0.86, radius * 0.86), mix(colour, (255, 255, 255), 0.15))
    elif design.badge == "star":
        turns = np.arange(24) * np.pi / 12
        reach = radius * np.where(np.arange(24) % 2, 0.82, 1.08)
        polygon(image, np.stack([x + reach * np.cos(turns), y + reach * np.sin(turns)], 1), colour)
    else:
        polygon(
            image,
            [
                (x - radius * 1.3, y - radius * 0.6),
                (x + radius * 1.3, y - radius * 0.75),
                (x + radius * 1.3, y + radius * 0.6),
                (x - radius * 1.3, y + radius * 0.75),
            ],
            colour,
        )
    ink: Colour = (250, 250, 250) if luminance(colour) < 150 else (20, 20, 30)
    write_word(
        image,
        design.wording.claim,
        (x - radius * 0.75, y - radius * 0.4, x + radius * 0.75, y + radius * 0.4),
        ink,
        Style(800),
    )


def _lay_out_tall(image: Image, design: Design, rng: np.random.Generator) -> None:
    height, width = image.shape[:2]
    scheme, words = design.scheme, design.wording
    margin = width * 0.07
    brand_bottom = design.brand_top + design.brand_height
    high = design.brand_top < 0.3
    picture_top = brand_bottom + 0.16 if high else 0.05
    picture_bottom = rng.uniform(0.8, 0.95) if high else design.brand_top - 0.02
    _paint_picture(image, design, (margin, height * picture_top, width - margin, height * picture_bottom), rng)
    _paint_brand(image, design, (margin, height * design.brand_top, width - margin, height * brand_bottom))
    y = brand_bottom + 0.015
    write_word(image, words.product, (margin, height * y, width - margin, height * (y + 0.07)), scheme.ink, Style(600))
    strip = rng.random() < 0.6
    flavour = (margin, height * (y + 0.08), width - margin, height * (y + 0.145))
    ink = scheme.ink
    if strip:
        cv2.rectangle(
            image,
            (int(flavour[0] * rng.choice((0.0, 1.0))), int(flavour[1])),
            (int(flavour[2]), int(flavour[3])),
            scheme.accent,
            -1,
        )
        ink = (250, 250, 250) if luminance(scheme.accent) < 150 else (20, 20, 30)
    inset = (flavour[3] - flavour[1]) * 0.15
    write_word(
        image,
        words.flavour,
        (flavour[0] + inset, flavour[1] + inset, flavour[2] - inset, flavour[3] - inset),
        ink,
        Style(700, italic=bool(rng.random() < 0.3)),
    )
    if not high:
        low = min(y + 0.17, 0.85)
        write_small_print(
            image,
            (margin * 2, height * low, width - margin * 2, height * min(low + 0.1, 0.95)),
            height * 0.025,
            scheme.ink,
            rng,
        )
    side = rng.choice((0.2, 0.8))
    _paint_badge(
        image, design, (width * side, height * rng.uniform(0.6, 0.85)), min(width, height) * rng.uniform(0.1, 0.16)
    )
    write_word(
        image, words.weight, (margin, height * 0.93, width * 0.45, height * 0.98), scheme.ink, Style(500), align=0
    )
    size = height * 0.05
    for place in range(int(rng.integers(0, 4))):
        left = width - margin - (place + 1) * size * 1.2
        pictogram(image, (left, height * 0.92, left + size, height * 0.97), scheme.ink, rng)


def _lay_out_wide(image: Image, design: Design, rng: np.random.Generator) -> None:
    height, width = image.shape[:2]
    scheme, words = design.scheme, design.wording
    left_picture = rng.random() < 0.4
    edge = rng.uniform(0.3, 0.42)
    picture = (0.03, 0.1, edge, 0.9) if left_picture else (1 - edge, 0.1, 0.97, 0.9)
    _paint_picture(
        image, design, (width * picture[0], height * picture[1], width * picture[2], height * picture[3]), rng
    )
    left, right = (edge + 0.03, 0.97) if left_picture else (0.03, 0.97 - edge)
    _paint_brand(image, design, (width * left, height * 0.1, width * right, height * 0.5))
    write_word(image, words.product, (width * left, height * 0.54, width * right, height * 0.7), scheme.ink, Style(600))
    cv2.rectangle(
        image, (int(width * left), int(height * 0.73)), (int(width * right), int(height * 0.9)), scheme.accent, -1
    )
    ink: Colour = (250, 250, 250) if luminance(scheme.accent) < 150 else (20, 20, 30)
    write_word(image, words.flavour, (width * left, height * 0.75, width * right, height * 0.88), ink, Style(700))
    _paint_badge(image, design, (width * (0.9 if left_picture else 0.1), height * 0.8), height * 0.16)
