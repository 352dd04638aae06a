"""A detector that needs no training: it reads boxes that a test has painted into the picture.

The colour of the pixel in the middle of an 8x8 cell is a box around the cell's middle: blue is its width and green its
height in pixels of the input, red its score in 255ths. Black cells are nothing. The class is 0 for an even
width, else 1.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from shelfvision.core.sidecar import InputSpec, Sidecar, Thresholds

LABELS = ("product", "gap")


def marker_graph(most: int = 1000, least: float = 0.05) -> onnx.ModelProto:
    """The graph, with suppression as an export has it."""
    node = helper.make_node
    kernel = np.zeros((3, 3, 8, 8), np.float32)
    kernel[range(3), range(3), 4, 4] = 1
    constants = {
        "kernel": kernel,
        "half": np.array([0.5], np.float32),
        "eight": np.array([8], np.float32),
        "four": np.array([4], np.float32),
        "two": np.array([2], np.float32),
        "full": np.array([255], np.float32),
        "rows_axis": np.array([0, 3, -1], np.int64),
        "zero": np.array(0, np.int64),
        "one": np.array(1, np.int64),
        "i2": np.array(2, np.int64),
        "i3": np.array(3, np.int64),
        "c0": np.array([0], np.int64),
        "c1": np.array([1], np.int64),
        "c2": np.array([2], np.int64),
        "c3": np.array([3], np.int64),
        "flat": np.array([1, 1, -1], np.int64),
        "ax1": np.array([1], np.int64),
        "most": np.array([most], np.int64),
        "overlap": np.array([0.65], np.float32),
        "least": np.array([least], np.float32),
        "columns01": np.array([0, 2], np.int64),
        "columns021": np.array([0, 2, 1], np.int64),
    }
    nodes = [
        node("Conv", ["images", "kernel"], ["cells"], strides=[8, 8]),  # (b, 3, h/8, w/8)
        node("Shape", ["cells"], ["shape"]),
        node("Gather", ["shape", "i2"], ["high"]),
        node("Gather", ["shape", "i3"], ["wide"]),
        node("Reshape", ["cells", "rows_axis"], ["flat_cells"]),  # (b, 3, n)
        node("Range", ["zero", "high", "one"], ["ys"]),
        node("Range", ["zero", "wide", "one"], ["xs"]),
        node("Unsqueeze", ["ys", "ax1"], ["ys_column"]),
        node("Unsqueeze", ["high", "c0"], ["high1"]),
        node("Unsqueeze", ["wide", "c0"], ["wide1"]),
        node("Concat", ["high1", "wide1"], ["grid"], axis=0),
        node("Expand", ["ys_column", "grid"], ["y_grid"]),
        node("Expand", ["xs", "grid"], ["x_grid"]),
        node("Reshape", ["y_grid", "flat"], ["y_flat"]),
        node("Reshape", ["x_grid", "flat"], ["x_flat"]),
        node("Cast", ["y_flat"], ["y_float"], to=TensorProto.FLOAT),
        node("Cast", ["x_flat"], ["x_float"], to=TensorProto.FLOAT),
        node("Mul", ["y_float", "eight"], ["y_eight"]),
        node("Mul", ["x_float", "eight"], ["x_eight"]),
        node("Add", ["y_eight", "four"], ["y_middle"]),
        node("Add", ["x_eight", "four"], ["x_middle"]),
        node("Gather", ["flat_cells", "c0"], ["width"], axis=1),  # (b, 1, n)
        node("Gather", ["flat_cells", "c1"], ["height"], axis=1),
        node("Gather", ["flat_cells", "c2"], ["red"], axis=1),
        node("Mul", ["width", "half"], ["half_width"]),
        node("Mul", ["height", "half"], ["half_height"]),
        node("Sub", ["x_middle", "half_width"], ["x1"]),
        node("Sub", ["y_middle", "half_height"], ["y1"]),
        node("Add", ["x_middle", "half_width"], ["x2"]),
        node("Add", ["y_middle", "half_height"], ["y2"]),
        node("Concat", ["x1", "y1", "x2", "y2"], ["corners"], axis=1),
        node("Transpose", ["corners"], ["boxes"], perm=[0, 2, 1]),  # (b, n, 4)
        node("Div", ["red", "full"], ["score"]),
        node("Mod", ["width", "two"], ["odd"], fmod=1),
        node("Mul", ["score", "odd"], ["gap"]),
        node("Sub", ["score", "gap"], ["product"]),
        node("Concat", ["product", "gap"], ["class_scores"], axis=1),  # (b, 2, n)
        node("Transpose", ["class_scores"], ["scores"], perm=[0, 2, 1]),
        node("NonMaxSuppression", ["boxes", "class_scores", "most", "overlap", "least"], ["chosen"]),
        node("Gather", ["chosen", "columns01"], ["at_box"], axis=1),
        node("Gather", ["chosen", "columns021"], ["at_score"], axis=1),
        node("GatherND", ["boxes", "at_box"], ["found_boxes"]),
        node("GatherND", ["scores", "at_score"], ["found_scores"]),
        node("Unsqueeze", ["found_scores", "ax1"], ["score_column"]),
        node("Cast", ["chosen"], ["chosen_float"], to=TensorProto.FLOAT),
        node("Gather", ["chosen_float", "c0"], ["batch_column"], axis=1),
        node("Gather", ["chosen_float", "c1"], ["class_column"], axis=1),
        node("Concat", ["batch_column", "found_boxes", "score_column", "class_column"], ["detections"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "marker",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["b", 3, "h", "w"])],
        [helper.make_tensor_value_info("detections", TensorProto.FLOAT, ["m", 7])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    return model


def write_model(folder: Path, graph: onnx.ModelProto | None = None, name: str = "marker", **changes) -> Path:
    """A model file and its sidecar; ``changes`` go into the sidecar."""
    data = (graph or marker_graph()).SerializeToString()
    path = folder / f"{name}.onnx"
    path.write_bytes(data)
    sidecar = Sidecar(
        sha256=hashlib.sha256(data).hexdigest(),
        bytes=len(data),
        opset=18,
        input=InputSpec(size=256),
        labels=list(LABELS),
        thresholds=Thresholds(least=0.05, score=0.3, overlap=0.65),
        most=1000,
        provenance={"data": "painted"},
    ).model_copy(update=changes)
    path.with_suffix(".json").write_text(sidecar.to_json())
    return path


def paint(size: tuple[int, int], *boxes: tuple[int, int, int, int, float]) -> np.ndarray:
    """A picture (h, w, 3) with a marker a box: column and row of its cell, width, height, score."""
    picture = np.zeros((size[1], size[0], 3), np.uint8)
    for column, row, width, height, score in boxes:
        picture[row * 8 + 4, column * 8 + 4] = (width, height, round(score * 255))
    return picture


def painted_box(column: int, row: int, width: int, height: int) -> list[float]:
    """Where the detector then finds it."""
    x, y = column * 8 + 4, row * 8 + 4
    return [x - width / 2, y - height / 2, x + width / 2, y + height / 2]
