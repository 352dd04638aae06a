"""Families of packaging: body, material and closure of an invented product, before anything is printed on it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from shelfvision.sim.palette import Colour, accent_colour, hsv, mix
from shelfvision.sim.prints import Design
from shelfvision.sim.solids import Profile


@dataclass(frozen=True, slots=True)
class Packaging:
    """One product as it can be bought: its body, its material and its print."""

    sku: str
    family: str
    brand: str
    name: str
    line: str  # products of one line are near-twins: same brand and body, another flavour
    size_cm: tuple[float, float, float]  # width, height, depth
    solid: str  # block, gable, round or flat
    material: str  # matt, glossy, metallic or transparent
    design: Design | None
    seed: int
    profile: Profile = ()  # round bodies: (height, radius) from foot to top
    label_cm: tuple[float, float] = (0.0, 0.0)  # round bodies: heights between which the print is
    label_share: float = 1.0  # share of the circumference that the label covers
    closure_cm: float = 0.0  # round bodies: height above which it is lid or cap
    closure: Colour = (200, 200, 200)
    content: Colour = (120, 160, 200)  # what is seen through transparent parts
    opacity: float = 1.0  # of transparent parts
    outline: str = ""  # flat bodies: see ``surfaces.soft_outline``
    gable_cm: float = 0.0
    member: Packaging | None = None  # what a multipack holds
    members: int = 0
    pack_shot: Path | None = None

    @property
    def stackable(self) -> bool:
        """Whether a second one stands firmly on top."""
        return self.family in {"box", "can", "tub", "cup", "multipack", "canister"}


def _packaging(family: str, solid: str, size: tuple[float, float, float], material: str, **extra: object) -> Packaging:
    # plain floats: NumPy's scalars would turn the float32 maps of a view into float64
    width, height, depth = (float(side) for side in size)
    plain: dict[str, Any] = {n: float(v) if isinstance(v, np.floating) else v for n, v in extra.items()}
    if "label_cm" in plain:
        plain["label_cm"] = tuple(float(at) for at in plain["label_cm"])
    if "profile" in plain:
        plain["profile"] = tuple((float(at), float(radius)) for at, radius in plain["profile"])
    blank = Packaging("", family, "", "", "", (width, height, depth), solid, material, None, 0)
    return replace(blank, **plain)


def _carton(rng: np.random.Generator) -> Packaging:
    width = rng.uniform(6.5, 9.8)
    height = width * rng.uniform(2.1, 2.9)
    gable = width * rng.uniform(0.42, 0.55)
    return _packaging("carton", "gable", (width, height, width * rng.uniform(0.7, 1.0)), "matt", gable_cm=gable)


def _box(rng: np.random.Generator) -> Packaging:
    width = rng.uniform(7, 17)
    return _packaging(
        "box", "block", (width, width * rng.uniform(0.4, 1.1), rng.uniform(4, 10)), str(rng.choice(("matt", "glossy")))
    )


def _tall_box(rng: np.random.Generator) -> Packaging:
    width = rng.uniform(6, 20)
    return _packaging(
        "tall_box",
        "block",
        (width, min(width * rng.uniform(1.25, 1.9), 32), rng.uniform(3.5, 8)),
        str(rng.choice(("matt", "glossy"))),
    )


def _can(rng: np.random.Generator) -> Packaging:
    drink = rng.random() < 0.45
    radius = rng.choice((2.65, 3.3)) if drink else rng.choice((3.3, 3.75, 4.3, 5.0))
    height = rng.choice((11.5, 15.0)) if drink else radius * rng.uniform(1.3, 3.0)
    profile: Profile
    if drink:
        profile = (
            (0.0, radius * 0.78),
            (0.9, radius),
            (height - 1.3, radius),
            (height - 0.25, radius * 0.8),
            (height, radius * 0.82),
        )
        label = (0.6, height - 0.9)
    else:
        rim = 0.16
        profile = (
            (0.0, radius + rim),
            (0.3, radius + rim),
            (0.4, radius),
            (height - 0.4, radius),
            (height - 0.3, radius + rim),
            (height, radius + rim),
        )
        label = (0.45, height - 0.45)
    return _packaging(
        "can",
        "round",
        (2 * profile[-2][1] if not drink else 2 * radius, height, 2 * radius),
        "metallic",
        profile=profile,
        label_cm=label,
        closure_cm=height,
        closure=(188, 192, 196),
    )


def _lid_colour(rng: np.random.Generator) -> Colour:
    return (
        accent_colour(rng)
        if rng.random() < 0.6
        else (mix((30, 30, 30), (230, 230, 230), rng.random()) if rng.random() < 0.6 else (70, 160, 200))
    )


def _food_colour(rng: np.random.Generator) -> Colour:
    # coffee, honey, jam, pesto, olives, mayonnaise, tomato
    tones = (
        (0.06, 0.75, 0.25),
        (0.1, 0.9, 0.75),
        (0.98, 0.8, 0.4),
        (0.24, 0.6, 0.4),
        (0.16, 0.6, 0.3),
        (0.13, 0.2, 0.93),
        (0.02, 0.85, 0.65),
    )
    hue, saturation, value = tones[rng.integers(len(tones))]
    return hsv(hue + rng.normal(0, 0.01), saturation, value * rng.uniform(0.8, 1.1))


def _jar(rng: np.random.Generator) -> Packaging:
    radius = rng.uniform(3.0, 4.6)
    height = radius * rng.uniform(2.2, 3.8)
    lid = rng.uniform(1.3, 2.4) if height > 9 else 1.2
    wall = height - lid
    neck = radius * rng.uniform(0.82, 0.96)
    waist = radius * (rng.uniform(0.9, 1.0) if rng.random() < 0.4 else 1.0)
    profile = (
        (0.0, radius * 0.9),
        (0.4, radius),
        (wall * 0.45, waist),
        (wall * 0.84, radius),
        (wall - 0.1, neck),
        (wall, neck),
        (wall + 0.05, neck * 1.05),
        (height, neck * 1.05),
    )
    label = (wall * rng.uniform(0.12, 0.2), wall * rng.uniform(0.72, 0.82))
    return _packaging(
        "jar",
        "round",
        (2 * radius, height, 2 * radius),
        "transparent",
        profile=profile,
        label_cm=label,
        label_share=rng.uniform(0.4, 0.8),
        closure_cm=wall,
        closure=_lid_colour(rng),
        content=_food_colour(rng),
        opacity=0.97,
    )


def _bottle_profile(radius: float, height: float, *, neck: float, shoulder: float, cap: float, waist: float) -> Profile:
    start, steps = height * shoulder, np.linspace(0, 1, 7)
    end = height * (shoulder + (1 - shoulder) * 0.62)
    curve = [(start + (end - start) * s, radius + (neck - radius) * (0.5 - 0.5 * np.cos(np.pi * s))) for s in steps]
    points = [
        (0.0, radius * 0.88),
        (0.6, radius),
        (start * 0.5, radius * waist),
        *curve,
        (height - cap, neck),
        (height - cap + 0.05, neck * 1.12),
        (height, neck * 1.12),
    ]
    return tuple((float(h), float(r)) for h, r in points)


def _glass_bottle(rng: np.random.Generator) -> Packaging:
    radius = rng.uniform(2.9, 4.1)
    height = radius * rng.uniform(6.0, 8.2)
    shoulder = rng.uniform(0.48, 0.66)
    cap = rng.uniform(1.0, 4.5)
    glass = (
        (0.3, 0.7, 0.18),
        (0.08, 0.85, 0.16),
        (0.16, 0.5, 0.5),
        (0.12, 0.8, 0.75),
        (0.97, 0.8, 0.3),
        (0.33, 0.6, 0.35),
    )[rng.integers(6)]
    profile = _bottle_profile(
        radius, height, neck=radius * rng.uniform(0.34, 0.42), shoulder=shoulder, cap=cap, waist=1.0
    )
    label = (height * rng.uniform(0.08, 0.16), height * shoulder * rng.uniform(0.82, 0.95))
    return _packaging(
        "glass_bottle",
        "round",
        (2 * radius, height, 2 * radius),
        "transparent",
        profile=profile,
        label_cm=label,
        label_share=rng.uniform(0.35, 0.65),
        closure_cm=height - cap,
        closure=_lid_colour(rng),
        content=hsv(*glass),
        opacity=0.95,
    )


def _pet_bottle(rng: np.random.Generator) -> Packaging:
    radius = rng.uniform(2.9, 4.8)
    height = radius * rng.uniform(5.6, 7.2)
    shoulder = rng.uniform(0.6, 0.72)
    profile = _bottle_profile(radius, height, neck=1.35, shoulder=shoulder, cap=1.6, waist=rng.uniform(0.9, 1.0))
    low = height * rng.uniform(0.22, 0.36)
    clear = rng.random() < 0.35
    content = (
        (225, 205, 185)
        if clear
        else hsv(
            rng.choice((0.08, 0.12, 0.05, 0.0, 0.3, 0.95, 0.07)), rng.uniform(0.7, 1.0), rng.choice((0.12, 0.6, 0.9))
        )
    )
    return _packaging(
        "pet_bottle",
        "round",
        (2 * radius, height, 2 * radius),
        "transparent",
        profile=profile,
        label_cm=(low, low + height * rng.uniform(0.16, 0.3)),
        closure_cm=height - 1.6,
        closure=accent_colour(rng),
        content=content,
        opacity=0.66 if clear else 0.93,
    )


def _canister(rng: np.random.Generator) -> Packaging:
    radius = rng.uniform(3.6, 5.6)
    height = radius * rng.uniform(2.4, 3.6)
    lid = rng.uniform(1.0, 2.2)
    profile = (
        (0.0, radius * 0.97),
        (0.3, radius),
        (height - lid, radius),
        (height - lid + 0.05, radius * 1.05),
        (height, radius * 1.04),
    )
    return _packaging(
        "canister",
        "round",
        (2.1 * radius, height, 2.1 * radius),
        str(rng.choice(("glossy", "metallic"))),
        profile=profile,
        label_cm=(0.2, height - lid),
        closure_cm=height - lid,
        closure=_lid_colour(rng),
    )


def _tub(rng: np.random.Generator) -> Packaging:
    radius = rng.uniform(4.5, 7.5)
    height = radius * rng.uniform(0.9, 1.7)
    profile = ((0.0, radius * 0.84), (height - 1.1, radius), (height - 1.05, radius * 1.04), (height, radius * 1.04))
    return _packaging(
        "tub",
        "round",
        (2.08 * radius, height, 2.08 * radius),
        "glossy",
        profile=profile,
        label_cm=(0.1, height - 1.1),
        closure_cm=height - 1.1,
        closure=_lid_colour(rng),
    )


def _cup(rng: np.random.Generator) -> Packaging:
    radius = rng.uniform(3.2, 4.6)
    height = radius * rng.uniform(1.6, 2.4)
    profile = ((0.0, radius * 0.7), (height - 0.35, radius * 0.95), (height - 0.3, radius), (height, radius))
    return _packaging(
        "cup",
        "round",
        (2 * radius, height, 2 * radius),
        "glossy",
        profile=profile,
        label_cm=(0.0, height - 0.3),
        closure_cm=height - 0.3,
        closure=(205, 210, 214),
    )


def _pouch(rng: np.random.Generator) -> Packaging:
    width = rng.uniform(9, 17)
    return _packaging(
        "pouch",
        "flat",
        (width, width * rng.uniform(1.2, 1.65), rng.uniform(4, 7)),
        str(rng.choice(("glossy", "metallic", "matt"))),
        outline="pouch",
    )


def _bag(rng: np.random.Generator) -> Packaging:
    width = rng.uniform(12, 22)
    if rng.random() < 0.3:
        width = rng.uniform(8, 12)
        return _packaging("bag", "flat", (width, width * rng.uniform(1.3, 1.8), width * 0.6), "matt", outline="paper")
    return _packaging(
        "bag", "flat", (width, min(width * rng.uniform(1.2, 1.6), 32), rng.uniform(5, 9)), "glossy", outline="pillow"
    )


def _tube(rng: np.random.Generator) -> Packaging:
    width = rng.uniform(4.5, 6.5)
    return _packaging(
        "tube", "flat", (width, width * rng.uniform(2.4, 3.3), 4.0), "glossy", outline="tube", closure=_lid_colour(rng)
    )


def _tray(rng: np.random.Generator) -> Packaging:
    width = rng.uniform(14, 22)
    rim = (25, 25, 25) if rng.random() < 0.5 else (235, 238, 240)
    return _packaging(
        "tray",
        "flat",
        (width, width * rng.uniform(0.62, 0.95), rng.uniform(3, 5)),
        "glossy",
        outline="rim",
        closure=rim,
        content=_food_colour(rng),
    )


def _multipack(rng: np.random.Generator) -> Packaging:
    member = (_can if rng.random() < 0.5 else _pet_bottle)(rng)
    count = int(rng.integers(2, 5))
    width, height, depth = member.size_cm
    return _packaging("multipack", "block", (width * count, height, depth * 2), "glossy", member=member, members=count)


# family -> (maker of the body, what such packages hold, how often it is met)
FAMILIES: dict[str, tuple[Callable[[np.random.Generator], Packaging], tuple[str, ...], float]] = {
    "carton": (_carton, ("dairy", "drink"), 1.0),
    "box": (_box, ("dry", "snack", "care"), 1.6),
    "tall_box": (_tall_box, ("dry", "snack", "care"), 1.8),
    "can": (_can, ("savoury", "drink"), 1.6),
    "jar": (_jar, ("savoury", "dry"), 1.6),
    "glass_bottle": (_glass_bottle, ("drink", "savoury"), 1.2),
    "pet_bottle": (_pet_bottle, ("drink", "care"), 1.6),
    "canister": (_canister, ("dry", "snack"), 0.8),
    "tub": (_tub, ("dairy",), 0.8),
    "cup": (_cup, ("dairy",), 0.8),
    "pouch": (_pouch, ("dry", "snack"), 1.3),
    "bag": (_bag, ("snack", "dry"), 1.3),
    "tube": (_tube, ("care",), 0.6),
    "tray": (_tray, ("savoury",), 0.5),
    "multipack": (_multipack, ("drink",), 0.5),
}
