"""Pictures of cans, jars, bottles, cups and tubs: a surface of revolution with its print wrapped around."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from shelfvision.sim.byte_cache import ByteCache
from shelfvision.sim.pack_sprite import Sprite, make_sprite, straight
from shelfvision.sim.packaging import Packaging
from shelfvision.sim.palette import mix
from shelfvision.sim.pictures import Image, ellipse
from shelfvision.sim.prints import paint_back, paint_front
from shelfvision.sim.solids import round_view
from shelfvision.sim.surfaces import round_light

Skin = tuple[Image, NDArray[np.uint8]]
_FULL = 16.0  # pixels per cm


@dataclass(frozen=True, slots=True, eq=False)
class Form:
    """What packages of one outline and material share in one view: all but the print."""

    factor: NDArray[np.uint8]  # (h, w) light on colour, 128 for one
    white: NDArray[np.uint8]  # (h, w) light on top
    cover: NDArray[np.uint8]  # (h, w) 0 to 255
    around: NDArray[np.float32]  # (h, w) share of a full turn from the seam at the back
    down: NDArray[np.float32]  # (h, w) pixels below the top edge
    lid: tuple[NDArray[np.int32], NDArray[np.float32], NDArray[np.float32]]  # pixels, 0 to 1 across and deep
    foot: tuple[float, float]  # pixel of the centre of the foot

    @property
    def nbytes(self) -> int:
        """Memory it takes."""
        return 3 * self.cover.nbytes + 2 * self.around.nbytes + sum(part.nbytes for part in self.lid)


class RoundParts:
    """Unrolled surfaces and forms, kept up to a number of bytes; for one assortment, whose SKUs are its keys."""

    def __init__(self, max_bytes: int) -> None:
        self.skins: ByteCache[Skin] = ByteCache(max_bytes, lambda skin: skin[0].nbytes + skin[1].nbytes)
        self._forms: ByteCache[Form] = ByteCache(max_bytes, lambda form: form.nbytes)

    def form(self, pack: Packaging, pixels_per_cm: float, elevation: float) -> Form:
        """The form of a package; those with its outline and material share it."""
        key = pack.profile, pack.material, pixels_per_cm, elevation
        return self._forms.get(key, lambda: _form(pack, pixels_per_cm, elevation))


def _form(pack: Packaging, pixels_per_cm: float, elevation: float) -> Form:
    view = round_view(pack.profile, pixels_per_cm, elevation)
    factor, white = round_light(view, pack.material)
    there = np.flatnonzero(view.lid).astype(np.int32)
    lid = (
        there,
        view.lid_x.take(there) * np.float32(0.5) + np.float32(0.5),
        view.lid_z.take(there) * np.float32(0.5) + np.float32(0.5),
    )
    down = np.maximum((np.float32(pack.size_cm[1]) - view.height) * np.float32(pixels_per_cm), 0)
    cover = np.round(view.cover * 255).astype(np.uint8)
    return Form(factor, white, cover, view.turn + np.float32(0.5), down, lid, view.foot)


def round_sprite(pack: Packaging, pixels_per_cm: float, elevation: float, turn: float, kept: RoundParts) -> Sprite:
    """A round package, turned around its axis by ``turn`` degrees."""
    form = kept.form(pack, pixels_per_cm, elevation)
    skin, gloss = _skin(pack, pixels_per_cm, kept.skins)
    height = pack.size_cm[1]
    rows = len(gloss)
    around = skin.shape[1]
    # angles beyond the seam are on the other side: the border wraps
    map_x = (form.around - np.float32(turn / 360.0)) * np.float32(around) - np.float32(0.5)
    map_y = np.minimum(form.down, np.float32(rows - 1))
    shine = cv2.multiply(form.white, gloss.take(map_y.astype(np.int32)), scale=1 / 255)
    there, across, deep = form.lid
    if len(there):
        side = np.float32(len(skin) - rows - 1)
        map_x.ravel()[there] = across * side
        map_y.ravel()[there] = rows + deep * side
    pixels = cv2.remap(skin, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
    cover = form.cover
    if pack.material == "transparent":
        cover = np.asarray(cv2.multiply(cv2.extractChannel(pixels, 3), cover, scale=1 / 255), np.uint8)
    factor = cv2.cvtColor(form.factor, cv2.COLOR_GRAY2BGR)
    lit = cv2.multiply(cv2.cvtColor(pixels, cv2.COLOR_BGRA2BGR), factor, scale=1 / 128)
    lit = cv2.add(lit, cv2.cvtColor(shine, cv2.COLOR_GRAY2BGR))
    radius, up = pack.size_cm[0] / 2, height * np.cos(np.radians(elevation))
    x, y = form.foot
    p = pixels_per_cm
    anchors = np.array(
        [(x - radius * p, y), (x + radius * p, y), (x + radius * p, y - up * p), (x - radius * p, y - up * p)]
    )
    return make_sprite(np.asarray(lit, np.uint8), cover, anchors, 0.0, turns=True)


def round_front(pack: Packaging, pixels_per_cm: float) -> Image:
    """A round package from straight in front, (h, w, 4) BGRA, colour not multiplied by cover."""
    return straight(round_sprite(pack, pixels_per_cm, 0.0, 0.0, RoundParts(0)))


def _skin(pack: Packaging, pixels_per_cm: float, skins: ByteCache[Skin]) -> Skin:
    """The unrolled surface; for distant views halved from finer ones until that at ``_FULL`` pixels a cm or more."""
    if pixels_per_cm >= _FULL:
        return skins.get((pack.sku, pixels_per_cm), lambda: _round_skin(pack, pixels_per_cm))

    def shrink() -> Skin:
        skin, gloss = _skin(pack, 2 * pixels_per_cm, skins)
        split = len(gloss)
        width, rows, lid = max(skin.shape[1] // 2, 12), max(split // 2, 4), max((len(skin) - split) // 2, 3)
        small = np.empty((rows + lid, width, 4), np.uint8)
        cv2.resize(skin[:split], (width, rows), dst=small[:rows], interpolation=cv2.INTER_AREA)
        cv2.resize(skin[split:], (width, lid), dst=small[rows:], interpolation=cv2.INTER_AREA)
        dull = cv2.resize(gloss[:, None], (1, rows), interpolation=cv2.INTER_AREA)
        return small, np.asarray(dull, np.uint8).ravel()

    return skins.get((pack.sku, pixels_per_cm), shrink)


def _round_skin(pack: Packaging, pixels_per_cm: float) -> Skin:
    """The surface unrolled, front in the middle, the lid below; and the gloss of each row."""
    height = pack.size_cm[1]
    radius = max(r for _, r in pack.profile)
    rows = max(round(height * pixels_per_cm), 4)
    around = max(round(2 * np.pi * radius * pixels_per_cm), 12)
    skin = np.empty((rows, around, 4), np.uint8)
    gloss = np.full(rows, 255, np.uint8)

    def row(at_cm: float) -> int:
        return int(np.clip(round((height - at_cm) * pixels_per_cm), 0, rows))

    bare = (*pack.content, round(255 * pack.opacity)) if pack.material == "transparent" else (178, 184, 188, 255)
    skin[:] = np.array(bare, np.uint8)
    rng = np.random.default_rng(pack.seed + 2)
    if pack.material == "transparent":
        surface = pack.closure_cm - (height * rng.uniform(0.0, 0.06) + 0.4)
        skin[: row(surface), :, :3] = mix(pack.content, (235, 240, 240), 0.45)
        skin[: row(surface), :, 3] = min(round(255 * pack.opacity), 185)
        if pack.family == "jar":
            grain = cv2.resize(
                rng.normal(0, 1, (max(rows // 3, 2), max(around // 3, 2))).astype(np.float32), (around, rows)
            )
            part = skin[row(surface) :, :, :3]
            part[:] = np.clip(part + (rng.uniform(0, 18) * grain[row(surface) :])[..., None], 0, 255).astype(np.uint8)
    assert pack.design is not None
    low, high = pack.label_cm
    label_rows = row(low) - row(high)
    if label_rows >= 2:
        share = pack.label_share
        front_share = min(0.46, share)
        front = paint_front(pack.design, 2 * np.pi * radius * front_share, high - low, pixels_per_cm)
        label = np.empty((label_rows, max(round(around * share), 4), 3), np.uint8)
        label[:] = pack.design.scheme.base if front.shape[0] < 8 else front[:, :2].mean(axis=(0, 1)).astype(np.uint8)
        if share > 0.95:  # wrapped all around: nutrition table and barcode at the back, over the seam
            back = paint_back(pack.design, 2 * np.pi * radius * 0.4, high - low, pixels_per_cm)
            back = np.asarray(cv2.resize(back, (max(round(around * 0.4), 2), label_rows)), np.uint8)
            label[:, (np.arange(back.shape[1]) - back.shape[1] // 2) % label.shape[1]] = back
        front = np.asarray(cv2.resize(front, (max(round(around * front_share), 2), label_rows)), np.uint8)
        label = _blit(label, front, (label.shape[1] - front.shape[1]) // 2)
        start = (around - label.shape[1]) // 2
        target = skin[row(high) : row(low), max(start, 0) : max(start, 0) + label.shape[1]]
        target[..., :3] = label[:, : target.shape[1]]
        target[..., 3] = 255
        gloss[row(high) : row(low)] = 128 if pack.material == "transparent" else 255
    cap = row(pack.closure_cm)
    if cap > 0:
        skin[:cap, :, :3] = pack.closure
        skin[:cap, :, 3] = 255
        gloss[:cap] = 204
        if pack.family in {"pet_bottle", "jar", "glass_bottle"} and cap > 3:  # ribs of a screw cap
            ribs = (np.arange(around) % max(round(0.22 * pixels_per_cm), 2)) < 1
            skin[:cap, ribs, :3] = mix(pack.closure, (0, 0, 0), 0.25)
        skin[max(cap - 1, 0) : cap, :, :3] = mix(pack.closure, (0, 0, 0), 0.4)
    lid = _lid(pack, skin.shape[1], pixels_per_cm)
    return np.concatenate([skin, lid]), gloss


def _blit(target: Image, picture: Image, left: int) -> Image:
    width = min(picture.shape[1], target.shape[1] - max(left, 0))
    target[:, max(left, 0) : max(left, 0) + width] = picture[: target.shape[0], :width]
    return target


def _lid(pack: Packaging, width: int, pixels_per_cm: float) -> Image:
    """The flat top from above in the left corner of a strip (side, width, 4)."""
    side = min(max(round(2 * pack.profile[-1][1] * pixels_per_cm), 4), width)
    strip = np.zeros((side, width, 4), np.uint8)
    strip[..., 3] = 255
    colour = mix(pack.closure, (255, 255, 255), 0.08)
    strip[..., :3] = colour
    lid = np.ascontiguousarray(strip[:, :side, :3])
    middle, radius = side / 2 - 0.5, side / 2
    if pack.family == "can":
        ellipse(lid, (middle, middle), (radius * 0.9, radius * 0.9), mix(colour, (60, 60, 60), 0.35))
        ellipse(lid, (middle, middle), (radius * 0.84, radius * 0.84), mix(colour, (255, 255, 255), 0.15))
        if pack.size_cm[1] > 10:  # the tab and the mouth of a drink can
            ellipse(
                lid, (middle, middle + radius * 0.36), (radius * 0.3, radius * 0.32), mix(colour, (70, 70, 70), 0.3)
            )
            ellipse(
                lid, (middle, middle - radius * 0.08), (radius * 0.17, radius * 0.36), mix(colour, (90, 90, 90), 0.55)
            )
            ellipse(lid, (middle, middle - radius * 0.18), (radius * 0.09, radius * 0.13), colour)
    else:
        ellipse(lid, (middle, middle), (radius * 0.88, radius * 0.88), mix(colour, (0, 0, 0), 0.12))
        ellipse(lid, (middle, middle), (radius * 0.84, radius * 0.84), colour)
        if pack.family in {"tub", "cup"} and pack.design is not None:
            printed = paint_front(pack.design, 6, 6, max(side * 0.68 / 6, 1.0))
            edge = (side - printed.shape[0]) // 2
            lid[edge : edge + printed.shape[0], edge : edge + printed.shape[1]] = printed
    strip[:, :side, :3] = lid
    return strip
