"""A contact sheet of footage: one telling moment from each of several stores."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from shelfvision.errors import ConfigError
from shelfvision.sim.footage import Footage, Picture
from shelfvision.sim.shoppers import Deed, Reach
from shelfvision.sim.stores import build_store

_FPS = 25.0
_COLUMNS = 4
_TILE = (480, 270)
# store and seed of each tile; the moments follow from the seeds
TILES = (
    *(("corner", seed) for seed in range(1, 9)),
    *(("table", seed) for seed in range(1, 6)),
    *(("aisle", seed) for seed in range(1, 6)),
    *(("chiller", seed) for seed in range(1, 7)),
)


def footage_sheet(tiles: tuple[tuple[str, int], ...] = TILES) -> Picture:
    """All tiles side by side, four in a row, (h, w, 3) BGR."""
    wanted = (Deed.PICK_UP, Deed.TOUCH, Deed.PUT_BACK)
    pictures = [_moment(name, seed, wanted[number % 3]) for number, (name, seed) in enumerate(tiles)]
    small = [cv2.resize(picture, _TILE, interpolation=cv2.INTER_AREA) for picture in pictures]
    while len(small) % _COLUMNS:
        small.append(np.zeros_like(small[0]))
    rows = [np.hstack(small[first : first + _COLUMNS]) for first in range(0, len(small), _COLUMNS)]
    return np.asarray(np.vstack(rows), np.uint8)


def _moment(name: str, seed: int, wanted: Deed) -> Picture:
    """A frame in which a hand is at a product, or carries it; the wanted deed if the first minute has it."""
    ahead = Footage(build_store(name, seed), seed, fps=_FPS)
    for _ in range(round(60 * _FPS)):
        ahead.step(draw=False)
    reaches = [reach for reach in ahead.script.reaches if reach.deed is not Deed.HOVER]
    chosen = next((reach for reach in reaches if reach.deed is wanted), reaches[0] if reaches else None)
    time = 5.0 if chosen is None else _telling(chosen)
    footage = Footage(build_store(name, seed), seed, fps=_FPS)
    last = round(time * _FPS)
    for index in range(last + 1):
        frame = footage.step(draw=index == last)
    assert frame.image is not None
    return frame.image


def _telling(reach: Reach) -> float:
    if reach.deed is Deed.PICK_UP:
        return reach.change + 0.28
    if reach.brings:
        return reach.contact - 0.12
    return (reach.contact + reach.change) / 2


def write_footage_sheet(path: Path) -> None:
    """Write the sheet as JPEG.

    Raises:
        ConfigError: the file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet: NDArray[np.uint8] = footage_sheet()
    if not cv2.imwrite(str(path), sheet, [cv2.IMWRITE_JPEG_QUALITY, 72]):
        raise ConfigError(f"{path}: the contact sheet cannot be written")
