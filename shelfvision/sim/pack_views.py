"""Pictures of single packages: the print wrapped around the body, lit, with transparency, from any side."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from shelfvision.sim.block_views import block_sprite
from shelfvision.sim.byte_cache import ByteCache
from shelfvision.sim.pack_sprite import Sprite, straight
from shelfvision.sim.packaging import Packaging
from shelfvision.sim.pictures import Image
from shelfvision.sim.round_views import RoundParts, round_sprite
from shelfvision.sim.soft_views import flat_sprite


class View(NamedTuple):
    """A resolution and a direction, see ``render_view``."""

    pixels_per_cm: float
    azimuth: float
    elevation: float
    turn: float


def render_view(
    pack: Packaging, pixels_per_cm: float, azimuth: float = 0.0, elevation: float = 0.0, turn: float = 0.0
) -> Sprite:
    """A package seen from a direction.

    Args:
        pack: what to draw.
        pixels_per_cm: resolution of the sprite.
        azimuth: degrees; positive when the camera stands to the right of the package's front. Boxes only.
        elevation: degrees, positive when the camera looks down. Boxes and round ones.
        turn: degrees by which a round package is turned around its axis; 180 shows the back of any package.
    """
    return _render(pack, View(pixels_per_cm, azimuth, elevation, turn), RoundParts(0))


def _render(pack: Packaging, view: View, kept: RoundParts) -> Sprite:
    pixels_per_cm, azimuth, elevation, turn = view
    if pack.solid == "round":
        return round_sprite(pack, pixels_per_cm, elevation, turn, kept)
    if pack.solid == "flat":
        return flat_sprite(pack, pixels_per_cm, back=abs(turn) > 90)
    return block_sprite(pack, pixels_per_cm, azimuth, elevation, back=abs(turn) > 90)


def render_front(pack: Packaging, pixels_per_cm: float, rng: np.random.Generator | None = None) -> Image:
    """The package from straight in front, (h, w, 4) BGRA with colour not multiplied by cover.

    With ``rng`` a round package is turned a little, as on a real shelf.
    """
    turn = 0.0 if rng is None else float(rng.normal(0, 8))
    sprite = render_view(pack, pixels_per_cm, turn=turn)
    return straight(sprite)


class SpriteCache:
    """Sprites rendered once and kept, up to a number of bytes; for one assortment, whose SKUs are its keys."""

    def __init__(self, max_bytes: int = 64_000_000) -> None:
        self._sprites: ByteCache[Sprite] = ByteCache(max_bytes, lambda sprite: sprite.pixels.nbytes + 400)
        self._round = RoundParts(max_bytes // 2)

    def view(self, pack: Packaging, pixels_per_cm: float, azimuth: float, elevation: float, turn: float) -> Sprite:
        """As ``render_view``, kept."""
        view = View(pixels_per_cm, azimuth, elevation, turn)
        return self._sprites.get((pack.sku, view), lambda: _render(pack, view, self._round))
