"""Renaming, merging and aligning classes, so that datasets of different makers fit together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from shelfvision.core.detections import IntArray
from shelfvision.core.faults import suggestion
from shelfvision.data.dataset import Dataset, LabelledPicture
from shelfvision.errors import DataError

ANY = "*"
"""In a mapping: every class that is not named."""


def parse_mapping(words: Iterable[str]) -> dict[str, str]:
    """``["cola=product", "*=other", "tag="]`` as a mapping; nothing behind ``=`` leaves the boxes out.

    Raises:
        DataError: a word is not ``OLD=NEW``, or a class is mapped twice.
    """
    mapping: dict[str, str] = {}
    for word in words:
        old, equals, new = (part.strip() for part in word.partition("="))
        if not equals or not old:
            raise DataError(f"{word!r} is no mapping of classes; expected OLD=NEW, such as cocacola=product")
        if old in mapping:
            raise DataError(f"class {old} is mapped twice: to {mapping[old] or 'nothing'} and to {new or 'nothing'}")
        mapping[old] = new
    return mapping


def relabel(dataset: Dataset, mapping: Mapping[str, str | None]) -> Dataset:
    """The dataset with classes renamed; several that get one name are merged, in order of first appearance.

    Args:
        dataset: pictures and boxes.
        mapping: old name to new name; an empty one leaves the boxes out, ``"*"`` stands for all classes not named.
            Classes that no key covers keep their name.

    Raises:
        DataError: a key is no class of the dataset.
    """
    unknown = [name for name in mapping if name != ANY and name not in dataset.labels]
    if unknown:
        there = ", ".join(dataset.labels) or "none"
        hint = suggestion(unknown[0], dataset.labels)
        raise DataError(f"{dataset.source}: no class {', '.join(unknown)}{hint}; there are: {there}")
    names = [mapping.get(name, mapping.get(ANY, name)) for name in dataset.labels]
    labels = tuple(dict.fromkeys(name for name in names if name))
    index = {name: number for number, name in enumerate(labels)}
    new = np.array([index.get(name or "", -1) for name in names], np.int64)
    return replace(dataset, labels=labels, pictures=tuple(renumber(picture, new) for picture in dataset))


def align_labels(dataset: Dataset, labels: Sequence[str]) -> Dataset:
    """The dataset with exactly these class names in this order, as a model has them.

    Raises:
        DataError: a class that has boxes is not among them.
    """
    if tuple(labels) == dataset.labels:
        return dataset
    index = {name: number for number, name in enumerate(labels)}
    used = {int(label) for picture in dataset for label in picture.label}
    lost = [name for number, name in enumerate(dataset.labels) if number in used and name not in index]
    if lost:
        raise DataError(
            f"{dataset.source}: has boxes of {', '.join(lost)}, which are not among the classes {', '.join(labels)}; "
            "map them with `shelfvision data convert --labels OLD=NEW`"
        )
    new = np.array([index.get(name, -1) for name in dataset.labels], np.int64)
    return replace(dataset, labels=tuple(labels), pictures=tuple(renumber(picture, new) for picture in dataset))


def all_labels(datasets: Iterable[Dataset]) -> tuple[str, ...]:
    """Class names of several datasets, each once, in order of first appearance."""
    return tuple(dict.fromkeys(name for dataset in datasets for name in dataset.labels))


def renumber(picture: LabelledPicture, new: IntArray) -> LabelledPicture:
    """The picture with labels looked up in ``new``, by old label; boxes whose class became -1 go."""
    if not len(picture):
        return picture
    label = new[picture.label]
    kept = label >= 0
    # merging classes makes one region of what was an ignore region of each
    rows = np.concatenate([picture.xyxy, label[:, None], picture.ignore[:, None]], axis=1)[kept]
    _, first = np.unique(rows, axis=0, return_index=True)
    once = np.zeros(len(rows), np.bool_)
    once[first] = True
    once |= ~picture.ignore[kept]
    return replace(
        picture,
        xyxy=picture.xyxy[kept][once],
        label=label[kept][once],
        ignore=picture.ignore[kept][once],
    )
