"""What the header of a picture file says, read without decoding a pixel: PNG, JPEG, BMP, WebP, TIFF.

A 1.1 MB PNG can decode to 2.3 GB, so dimensions are known before any decoder is called. Only headers and chunk lists
are read, so sizes of a whole dataset cost microseconds a picture.
Layouts: PNG (W3C, third edition), JPEG (ITU-T T.81 annex B), BMP (Windows GDI), WebP (RFC 9649), TIFF 6.0 and BigTIFF,
orientation as in Exif 2.32 tag 0x0112.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8\xff"
_MOST_PARTS = 1_000_000  # chunks, segments or entries: far beyond any real file, stops a crafted one
_MOST_EXIF = 1_000_000  # bytes
_ORIENTATION, _WIDTH, _HEIGHT, _TILE_WIDTH, _TILE_HEIGHT = 274, 256, 257, 322, 323
_FRAMES_WITHOUT_SIZE = {0xC4, 0xC8, 0xCC}  # JPEG markers among the SOFs that are none: DHT, JPG, DAC
_END_OF_HEADER = {0xD9, 0xDA}  # JPEG markers: end of image, start of scan
_STANDALONE = {0x01, *range(0xD0, 0xD9)}  # JPEG markers without a length: TEM, RST0..7, SOI


class HeaderError(Exception):
    """The header is not what its format promises; the message says what, without the file's name."""


@dataclass(frozen=True, slots=True)
class PictureHeader:
    """Format and geometry of a picture file."""

    format: str  # PNG, JPEG, BMP, WebP, TIFF
    stored: tuple[int, int]  # width, height of the pixels as stored
    orientation: int = 1  # Exif: 1 upright .. 8; 5 to 8 swap width and height
    decoded: int = 0  # most pixels that a decoder must hold at once, if more than width x height (TIFF tiles)
    complete: bool = True  # False: the file ends before what the header announces
    pixels_at: int = 0  # byte behind the headers, where known (JPEG)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height when shown upright."""
        width, height = self.stored
        return (height, width) if self.orientation >= 5 else (width, height)


def read_header(file: BinaryIO, length: int) -> PictureHeader:
    """The header of an open picture file of ``length`` bytes, which is read from its beginning.

    Raises:
        HeaderError: not one of the formats, or a header that is cut off or contradicts itself.
    """
    start = _read(file, 0, min(16, length))
    for matches, parse in _FORMATS:
        if matches(start):
            try:
                header = parse(file, length)
            except struct.error:
                raise HeaderError("the file ends within its header") from None
            if min(header.stored) < 1:
                raise HeaderError(f"its header says {header.stored[0]} x {header.stored[1]} pixels")
            return header
    raise HeaderError(_describe_foreign(start))


def _png(file: BinaryIO, length: int) -> PictureHeader:
    size, kind = struct.unpack(">I4s", _read(file, 8, 8))
    if kind != b"IHDR" or size != 13:
        raise HeaderError("a PNG that does not begin with its header chunk")
    width, height = struct.unpack(">II", _read(file, 16, 8))
    orientation, complete, at = 1, False, 8
    for _ in range(_MOST_PARTS):
        if at + 12 > length:
            break
        size, kind = struct.unpack(">I4s", _read(file, at, 8))
        if at + 12 + size > length:
            break
        if kind == b"eXIf" and size <= _MOST_EXIF:
            orientation = _exif_orientation(_read(file, at + 8, size))
        at += 12 + size
        if kind == b"IEND":
            complete = True
            break
    return PictureHeader("PNG", (width, height), orientation, complete=complete)


def _jpeg(file: BinaryIO, _length: int) -> PictureHeader:
    stored: tuple[int, int] | None = None
    orientation, at = 1, 2
    for _ in range(_MOST_PARTS):
        marker, size = _jpeg_segment(file, at)
        if marker in _END_OF_HEADER:
            break
        if 0xC0 <= marker <= 0xCF and marker not in _FRAMES_WITHOUT_SIZE and stored is None:
            _, height, width = struct.unpack(">BHH", _read(file, at + 4, 5))
            stored = width, height
        elif marker == 0xE1 and orientation == 1 and _read(file, at + 4, min(6, size - 2)) == b"Exif\0\0":
            orientation = _exif_orientation(_read(file, at + 10, size - 8))
        at += 2 + size
    if stored is None:
        raise HeaderError("a JPEG without a frame header")
    return PictureHeader("JPEG", stored, orientation, pixels_at=at)


def _jpeg_segment(file: BinaryIO, at: int) -> tuple[int, int]:
    """Marker at this byte and how many bytes follow it; -1 for a fill byte, which is followed by the marker itself."""
    prefix, marker = struct.unpack(">BB", _read(file, at, 2))
    if prefix != 0xFF:
        raise HeaderError(f"a JPEG with no marker at byte {at}")
    if marker == 0xFF:
        return marker, -1
    if marker in _STANDALONE or marker in _END_OF_HEADER:
        return marker, 0
    (size,) = struct.unpack(">H", _read(file, at + 2, 2))
    if size < 2:
        raise HeaderError(f"a JPEG with a segment of {size} bytes at byte {at}")
    return marker, size


def _bmp(file: BinaryIO, length: int) -> PictureHeader:
    pixels, header = struct.unpack("<II", _read(file, 10, 8))
    if header == 12:
        width, height, _, depth = struct.unpack("<HHHH", _read(file, 18, 8))
        compression = 0
    elif header >= 40:
        width, height, _, depth, compression = struct.unpack("<iiHHI", _read(file, 18, 16))
        height = abs(height)  # negative: stored from the top down
    else:
        raise HeaderError(f"a BMP with a header of {header} bytes")
    row = (width * depth + 31) // 32 * 4
    complete = compression not in {0, 3} or pixels + row * height <= length
    return PictureHeader("BMP", (width, height), complete=complete)


def _webp(file: BinaryIO, length: int) -> PictureHeader:
    (size,) = struct.unpack("<I", _read(file, 4, 4))
    end = 8 + size
    stored: tuple[int, int] | None = None
    orientation, at = 1, 12
    for _ in range(_MOST_PARTS):
        if at + 8 > min(end, length):
            break
        kind, size = struct.unpack("<4sI", _read(file, at, 8))
        if stored is None:
            stored = _webp_size(kind, _read(file, at + 8, 10))
        elif kind == b"EXIF" and size <= _MOST_EXIF and at + 8 + size <= length:
            exif = _read(file, at + 8, size)
            orientation = _exif_orientation(exif.removeprefix(b"Exif\0\0"))
        at += 8 + size + size % 2
    if stored is None:
        raise HeaderError("a WebP without a picture")
    return PictureHeader("WebP", stored, orientation, complete=end <= length + 1)  # some writers count a missing pad


def _webp_size(kind: bytes, data: bytes) -> tuple[int, int]:
    if kind == b"VP8X":
        low, high, more_low, more_high = struct.unpack("<4xHBHB", data)
        return 1 + low + (high << 16), 1 + more_low + (more_high << 16)
    if kind == b"VP8L":
        mark, bits = struct.unpack("<BI", data[:5])
        if mark != 0x2F:
            raise HeaderError("a lossless WebP without its signature")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 ":
        code, width, height = struct.unpack("<3x3sHH", data)
        if code != b"\x9d\x01\x2a":
            raise HeaderError("a WebP whose first frame is no key frame")
        return width & 0x3FFF, height & 0x3FFF
    raise HeaderError(f"a WebP that begins with a chunk {kind!r}")


def _tiff(file: BinaryIO, length: int) -> PictureHeader:
    tags = _tiff_tags(lambda at, size: _read(file, at, size), length)
    if _WIDTH not in tags or _HEIGHT not in tags:
        raise HeaderError("a TIFF without width or height")
    decoded = tags.get(_TILE_WIDTH, 0) * tags.get(_TILE_HEIGHT, 0)
    return PictureHeader("TIFF", (tags[_WIDTH], tags[_HEIGHT]), _upright(tags.get(_ORIENTATION, 1)), decoded)


def _exif_orientation(data: bytes) -> int:
    """Exif is a small TIFF; a damaged one is no reason to refuse the picture around it."""

    def read(at: int, size: int) -> bytes:
        return data[at : at + size]

    try:
        return _upright(_tiff_tags(read, len(data)).get(_ORIENTATION, 1))
    except (HeaderError, struct.error):
        return 1


def _upright(orientation: int) -> int:
    return orientation if 1 <= orientation <= 8 else 1


def _tiff_tags(read: Callable[[int, int], bytes], length: int) -> dict[int, int]:
    """Tags with one integer value in the first directory."""
    order = {b"II": "<", b"MM": ">"}.get(read(0, 2))
    if order is None:
        raise HeaderError("a TIFF without byte order")
    (version,) = struct.unpack(f"{order}H", read(2, 2))
    if version == 42:
        (at,) = struct.unpack(f"{order}I", read(4, 4))
        (count,) = struct.unpack(f"{order}H", read(at, 2))
        first, entry, long_format = at + 2, 12, "I"
    elif version == 43:
        (at,) = struct.unpack(f"{order}Q", read(8, 8))
        (count,) = struct.unpack(f"{order}Q", read(at, 8)) if at < length else (0,)
        first, entry, long_format = at + 8, 20, "Q"
    else:
        raise HeaderError(f"a TIFF of version {version}")
    if first + count * entry > length:
        raise HeaderError("a TIFF that ends before its directory of tags")
    tags: dict[int, int] = {}
    for number in range(min(count, 4096)):
        data = read(first + number * entry, entry)
        tag, kind, values = struct.unpack(f"{order}HH{long_format}", data[: entry // 2 + 2])
        form = {1: "B", 3: "H", 4: "I", 16: "Q"}.get(kind)
        if form is not None and values == 1:
            (tags[tag],) = struct.unpack_from(f"{order}{form}", data, entry // 2 + 2)
    return tags


def _read(file: BinaryIO, at: int, size: int) -> bytes:
    file.seek(at)
    data = file.read(size)
    if len(data) < size:
        raise HeaderError("the file ends within its header")
    return data


def _describe_foreign(start: bytes) -> str:
    if not start:
        return "the file is empty"
    if start[4:8] == b"ftyp":
        return "HEIC, AVIF or video, not a picture in PNG, JPEG, BMP, WebP or TIFF; convert it to JPEG"
    if start.startswith(b"version https:"):
        return "a Git LFS pointer, not a picture; fetch it with `git lfs pull`"
    return "not a picture in PNG, JPEG, BMP, WebP or TIFF"


_FORMATS: tuple[tuple[Callable[[bytes], bool], Callable[[BinaryIO, int], PictureHeader]], ...] = (
    (lambda start: start.startswith(_PNG), _png),
    (lambda start: start.startswith(_JPEG), _jpeg),
    (lambda start: start.startswith(b"BM"), _bmp),
    (lambda start: start.startswith(b"RIFF") and start[8:12] == b"WEBP", _webp),
    (lambda start: start[:4] in {b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"}, _tiff),
)
