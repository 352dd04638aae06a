"""Average precision and recall as COCO defines them, by faster-coco-eval.

The only place that knows that library. Its box limit is set so high that no detection is ever cut off.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from faster_coco_eval import COCO, COCOeval_faster
from numpy.typing import NDArray

from shelfvision.core.boxes import area
from shelfvision.core.detections import Detections
from shelfvision.data.dataset import Dataset

OVERLAPS = tuple(round(0.5 + 0.05 * step, 2) for step in range(10))
SIZES = {"small": (0.0, 32.0**2), "medium": (32.0**2, 96.0**2), "large": (96.0**2, 1e10)}  # square pixels
LEAST_LIMIT = 1000  # boxes of one class in one picture
_RECALL_LIMITS = (100, 300, 1000)
RECALLS = np.linspace(0, 1, 101)  # where precision is read off


@dataclass(frozen=True, slots=True)
class CocoTable:
    """Everything that COCO measures; NaN where a class or size has no true box."""

    precision: NDArray[np.float64]  # (10 overlaps, 101 recalls, classes, 1 + 3 sizes) interpolated
    recall: NDArray[np.float64]  # (10 overlaps, classes, 1 + 3 sizes, limits)
    limits: tuple[int, ...]  # boxes of one class in one picture that each recall may use; the last one fits all
    densest: int  # true boxes in the fullest picture

    def average_precision(
        self, *, overlap: float | None = None, label: int | None = None, size: str | None = None
    ) -> float | None:
        """Mean precision over recalls, overlaps (or at one), classes (or of one); None without a true box."""
        overlaps = slice(None) if overlap is None else slice(at := OVERLAPS.index(overlap), at + 1)
        labels = slice(None) if label is None else slice(label, label + 1)
        return _mean(self.precision[overlaps, :, labels, _size_index(size)])

    def average_recall(self, limit: int, *, label: int | None = None) -> float | None:
        """Mean over overlaps and classes of the recall that ``limit`` boxes of a class in a picture reach."""
        labels = slice(None) if label is None else slice(label, label + 1)
        return _mean(self.recall[:, labels, 0, self.limits.index(limit)])

    def curve(self, overlap: float, label: int | None = None) -> NDArray[np.float64] | None:
        """(101,) precision over ``RECALLS`` of one class, or the mean of all; None without a true box."""
        precision = self.precision[OVERLAPS.index(overlap), :, :, 0]
        if label is not None:
            precision = precision[:, label : label + 1]
        precision = precision[:, ~np.isnan(precision[0])]
        return np.asarray(precision.mean(axis=1)) if precision.shape[1] else None


def measure(dataset: Dataset, found: Sequence[Detections]) -> CocoTable:
    """Run COCO's evaluation; ``found`` belongs to the dataset (``detection_matching.check_belong``).

    Area is that of the box (COCO's own files may give that of the outline instead).
    """
    densest = max((int((~picture.ignore).sum()) for picture in dataset), default=0)
    fullest = max((len(detections) for detections in found), default=0)
    limits = tuple(sorted({*_RECALL_LIMITS, max(LEAST_LIMIT, densest, fullest)}))
    truth = _truth(dataset)
    evaluation = COCOeval_faster(truth, truth.loadRes(_results(found)), iouType="bbox")
    evaluation.params.iouThrs = np.array(OVERLAPS)
    evaluation.params.recThrs = RECALLS
    evaluation.params.maxDets = list(limits)
    evaluation.params.areaRng = [[0, 1e10], *(list(span) for span in SIZES.values())]
    evaluation.params.areaRngLbl = ["all", *SIZES]
    evaluation.evaluate()
    evaluation.accumulate()
    precision = np.asarray(evaluation.eval["precision"], np.float64)[..., -1]
    recall = np.asarray(evaluation.eval["recall"], np.float64)
    return CocoTable(_known(precision), _known(recall), limits, densest)


def _truth(dataset: Dataset) -> COCO:
    annotations: list[dict[str, object]] = []
    for index, picture in enumerate(dataset):
        rows = zip(
            picture.xyxy.tolist(), area(picture.xyxy).tolist(), picture.label.tolist(), picture.ignore, strict=True
        )
        for (x1, y1, x2, y2), size, label, ignore in rows:
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": index + 1,
                    "category_id": label + 1,
                    "bbox": [x1, y1, x2 - x1, y2 - y1],
                    "area": size,
                    "iscrowd": int(ignore),
                }
            )
    return COCO(
        {
            "info": {},
            "images": [{"id": index + 1, "width": p.size[0], "height": p.size[1]} for index, p in enumerate(dataset)],
            "categories": [{"id": index + 1, "name": name} for index, name in enumerate(dataset.labels)],
            "annotations": annotations,
        }
    )


def _results(found: Sequence[Detections]) -> list[dict[str, object]]:
    return [
        {"image_id": index + 1, "category_id": label + 1, "bbox": [x1, y1, x2 - x1, y2 - y1], "score": score}
        for index, detections in enumerate(found)
        for (x1, y1, x2, y2), score, label in zip(
            detections.xyxy.tolist(), detections.score.tolist(), detections.label.tolist(), strict=True
        )
    ]


def _known(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(values > -1, values, np.nan)  # -1 is how the library says that there is nothing to measure


def _mean(values: NDArray[np.float64]) -> float | None:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else None


def _size_index(size: str | None) -> int:
    return 0 if size is None else 1 + list(SIZES).index(size)
