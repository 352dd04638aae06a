"""`shelfvision detect`: JSON, drawn pictures, tiles, pictures that cannot be read."""

from __future__ import annotations

import json
import os
import resource
import struct
import zlib
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest

from shelfvision.cli.main import main
from shelfvision.edge.detector import OnnxDetector
from tests.edge.marker_model import paint, painted_box, write_model


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return str(write_model(tmp_path_factory.mktemp("model")))


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "shelf.png"
    cv2.imwrite(str(path), paint((256, 192), (4, 5, 30, 40, 0.8), (20, 10, 21, 16, 0.5), (12, 18, 20, 20, 0.2)))
    return path


def detect(*words) -> int:
    return main(["detect", *map(str, words), "--runtime", "onnxruntime", "--threads", "1"])


def test_the_json_has_the_contracts_form_and_every_box_that_the_model_gives(model, picture, tmp_path, capsys):
    assert detect(model, picture, "--json", tmp_path / "out.json") == 0
    document = json.loads((tmp_path / "out.json").read_text())
    (image,) = document["images"]
    assert list(document) == ["images"]
    assert list(image) == ["image", "detections"]
    assert image["image"] == str(picture)
    assert image["detections"] == [
        {"label": "product", "score": pytest.approx(0.8, abs=0.01), "xyxy": painted_box(4, 5, 30, 40)},
        {"label": "gap", "score": pytest.approx(0.5, abs=0.01), "xyxy": painted_box(20, 10, 21, 16)},
        {"label": "product", "score": pytest.approx(0.2, abs=0.01), "xyxy": painted_box(12, 18, 20, 20)},
    ]
    assert "1 product, 1 gap" in capsys.readouterr().out, "counted are those that are believed"


def test_a_least_score_holds_for_all_outputs(model, picture, capsys):
    assert detect(model, picture, "--json", "-", "--least-score", "0.6") == 0
    document = json.loads(capsys.readouterr().out)
    assert [each["label"] for each in document["images"][0]["detections"]] == ["product"]


def test_drawn_pictures_show_boxes_and_have_names_of_their_own(model, tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        cv2.imwrite(str(tmp_path / folder / "x.png"), paint((256, 192), (4, 5, 30, 40, 0.8)))
    assert detect(model, tmp_path / "a", tmp_path / "b", "--annotated", tmp_path / "drawn") == 0
    drawn = sorted((tmp_path / "drawn").iterdir())
    assert len(drawn) == 2
    image = cv2.imread(str(drawn[0]))
    assert image.shape[1] == 768, "small ones are enlarged"
    colour = np.array([115, 158, 0])
    assert (np.abs(image.astype(int) - colour).max(axis=2) < 20).sum() > 200


def test_unreadable_pictures_are_told_and_the_others_done(model, picture, tmp_path, capsys):
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no more")
    bomb = tmp_path / "bomb.png"
    chunk = b"IHDR" + struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    bomb.write_bytes(b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk)))
    code = detect(model, tmp_path / "none.png", tmp_path / "broken.jpg", bomb, picture, "--json", tmp_path / "o.json")
    assert code == 1
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 3
    assert all(line.startswith("error: ") for line in errors)
    images = json.loads((tmp_path / "o.json").read_text())["images"]
    assert [image["image"] for image in images] == [str(picture)]


@pytest.fixture
def folder(tmp_path):
    """Three pictures."""
    path = tmp_path / "shelves"
    path.mkdir()
    for name in ("a.png", "b.png", "c.png"):
        cv2.imwrite(str(path / name), paint((256, 192), (4, 5, 30, 40, 0.8)))
    return path


def images_in(path) -> list[str]:
    return [Path(image["image"]).name for image in json.loads(path.read_text())["images"]]


def test_no_input_is_written_over(model, folder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    before = {path: path.read_bytes() for path in [*folder.iterdir(), *Path(model).parent.iterdir()]}
    (tmp_path / "link").symlink_to(folder)
    for words in (
        ["a.png", "--annotated", "."],
        [folder / "b.png", "--annotated", tmp_path / "link"],
        ["a.png", "--json", tmp_path / "link" / "a.png"],
        [folder, "--json", "c.png"],
        ["a.png", "--json", model],
        ["a.png", "--json", Path(model).with_suffix(".json")],
        [folder, "--annotated", "."],
    ):
        assert detect(model, *words) == 2, words
        (line,) = capsys.readouterr().err.splitlines()
        assert "--annotated" in line
    assert {path: path.read_bytes() for path in before} == before
    assert len(list(folder.iterdir())) == 3


def test_drawings_in_a_searched_folder_are_not_looked_at_the_next_time(model, folder, tmp_path):
    for _ in range(2):
        assert detect(model, folder, "--annotated", folder / "drawn", "--json", tmp_path / "o.json") == 0
        assert images_in(tmp_path / "o.json") == ["a.png", "b.png", "c.png"]
    assert sorted(path.name for path in (folder / "drawn").iterdir()) == ["a.png", "b.png", "c.png"]


@pytest.mark.parametrize(("fault", "code"), [(KeyboardInterrupt, 130), (ZeroDivisionError, 3)])
def test_what_was_found_before_the_end_came_is_kept(model, folder, monkeypatch, fault, code):
    seen = []
    out = folder.parent / "o.json"
    real = OnnxDetector.detect

    def detect_two(self, image):
        if len(seen) == 2:
            raise fault
        seen.append(image)
        return real(self, image)

    monkeypatch.setattr(OnnxDetector, "detect", detect_two)
    assert detect(model, folder, "--json", out) == code
    assert images_in(out) == ["a.png", "b.png"]
    assert not list(folder.parent.glob(".*"))


def test_a_drawing_that_cannot_be_written_costs_only_itself(model, folder, tmp_path, capsys):
    (tmp_path / "drawn" / "b.png").mkdir(parents=True)
    assert detect(model, folder, "--annotated", tmp_path / "drawn", "--json", tmp_path / "o.json") == 1
    output = capsys.readouterr()
    (line,) = output.err.splitlines()
    assert "b.png: is a folder" in line
    assert len(output.out.splitlines()) == 3
    assert images_in(tmp_path / "o.json") == ["a.png", "b.png", "c.png"]
    assert (tmp_path / "drawn" / "c.png").is_file()


@contextmanager
def largest_file(size):
    """A disk that is full when a file reaches this many bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_leaves_the_pictures_that_found_room(model, folder, tmp_path, capsys):
    assert detect(model, folder, "--json", tmp_path / "o.json") == 0
    with largest_file((tmp_path / "o.json").stat().st_size - 20):
        assert detect(model, folder, "--json", tmp_path / "o.json") == 1
    assert "o.json: cannot be written" in capsys.readouterr().err
    assert images_in(tmp_path / "o.json") == ["a.png", "b.png"]
    assert detect(model, folder, "--json", "/dev/full") == 1
    assert "/dev/full: cannot be written: No space" in capsys.readouterr().err


def test_a_name_that_is_not_utf8_is_shown_and_written(model, tmp_path, capsys):
    name = os.fsdecode(b"caf\xe9.png")
    (tmp_path / name).write_bytes(cv2.imencode(".png", paint((256, 192), (4, 5, 30, 40, 0.8)))[1].tobytes())
    assert detect(model, tmp_path / name, "--json", tmp_path / "o.json", "--annotated", tmp_path / "drawn") == 0
    assert r"caf\udce9.png: 1 product" in capsys.readouterr().out
    assert images_in(tmp_path / "o.json") == [name]
    assert (tmp_path / "drawn" / name).is_file()


@pytest.mark.parametrize("tiles", ["off", "auto", "2x2", "3X1"])
def test_tiles_keep_what_is_whole(model, picture, tiles, tmp_path):
    assert detect(model, picture, "--json", tmp_path / "o.json", "--tiles", tiles, "--size", "256") == 0
    assert json.loads((tmp_path / "o.json").read_text())["images"][0]["detections"] or tiles in {"2x2", "3X1"}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--tiles", "2"], "COLUMNSxROWS"),
        (["--tiles", "0x2"], "COLUMNSxROWS"),
        (["--size", "100"], "multiple of 32"),
        (["--json", "none/out.json"], "no folder"),
    ],
)
def test_wrong_options_are_one_line(model, picture, words, says, capsys):
    assert detect(model, picture, *words) in {1, 2}
    (line,) = capsys.readouterr().err.splitlines()
    assert says in line


def test_a_model_that_is_none_is_one_line(picture, tmp_path, capsys):
    assert detect(tmp_path / "no.onnx", picture) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "no such model file" in line
    (tmp_path / "empty").mkdir()
    assert detect(write_model(tmp_path), tmp_path / "empty") == 1
    assert "holds no pictures" in capsys.readouterr().err
