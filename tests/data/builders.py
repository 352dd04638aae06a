"""Small pictures and datasets for tests, drawn here."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from shelfvision.data.dataset import Dataset, LabelledPicture


def draw(size=(64, 48), seed=0):
    """(h, w, 3) BGR: a smooth colourful picture, different for each seed."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 255, (5, 6, 3), dtype=np.uint8)
    return cv2.resize(small, size, interpolation=cv2.INTER_CUBIC)


def save(path: Path, size=(64, 48), seed=0) -> Path:
    """Write a drawn picture in the format that its ending says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), draw(size, seed))
    return path


def picture(path: Path, boxes=(), labels=None, ignore=None, size=(64, 48)) -> LabelledPicture:
    """A labelled picture; every box of class 0 and counted unless told otherwise."""
    count = len(boxes)
    return LabelledPicture(
        path,
        size,
        np.array(boxes, np.float32).reshape(-1, 4),
        np.array([0] * count if labels is None else labels, np.int64),
        np.array([False] * count if ignore is None else ignore, np.bool_),
    )


def shelf(folder: Path, count=4, labels=("can", "box"), size=(64, 48)) -> Dataset:
    """Saved pictures with two boxes each; the last picture has none."""
    pictures = []
    for number in range(count):
        path = save(folder / f"{number:03}.png", size, seed=number)
        boxes = [(4, 5, 24, 40), (30.5, 8, 60, 44.25)] if number < count - 1 or count == 1 else []
        pictures.append(picture(path, boxes, labels=[0, len(labels) - 1][: len(boxes)], size=size))
    return Dataset(tuple(labels), tuple(pictures), folder)
