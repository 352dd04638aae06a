"""Invented products: brand lines of near-twins, and whole assortments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from shelfvision.errors import ConfigError
from shelfvision.sim.packaging import FAMILIES, Packaging
from shelfvision.sim.palette import mix
from shelfvision.sim.photographs import list_pictures, load_pack_shot
from shelfvision.sim.prints import make_design, other_flavour
from shelfvision.sim.words import Wording, claim_and_weight, flavour_words, make_brand, product_word


def make_line(
    rng: np.random.Generator, family: str, count: int, line: str, photographs: Sequence[Path] = ()
) -> list[Packaging]:
    """``count`` near-twins: one brand, one body, different flavours."""
    maker, contents, _ = FAMILIES[family]
    body = maker(rng)
    content = str(rng.choice(contents))
    brand, script = make_brand(rng)
    product = product_word(content, script, rng)
    claim, weight = claim_and_weight(content, rng)
    flavours = flavour_words(content, count, rng)
    first = make_design(Wording(brand, product, flavours[0], claim, weight), list(photographs), rng)
    # some lines change the lid or the content with the flavour, as jars and bottles do
    lids, contents_vary = rng.random() < 0.5, rng.random() < 0.4
    made = []
    for number, flavour in enumerate(flavours):
        design = first if number == 0 else other_flavour(first, replace(first.wording, flavour=flavour), rng)
        pack = replace(
            body,
            sku=f"{line}-{number + 1}",
            brand=brand,
            name=f"{brand} {product} {flavour} {weight}",
            line=line,
            design=design,
            seed=design.seed,
        )
        if number and lids and body.family in {"jar", "canister", "pet_bottle", "tub", "tube"}:
            pack = replace(pack, closure=design.scheme.accent)
        if number and contents_vary and body.family in {"jar", "pet_bottle"} and body.opacity > 0.9:
            pack = replace(pack, content=mix(design.picture_colour, (20, 30, 40), 0.3))
        if pack.member is not None:
            pack = replace(pack, member=replace(pack.member, design=design, seed=design.seed, brand=brand))
        made.append(pack)
    return made


def _from_pack_shot(path: Path, number: int, rng: np.random.Generator) -> Packaging:
    picture = load_pack_shot(path)
    aspect = picture.shape[1] / picture.shape[0]
    # upright: a carton or bottle; squarish: a fruit or a tub; flat: a tray or loose goods
    low, high = (14.0, 27.0) if aspect < 0.72 else ((6.5, 15.0) if aspect < 1.4 else (5.0, 11.0))
    height = min(float(rng.uniform(low, high)), 34.0 / aspect)
    name = path.stem.replace("_", " ").replace("-", " ")
    size = (height * aspect, height, min(height * aspect * 0.7, 9.0))
    shot = Packaging(f"S{number:04d}", "pack_shot", "", name, f"S{number:04d}", size, "flat", "matt", None, 0)
    return replace(shot, pack_shot=path)


def make_assortment(
    rng: np.random.Generator,
    count: int,
    *,
    families: Sequence[str] | None = None,
    pack_shots: Path | None = None,
    textures: Path | None = None,
) -> list[Packaging]:
    """A store's products: brand lines of one to six near-twins, with pack shots mixed in when given.

    Args:
        rng: decides everything.
        count: how many SKUs.
        families: which families to use; all when absent.
        pack_shots: folder of product pictures; up to half of the assortment.
        textures: folder of photographs for printed pictures.

    Raises:
        ConfigError: no products asked for, a family that does not exist, or an unusable folder.
    """
    if count < 1:
        raise ConfigError(f"products: {count} asked for, at least 1 is needed")
    names = list(FAMILIES) if families is None else list(families)
    unknown = [name for name in names if name not in FAMILIES]
    if unknown or not names:
        raise ConfigError(f"families: {', '.join(unknown) or 'none given'}; choose from {', '.join(FAMILIES)}")
    shots = list_pictures(pack_shots, "--pack-shots") if pack_shots is not None else []
    photographs = list_pictures(textures, "--textures") if textures is not None else []
    made: list[Packaging] = []
    if shots:
        chosen = rng.permutation(len(shots))[: max(count // 2, 1)]
        made = [_from_pack_shot(shots[i], int(i), rng) for i in sorted(chosen)]
    weights = np.array([FAMILIES[name][2] for name in names])
    line = 0
    while len(made) < count:
        line += 1
        family = str(rng.choice(names, p=weights / weights.sum()))
        twins = min(int(rng.choice((1, 2, 3, 4, 6), p=(0.25, 0.25, 0.25, 0.15, 0.1))), count - len(made))
        made += make_line(rng, family, twins, f"P{line:04d}", photographs)
    return made
