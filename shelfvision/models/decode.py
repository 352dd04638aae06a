"""From what the network says to boxes: threshold, then non-maximum suppression class by class."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torchvision.ops import batched_nms

from shelfvision.core.detections import Detections
from shelfvision.models.detector import Prediction

OVERLAP = 0.65  # of suppression, unless said otherwise


def decode(
    prediction: Prediction, *, least_score: float = 0.05, overlap: float | Sequence[float] = OVERLAP, most: int = 1000
) -> list[Detections]:
    """Detections of each picture, best first, in pixels of the input.

    Args:
        prediction: what ``Detector`` gave.
        least_score: lowest score kept.
        overlap: IoU with a better box of its class above which a box is dropped, for all classes or one for each.
            High: packages behind one another overlap truly.
        most: boxes kept a class and picture; dense shelves hold up to 700.
    """
    classes = prediction.logits.shape[2]
    overlaps = list(overlap) if isinstance(overlap, Sequence) else [overlap] * classes
    return [
        _one(boxes, scores, least_score=least_score, overlaps=overlaps, most=most)
        for boxes, scores in zip(prediction.boxes.detach(), prediction.logits.detach().sigmoid(), strict=True)
    ]


def _one(boxes: Tensor, scores: Tensor, *, least_score: float, overlaps: Sequence[float], most: int) -> Detections:
    point, label = torch.nonzero(scores >= least_score, as_tuple=True)
    if not len(point):
        return Detections.empty()
    found, score = boxes[point], scores[point, label]
    kept = _suppress(found, score, label, overlaps)
    if most < len(kept):
        place = torch.zeros_like(label[kept])  # rank among its class, best first
        for name in torch.unique(label):
            own = label[kept] == name
            place[own] = torch.arange(int(own.sum()), device=place.device)
        kept = kept[place < most]
    return Detections(
        np.asarray(found[kept].float().cpu().numpy(), np.float32),
        np.asarray(score[kept].float().cpu().numpy(), np.float32),
        np.asarray(label[kept].cpu().numpy(), np.int64),
    )


def _suppress(boxes: Tensor, score: Tensor, label: Tensor, overlaps: Sequence[float]) -> Tensor:
    """Indices of the boxes that stay, best first; classes of one overlap go together."""
    bound = score.new_tensor(overlaps)[label]
    parts = []
    for overlap in sorted(set(overlaps)):
        some = torch.nonzero(bound == score.new_tensor(overlap)).flatten()
        parts.append(some[batched_nms(boxes[some], score[some], label[some], overlap)])
    kept = torch.cat(parts)
    return kept[torch.argsort(score[kept], descending=True, stable=True)]
