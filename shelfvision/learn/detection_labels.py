"""Brings detections of one list of classes and truth of another one together, by name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from shelfvision.core.detections import Detections, IntArray
from shelfvision.core.faults import suggestion
from shelfvision.data.dataset import Dataset
from shelfvision.data.relabel import ANY, relabel
from shelfvision.errors import DataError, UsageError


@dataclass(frozen=True, slots=True)
class Judged:
    """What is compared: the same classes on both sides."""

    dataset: Dataset
    found: tuple[Detections, ...]
    not_judged: dict[str, int]  # detections of classes that the data does not label
    left_out: dict[str, int]  # true boxes of classes that the mapping leaves out


def bring_together(
    dataset: Dataset,
    found: Sequence[Detections],
    labels: Sequence[str],
    mapping: Mapping[str, str] | None = None,
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
        mapping: new name by name of a class, ``""`` to leave the class out; ``ANY`` stands for every class of the data
            that the detector does not know.
        complete: whether ``labels`` are all classes of the detector, not only those that it happened to find; a
            class with true boxes that it does not know is then an error, for no detection could ever be right.

    Raises:
        DataError: the classes do not fit together.
        UsageError: the mapping names a class that neither side has.
    """
    mapping = mapping or {}
    _check_names(mapping, dataset.labels, labels)
    found_names = [mapping.get(name, name) for name in labels]
    known = set(found_names) - {""}
    targets = {
        name: mapping.get(name, mapping[ANY] if ANY in mapping and name not in known else name)
        for name in dataset.labels
    }
    boxes = _count(dataset)
    names = list(dict.fromkeys(filter(None, targets.values())))
    unknown = [name for name, target in targets.items() if target and target not in known and boxes[name]]
    if unknown and (complete or (known and not known & set(names))):
        raise DataError(
            f"{dataset.source}: has boxes of classes that the detector does not know: {_some(unknown)}; it knows "
            f"{_some(labels)}; name the class that each counts as, or leave it out: "
            f"--labels {unknown[0]}={labels[0] if labels else 'product'} or --labels {unknown[0]}="
        )
    if not names:
        raise DataError(f"{dataset.source}: no class is left to judge; it has {_some(dataset.labels)}")
    index = {name: place for place, name in enumerate(names)}
    found_index = np.array([index.get(name, -1) for name in found_names], np.int64)
    not_judged: Counter[str] = Counter()
    renamed = []
    for detections in found:
        target = found_index[detections.label] if len(detections) else detections.label
        lost: IntArray = detections.label[target < 0]
        not_judged.update(labels[label] for label in lost.tolist())
        kept = target >= 0
        renamed.append(Detections(detections.xyxy[kept], detections.score[kept], target[kept]))
    left_out = {name: boxes[name] for name, target in targets.items() if not target}
    return Judged(relabel(dataset, targets), tuple(renamed), dict(not_judged), left_out)


def _check_names(mapping: Mapping[str, str], *sides: Sequence[str]) -> None:
    everything = dict.fromkeys(name for side in sides for name in side)
    for name in mapping:
        if name != ANY and name not in everything:
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
