"""Which detection found which true box, at one overlap, as COCO pairs them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from shelfvision.core.boxes import coverage, iou
from shelfvision.core.detections import Detections, FloatArray, IntArray
from shelfvision.data.dataset import BoolArray, Dataset, LabelledPicture
from shelfvision.errors import DataError

OVERLAP = 0.5  # intersection over union from which a box counts as found, unless said otherwise


@dataclass(frozen=True, slots=True)
class Matching:
    """How the detections of one picture met its true boxes."""

    truth_of: IntArray  # (n,) the true box that each detection found, -1 for none
    excused: BoolArray  # (n,) found no true box, but lies in an ignore region: neither right nor wrong
    found_by: IntArray  # (m,) the detection that found each true box, -1 for none and for ignore regions


def match(picture: LabelledPicture, found: Detections, overlap: float = OVERLAP) -> Matching:
    """Pair detections with true boxes of their class: the best score chooses first, and takes the largest overlap.

    A detection that gets no true box is excused when at least ``overlap`` of its own area lies in an ignore region of
    its class. So does COCO (pycocotools, ``evaluateImg``): crowd regions may be met by any number of detections.

    Args:
        picture: the truth, m boxes with those to ignore.
        found: n detections in pixels of the picture.
        overlap: least intersection over union.
    """
    n, m = len(found), len(picture)
    truth_of, found_by = np.full(n, -1, np.int64), np.full(m, -1, np.int64)
    if n == 0 or m == 0:
        return Matching(truth_of, np.zeros(n, bool), found_by)
    same = found.label[:, None] == picture.label[None]
    overlaps = iou(found.xyxy, picture.xyxy)
    rank = np.empty(n, np.int64)
    rank[np.argsort(-found.score, kind="stable")] = np.arange(n)
    rows, columns = np.nonzero(same & ~picture.ignore & (overlaps >= overlap))
    # of equal overlaps COCO takes the box that comes last
    for at in np.lexsort((-columns, -overlaps[rows, columns], rank[rows])):
        row, column = rows[at], columns[at]
        if truth_of[row] < 0 and found_by[column] < 0:
            truth_of[row], found_by[column] = column, row
    excused = np.zeros(n, bool)
    if picture.ignore.any():
        inside = coverage(found.xyxy, picture.xyxy[picture.ignore]) >= overlap
        excused = (truth_of < 0) & (same[:, picture.ignore] & inside).any(axis=1)
    return Matching(truth_of, excused, found_by)


@dataclass(frozen=True, slots=True)
class Ranking:
    """All detections of one class that count, best score first, and whether each was right."""

    score: FloatArray  # (n,) falling
    right: BoolArray  # (n,)
    true: int  # boxes there were to find


def rank(
    dataset: Dataset, found: Sequence[Detections], matchings: Sequence[Matching], label: int | None = None
) -> Ranking:
    """The detections of one class, or of all classes together, over all pictures; excused ones are left out."""
    scores, rights, true = [np.zeros(0, np.float32)], [np.zeros(0, bool)], 0
    for picture, detections, matching in zip(dataset, found, matchings, strict=True):
        kept = ~matching.excused & (True if label is None else detections.label == label)
        scores.append(detections.score[kept])
        rights.append(matching.truth_of[kept] >= 0)
        true += int((~picture.ignore & (True if label is None else picture.label == label)).sum())
    score, right = np.concatenate(scores), np.concatenate(rights)
    order = np.argsort(-score, kind="stable")
    return Ranking(score[order], right[order], true)


def check_belong(dataset: Dataset, found: Sequence[Detections]) -> None:
    """See that there are detections for every picture, of the dataset's classes.

    Raises:
        DataError: not one entry a picture, or a class beyond the dataset's; or no picture at all.
    """
    if not len(dataset):
        raise DataError(f"{dataset.source}: has no pictures to evaluate on")
    if len(found) != len(dataset):
        raise DataError(f"{dataset.source}: has {len(dataset)} pictures, but there are detections of {len(found)}")
    for picture, detections in zip(dataset, found, strict=True):
        if len(detections) and not (detections.label.min() >= 0 and detections.label.max() < len(dataset.labels)):
            raise DataError(
                f"{picture.path}: was found class {int(detections.label.max())}, but {dataset.source} has only "
                f"{len(dataset.labels)} classes: {', '.join(dataset.labels)}"
            )
