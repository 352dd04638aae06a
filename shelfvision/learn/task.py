"""What the training loop knows of the thing it trains, and of where its pictures come from."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol, TypeVar

from torch import Tensor, nn

Batch_contra = TypeVar("Batch_contra", contravariant=True)
Batch_co = TypeVar("Batch_co", covariant=True)


class Task(Protocol[Batch_contra]):
    """One kind of network to train: product detector, recogniser, action classifier."""

    @property
    def model(self) -> nn.Module:
        """The network; what is pretrained in it stands under the name ``backbone``."""
        ...

    @property
    def goal(self) -> str:
        """The figure of ``evaluate`` that says which epoch is the best; more is better."""
        ...

    def train(self) -> None:
        """Put the network into training mode; frozen parts stay as they are."""
        ...

    def loss(self, batch: Batch_contra) -> dict[str, Tensor]:
        """The parts of the loss, scalars that are summed; called under autocast."""
        ...

    def evaluate(self, batches: Iterable[Batch_contra]) -> dict[str, float]:
        """How good the network is on these batches; leaves it in evaluation mode."""
        ...

    def save(self, folder: Path, facts: dict[str, Any]) -> None:
        """Write a checkpoint of the network as it is now, whole or not at all.

        Args:
            folder: where to; a checkpoint that is there already is replaced.
            facts: where the weights come from (JSON values).

        Raises:
            OSError: the disk is full or cannot be written.
        """
        ...


class Feed(Protocol[Batch_co]):
    """Where batches come from; the same (seed, epoch, rank) gives the same batches in the same order."""

    @property
    def steps(self) -> int:
        """Batches an epoch, equal for every process."""
        ...

    @property
    def pictures(self) -> int:
        """Pictures in one batch of all processes together."""
        ...

    def training(self, epoch: int) -> Iterable[Batch_co]:
        """This process's batches of an epoch (1 is the first)."""
        ...

    def evaluation(self) -> Iterable[Batch_co] | None:
        """The batches to judge by; nothing when there are no pictures for that."""
        ...
