"""From a torch detector to one ONNX graph that ends in boxes: suppression of repeats is part of the file."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from dataclasses import dataclass

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from shelfvision.core.sidecar import INPUT_NAME, OUTPUT_COLUMNS, OUTPUT_NAME
from shelfvision.errors import ModelError
from shelfvision.models.detector import Detector

OPSET = 18
BOXES, SCORES = "boxes", "scores"


@dataclass(frozen=True, slots=True)
class Suppression:
    """How boxes are chosen from what the network says at its points."""

    least_score: float
    overlap: tuple[float, ...]  # one a class
    most: int  # a class and picture


class _Ends(nn.Module):
    """The detector with plain tensors as outputs: boxes (b, n, 4) and scores (b, n, c) in [0, 1]."""

    def __init__(self, detector: Detector) -> None:
        super().__init__()
        self.detector = detector

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        found = self.detector(images)
        return found.boxes, found.logits.sigmoid()


def network_graph(detector: Detector) -> onnx.ModelProto:
    """The network alone: ``images`` (b, 3, h, w) to ``boxes`` (b, n, 4) and ``scores`` (b, n, c); b, h, w are free.

    Raises:
        ModelError: torch cannot express the network in ONNX with free sizes.
    """
    detector = detector.eval()
    example = torch.zeros(2, 3, 96, 64)
    free = {0: torch.export.Dim("batch"), 2: 32 * torch.export.Dim("rows"), 3: 32 * torch.export.Dim("columns")}
    quiet = io.StringIO()
    log = logging.getLogger("torch.onnx")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with torch.no_grad(), warnings.catch_warnings(), contextlib.redirect_stdout(quiet):
            warnings.simplefilter("ignore")  # about the exporter's own insides
            program = torch.onnx.export(
                _Ends(detector),
                (example,),
                input_names=[INPUT_NAME],
                output_names=[BOXES, SCORES],
                opset_version=OPSET,
                dynamic_shapes={"images": free},
                dynamo=True,
                optimize=True,
                verbose=False,
            )
    except Exception as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ModelError(f"backbone {detector.config.backbone}: torch cannot export it to ONNX: {first}") from error
    finally:
        log.setLevel(level)
    if program is None:
        raise AssertionError
    model: onnx.ModelProto = program.model_proto
    _anonymous(model)
    return model


def _anonymous(model: onnx.ModelProto) -> None:
    """Take out what the exporter notes of the machine's paths and our source lines."""
    graph = model.graph
    for part in (model, graph, *graph.node, *graph.value_info, *graph.input, *graph.output, *graph.initializer):
        del part.metadata_props[:]
        part.doc_string = ""


def with_suppression(network: onnx.ModelProto, chosen: Suppression) -> onnx.ModelProto:
    """The network with class-wise suppression behind it: one output (m, 7), one row a box.

    Args:
        network: what ``network_graph`` gave; it is not changed.
        chosen: thresholds, fixed in the graph.
    """
    model = onnx.ModelProto()
    model.CopyFrom(network)
    graph = model.graph
    for name, value in (
        ("nms_most", np.array([chosen.most], np.int64)),
        ("nms_least", np.array([chosen.least_score], np.float32)),
        ("nms_picture_box", np.array([0, 2], np.int64)),
        ("nms_picture_box_class", np.array([0, 2, 1], np.int64)),
        ("nms_picture", np.array([0], np.int64)),
        ("nms_class", np.array([1], np.int64)),
        ("nms_box", np.array([2], np.int64)),
        ("nms_column", np.array([1], np.int64)),
    ):
        graph.initializer.append(numpy_helper.from_array(value, name))
    node = helper.make_node
    graph.node.append(node("Transpose", [SCORES], ["nms_scores"], perm=[0, 2, 1]))  # (b, c, n)
    parts = [_suppress(graph, chosen, overlap) for overlap in sorted(set(chosen.overlap))]
    graph.node.extend(
        [
            node("Concat", parts, ["nms_chosen"], axis=0),  # (m, 3) picture, class, box
            node("Gather", ["nms_chosen", "nms_picture_box"], ["nms_at_box"], axis=1),
            node("Gather", ["nms_chosen", "nms_picture_box_class"], ["nms_at_score"], axis=1),
            node("GatherND", [BOXES, "nms_at_box"], ["nms_xyxy"]),  # (m, 4)
            node("GatherND", [SCORES, "nms_at_score"], ["nms_score"]),  # (m,)
            node("Unsqueeze", ["nms_score", "nms_column"], ["nms_score_column"]),
            node("Gather", ["nms_chosen", "nms_picture"], ["nms_picture_whole"], axis=1),
            node("Gather", ["nms_chosen", "nms_class"], ["nms_class_whole"], axis=1),
            node("Cast", ["nms_picture_whole"], ["nms_picture_column"], to=TensorProto.FLOAT),
            node("Cast", ["nms_class_whole"], ["nms_class_column"], to=TensorProto.FLOAT),
            node(
                "Concat",
                ["nms_picture_column", "nms_xyxy", "nms_score_column", "nms_class_column"],
                [OUTPUT_NAME],
                axis=1,
            ),
        ]
    )
    del graph.output[:]
    rows = helper.make_tensor_value_info(OUTPUT_NAME, TensorProto.FLOAT, ["found", OUTPUT_COLUMNS])
    graph.output.append(rows)
    model.producer_name = "shelfvision"
    onnx.checker.check_model(model, full_check=True)
    return model


def _suppress(graph: onnx.GraphProto, chosen: Suppression, overlap: float) -> str:
    """Suppression of the classes that have this overlap; name of its (k, 3) picture, class, box."""
    classes = [label for label, own in enumerate(chosen.overlap) if own == overlap]
    base = f"nms_{classes[0]}"
    graph.initializer.append(numpy_helper.from_array(np.array([overlap], np.float32), f"{base}_overlap"))
    graph.initializer.append(numpy_helper.from_array(np.array(classes, np.int64), f"{base}_classes"))
    node = helper.make_node
    graph.node.extend(
        [
            node("Gather", ["nms_scores", f"{base}_classes"], [f"{base}_scores"], axis=1),
            node(
                "NonMaxSuppression",
                [BOXES, f"{base}_scores", "nms_most", f"{base}_overlap", "nms_least"],
                [f"{base}_own"],  # (k, 3), the class as its place among these
                center_point_box=0,
            ),
            node("Gather", [f"{base}_own", "nms_picture"], [f"{base}_picture"], axis=1),
            node("Gather", [f"{base}_own", "nms_class"], [f"{base}_place"], axis=1),
            node("Gather", [f"{base}_own", "nms_box"], [f"{base}_box"], axis=1),
            node("Gather", [f"{base}_classes", f"{base}_place"], [f"{base}_class"], axis=0),  # (k, 1)
            node("Concat", [f"{base}_picture", f"{base}_class", f"{base}_box"], [f"{base}_chosen"], axis=1),
        ]
    )
    return f"{base}_chosen"
