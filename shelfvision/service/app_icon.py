"""The application's icon: two shelf boards with products, one missing. Drawn here, no image library needed."""

from __future__ import annotations

import struct
import zlib
from functools import cache

import numpy as np
from numpy.typing import NDArray

# x, y, width, height, corner radius, colour; on a canvas of 64 x 64
_BACKGROUND = (0.0, 0.0, 64.0, 64.0, 0.0, "#0b5d4d")
_SHAPES = (
    (14.0, 15.0, 9.0, 14.0, 2.0, "#ffffff"),
    (27.5, 15.0, 9.0, 14.0, 2.0, "#ffffff"),
    (41.0, 15.0, 9.0, 14.0, 2.0, "#ffffff"),
    (11.0, 30.0, 42.0, 3.0, 1.5, "#8fd6bd"),
    (14.0, 36.0, 9.0, 12.0, 2.0, "#ffffff"),
    (41.0, 36.0, 9.0, 12.0, 2.0, "#ffffff"),
    (28.5, 42.0, 7.0, 6.0, 3.0, "#ffb84d"),
    (11.0, 49.0, 42.0, 3.0, 1.5, "#8fd6bd"),
)
_SAMPLES = 4  # a side, for smooth edges


def icon_svg() -> str:
    """The icon as SVG; square, so that any platform may cut its own corners."""
    shapes = "".join(
        f'<rect x="{x:g}" y="{y:g}" width="{w:g}" height="{h:g}" rx="{r:g}" fill="{colour}"/>'
        for x, y, w, h, r, colour in (_BACKGROUND, *_SHAPES)
    )
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 64">{shapes}</svg>'


@cache
def icon_png(side: int) -> bytes:
    """The icon as a PNG of ``side`` x ``side`` pixels."""
    fine = side * _SAMPLES
    centre = (np.arange(fine) + 0.5) * 64 / fine
    x, y = np.meshgrid(centre, centre)
    picture = np.zeros((fine, fine, 3))
    for left, top, width, height, radius, colour in (_BACKGROUND, *_SHAPES):
        # signed distance to a rounded rectangle
        dx = np.maximum(np.abs(x - left - width / 2) - (width / 2 - radius), 0)
        dy = np.maximum(np.abs(y - top - height / 2) - (height / 2 - radius), 0)
        inside = np.hypot(dx, dy) <= radius + 1e-9
        picture[inside] = [int(colour[place : place + 2], 16) for place in (1, 3, 5)]
    pixels = picture.reshape(side, _SAMPLES, side, _SAMPLES, 3).mean(axis=(1, 3))
    return _png(np.rint(pixels).astype(np.uint8))


def _png(pixels: NDArray[np.uint8]) -> bytes:
    """RGB pixels ``(height, width, 3)`` as PNG (W3C PNG, third edition: IHDR, one IDAT, IEND)."""
    height, width, _ = pixels.shape
    rows = np.concatenate([np.zeros((height, 1), np.uint8), pixels.reshape(height, -1)], axis=1)

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows.tobytes(), 9)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body
