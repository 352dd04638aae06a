"""`shelfvision calibrate`: the files that it writes load, and nothing found is refused."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from shelfvision.cli.main import main
from shelfvision.site_file import load_site
from tests.edge.footage import write_video
from tests.edge.marker_model import paint, write_model


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return str(write_model(tmp_path_factory.mktemp("model")))


def shelf():
    boxes = [(column, row, 30, 80, 0.9) for row in (7, 19) for column in range(4, 28, 4)]
    return paint((256, 256), *boxes)


def calibrate(model, source, out, *words) -> int:
    return main(["calibrate", str(source), "--out", str(out), "--model", model, "--runtime", "onnxruntime", *words])


def test_a_picture_becomes_a_site_file_that_loads(model, tmp_path, capsys):
    cv2.imwrite(str(tmp_path / "shelf.png"), shelf())
    assert calibrate(model, tmp_path / "shelf.png", tmp_path / "site.yaml") == 0
    site = load_site(tmp_path / "site.yaml")
    (camera,) = site.cameras
    assert camera.size == (256, 256)
    assert sum(slot.facings for slot in camera.slots) == 12
    assert {slot.sku for slot in camera.slots} == {product.sku for product in site.catalogue}
    assert cv2.imread(str(tmp_path / "site-slots.png")).shape[1] >= 960
    assert "on 2 boards, 12 facings" in capsys.readouterr().out


def test_a_camera_source_gives_its_first_picture_and_its_name(model, tmp_path):
    video = write_video(tmp_path / "shelf.avi", [shelf()] * 3, codec="rawvideo")
    assert calibrate(model, video, tmp_path / "site.yaml", "--camera", "aisle") == 0
    (camera,) = load_site(tmp_path / "site.yaml").cameras
    assert (camera.id, camera.source) == ("aisle", str(video))
    assert sum(slot.facings for slot in camera.slots) == 12


def test_nothing_is_overwritten_unasked(model, tmp_path, capsys):
    cv2.imwrite(str(tmp_path / "shelf.png"), shelf())
    (tmp_path / "site.yaml").write_text("mine")
    assert calibrate(model, tmp_path / "shelf.png", tmp_path / "site.yaml") == 2
    assert "--overwrite" in capsys.readouterr().err
    assert (tmp_path / "site.yaml").read_text() == "mine"
    assert calibrate(model, tmp_path / "shelf.png", tmp_path / "site.yaml", "--overwrite") == 0
    load_site(tmp_path / "site.yaml")


def test_nothing_found_is_refused_and_nothing_written(model, tmp_path, capsys):
    cv2.imwrite(str(tmp_path / "wall.png"), np.zeros((256, 256, 3), np.uint8))
    assert calibrate(model, tmp_path / "wall.png", tmp_path / "site.yaml") == 1
    assert "no products found" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["wall.png"]


@pytest.mark.parametrize(
    ("words", "says"),
    [(["--camera", "a b"], "--camera"), (["--tiles", "x"], "--tiles"), (["--model", "no.onnx"], "no.onnx")],
)
def test_wrong_options_are_one_line(model, tmp_path, words, says, capsys):
    cv2.imwrite(str(tmp_path / "shelf.png"), shelf())
    assert calibrate(model, tmp_path / "shelf.png", tmp_path / "site.yaml", *words) in {1, 2}
    (line,) = capsys.readouterr().err.splitlines()
    assert says in line
