"""``shelfvision train``: fits networks to labelled pictures."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from shelfvision.cli.progress import ProgressLine

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shelfvision.learn.progress import EpochReport, StepReport


def detector(
    config: Annotated[Path, typer.Option(metavar="FILE", help="Settings, YAML; see configs/train.")],
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Put a value in place of the file's, such as lr=0.0005."),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the training that the out folder holds, if it holds one.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the outcome as one JSON object.")] = False,
) -> int:
    """Train a product detector.

    Under torchrun several processes train together:
    torchrun --standalone --nproc-per-node 4 -m shelfvision train detector --config FILE
    """
    from shelfvision.cli.told_command import told_command
    from shelfvision.learn.train_detector import Listener, train_detector
    from shelfvision.learn.train_settings import load_settings

    changes = changes or []
    settings = load_settings(config, changes)
    command = ["train", "detector", "--config", str(config)]
    command += [word for change in changes for word in ("--set", change)]
    screen = Screen(epochs_on_stdout=not as_json)
    try:
        outcome = train_detector(
            settings,
            resume=resume,
            command=told_command(command),
            listener=Listener(screen.note, screen.step, screen.epoch, screen.judged),
        )
    finally:
        screen.close()
    checkpoint = settings.out / ("last" if outcome.best is None else "best")
    if not screen.heard:
        return 128 + outcome.signal if outcome.signal else 0  # another process speaks
    if as_json:
        print(
            json.dumps(
                {
                    "out": str(settings.out),
                    "checkpoint": str(checkpoint),
                    "epochs": outcome.epochs,
                    "best": outcome.best,
                    "best_epoch": outcome.best_epoch,
                    "stopped_by_signal": outcome.signal,
                }
            )
        )
    if outcome.signal:
        print(f"stopped after {outcome.epochs} of {settings.epochs} epochs; go on with --resume", file=sys.stderr)
        return 128 + outcome.signal
    if not as_json:
        score = "" if outcome.best is None else f" (best score {outcome.best:.4f}, epoch {outcome.best_epoch})"
        print(f"{checkpoint}{score}")
        print(f"next: shelfvision export {shlex.quote(str(checkpoint))} --out FOLDER")
    return 0


class Screen:
    """Shows a training: a bar or plain lines for its steps, a line for each epoch.

    Args:
        epochs_on_stdout: whether the lines of epochs go to stdout; else to stderr.
    """

    def __init__(self, *, epochs_on_stdout: bool = True) -> None:
        self._bar = ProgressLine("train")
        self._stream = sys.stdout if epochs_on_stdout else sys.stderr
        self.heard = False  # whether anything was told; only the first of several processes is

    def note(self, text: str) -> None:
        """Something worth knowing before it begins."""
        self.heard = True
        self._bar.close()
        print(text, file=sys.stderr)

    def step(self, report: StepReport) -> None:
        """A step is done."""
        self._bar.update(
            report.share,
            f"epoch {report.epoch}/{report.epochs} step {report.step}/{report.steps}  {_losses(report.losses)}  "
            f"{report.rate:.1f} pictures/s  {duration(report.seconds_left)} left",
        )

    def judged(self, batches: int) -> None:
        """So many batches of an evaluation are done."""
        self._bar.update(None, f"evaluating, batch {batches + 1}")

    def epoch(self, report: EpochReport) -> None:
        """An epoch is done."""
        self._bar.close()
        words = [f"epoch {report.epoch}/{report.epochs}"]
        if report.losses:
            words.append(f"loss {sum(report.losses.values()):.4f} ({_losses(report.losses)})")
        for name, value in report.scores.items():
            if "/" not in name:
                words.append(f"{name} {'-' if value is None else f'{value:.4f}'}")
        if report.scores and report.best is not None:
            words.append("best so far" if report.best_epoch == report.epoch else f"best {report.best:.4f}")
        words.append(f"{report.rate:.1f} pictures/s" if report.losses else "before training")
        words.append(duration(report.seconds))
        print("  ".join(words), file=self._stream, flush=True)

    def close(self) -> None:
        """Clear the bar."""
        self._bar.close()


def duration(seconds: float) -> str:
    """Seconds as ``1:02:03`` or ``2:03``."""
    minutes, rest = divmod(max(0, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _losses(losses: Mapping[str, float]) -> str:
    return " ".join(f"{name} {value:.4f}" for name, value in losses.items())
