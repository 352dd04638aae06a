"""Checkpoints: weights and what builds the network, whole or refused; and the start from published weights."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from shelfvision.errors import ModelError
from shelfvision.models.checkpoint import DESCRIPTION, WEIGHTS, load_checkpoint, save_checkpoint
from shelfvision.models.detector import Detector, DetectorConfig
from shelfvision.models.yolox_weights import load_yolox_nano

SMALL = DetectorConfig(("product",), neck=(16, 16, 16), head=16)
YOLOX = Path(os.environ.get("SHELFVISION_DATA", "../shared/data")).parent / "weights" / "yolox_nano.onnx"


def test_a_network_comes_back_from_disk_as_it_was(tmp_path):
    model = Detector(SMALL).eval()
    save_checkpoint(tmp_path / "run", model, provenance={"data": "none"})
    save_checkpoint(tmp_path / "run", model, provenance={"data": "again"})
    again = load_checkpoint(tmp_path / "run")
    picture = torch.rand(1, 3, 64, 64) * 255
    with torch.no_grad():
        assert torch.equal(model(picture).logits, again(picture).logits)
    assert again.config == SMALL
    assert json.loads((tmp_path / "run" / DESCRIPTION).read_text())["provenance"] == {"data": "again"}
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def change(folder: Path, **values) -> None:
    about = json.loads((folder / DESCRIPTION).read_text())
    about.update(values)
    (folder / DESCRIPTION).write_text(json.dumps(about))


@pytest.mark.parametrize(
    ("harm", "fault"),
    [
        (lambda f: (f / DESCRIPTION).unlink(), "no checkpoint there"),
        (lambda f: (f / DESCRIPTION).write_text("{"), "damaged"),
        (lambda f: change(f, kind="recogniser"), "a recogniser of version 1, expected a detector"),
        (lambda f: change(f, version=99), "version 99"),
        (lambda f: change(f, config={"labels": ["a"], "wings": 2}), "wings"),
        (lambda f: change(f, config={**SMALL.to_json(), "labels": ["a", "b"]}), "weights of another network"),
        (lambda f: (f / WEIGHTS).write_bytes((f / WEIGHTS).read_bytes()[:500]), "damaged"),
        (lambda f: (f / WEIGHTS).unlink(), "model.safetensors is missing"),
    ],
)
def test_a_checkpoint_that_is_not_whole_is_one_clear_error(tmp_path, harm, fault):
    folder = tmp_path / "run"
    save_checkpoint(folder, Detector(SMALL), provenance={})
    harm(folder)
    with pytest.raises(ModelError, match=fault):
        load_checkpoint(folder)


def test_where_nothing_can_be_written_the_error_says_so_and_the_old_one_stays(tmp_path):
    folder = tmp_path / "run"
    save_checkpoint(folder, Detector(SMALL), provenance={})
    (tmp_path / "run.part").write_text("a file is in the way")
    with pytest.raises(ModelError, match="cannot be written"):
        save_checkpoint(folder, Detector(SMALL), provenance={})
    assert load_checkpoint(folder).config == SMALL


def test_published_weights_give_the_published_boxes_in_evaluation_and_in_training():
    if not YOLOX.is_file():
        pytest.skip(f"{YOLOX} is not there")
    torch.manual_seed(0)
    model = Detector(DetectorConfig(("product",)))
    picture = torch.nn.functional.interpolate(torch.rand(2, 3, 26, 26) * 255, 416)
    load_yolox_nano(model, YOLOX, picture)
    session = onnxruntime.InferenceSession(str(YOLOX))
    raw = np.concatenate([session.run(None, {"images": one[None].numpy()})[0] for one in picture])
    for mode in (model.eval(), model.train()):
        with torch.no_grad():
            found = mode(picture)
        stride = found.strides.numpy()[:, None]
        centre = (raw[..., :2] + found.points.numpy() / stride - 0.5) * stride
        half = np.exp(raw[..., 2:4]) * stride / 2
        assert np.abs(np.concatenate([centre - half, centre + half], -1) - found.boxes.numpy()).max() < 0.5


def test_weights_of_another_layout_are_refused(tmp_path):
    if not YOLOX.is_file():
        pytest.skip(f"{YOLOX} is not there")
    pictures = torch.rand(1, 3, 64, 64)
    with pytest.raises(ModelError, match="expected"):
        load_yolox_nano(Detector(SMALL), YOLOX, pictures)
    (tmp_path / "no.onnx").write_bytes(b"nothing")
    with pytest.raises(ModelError, match="cannot be read as ONNX"):
        load_yolox_nano(Detector(DetectorConfig(("product",))), tmp_path / "no.onnx", pictures)
