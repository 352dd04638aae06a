"""Judges detections against a labelled dataset: COCO's averages, counts, calibration, confusion, best thresholds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from shelfvision.core.boxes import area
from shelfvision.core.detections import Detections
from shelfvision.data.dataset import Dataset
from shelfvision.learn.calibration import calibrate
from shelfvision.learn.detection_coco import SIZES, CocoTable, measure
from shelfvision.learn.detection_matching import Matching, Ranking, check_belong, match, rank
from shelfvision.learn.detection_outcome import Outcome, confusion, outcome
from shelfvision.learn.detection_score import ClassScore, CountError, DetectionScore, OperatingPoint, SizeScore

_DEFAULT_THRESHOLD = 0.5  # where nothing tells a better one: no true box or no detection at all


@dataclass(frozen=True, slots=True)
class Judgement:
    """The score with what a report draws."""

    score: DetectionScore
    table: CocoTable
    rankings: tuple[Ranking, ...]  # one a class
    together: Ranking  # all classes
    outcomes: tuple[Outcome, ...]  # one a picture, at the operating threshold


def score(dataset: Dataset, found: Sequence[Detections], *, threshold: float | None = None) -> DetectionScore:
    """Score detections; see ``judge``."""
    return judge(dataset, found, threshold=threshold).score


def judge(dataset: Dataset, found: Sequence[Detections], *, threshold: float | None = None) -> Judgement:
    """Judge detections of every picture of a dataset.

    Everything but COCO's averages is counted at IoU 0.5. True boxes marked ``ignore`` are regions of their class in
    which unmatched detections do not count.

    Args:
        dataset: pictures with true boxes.
        found: detections of each picture in the dataset's order, with low scores too, in its classes and pixels.
        threshold: score from which detections are acted on; when absent, the one with the best F1 over all classes.

    Raises:
        DataError: the detections do not belong to the dataset, or it has no pictures.
    """
    check_belong(dataset, found)
    matchings = [match(picture, detections) for picture, detections in zip(dataset, found, strict=True)]
    together = rank(dataset, found, matchings)
    if threshold is None:
        best = best_f1(together)
        chosen, threshold = True, best.threshold if best else _DEFAULT_THRESHOLD
    else:
        chosen = False
    outcomes = tuple(
        outcome(picture, detections, matching, threshold)
        for picture, detections, matching in zip(dataset, found, matchings, strict=True)
    )
    rankings = tuple(rank(dataset, found, matchings, label) for label in range(len(dataset.labels)))
    table = measure(dataset, found)
    counts = _counts(dataset, found, matchings, threshold)
    sizes = _sizes(dataset)
    reasons = Counter(str(reason) for result in outcomes for reason in result.reason if reason)
    whole = DetectionScore(
        pictures=len(dataset),
        boxes=together.true,
        ignored=sum(len(np.unique(picture.xyxy[picture.ignore], axis=0)) for picture in dataset),
        found=sum(len(detections) for detections in found),
        densest=table.densest,
        box_limit=table.limits[-1],
        map50_95=table.average_precision(),
        map50=table.average_precision(overlap=0.5),
        map75=table.average_precision(overlap=0.75),
        ar100=table.average_recall(100),
        ar300=table.average_recall(300),
        ar1000=table.average_recall(1000),
        sizes=_size_scores(table, sizes, None),
        classes=tuple(
            ClassScore(
                name=name,
                boxes=rankings[label].true,
                ap50_95=table.average_precision(label=label),
                ap50=table.average_precision(overlap=0.5, label=label),
                ap75=table.average_precision(overlap=0.75, label=label),
                ar300=table.average_recall(300, label=label),
                ar1000=table.average_recall(1000, label=label),
                sizes=_size_scores(table, sizes, label),
                best=best_f1(rankings[label]),
                operating=_point(rankings[label], threshold),
                count=_count_error(counts[:, label]),
                calibration_error=calibrate(rankings[label].score, rankings[label].right).error,
            )
            for label, name in enumerate(dataset.labels)
        ),
        operating=_point(together, threshold),
        threshold_chosen=chosen,
        count=_count_error(counts.sum(axis=1)),
        calibration=calibrate(together.score, together.right),
        confusion=tuple(tuple(row) for row in confusion(dataset, found, outcomes).tolist()),
        errors={"missed": sum(int(result.missed.sum()) for result in outcomes)} | dict(sorted(reasons.items())),
    )
    return Judgement(whole, table, rankings, together, outcomes)


def best_f1(ranking: Ranking) -> OperatingPoint | None:
    """The threshold with the highest F1, the highest of equals; None without a true box or a detection."""
    if not ranking.true or not len(ranking.score):
        return None
    right = np.cumsum(ranking.right)
    taken = np.arange(1, len(right) + 1)
    # a threshold cannot part detections of equal score
    last = np.append(ranking.score[1:] != ranking.score[:-1], True)
    f1 = np.where(last, 2 * right / (taken + ranking.true), -1.0)
    at = int(np.argmax(f1))
    return _point(ranking, float(ranking.score[at]))


def _point(ranking: Ranking, threshold: float) -> OperatingPoint:
    taken = ranking.score >= threshold
    right = int((ranking.right & taken).sum())
    return OperatingPoint(threshold, right, int(taken.sum()) - right, ranking.true - right)


def _counts(
    dataset: Dataset, found: Sequence[Detections], matchings: Sequence[Matching], threshold: float
) -> np.ndarray:
    """(pictures, classes, 2): boxes found and true boxes; excused detections are not counted."""
    classes = len(dataset.labels)
    counts = np.zeros((len(dataset), classes, 2), np.int64)
    for row, (picture, detections, matching) in enumerate(zip(dataset, found, matchings, strict=True)):
        counted = (detections.score >= threshold) & ~matching.excused
        counts[row, :, 0] = np.bincount(detections.label[counted], minlength=classes)
        counts[row, :, 1] = np.bincount(picture.label[~picture.ignore], minlength=classes)
    return counts


def _count_error(counts: np.ndarray) -> CountError:
    """Of (pictures, 2) boxes found and true."""
    difference = counts[:, 0] - counts[:, 1]
    some = counts[:, 1] > 0
    relative = float((np.abs(difference[some]) / counts[some, 1]).mean()) if some.any() else None
    return CountError(float(np.abs(difference).mean()), relative, float(difference.mean()))


def _sizes(dataset: Dataset) -> np.ndarray:
    """(classes, sizes) true boxes; COCO counts one of exactly 32 x 32 pixels as small and as medium, and so on."""
    table = np.zeros((len(dataset.labels), len(SIZES)), np.int64)
    for picture in dataset:
        areas, labels = area(picture.xyxy[~picture.ignore]), picture.label[~picture.ignore]
        for column, (low, high) in enumerate(SIZES.values()):
            np.add.at(table[:, column], labels[(areas >= low) & (areas <= high)], 1)
    return table


def _size_scores(table: CocoTable, boxes: np.ndarray, label: int | None) -> dict[str, SizeScore]:
    counts = boxes.sum(axis=0) if label is None else boxes[label]
    return {
        size: SizeScore(
            int(count),
            table.average_precision(label=label, size=size),
            table.average_precision(overlap=0.5, label=label, size=size),
        )
        for size, count in zip(SIZES, counts, strict=True)
    }
