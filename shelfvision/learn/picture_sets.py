"""Several labelled datasets as one to train on: classes renamed and brought together, pictures weighed and held out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shelfvision.core.detections import IntArray
from shelfvision.core.faults import suggestion
from shelfvision.data.dataset import BoolArray, Dataset
from shelfvision.data.relabel import renumber
from shelfvision.errors import TrainingError


@dataclass(frozen=True, slots=True)
class PictureSet:
    """Pictures of several sources with one list of classes."""

    dataset: Dataset
    labelled: BoolArray  # (n, classes) whether the picture's source labels that class at all
    weight: NDArray[np.float64]  # (n,) how often a picture is seen in an epoch, on average

    def __len__(self) -> int:
        return len(self.dataset)

    @property
    def groups(self) -> IntArray:
        """(n,) number of the set of classes that each picture's source labels, the same for the same set."""
        _, numbers = np.unique(self.labelled, axis=0, return_inverse=True)
        return numbers.reshape(-1)  # NumPy 2.0 gives it as a column

    def take(self, indices: IntArray) -> PictureSet:
        """The pictures with these indices, in this order."""
        return PictureSet(self.dataset.take(indices.tolist()), self.labelled[indices], self.weight[indices])


def choose_classes(wanted: Sequence[str] | None, datasets: Sequence[Dataset], known: Sequence[str]) -> tuple[str, ...]:
    """The classes to train.

    Args:
        wanted: what the settings say; decides when given.
        datasets: what is trained on.
        known: classes of the network that training starts from. When these are all that the data has, they stay as
            they are, those that the data does not label too: what a picture does not label is not taught.

    Raises:
        TrainingError: no class at all, or boxes of a class that is not wanted.
    """
    boxes = {name: 0 for dataset in datasets for name in dataset.labels}
    for dataset in datasets:
        counts = class_counts(dataset)
        for name, count in zip(dataset.labels, counts, strict=True):
            boxes[name] += int(count)
    if wanted is not None:
        check_classes(wanted, datasets)
        return tuple(wanted)
    used = tuple(name for name, count in boxes.items() if count)
    if not used:
        sources = ", ".join(str(dataset.source) for dataset in datasets)
        raise TrainingError(f"{sources}: no picture has a box; label some, or check the path and the labels mapping")
    return tuple(known) if set(used) <= set(known) else used


def check_classes(classes: Sequence[str], datasets: Sequence[Dataset]) -> None:
    """See that every box is of one of the classes.

    Raises:
        TrainingError: a dataset has boxes of another class.
    """
    for dataset in datasets:
        strange = [
            name
            for name, count in zip(dataset.labels, class_counts(dataset), strict=True)
            if count and name not in classes
        ]
        if strange:
            raise TrainingError(
                f"{dataset.source}: has boxes of {', '.join(strange)}, but the classes to train are "
                f"{', '.join(classes)}{suggestion(strange[0], classes)}; rename them with the dataset's labels "
                f"mapping (labels: {{{strange[0]}: {classes[0]}}}; null leaves them out), or add them to labels"
            )


def join(datasets: Sequence[Dataset], classes: Sequence[str], repeats: Sequence[float]) -> PictureSet:
    """All pictures with class indices into ``classes``; boxes of other classes do not occur (``check_classes``)."""
    places = [[classes.index(name) if name in classes else -1 for name in dataset.labels] for dataset in datasets]
    parts = [
        [renumber(picture, np.asarray(place, np.int64)) for picture in dataset]
        for dataset, place in zip(datasets, places, strict=True)
    ]
    labelled = [np.isin(np.arange(len(classes)), place) for place in places]
    sources = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    return PictureSet(
        Dataset(
            tuple(classes),
            tuple(picture for part in parts for picture in part),
            datasets[0].source if len(datasets) == 1 else Path(", ".join(str(dataset.source) for dataset in datasets)),
        ),
        np.asarray(labelled, np.bool_)[sources],
        np.asarray(repeats, np.float64)[sources],
    )


def hold_out(dataset: Dataset, every: int) -> tuple[IntArray, IntArray]:
    """Indices of pictures to train on and of those held out: each ``every``-th of each class, by file name.

    The class of a picture is that of most of its boxes; pictures without a box are a class of their own.
    """
    classes: dict[int, list[int]] = {}
    for index in sorted(range(len(dataset)), key=lambda index: (dataset.pictures[index].path.name, index)):
        label = dataset.pictures[index].label
        classes.setdefault(int(np.bincount(label).argmax()) if len(label) else -1, []).append(index)
    held = sorted(index for indices in classes.values() for index in indices[every - 1 :: every])
    trained = np.setdiff1d(np.arange(len(dataset)), held)
    return np.asarray(trained, np.int64), np.asarray(held, np.int64)


def draw_epoch(weight: NDArray[np.float64], wanted: int | None, *, seed: int, epoch: int) -> IntArray:
    """Indices of one epoch's pictures, each on average as often as its weight says; always as many.

    Args:
        weight: (n,) repeats of each picture.
        wanted: pictures an epoch; the sum of the weights when absent.
        seed: decides, with the epoch, which pictures fill up what is no whole number of times.
        epoch: number of the epoch.
    """
    total = wanted if wanted is not None else max(1, round(float(weight.sum())))
    expected = weight * (total / weight.sum())
    whole = np.floor(expected + 1e-9).astype(np.int64)
    chance = np.maximum(expected - whole, 0)
    missing = total - int(whole.sum())
    if missing > 0:
        # Efraimidis and Spirakis 2006: the largest of u ** (1 / chance) are a weighted draw without replacement
        keys = np.random.default_rng([seed, epoch]).random(len(weight)) ** (1 / np.maximum(chance, 1e-12))
        whole[np.argsort(-keys, kind="stable")[:missing]] += 1
    return np.repeat(np.arange(len(weight)), whole)


def class_counts(dataset: Dataset) -> IntArray:
    """(classes,) boxes that count of each class."""
    counts = np.zeros(len(dataset.labels), np.int64)
    for picture in dataset:
        counts += np.bincount(picture.label[~picture.ignore], minlength=len(counts))
    return counts
