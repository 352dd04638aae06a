"""Begins a ``csp_nano`` detector with the weights of YOLOX-Nano, trained on COCO (Apache-2.0, Megvii)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from shelfvision.errors import ModelError
from shelfvision.models.csp_nano import SpaceToDepth
from shelfvision.models.detector import Detector
from shelfvision.models.head import LevelHead
from shelfvision.models.layers import ConvNorm

_CLASSES = 80  # of COCO; their layers are left out


def load_yolox_nano(model: Detector, path: Path, pictures: Tensor) -> None:
    """Take over backbone, neck and head of a published ``yolox_nano.onnx``, all but its class layer.

    The file has each batch norm folded into its convolution. Here the norms are put back without changing what the
    network says: each gets the mean and variance that its input has on ``pictures``, and the scale and shift that undo
    them. Training then begins from statistics of our own pictures.

    Args:
        model: a detector whose backbone is ``csp_nano`` with the default widths and ``silu``.
        path: the ONNX file.
        pictures: (b, 3, h, w) typical input, float, blue first, 0 to 255; 16 or more of them.

    Raises:
        ModelError: the file or the detector is of another layout.
    """
    import onnx  # noqa: PLC0415 - a training library
    from google.protobuf.message import DecodeError  # noqa: PLC0415 - comes with it

    try:
        graph = onnx.load(path).graph
    except (OSError, DecodeError) as error:
        raise ModelError(f"{path}: cannot be read as ONNX ({error})") from error
    arrays = {item.name: onnx.numpy_helper.to_array(item) for item in graph.initializer}
    published = [
        [torch.from_numpy(np.array(arrays[name])) for name in node.input[1:]]
        for node in graph.node
        if node.op_type == "Conv"
    ]
    layers = list(_in_order(model))
    if len(layers) != len(published):
        raise ModelError(f"{path}: {len(published)} convolutions, expected the {len(layers)} of YOLOX-Nano")
    shifts: dict[ConvNorm, Tensor] = {}
    for layer, (weight, bias) in zip(layers, published, strict=True):
        if layer is None:
            continue
        conv = layer.conv if isinstance(layer, ConvNorm) else layer
        kernel = SpaceToDepth.kernel_of(weight) if weight.shape[1:] == (12, 3, 3) else weight
        if conv.weight.shape != kernel.shape:
            raise ModelError(
                f"{path}: a convolution of shape {tuple(weight.shape)}, expected {tuple(conv.weight.shape)}"
            )
        conv.weight.data.copy_(kernel)
        if isinstance(layer, ConvNorm):
            shifts[layer] = bias
        elif conv.bias is not None:
            conv.bias.data.copy_(bias)
    _put_norms_back(model, shifts, pictures)


def _in_order(model: Detector) -> Iterator[ConvNorm | nn.Conv2d | None]:
    """Convolutions in the order in which the published graph runs them; None for those without a place here."""
    yield from (module for module in model.backbone.modules() if isinstance(module, ConvNorm))
    yield from (module for module in model.neck.modules() if isinstance(module, ConvNorm))
    for level in model.head.levels:
        if not isinstance(level, LevelHead):
            raise TypeError(level)
        yield level.stem
        yield from (module for module in level.class_tower.modules() if isinstance(module, ConvNorm))
        yield None  # its 80 classes
        yield from (module for module in level.box_tower.modules() if isinstance(module, ConvNorm))
        yield level.box_layer
        yield None  # objectness: our class scores carry it


@torch.no_grad()
def _put_norms_back(model: Detector, shifts: dict[ConvNorm, Tensor], pictures: Tensor) -> None:
    """Set every batch norm so that it adds ``shifts`` to what comes in, whatever its statistics."""

    def measure(layer: ConvNorm, given: Tensor, shift: Tensor) -> Tensor:
        variance, mean = torch.var_mean(given, dim=(0, 2, 3), correction=0)
        norm = layer.norm
        norm.running_mean, norm.running_var = mean, variance
        norm.weight.data.copy_((variance + norm.eps).sqrt())
        norm.bias.data.copy_(mean + shift)
        return given + shift[:, None, None]

    hooks = [
        layer.norm.register_forward_hook(
            lambda _norm, given, _got, layer=layer, shift=shift: measure(layer, given[0], shift)
        )
        for layer, shift in shifts.items()
    ]
    training = model.training
    model.eval()(pictures)
    model.train(training)
    for hook in hooks:
        hook.remove()
