"""Training the product detector: its loss on a batch, its scores on pictures, its checkpoint."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from shelfvision.core.detections import Detections
from shelfvision.data.loader import Batch
from shelfvision.learn.detection_coco import CocoTable, measure
from shelfvision.learn.freeze import Freeze
from shelfvision.learn.picture_sets import PictureSet
from shelfvision.learn.predict import network_input, predict_batches
from shelfvision.models.checkpoint import save_checkpoint
from shelfvision.models.detector import Detector, Prediction
from shelfvision.models.detector_loss import DetectorLoss

_UNTAUGHT = -30.0  # a logit so low that it costs nothing as background
_RARE = 20.0  # true boxes with which a class has half its weight in choosing the best epoch


class DetectorTask:
    """A ``Task`` on batches of pictures whose indices point into ``trained`` and ``judged``.

    Args:
        model: the network, on the device it is trained on.
        trained: the pictures of training batches.
        judged: the pictures of evaluation batches.
        freeze: what is not trained.
        loss: what its answers cost.
    """

    goal = "map50_95_steady"

    def __init__(
        self,
        model: Detector,
        *,
        trained: PictureSet,
        judged: PictureSet | None,
        freeze: Freeze,
        loss: DetectorLoss | None = None,
    ) -> None:
        self.model = model
        self._judged = judged
        self._freeze = freeze
        self._loss = loss or DetectorLoss()
        # of pictures whose source does not label every class, the classes that cannot be learned from them
        self._untaught = None if trained.labelled.all() else torch.from_numpy(~trained.labelled)

    def train(self) -> None:
        """Put the network into training mode; frozen parts stay as they are."""
        self._freeze.train_mode(self.model)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Parts ``class`` and ``box``."""
        device = next(self.model.parameters()).device
        prediction: Prediction = self.model(network_input(batch, device))
        with torch.autocast(device.type, enabled=False):
            logits = prediction.logits.float()
            if self._untaught is not None:
                untaught = self._untaught[list(batch.indices)].to(device)  # (b, c)
                logits = logits.masked_fill(untaught[:, None], _UNTAUGHT)
            exact = Prediction(prediction.boxes.float(), logits, prediction.points, prediction.strides)
            boxes, labels, ignore = (
                tuple(one.to(device, non_blocking=True) for one in part)
                for part in (batch.boxes, batch.labels, batch.ignore)
            )
            parts = self._loss(exact, boxes, labels, ignore)
            # a batch without a box still reaches every weight: several processes wait for each other's gradients
            parts["box"] = parts["box"] + 0 * exact.boxes.mean()
        return parts

    def evaluate(self, batches: Iterable[Batch]) -> dict[str, float]:
        """COCO's averages over all judged pictures, and AP at IoU 0.5 of each class."""
        if self._judged is None:
            return {}
        found = predict_batches(self.model, batches)
        known = [
            own[np.asarray(labelled[own.label], np.bool_)]
            for own, labelled in zip(found, self._judged.labelled, strict=True)
        ]
        return scores(self._judged, known)

    def save(self, folder: Path, facts: dict[str, Any]) -> None:
        """Write a checkpoint.

        Raises:
            ModelError: it cannot be written.
        """
        save_checkpoint(folder, self.model, provenance=facts)


def scores(judged: PictureSet, found: list[Detections]) -> dict[str, float]:
    """What is told after each epoch; NaN where there is no true box.

    ``map50_95_steady`` chooses the best epoch: a class of n true boxes counts n / (n + 20). In COCO's mean the one
    hand of a few held-out pictures would weigh as much as hundreds of products, and chance would choose.
    """
    table = measure(judged.dataset, found)
    figures = {
        "map50_95": table.average_precision(),
        "map50_95_steady": _steady(judged, table),
        "map50": table.average_precision(overlap=0.5),
        "map75": table.average_precision(overlap=0.75),
        "ar300": table.average_recall(300),
    }
    for index, name in enumerate(judged.dataset.labels):
        figures[f"ap50/{name}"] = table.average_precision(overlap=0.5, label=index)
    return {name: math.nan if value is None else value for name, value in figures.items()}


def _steady(judged: PictureSet, table: CocoTable) -> float | None:
    boxes = np.zeros(len(judged.dataset.labels))
    for picture in judged.dataset.pictures:
        boxes += np.bincount(picture.label[~picture.ignore], minlength=len(boxes))
    weighed = [
        (count / (count + _RARE), precision)
        for label, count in enumerate(boxes)
        if (precision := table.average_precision(label=label)) is not None
    ]
    total = sum(weight for weight, _ in weighed)
    return sum(weight * precision for weight, precision in weighed) / total if total else None
