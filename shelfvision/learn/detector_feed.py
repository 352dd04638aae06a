"""The batches of a detector's training."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from shelfvision.core.detections import IntArray
from shelfvision.data.loader import Batch, Loader, evaluation_loader, training_loader
from shelfvision.errors import TrainingError
from shelfvision.learn.distributed import Processes
from shelfvision.learn.picture_sets import PictureSet, draw_epoch
from shelfvision.learn.train_settings import DetectorSettings


class DetectorFeed:
    """A ``Feed`` of labelled pictures; indices of its batches point into ``trained`` and ``judged``.

    Args:
        trained: pictures to train on.
        judged: pictures to judge by.
        settings: sizes, batch, augmentation.
        processes: who shares the batches.

    Raises:
        TrainingError: the batch cannot be shared evenly.
        DataError: no picture.
    """

    def __init__(
        self, trained: PictureSet, judged: PictureSet | None, settings: DetectorSettings, processes: Processes
    ) -> None:
        if settings.batch % processes.world:
            raise TrainingError(
                f"batch: {settings.batch} pictures cannot be shared by {processes.world} processes; "
                f"set it to a multiple of {processes.world}"
            )
        self._trained, self._judged = trained, judged
        self._groups = trained.groups  # what one source does not label must not stand in an input of another
        self._settings, self._processes = settings, processes
        loader, drawn = self._epoch(1)
        self.steps = len(loader)
        self.pictures = min(settings.batch, len(drawn))

    def training(self, epoch: int) -> Iterator[Batch]:
        """This process's batches of an epoch.

        Raises:
            DataError: a picture cannot be read.
        """
        loader, drawn = self._epoch(epoch)
        for batch in loader:
            yield replace(batch, indices=tuple(int(drawn[index]) for index in batch.indices))

    def evaluation(self) -> Iterator[Batch] | None:
        """All judged pictures, in their order.

        Raises:
            DataError: a picture cannot be read.
        """
        if self._judged is None:
            return None
        settings = self._settings
        loader = evaluation_loader(
            self._judged.dataset, size=settings.size, batch=settings.batch, workers=settings.workers
        )
        return iter(loader)

    def _epoch(self, epoch: int) -> tuple[Loader, IntArray]:
        """The loader of an epoch, and which pictures it goes through."""
        settings, processes = self._settings, self._processes
        drawn = draw_epoch(self._trained.weight, settings.data.pictures_per_epoch, seed=settings.seed, epoch=epoch)
        augment = settings.augment
        if epoch > settings.epochs - min(settings.settle, settings.epochs // 5):
            augment = augment.model_copy(update={"mosaic": 0.0, "copy_paste": 0.0})
        loader = training_loader(
            self._trained.dataset.take(drawn.tolist()),
            size=settings.size,
            batch=settings.batch // processes.world,
            augment=augment,
            seed=settings.seed,
            epoch=epoch,
            workers=settings.workers,
            rank=processes.rank,
            world=processes.world,
            sizes=settings.multi_scale,
            groups=self._groups[drawn],
        )
        return loader, drawn
