"""How much of a detector stays as it came, so that few pictures do not spoil what many have taught."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from shelfvision.errors import TrainingError
from shelfvision.models.detector import Detector
from shelfvision.models.folding import folded

FEW_PICTURES = 200


@dataclass(frozen=True, slots=True)
class Freeze:
    """What is not trained."""

    stages: int = 0  # of the backbone, from the input on
    statistics: bool = False  # means and variances of every normalisation

    def apply(self, model: Detector) -> None:
        """Take the weights of these stages out of training."""
        for stage in model.stages[: self.stages]:
            stage.requires_grad_(False)

    def train_mode(self, model: Detector) -> None:
        """Put the network into training mode, but for what is frozen: that runs as its weights are now."""
        model.train()
        for stage in model.stages[: self.stages]:
            _run_folded(stage.eval())
        if self.statistics:
            for module in model.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()


def _run_folded(stage: nn.Module) -> None:
    """Let a stage run with its normalisation folded into its convolutions; what it holds is untouched.

    Three frozen stages of EfficientNet-Lite0 take 0.6 of the time on a CPU (a tenth of a whole training step).
    """
    vars(stage).pop("forward", None)  # that of weights that it had before
    stage.forward = folded(stage).forward


def choose_freeze(
    model: Detector,
    *,
    stages: int | Literal["auto"],
    statistics: Literal["auto", "free", "frozen"],
    pictures: int,
    trained: Literal["nothing", "backbone", "everything"],
) -> Freeze:
    """What to freeze.

    Args:
        model: the network.
        stages: early stages of the backbone, or ``auto``: half of them when there are few pictures and it is trained.
        statistics: of normalisation; ``auto``: frozen when there are few pictures and everything is trained.
        pictures: to train on.
        trained: what comes with weights.

    Raises:
        TrainingError: the backbone has fewer stages.
    """
    there = len(nn.ModuleList(model.stages))
    few = pictures < FEW_PICTURES
    if stages == "auto":
        stages = there // 2 if few and trained != "nothing" else 0
    if stages > there:
        raise TrainingError(f"model.freeze: the backbone {model.config.backbone} has {there} stages, found {stages}")
    frozen = statistics == "frozen" or (statistics == "auto" and few and trained == "everything")
    return Freeze(stages, frozen)


def choose_start_share(
    wanted: float | Literal["auto"],
    *,
    pictures: int,
    trained: Literal["nothing", "backbone", "everything"],
    fresh: Sequence[str],
) -> float:
    """Share of the start's weights in those that are judged and saved.

    Args:
        wanted: the share, or ``auto``: half when there are few pictures, everything is trained and no class is new.
        pictures: to train on.
        trained: what comes with weights.
        fresh: classes that begin at random.

    Raises:
        TrainingError: a share of what was never trained.
    """
    whole = trained == "everything" and not fresh
    if wanted == "auto":
        return 0.5 if whole and pictures < FEW_PICTURES else 0.0
    if wanted and not whole:
        what = f"the classes {', '.join(fresh)}" if trained == "everything" else "neck and head"
        raise TrainingError(
            f"model.start_share: {what} begin at random, and {wanted:g} of that would stay; set it to 0"
        )
    return wanted
