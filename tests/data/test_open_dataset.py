"""What is there decides the format; what is not there is said."""

import json

import pytest

from shelfvision.data.open_dataset import dataset_format, open_dataset
from shelfvision.errors import DataError
from tests.data.builders import save


def test_nothing_there(tmp_path):
    with pytest.raises(DataError, match="no such file or folder"):
        open_dataset(tmp_path / "gone")
    with pytest.raises(DataError, match="no dataset found there: expected a COCO"):
        open_dataset(tmp_path)
    save(tmp_path / "a.png")
    with pytest.raises(DataError, match="no dataset found there"):
        open_dataset(tmp_path / "a.png")
    with pytest.raises(DataError, match="no voc found there"):
        open_dataset(tmp_path, format="voc")
    with pytest.raises(DataError, match="format 'tfrecord' is unknown"):
        open_dataset(tmp_path, format="tfrecord")


def test_two_formats_in_one_folder_must_be_told_apart(tmp_path):
    save(tmp_path / "a.png")
    (tmp_path / "a.xml").write_text("<annotation><size><width>64</width><height>48</height></size></annotation>")
    coco = {"images": [{"id": 1, "file_name": "a.png", "width": 64, "height": 48}], "categories": [], "annotations": []}
    (tmp_path / "annotations.json").write_text(json.dumps(coco))
    with pytest.raises(DataError, match="looks like coco and voc; say which"):
        open_dataset(tmp_path)
    assert len(open_dataset(tmp_path, format="voc")) == 1
    assert dataset_format(tmp_path / "annotations.json") == "coco"


def test_notes_and_settings_beside_a_dataset_are_no_second_one(tmp_path):
    """Label Studio's YOLO export has a notes.json with categories; data under version control has a dvc.yaml."""
    save(tmp_path / "images/a.png")
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels/a.txt").write_text("0 0.5 0.5 0.5 0.5\n")
    (tmp_path / "classes.txt").write_text("can\n")
    (tmp_path / "notes.json").write_text('{"categories": [{"id": 0, "name": "can"}], "info": {"year": 2026}}')
    assert dataset_format(tmp_path) == "yolo"
    (tmp_path / "classes.txt").unlink()
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    many = [{"id": number, "name": f"class {number}"} for number in range(60_000)]  # the other lists come after 1 MB
    coco = {"categories": many, "images": [{"id": 1, "file_name": "a.png", "width": 64, "height": 48}]}
    (tmp_path / "annotations.json").write_text(json.dumps(coco))
    assert dataset_format(tmp_path) == "coco"


def test_other_json_files_are_no_datasets(tmp_path):
    (tmp_path / "recipe.json").write_text('{"seed": 1}')
    (tmp_path / "a.xml").write_text("<annotation><size><width>64</width><height>48</height></size></annotation>")
    assert dataset_format(tmp_path) == "voc"
