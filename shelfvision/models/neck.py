"""Mixes the backbone's maps: what is large tells what is small, and back (FPN, Lin 2017; PAN, Liu 2018)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from shelfvision.models.layers import ConvNorm, CrossStage, SeparableConv


class PathAggregation(nn.Module):
    """Top-down, then bottom-up, with separable cross-stage blocks: the layout of YOLOX-Nano at any width.

    Args:
        inputs: channels of the backbone's maps at strides 8, 16, 32.
        widths: channels of the maps given, three even numbers.
        activation: a name of ``ACTIVATIONS``.
    """

    def __init__(self, inputs: Sequence[int], widths: Sequence[int], activation: str) -> None:
        super().__init__()

        def block(channels_in: int, channels: int) -> CrossStage:
            return CrossStage(channels_in, channels, depth=1, residual=False, activation=activation)

        fine, middle, coarse = widths
        # a backbone of other widths is brought to ours first
        self.adapters = nn.ModuleList(
            nn.Identity() if have == want else ConvNorm(have, want, activation=activation)
            for have, want in zip(inputs, widths, strict=True)
        )
        self.lateral = ConvNorm(coarse, middle, activation=activation)
        self.down_middle = block(2 * middle, middle)
        self.reduce = ConvNorm(middle, fine, activation=activation)
        self.down_fine = block(2 * fine, fine)
        self.shrink_fine = SeparableConv(fine, fine, stride=2, activation=activation)
        self.up_middle = block(2 * fine, middle)
        self.shrink_middle = SeparableConv(middle, middle, stride=2, activation=activation)
        self.up_coarse = block(2 * middle, coarse)

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Maps at strides 8, 16, 32 to maps (b, widths[i], h / stride, w / stride)."""
        fine, middle, coarse = (adapt(x) for adapt, x in zip(self.adapters, maps, strict=True))
        lateral = self.lateral(coarse)
        down = self.down_middle(torch.cat([_double(lateral), middle], dim=1))
        reduced = self.reduce(down)
        fine = self.down_fine(torch.cat([_double(reduced), fine], dim=1))
        middle = self.up_middle(torch.cat([self.shrink_fine(fine), reduced], dim=1))
        coarse = self.up_coarse(torch.cat([self.shrink_middle(middle), lateral], dim=1))
        return [fine, middle, coarse]


def _double(x: Tensor) -> Tensor:
    return nn.functional.interpolate(x, scale_factor=2.0, mode="nearest")
