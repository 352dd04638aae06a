"""Pictures of single packages: the print wrapped around the body, lit, with transparency, from any side."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from shelfvision.sim.palette import mix
from shelfvision.sim.photographs import load_pack_shot
from shelfvision.sim.pictures import Image, ellipse, kernels
from shelfvision.sim.prints import paint_back, paint_front
from shelfvision.sim.products import Packaging
from shelfvision.sim.solids import block_faces, faces_camera, project, round_view
from shelfvision.sim.surfaces import CRINKLES, crinkle, round_light, soft_outline

SEEN = 72  # a pixel belongs to a package from this cover on (of 255); transparent parts are never below


@dataclass(frozen=True, slots=True)
class Sprite:
    """A package seen from one direction."""

    pixels: Image  # (h, w, 4) BGRA, colour multiplied by cover
    anchors: NDArray[
        np.float32
    ]  # (4, 2) pixels of the reference rectangle: bottom left, bottom right, top right, top left
    plane: float  # cm that the rectangle stands in front of the foot's centre
    turns: bool  # the rectangle faces the camera (round bodies) or the package's own front
    seen_area: float  # pixels that belong to the package


def _multiply(pixels: Image, colour: NDArray[np.float32], white: NDArray[np.float32]) -> Image:
    """BGR lit: colour factor and white added, both (h, w)."""
    lit = pixels * colour[..., None] + (255.0 * white)[..., None]
    return np.clip(lit, 0, 255).astype(np.uint8)


def _sprite(
    bgr: Image, cover: NDArray[np.floating], anchors: NDArray[np.floating], plane: float, turns: bool
) -> Sprite:
    alpha = np.clip(cover, 0, 255).astype(np.uint8)
    pixels = np.dstack([cv2.multiply(bgr, cv2.merge([alpha] * 3), scale=1 / 255), alpha])
    return Sprite(pixels, anchors.astype(np.float32), plane, turns, float((alpha >= SEEN).sum()))


def render_view(
    pack: Packaging, pixels_per_cm: float, azimuth: float = 0.0, elevation: float = 0.0, turn: float = 0.0
) -> Sprite:
    """A package seen from a direction.

    Args:
        pack: what to draw.
        pixels_per_cm: resolution of the sprite.
        azimuth: degrees; positive when the camera stands to the right of the package's front. Round and flat ones ignore it.
        elevation: degrees, positive when the camera looks down. Flat ones ignore it.
        turn: degrees by which a round package is turned around its axis; 180 shows the back of any package.
    """
    if pack.solid == "round":
        return _round_sprite(pack, pixels_per_cm, elevation, turn)
    if pack.solid == "flat":
        return _flat_sprite(pack, pixels_per_cm, back=abs(turn) > 90)
    return _block_sprite(pack, pixels_per_cm, azimuth, elevation, back=abs(turn) > 90)


def render_front(pack: Packaging, pixels_per_cm: float, rng: np.random.Generator | None = None) -> Image:
    """The package from straight in front, (h, w, 4) BGRA with colour not multiplied by cover.

    With ``rng`` a round package is turned a little, as on a real shelf.
    """
    turn = 0.0 if rng is None else float(rng.normal(0, 8))
    sprite = render_view(pack, pixels_per_cm, turn=turn)
    low, high = sprite.anchors.min(axis=0), sprite.anchors.max(axis=0)
    box = slice(max(int(low[1]) - 1, 0), int(high[1]) + 2), slice(max(int(low[0]) - 1, 0), int(high[0]) + 2)
    pixels = sprite.pixels[box].astype(np.float32)
    pixels[..., :3] *= 255 / np.maximum(pixels[..., 3:], 1)
    return np.clip(pixels, 0, 255).astype(np.uint8)


# ---------------------------------------------------------------- round bodies


def _round_skin(pack: Packaging, pixels_per_cm: float) -> tuple[Image, NDArray[np.float32]]:
    """The surface unrolled one and a half times around, front at one half, with the lid below; and gloss of each row."""
    height = pack.size_cm[1]
    radius = max(r for _, r in pack.profile)
    rows = max(round(height * pixels_per_cm), 4)
    around = max(round(2 * np.pi * radius * pixels_per_cm), 12)
    skin = np.empty((rows, around, 4), np.uint8)
    gloss = np.ones(rows, np.float32)

    def row(at_cm: float) -> int:
        return int(np.clip(round((height - at_cm) * pixels_per_cm), 0, rows))

    skin[..., :3] = pack.content if pack.material == "transparent" else (178, 184, 188)
    skin[..., 3] = 255 if pack.material != "transparent" else round(255 * pack.opacity)
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
            back = cv2.resize(back, (max(round(around * 0.4), 2), label_rows))
            label[:, (np.arange(back.shape[1]) - back.shape[1] // 2) % label.shape[1]] = back
        front = cv2.resize(front, (max(round(around * front_share), 2), label_rows))
        label = _blit(label, front, (label.shape[1] - front.shape[1]) // 2)
        start = (around - label.shape[1]) // 2
        target = skin[row(high) : row(low), max(start, 0) : max(start, 0) + label.shape[1]]
        target[..., :3] = label[:, : target.shape[1]]
        target[..., 3] = 255
        gloss[row(high) : row(low)] = 0.5 if pack.material == "transparent" else 1.0
    cap = row(pack.closure_cm)
    if cap > 0:
        skin[:cap, :, :3] = pack.closure
        skin[:cap, :, 3] = 255
        gloss[:cap] = 0.8
        if pack.family in {"pet_bottle", "jar", "glass_bottle"} and cap > 3:  # ribs of a screw cap
            ribs = (np.arange(around) % max(round(0.22 * pixels_per_cm), 2)) < 1
            skin[:cap, ribs, :3] = mix(pack.closure, (0, 0, 0), 0.25)
        skin[max(cap - 1, 0) : cap, :, :3] = mix(pack.closure, (0, 0, 0), 0.4)
    skin = np.concatenate([skin, skin[:, : (around + 1) // 2]], axis=1)
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


def _round_sprite(pack: Packaging, pixels_per_cm: float, elevation: float, turn: float) -> Sprite:
    view = round_view(pack.profile, pixels_per_cm, elevation)
    skin, gloss = _round_skin(pack, pixels_per_cm)
    height = pack.size_cm[1]
    rows = len(gloss)
    around = skin.shape[1] * 2 // 3
    start = (0.25 - turn / 360.0) % 1.0
    map_x = (start + view.turn + 0.25) * around - 0.5
    map_y = np.clip((height - view.height) * pixels_per_cm, 0, rows - 1).astype(np.float32)
    row_gloss = gloss[map_y.astype(np.int32)]
    if view.lid.any():
        side = len(skin) - rows
        map_x = np.where(view.lid, (view.lid_x * 0.5 + 0.5) * (side - 1), map_x)
        map_y = np.where(view.lid, rows + (view.lid_z * 0.5 + 0.5) * (side - 1), map_y)
    pixels = cv2.remap(
        skin, map_x.astype(np.float32), map_y.astype(np.float32), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    colour, white = round_light(view.normal, pack.material)
    if view.lid.any():
        colour = np.where(view.lid, 1.02, colour).astype(np.float32)
        tilt = 0.1 * np.clip(1 - 3 * np.abs(view.lid_x + 0.4 * view.lid_z), 0, 1)
        white = np.where(view.lid, tilt, white).astype(np.float32)
    lit = _multiply(pixels[..., :3], colour, white * row_gloss)
    cover = pixels[..., 3] * view.cover
    radius, up = pack.size_cm[0] / 2, height * np.cos(np.radians(elevation))
    x, y = view.foot
    p = pixels_per_cm
    anchors = np.array(
        [(x - radius * p, y), (x + radius * p, y), (x + radius * p, y - up * p), (x - radius * p, y - up * p)]
    )
    return _sprite(lit, cover, anchors, 0.0, turns=True)


# ---------------------------------------------------------------- boxes and cartons


def _face_print(pack: Packaging, name: str, width: float, height: float, pixels_per_cm: float, *, back: bool) -> Image:
    assert pack.design is not None
    scheme = pack.design.scheme
    shape = max(round(height * pixels_per_cm), 3), max(round(width * pixels_per_cm), 3)
    if pack.member is not None:
        return _wrapped_members(pack, name, shape, pixels_per_cm)
    if name == "front":
        image = (paint_back if back else paint_front)(pack.design, width, height, pixels_per_cm)
    elif name == "side":
        image = paint_back(pack.design, width, height, pixels_per_cm)
    else:
        image = np.empty((*shape, 3), np.uint8)
        image[:] = mix(scheme.base, scheme.second, 0.25 if name == "slope" else 0.0)
        if name == "top" and min(shape) > 10:
            flap = shape[0] // 2
            cv2.line(image, (0, flap), (shape[1], flap), mix(scheme.base, (0, 0, 0), 0.25), 1)
        if name == "fin":
            image[::3] = mix(scheme.base, (0, 0, 0), 0.12)
    # worn edges are lighter, the foot is darker
    image[:, :1] = image[:, :1] // 2 + 110
    image[:1] = image[:1] // 2 + 115
    return image


def _wrapped_members(pack: Packaging, name: str, shape: tuple[int, int], pixels_per_cm: float) -> Image:
    """Cans or bottles side by side under clear film."""
    assert pack.member is not None
    assert pack.design is not None
    image = np.empty((*shape, 3), np.uint8)
    image[:] = (60, 62, 64)
    count = pack.members if name != "side" else 2
    if name == "top":
        for row in range(2):
            for place in range(count):
                centre = ((place + 0.5) * shape[1] / count, (row + 0.5) * shape[0] / 2)
                ellipse(
                    image,
                    centre,
                    (shape[1] / count * 0.45, shape[0] * 0.22),
                    mix(pack.member.closure, (150, 150, 150), 0.5),
                )
    else:
        single = render_front(pack.member, pixels_per_cm)
        wide = shape[1] // count
        if wide >= 2:
            single = cv2.resize(single, (wide, shape[0]), interpolation=cv2.INTER_AREA).astype(np.float32)
            cover = single[..., 3:] / 255
            for place in range(count):
                part = image[:, place * wide : (place + 1) * wide]
                part[:] = (part * (1 - cover) + single[..., :3] * cover).astype(np.uint8)
        band = slice(int(shape[0] * 0.42), int(shape[0] * 0.62))
        if pack.seed % 3 == 0:
            image[band] = image[band] // 3 + np.asarray(pack.design.scheme.second, np.uint8) // 3 * 2
    _, white = crinkle(pack.seed % CRINKLES)
    film = cv2.resize(white, (shape[1], shape[0]))
    return np.clip(image * 0.94 + 6 + (150 * film)[..., None], 0, 255).astype(np.uint8)


def _block_sprite(pack: Packaging, pixels_per_cm: float, azimuth: float, elevation: float, *, back: bool) -> Sprite:
    width, height, depth = pack.size_cm
    faces = [f for f in block_faces(pack.size_cm, pack.gable_cm) if faces_camera(f, azimuth, elevation)]
    p = pixels_per_cm
    corners = [project(np.asarray(face.corners), azimuth, elevation) for face in faces]
    everything = np.concatenate(corners)
    low, high = everything.min(axis=0), everything.max(axis=0)
    size = int(np.ceil((high[0] - low[0]) * p)) + 3, int(np.ceil((high[1] - low[1]) * p)) + 3
    pixels, cover = np.zeros((size[1], size[0], 3), np.uint8), np.zeros((size[1], size[0]), np.uint8)
    prints = {
        "side": (depth, height - pack.gable_cm),
        "cheek": (depth, pack.gable_cm * 0.62),
        "slope": (width, pack.gable_cm * 0.75),
    }
    prints |= {"top": (width, depth), "front": (width, height - pack.gable_cm), "fin": (width, pack.gable_cm * 0.38)}
    for face, flat in zip(faces, corners, strict=True):
        spot = np.stack([(flat[:, 0] - low[0]) * p + 1, (high[1] - flat[:, 1]) * p + 1], axis=1)
        printed = _face_print(pack, face.name, *prints[face.name], p, back=back)
        rows, columns = printed.shape[:2]
        # from the print's pixels to the sprite's: three corners fix a parallelogram (a cheek is the triangle in it)
        base = (
            spot[[3, 2, 0]]
            if face.name != "cheek"
            else np.array([spot[3], spot[2], spot[3] + spot[0] - (spot[3] + spot[2]) / 2])
        )
        source = np.array([(-0.5, rows - 0.5), (columns - 0.5, rows - 0.5), (-0.5, -0.5)], np.float32)
        matrix = cv2.getAffineTransform(source, base.astype(np.float32))
        mask = np.zeros_like(cover)
        cv2.fillConvexPoly(mask, np.round(spot * 16).astype(np.int32), 255, cv2.LINE_AA, 4)
        left, top = np.maximum(np.floor(spot.min(axis=0)).astype(int) - 1, 0)
        right, bottom = np.minimum(np.ceil(spot.max(axis=0)).astype(int) + 2, size)
        matrix[:, 2] -= (left, top)
        warped = cv2.warpAffine(
            printed,
            matrix,
            (int(right - left), int(bottom - top)),
            flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )
        if pack.material == "glossy" and face.name == "front":
            ramp = np.linspace(1.1, 0.9, warped.shape[0], dtype=np.float32)[:, None] * np.ones(
                (1, warped.shape[1]), np.float32
            )
            warped = _multiply(warped, ramp * face.light, 0.04 * np.clip(ramp - 0.95, 0, 1))
        else:
            warped = cv2.convertScaleAbs(warped, alpha=face.light)
        part = mask[top:bottom, left:right]
        region = pixels[top:bottom, left:right]
        cv2.copyTo(warped, part, region)
        np.maximum(cover[top:bottom, left:right], part, out=cover[top:bottom, left:right])
    front = np.array(
        [
            (-width / 2, 0, depth / 2),
            (width / 2, 0, depth / 2),
            (width / 2, height, depth / 2),
            (-width / 2, height, depth / 2),
        ]
    )
    seen = project(front, azimuth, elevation)
    anchors = np.stack([(seen[:, 0] - low[0]) * p + 1, (high[1] - seen[:, 1]) * p + 1], axis=1)
    return _sprite(pixels, cover, anchors, depth / 2, turns=False)


# ---------------------------------------------------------------- soft and flat ones


def _flat_sprite(pack: Packaging, pixels_per_cm: float, *, back: bool) -> Sprite:
    width, height, depth = pack.size_cm
    shape = max(round(height * pixels_per_cm), 6), max(round(width * pixels_per_cm), 6)
    if pack.pack_shot is not None:
        shot = cv2.resize(load_pack_shot(pack.pack_shot), (shape[1], shape[0]), interpolation=cv2.INTER_AREA)
        pixels, cover = np.ascontiguousarray(shot[..., :3]), shot[..., 3]
    else:
        cover = soft_outline(pack.outline, shape, pack.seed)
        pixels = _soft_print(pack, shape, pixels_per_cm, back=back)
    pad = 1
    pixels = cv2.copyMakeBorder(pixels, pad, pad, pad, pad, cv2.BORDER_REPLICATE)
    cover = cv2.copyMakeBorder(cover, pad, pad, pad, pad, cv2.BORDER_CONSTANT, value=0)
    left, right, top, bottom = pad - 0.5, pad + shape[1] - 0.5, pad - 0.5, pad + shape[0] - 0.5
    anchors = np.array([(left, bottom), (right, bottom), (right, top), (left, top)])
    return _sprite(pixels, cover, anchors, depth * 0.3, turns=False)


def _soft_print(pack: Packaging, shape: tuple[int, int], pixels_per_cm: float, *, back: bool) -> Image:
    assert pack.design is not None
    width, height, _ = pack.size_cm
    scheme = pack.design.scheme
    image = (paint_back if back else paint_front)(pack.design, width, height, pixels_per_cm)
    image = cv2.resize(image, (shape[1], shape[0])) if image.shape[:2] != shape else image
    rng = np.random.default_rng(pack.seed + 3)
    colour, white = crinkle(pack.seed % CRINKLES)
    if pack.outline == "rim":
        edge = max(round(0.9 * pixels_per_cm), 1)
        inner = np.empty((max(shape[0] - 2 * edge, 3), max(shape[1] - 2 * edge, 3), 3), np.uint8)
        inner[:] = mix(pack.content, (30, 30, 50), 0.4)
        for _ in range(4):
            kernels(inner, (0, 0, inner.shape[1], inner.shape[0]), pack.content, rng)
        tall, wide = inner.shape[0], inner.shape[1]
        label = cv2.resize(image, (max(int(wide * 0.5), 2), max(int(tall * 0.55), 2)), interpolation=cv2.INTER_AREA)
        inner[
            int(tall * 0.1) : int(tall * 0.1) + label.shape[0], int(wide * 0.08) : int(wide * 0.08) + label.shape[1]
        ] = label
        image[:] = pack.closure
        image[edge : edge + tall, edge : edge + wide] = inner
        strength, shine = 0.25, 0.5
    else:
        strength, shine = {"matt": (0.55, 0.08), "glossy": (0.85, 0.75), "metallic": (1.0, 1.0)}[pack.material]
    if pack.outline == "tube":
        cap = int(shape[0] * 0.86)
        image[cap:] = pack.closure
        image[cap : cap + 1] = mix(pack.closure, (0, 0, 0), 0.5)
        across = np.linspace(-1, 1, shape[1], dtype=np.float32)[None]
        round_part = np.broadcast_to(0.62 + 0.42 * np.sqrt(1 - 0.9 * across**2), shape)
        strip = np.broadcast_to(0.3 * np.exp(-(((across + 0.45) / 0.12) ** 2)), shape)
        image = _multiply(image, round_part.astype(np.float32), strip.astype(np.float32))
        image[: max(int(shape[0] * 0.05), 1)] = mix(scheme.base, (255, 255, 255), 0.3)
        return image
    if pack.seed % 2:
        colour, white = colour[:, ::-1], white[:, ::-1]
    lit = 1 + strength * (cv2.resize(np.ascontiguousarray(colour), (shape[1], shape[0])) - 1.02)
    glints = shine * cv2.resize(np.ascontiguousarray(white), (shape[1], shape[0]))
    if pack.outline == "pillow":
        seal = max(int(shape[0] * 0.045), 1)
        ribs = 0.8 + 0.25 * (np.arange(shape[1]) % max(round(0.2 * pixels_per_cm), 2) == 0)
        lit[:seal] = lit[-seal:] = ribs
    elif pack.outline == "paper":
        fold = max(int(shape[0] * 0.09), 1)
        lit[:fold] *= 1.12
        lit[fold : fold + 1] *= 0.7
    return _multiply(image, lit.astype(np.float32), glints.astype(np.float32))


class SpriteCache:
    """Sprites rendered once and kept, up to a number of bytes; the least used go first."""

    def __init__(self, max_bytes: int = 64_000_000) -> None:
        self._sprites: OrderedDict[tuple[str, int, float, float, float, float], Sprite] = OrderedDict()
        self._bytes = 0
        self._max_bytes = max_bytes

    def view(self, pack: Packaging, pixels_per_cm: float, azimuth: float, elevation: float, turn: float) -> Sprite:
        """As ``render_view``, kept."""
        key = (pack.sku, pack.seed, pixels_per_cm, azimuth, elevation, turn)
        sprite = self._sprites.get(key)
        if sprite is None:
            sprite = render_view(pack, pixels_per_cm, azimuth, elevation, turn)
            self._sprites[key] = sprite
            self._bytes += sprite.pixels.nbytes
            while self._bytes > self._max_bytes and len(self._sprites) > 1:
                self._bytes -= self._sprites.popitem(last=False)[1].pixels.nbytes
        else:
            self._sprites.move_to_end(key)
        return sprite
