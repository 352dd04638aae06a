"""What stands at each point of the maps: a class tower and a box tower, apart (decoupled head; YOLOX, Ge 2021)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from shelfvision.models.layers import ConvNorm, SeparableConv

_PRIOR = 0.01  # chance of each class before anything is learned (focal loss, Lin 2017, section 4.1)


class LevelHead(nn.Module):
    """The towers of one map.

    Args:
        inputs: channels of the map.
        width: channels of the towers.
        classes: number of classes.
        activation: a name of ``ACTIVATIONS``.
    """

    def __init__(self, inputs: int, width: int, classes: int, activation: str) -> None:
        super().__init__()

        def tower() -> nn.Sequential:
            return nn.Sequential(*(SeparableConv(width, width, activation=activation) for _ in range(2)))

        self.stem = ConvNorm(inputs, width, activation=activation)
        self.class_tower, self.box_tower = tower(), tower()
        self.class_layer = nn.Conv2d(width, classes, 1)
        self.box_layer = nn.Conv2d(width, 4, 1)
        nn.init.constant_(_bias(self.class_layer), -math.log((1 - _PRIOR) / _PRIOR))
        nn.init.normal_(self.class_layer.weight, std=0.01)
        nn.init.normal_(self.box_layer.weight, std=0.01)
        # before anything is learned a box is centred on its point and three strides wide
        _bias(self.box_layer).data = _bias(self.box_layer).data.new_tensor([0.5, 0.5, math.log(3), math.log(3)])

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(b, inputs, h, w) to class logits (b, h * w, classes) and raw boxes (b, h * w, 4)."""
        x = self.stem(x)
        logits = self.class_layer(self.class_tower(x))
        boxes = self.box_layer(self.box_tower(x))
        return logits.flatten(2).transpose(1, 2), boxes.flatten(2).transpose(1, 2)


class DecoupledHead(nn.Module):
    """One ``LevelHead`` a map."""

    def __init__(self, inputs: Sequence[int], width: int, classes: int, activation: str) -> None:
        super().__init__()
        self.levels = nn.ModuleList(LevelHead(channels, width, classes, activation) for channels in inputs)

    def scale_logits(self, slope: Tensor, offset: Tensor) -> None:
        """From now on each class logit is ``slope * logit + offset`` of before; (classes,) each."""
        with torch.no_grad():
            for level in self.levels:
                layer = cast("LevelHead", level).class_layer
                layer.weight.mul_(slope[:, None, None, None])
                _bias(layer).mul_(slope).add_(offset)

    def forward(self, maps: Sequence[Tensor]) -> list[tuple[Tensor, Tensor]]:
        """Class logits (b, n, classes) and raw boxes (b, n, 4) of each map."""
        return [level(x) for level, x in zip(self.levels, maps, strict=True)]


def _bias(layer: nn.Conv2d) -> Tensor:
    if layer.bias is None:
        raise AssertionError
    return layer.bias
