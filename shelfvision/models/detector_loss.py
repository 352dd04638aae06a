"""What the detector's answers cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits
from torchvision.ops import complete_box_iou_loss

from shelfvision.models.assign import AssignSettings, assign
from shelfvision.models.detector import Prediction


@dataclass(frozen=True, slots=True)
class DetectorLoss:
    """Quality-aware classification and box overlap.

    Class scores learn the overlap that their boxes reach (quality focal loss, Li et al. 2020, with the focusing factor
    ``|target - score| ** focus``); boxes learn complete IoU (Zheng et al. 2020). Both are divided by the sum of
    target qualities in the batch.
    """

    box_weight: float = 2.5  # as PP-YOLOE has it (Xu et al. 2022)
    class_weight: float = 1.0
    focus: float = 1.0
    assign: AssignSettings = field(default_factory=AssignSettings)

    def __call__(
        self, prediction: Prediction, boxes: Sequence[Tensor], labels: Sequence[Tensor], ignore: Sequence[Tensor]
    ) -> dict[str, Tensor]:
        """Parts that are summed: ``class`` and ``box``.

        Args:
            prediction: of b pictures.
            boxes: b x (m, 4) labelled boxes in pixels of the input.
            labels: b x (m,) classes.
            ignore: b x (m,) whether a box is a region where nothing counts. Points in it that answer for no other
                box teach nothing.
        """
        targets = torch.zeros_like(prediction.logits)
        counted = torch.ones_like(prediction.logits[..., :1])
        overlap = prediction.boxes.new_zeros(())
        for index, (own, names, regions) in enumerate(zip(boxes, labels, ignore, strict=True)):
            true, kinds = own[~regions], names[~regions]
            found = assign(prediction, index, true, kinds, self.assign)
            counted[index, _inside(prediction.points, own[regions]) & (found.box < 0)] = 0
            point = (found.box >= 0).nonzero()[:, 0]
            if len(point):
                box, quality = found.box[point], found.quality[point]
                targets[index, point, kinds[box]] = quality
                cost = complete_box_iou_loss(prediction.boxes[index, point], true[box], reduction="none")
                overlap = overlap + (cost * quality).sum()
        total = targets.sum().clamp(min=1.0)
        distance = (targets - prediction.logits.detach().sigmoid()).abs().pow(self.focus)
        cost = binary_cross_entropy_with_logits(prediction.logits, targets, reduction="none") * distance * counted
        return {"class": self.class_weight * cost.sum() / total, "box": self.box_weight * overlap / total}


def _inside(points: Tensor, regions: Tensor) -> Tensor:
    """(n,) whether a point lies in any of the regions (k, 4)."""
    inside = (points[:, None] > regions[None, :, :2]) & (points[:, None] < regions[None, :, 2:])  # (n, k, 2)
    return inside.all(dim=2).any(dim=1)
