"""Convolution blocks that backbones, neck and head share."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "silu": lambda: nn.SiLU(inplace=True),
    "hardswish": lambda: nn.Hardswish(inplace=True),
    "relu": lambda: nn.ReLU(inplace=True),
    "relu6": lambda: nn.ReLU6(inplace=True),
}


class ConvNorm(nn.Sequential):
    """Convolution without bias, batch norm, activation.

    Args:
        inputs: channels in.
        outputs: channels out.
        kernel: side of the kernel in pixels, odd; the padding keeps the size at stride 1.
        stride: 1 or 2.
        groups: of the convolution; ``inputs`` makes it depthwise.
        activation: a name of ``ACTIVATIONS``, or None.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int = 1,
        *,
        stride: int = 1,
        groups: int = 1,
        activation: str | None = "silu",
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
        # eps and momentum as YOLOX has them, so that its weights can be carried over
        self.norm = nn.BatchNorm2d(outputs, eps=1e-3, momentum=0.03)
        if activation is not None:
            self.act = ACTIVATIONS[activation]()


class SeparableConv(nn.Sequential):
    """Depthwise 3x3 and pointwise 1x1, each normed and activated (MobileNet; Howard et al. 2017)."""

    def __init__(self, inputs: int, outputs: int, *, stride: int = 1, activation: str = "silu") -> None:
        super().__init__()
        self.depthwise = ConvNorm(inputs, inputs, 3, stride=stride, groups=inputs, activation=activation)
        self.pointwise = ConvNorm(inputs, outputs, activation=activation)


class Bottleneck(nn.Module):
    """1x1 then separable 3x3, with a residual sum if asked for."""

    def __init__(self, channels: int, *, residual: bool, activation: str = "silu") -> None:
        super().__init__()
        self.reduce = ConvNorm(channels, channels, activation=activation)
        self.separable = SeparableConv(channels, channels, activation=activation)
        self.residual = residual

    def forward(self, x: Tensor) -> Tensor:
        """(b, c, h, w) to the same shape."""
        y: Tensor = self.separable(self.reduce(x))
        return x + y if self.residual else y


class CrossStage(nn.Module):
    """Cross-stage partial block: half of the channels pass bottlenecks, half pass by (CSPNet, Wang et al. 2020).

    Args:
        inputs: channels in.
        outputs: channels out.
        depth: number of bottlenecks.
        residual: whether these sum with their input.
        activation: a name of ``ACTIVATIONS``.
    """

    def __init__(self, inputs: int, outputs: int, *, depth: int, residual: bool, activation: str = "silu") -> None:
        super().__init__()
        half = outputs // 2
        self.main = ConvNorm(inputs, half, activation=activation)
        self.short = ConvNorm(inputs, half, activation=activation)
        self.blocks = nn.Sequential(*(Bottleneck(half, residual=residual, activation=activation) for _ in range(depth)))
        self.merge = ConvNorm(2 * half, outputs, activation=activation)

    def forward(self, x: Tensor) -> Tensor:
        """(b, inputs, h, w) to (b, outputs, h, w)."""
        main, short = self.main(x), self.short(x)
        merged: Tensor = self.merge(torch.cat([self.blocks(main), short], dim=1))
        return merged
