"""The folder of one training: checkpoints, state, a log line an epoch, TensorBoard."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from shelfvision.errors import TrainingError
from shelfvision.learn.train_state import Parts, Position, load_state, save_state, write_whole
from shelfvision.transport.file_lock import FileLock, HeldElsewhereError

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

_EVERY_STEPS = 10  # steps between two points in TensorBoard


class RunFolder:
    """Where a training writes; only the first of several processes does, for the others it reads.

    ``best/`` and ``last/`` are checkpoints with the averaged weights, ``state.safetensors`` is what resuming needs,
    ``log.jsonl`` has a line an epoch, ``settings.json`` is what was asked for, ``tensorboard/`` has curves.

    Args:
        path: the folder; made when absent.
        resume: go on with the training that the folder holds, if it holds one.
        writes: whether this process writes.

    Raises:
        TrainingError: it holds a training and is not to be resumed, another process trains into it, or it cannot
            be written.
    """

    def __init__(self, path: Path, *, resume: bool, writes: bool = True) -> None:
        self.path = path
        self._writes = writes
        self._lock: FileLock | None = None
        self._curves: SummaryWriter | None = None
        if writes:
            with self.writing("the folder"):
                path.mkdir(parents=True, exist_ok=True)
                self._lock = _lock(path)
        self._state = path / "state.safetensors"
        self.resumes = resume and self._state.exists()
        if not resume and (self._state.exists() or (path / "log.jsonl").exists()):
            self.close()
            raise TrainingError(f"{path}: holds a training already; go on with --resume, or choose another out folder")
        if writes and not self.resumes:
            with self.writing("the log"):
                (path / "log.jsonl").unlink(missing_ok=True)  # of a training that was killed before its first state

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
            return
        try:
            self.close()
        except TrainingError:
            return  # the error that ended the block is the one to tell

    def close(self) -> None:
        """Finish the curves and let another process train here.

        Raises:
            TrainingError: the disk is full.
        """
        curves, self._curves = self._curves, None
        try:
            if curves is not None:
                with self.writing("the TensorBoard curves"):
                    curves.close()
        finally:
            if self._lock is not None:
                self._lock.release()

    def load(self, parts: Parts, settings: Mapping[str, Any]) -> Position:
        """Bring the parts to the saved state and the log back to where it was then.

        Raises:
            TrainingError: the state is damaged or of another training, or the log cannot be written.
        """
        position = load_state(self._state, parts, settings)
        log = self.path / "log.jsonl"
        if self._writes and log.exists():
            # a kill between log and state leaves a line of an epoch that will be done again
            kept = [line for line in log.read_text().splitlines() if _epoch(line) <= position.epoch]
            with self.writing("the log"):
                write_whole(log, "".join(f"{line}\n" for line in kept).encode())
        return position

    def save(self, parts: Parts, position: Position, settings: Mapping[str, Any]) -> None:
        """Write the state.

        Raises:
            TrainingError: the disk is full; the earlier state is still there.
        """
        if self._writes:
            with self.writing("the training state"):
                save_state(self._state, parts, position, settings)

    def keep_settings(self, settings: Mapping[str, Any]) -> None:
        """Write down what was asked for.

        Raises:
            TrainingError: the disk is full.
        """
        if self._writes:
            with self.writing("the settings"):
                write_whole(self.path / "settings.json", (json.dumps(settings, indent=2) + "\n").encode())

    def checkpoint(self, name: str, save: Callable[[Path, dict[str, Any]], None], facts: dict[str, Any]) -> None:
        """Let ``save`` write the checkpoint of this name.

        Raises:
            TrainingError: the disk is full; the earlier checkpoint is still there.
        """
        if self._writes:
            with self.writing(f"the checkpoint {name}"):
                save(self.path / name, facts)

    def log(self, record: Mapping[str, Any], step: int) -> None:
        """Append an epoch's line to the log and its figures to the curves.

        Raises:
            TrainingError: the disk is full.
        """
        if not self._writes:
            return
        with self.writing("the log"), (self.path / "log.jsonl").open("a") as file:
            file.write(json.dumps(record) + "\n")
        self._draw({f"epoch/{name}": value for name, value in _flat(record)}, step, flush=True)

    def curve(self, values: Mapping[str, float], step: int) -> None:
        """Add a step's figures to the curves, now and then.

        Raises:
            TrainingError: the disk is full.
        """
        if self._writes and step % _EVERY_STEPS == 0:
            self._draw({f"step/{name}": value for name, value in values.items()}, step)

    def _draw(self, values: Mapping[str, float], step: int, *, flush: bool = False) -> None:
        with self.writing("the TensorBoard curves"):
            if self._curves is None:
                from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415 - takes a second to import

                self._curves = SummaryWriter(str(self.path / "tensorboard"), purge_step=step)
            for name, value in values.items():
                self._curves.add_scalar(name, value, step)
            if flush:
                self._curves.flush()

    @contextmanager
    def writing(self, what: str) -> Iterator[None]:
        """Within the block an error of the disk becomes a ``TrainingError`` that names what could not be written."""
        try:
            yield
        except OSError as error:
            raise TrainingError(
                f"{self.path}: {what} cannot be written: {error.strerror or error}; what was saved before is intact: "
                "make room and go on with --resume"
            ) from None


def _lock(path: Path) -> FileLock:
    try:
        return FileLock(path / ".lock")
    except HeldElsewhereError as holder:
        raise TrainingError(f"{path}: process {holder} is training into it; choose another out folder") from None


def _epoch(line: str) -> float:
    try:
        return float(json.loads(line)["epoch"])
    except (ValueError, KeyError, TypeError):
        return float("inf")  # cut off by a kill


def _flat(record: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    for name, value in record.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}/")
        elif isinstance(value, int | float) and not isinstance(value, bool) and name != "epoch":
            yield f"{prefix}{name}", float(value)
