"""Backbones by name: what turns a picture into maps at strides 8, 16 and 32."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn

from shelfvision.errors import ModelError
from shelfvision.models.csp_nano import CspNano
from shelfvision.models.efficientnet_lite import EfficientNetLite0

STRIDES = (8, 16, 32)


class Backbone(Protocol):
    """What a detector asks of its backbone."""

    channels: tuple[int, ...]  # of the maps at strides 8, 16, 32
    mean: tuple[float, float, float]  # input is (picture - mean) * scale, in the order of its channels
    scale: float
    rgb: bool  # whether it wants red first; frames have blue first
    stages: nn.ModuleList  # from the input on, in the order in which they are frozen

    def __call__(self, x: Tensor) -> list[Tensor]:
        """(b, 3, h, w) to one map a stride."""


class ForeignBackbone(nn.Module):
    """A timm or torchvision network cut after its last layer at strides 8, 16 and 32.

    Args:
        layers: the network's layers in order; each takes what the one before gives.
        name: for messages.

    Raises:
        ModelError: no layers give those strides.
    """

    mean = (123.675, 116.28, 103.53)  # of ImageNet, as these networks are trained
    scale = 1 / 57.4  # their three deviations lie between 57.1 and 58.4
    rgb = True

    def __init__(self, layers: list[nn.Module], name: str) -> None:
        super().__init__()
        last: dict[int, tuple[int, int]] = {}  # stride -> layer, channels
        training = [layer.training for layer in layers]
        x = torch.zeros(1, 3, 64, 64)
        with torch.no_grad():
            for index, layer in enumerate(layers):
                try:
                    x = layer.eval()(x)
                except (AssertionError, RuntimeError, TypeError, ValueError):
                    break  # a layer that wants something else than a map: what came before must do
                if x.dim() != 4:
                    break
                last[64 // x.shape[-1]] = (index, x.shape[1])
        for layer, mode in zip(layers, training, strict=True):
            layer.train(mode)
        if not set(STRIDES) <= set(last):
            raise ModelError(f"backbone {name}: no maps at strides 8, 16 and 32; choose a convolutional network")
        self.taps = tuple(last[stride][0] for stride in STRIDES)
        self.channels = tuple(last[stride][1] for stride in STRIDES)
        self.stages = nn.ModuleList(layers[: self.taps[-1] + 1])

    def forward(self, x: Tensor) -> list[Tensor]:
        """(b, 3, h, w) to one map a stride."""
        maps = []
        for index, stage in enumerate(self.stages):
            x = stage(x)
            if index in self.taps:
                maps.append(x)
        return maps


class PyramidBackbone(nn.Module):
    """A timm network with its own cut at strides 8, 16 and 32 (``features_only``)."""

    mean = ForeignBackbone.mean
    scale = ForeignBackbone.scale
    rgb = True

    def __init__(self, network: nn.Module, channels: tuple[int, ...]) -> None:
        super().__init__()
        self.network = network
        self.channels = channels

    @property
    def stages(self) -> nn.ModuleList:
        """The network's children, first layers first."""
        return nn.ModuleList(self.network.children())

    def forward(self, x: Tensor) -> list[Tensor]:
        """(b, 3, h, w) to one map a stride."""
        return cast("list[Tensor]", self.network(x))


def _efficientnet_lite0(*, pretrained: bool, activation: str) -> nn.Module:  # noqa: ARG001 - its activation is its own
    network = EfficientNetLite0()
    if pretrained:
        network.load_imagenet()
    return network


def _csp_nano(*, pretrained: bool, activation: str) -> nn.Module:  # noqa: ARG001 - no ImageNet weights are known
    return CspNano(activation)


def _mobilenetv4_conv_small(*, pretrained: bool, activation: str) -> nn.Module:  # noqa: ARG001 - its own
    return _timm("mobilenetv4_conv_small", pretrained=pretrained)


BACKBONES: dict[str, Callable[..., nn.Module]] = {
    "csp_nano": _csp_nano,
    "efficientnet_lite0": _efficientnet_lite0,
    "mobilenetv4_conv_small": _mobilenetv4_conv_small,
}
"""First-class backbones; ``timm:NAME`` and ``torchvision:NAME`` name any other one."""


def make_backbone(name: str, *, pretrained: bool, activation: str = "silu") -> nn.Module:
    """A backbone (see ``Backbone``) by name.

    Args:
        name: one of ``BACKBONES``, ``timm:NAME`` or ``torchvision:NAME``.
        pretrained: take ImageNet weights where there are some (``csp_nano`` has none of its own); those of timm and
            torchvision are fetched from the internet.
        activation: of ``csp_nano``; the others keep theirs.

    Raises:
        ModelError: the name is unknown, or its weights cannot be had.
    """
    if name in BACKBONES:
        return BACKBONES[name](pretrained=pretrained, activation=activation)
    library, _, model = name.partition(":")
    if library == "timm" and model:
        return _timm(model, pretrained=pretrained)
    if library == "torchvision" and model:
        return _torchvision(model, pretrained=pretrained)
    known = ", ".join(BACKBONES)
    raise ModelError(f"backbone {name!r}: unknown; choose {known}, timm:NAME or torchvision:NAME")


def _timm(name: str, *, pretrained: bool) -> nn.Module:
    import timm  # noqa: PLC0415 - slow to import, and only needed here

    try:
        network = timm.create_model(name, pretrained=pretrained, features_only=True)
    except RuntimeError as error:
        if pretrained and "nknown model" not in str(error):
            raise _no_weights("timm:" + name) from error
        raise ModelError(f"backbone timm:{name}: timm {timm.__version__} has no such feature network") from error
    except OSError as error:  # timm and its hub client report a missing network so
        raise _no_weights("timm:" + name) from error
    features: Any = network.feature_info
    strides = list(features.reduction())
    if not set(STRIDES) <= set(strides):
        raise ModelError(f"backbone timm:{name}: no maps at strides 8, 16 and 32; choose a convolutional network")
    chosen = tuple(strides.index(stride) for stride in STRIDES)
    channels = tuple(int(features.channels()[index]) for index in chosen)
    cut = timm.create_model(name, pretrained=False, features_only=True, out_indices=chosen)
    if pretrained:
        cut.load_state_dict(network.state_dict(), strict=False)
    return PyramidBackbone(cut, channels)


def _torchvision(name: str, *, pretrained: bool) -> nn.Module:
    from torchvision import models  # noqa: PLC0415 - slow to import, and only needed here

    try:
        network = models.get_model(name, weights="DEFAULT" if pretrained else None)
    except ValueError as error:
        raise ModelError(f"backbone torchvision:{name}: torchvision has no such network") from error
    except OSError as error:
        raise _no_weights("torchvision:" + name) from error
    features = getattr(network, "features", network)
    return ForeignBackbone(list(features.children()), f"torchvision:{name}")


def _no_weights(name: str) -> ModelError:
    fix = 'connect to the internet once, or train with start: "none"'
    return ModelError(f"backbone {name}: its ImageNet weights cannot be fetched; {fix}")
