"""Several training processes that torchrun started: who we are, which device is ours, figures over all of us."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from shelfvision.errors import TrainingError

# the others wait while the first process evaluates and saves; a process that dies is torchrun's business
_PATIENCE = timedelta(hours=6)


@dataclass(frozen=True, slots=True)
class Processes:
    """This process among those that train together; alone by default."""

    rank: int = 0
    world: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @property
    def is_main(self) -> bool:
        """Whether this one evaluates, writes and speaks."""
        return self.rank == 0

    def wrap(self, module: nn.Module) -> nn.Module:
        """The module, its gradients averaged over all processes in the backward pass."""
        if self.world == 1:
            return module
        # no device_ids: the module lies on one device already and batches are moved by the task
        return DistributedDataParallel(module)

    def synchronise_statistics(self, model: nn.Module) -> None:
        """Let the model's batch statistics be those of all processes, where torch can do that (GPU only).

        On CPUs every process normalises by its own share of the batch, and the first one's running statistics are kept.
        """
        if self.world > 1 and self.device.type == "cuda":
            from timm.layers.norm_act import convert_sync_batchnorm  # noqa: PLC0415 - slow to import, and only needed here

            # replaces the layers within the model; torch's own would drop the activations that timm's layers hold
            convert_sync_batchnorm(model)  # type: ignore[no-untyped-call]

    def mean(self, values: Tensor) -> list[float]:
        """The mean of every value over all processes; not finite when one of them is not."""
        if self.world > 1:
            values = values.clone()
            dist.all_reduce(values, op=dist.ReduceOp.SUM)
            values /= self.world
        return [float(value) for value in values.tolist()]

    def most(self, value: int) -> int:
        """The largest value that any process has."""
        if self.world == 1:
            return value
        shared = torch.tensor([value], dtype=torch.int64, device=self.device)
        dist.all_reduce(shared, op=dist.ReduceOp.MAX)
        return int(shared.item())

    def from_main(self, values: Sequence[float]) -> list[float]:
        """The first process's values, in all; every process gives as many."""
        if self.world == 1:
            return list(values)
        shared = torch.tensor(list(values), dtype=torch.float64, device=self.device)
        dist.broadcast(shared, src=0)
        return [float(value) for value in shared.tolist()]


@contextmanager
def join_processes(device: str = "auto") -> Iterator[Processes]:
    """Meet the other processes of this training: those that torchrun's environment names, else none.

    Args:
        device: ``auto`` (a GPU when there is one), ``cpu``, ``cuda`` (the process's own), or ``cuda:1``.

    Raises:
        TrainingError: the device is not there, or the environment is not what torchrun sets.
    """
    rank, world, local = (
        _number(name, default) for name, default in (("RANK", 0), ("WORLD_SIZE", 1), ("LOCAL_RANK", 0))
    )
    chosen = choose_device(device, local)
    if chosen.type == "cuda":
        torch.cuda.set_device(chosen)
    if world == 1:
        yield Processes(device=chosen)
        return
    try:
        dist.init_process_group(
            "cpu:gloo,cuda:nccl" if chosen.type == "cuda" else "gloo", rank=rank, world_size=world, timeout=_PATIENCE
        )
    except (ValueError, dist.DistError) as error:
        raise TrainingError(f"the {world} training processes cannot meet: {error}; start them with torchrun") from None
    try:
        yield Processes(rank, world, chosen)
    finally:
        dist.destroy_process_group()


def choose_device(name: str, local: int = 0) -> torch.device:
    """The device of that name.

    Args:
        name: ``auto``, ``cpu``, ``cuda``, or ``cuda:1``.
        local: number of this process on its machine; ``auto`` and ``cuda`` give each process its own GPU.

    Raises:
        TrainingError: there is no such device.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise TrainingError(f"device: expected auto, cpu, cuda or cuda:1, found {name!r}") from None
    if device.type not in {"cpu", "cuda"}:
        raise TrainingError(f"device: expected auto, cpu, cuda or cuda:1, found {name!r}")
    if device.type == "cpu":
        return device
    index = local if device.index is None else device.index
    there = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if index >= there:
        raise TrainingError(f"device: cuda:{index} is wanted, but torch sees {there} GPUs; set device to cpu or auto")
    return torch.device("cuda", index)


def _number(name: str, default: int) -> int:
    text = os.environ.get(name, str(default))
    if not text.isascii() or not text.isdigit():
        raise TrainingError(f"environment variable {name}: expected a number as torchrun sets it, found {text!r}")
    return int(text)
