"""The one training loop, for whatever is a ``Task``."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from shelfvision.errors import TrainingError
from shelfvision.learn.average import WeightAverage
from shelfvision.learn.distributed import Processes
from shelfvision.learn.loop_settings import LoopSettings
from shelfvision.learn.optimiser import make_optimiser, parameter_groups, set_learning_rate
from shelfvision.learn.precision import choose_arithmetic
from shelfvision.learn.progress import EpochReport, Pace, StepReport
from shelfvision.learn.run_folder import RunFolder
from shelfvision.learn.schedule import learning_rate_factor
from shelfvision.learn.stop_signals import StopSignals
from shelfvision.learn.task import Feed, Task
from shelfvision.learn.train_state import Parts, Position

Batch = TypeVar("Batch")


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a training ended."""

    epochs: int  # finished
    best: float | None  # highest score; nothing when it was never evaluated
    best_epoch: int
    signal: int  # that stopped it, 0 when it came to its end


class Training(Generic[Batch]):
    """A task, the batches to train it on, and everything that changes meanwhile.

    Args:
        task: what to train; its network lies on this process's device.
        feed: where batches come from.
        settings: how to train.
        folder: where to write; the training goes on with what it holds when it resumes.
        processes: who trains along.
        shaping: what a resumed training must have in common with its beginning (JSON values).
        facts: what a checkpoint shall say of its origin (JSON values).
        start_share: share of the weights that it begins with in those that are judged and kept.
        on_step: is told after every step how far it is.
        on_epoch: is told after every epoch how it went.
        on_judged: is told how many batches of an evaluation are done.

    Raises:
        TrainingError: the saved state is of another training or not the same in all processes, or the device cannot do
            the precision asked for.
    """

    def __init__(
        self,
        task: Task[Batch],
        feed: Feed[Batch],
        settings: LoopSettings,
        folder: RunFolder,
        processes: Processes,
        *,
        shaping: Mapping[str, Any],
        facts: Mapping[str, Any],
        start_share: float = 0.0,
        on_step: Callable[[StepReport], None] = lambda _: None,
        on_epoch: Callable[[EpochReport], None] = lambda _: None,
        on_judged: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._task, self._feed, self._settings = task, feed, settings
        self._folder, self._processes = folder, processes
        self._shaping, self._facts = shaping, facts
        self._on_step, self._on_epoch, self._on_judged = on_step, on_epoch, on_judged
        self._arithmetic = choose_arithmetic(settings.precision, processes.device)
        groups = parameter_groups(
            task.model, lr=settings.lr, backbone_lr=settings.backbone_lr, weight_decay=settings.weight_decay
        )
        self._parts = Parts(
            task.model,
            WeightAverage(task.model, decay=settings.ema_decay, ramp=settings.ema_ramp, start_share=start_share),
            make_optimiser(settings.optimiser, groups, momentum=settings.momentum),
            self._arithmetic.scaler(),
        )
        self._trained = [parameter for group in groups for parameter in group["params"]]
        self._at = folder.load(self._parts, shaping) if folder.resumes else Position()
        self._check_common_position()
        self._objective = processes.wrap(_Objective(task))
        self._total = settings.epochs * feed.steps
        self._warm_up = round(min(settings.warm_up * feed.steps, self._total / 5))
        self._factor = 0.0
        self._pace = Pace(
            epochs=settings.epochs,
            steps=feed.steps,
            pictures=feed.pictures,
            evaluations=sum(self._is_judged(epoch) for epoch in range(self._at.epoch + 1, settings.epochs + 1)),
        )

    def describe(self) -> str:
        """Where it is, in words."""
        of_epoch = f" and {self._at.step} steps" if self._at.step else ""
        return f"{self._at.epoch} of {self._settings.epochs} epochs{of_epoch} are done"

    def run(self) -> Outcome:
        """Train to the last epoch, until nothing gets better, or until a signal asks to stop.

        Raises:
            TrainingError: a loss that is not finite, or a full disk.
        """
        at, settings = self._at, self._settings
        signal = 0
        with StopSignals() as stop:
            if settings.evaluate_first and not self._folder.resumes:
                self._on_epoch(self._close_epoch())
            while at.epoch < settings.epochs and not self._is_stale() and not signal:
                self._task.train()
                self._pace.begin_epoch()
                for batch in itertools.islice(self._feed.training(at.epoch + 1), at.step, None):
                    self._step(batch)
                    signal = self._processes.most(stop.asked)
                    if signal:
                        break
                if not signal:
                    at.epoch += 1
                    report = self._close_epoch()
                    at.step, at.sums = 0, {}
                self._folder.save(self._parts, at, self._shaping)
                if not signal:
                    self._on_epoch(report)  # what is told is safe
                    signal = self._processes.most(stop.asked)
        return Outcome(at.epoch, at.best, at.best_epoch, signal if at.epoch < settings.epochs else 0)

    def _step(self, batch: Batch) -> None:
        """One batch forward, backward, and into the weights and their average."""
        at, settings, parts = self._at, self._settings, self._parts
        done = at.epoch * self._feed.steps + at.step
        self._factor = learning_rate_factor(done, total=self._total, warm_up=self._warm_up, last=settings.last_lr)
        set_learning_rate(parts.optimiser, self._factor)
        torch.manual_seed(_seed(settings.seed, done, self._processes.rank))
        with self._arithmetic.autocast():
            losses: dict[str, Tensor] = self._objective(batch)
        total = torch.stack(list(losses.values())).sum()
        parts.scaler.scale(total).backward()  # type: ignore[no-untyped-call]
        parts.scaler.unscale_(parts.optimiser)
        norm = nn.utils.clip_grad_norm_(self._trained, settings.clip or math.inf)
        parts.scaler.step(parts.optimiser)
        parts.scaler.update()
        parts.optimiser.zero_grad(set_to_none=True)
        parts.average.update(done + 1)

        # one look at the device for all figures, after everything is under way there
        figures = self._processes.mean(torch.stack([*(part.detach().float() for part in losses.values()), norm]))
        found = dict(zip([*losses, "gradient"], figures, strict=True))
        self._check_finite(found)
        at.step += 1
        for name in losses:
            at.sums[name] = at.sums.get(name, 0.0) + found[name]
        self._folder.curve(found, done + 1)
        self._pace.after_step()
        self._on_step(
            StepReport(
                at.epoch + 1,
                settings.epochs,
                at.step,
                self._feed.steps,
                self._mean_losses(),
                self._pace.recent_rate,
                self._pace.seconds_left(at.epoch + 1, at.step),
            )
        )

    def _close_epoch(self) -> EpochReport:
        """Judge the averaged weights when it is time to, keep the checkpoints, log how it went."""
        at = self._at
        scores: dict[str, float | None] = {}
        with self._parts.average.shown():
            if self._is_judged(at.epoch):
                scores, score = self._judge()
                if score is not None and (at.best is None or score > at.best):
                    at.best, at.best_epoch = score, at.epoch
            facts = {**self._facts, "epoch": at.epoch, "scores": scores}
            if at.best is not None and at.best_epoch == at.epoch:
                self._folder.checkpoint("best", self._task.save, facts)
            self._folder.checkpoint("last", self._task.save, facts)
        report = EpochReport(
            epoch=at.epoch,
            epochs=self._settings.epochs,
            losses=self._mean_losses(),
            scores=scores,
            goal=self._task.goal,
            best=at.best,
            best_epoch=at.best_epoch,
            learning_rate=self._settings.lr * self._factor,
            rate=self._pace.epoch_rate,
            seconds=self._pace.epoch_seconds,
        )
        self._folder.log(asdict(report), at.epoch * self._feed.steps)
        return report

    def _judge(self) -> tuple[dict[str, float | None], float | None]:
        """The first process's scores, None where undefined, and the one that counts, in every process."""
        began = time.monotonic()
        scores: dict[str, float | None] = {}
        if self._processes.is_main and (batches := self._feed.evaluation()) is not None:
            found = self._task.evaluate(self._told(batches))
            scores = {name: value if math.isfinite(value) else None for name, value in found.items()}
        own = scores.get(self._task.goal)
        (score,) = self._processes.from_main([math.nan if own is None else own])
        self._pace.after_evaluation(time.monotonic() - began)
        return scores, None if math.isnan(score) else score

    def _told(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        for done, batch in enumerate(batches):
            self._on_judged(done)
            yield batch

    def _mean_losses(self) -> dict[str, float]:
        return {name: total / self._at.step for name, total in self._at.sums.items()}

    def _is_judged(self, epoch: int) -> bool:
        return epoch % self._settings.evaluate_every == 0 or epoch == self._settings.epochs

    def _is_stale(self) -> bool:
        at, patience = self._at, self._settings.patience
        if not patience or at.best is None or not self._is_judged(at.epoch):
            return False
        return at.epoch - at.best_epoch >= patience

    def _check_common_position(self) -> None:
        """Raises TrainingError in every process when one of them goes on from elsewhere than the first does."""
        at = self._at
        own = [at.epoch, at.step, at.best_epoch, -math.inf if at.best is None else at.best]
        if self._processes.most(self._processes.from_main(own) != own):
            raise TrainingError(
                f"{self._folder.path}: the processes of this training do not go on from the same place: "
                "state.safetensors must be readable by every process: put out on a shared disk"
            )

    def _check_finite(self, found: Mapping[str, float]) -> None:
        """Raises TrainingError that names the part; gradients in 16 bits may overflow, their step is left out then."""
        scaled = self._parts.scaler.is_enabled()
        for name, value in found.items():
            if not math.isfinite(value) and not (name == "gradient" and scaled):
                what = "the gradient" if name == "gradient" else f"the loss part {name!r}"
                kept = f"the state after epoch {self._at.epoch} is kept" if self._at.epoch else "nothing is lost"
                raise TrainingError(
                    f"epoch {self._at.epoch + 1}, step {self._at.step + 1}: {what} is not finite ({value}); {kept}: "
                    f"lower lr (now {self._settings.lr:g}), or set precision to fp32, and look at the data with "
                    "`shelfvision data check`"
                )


class _Objective(nn.Module):
    """The loss as a module, so that gradients can be averaged over processes in its backward pass."""

    def __init__(self, task: Task[Any]) -> None:
        super().__init__()
        self.model = task.model
        self._loss = task.loss

    def forward(self, batch: Any) -> dict[str, Tensor]:
        return self._loss(batch)


def _seed(seed: int, step: int, rank: int) -> int:
    """A seed for what is random inside the network at this step, so that a resumed training draws the same."""
    return int(np.random.SeedSequence([seed, step, rank]).generate_state(1)[0])
