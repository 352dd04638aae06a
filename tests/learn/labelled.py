"""Builders of labelled pictures and detections for the tests of the evaluation."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from shelfvision.core.detections import Detections
from shelfvision.data.dataset import Dataset, LabelledPicture


def picture(*boxes, name="a.jpg", size=(640, 480)):
    """Boxes are (x1, y1, x2, y2), (..., label) or (..., label, ignore)."""
    rows = [(*box, *(0, False)[len(box) - 4 :]) for box in boxes]
    return LabelledPicture(
        Path(name),
        size,
        np.array([row[:4] for row in rows], np.float32).reshape(-1, 4),
        np.array([row[4] for row in rows], np.int64),
        np.array([row[5] for row in rows], np.bool_),
    )


def dataset(*pictures, labels=("product", "gap")):
    return Dataset(labels, pictures, Path("shelf.json"))


def found(*boxes):
    """Boxes are (x1, y1, x2, y2, score) or (..., score, label)."""
    rows = [(*box, *(0,)[len(box) - 5 :]) for box in boxes]
    return Detections(
        np.array([row[:4] for row in rows], np.float32).reshape(-1, 4),
        np.array([row[4] for row in rows], np.float32),
        np.array([row[5] for row in rows], np.int64),
    )


def random_case(seed, pictures=12, classes=3, ignore=0.1):
    """A dataset and a middling detector's answers: boxes jittered, missed, of a wrong class, twice, or of nothing."""
    rng = np.random.default_rng(seed)

    def boxes(count):
        corner, sides = rng.random((count, 2)) * 500, rng.random((count, 2)) * 140 + 8
        return np.hstack([corner, corner + sides]).astype(np.float32)

    truth, answers = [], []
    for index in range(pictures):
        count = int(rng.integers(0, 25))
        true = LabelledPicture(
            Path(f"{index:03}.jpg"),
            (640, 640),
            boxes(count),
            rng.integers(0, classes, count),
            rng.random(count) < ignore,
        )
        kept = np.flatnonzero(rng.random(count) < 0.8)
        kept = np.r_[kept, kept[rng.random(len(kept)) < 0.2]]
        near = true.xyxy[kept] + rng.normal(0, 5, (len(kept), 4)).astype(np.float32)
        near = np.hstack([np.minimum(near[:, :2], near[:, 2:]), np.maximum(near[:, :2], near[:, 2:])])
        label = np.where(rng.random(len(kept)) < 0.1, rng.integers(0, classes, len(kept)), true.label[kept])
        nothing = boxes(6)
        answers.append(
            Detections(
                np.vstack([near, nothing]),
                rng.permutation(10_000)[: len(near) + 6].astype(np.float32) / 10_000,
                np.r_[label, rng.integers(0, classes, 6)],
            )
        )
        truth.append(true)
    return Dataset(tuple("abc"[:classes]), tuple(truth), Path("random.json")), answers
