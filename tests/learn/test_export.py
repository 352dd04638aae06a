"""Export of a detector: the file says what torch says, and is refused when it does not or finds less."""

from __future__ import annotations

import copy
import hashlib
import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
import torch

from shelfvision.cli.main import main
from shelfvision.core.detections import Detections
from shelfvision.data.coco import write_coco
from shelfvision.data.dataset import Dataset, LabelledPicture
from shelfvision.data.images import read_image
from shelfvision.data.input_picture import as_batch
from shelfvision.edge.detector import open_detector
from shelfvision.edge.model import read_model
from shelfvision.errors import ModelError, UsageError
from shelfvision.learn import export as export_module
from shelfvision.learn.accuracy_gate import check_cap, compare, find_with_graph, find_with_torch
from shelfvision.learn.export import export_detector
from shelfvision.learn.export_settings import ExportSettings
from shelfvision.learn.onnx_graph import Suppression, network_graph, with_suppression
from shelfvision.learn.parity import check_parity, sample_pictures
from shelfvision.models.checkpoint import save_checkpoint
from shelfvision.models.decode import decode
from shelfvision.models.detector import Detector, DetectorConfig

LABELS = ("product", "gap", "hand")
CHOSEN = Suppression(0.05, (0.65, 0.65, 0.4), 1000)
SETTINGS = ExportSettings(size=128, least_score=0.05, calibrate=False)


def spread_out(seed: int = 0) -> Detector:
    """An untrained network whose answers differ from place to place."""
    torch.manual_seed(seed)
    detector = Detector(DetectorConfig(LABELS, neck=(16, 16, 16), head=16)).eval()
    with torch.no_grad():
        for module in detector.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.running_mean.zero_()
                module.running_var.fill_(0.3)
        for level in detector.head.levels:
            torch.nn.init.normal_(level.class_layer.weight, std=2.0)
            torch.nn.init.zeros_(level.class_layer.bias)
            torch.nn.init.normal_(level.box_layer.weight, std=0.3)
    return detector


def of_one_size(count: int, seed: int) -> list[np.ndarray]:
    return [np.asarray(cv2.resize(image, (128, 96)), np.uint8) for image in sample_pictures(count, seed)]


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def detector():
    return spread_out()


@pytest.fixture(scope="module")
def network(detector):
    """Tracing takes long: once for all tests."""
    return network_graph(detector)


@pytest.fixture
def traced(network, monkeypatch):
    monkeypatch.setattr(export_module, "network_graph", lambda _: network)
    monkeypatch.setattr(export_module, "PARITY_PICTURES", 6)


@pytest.fixture(scope="module")
def checkpoint(detector, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "best"
    save_checkpoint(folder, detector, provenance={"data": "none", "settings": {"size": 128}})
    return folder


@pytest.fixture(scope="module")
def data(detector, tmp_path_factory):
    """Pictures whose truth is what torch finds in them, so that torch is nearly perfect on them."""
    folder = tmp_path_factory.mktemp("data")
    pictures = []
    for index, image in enumerate(of_one_size(6, seed=3)):
        path = folder / f"{index}.png"
        cv2.imwrite(str(path), image)
        with torch.no_grad():
            (found,) = decode(detector(torch.from_numpy(as_batch([image]))), least_score=0.5, overlap=0.5, most=20)
        found = Detections(np.clip(found.xyxy, 0, [128, 96, 128, 96]).astype(np.float32), found.score, found.label)
        pictures.append(LabelledPicture(path, (128, 96), found.xyxy, found.label, np.zeros(len(found), bool)))
    dataset = Dataset(LABELS, tuple(pictures), folder)
    assert sum(map(len, dataset)) > 20
    return dataset


def test_torch_and_onnx_agree_on_fifty_pictures_of_several_sizes(detector, network):
    whole = with_suppression(network, CHOSEN)
    parity = check_parity(
        detector, network.SerializeToString(), whole.SerializeToString(), list(sample_pictures(50)), CHOSEN
    )
    assert (parity.pictures, parity.sizes > 10, parity.boxes > 1000) == (50, True, True)
    assert parity.worst_iou >= 0.99
    assert parity.worst_score <= 1e-3
    assert parity.batch_worst <= 1e-4


def test_a_graph_of_other_weights_is_refused(network):
    whole = with_suppression(network, CHOSEN).SerializeToString()
    with pytest.raises(ModelError, match="torch and ONNX disagree"):
        check_parity(spread_out(1), network.SerializeToString(), whole, list(sample_pictures(2)), CHOSEN)


@pytest.mark.parametrize("overlap", [(0.4, 0.65, 0.4), (0.9, 0.65, 0.4), (0.65, 0.65, 0.65)])
def test_a_graph_that_suppresses_otherwise_is_refused(detector, network, overlap):
    """One that drops what it should keep, and one that keeps what it should drop."""
    other = with_suppression(network, replace(CHOSEN, overlap=overlap)).SerializeToString()
    with pytest.raises(ModelError, match="rightly suppressed"):
        check_parity(detector, network.SerializeToString(), other, list(sample_pictures(2)), CHOSEN)


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_the_written_model_finds_at_the_edge_what_torch_finds(detector, checkpoint, traced, tmp_path, runtime):
    done = export_detector(checkpoint, tmp_path / "out", SETTINGS, command="shelfvision export x")
    edge = open_detector(done.model, runtime=runtime, threads=1, exact=True, least_score=0.05)
    for image in of_one_size(4, seed=9):
        with torch.no_grad():
            (expected,) = decode(detector(torch.from_numpy(as_batch([image]))), least_score=0.05)
        sides = np.clip(expected.xyxy, 0, [128, 96, 128, 96])
        expected = expected[((sides[:, 2:] - sides[:, :2]) > 0).all(axis=1)]
        found = edge.detect(image)
        assert len(found) == len(expected) > 10
        np.testing.assert_allclose(np.sort(found.score), np.sort(expected.score), atol=1e-3)


def test_the_sidecar_says_what_it_is_and_the_model_tells_nothing_of_this_machine(checkpoint, traced, tmp_path):
    done = export_detector(checkpoint, tmp_path, SETTINGS, command="shelfvision export x", name="mine")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.json", "mine.onnx"]
    sidecar = read_model(done.model).sidecar
    data = done.model.read_bytes()
    assert sidecar.sha256 == hashlib.sha256(data).hexdigest()
    assert (sidecar.labels, sidecar.input.size, sidecar.most) == (list(LABELS), 128, 1000)
    assert sidecar.opset >= 17
    assert sidecar.provenance["checkpoint"]["provenance"]["data"] == "none"
    assert sidecar.provenance["parity"]["worst_iou"] >= 0.99
    assert b"site-packages" not in data
    assert str(Path.cwd()).encode() not in data
    assert not onnx.load_from_string(data).graph.node[0].metadata_props


def test_eight_bits_pass_the_gate_or_are_refused_by_it(checkpoint, data, traced, tmp_path):
    loose = replace(SETTINGS, int8=True, most_drop=1.0)
    done = export_detector(checkpoint, tmp_path / "loose", loose, data=data)
    assert done.accuracy.torch > 0.5
    assert 0.0 < done.accuracy.onnx < done.accuracy.torch
    assert read_model(done.model).sidecar.precision == "int8"
    kinds = {node.op_type for node in onnx.load(str(done.model)).graph.node}
    assert {"QuantizeLinear", "DequantizeLinear", "NonMaxSuppression"} <= kinds
    edge = open_detector(done.model, runtime="openvino", threads=1)
    assert len(edge.detect(read_image(data.pictures[0].path))) > 0
    strict = replace(SETTINGS, int8=True, most_drop=0.0)
    with pytest.raises(ModelError, match=r"mAP50-95 falls from 0\.\d+ to 0\.\d+"):
        export_detector(checkpoint, tmp_path / "strict", strict, data=data)
    assert not (tmp_path / "strict").exists()


def test_the_gate_lets_an_equal_model_pass(checkpoint, data, traced, tmp_path):
    done = export_detector(checkpoint, tmp_path, replace(SETTINGS, most_drop=0.001), data=data)
    assert done.accuracy.drop == pytest.approx(0, abs=1e-3)
    assert read_model(done.model).sidecar.provenance["accuracy"]["pictures"] == 6


def test_the_gate_sees_a_cap_that_cuts(detector, network, data):
    capped = with_suppression(network, replace(CHOSEN, most=2)).SerializeToString()
    before = find_with_torch(detector, data, size=128, chosen=CHOSEN)
    after = find_with_graph(capped, data, size=128)
    assert compare(data, LABELS, before, after).drop > 0.1


def test_a_cap_below_the_densest_picture_is_refused(checkpoint, data, traced, tmp_path):
    densest = max(int(np.bincount(picture.label).max()) for picture in data)
    check_cap(data, densest)
    with pytest.raises(UsageError, match=rf"holds {densest} boxes of one class.*--most {densest}"):
        export_detector(checkpoint, tmp_path / "out", replace(SETTINGS, most=densest - 1), data=data)


def test_what_cannot_work_is_refused_before_the_work(checkpoint, tmp_path):
    with pytest.raises(UsageError, match="give --data"):
        export_detector(checkpoint, tmp_path, replace(SETTINGS, int8=True))
    with pytest.raises(UsageError, match="multiple of 32"):
        ExportSettings(size=100)
    with pytest.raises(UsageError, match="--score"):
        ExportSettings(score=0.001)
    with pytest.raises(ModelError, match="no checkpoint there"):
        export_detector(tmp_path / "none", tmp_path, SETTINGS)


def test_a_folder_that_cannot_be_written_keeps_what_it_had(checkpoint, traced, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    with pytest.raises(ModelError, match="cannot be written"):
        export_detector(checkpoint, tmp_path / "file" / "out", SETTINGS)
    first = export_detector(checkpoint, tmp_path / "out", SETTINGS)
    before = first.model.read_bytes()

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(export_module.os, "fsync", full)
    with pytest.raises(ModelError, match="No space left"):
        export_detector(checkpoint, tmp_path / "out", replace(SETTINGS, most=7))
    assert first.model.read_bytes() == before
    assert len(list((tmp_path / "out").iterdir())) == 2
    read_model(first.model)


def test_the_command_exports_the_best_of_a_training_at_its_size(checkpoint, data, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(export_module, "PARITY_PICTURES", 6)
    write_coco(data, tmp_path / "coco")
    words = [
        "--out",
        str(tmp_path / "out"),
        "--data",
        str(tmp_path / "coco"),
        "--overlap",
        "0.7",
        "--overlap",
        "gap=.4",
    ]
    assert main(["export", str(checkpoint.parent), *words, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["parity"]["worst_iou"] >= 0.99
    assert result["map50_95_onnx"] == pytest.approx(result["map50_95_torch"], abs=1e-3)
    assert result["calibration_error_after"] < result["calibration_error_before"]
    sidecar = read_model(Path(result["model"])).sidecar
    assert sidecar.input.size == 128
    assert (sidecar.thresholds.least, sidecar.thresholds.score) == (0.001, 0.5)
    assert (sidecar.thresholds.overlap, sidecar.thresholds.overlap_of) == (0.7, {"gap": 0.4})
    assert sidecar.provenance["calibration"]["pictures"] == 6


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["CHECKPOINT/none"], "no checkpoint there"),
        (
            ["CHECKPOINT", "--overlap", "hnad=0.4"],
            "hnad=...: the detector has no such class (did you mean 'hand'?)",
        ),
        (["CHECKPOINT", "--overlap", "hand=much"], "--overlap hand=much: expected an IoU such as 0.6, or CLASS=0.4"),
        (["CHECKPOINT", "--overlap", "0.5", "--overlap", "0.6"], "--overlap 0.6: was given before as 0.5"),
        (["CHECKPOINT", "--overlap", "hand=1.5"], "--overlap 1.5: must lie above 0 and not above 1"),
        (["CHECKPOINT", "--overlap", "nan"], "--overlap nan: must lie above 0"),
    ],
)
def test_a_command_that_cannot_be_done_says_why(checkpoint, tmp_path, capsys, words, said):
    out = tmp_path / "out"
    assert main(["export", *(word.replace("CHECKPOINT", str(checkpoint)) for word in words), "--out", str(out)]) != 0
    assert said in capsys.readouterr().err
    assert not out.exists()


def test_a_calibrated_export_says_how_often_it_is_right(checkpoint, data, tmp_path, monkeypatch):
    """Of the pictures' true boxes half are taken away: scores that said 0.5 to 1 then mean about half of that."""
    monkeypatch.setattr(export_module, "PARITY_PICTURES", 6)
    rng = np.random.default_rng(2)
    halved = []
    for picture in data:
        kept = rng.random(len(picture)) < 0.5
        halved.append(replace(picture, xyxy=picture.xyxy[kept], label=picture.label[kept], ignore=picture.ignore[kept]))
    settings = ExportSettings(size=128, most_drop=0.05)
    done = export_detector(checkpoint, tmp_path, settings, data=replace(data, pictures=tuple(halved)))
    assert done.scaling is not None
    assert done.scaling.error_after < 0.1 < done.scaling.error_before
    edge = open_detector(done.model, runtime="onnxruntime", threads=1, least_score=0.001)
    sure = np.concatenate([edge.detect(read_image(picture.path)).score for picture in data])
    assert 0.3 < float(np.sort(sure)[-60:].mean()) < 0.75


def test_what_calibration_gains_does_not_hide_what_the_file_loses(detector, data, traced, tmp_path, monkeypatch):
    """Most scores of an unsure network lie below what is cut off; calibrated they do not.

    In place of its graph stands that of the network whose scores its own would be.
    """
    unsure = copy.deepcopy(detector)
    with torch.no_grad():
        for level in unsure.head.levels:
            level.class_layer.bias -= 5.0
    save_checkpoint(tmp_path / "unsure", unsure, provenance={})
    monkeypatch.setattr(export_module, "check_parity", lambda _, *rest: check_parity(detector, *rest))
    settings = ExportSettings(size=128, least_score=0.02, most_drop=0.02)
    done = export_detector(tmp_path / "unsure", tmp_path / "out", settings, data=data)
    assert done.scaling is not None
    assert done.accuracy.drop == pytest.approx(0, abs=0.02)

    def lossy(*arguments, **options):
        return [one[::2] for one in find_with_graph(*arguments, **options)]

    monkeypatch.setattr(export_module, "find_with_graph", lossy)
    with pytest.raises(ModelError, match="mAP50-95 falls from"):
        export_detector(tmp_path / "unsure", tmp_path / "out", settings, data=data)


def test_scores_stay_as_they_are_where_too_few_boxes_tell(checkpoint, data, traced, tmp_path):
    few = data.take([0])
    few = replace(few, pictures=tuple(replace(p, xyxy=p.xyxy[:3], label=p.label[:3], ignore=p.ignore[:3]) for p in few))
    done = export_detector(checkpoint, tmp_path, ExportSettings(size=128, most_drop=1.0), data=few)
    assert done.scaling is None
    sidecar = read_model(done.model).sidecar
    assert (sidecar.thresholds.least, sidecar.thresholds.score) == (0.01, 0.3)
    assert sidecar.provenance["calibration"] is None
