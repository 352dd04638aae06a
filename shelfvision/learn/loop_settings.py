"""What the training loop can be told, whatever is trained."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from shelfvision.config import Section


class LoopSettings(Section):
    """How long, how fast and how carefully to train."""

    out: Path = Field(description="folder for checkpoints, state and log; relative to the working folder")
    epochs: int = Field(default=60, ge=1, le=100_000, description="passes over the pictures")
    batch: int = Field(default=16, ge=1, le=65_536, description="pictures a step, over all processes together")
    optimiser: Literal["adamw", "sgd"] = Field(default="adamw", description="AdamW, or SGD with Nesterov momentum")
    lr: float = Field(default=1e-3, gt=0, le=10, allow_inf_nan=False, description="highest learning rate")
    backbone_lr: float = Field(
        default=0.5, gt=0, le=10, allow_inf_nan=False, description="share of lr that the pretrained backbone gets"
    )
    momentum: float = Field(
        default=0.9, ge=0, lt=1, allow_inf_nan=False, description="momentum of SGD, first beta of AdamW"
    )
    weight_decay: float = Field(
        default=0.05, ge=0, le=10, allow_inf_nan=False, description="decay of weights; norms and biases have none"
    )
    warm_up: float = Field(
        default=1.0,
        ge=0,
        allow_inf_nan=False,
        description="epochs in which the learning rate rises; a fifth of the training at most",
    )
    last_lr: float = Field(
        default=0.01, ge=0, le=1, allow_inf_nan=False, description="share of lr that is left in the end, after a cosine"
    )
    clip: float = Field(
        default=10.0, ge=0, allow_inf_nan=False, description="largest norm of the gradient; 0 does not clip"
    )
    ema_decay: float = Field(
        default=0.9998,
        ge=0,
        lt=1,
        allow_inf_nan=False,
        description="what a step keeps of the running average of weights that is judged and shipped; 0: no average",
    )
    ema_ramp: float = Field(
        default=2000, gt=0, allow_inf_nan=False, description="steps until the average has two thirds of its length"
    )
    precision: Literal["auto", "fp32", "bf16", "fp16"] = Field(
        default="auto", description="number format of the network's arithmetic; auto: what is quick and safe here"
    )
    patience: int = Field(
        default=0,
        ge=0,
        description="epochs without a better score until it stops; 0: never. It stops at an evaluation only: below "
        "evaluate_every at the first one that is no better",
    )
    evaluate_every: int = Field(default=1, ge=1, description="epochs between evaluations; the last is always evaluated")
    evaluate_first: bool = Field(
        default=False, description="also evaluate before training, so that `best` is never worse than the start"
    )
    seed: int = Field(default=0, ge=0, lt=2**31, description="decides everything random")
    workers: int = Field(default=2, ge=0, le=256, description="processes that prepare pictures, for each trainer")
    threads: int | None = Field(
        default=None,
        ge=1,
        le=1024,
        description="processor threads of the network's arithmetic; torch's own choice when absent. 1 where other "
        "programs want the processor too: threads that wait for each other then make it several times slower",
    )
    device: str = Field(default="auto", description="auto, cpu, cuda or cuda:1")
