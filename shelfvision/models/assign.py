"""Which point of the maps answers for which labelled box (task-aligned assignment; TOOD, Feng et al. 2021)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from shelfvision.models.detector import Prediction


@dataclass(frozen=True, slots=True)
class AssignSettings:
    """Bounds and exponents of the assignment."""

    candidates: int = 10  # best points a box
    score_power: float = 0.5  # alignment = score ** this * IoU ** the next; TOOD has 1 and 6, YOLOv8 0.5 and 6
    overlap_power: float = 6.0
    reach: float = 1.25  # strides from a box's middle within which a point may answer for a box too small to hold one


@dataclass(frozen=True, slots=True)
class Assignment:
    """Targets of one picture's n points."""

    box: Tensor  # (n,) index of the labelled box that a point answers for, -1 for none
    quality: Tensor  # (n,) target of that box's class score in [0, 1]: alignment, scaled to the box's best IoU


@torch.no_grad()
def assign(prediction: Prediction, index: int, boxes: Tensor, labels: Tensor, settings: AssignSettings) -> Assignment:
    """Assign the points of one picture.

    Args:
        prediction: of the whole batch.
        index: of the picture in the batch.
        boxes: (m, 4) labelled boxes in pixels of the input.
        labels: (m,) their classes.
        settings: see ``AssignSettings``.
    """
    count = len(prediction.points)
    if len(boxes) == 0:
        nothing = prediction.points.new_full((count,), -1, dtype=torch.long)
        return Assignment(nothing, prediction.points.new_zeros(count))
    box, point = _candidates(prediction.points, prediction.strides, boxes, settings.reach)
    overlap = _paired_iou(boxes[box], prediction.boxes[index, point])
    score = prediction.logits[index, point, labels[box]].sigmoid()
    alignment = score.pow(settings.score_power) * overlap.pow(settings.overlap_power)

    chosen = _best_of_each(alignment, box, len(boxes), settings.candidates)
    box, point, overlap, alignment = box[chosen], point[chosen], overlap[chosen], alignment[chosen]
    # a point that several boxes chose answers for the one that it overlaps most
    order = overlap.argsort(stable=True)
    rank = torch.full((count,), -1, dtype=torch.long, device=boxes.device)
    rank = rank.scatter_reduce(0, point[order], torch.arange(len(order), device=boxes.device), "amax")
    kept = order[rank[rank >= 0]]
    box, point, overlap, alignment = box[kept], point[kept], overlap[kept], alignment[kept]

    best_alignment = alignment.new_zeros(len(boxes)).scatter_reduce(0, box, alignment, "amax")
    best_overlap = overlap.new_zeros(len(boxes)).scatter_reduce(0, box, overlap, "amax")
    target = torch.full((count,), -1, dtype=torch.long, device=boxes.device)
    quality = overlap.new_zeros(count)
    target[point] = box
    quality[point] = alignment / best_alignment[box].clamp(min=1e-9) * best_overlap[box]
    return Assignment(target, quality)


def _candidates(points: Tensor, strides: Tensor, boxes: Tensor, reach: float) -> tuple[Tensor, Tensor]:
    """Pairs (box, point) of points that lie in a box, or near the middle of one too small to hold any."""
    inside = (
        (points[None, :, 0] > boxes[:, None, 0])
        & (points[None, :, 0] < boxes[:, None, 2])
        & (points[None, :, 1] > boxes[:, None, 1])
        & (points[None, :, 1] < boxes[:, None, 3])
    )
    small = (boxes[:, 2:] - boxes[:, :2]).amin(dim=1) < 2 * strides.min()
    if small.any():
        middle = (boxes[small, :2] + boxes[small, 2:]) / 2
        away = (points[None] - middle[:, None]).abs().amax(dim=2)
        inside[small] |= (away < reach * strides) & (strides == strides.min())
    pairs = inside.nonzero()
    return pairs[:, 0], pairs[:, 1]


def _best_of_each(alignment: Tensor, box: Tensor, boxes: int, most: int) -> Tensor:
    """Indices of the pairs that are among their box's ``most`` best."""
    order = alignment.argsort(descending=True, stable=True)
    order = order[box[order].argsort(stable=True)]  # by box, best first
    owner = box[order]
    first = torch.searchsorted(owner, torch.arange(boxes, device=box.device))
    rank = torch.arange(len(owner), device=box.device) - first[owner]
    return order[rank < most]


def _paired_iou(first: Tensor, second: Tensor) -> Tensor:
    """(k,) IoU of boxes (k, 4) with boxes (k, 4)."""
    low, high = torch.maximum(first[:, :2], second[:, :2]), torch.minimum(first[:, 2:], second[:, 2:])
    shared = (high - low).clamp(min=0).prod(dim=1)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(dim=1) for boxes in (first, second)]
    return shared / (areas[0] + areas[1] - shared).clamp(min=1e-9)
