"""`shelfvision bench detector`: contestants take turns, peers' outputs are understood, figures are consistent."""

from __future__ import annotations

import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from shelfvision.cli.main import main
from shelfvision.edge.detector_bench import decode_peer, drawn_shelf, peer, race
from shelfvision.errors import ModelError
from tests.edge.marker_model import write_model


def peer_file(path, shape, size=64):
    """A network of one layer whose output has the shape of a peer's."""
    rows = int(np.prod(shape))
    nodes = [
        helper.make_node("GlobalAveragePool", ["images"], ["mean"]),
        helper.make_node("Reshape", ["mean", "three"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["wide"]),
        helper.make_node("Reshape", ["wide", "shape"], ["output0"]),
    ]
    graph = helper.make_graph(
        nodes,
        "peer",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, size, size])],
        [helper.make_tensor_value_info("output0", TensorProto.FLOAT, list(shape))],
        [
            numpy_helper.from_array(np.array([1, 3], np.int64), "three"),
            numpy_helper.from_array(np.full((3, rows), 0.3, np.float32), "weights"),
            numpy_helper.from_array(np.array(shape, np.int64), "shape"),
        ],
    )
    path.write_bytes(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10).SerializeToString()
    )
    return path


def test_the_command_measures_all_in_one_run(tmp_path, capsys):
    model = write_model(tmp_path)
    ready = peer_file(tmp_path / "ready.onnx", (1, 300, 6))
    raw = peer_file(tmp_path / "raw.onnx", (1, 12, 84))
    words = ["--size", "64", "--threads", "1", "--rounds", "3", "--peer", str(ready), "--peer", str(raw), "--json"]
    assert main(["bench", "detector", str(model), *words]) == 0
    result = json.loads(capsys.readouterr().out)
    rows = result["contestants"]
    assert [(row["model"], row["runtime"]) for row in rows] == [
        (name, runtime) for runtime in ("onnxruntime", "openvino") for name in ("ours", "ready", "raw")
    ]
    for row in rows:
        assert row["ms"] >= row["fastest_ms"] > 0
        assert row["ms"] >= row["network_ms"] * 0.5
        own = next(each for each in rows if each["runtime"] == row["runtime"])
        assert row["ours_to_it"] == pytest.approx(own["ms"] / row["ms"], rel=0.2)
    assert [row["tiles"] for row in result["tiles"]] == [1, 2, 4, 6, 12, 20]
    assert result["peak_megabytes"] > 50


def test_turns_are_taken_in_rounds():
    order = []

    class Named:
        def __init__(self, name):
            self.name = name

        def turn(self, *, counts=True):
            order.append((self.name, counts))

    race([Named("a"), Named("b")], 3)
    assert [name for name, _ in order] == ["a", "b"] * 5
    assert [counts for _, counts in order] == [False] * 4 + [True] * 6


def test_outputs_of_peers_are_counted_as_their_users_do():
    ready = np.zeros((1, 300, 6), np.float32)
    ready[0, :3, 4] = 0.9
    assert decode_peer(ready) == 3
    raw = np.zeros((1, 4 + 2, 100), np.float32)
    raw[0, :4, :] = np.array([[10], [10], [5], [5]])
    raw[0, 4, :50] = 0.8
    raw[0, :2, 40:50] += 50
    raw[0, 5, 60] = 0.7
    assert decode_peer(raw) == 3, "two places of one class, one of another"
    with pytest.raises(ModelError, match="shape"):
        decode_peer(np.zeros((3, 3), np.float32))


def test_a_peer_that_is_none_is_one_line(tmp_path):
    image = drawn_shelf(320, 240)
    with pytest.raises(ModelError, match="cannot be read"):
        peer(tmp_path / "no.onnx", "onnxruntime", image=image, size=64, threads=1)
    wrong = peer_file(tmp_path / "wrong.onnx", (1, 300, 6), size=96)
    with pytest.raises(ModelError, match=r"cannot run it on \(1, 3, 64, 64\)"):
        peer(wrong, "onnxruntime", image=image, size=64, threads=1)
    assert onnx.load(str(wrong)).graph.name == "peer"
