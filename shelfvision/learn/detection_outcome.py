"""What somebody sees who acts on detections above a threshold: what was found, missed, false, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from shelfvision.core.boxes import iou
from shelfvision.core.detections import Detections, IntArray
from shelfvision.data.dataset import BoolArray, Dataset, LabelledPicture
from shelfvision.learn.detection_matching import OVERLAP, Matching

_NEAR = 0.1  # least overlap at which a false detection is taken for a badly placed one (TIDE, Bolya et al., ECCV 2020)


class Reason(StrEnum):
    """Why a detection is false."""

    PLACE = "place"  # the right class, but the box fits badly
    CLASS = "class"  # a true box of another class
    DUPLICATE = "duplicate"  # a true box that a better score had found already
    BACKGROUND = "background"  # nothing is there


@dataclass(frozen=True, slots=True)
class Outcome:
    """One picture at the threshold."""

    right: BoolArray  # (n,) detections that found a true box
    false: BoolArray  # (n,) detections that count as wrong; those below the threshold or excused are neither
    reason: tuple[Reason | None, ...]  # (n,) why each is false
    missed: BoolArray  # (m,) true boxes that nothing found
    confused: tuple[tuple[int, int], ...]  # (true box, detection) of different classes, one to one

    @property
    def errors(self) -> int:
        """Boxes missed and detections too many."""
        return int(self.missed.sum() + self.false.sum())

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall; 1 where there was nothing and nothing was found."""
        right = int(self.right.sum())
        return 2 * right / (2 * right + self.errors) if right + self.errors else 1.0


def outcome(picture: LabelledPicture, found: Detections, matching: Matching, threshold: float) -> Outcome:
    """Judge one picture.

    Args:
        picture: the truth, m boxes.
        found: n detections.
        matching: of all n detections (taking those of low scores away changes no pair of a higher one).
        threshold: least score that counts.
    """
    counted = found.score >= threshold
    right = counted & (matching.truth_of >= 0)
    false = counted & ~right & ~matching.excused
    seen = np.zeros(len(picture), bool)
    seen[matching.truth_of[right]] = True
    missed = ~picture.ignore & ~seen
    rows = np.flatnonzero(false)
    overlaps = iou(found.xyxy[rows], picture.xyxy)
    overlaps[:, picture.ignore] = 0
    same = found.label[rows][:, None] == picture.label[None]
    reasons: list[Reason | None] = [None] * len(found)
    for row, reason in zip(rows.tolist(), _reasons(overlaps, same), strict=True):
        reasons[row] = reason
    confused = tuple((box, int(rows[row])) for box, row in _confused(np.where(same | ~missed, 0.0, overlaps)))
    return Outcome(right, false, tuple(reasons), missed, confused)


def confusion(dataset: Dataset, found: Sequence[Detections], outcomes: Sequence[Outcome]) -> IntArray:
    """(c + 1, c + 1) counts: rows are what was true, columns what was found, the last of each is the background.

    A false detection that lies on a missed box of another class is counted there once; any other one was found in the
    background, and a box that nothing found was missed to it.
    """
    background = len(dataset.labels)
    table = np.zeros((background + 1, background + 1), np.int64)
    for picture, detections, result in zip(dataset, found, outcomes, strict=True):
        np.add.at(table, (detections.label[result.right], detections.label[result.right]), 1)
        false, missed = result.false.copy(), result.missed.copy()
        for box, detection in result.confused:
            table[picture.label[box], detections.label[detection]] += 1
            missed[box] = false[detection] = False
        table[background, :-1] += np.bincount(detections.label[false], minlength=background)
        table[:-1, background] += np.bincount(picture.label[missed], minlength=background)
    return table


def _reasons(overlaps: NDArray[np.float64], same: BoolArray) -> list[Reason]:
    """Why each of k false detections is one, by its overlaps (k, m) with true boxes of the same class or another."""
    own = np.where(same, overlaps, 0).max(axis=1, initial=0)
    other = np.where(same, 0, overlaps).max(axis=1, initial=0)
    return [
        Reason.DUPLICATE
        if mine >= OVERLAP
        else Reason.CLASS
        if theirs >= OVERLAP
        else Reason.PLACE
        if mine >= _NEAR
        else Reason.BACKGROUND
        for mine, theirs in zip(own, other, strict=True)
    ]


def _confused(overlaps: NDArray[np.float64]) -> list[tuple[int, int]]:
    """One-to-one pairs (column, row), the largest overlap first."""
    rows, columns = np.nonzero(overlaps >= OVERLAP)
    pairs: list[tuple[int, int]] = []
    taken_rows: set[int] = set()
    taken_columns: set[int] = set()
    for at in np.argsort(-overlaps[rows, columns], kind="stable"):
        row, column = int(rows[at]), int(columns[at])
        if row not in taken_rows and column not in taken_columns:
            pairs.append((column, row))
            taken_rows.add(row)
            taken_columns.add(column)
    return pairs
