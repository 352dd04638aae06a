"""Average precision and recall as COCO defines them, by faster-coco-eval.

The only place that knows that library. Its box limit is set so high that no detection is ever cut off.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from faster_coco_eval import COCO, COCOeval_faster
from numpy.typing import NDArray

from shelfvision.core.detections import Detections, FloatArray
from shelfvision.data.dataset import Dataset

OVERLAPS = tuple(round(0.5 + 0.05 * step, 2) for step in range(10))
SIZES = {"small": (0.0, 32.0**2), "medium": (32.0**2, 96.0**2), "large": (96.0**2, 1e10)}  # square pixels
LEAST_LIMIT = 1000  # boxes of one class in one picture
_CHUNK = 100  # pictures that are evaluated at once
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
    accumulation = _evaluation(COCO({**_about(dataset, range(0)), "annotations": []}), limits)
    # the library orders what it finds in pictures by class, then size, then picture
    groups: list[list[Any]] = [[] for _ in range(len(dataset.labels) * (1 + len(SIZES)))]
    for start in range(0, len(dataset), _CHUNK):
        evaluated = _evaluate(dataset, found, range(start, min(start + _CHUNK, len(dataset))), limits)
        each = len(evaluated) // len(groups)
        for index, group in enumerate(groups):
            group.extend(evaluated[index * each : (index + 1) * each])
    accumulation.params.imgIds = list(range(1, len(dataset) + 1))
    accumulation._paramsEval = accumulation.params  # noqa: SLF001 - what evaluating all at once leaves here
    accumulation._evalImgs_cpp = [one for group in groups for one in group]  # noqa: SLF001 - likewise
    accumulation.accumulate()
    precision = np.asarray(accumulation.eval["precision"], np.float64)[..., -1]
    recall = np.asarray(accumulation.eval["recall"], np.float64)
    return CocoTable(_known(precision), _known(recall), limits, densest)


def _evaluate(dataset: Dataset, found: Sequence[Detections], part: range, limits: tuple[int, ...]) -> list[Any]:
    """What the library finds in some pictures, not yet accumulated.

    It keeps every overlap, and every detection as a Python object: all pictures of a large dense dataset at once would
    take tens of gigabytes.
    """
    truth: list[dict[str, Any]] = []
    results: list[dict[str, Any]] = []
    for at in part:
        picture, detections = dataset.pictures[at], found[at]
        for label, xyxy, ignore in zip(picture.label.tolist(), picture.xyxy, picture.ignore, strict=True):
            truth.append(_annotation(len(truth), at, label, xyxy) | {"iscrowd": int(ignore)})
        for label, xyxy, score in zip(
            detections.label.tolist(), detections.xyxy, detections.score.tolist(), strict=True
        ):
            results.append(_annotation(len(results), at, label, xyxy) | {"iscrowd": 0, "score": score})
    about = _about(dataset, part)
    evaluation = _evaluation(COCO(about | {"annotations": truth}), limits, COCO(about | {"annotations": results}))
    evaluation.evaluate()
    return list(evaluation._evalImgs_cpp)  # noqa: SLF001 - the only way to accumulate part by part


def _evaluation(truth: COCO, limits: tuple[int, ...], results: COCO | None = None) -> COCOeval_faster:
    evaluation = COCOeval_faster(truth, truth if results is None else results, iouType="bbox", separate_eval=True)
    evaluation.params.iouThrs = np.array(OVERLAPS)
    evaluation.params.recThrs = RECALLS
    evaluation.params.maxDets = list(limits)
    evaluation.params.areaRng = [[0, 1e10], *(list(span) for span in SIZES.values())]
    evaluation.params.areaRngLbl = ["all", *SIZES]
    return evaluation


def _about(dataset: Dataset, part: range) -> dict[str, Any]:
    """A COCO document of some pictures but for its annotations."""
    sizes = [dataset.pictures[at].size for at in part]
    return {
        "info": {},
        "images": [
            {"id": at + 1, "width": width, "height": height} for at, (width, height) in zip(part, sizes, strict=True)
        ],
        "categories": [{"id": label + 1, "name": name} for label, name in enumerate(dataset.labels)],
    }


def _annotation(number: int, picture: int, label: int, xyxy: FloatArray) -> dict[str, Any]:
    x1, y1, x2, y2 = xyxy.tolist()
    bbox = [x1, y1, x2 - x1, y2 - y1]
    return {
        "id": number + 1,
        "image_id": picture + 1,
        "category_id": label + 1,
        "bbox": bbox,
        "area": bbox[2] * bbox[3],
    }


def _known(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(values > -1, values, np.nan)  # -1 is how the library says that there is nothing to measure


def _mean(values: NDArray[np.float64]) -> float | None:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else None


def _size_index(size: str | None) -> int:
    return 0 if size is None else 1 + list(SIZES).index(size)
