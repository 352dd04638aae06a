"""Eight-bit weights and activations for an exported network: static quantisation with pictures of the store."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import onnx
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static

from shelfvision.core.detections import FloatArray
from shelfvision.core.sidecar import INPUT_NAME
from shelfvision.errors import ModelError

_QUANTISED = ["Conv", "MaxPool", "Resize", "Concat", "Add"]


class _Pictures(CalibrationDataReader):  # type: ignore[misc]  # untyped base
    """Hands out one input after the other."""

    def __init__(self, inputs: Iterator[FloatArray]) -> None:
        self._inputs = inputs

    def get_next(self) -> dict[str, Any] | None:
        """The next input, or None at the end."""
        images = next(self._inputs, None)
        return None if images is None else {INPUT_NAME: images}


def quantise(network: onnx.ModelProto, inputs: Iterator[FloatArray]) -> onnx.ModelProto:
    """The network with convolutions in eight bits, per channel; the last layers and all after them stay in float.

    Weights get seven of the eight bits: on processors without VNNI the sums of full ones overflow.

    Args:
        network: without suppression; it is not changed.
        inputs: pictures to measure the range of activations on, each (b, 3, h, w).

    Raises:
        ModelError: the graph cannot be quantised.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(network)
    log = logging.getLogger()
    level = log.level
    log.setLevel(logging.ERROR)  # it advises a preparation that the exporter has already done
    try:
        with tempfile.TemporaryDirectory(prefix="shelfvision-int8-") as folder:
            path = Path(folder) / "int8.onnx"
            quantize_static(
                copy,
                path,
                _Pictures(inputs),
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=_QUANTISED,
                per_channel=True,
                reduce_range=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                nodes_to_exclude=_ends(network),
                calibrate_method=CalibrationMethod.MinMax,
                extra_options={"CalibMovingAverage": True, "QuantizeBias": True},
            )
            return onnx.load(str(path))
    except (RuntimeError, ValueError, TypeError) as error:
        raise ModelError(f"the network cannot be quantised: {str(error).splitlines()[0]}") from error
    finally:
        log.setLevel(level)


def _ends(network: onnx.ModelProto) -> list[str]:
    """Names of the nodes from the last convolutions on."""
    maker = {output: node for node in network.graph.node for output in node.output}
    pending: Sequence[str] = [output.name for output in network.graph.output]
    names, seen = set(), set()
    while pending:
        following: list[str] = []
        for output in pending:
            node = maker.get(output)
            if node is None or node.name in seen:
                continue
            seen.add(node.name)
            names.add(node.name)
            if node.op_type != "Conv":
                following.extend(node.input)
        pending = following
    return sorted(names)
