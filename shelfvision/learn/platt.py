"""Platt scaling: scores of a classifier become the chance of being right."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shelfvision.core.detections import FloatArray
from shelfvision.data.dataset import BoolArray

_SMALLEST = 1e-7  # scores nearer to 0 or 1 have no use as logits
_STEPS = 100
_FLAT = 1e-7  # gradient at which the fit ends
_PULL = 0.1  # of the slope towards 1: where scores part right from wrong wholly, nothing else would hold it
_RIDGE = 1e-9  # keeps the curvature invertible where all logits are equal


@dataclass(frozen=True, slots=True)
class PlattScaling:
    """The chance of being right: ``sigmoid(slope * logit + offset)``. A slope above 0 keeps every order."""

    slope: float = 1.0
    offset: float = 0.0

    def apply(self, score: FloatArray) -> FloatArray:
        """(n,) scores in [0, 1] to (n,) chances in [0, 1]."""
        return np.asarray(_sigmoid(self.slope * _logit(score) + self.offset), np.float32)


def fit_platt(score: FloatArray, right: BoolArray) -> PlattScaling:
    """Fit by maximum likelihood.

    Source: Platt, Advances in Large Margin Classifiers, 1999, with his targets that stay off 0 and 1; Newton steps with
    halving as Lin, Lin and Weng, Machine Learning 68, 2007; the weak prior of a slope about 1 is ours.

    Args:
        score: (n,) in [0, 1], of right and of wrong ones.
        right: (n,) whether each was right.

    Returns:
        The scaling. The slope may come out below 0, where wrong ones have the higher scores.
    """
    logit = _logit(score)
    yes = int(right.sum())
    target = np.where(right, (yes + 1) / (yes + 2), 1 / (len(right) - yes + 2))
    at = np.array([1.0, 0.0])
    loss = _loss(logit, target, at)
    for _ in range(_STEPS):
        chance = _sigmoid(at[0] * logit + at[1])
        gap, weight = chance - target, chance * (1 - chance)
        gradient = np.array([(gap * logit).sum() + _PULL * (at[0] - 1), gap.sum()])
        if np.abs(gradient).max() < _FLAT * max(len(logit), 1):
            break
        cross = float((weight * logit).sum())
        curvature = np.array([[(weight * logit**2).sum() + _PULL, cross], [cross, weight.sum() + _RIDGE]])
        step = np.linalg.solve(curvature, gradient)
        share = 1.0
        while (lower := _loss(logit, target, at - share * step)) > loss and share > _SMALLEST:
            share /= 2
        if lower >= loss:
            break
        at, loss = at - share * step, lower
    return PlattScaling(float(at[0]), float(at[1]))


def _logit(score: FloatArray) -> np.ndarray:
    inside = np.clip(np.asarray(score, np.float64), _SMALLEST, 1 - _SMALLEST)
    return np.asarray(np.log(inside) - np.log1p(-inside))


def _sigmoid(logit: np.ndarray) -> np.ndarray:
    return np.asarray(np.exp(-np.logaddexp(0, -logit)))


def _loss(logit: np.ndarray, target: np.ndarray, at: np.ndarray) -> float:
    """Cross-entropy, summed, and the prior."""
    each = at[0] * logit + at[1]
    return float((np.logaddexp(0, each) - target * each).sum() + _PULL / 2 * (at[0] - 1) ** 2)
