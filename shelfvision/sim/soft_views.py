"""Pictures of soft and flat packages: bags, pouches, tubes, trays under film, and pack shots."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

from shelfvision.sim.pack_sprite import Sprite, make_sprite, multiply_light
from shelfvision.sim.packaging import Packaging
from shelfvision.sim.palette import Colour, mix
from shelfvision.sim.photographs import load_pack_shot
from shelfvision.sim.pictures import Image, kernels
from shelfvision.sim.prints import paint_back, paint_front
from shelfvision.sim.surfaces import CRINKLES, crinkle, soft_outline


def flat_sprite(pack: Packaging, pixels_per_cm: float, *, back: bool) -> Sprite:
    """A bag, pouch, tube, tray or pack shot from the front."""
    width, height, depth = pack.size_cm
    shape = max(round(height * pixels_per_cm), 6), max(round(width * pixels_per_cm), 6)
    if pack.pack_shot is not None:
        shot = cv2.resize(load_pack_shot(pack.pack_shot), (shape[1], shape[0]), interpolation=cv2.INTER_AREA)
        pixels, cover = np.array(shot[..., :3], np.uint8), np.array(shot[..., 3], np.uint8)
    else:
        cover = soft_outline(pack.outline, shape, pack.seed)
        pixels = _soft_print(pack, shape, pixels_per_cm, back=back)
    pad = 1
    pixels = np.pad(pixels, ((pad, pad), (pad, pad), (0, 0)), mode="edge")
    cover = np.pad(cover, pad)
    left, right, top, bottom = pad - 0.5, pad + shape[1] - 0.5, pad - 0.5, pad + shape[0] - 0.5
    anchors = np.array([(left, bottom), (right, bottom), (right, top), (left, top)])
    return make_sprite(pixels, cover, anchors, depth * 0.3, turns=False)


@lru_cache(maxsize=32)
def _filling(seed: int, colour: Colour, width: int, height: int) -> Image:
    """What lies in a tray, at ten pixels a centimetre."""
    rng = np.random.default_rng(seed + 4)
    inner = np.empty((height * 10, width * 10, 3), np.uint8)
    inner[:] = mix(colour, (30, 30, 50), 0.4)
    for _ in range(4):
        kernels(inner, (0, 0, inner.shape[1], inner.shape[0]), colour, rng)
    return inner


def _soft_print(pack: Packaging, shape: tuple[int, int], pixels_per_cm: float, *, back: bool) -> Image:
    assert pack.design is not None
    width, height, _ = pack.size_cm
    scheme = pack.design.scheme
    image = (paint_back if back else paint_front)(pack.design, width, height, pixels_per_cm)
    image = np.array(image if image.shape[:2] == shape else cv2.resize(image, (shape[1], shape[0])), np.uint8)
    colour, white = crinkle(pack.seed % CRINKLES)
    if pack.outline == "rim":
        edge = max(round(0.9 * pixels_per_cm), 1)
        inside = max(shape[1] - 2 * edge, 3), max(shape[0] - 2 * edge, 3)
        inner = cv2.resize(_filling(pack.seed, pack.content, round(width), round(height)), inside)
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
        image = multiply_light(image, round_part.astype(np.float32), strip.astype(np.float32))
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
    return multiply_light(image, lit.astype(np.float32), glints.astype(np.float32))
