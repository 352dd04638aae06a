"""Pictures of boxes, cartons and multipacks: printed faces in parallel projection."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from shelfvision.sim.optics import perspective
from shelfvision.sim.pack_sprite import Sprite, make_sprite, multiply_light
from shelfvision.sim.packaging import Packaging
from shelfvision.sim.palette import Colour, mix
from shelfvision.sim.pictures import Image, ellipse
from shelfvision.sim.prints import paint_back, paint_front
from shelfvision.sim.round_views import round_front
from shelfvision.sim.solids import Face, block_faces, faces_camera, project
from shelfvision.sim.surfaces import CRINKLES, crinkle


def block_sprite(pack: Packaging, pixels_per_cm: float, azimuth: float, elevation: float, *, back: bool) -> Sprite:
    """A box, carton or multipack from a direction; ``back`` turns its back to the front."""
    faces = [f for f in block_faces(pack.size_cm, pack.gable_cm) if faces_camera(f, azimuth, elevation)]
    p = pixels_per_cm
    corners = [project(np.asarray(face.corners), azimuth, elevation) for face in faces]
    front = project(front_corners(pack), azimuth, elevation)
    everything = np.concatenate([*corners, front])
    low, high = everything.min(axis=0), everything.max(axis=0)
    origin = np.array([low[0] * p - 1, -high[1] * p - 1])
    size = int(np.ceil((high[0] - low[0]) * p)) + 3, int(np.ceil((high[1] - low[1]) * p)) + 3
    spots = [flat * (p, -p) - origin for flat in corners]
    pixels, cover = _paint_faces(pack, faces, spots, size, p, back=back)
    return make_sprite(pixels, cover, front * (p, -p) - origin, pack.size_cm[2] / 2, turns=False)


def block_in_view(
    pack: Packaging,
    spots: Sequence[NDArray[np.floating]],
    front: NDArray[np.floating],
    window: tuple[float, float, float, float],
    pixels_per_cm: float,
    *,
    back: bool,
) -> Sprite | None:
    """A box in true perspective, for close views.

    Args:
        pack: what to draw.
        spots: canvas pixels (4, 2) of each of its ``block_faces``.
        front: canvas pixels (4, 2) of its ``front_corners``, which become the sprite's anchors.
        window: left, top, right, bottom of the part of the canvas that matters.
        pixels_per_cm: resolution of the prints.
        back: whether its back is in front.

    Returns:
        A sprite at the canvas's resolution; None when nothing of it falls into the window.
    """
    seen = []
    for face, spot in zip(block_faces(pack.size_cm, pack.gable_cm), spots, strict=True):
        across, down = spot[1] - spot[0], spot[3] - spot[0]
        if across[0] * down[1] - across[1] * down[0] > 1e-6:
            seen.append((face, spot))
    if not seen:
        return None
    everything = np.concatenate([spot for _, spot in seen])
    low = np.floor(np.maximum(everything.min(axis=0) - 1, window[:2]))
    high = np.ceil(np.minimum(everything.max(axis=0) + 2, window[2:]))
    if (high - low < 1).any():
        return None
    size = int(high[0] - low[0]), int(high[1] - low[1])
    faces = [face for face, _ in seen]
    pixels, cover = _paint_faces(pack, faces, [spot - low for _, spot in seen], size, pixels_per_cm, back=back)
    return make_sprite(pixels, cover, front - low, pack.size_cm[2] / 2, turns=False)


def front_corners(pack: Packaging) -> NDArray[np.float64]:
    """(4, 3) cm: bottom left, bottom right, top right, top left of a box's front, from the centre of its foot."""
    width, height, depth = pack.size_cm
    x, z = width / 2, depth / 2
    return np.array([(-x, 0, z), (x, 0, z), (x, height, z), (-x, height, z)])


def _paint_faces(
    pack: Packaging,
    faces: Sequence[Face],
    spots: Sequence[NDArray[np.floating]],
    size: tuple[int, int],
    pixels_per_cm: float,
    *,
    back: bool,
) -> tuple[Image, NDArray[np.uint8]]:
    """Colour (h, w, 3) and cover (h, w) of faces whose corners fall on ``spots``, painted in the order given."""
    width, height, depth = pack.size_cm
    prints = {"side": (depth, height - pack.gable_cm), "top": (width, depth), "front": (width, height - pack.gable_cm)}
    pixels, cover = np.zeros((size[1], size[0], 3), np.uint8), np.zeros((size[1], size[0]), np.uint8)
    for face, spot in zip(faces, spots, strict=True):
        outline = np.round(np.clip(spot, -30_000, 30_000) * 16).astype(np.int32)
        cv2.fillConvexPoly(cover, outline, 255, cv2.LINE_AA, 4)
        plain = _plain_face(pack, face)
        if plain is not None:
            cv2.fillConvexPoly(pixels, outline, plain, cv2.LINE_AA, 4)
        else:
            _paint_face(pack, face, spot, pixels, prints[face.name], p=pixels_per_cm, back=back)
        _paint_edges(pack, face, spot, pixels, pixels_per_cm)
    return pixels, cover


def _plain_face(pack: Packaging, face: Face) -> Colour | None:
    """The colour of a face without print; None for a printed one."""
    assert pack.design is not None
    if face.name in {"front", "side"} or pack.member is not None:
        return None
    scheme = pack.design.scheme
    share = {"slope": 0.25, "fin": 0.1}.get(face.name, 0.0)
    blue, green, red = mix(scheme.base, scheme.second, share)
    return min(int(blue * face.light), 255), min(int(green * face.light), 255), min(int(red * face.light), 255)


def _paint_face(
    pack: Packaging,
    face: Face,
    spot: NDArray[np.floating],
    pixels: Image,
    size_cm: tuple[float, float],
    *,
    p: float,
    back: bool,
) -> None:
    """Warp a face's print to its corners ``spot`` (4, 2)."""
    printed = _face_print(pack, face.name, *size_cm, p, back=back)
    rows, columns = printed.shape[:2]
    left, top = np.maximum(np.floor(spot.min(axis=0)).astype(int) - 1, 0)
    right, bottom = np.minimum(np.ceil(spot.max(axis=0)).astype(int) + 2, pixels.shape[1::-1])
    if right <= left or bottom <= top:
        return
    local = spot - (left, top)
    size = int(right - left), int(bottom - top)
    mask = np.zeros(size[::-1], np.uint8)
    cv2.fillConvexPoly(mask, np.round(np.clip(local, -30_000, 30_000) * 16).astype(np.int32), 255, cv2.LINE_AA, 4)
    source = np.array(
        [(-0.5, -0.5), (columns - 0.5, -0.5), (columns - 0.5, rows - 0.5), (-0.5, rows - 0.5)], np.float32
    )
    if np.abs(local[0] + local[2] - local[1] - local[3]).max() < 0.05:  # a parallelogram
        matrix = cv2.getAffineTransform(source[[3, 2, 0]], local[[3, 2, 0]].astype(np.float32))
        warped = cv2.warpAffine(printed, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    else:
        turned = perspective(source, local)
        warped = cv2.warpPerspective(printed, turned, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    if pack.material == "glossy" and face.name == "front":
        ramp = np.linspace(1.1, 0.9, size[1], dtype=np.float32)[:, None]
        warped = multiply_light(np.asarray(warped, np.uint8), ramp * face.light, 0.04 * np.clip(ramp - 0.95, 0, 1))
    elif face.light != 1.0:
        warped = cv2.convertScaleAbs(warped, alpha=face.light)
    cv2.copyTo(warped, mask, pixels[top:bottom, left:right])


def _paint_edges(pack: Packaging, face: Face, spot: NDArray[np.floating], pixels: Image, p: float) -> None:
    """Worn edges are lighter; a box's lid and a carton's fin show their folds."""
    if p < 3 or face.name == "cheek" or pack.member is not None:
        return
    assert pack.design is not None
    base = pack.design.scheme.base
    edge = np.round(spot[[3, 0, 1]] * 16).astype(np.int32)
    cv2.polylines(pixels, [edge], False, mix(base, (255, 255, 255), 0.3), 1, cv2.LINE_AA, 4)
    if face.name in {"top", "fin"}:
        fold = np.round(np.stack([(spot[0] + spot[3]) / 2, (spot[1] + spot[2]) / 2]) * 16).astype(np.int32)
        cv2.polylines(pixels, [fold], False, mix(base, (0, 0, 0), 0.3), 1, cv2.LINE_AA, 4)


def _face_print(pack: Packaging, name: str, width: float, height: float, pixels_per_cm: float, *, back: bool) -> Image:
    assert pack.design is not None
    shape = max(round(height * pixels_per_cm), 3), max(round(width * pixels_per_cm), 3)
    if pack.member is not None:
        return _wrapped_members(pack, name, shape)
    if name == "front" and not back:
        return paint_front(pack.design, width, height, pixels_per_cm)
    return paint_back(pack.design, width, height, pixels_per_cm)


@lru_cache(maxsize=64)
def _member_front(member: Packaging) -> Image:
    return round_front(member, 16.0)


@lru_cache(maxsize=96)
def _wrapped_members(pack: Packaging, name: str, shape: tuple[int, int]) -> Image:
    """Cans or bottles side by side under clear film; not to be written to."""
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
        wide = shape[1] // count
        if wide >= 2:
            single = cv2.resize(_member_front(pack.member), (wide, shape[0]), interpolation=cv2.INTER_AREA)
            cover = single[..., 3:].astype(np.float32) / 255
            column = (single[..., :3] * cover + image[:, :wide] * (1 - cover)).astype(np.uint8)
            image[:, : wide * count] = np.tile(column, (1, count, 1))
        band = slice(int(shape[0] * 0.42), int(shape[0] * 0.62))
        if pack.seed % 3 == 0:
            image[band] = image[band] // 3 + np.asarray(pack.design.scheme.second, np.uint8) // 3 * 2
    _, white = crinkle(pack.seed % CRINKLES)
    film = cv2.convertScaleAbs(cv2.resize(white, (shape[1], shape[0])), alpha=150)
    return np.asarray(cv2.add(cv2.convertScaleAbs(image, alpha=0.94, beta=6), cv2.merge([film] * 3)), np.uint8)
