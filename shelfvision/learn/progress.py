"""How fast a training goes, and how long it will still take."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StepReport:
    """Where a training is after a step."""

    epoch: int  # under way, from 1
    epochs: int
    step: int  # done in this epoch
    steps: int  # of an epoch
    losses: Mapping[str, float]  # mean over this epoch so far
    rate: float  # pictures a second, lately
    seconds_left: float  # of the whole training, evaluations included

    @property
    def share(self) -> float:
        """How much of the training is done, 0 to 1."""
        return ((self.epoch - 1) * self.steps + self.step) / (self.epochs * self.steps)


@dataclass(frozen=True, slots=True)
class EpochReport:
    """How an epoch went."""

    epoch: int  # 0 is the evaluation before training
    epochs: int
    losses: Mapping[str, float]  # means over the epoch; empty before training
    scores: Mapping[str, float | None]  # empty when it was not evaluated; None where a figure is undefined
    goal: str  # the score that counts
    best: float | None
    best_epoch: int
    learning_rate: float  # at the end of the epoch
    rate: float  # pictures a second
    seconds: float  # of the epoch, its evaluation included


class Pace:
    """Clock of a training.

    Args:
        epochs: of the whole training.
        steps: of an epoch.
        pictures: of a step.
        evaluations: how many evaluations are still to come.
    """

    def __init__(self, *, epochs: int, steps: int, pictures: int, evaluations: int) -> None:
        self._epochs, self._steps, self._pictures = epochs, steps, pictures
        self._evaluations = evaluations
        self._evaluation_seconds = 0.0
        self._evaluated = 0
        self._training_seconds, self._trained = 0.0, 0  # of this process's life
        self._began = self._last = time.monotonic()
        self._epoch_seconds, self._epoch_steps = 0.0, 0
        self._recent: float | None = None  # seconds a step

    def begin_epoch(self) -> None:
        """An epoch's first batch is about to be fetched."""
        self._began = self._last = time.monotonic()
        self._epoch_seconds, self._epoch_steps = 0.0, 0

    def after_step(self) -> None:
        """A step is done."""
        now = time.monotonic()
        took, self._last = now - self._last, now
        self._training_seconds += took
        self._trained += 1
        self._epoch_seconds += took
        self._epoch_steps += 1
        self._recent = took if self._recent is None else 0.9 * self._recent + 0.1 * took

    def after_evaluation(self, seconds: float) -> None:
        """An evaluation took this long."""
        self._evaluation_seconds += seconds
        self._evaluated += 1

    @property
    def recent_rate(self) -> float:
        """Pictures a second over about the last ten steps."""
        return self._pictures / self._recent if self._recent else 0.0

    @property
    def epoch_rate(self) -> float:
        """Pictures a second over the epoch."""
        return self._pictures * self._epoch_steps / self._epoch_seconds if self._epoch_seconds else 0.0

    @property
    def epoch_seconds(self) -> float:
        """Since the epoch began."""
        return time.monotonic() - self._began

    def seconds_left(self, epoch: int, step: int) -> float:
        """Until the end of the training, when ``step`` steps of ``epoch`` (from 1) are done."""
        steps = (self._epochs - epoch + 1) * self._steps - step
        training = steps * self._training_seconds / max(1, self._trained)
        ahead = max(0, self._evaluations - self._evaluated)
        return training + ahead * self._evaluation_seconds / max(1, self._evaluated)
