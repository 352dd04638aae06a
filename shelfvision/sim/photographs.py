"""Pictures from the user's folders: textures for prints and surroundings, pack shots used as whole products."""

from __future__ import annotations

import struct
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from shelfvision.errors import ConfigError

Image = NDArray[np.uint8]
SUFFIXES = (".png", ".jpg", ".jpeg")
_MAX_PIXELS = 60_000_000  # header check before decoding: a small PNG can unpack to gigabytes
_TEXTURE_SIDE = 480  # longest side kept of a texture
_PACK_SHOT_SIDE = 900


def list_pictures(folder: Path, purpose: str) -> list[Path]:
    """All PNG and JPEG files below a folder, in a fixed order, each checked by its header.

    Args:
        folder: where to look, subfolders included.
        purpose: the option's name for messages, such as ``--textures``.

    Raises:
        ConfigError: the folder is missing or has no picture, or files in it are broken; all of them in one message.
    """
    if not folder.is_dir():
        raise ConfigError(f"{purpose} {folder}: no such folder")
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    if not paths:
        raise ConfigError(f"{purpose} {folder}: holds no picture; expected files named *.png, *.jpg or *.jpeg")
    faults = [f"{path.relative_to(folder)}: {fault}" for path in paths if (fault := _header_fault(path))]
    if faults:
        shown = "; ".join(faults[:5]) + (f"; and {len(faults) - 5} more" if len(faults) > 5 else "")
        raise ConfigError(f"{purpose} {folder}: {len(faults)} unusable picture(s): {shown}; remove or replace them")
    return paths


def _header_fault(path: Path) -> str | None:
    """What is wrong with a picture as far as its first and last bytes tell; None when nothing is."""
    try:
        data = path.read_bytes()
    except OSError as error:
        return error.strerror or "cannot be read"
    size = _png_size(data) if data.startswith(b"\x89PNG\r\n\x1a\n") else _jpeg_size(data)
    if size is None:
        return "is not a whole PNG or JPEG picture"
    width, height = size
    if width < 8 or height < 8:
        return f"is too small ({width}x{height} pixels)"
    if width * height > _MAX_PIXELS:
        return f"is too large ({width}x{height} pixels; at most {_MAX_PIXELS // 1_000_000} megapixels)"
    return None


def _png_size(data: bytes) -> tuple[int, int] | None:
    if len(data) < 45 or data[12:16] != b"IHDR" or b"IEND" not in data[-64:]:
        return None
    width, height = struct.unpack(">II", data[16:24])
    return width, height


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    if not data.startswith(b"\xff\xd8\xff") or b"\xff\xd9" not in data[-4096:]:
        return None
    place = 2
    while place + 9 < len(data) and data[place] == 0xFF:
        marker, length = data[place + 1], struct.unpack(">H", data[place + 2 : place + 4])[0]
        if 0xC0 <= marker <= 0xCF and marker not in {0xC4, 0xC8, 0xCC}:  # start of frame
            height, width = struct.unpack(">HH", data[place + 5 : place + 9])
            return width, height
        place += 2 + length
    return None


def _decode(path: Path, flags: int, side: int) -> Image:
    image = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), flags)
    if image is None:
        raise ConfigError(f"{path}: cannot be decoded as a picture; remove or replace it")
    if image.dtype != np.uint8:
        image = np.right_shift(np.asarray(image, np.uint16), 8).astype(np.uint8)
    factor = side / max(image.shape[:2])
    if factor < 1:
        shape = max(round(image.shape[1] * factor), 4), max(round(image.shape[0] * factor), 4)
        image = cv2.resize(image, shape, interpolation=cv2.INTER_AREA)
    return np.asarray(image, np.uint8)


@lru_cache(maxsize=96)
def load_photograph(path: Path) -> Image:
    """A texture as (h, w, 3) BGR, at most 480 pixels on its longest side.

    Raises:
        ConfigError: when it cannot be decoded.
    """
    return _decode(path, cv2.IMREAD_COLOR, _TEXTURE_SIDE)


@lru_cache(maxsize=128)
def load_pack_shot(path: Path) -> Image:
    """A pack shot cut out: (h, w, 4) BGRA, cropped to the product.

    A picture without transparency is cut out by its plain background, which must touch the corners.

    Raises:
        ConfigError: when it cannot be decoded, nothing is left after cutting out, or the background is not plain.
    """
    image = _decode(path, cv2.IMREAD_UNCHANGED, _PACK_SHOT_SIDE)
    if image.ndim == 2:
        image = np.asarray(cv2.cvtColor(image, cv2.COLOR_GRAY2BGR), np.uint8)
    alpha = image[..., 3] if image.shape[2] == 4 else None
    if alpha is None or int(alpha.min()) > 250:
        alpha = _cut_out(np.ascontiguousarray(image[..., :3]), path)
    rows, columns = np.flatnonzero((alpha > 40).any(axis=1)), np.flatnonzero((alpha > 40).any(axis=0))
    if len(rows) < 4 or len(columns) < 4:
        raise ConfigError(f"{path}: no product is left when the background is removed; use a transparent PNG")
    box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    return np.dstack([image[box][..., :3], alpha[box]])


def _cut_out(image: Image, path: Path) -> Image:
    """Cover of what is not the plain background around it, (h, w)."""
    height, width = image.shape[:2]
    border = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]]).astype(int)
    plain = np.median(border, axis=0)
    if (np.abs(border - plain).max(axis=1) < 30).mean() < 0.4:
        raise ConfigError(
            f"{path}: the background is not plain; a pack shot is a transparent PNG or stands on one colour"
        )
    mask = np.zeros((height + 2, width + 2), np.uint8)
    corners = [(0, 0), (width - 1, 0), (0, height - 1), (width - 1, height - 1)]
    steps = [(x, y) for x in range(0, width, 16) for y in (0, height - 1)] + [
        (x, y) for y in range(0, height, 16) for x in (0, width - 1)
    ]
    for seed in corners + steps:
        if mask[seed[1] + 1, seed[0] + 1] == 0 and np.abs(image[seed[1], seed[0]].astype(int) - plain).max() < 24:
            cv2.floodFill(
                image,
                mask,
                seed,
                0,
                (9, 9, 9),
                (9, 9, 9),
                4 | cv2.FLOODFILL_MASK_ONLY | cv2.FLOODFILL_FIXED_RANGE | (255 << 8),
            )
    kept = cv2.bitwise_not(mask[1:-1, 1:-1])
    kept = cv2.morphologyEx(kept, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    kept = cv2.erode(kept, np.ones((3, 3), np.uint8))  # the rim is mixed with the background
    return np.asarray(cv2.GaussianBlur(kept, (3, 3), 0), np.uint8)
