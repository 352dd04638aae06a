"""Pictures that are there twice: the same bytes, or nearly the same picture.

Near ones are found by difference hashes (Krawetz, 2013: is each cell brighter than its right neighbour) of 16 x 16
cells and confirmed on small grey versions, so that plain pictures, whose hashes say little, are not taken for equal.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from shelfvision.data.images import Image

_CELLS = 16
_THUMBNAIL = 24  # pixels a side
_MOST_BITS = 24  # of 256 that may differ: recompressed, rescaled or slightly recoloured pictures stay below
_MOST_LEVELS = 5.0  # mean difference of the small versions, of 256 levels, after equalising their brightness
_ROWS = 256  # compared at once, keeps the table of differences small


@dataclass(frozen=True, slots=True, eq=False)
class Fingerprint:
    """What is compared of a picture."""

    digest: bytes  # SHA-256 of the file
    hash: NDArray[np.uint8]  # (32,) packed bits
    thumbnail: NDArray[np.float32]  # (24, 24) grey levels, mean 0


def fingerprint(path: Path, image: Image) -> Fingerprint:
    """The fingerprint of a picture file and its pixels.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").digest()
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    cells = cv2.resize(grey, (_CELLS + 1, _CELLS), interpolation=cv2.INTER_AREA).astype(np.int16)
    bits = np.packbits((cells[:, :-1] > cells[:, 1:]).ravel())
    small = cv2.resize(grey, (_THUMBNAIL, _THUMBNAIL), interpolation=cv2.INTER_AREA).astype(np.float32)
    return Fingerprint(digest, bits, small - small.mean())


def same_pictures(prints: Sequence[Fingerprint]) -> list[list[int]]:
    """Groups of two or more indices whose files have the same bytes."""
    groups: dict[bytes, list[int]] = {}
    for index, one in enumerate(prints):
        groups.setdefault(one.digest, []).append(index)
    return [group for group in groups.values() if len(group) > 1]


def near_pictures(first: Sequence[Fingerprint], second: Sequence[Fingerprint]) -> Iterator[tuple[int, int]]:
    """For each of ``second`` the first of ``first`` that shows nearly the same but is not the same file, if any.

    Not all pairs: of a fixed camera whose frames were divided, every picture is near to every other.

    Yields:
        Index in ``first``, index in ``second``.
    """
    if not first or not second:
        return
    others = np.stack([one.hash for one in second])
    thumbnails = np.stack([one.thumbnail for one in second])
    alone = np.ones(len(second), np.bool_)  # nothing near was found yet
    for start in range(0, len(first), _ROWS):
        rows = np.stack([one.hash for one in first[start : start + _ROWS]])
        distance = np.zeros((len(rows), len(others)), np.uint16)
        for byte in range(rows.shape[1]):
            distance += np.bitwise_count(rows[:, byte, None] ^ others[None, :, byte])
        for row, near in enumerate(distance <= _MOST_BITS):
            (columns,) = np.nonzero(near & alone)
            one = first[start + row]
            levels = np.abs(thumbnails[columns] - one.thumbnail).mean(axis=(1, 2))
            for column in columns[levels <= _MOST_LEVELS].tolist():
                if one.digest != second[column].digest:
                    alone[column] = False
                    yield start + row, column
