"""A detector's scores become the chance that a box is right, class by class, at no cost when it runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from pydantic import JsonValue

from shelfvision.core.detections import Detections
from shelfvision.data.dataset import Dataset
from shelfvision.learn.calibration import calibrate
from shelfvision.learn.detection_labels import bring_together
from shelfvision.learn.detection_matching import Ranking, match, rank
from shelfvision.learn.platt import PlattScaling, fit_platt
from shelfvision.models.detector import Detector

LEAST_BOXES = 20  # right ones, and wrong ones, that a class needs for a scaling of its own
RAW_FLOOR = 0.001  # scores are fitted from here on, wherever the scaled ones are cut


@dataclass(frozen=True, slots=True)
class ScoreScaling:
    """One scaling a class, and what it mended on the pictures that it was fitted on."""

    scalings: tuple[PlattScaling, ...]
    own: tuple[bool, ...]  # whether a class had boxes enough; the others share what all classes together gave
    pictures: int
    error_before: float | None  # expected calibration error, all classes together
    error_after: float | None

    def to_json(self, labels: Sequence[str]) -> dict[str, JsonValue]:
        """JSON values, rounded."""
        return {
            "method": "Platt",
            "pictures": self.pictures,
            "error_before": None if self.error_before is None else round(self.error_before, 4),
            "error_after": None if self.error_after is None else round(self.error_after, 4),
            "classes": {
                name: {"slope": round(scaling.slope, 4), "offset": round(scaling.offset, 4), "own": own}
                for name, scaling, own in zip(labels, self.scalings, self.own, strict=True)
            },
        }


def scale_scores(found: Detections, scalings: Sequence[PlattScaling]) -> Detections:
    """Detections with the scaling of each class applied, in the order of before."""
    score = found.score.copy()
    for label, scaling in enumerate(scalings):
        own = found.label == label
        score[own] = scaling.apply(score[own])
    return Detections(found.xyxy, score, found.label)


def fit_scores(dataset: Dataset, found: Sequence[Detections], labels: Sequence[str]) -> ScoreScaling | None:
    """Fit scores to how often boxes are right at IoU 0.5.

    A class with fewer than ``LEAST_BOXES`` right or wrong boxes takes the scaling of all classes together, and so does
    one whose own would turn the order round.

    Args:
        dataset: the truth.
        found: detections of each picture from low scores on, with class indices into ``labels``.
        labels: the detector's class names.

    Returns:
        The scalings, or None where all classes together have too few boxes.

    Raises:
        DataError: the classes do not fit together.
    """
    judged = bring_together(dataset, found, labels)
    matchings = [match(picture, one) for picture, one in zip(judged.dataset, judged.found, strict=True)]
    together = _fit(rank(judged.dataset, judged.found, matchings))
    if together is None:
        return None
    own = {
        name: _fit(rank(judged.dataset, judged.found, matchings, index))
        for index, name in enumerate(judged.dataset.labels)
    }
    scaled = [scale_scores(one, [fit or together for fit in own.values()]) for one in judged.found]
    before, after = (rank(judged.dataset, each, matchings) for each in (judged.found, scaled))
    return ScoreScaling(
        scalings=tuple(own.get(name) or together for name in labels),
        own=tuple(own.get(name) is not None for name in labels),
        pictures=len(judged.dataset),
        error_before=calibrate(before.score, before.right).error,
        error_after=calibrate(after.score, after.right).error,
    )


def fold_scores(detector: Detector, scaling: ScoreScaling) -> None:
    """Put the scalings into the last class layers, so that ``detector`` gives scaled scores from now on."""
    slope = torch.tensor([each.slope for each in scaling.scalings])
    offset = torch.tensor([each.offset for each in scaling.scalings])
    detector.head.scale_logits(slope, offset)


def _fit(ranking: Ranking) -> PlattScaling | None:
    """The scaling, None where too few boxes or a falling order speak against it."""
    if min(np.count_nonzero(ranking.right), np.count_nonzero(~ranking.right)) < LEAST_BOXES:
        return None
    fitted = fit_platt(ranking.score, ranking.right)
    return fitted if fitted.slope > 0 else None
