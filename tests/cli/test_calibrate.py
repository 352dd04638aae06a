"""`shelfvision calibrate`: the files that it writes load, and nothing found is refused."""

from __future__ import annotations

from pathlib import Path

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


def test_a_drawing_that_is_there_is_not_overwritten_unasked(model, tmp_path, capsys):
    cv2.imwrite(str(tmp_path / "shelf.png"), shelf())
    (tmp_path / "site-slots.png").write_text("mine")
    assert calibrate(model, tmp_path / "shelf.png", tmp_path / "site.yaml") == 2
    assert "site-slots.png: there already" in capsys.readouterr().err
    assert [path.name for path in tmp_path.glob("site*")] == ["site-slots.png"]


@pytest.mark.parametrize("words", [[], ["--overwrite"]])
def test_the_picture_itself_is_never_written_over(model, tmp_path, monkeypatch, words, capsys):
    picture = tmp_path / "site-slots.png"
    cv2.imwrite(str(picture), shelf())
    before = picture.read_bytes()
    monkeypatch.chdir(tmp_path)
    assert calibrate(model, "site-slots.png", tmp_path / "site.yaml", *words) == 2
    assert "is the picture itself" in capsys.readouterr().err
    assert picture.read_bytes() == before


@pytest.mark.parametrize("out", ["site.yaml", "sites/site.yaml", "linked/site.yaml"])
def test_a_video_is_found_from_wherever_the_site_file_stands(model, tmp_path, monkeypatch, out):
    (tmp_path / "videos").mkdir()
    (tmp_path / "sites" / "deep").mkdir(parents=True)
    (tmp_path / "linked").symlink_to(tmp_path / "sites" / "deep")
    write_video(tmp_path / "videos" / "shelf.avi", [shelf()], codec="rawvideo")
    cv2.imwrite(str(tmp_path / "shelf.png"), shelf())
    monkeypatch.chdir(tmp_path)
    for source, words in (("videos/shelf.avi", []), ("shelf.png", ["--camera-source", "videos/shelf.avi"])):
        assert calibrate(model, source, out, *words, "--overwrite") == 0
        (camera,) = load_site(tmp_path / out).cameras
        assert Path(camera.source).samefile("videos/shelf.avi")
    assert str(tmp_path) not in (tmp_path / out).read_text()


@pytest.mark.parametrize("source", ["rtsp://camera.local/1", "usb:1", "sim:aisle?seed=1", "/footage/shelf.avi"])
def test_sources_that_are_the_same_from_everywhere_stay_as_they_are(model, tmp_path, source):
    cv2.imwrite(str(tmp_path / "shelf.png"), shelf())
    assert calibrate(model, tmp_path / "shelf.png", tmp_path / "site.yaml", "--camera-source", source) == 0
    assert load_site(tmp_path / "site.yaml").cameras[0].source == source


@pytest.mark.parametrize("name", ["Ünï 📷", "caf\udce9"])
def test_names_beyond_ascii_load_again(model, tmp_path, name, capsys):
    cv2.imwrite(str(tmp_path / "shelf.png"), shelf())
    picture = (tmp_path / "shelf.png").rename(tmp_path / f"{name}.png")
    assert calibrate(model, picture, tmp_path / f"{name}.yaml") == 0
    assert len(load_site(tmp_path / f"{name}.yaml").catalogue) == 2
    assert f"{name}-slots.png".encode(errors="backslashreplace").decode() in capsys.readouterr().out


def test_a_camera_source_beyond_ascii_loads_again(model, tmp_path):
    video = write_video(tmp_path / "📷.avi", [shelf()], codec="rawvideo")
    assert calibrate(model, video, tmp_path / "site.yaml") == 0
    assert load_site(tmp_path / "site.yaml").cameras[0].source == str(video)


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
