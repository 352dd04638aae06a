"""Do scores mean what they say? Of detections with score 0.8, eight in ten should be right."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shelfvision.core.detections import FloatArray
from shelfvision.data.dataset import BoolArray

BINS = 10
FLOOR = 0.1  # thousands of near-zero scores, right to be near zero, would drown the scores that anybody acts on


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """Detections whose scores lie together."""

    low: float
    high: float
    count: int
    mean_score: float | None  # None: no detection here
    precision: float | None


@dataclass(frozen=True, slots=True)
class Calibration:
    """Scores against the share that was right."""

    error: float | None  # expected calibration error in [0, 1]; None: no detection above the floor
    floor: float  # detections below this score are left out
    bins: tuple[ReliabilityBin, ...]


def calibrate(score: FloatArray, right: BoolArray, *, floor: float = FLOOR, bins: int = BINS) -> Calibration:
    """Expected calibration error: the mean of |precision - mean score| over bins, weighted by their counts.

    Source: Naeini, Cooper and Hauskrecht, AAAI 2015; for detectors Kueppers et al., CVPR workshops 2020.

    Args:
        score: (n,) in [0, 1].
        right: (n,) whether each detection found a true box.
        floor: least score that is looked at.
        bins: bins of equal width over [0, 1].
    """
    edges = np.linspace(0, 1, bins + 1)
    kept = score >= floor
    score, right = score[kept], right[kept]
    at = np.clip(np.digitize(score, edges[1:-1]), 0, bins - 1)  # a score on an edge belongs to the bin above it
    table = []
    error = 0.0
    for index in range(bins):
        inside = at == index
        count = int(inside.sum())
        mean = float(score[inside].mean(dtype=np.float64)) if count else None
        precision = float(right[inside].mean()) if count else None
        table.append(ReliabilityBin(float(edges[index]), float(edges[index + 1]), count, mean, precision))
        if mean is not None and precision is not None:
            error += count / len(score) * abs(precision - mean)
    return Calibration(error if len(score) else None, floor, tuple(table))
