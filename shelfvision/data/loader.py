"""Batches for networks from a dataset: augmented and shuffled for training, in order for evaluation.

Everything random is drawn from (seed, epoch, position in the epoch), so that the number of workers changes nothing,
and n processes with a batch of b see together the pictures that one process with a batch of n x b sees.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from typing import Any, cast

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from shelfvision.core.detections import IntArray
from shelfvision.core.letterbox import Letterbox
from shelfvision.data.augment import Augmenter, AugmentSettings
from shelfvision.data.dataset import Dataset
from shelfvision.data.sample import Sample, fit_sample, load_sample
from shelfvision.errors import DataError, ShelfvisionError

_ORDER, _SIZE, _PICTURE = 0, 1, 2  # what a stream of random numbers is for
_STOPS = frozenset({signal.SIGINT, signal.SIGTERM})
_LOOK_SECONDS = 1.0  # between a worker's looks whether its trainer still lives


@dataclass(frozen=True, slots=True)
class Batch:
    """Pictures of one size and their boxes."""

    images: Tensor  # (b, 3, h, w) uint8 BGR, letterboxed
    boxes: tuple[Tensor, ...]  # b x (n, 4) float32 xyxy in pixels of the input
    labels: tuple[Tensor, ...]  # b x (n,) int64
    ignore: tuple[Tensor, ...]  # b x (n,) bool
    letterboxes: tuple[Letterbox, ...]  # to bring boxes back; of augmented pictures that of the input itself
    indices: tuple[int, ...]  # in the dataset

    def __len__(self) -> int:
        return len(self.indices)


class Loader:
    """Batches that can be gone through, again and again alike; ``len`` is the number of batches."""

    def __init__(self, samples: _Samples, plan: list[list[_Wanted]], workers: int) -> None:
        self._samples = samples
        self._plan = plan
        self._workers = workers

    def __len__(self) -> int:
        return len(self._plan)

    def __iter__(self) -> Iterator[Batch]:
        """Yield batches.

        Raises:
            DataError: a picture cannot be read or is not what its annotation says.
        """
        loader: DataLoader[Any] = DataLoader(
            self._samples,
            batch_sampler=cast("Any", self._plan),  # what it yields is what the dataset is asked for
            num_workers=self._workers,
            collate_fn=_collate,
            worker_init_fn=_begin_worker,
            generator=torch.Generator(),  # else each pass would draw from, and so change, torch's own
        )
        for packed in _begin(loader):
            if isinstance(packed, ShelfvisionError):
                raise packed
            yield _unpack(packed)


def training_loader(
    dataset: Dataset,
    *,
    size: int,
    batch: int,
    augment: AugmentSettings,
    seed: int,
    epoch: int,
    workers: int,
    rank: int = 0,
    world: int = 1,
    sizes: Sequence[int] = (),
    groups: IntArray | None = None,
) -> Loader:
    """One epoch of shuffled, augmented batches; every rank gets as many.

    What is missing for the last batch is filled with pictures from the beginning of the same order; a dataset smaller
    than a batch of all ranks makes one smaller batch.

    Args:
        dataset: at least one picture.
        size: side of the square input in pixels.
        batch: pictures a batch and rank.
        augment: how strongly pictures are changed.
        seed: decides, with epoch and rank, everything random.
        epoch: number of the epoch.
        workers: processes that prepare batches; 0 does it in this one.
        rank: number of this process.
        world: number of processes that train together.
        sizes: with some given, each batch has one of these sides instead of ``size``, the same for every rank.
        groups: (n,) number of each picture's group; mosaic and pasting bring pictures of one group together. All are
            one group when absent.

    Raises:
        DataError: the dataset has no pictures.
    """
    if not len(dataset):
        raise DataError(f"{dataset.source}: no pictures to train on")
    order = np.random.default_rng([seed, epoch, _ORDER]).permutation(len(dataset))
    step = batch * world
    if len(order) < step:
        step = -(-len(order) // world) * world
    steps = -(-len(order) // step)
    order = np.resize(order, steps * step)
    sides = np.random.default_rng([seed, epoch, _SIZE]).choice(list(sizes) or [size], steps)
    plan = []
    for number, side in enumerate(sides):
        first = number * step + rank * (step // world)
        plan.append([_Wanted(int(order[place]), int(side), place) for place in range(first, first + step // world)])
    return Loader(_Samples(dataset, (seed, epoch), augment, groups), plan, workers)


def evaluation_loader(dataset: Dataset, *, size: int, batch: int, workers: int) -> Loader:
    """Letterboxed pictures in the order of the dataset, the last batch as small as it comes.

    Args:
        dataset: pictures; none make no batch.
        size: side of the square input in pixels.
        batch: pictures a batch.
        workers: processes that prepare batches; 0 does it in this one.
    """
    wanted = [_Wanted(index, size, index) for index in range(len(dataset))]
    plan = [wanted[first : first + batch] for first in range(0, len(wanted), batch)]
    return Loader(_Samples(dataset, (0, 0), None), plan, workers)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """One picture of a batch: what to load, how large, and which random numbers."""

    index: int
    size: int
    place: int  # in the epoch


@dataclass(frozen=True, slots=True)
class _Prepared:
    sample: Sample
    letterbox: Letterbox
    index: int


class _Samples(TorchDataset[Any]):
    """What worker processes run; an expected error is a value, since torch would wrap it into pages of traceback."""

    def __init__(
        self,
        dataset: Dataset,
        stream: tuple[int, int],
        augment: AugmentSettings | None,
        groups: IntArray | None = None,
    ) -> None:
        self._dataset = dataset
        self._groups = np.zeros(len(dataset), np.int64) if groups is None else groups
        self._members = {int(group): np.flatnonzero(self._groups == group) for group in np.unique(self._groups)}
        self._stream = stream
        self._augment = augment
        self._augmenters: dict[int, Augmenter] = {}

    def __getitem__(self, wanted: _Wanted) -> _Prepared | ShelfvisionError:
        try:
            return self._prepare(wanted)
        except ShelfvisionError as error:
            return error

    def _prepare(self, wanted: _Wanted) -> _Prepared:
        target = (wanted.size, wanted.size)
        picture = self._dataset.pictures[wanted.index]
        if self._augment is None:
            sample = load_sample(picture)
            letterbox = Letterbox(sample.size, target)
            return _Prepared(fit_sample(sample, letterbox), letterbox, wanted.index)
        rng = np.random.default_rng([*self._stream, _PICTURE, wanted.place])
        if wanted.size not in self._augmenters:
            self._augmenters[wanted.size] = Augmenter(self._augment, wanted.size, pasted=_pasted(self._dataset.labels))

        augmenter = self._augmenters[wanted.size]
        members = self._members[int(self._groups[wanted.index])]

        def more() -> Sample:
            return load_sample(self._dataset.pictures[members[rng.integers(len(members))]], side=augmenter.side)

        augmented = augmenter(rng, load_sample(picture, side=augmenter.side), more)
        return _Prepared(augmented, Letterbox(target, target), wanted.index)


def _pasted(labels: Sequence[str]) -> frozenset[int]:
    """Classes whose boxes may be pasted elsewhere: a gap or a hand cut out as a rectangle looks like none."""
    return frozenset(index for index, name in enumerate(labels) if name not in {"gap", "hand"})


def _begin(loader: DataLoader[Any]) -> Iterator[Any]:
    """Start the workers while OpenCV has no threads of its own and signals wait.

    A fork leaves a worker with the locks of such threads but without them, and it would wait for ever when it uses or
    ends them. The workers stay with one thread each: they are the parallel part. Signals wait in them from their first
    instruction on.
    """
    if not loader.num_workers:
        return iter(loader)
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    masked = signal.pthread_sigmask(signal.SIG_BLOCK, _STOPS)
    try:
        return iter(loader)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, masked)
        cv2.setNumThreads(threads)


def _begin_worker(_number: int) -> None:
    """Leave signals to the trainer: a terminal's Ctrl-C and torchrun's SIGTERM reach its workers too, in mid-batch."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _STOPS)  # where workers are not forked they come without it
    trainer = multiprocessing.parent_process()
    assert trainer is not None
    threading.Thread(target=_end_with, args=(trainer,), daemon=True).start()


def _end_with(trainer: BaseProcess) -> None:
    """End this worker when its trainer says so, which is a SIGTERM that comes from it, or has ended."""
    while trainer.is_alive():
        told = signal.sigtimedwait({signal.SIGTERM}, _LOOK_SECONDS)
        if told is not None and told.si_pid == trainer.pid:
            break
    os._exit(0)


def _collate(prepared: list[_Prepared | ShelfvisionError]) -> Any:
    """What goes from a worker to the trainer: pixels as one tensor in shared memory, the rest as small arrays."""
    good: list[_Prepared] = []
    for one in prepared:
        if isinstance(one, ShelfvisionError):
            return one
        good.append(one)
    images = np.stack([one.sample.image.transpose(2, 0, 1) for one in good])
    return (
        torch.from_numpy(images),
        [(one.sample.xyxy, one.sample.label, one.sample.ignore) for one in good],
        tuple(one.letterbox for one in good),
        tuple(one.index for one in good),
    )


def _unpack(packed: Any) -> Batch:
    images, boxes, letterboxes, indices = packed
    return Batch(
        images,
        tuple(torch.from_numpy(np.ascontiguousarray(xyxy, np.float32)) for xyxy, _, _ in boxes),
        tuple(torch.from_numpy(np.ascontiguousarray(label, np.int64)) for _, label, _ in boxes),
        tuple(torch.from_numpy(np.ascontiguousarray(ignore, np.bool_)) for _, _, ignore in boxes),
        letterboxes,
        indices,
    )
