"""Everything that a training needs to go on where it was, in one file that is whole or not there."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from shelfvision.errors import TrainingError
from shelfvision.learn.average import WeightAverage

_FORMAT = "shelfvision-training-1"


@dataclass(slots=True)
class Position:
    """How far a training is.

    Random numbers need no place here: they are a function of seed, epoch, step and rank.
    """

    epoch: int = 0  # finished epochs
    step: int = 0  # steps done of the epoch that is under way
    sums: dict[str, float] = field(default_factory=dict)  # of the loss parts over these steps
    best: float | None = None  # highest score so far
    best_epoch: int = 0


@dataclass(frozen=True, slots=True)
class Parts:
    """The moving parts of a training, whose state is kept."""

    model: nn.Module
    average: WeightAverage
    optimiser: torch.optim.Optimizer
    scaler: torch.amp.GradScaler


def save_state(path: Path, parts: Parts, position: Position, settings: Mapping[str, Any]) -> None:
    """Write the state beside its name and move it there: weights and figures are one file, so they belong together.

    Raises:
        OSError: the disk is full or cannot be written; an earlier state is still there.
    """
    tensors = {f"model/{name}": tensor for name, tensor in parts.model.state_dict().items()}
    tensors |= parts.average.tensors
    for index, values in parts.optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser/{index}/{key}": value for key, value in values.items() if isinstance(value, Tensor)}
    about = {
        "format": _FORMAT,
        "position": asdict(position),
        "scaler": parts.scaler.state_dict(),
        "settings": dict(settings),
    }
    data = save(
        {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, {"about": json.dumps(about)}
    )
    write_whole(path, data)


def load_state(path: Path, parts: Parts, settings: Mapping[str, Any]) -> Position:
    """Bring the parts to the state that was saved.

    Raises:
        TrainingError: the file is missing, damaged, or of a training with other settings.
    """
    about, tensors = _read(path)
    _compare(path, about["settings"], settings)
    model = parts.model.state_dict()
    wanted = {f"model/{name}" for name in model} | parts.average.tensors.keys()
    held = {name for name in tensors if not name.startswith("optimiser/")}
    wrong = [name for name in model if f"model/{name}" in held and tensors[f"model/{name}"].shape != model[name].shape]
    if wanted != held or wrong:
        name = wrong[0] if wrong else min(wanted ^ held)
        raise TrainingError(f"{path}: is the state of another network ({name}); start anew in another out folder")
    with torch.no_grad():
        for name, tensor in model.items():
            tensor.copy_(tensors[f"model/{name}"])
    parts.average.restore(tensors)
    _restore_optimiser(path, parts.optimiser, tensors)
    if about["scaler"]:  # empty where the arithmetic until now needed none
        parts.scaler.load_state_dict(about["scaler"])
    return Position(**about["position"])


def write_whole(path: Path, data: bytes) -> None:
    """Write a file beside its name, see it on the disk, and move it there.

    Raises:
        OSError: the disk is full or cannot be written.
    """
    part = path.with_name(f".{path.name}.part")
    try:
        with part.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    try:
        with safe_open(path, framework="pt") as file:
            about = json.loads((file.metadata() or {}).get("about", "null"))
            if not isinstance(about, dict) or about.get("format") != _FORMAT:
                raise TrainingError(f"{path}: is no training state of this version; start anew in another out folder")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
    except FileNotFoundError:
        raise TrainingError(f"{path}: no such file; nothing to resume") from None
    except (SafetensorError, OSError, json.JSONDecodeError) as error:
        raise TrainingError(f"{path}: is damaged ({error}); remove it and start anew") from None
    known = {item.name for item in fields(Position)}
    if not isinstance(about.get("position"), dict) or set(about["position"]) != known or "settings" not in about:
        raise TrainingError(f"{path}: is no training state of this version; start anew in another out folder")
    return about, tensors


def _compare(path: Path, saved: Mapping[str, Any], settings: Mapping[str, Any]) -> None:
    """Raises TrainingError when the settings that shape the training differ."""
    differing = [
        f"{key} (was {json.dumps(saved.get(key))}, is {json.dumps(settings.get(key))})"
        for key in sorted(saved.keys() | settings.keys())
        if saved.get(key) != settings.get(key)
    ]
    if differing:
        raise TrainingError(
            f"{path}: was made with other settings: {'; '.join(differing)}; "
            "resume with the same settings, or start anew in another out folder"
        )


def _restore_optimiser(path: Path, optimiser: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Fill in the optimiser's memory; every tensor gets the memory layout of its parameter."""
    description = optimiser.state_dict()
    parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        kind, _, rest = name.partition("/")
        if kind == "optimiser":
            index, _, key = rest.partition("/")
            state.setdefault(int(index), {})[key] = tensor
    if any(index >= len(parameters) for index in state):
        raise TrainingError(f"{path}: is the state of another network; start anew in another out folder")
    for number, values in state.items():
        like = parameters[number]
        for key, value in values.items():
            if value.shape == like.shape and value.ndim:
                values[key] = torch.empty_like(like, requires_grad=False).copy_(value)
    optimiser.load_state_dict({"state": state, "param_groups": description["param_groups"]})
