"""How the learning rate runs over a training."""

from __future__ import annotations

import math


def learning_rate_factor(step: int, *, total: int, warm_up: int, last: float) -> float:
    """What the learning rate is multiplied with at a step: a straight warm-up, then half a cosine down to ``last``.

    Args:
        step: steps done so far, from 0.
        total: steps of the whole training.
        warm_up: steps until the full rate.
        last: factor at the end.
    """
    if step < warm_up:
        return (step + 1) / warm_up
    share = min(1.0, (step - warm_up) / max(1, total - warm_up))
    return last + (1 - last) * (1 + math.cos(math.pi * share)) / 2


def average_decay(updates: int, *, decay: float, ramp: float) -> float:
    """How much of the running average of the weights an update keeps.

    It starts at 0 and approaches ``decay``, so that a short training is not an average with its own beginning
    (the exponential ramp of YOLOv5 and its kin).

    Args:
        updates: updates so far, this one included.
        decay: what is kept in the long run.
        ramp: updates after which it is about two thirds there.
    """
    return decay * (1 - math.exp(-updates / ramp))
