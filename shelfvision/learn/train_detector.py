"""From settings to a trained detector: opens the data, builds the network, runs the loop."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from shelfvision import __version__
from shelfvision.data.dataset import Dataset
from shelfvision.data.loader import evaluation_loader
from shelfvision.data.open_dataset import open_dataset
from shelfvision.data.relabel import relabel
from shelfvision.errors import DataError, TrainingError
from shelfvision.learn.detector_feed import DetectorFeed
from shelfvision.learn.detector_start import Start, known_classes, make_start
from shelfvision.learn.detector_task import DetectorTask
from shelfvision.learn.distributed import Processes, join_processes
from shelfvision.learn.freeze import Freeze, choose_freeze, choose_start_share
from shelfvision.learn.loop import Outcome, Training
from shelfvision.learn.picture_sets import (
    PictureSet,
    check_classes,
    choose_classes,
    class_counts,
    hold_out,
    join,
)
from shelfvision.learn.progress import EpochReport, StepReport
from shelfvision.learn.run_folder import RunFolder
from shelfvision.learn.train_settings import DetectorSettings, PictureSource, shaping_values

_WORKER = "DataLoader worker"  # how torch's errors name a process that prepares pictures


@dataclass(frozen=True, slots=True)
class Listener:
    """Who is told how a training goes."""

    note: Callable[[str], None] = lambda _: None
    step: Callable[[StepReport], None] = lambda _: None
    epoch: Callable[[EpochReport], None] = lambda _: None
    judged: Callable[[int], None] = lambda _: None  # batches done of an evaluation


@dataclass(frozen=True, slots=True)
class Pictures:
    """What is trained on and what is judged by."""

    trained: PictureSet
    judged: PictureSet | None
    sources: tuple[Dataset, ...]  # each as it was opened, its classes renamed


def train_detector(
    settings: DetectorSettings, *, resume: bool, command: str = "", listener: Listener | None = None
) -> Outcome:
    """Train a detector; several processes do it together when torchrun started them.

    Args:
        settings: everything about it.
        resume: go on with the training in ``settings.out``, if there is one.
        command: how this was called, for the provenance of the checkpoint.
        listener: is told how it goes, in the first process only.

    Raises:
        DataError: a dataset or picture is missing or broken.
        ModelError: the start is missing, broken or of another layout.
        TrainingError: settings that do not fit the data or each other, a loss that is not finite, a full disk.
    """
    listener = listener or Listener()
    if settings.threads is not None:
        torch.set_num_threads(settings.threads)
    with join_processes(settings.device) as processes:
        hears = listener if processes.is_main else Listener()
        with RunFolder(settings.out, resume=resume, writes=processes.is_main) as folder:
            pictures = open_pictures(settings, hears.note)
            start = make_start(
                settings.model,
                pictures.trained.dataset.labels,
                seed=settings.seed,
                typical=lambda count: _typical(pictures.trained.dataset, settings.size, count),
            )
            freeze = choose_freeze(
                start.model,
                stages=settings.model.freeze,
                statistics=settings.model.statistics,
                pictures=len(pictures.trained),
                trained=start.trained,
            )
            start_share = choose_start_share(
                settings.model.start_share,
                pictures=len(pictures.trained),
                trained=start.trained,
                fresh=start.fresh,
            )
            freeze.apply(start.model)
            start.model.to(device=processes.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
            processes.synchronise_statistics(start.model)
            for note in (*start.notes, *_freeze_notes(start, freeze), *_share_notes(start_share)):
                hears.note(note)
            feed = DetectorFeed(pictures.trained, pictures.judged, settings, processes)
            folder.keep_settings(settings.model_dump(mode="json"))
            training = Training(
                DetectorTask(start.model, trained=pictures.trained, judged=pictures.judged, freeze=freeze),
                feed,
                settings,
                folder,
                processes,
                shaping=shaping_values(settings)
                | {"labels": list(pictures.trained.dataset.labels), "pictures": len(pictures.trained)},
                facts=_facts(settings, pictures, start, command, processes, start_share=start_share),
                start_share=start_share,
                on_step=hears.step,
                on_epoch=hears.epoch,
                on_judged=hears.judged,
            )
            if folder.resumes:
                hears.note(f"goes on where it was: {training.describe()}")
            with shortages_explained():
                return training.run()


@contextmanager
def shortages_explained() -> Iterator[None]:
    """Turn torch's ways of saying that memory does not suffice into an error with its fix."""
    try:
        try:
            yield
        except (ConnectionError, EOFError) as error:  # it died while it handed a batch over
            raise RuntimeError(f"{_WORKER} {error}") from None
    except torch.OutOfMemoryError as error:
        raise TrainingError(f"GPU memory does not suffice: lower batch or size ({_first_line(error)})") from None
    except RuntimeError as error:
        if _WORKER in str(error):
            raise TrainingError(
                "a process that prepares pictures died; mostly memory or shared memory (/dev/shm) does not suffice: "
                f"lower workers, and go on with --resume ({_first_line(error)})"
            ) from None
        if "DefaultCPUAllocator" in str(error):
            raise TrainingError(f"memory does not suffice: lower batch or size ({_first_line(error)})") from None
        raise


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]


def open_pictures(settings: DetectorSettings, note: Callable[[str], None] = lambda _: None) -> Pictures:
    """The datasets of the settings, brought together under one list of classes.

    Raises:
        DataError: a dataset is missing or broken.
        TrainingError: classes that do not fit together, or nothing to train on.
    """
    data = settings.data
    sources = [_open(source, f"data.train[{index}]") for index, source in enumerate(data.train)]
    others = [_open(source, f"data.val[{index}]") for index, source in enumerate(data.val)]
    classes = choose_classes(settings.labels, sources, known_classes(settings.model.start))
    check_classes(classes, others)
    trained = join(sources, classes, [source.repeat for source in data.train])
    judged = join(others, classes, [1.0] * len(others)) if others else None
    if data.hold_out is not None:
        kept, held = hold_out(trained.dataset, data.hold_out)
        trained, judged = trained.take(kept), trained.take(held)
        if not len(held):
            raise TrainingError(f"data.hold_out: no class has {data.hold_out} pictures; lower it, or give data.val")
    if not len(trained):
        raise TrainingError(f"{trained.dataset.source}: no picture to train on; check the path")
    if judged is not None and not len(judged):
        raise TrainingError(f"{judged.dataset.source}: no picture to judge by; check data.val, or leave it out")
    _describe(trained, judged, note)
    return Pictures(trained, judged, tuple(sources))


def _open(source: PictureSource, where: str) -> Dataset:
    dataset = open_dataset(source.path, images=source.images, format=source.format, split=source.split)
    try:
        return relabel(dataset, source.labels)
    except DataError as error:
        raise DataError(f"{where}.labels: {error}") from error


def _describe(trained: PictureSet, judged: PictureSet | None, note: Callable[[str], None]) -> None:
    counts = class_counts(trained.dataset)
    names = trained.dataset.labels
    listed = ", ".join(f"{count:,} {name}" for name, count in zip(names, counts.tolist(), strict=True))
    note(f"{len(trained):,} pictures to train on: {listed}")
    absent = [name for name, count in zip(names, counts.tolist(), strict=True) if not count]
    if absent:
        note(f"warning: no box of {', '.join(absent)}: these classes are not learned")
    if judged is None:
        note("no pictures to judge by (data.val, data.hold_out): the last epoch counts, there is no best one")
        return
    note(f"{len(judged):,} pictures to judge by, with {int(class_counts(judged.dataset).sum()):,} boxes")
    both = {picture.path.resolve() for picture in trained.dataset} & {p.path.resolve() for p in judged.dataset}
    if both:
        note(f"warning: {len(both):,} pictures to judge by are also trained on, such as {min(both).name}")


def _freeze_notes(start: Start, freeze: Freeze) -> Sequence[str]:
    parts = []
    if freeze.stages:
        parts.append(f"the first {freeze.stages} stages of the backbone")
    if freeze.statistics:
        parts.append("the statistics of every normalisation")
    weights = sum(parameter.numel() for parameter in start.model.parameters())
    free = sum(parameter.numel() for parameter in start.model.parameters() if parameter.requires_grad)
    counted = f"{weights:,} weights" + (f", {free:,} of them trained" if free < weights else "")
    return (counted, *([f"stays as it came: {' and '.join(parts)}"] if parts else []))


def _share_notes(start_share: float) -> Sequence[str]:
    return [f"what is judged and saved is to {start_share:.0%} the start"] if start_share else []


def _typical(dataset: Dataset, size: int, count: int) -> Tensor:
    """(n, 3, size, size) pictures spread over the dataset, float, blue first, 0 to 255."""
    chosen = np.unique(np.linspace(0, len(dataset) - 1, count).astype(int))
    batches = evaluation_loader(dataset.take(chosen.tolist()), size=size, batch=len(chosen), workers=0)
    return next(iter(batches)).images.float()


def _facts(
    settings: DetectorSettings,
    pictures: Pictures,
    start: Start,
    command: str,
    processes: Processes,
    *,
    start_share: float,
) -> dict[str, Any]:
    """What a checkpoint says of its origin; no path of this machine but what the command itself names."""
    return {
        "size": settings.size,
        "data": [
            {
                "source": f"{source.source.parent.name}/{source.source.name}",
                "pictures": len(source),
                "boxes": dict(zip(source.labels, class_counts(source).tolist(), strict=True)),
            }
            for source in pictures.sources
        ],
        "held_out": 0 if settings.data.hold_out is None or pictures.judged is None else len(pictures.judged),
        "start": {"from": Path(settings.model.start).name, "share": start_share, "provenance": start.provenance},
        "settings": json.loads(json.dumps(shaping_values(settings))) | {"model.start": Path(settings.model.start).name},
        "command": command,
        "program": f"shelfvision {__version__}, torch {torch.__version__}, Python {sys.version.split()[0]}",
        "device": str(processes.device),
        "processes": processes.world,
        "began": datetime.now(UTC).isoformat(timespec="seconds"),
    }
