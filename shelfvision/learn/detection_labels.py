"""Brings detections of one list of classes and truth of another one together, by name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from shelfvision.core.detections import Detections, IntArray
from shelfvision.core.faults import suggestion
from shelfvision.data.dataset import Dataset
from shelfvision.errors import DataError, UsageError

OTHERS = "*"  # in a mapping: every class of the data that the detector does not know


@dataclass(frozen=True, slots=True)
class Judged:
    """What is compared: the same classes on both sides."""

    dataset: Dataset
    found: tuple[Detections, ...]
    not_judged: dict[str, int]  # detections of classes that the data does not label
    left_out: dict[str, int]  # true boxes of classes that the mapping leaves out


def parse_mapping(text: str) -> dict[str, str | None]:
    """A mapping as it is written on the command line: ``cola=product,tea=product,price_tag=,*=product``.

    Returns:
        New name by name; None: left out.

    Raises:
        UsageError: a part is no ``name=name``, or a name comes twice.
    """
    mapping: dict[str, str | None] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, equals, target = (word.strip() for word in part.partition("="))
        if not name or not equals:
            raise UsageError(f"--labels: {part!r}: expected NAME=NEWNAME, NAME= to leave it out, or *=NEWNAME")
        if name in mapping:
            raise UsageError(f"--labels: {name!r} comes twice")
        mapping[name] = target or None
    return mapping


def bring_together(
    dataset: Dataset,
    found: Sequence[Detections],
    labels: Sequence[str],
    mapping: Mapping[str, str | None] | None = None,
    *,
    complete: bool = True,
) -> Judged:
    """Give both sides the same classes.

    Classes are the same when their names are, after ``mapping`` has renamed those of both sides. Classes that the
    detector knows and the data does not label cannot be judged: their detections are taken away and counted.

    Args:
        dataset: the truth.
        found: detections, with class indices into ``labels``.
        labels: the detector's class names.
        mapping: new name by name of a class, None to leave the class out; ``OTHERS`` stands for every class of the
            data that the detector does not know.
        complete: whether ``labels`` are all classes of the detector, not only those that it happened to find; a
            class with true boxes that it does not know is then an error, for no detection could ever be right.

    Raises:
        DataError: the classes do not fit together.
        UsageError: the mapping names a class that neither side has.
    """
    mapping = mapping or {}
    _check_names(mapping, dataset.labels, labels)
    found_names = [mapping.get(name, name) for name in labels]
    known = {name for name in found_names if name is not None}
    true_names = [
        mapping[name] if name in mapping else mapping[OTHERS] if OTHERS in mapping and name not in known else name
        for name in dataset.labels
    ]
    boxes = _count(dataset)
    unknown = [
        name
        for name, target in zip(dataset.labels, true_names, strict=True)
        if target is not None and target not in known and boxes[name]
    ]
    names = list(dict.fromkeys(name for name in true_names if name is not None))
    if unknown and (complete or (known and not known & set(names))):
        raise DataError(
            f"{dataset.source}: has boxes of classes that the detector does not know: {_some(unknown)}; it knows "
            f"{_some(labels)}; name the class that each counts as, or leave it out: "
            f"--labels {unknown[0]}={labels[0] if labels else 'product'} or --labels {unknown[0]}="
        )
    if not names:
        raise DataError(f"{dataset.source}: no class is left to judge; it has {_some(dataset.labels)}")
    index = {name: place for place, name in enumerate(names)}
    true_index = np.array([index.get(name, -1) if name is not None else -1 for name in true_names], np.int64)
    found_index = np.array([index.get(name, -1) if name is not None else -1 for name in found_names], np.int64)
    not_judged: Counter[str] = Counter()
    renamed = []
    for detections in found:
        target = found_index[detections.label] if len(detections) else detections.label
        lost: IntArray = detections.label[target < 0]
        not_judged.update(labels[label] for label in lost.tolist())
        kept = target >= 0
        renamed.append(Detections(detections.xyxy[kept], detections.score[kept], target[kept]))
    left_out = {name: boxes[name] for name, place in zip(dataset.labels, true_index, strict=True) if place < 0}
    return Judged(_renamed(dataset, names, true_index), tuple(renamed), dict(not_judged), left_out)


def _renamed(dataset: Dataset, names: Sequence[str], true_index: IntArray) -> Dataset:
    pictures = []
    for picture in dataset:
        label = true_index[picture.label] if len(picture) else picture.label
        kept = label >= 0
        pictures.append(replace(picture, xyxy=picture.xyxy[kept], label=label[kept], ignore=picture.ignore[kept]))
    return Dataset(tuple(names), tuple(pictures), dataset.source)


def _check_names(mapping: Mapping[str, str | None], *sides: Sequence[str]) -> None:
    everything = dict.fromkeys(name for side in sides for name in side)
    for name in mapping:
        if name != OTHERS and name not in everything:
            raise UsageError(
                f"--labels: {name!r} is a class of neither the data nor the detector{suggestion(name, everything)}"
            )


def _count(dataset: Dataset) -> Counter[str]:
    counts = np.zeros(len(dataset.labels), np.int64)
    for picture in dataset:
        counts += np.bincount(picture.label[~picture.ignore], minlength=len(dataset.labels))
    return Counter(dict(zip(dataset.labels, counts.tolist(), strict=True)))


def _some(names: Sequence[str], most: int = 8) -> str:
    shown = ", ".join(names[:most]) or "none"
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
