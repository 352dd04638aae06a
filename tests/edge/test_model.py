"""Model files and runtimes: what is refused and how, and that both runtimes give the same boxes."""

from __future__ import annotations

import json
import pickle
import zipfile

import numpy as np
import onnx
import pytest
import structlog
from onnx import TensorProto, helper, numpy_helper
from structlog.testing import capture_logs

from shelfvision.core.sidecar import parse_sidecar
from shelfvision.data.input_picture import as_batch
from shelfvision.edge import runtimes
from shelfvision.edge.detector import OnnxDetector, open_detector
from shelfvision.edge.model import Model, read_model
from shelfvision.errors import ModelError, UsageError
from tests.edge.marker_model import marker_graph, paint, painted_box, write_model

RUNTIMES = ("onnxruntime", "openvino")


def refused(path, *words):
    with pytest.raises(ModelError) as caught:
        Model(read_model(path), runtime="onnxruntime", threads=1)
    text = str(caught.value)
    assert "\n" not in text
    for word in words:
        assert word in text, text
    return text


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_the_graph_gives_the_boxes_of_every_picture_of_a_batch(tmp_path, runtime):
    model = Model(read_model(write_model(tmp_path)), runtime=runtime, threads=1, exact=True)
    first = paint((96, 64), (2, 3, 20, 30, 0.9), (9, 4, 21, 10, 0.6))
    second = paint((96, 64), (5, 5, 40, 12, 0.4))
    rows = model.run(as_batch([first, second]))
    rows = rows[np.lexsort((rows[:, 6], rows[:, 0]))]
    expected = [
        [0, *painted_box(2, 3, 20, 30), 230 / 255, 0],
        [0, *painted_box(9, 4, 21, 10), 153 / 255, 1],
        [1, *painted_box(5, 5, 40, 12), 102 / 255, 0],
    ]
    np.testing.assert_allclose(rows, expected, atol=1e-4)
    assert len(model.run(as_batch([np.zeros((64, 96, 3), np.uint8)]))) == 0


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_seven_hundred_boxes_of_one_picture_survive(tmp_path, runtime):
    boxes = [(column, row, 6, 6, 0.5 + row / 100) for row in range(28) for column in range(25)]
    detector = open_detector(write_model(tmp_path), runtime=runtime, threads=1, exact=True)
    found = detector.detect(paint((256, 256), *boxes))
    assert len(found) == 700
    assert (np.diff(found.score) <= 0).all(), "surest first"


def test_auto_measures_both_runtimes_once_and_remembers(tmp_path, monkeypatch):
    loaded = []
    for name in RUNTIMES:
        maker = runtimes.SESSIONS[name]
        monkeypatch.setitem(
            runtimes.SESSIONS,
            name,
            lambda data, threads, *, exact, maker=maker, name=name: (
                loaded.append(name),
                maker(data, threads, exact=exact),
            )[1],
        )
    monkeypatch.setattr(runtimes, "_choices", {})
    path = write_model(tmp_path)
    first = open_detector(path, threads=1).model.runtime
    assert sorted(loaded) == sorted(RUNTIMES)
    loaded.clear()
    assert open_detector(path, threads=1).model.runtime == first
    assert loaded == [first]


def broken_import(*_arguments, **_options):
    raise ImportError("libopenvino.so: no such file")


def refusing(*_arguments, **_options):
    raise RuntimeError("an operator that is not known")


class FailingSession:
    """Loads what it is given and cannot run it."""

    runtime = "failing"

    def __init__(self, *_arguments, **_options) -> None:
        self.inputs = self.outputs = []

    def run(self, _images):
        raise RuntimeError("no such instruction")


@pytest.mark.parametrize("broken", RUNTIMES)
@pytest.mark.parametrize(
    ("maker", "why"),
    [
        (broken_import, "cannot be imported: libopenvino.so"),
        (refusing, "an operator that is not known"),
        (FailingSession, "no such instruction"),
    ],
)
def test_auto_does_without_a_runtime_that_fails_and_says_so_once(tmp_path, monkeypatch, broken, maker, why):
    monkeypatch.setitem(runtimes.SESSIONS, broken, maker)
    monkeypatch.setattr(runtimes, "_choices", {})
    monkeypatch.setattr(runtimes, "_log", structlog.get_logger())
    path = write_model(tmp_path)
    (other,) = set(RUNTIMES) - {broken}
    with capture_logs() as logs:
        for _ in range(2):
            assert open_detector(path, threads=1).model.runtime == other
    (line,) = logs
    assert line["log_level"] == "warning"
    assert why in line["problem"]


def test_auto_names_the_fault_of_every_runtime_when_all_fail(tmp_path, monkeypatch):
    monkeypatch.setitem(runtimes.SESSIONS, "onnxruntime", refusing)
    monkeypatch.setitem(runtimes.SESSIONS, "openvino", broken_import)
    monkeypatch.setattr(runtimes, "_choices", {})
    with pytest.raises(ModelError, match=r"onnxruntime cannot load it: an operator.*openvino cannot be imported: lib"):
        open_detector(write_model(tmp_path), threads=1)


def test_a_broken_runtime_that_was_asked_for_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setitem(runtimes.SESSIONS, "openvino", broken_import)
    with pytest.raises(ModelError, match=r"openvino cannot be imported: libopenvino\.so.*install it again"):
        open_detector(write_model(tmp_path), runtime="openvino")


def test_without_openvino_the_other_runtime_serves_and_asking_for_it_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(runtimes, "installed_runtimes", lambda: ["onnxruntime"])
    path = write_model(tmp_path)
    assert open_detector(path, threads=1).model.runtime == "onnxruntime"
    with pytest.raises(UsageError, match=r"pip install 'shelfvision\[openvino\]'"):
        open_detector(path, runtime="openvino")


def test_a_missing_model_or_sidecar_is_named(tmp_path):
    refused(tmp_path / "none.onnx", "none.onnx", "no such model file")
    refused(tmp_path, "is a folder")
    path = write_model(tmp_path)
    path.with_suffix(".json").unlink()
    refused(path, "marker.json", "sidecar is missing")


def test_a_model_that_is_not_the_sidecars_is_refused(tmp_path):
    path = write_model(tmp_path)
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)
    text = refused(path, str(path))
    assert "sha256" in text or "damaged" in text
    path = write_model(tmp_path, marker_graph(most=5), "other")
    path.with_suffix(".json").write_text((tmp_path / "marker.json").read_text())
    refused(path, "sha256 differs")


@pytest.mark.parametrize("keep", [0.0, 0.3, 0.99])
def test_a_cut_off_file_is_refused(tmp_path, keep):
    path = write_model(tmp_path)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])
    refused(path, str(path), "again")


def test_pickles_and_archives_are_never_loaded(tmp_path):
    for name in ("model.pt", "model.pth", "model.pkl"):
        (tmp_path / name).write_bytes(b"")
        refused(tmp_path / name, "can run code", "shelfvision export")
    path = tmp_path / "renamed.onnx"
    path.write_bytes(pickle.dumps({"weights": [1, 2]}))
    refused(path, "never loaded")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("data.pkl", "x")
    refused(path, "never loaded")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(200))
    refused(path, "ONNX")


def test_weights_in_other_files_are_refused_wherever_they_stand(tmp_path):
    graph = marker_graph()
    tensor = graph.graph.initializer[0]
    onnx.external_data_helper.set_external_data(tensor, "weights.bin")
    refused(write_model(tmp_path, graph), "other files")
    # in a constant of a branch
    graph = marker_graph()
    hidden = numpy_helper.from_array(np.zeros(4, np.float32), "hidden")
    onnx.external_data_helper.set_external_data(hidden, "../../secret")
    branch = helper.make_graph(
        [helper.make_node("Constant", [], ["inner"], value=hidden)],
        "branch",
        [],
        [helper.make_tensor_value_info("inner", TensorProto.FLOAT, [4])],
    )
    truth = numpy_helper.from_array(np.array(True), "truth")
    graph.graph.initializer.append(truth)
    graph.graph.node.append(helper.make_node("If", ["truth"], ["unused"], then_branch=branch, else_branch=branch))
    refused(write_model(tmp_path, graph), "other files")


def test_a_graph_of_another_contract_is_refused(tmp_path):
    for change, words in (
        (lambda g: setattr(g.input[0], "name", "pixels"), ("pixels",)),
        (lambda g: setattr(g.input[0].type.tensor_type.shape.dim[2], "dim_value", 64), ("input", "(*, 3, *, *)")),
        (lambda g: setattr(g.output[0], "name", "boxes"), ("output", "'boxes'")),
    ):
        graph = marker_graph()
        change(graph.graph)
        for node in graph.graph.node:
            for index, name in enumerate(node.input):
                if name == "images":
                    node.input[index] = graph.graph.input[0].name
        if graph.graph.output[0].name == "boxes":
            graph.graph.output[0].CopyFrom(helper.make_tensor_value_info("boxes", TensorProto.FLOAT, ["b", "n", 4]))
        refused(write_model(tmp_path, graph), *words)


def test_an_operator_that_the_runtime_does_not_know_is_one_line(tmp_path):
    graph = marker_graph()
    graph.graph.node[0].op_type = "Convoluted"
    refused(write_model(tmp_path, graph), "onnxruntime cannot load it")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", ("no sidecar",)),
        ("[]", ("JSON object",)),
        ('{"kind": "recogniser"}', ("recogniser", "detector")),
        ('{"kind": "detector", "version": 2}', ("version 2",)),
        ('{"kind": "detector", "version": 1, "version": 1}', ("twice",)),
        ('{"kind": "detector", "version": 1}', ("missing",)),
    ],
)
def test_a_faulty_sidecar_is_one_line(tmp_path, text, words):
    path = write_model(tmp_path)
    path.with_suffix(".json").write_text(text)
    refused(path, "marker.json", *words)


@pytest.mark.parametrize(
    "change",
    [
        {"labels": ["a", "a"]},
        {"labels": []},
        {"most": 0},
        {"extra": 1},
        {"sha256": "x"},
        {"opset": 11},
        {"thresholds": {"least": 0.5, "score": 0.3, "overlap": 0.65}},
        {"thresholds": {"least": 0.05, "score": 2, "overlap": 0.65}},
        {"thresholds": {"least": 0.05, "score": 0.3, "overlap": 0.65, "overlap_of": {"other": 0.4}}},
        {"thresholds": {"least": 0.05, "score": 0.3, "overlap": 0.65, "overlap_of": {"product": 0}}},
        {"input": {"size": 100}},
        {"input": {"size": 256, "channels": "rgb"}},
        {"labels": "product"},
        {"most": "many"},
    ],
)
def test_sidecar_values_are_checked(tmp_path, change):
    good = json.loads(write_model(tmp_path).with_suffix(".json").read_text())
    assert parse_sidecar(json.dumps(good).encode(), name="m.json").most == 1000
    with pytest.raises(ModelError, match=r"^m\.json: "):
        parse_sidecar(json.dumps(good | change).encode(), name="m.json")


def test_a_class_that_the_sidecar_does_not_name_is_an_error(tmp_path):
    model = Model(read_model(write_model(tmp_path, labels=["product"])), runtime="onnxruntime", threads=1)
    with pytest.raises(ModelError, match="names 1 classes"):
        model.run(as_batch([paint((64, 64), (3, 3, 21, 20, 0.9))]))


def test_inputs_that_the_network_cannot_take_are_refused(tmp_path):
    model = Model(read_model(write_model(tmp_path)), runtime="onnxruntime", threads=1)
    for shape in ((1, 3, 60, 64), (3, 64, 64), (1, 1, 64, 64), (0, 3, 64, 64)):
        with pytest.raises(ModelError, match="expected"):
            model.run(np.zeros(shape, np.float32))
    with pytest.raises(UsageError, match="multiple of 32"):
        OnnxDetector(model, size=100)
