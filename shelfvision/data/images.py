"""Reading pictures: dimensions are checked before decoding, Exif orientation is applied, damage is an error."""

from __future__ import annotations

import io
import os
import stat
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np
from numpy.typing import NDArray

from shelfvision.data.picture_header import HeaderError, PictureHeader, read_header
from shelfvision.errors import DataError

Image = NDArray[np.uint8]
"""(height, width, 3), BGR."""

PICTURE_SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
MAX_PIXELS = 50_000_000  # a 48-megapixel phone picture passes
_BYTES_A_PIXEL = 8  # uncompressed 16-bit TIFF with alpha; no picture file needs more
_FLAGS = {
    1: cv2.IMREAD_COLOR,
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}
_SPARE_BYTES = 64_000_000  # metadata, thumbnails, further pages


def read_image(path: Path, *, max_pixels: int = MAX_PIXELS, shrink: int = 1) -> Image:
    """One picture, upright (Exif orientation applied), as (h, w, 3) uint8 BGR.

    Grey pictures become BGR, 16 bits become 8, transparency is left out, of several pages or frames the first counts.

    Args:
        path: the file.
        max_pixels: more than these are refused.
        shrink: 1, 2, 4 or 8; a JPEG is decoded at this fraction of its sides (rounded up), which is several times
            quicker. Other formats come in full size.

    Raises:
        DataError: missing, unreadable, no picture, cut off, damaged, or more than ``max_pixels`` pixels (found out
            from the header, before decoding).
    """
    with _open(path) as file:
        length = os.fstat(file.fileno()).st_size
        header = _header(path, file, length)
        _check_pixels(path, header, max_pixels)
        if length > max_pixels * _BYTES_A_PIXEL + _SPARE_BYTES:
            raise DataError(f"{path}: {length / 1e6:.0f} MB is far more than its pixels can need; save it anew")
        file.seek(0)
        data = file.read()
    return _decoded(path, header, data, shrink if header.format == "JPEG" else 1)


def decode_image(data: bytes, *, name: str = "picture", max_pixels: int = MAX_PIXELS) -> Image:
    """A picture that is already in memory, as ``read_image`` gives it; ``name`` stands in errors.

    Raises:
        DataError: as ``read_image``.
    """
    header = _header(name, io.BytesIO(data), len(data))
    _check_pixels(name, header, max_pixels)
    return _decoded(name, header, data, 1)


def image_size(path: Path) -> tuple[int, int]:
    """Width and height of the picture when shown upright, from its header only.

    Raises:
        DataError: missing, unreadable, or no picture.
    """
    with _open(path) as file:
        return _header(path, file, os.fstat(file.fileno()).st_size).size


def picture_format(path: Path) -> str:
    """PNG, JPEG, BMP, WebP or TIFF, from the picture's header only, whatever its name ends with.

    Raises:
        DataError: missing, unreadable, or no picture.
    """
    with _open(path) as file:
        return _header(path, file, os.fstat(file.fileno()).st_size).format


def stored_size(path: Path) -> tuple[int, int]:
    """Width and height of the pixels as stored, before Exif orientation; tells sideways annotations from wrong ones.

    Raises:
        DataError: missing, unreadable, or no picture.
    """
    with _open(path) as file:
        return _header(path, file, os.fstat(file.fileno()).st_size).stored


def _open(path: Path) -> BinaryIO:
    try:
        # without O_NONBLOCK a named pipe in the folder would wait for a writer for ever
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise DataError(f"{path}: not a file")
        return os.fdopen(descriptor, "rb")
    except FileNotFoundError:
        raise DataError(f"{path}: no such picture; check the path") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError:  # a NUL character in the name
        raise DataError(f"{str(path)!r}: not a file name") from None


def _header(name: Path | str, file: BinaryIO, length: int) -> PictureHeader:
    try:
        return read_header(file, length)
    except HeaderError as error:
        raise DataError(f"{name}: cannot be read as a picture: {error}") from None
    except OSError as error:
        raise DataError(f"{name}: cannot be read: {error.strerror}") from None


def _check_pixels(name: Path | str, header: PictureHeader, max_pixels: int) -> None:
    width, height = header.stored
    if max(width * height, header.decoded) > max_pixels:
        raise DataError(
            f"{name}: {width} x {height} pixels are more than the {max_pixels:,} allowed; scale the picture down"
        )


def _decoded(name: Path | str, header: PictureHeader, data: bytes, shrink: int) -> Image:
    cut = f"{name}: the {header.format} file is cut off; copy or download it again"
    # some JPEG decoders fill what is missing with grey; the end marker must stand behind the headers, which may hold
    # a thumbnail with an end marker of its own
    if not header.complete or (header.format == "JPEG" and data.find(b"\xff\xd9", header.pixels_at) < 0):
        raise DataError(cut)
    try:
        decoded = cv2.imdecode(np.frombuffer(data, np.uint8), _FLAGS[shrink] | cv2.IMREAD_IGNORE_ORIENTATION)
    except (cv2.error, MemoryError):
        decoded = None
    if decoded is None:
        raise DataError(f"{name}: the {header.format} file is damaged and cannot be decoded; replace it")
    image: Image = np.asarray(decoded, np.uint8)
    if header.format != "TIFF":  # OpenCV turns TIFF upright by itself, whatever it is told
        image = _upright(image, header.orientation)
    if image.shape[1::-1] != (-(-header.size[0] // shrink), -(-header.size[1] // shrink)):
        found = f"{image.shape[1]} x {image.shape[0]}"
        raise DataError(f"{name}: holds {found} pixels, its header says {header.size[0]} x {header.size[1]}")
    return image


def _upright(image: Image, orientation: int) -> Image:
    """Undo how the camera was held; the eight cases of Exif tag 0x0112."""
    if orientation >= 5:
        image = np.transpose(image, (1, 0, 2))
    if orientation in {2, 3, 6, 7}:
        image = image[:, ::-1]
    if orientation in {3, 4, 7, 8}:
        image = image[::-1]
    return np.ascontiguousarray(image)
