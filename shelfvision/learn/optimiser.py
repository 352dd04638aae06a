"""Which weights are trained how fast."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import nn

from shelfvision.errors import TrainingError

BACKBONE = "backbone."  # parameters below this name come pretrained


def parameter_groups(model: nn.Module, *, lr: float, backbone_lr: float, weight_decay: float) -> list[dict[str, Any]]:
    """The parameters that are to be trained, in groups for an optimiser.

    Scales of normalisation and biases (one dimension) do not decay: it would only fight the normalisation.

    Args:
        model: the network; frozen parameters are left out.
        lr: learning rate.
        backbone_lr: share of it that the pretrained backbone gets.
        weight_decay: decay of all weights with two or more dimensions.

    Raises:
        TrainingError: everything is frozen.
    """
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            groups.setdefault((name.startswith(BACKBONE), parameter.ndim > 1), []).append(parameter)
    if not groups:
        raise TrainingError("every weight of the network is frozen; lower model.freeze")
    return [
        {
            "params": parameters,
            "weight_decay": weight_decay if decays else 0.0,
            "base_lr": lr * backbone_lr if pretrained else lr,
        }
        for (pretrained, decays), parameters in sorted(groups.items())
    ]


def make_optimiser(
    kind: Literal["adamw", "sgd"], groups: list[dict[str, Any]], *, momentum: float
) -> torch.optim.Optimizer:
    """An optimiser whose learning rate is set before every step with ``set_learning_rate``."""
    # all parameters of a network lie on one device; the fused kernels are several times quicker there
    fused = groups[0]["params"][0].device.type in {"cpu", "cuda"}
    if kind == "adamw":
        return torch.optim.AdamW(groups, lr=0.0, betas=(momentum, 0.999), fused=fused)
    return torch.optim.SGD(groups, lr=0.0, momentum=momentum, nesterov=momentum > 0, fused=fused)


def set_learning_rate(optimiser: torch.optim.Optimizer, factor: float) -> None:
    """Give every group its own base rate times the schedule's factor."""
    for group in optimiser.param_groups:
        group["lr"] = group["base_lr"] * factor
