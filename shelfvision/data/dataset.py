"""Labelled pictures as every format is read into and written from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shelfvision.core.detections import FloatArray, IntArray
from shelfvision.errors import DataError

BoolArray = NDArray[np.bool_]
Report = Callable[[str], None]
"""What a reader does with a fault it can go on after: ``refuse`` it, or a list's ``append`` to see all of them."""
_IGNORED_CLASSES = {"ignore", "ignored", "ignored regions", "ignore region"}


def refuse(message: str) -> None:
    """The default ``Report``: the first fault ends the reading.

    Raises:
        DataError: always.
    """
    raise DataError(message)


@dataclass(frozen=True, slots=True)
class LabelledPicture:
    """One picture and its boxes.

    Boxes are as the file has them: they may lie partly outside or be empty; ``data.check`` finds those.

    Raises:
        DataError: the arrays do not belong together.
    """

    path: Path
    size: tuple[int, int]  # width, height in pixels
    xyxy: FloatArray  # (n, 4) pixels
    label: IntArray  # (n,) index into the dataset's labels
    ignore: BoolArray  # (n,) regions in which finding or missing something does not count (COCO's iscrowd)

    def __post_init__(self) -> None:
        count = len(self.label)
        if self.xyxy.shape != (count, 4) or self.ignore.shape != (count,) or self.label.shape != (count,):
            raise DataError(
                f"{self.path}: {count} labels with boxes of shape {self.xyxy.shape} and ignore of shape "
                f"{self.ignore.shape}, expected ({count}, 4) and ({count},)"
            )

    def __len__(self) -> int:
        return len(self.label)


@dataclass(frozen=True, slots=True)
class Dataset:
    """Pictures that share a list of class names.

    Raises:
        DataError: a label points beyond the class names, or a class name comes twice.
    """

    labels: tuple[str, ...]
    pictures: tuple[LabelledPicture, ...]
    source: Path = field(default=Path())  # the file or folder it was read from, for messages

    def __post_init__(self) -> None:
        if len(set(self.labels)) != len(self.labels):
            twice = sorted({name for name in self.labels if self.labels.count(name) > 1})
            raise DataError(f"{self.source}: class names come twice: {', '.join(twice)}")
        for picture in self.pictures:
            if len(picture) and not (picture.label.min() >= 0 and picture.label.max() < len(self.labels)):
                raise DataError(
                    f"{self.source}: {picture.path} has class {int(picture.label.max())}, "
                    f"but there are {len(self.labels)} class names"
                )

    def __len__(self) -> int:
        return len(self.pictures)

    def __iter__(self) -> Iterator[LabelledPicture]:
        return iter(self.pictures)

    def without_ignored_classes(self) -> Dataset:
        """The dataset without classes called ``ignore``: each of their boxes is an ignore region of every other class.

        Formats that know no ignore regions say them so, and every reader ends with this.
        """
        ignored = np.array([is_ignored_class(name) for name in self.labels], np.bool_)
        if not ignored.any():
            return self
        new = np.where(ignored, -1, np.cumsum(~ignored) - 1)
        labels = tuple(name for name, left_out in zip(self.labels, ignored, strict=True) if not left_out)
        return replace(self, labels=labels, pictures=tuple(_spread(one, new, len(labels)) for one in self.pictures))

    def take(self, indices: Iterable[int]) -> Dataset:
        """The pictures with these indices, in this order."""
        return replace(self, pictures=tuple(self.pictures[index] for index in indices))


def is_ignored_class(name: str) -> bool:
    """Whether a class of this name says that what is in its boxes does not count."""
    return name.casefold() in _IGNORED_CLASSES


def _spread(picture: LabelledPicture, new: IntArray, count: int) -> LabelledPicture:
    """The picture with labels looked up in ``new``; boxes whose label became -1 are ignored for ``count`` classes."""
    label = new[picture.label]
    counted, regions = label >= 0, picture.xyxy[label < 0]
    return replace(
        picture,
        xyxy=np.concatenate([picture.xyxy[counted], np.repeat(regions, count, axis=0)]),
        label=np.concatenate([label[counted], np.tile(np.arange(count), len(regions))]),
        ignore=np.concatenate([picture.ignore[counted], np.ones(len(regions) * count, np.bool_)]),
    )
