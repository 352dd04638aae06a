"""CSPDarknet at nano width with separable convolutions: the backbone of YOLOX-Nano (Ge et al. 2021).

Written here layer for layer as published, so that weights trained on COCO (YOLOX-Nano, Apache-2.0) fit.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from shelfvision.models.layers import ConvNorm, CrossStage, SeparableConv


class SpaceToDepth(nn.Module):
    """Each 2x2 pixels become channels: upper left, lower left, upper right, lower right; then a 3x3 convolution.

    The reordering and the 3x3 convolution together are one 6x6 convolution of stride 2 (padding 2), which is what is
    run: one pass over the picture instead of five.
    """

    def __init__(self, outputs: int, activation: str) -> None:
        super().__init__()
        self.conv = ConvNorm(3, outputs, 6, stride=2, activation=activation)
        self.conv.conv.padding = (2, 2)

    def forward(self, x: Tensor) -> Tensor:
        """(b, 3, h, w) to (b, outputs, h / 2, w / 2)."""
        y: Tensor = self.conv(x)
        return y

    @staticmethod
    def kernel_of(focus: Tensor) -> Tensor:
        """The 6x6 kernel (outputs, 3, 6, 6) of a published 3x3 kernel over the twelve channels (outputs, 12, 3, 3)."""
        kernel = focus.new_zeros(focus.shape[0], 3, 6, 6)
        for place, (row, column) in enumerate(((0, 0), (1, 0), (0, 1), (1, 1))):
            kernel[:, :, row::2, column::2] = focus[:, 3 * place : 3 * place + 3]
        return kernel


class PyramidPooling(nn.Module):
    """Maxima over 5, 9 and 13 pixels beside the map itself (SPP, He et al. 2015).

    Three poolings of 5 one after the other give the same maxima as 5, 9 and 13 side by side.
    """

    def __init__(self, channels: int, activation: str) -> None:
        super().__init__()
        self.reduce = ConvNorm(channels, channels // 2, activation=activation)
        self.pool = nn.MaxPool2d(5, 1, 2)
        self.merge = ConvNorm(channels * 2, channels, activation=activation)

    def forward(self, x: Tensor) -> Tensor:
        """(b, c, h, w) to the same shape."""
        maps = [self.reduce(x)]
        for _ in range(3):
            maps.append(self.pool(maps[-1]))
        y: Tensor = self.merge(torch.cat(maps, dim=1))
        return y


class CspNano(nn.Module):
    """Input BGR 0 to 255; maps at strides 8, 16, 32 with 64, 128 and 256 channels."""

    channels = (64, 128, 256)
    mean = (0.0, 0.0, 0.0)
    scale = 1.0
    rgb = False

    def __init__(self, activation: str = "silu") -> None:
        super().__init__()

        def stage(inputs: int, outputs: int, depth: int, *middle: nn.Module, residual: bool = True) -> nn.Sequential:
            return nn.Sequential(
                SeparableConv(inputs, outputs, stride=2, activation=activation),
                *middle,
                CrossStage(outputs, outputs, depth=depth, residual=residual, activation=activation),
            )

        self.stages = nn.ModuleList(
            [
                SpaceToDepth(16, activation),
                stage(16, 32, 1),
                stage(32, 64, 3),
                stage(64, 128, 3),
                stage(128, 256, 1, PyramidPooling(256, activation), residual=False),
            ]
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        """(b, 3, h, w) to maps (b, 64, h / 8, w / 8), (b, 128, h / 16, ...), (b, 256, h / 32, ...)."""
        maps = []
        for index, stage in enumerate(self.stages):
            x = stage(x)
            if index >= 2:
                maps.append(x)
        return maps
