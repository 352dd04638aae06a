"""`shelfvision evaluate detector` on files, as a person calls it."""

import hashlib
import json

import cv2
import numpy as np
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from shelfvision.cli.main import main
from shelfvision.core.sidecar import InputSpec, Sidecar, Thresholds
from shelfvision.models.checkpoint import save_checkpoint
from shelfvision.models.detector import Detector, DetectorConfig
from tests.edge.marker_model import paint, painted_box, write_model

BOX, FAR = [100, 100, 100, 100], [300, 300, 100, 100]


def annotation(number, image, category, bbox, **more):
    return {"id": number, "image_id": image, "category_id": category, "bbox": bbox, "area": 1, "iscrowd": 0} | more


@pytest.fixture
def shelf(tmp_path):
    """A COCO dataset of two pictures: a product and a gap in one, a product in the other."""
    for name in ("a.jpg", "b.jpg"):
        cv2.imwrite(str(tmp_path / name), np.full((480, 640, 3), 90, np.uint8))
    document = {
        "images": [
            {"id": 5, "file_name": "a.jpg", "width": 640, "height": 480},
            {"id": 6, "file_name": "b.jpg", "width": 640, "height": 480},
        ],
        "categories": [{"id": 1, "name": "product"}, {"id": 2, "name": "gap"}],
        "annotations": [annotation(1, 5, 1, BOX), annotation(2, 5, 2, FAR), annotation(3, 6, 1, FAR)],
    }
    (tmp_path / "shelf.json").write_text(json.dumps(document))
    return tmp_path


@pytest.fixture
def words(shelf):
    """Writes detections; returns the command's words."""

    def write(document):
        (shelf / "found.json").write_text(json.dumps(document))
        return ["evaluate", "detector", str(shelf / "shelf.json"), "--detections", str(shelf / "found.json")]

    return write


def result(image, category, bbox, score):
    return {"image_id": image, "category_id": category, "bbox": bbox, "score": score}


ALL_RIGHT = [result(5, 1, BOX, 0.9), result(5, 2, FAR, 0.8), result(6, 1, FAR, 0.7)]


def entry(name, *boxes):
    return {"image": name, "detections": [{"label": label, "score": 0.9, "xyxy": xyxy} for label, xyxy in boxes]}


def test_the_table_has_every_class_and_all_together(words, capsys):
    assert main(words([*ALL_RIGHT, result(6, 1, [0, 0, 50, 50], 0.95)])) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split()[:5] == ["product", "2", "0.667", "0.667", "0.667"]
    assert lines[3].split()[:3] == ["all", "3", "0.833"]
    assert any("1 false: nothing there" in line for line in lines)


def test_json_holds_every_figure(words, capsys):
    assert main([*words(ALL_RIGHT), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["map50_95"] == pytest.approx(1)
    assert found["ar300"] == found["ar1000"] == pytest.approx(1)
    assert found["classes"][1]["name"] == "gap"
    assert found["confusion"]["rows_true_columns_found"] == [[2, 0, 0], [0, 1, 0], [0, 0, 0]]
    assert found["operating"]["threshold"] == pytest.approx(0.7)
    assert found["threshold_chosen"] is True


def test_the_output_of_detect_is_judged_too(words, capsys):
    document = {"images": [entry("a.jpg", ("product", [100, 100, 200, 200])), entry("b.jpg")]}
    assert main([*words(document), "--json", "--threshold", "0.5"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["operating"]["missed"] == 2
    assert found["threshold_chosen"] is False


def test_pictures_beyond_the_data_are_noted(words, capsys):
    assert main(words({"images": [entry("a.jpg"), entry("b.jpg"), entry("c.jpg")]})) == 0
    assert "has 1 pictures that are not in" in capsys.readouterr().err


def test_many_classes_count_as_one(words, capsys):
    document = {
        "labels": ["product"],
        "images": [
            entry("a.jpg", ("product", [100, 100, 200, 200]), ("product", [300, 300, 400, 400])),
            entry("b.jpg"),
        ],
    }
    assert main(words(document)) == 1
    assert "classes that the detector does not know: gap" in capsys.readouterr().err
    assert main([*words(document), "--labels", "*=product", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["classes"][0]["boxes"] == 3
    assert main([*words(document), "--labels", "gap=", "--labels", "product=thing"]) == 0
    assert "left out           1 gap (as asked)" in capsys.readouterr().out


def test_low_scores_can_be_left_out(words, capsys):
    assert main([*words(ALL_RIGHT), "--json", "--least-score", "0.75"]) == 0
    assert json.loads(capsys.readouterr().out)["found"] == 2


def test_the_report_is_written_and_named(words, shelf, capsys):
    assert main([*words([result(5, 1, BOX, 0.9)]), "--report", str(shelf / "report.html")]) == 0
    assert "report.html" in capsys.readouterr().out
    assert (shelf / "report.html").read_text().count("data:image/jpeg;base64") == 2


def test_a_report_without_its_folder_is_said_before_any_work(words, shelf, capsys):
    assert main([*words(ALL_RIGHT), "--report", str(shelf / "no" / "report.html")]) == 2
    assert "there is no folder" in capsys.readouterr().err


@pytest.mark.parametrize("more", [[], ["--detections", "found.json"]])
def test_wrong_operands_are_wrong_usage(more, capsys):
    operands = ["shelf.json"] if not more else ["default", "shelf.json"]
    assert main(["evaluate", "detector", *operands, *more]) == 2
    assert capsys.readouterr().err.startswith("error: evaluate detector: expected")


def test_what_is_not_there_is_one_line(words, shelf, capsys):
    assert main([*words(ALL_RIGHT)[:2], str(shelf / "no.json"), "--detections", str(shelf / "found.json")]) == 1
    assert main([*words(ALL_RIGHT)[:4], str(shelf / "no.json")]) == 1
    assert main(["evaluate", "detector", str(shelf / "no.onnx"), str(shelf / "shelf.json")]) == 1
    err = capsys.readouterr().err
    assert err.count("error: ") == err.count("\n") == 3
    assert err.count("no.json") == 2
    assert "no.onnx" in err


@pytest.fixture
def onnx_model(tmp_path):
    """A real ONNX file that finds the same three boxes in every picture, and its sidecar."""
    boxes = [(100, 100, 200, 200, 0.9, 0), (300, 300, 400, 400, 0.8, 1), (300, 300, 400, 400, 0.6, 0)]
    rows = np.array([(index, *box) for index in range(8) for box in boxes], np.float32)
    graph = helper.make_graph(
        [
            # the first number of the shape is the batch; the rows of pictures beyond it go
            helper.make_node("Shape", ["images"], ["batch"], end=1),
            helper.make_node("Mul", ["batch", "each"], ["end"]),
            helper.make_node("Slice", ["rows", "begin", "end"], ["detections"]),
        ],
        "three",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["b", 3, "h", "w"])],
        [helper.make_tensor_value_info("detections", TensorProto.FLOAT, ["m", 7])],
        [
            numpy_helper.from_array(rows, "rows"),
            numpy_helper.from_array(np.array([len(boxes)], np.int64), "each"),
            numpy_helper.from_array(np.array([0], np.int64), "begin"),
        ],
    )
    data = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9).SerializeToString()
    (tmp_path / "three.onnx").write_bytes(data)
    sidecar = Sidecar(
        sha256=hashlib.sha256(data).hexdigest(),
        bytes=len(data),
        opset=17,
        input=InputSpec(size=640),
        labels=["product", "gap", "hand"],
        thresholds=Thresholds(least=0.05, score=0.7, overlap=0.65),
        most=1000,
        provenance={},
    )
    (tmp_path / "three.json").write_text(sidecar.to_json())
    return tmp_path / "three.onnx"


def test_an_onnx_file_is_judged_below_its_own_threshold_too(onnx_model, shelf, capsys):
    """Right: product and gap in one picture, the weak product in the other; its sidecar would act on 0.7 only."""
    words = ["evaluate", "detector", str(onnx_model), str(shelf / "shelf.json"), "--runtime", "onnxruntime"]
    assert main([*words, "--json", "--threshold", "0.5"]) == 0
    captured = capsys.readouterr()
    found = json.loads(captured.out)
    assert found["operating"]["right"] == 3
    assert found["errors"] == {"missed": 0, "background": 1, "class": 2}
    assert found["classes"][0]["ar300"] == pytest.approx(1)
    assert "gives no box below" not in captured.err
    assert found["least_score"] == 0.05
    assert main([*words, "--json", "--least-score", "0.01"]) == 0
    assert "gives no box below a score of 0.05" in capsys.readouterr().err


def test_an_onnx_file_looks_as_closely_as_detect_does(tmp_path, capsys):
    """Markers that vanish when the picture is halved, in a picture twice as large as the input."""
    cv2.imwrite(str(tmp_path / "a.png"), paint((512, 384), (20, 25, 30, 40, 0.9), (40, 10, 20, 20, 0.8)))
    boxes = [painted_box(20, 25, 30, 40), painted_box(40, 10, 20, 20)]
    document = {
        "images": [{"id": 1, "file_name": "a.png", "width": 512, "height": 384}],
        "categories": [{"id": 1, "name": "product"}],
        "annotations": [
            annotation(number, 1, 1, [x1, y1, x2 - x1, y2 - y1]) for number, (x1, y1, x2, y2) in enumerate(boxes, 1)
        ],
    }
    (tmp_path / "a.json").write_text(json.dumps(document))
    model = write_model(tmp_path)
    words = ["evaluate", "detector", str(model), str(tmp_path / "a.json"), "--runtime", "onnxruntime", "--json"]
    for more, right in ([], 2), (["--tiles", "off"], 0):
        assert main([*words, "--threshold", "0.5", *more]) == 0
        assert json.loads(capsys.readouterr().out)["operating"]["right"] == right
    assert main([*words, "--tiles", "2"]) == 2
    assert "expected auto, off, or COLUMNSxROWS" in capsys.readouterr().err


def test_a_checkpoint_is_judged(tmp_path, shelf, capsys):
    """The folder of a training: its best checkpoint, at the size that it was trained at."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    network = Detector(DetectorConfig(labels=("product", "gap"), neck=(16, 16, 16), head=16))
    save_checkpoint(tmp_path / "run/best", network, provenance={"size": 64})
    words = ["evaluate", "detector", str(tmp_path / "run"), str(shelf / "shelf.json"), "--json", "--least-score", "0"]
    assert main(words) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["boxes"] == 3
    assert found["found"] > 0
    assert main([*words, "--tiles", "auto"]) == 2
    assert "--tiles auto: for .onnx files only" in capsys.readouterr().err


def test_a_checkpoint_of_other_classes_is_one_clear_error(tmp_path, shelf, capsys):
    network = Detector(DetectorConfig(labels=("cat", "dog"), neck=(16, 16, 16), head=16))
    save_checkpoint(tmp_path / "pets", network, provenance={"size": 64})
    assert main(["evaluate", "detector", str(tmp_path / "pets"), str(shelf / "shelf.json")]) == 1
    err = capsys.readouterr().err
    assert "has boxes of classes that the detector does not know: product, gap; it knows cat, dog" in err
    assert err.count("\n") == 1
