"""A dataset without what is broken in it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from shelfvision.core.boxes import area
from shelfvision.data.dataset import Dataset, LabelledPicture
from shelfvision.data.images import read_image
from shelfvision.errors import DataError


def without_broken(dataset: Dataset) -> tuple[Dataset, tuple[str, ...]]:
    """The dataset without pictures that cannot be used and boxes without area; boxes are cut off at the border.

    Every picture is decoded.

    Returns:
        What is left, and a sentence for each picture that is missing, damaged or of another size than annotated, and
        one for the boxes.
    """
    pictures: list[LabelledPicture] = []
    notes: list[str] = []
    empty = cut = 0
    for picture in dataset:
        try:
            image = read_image(picture.path)
        except DataError as error:
            notes.append(f"left out: {error}")
            continue
        size = image.shape[1], image.shape[0]
        if size != picture.size:
            words = f"is {size[0]} x {size[1]}, its annotation says {picture.size[0]} x {picture.size[1]}"
            notes.append(f"left out: {picture.path}: {words}")
            continue
        inside = np.clip(picture.xyxy, 0, np.array([*size, *size], np.float32))
        kept = area(inside) > 0
        empty += int((~kept).sum())
        cut += int((inside != picture.xyxy).any(axis=1)[kept].sum())
        pictures.append(replace(picture, xyxy=inside[kept], label=picture.label[kept], ignore=picture.ignore[kept]))
    if empty:
        notes.append(f"left out: {empty} boxes without area or wholly outside their picture")
    if cut:
        notes.append(f"cut off at the border of their picture: {cut} boxes")
    return replace(dataset, pictures=tuple(pictures)), tuple(notes)
