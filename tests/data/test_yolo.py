"""YOLO folders of many makers are read; what is broken is one clear error."""

import numpy as np
import pytest

from shelfvision.data.open_dataset import dataset_splits, open_dataset
from shelfvision.data.yolo import read_yolo
from shelfvision.errors import DataError
from tests.data.builders import save


def put(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.fixture
def folder(tmp_path):
    """data.yaml with a picture in train and one in val, labels as given."""

    def make(lines="0 0.5 0.5 0.25 0.5\n", yaml="train: images/train\nval: images/val\nnames: [can, box]\n"):
        put(tmp_path / "data.yaml", yaml)
        save(tmp_path / "images/train/a.png")
        save(tmp_path / "images/val/b.png")
        put(tmp_path / "labels/train/a.txt", lines)
        put(tmp_path / "labels/val/b.txt", "")
        return tmp_path

    return make


def test_fractions_become_pixels(folder):
    (one,) = open_dataset(folder("1 0.5 0.5 0.25 0.5\n\n"), split="train").pictures
    assert one.xyxy.tolist() == [[24, 12, 40, 36]]
    assert one.label.tolist() == [1]


def test_a_polygon_is_reduced_to_its_box(folder):
    (one,) = open_dataset(folder("0 0.25 0.25 0.75 0.25 0.5 0.75\n"), split="train").pictures
    assert one.xyxy.tolist() == [[16, 12, 48, 36]]


def test_a_picture_without_a_label_file_is_a_negative(folder):
    save(folder() / "images/train/bare.png")
    assert [len(one) for one in open_dataset(folder(), split="train")] == [1, 0]


def test_labels_in_the_wrong_place_do_not_make_a_split_of_negatives(folder):
    place = folder()
    (place / "labels/train").rename(place / "labels/Training")
    with pytest.raises(DataError, match=r"none of the 1 pictures of train has a label file \(expected .*train/a\.txt"):
        open_dataset(place, split="train")
    found = []
    assert len(open_dataset(place, split="train", report=found.append)) == 1
    assert len(found) == 1


def test_labels_beside_their_pictures_count_below_a_folder_called_images(tmp_path):
    save(tmp_path / "images/store/a.png")
    put(tmp_path / "images/store/a.txt", "0 0.5 0.5 0.25 0.5\n")
    put(tmp_path / "images/store/data.yaml", "train: .\nnames: [can]\n")
    assert len(open_dataset(tmp_path / "images/store").pictures[0]) == 1


def test_a_labelled_picture_of_a_foreign_kind_is_said_and_hidden_folders_are_passed_over(folder):
    place = folder()
    put(place / "images/train/b.heic", "")
    put(place / "labels/train/b.txt", "0 0.5 0.5 0.25 0.5\n")
    save(place / "images/train/.ipynb_checkpoints/a-checkpoint.png")
    put(place / "images/train/notes.json", "{}")
    found = []
    assert [one.path.name for one in open_dataset(place, split="train", report=found.append)] == ["a.png"]
    assert len(found) == 1
    assert "b.heic: has labels, but is of no kind of picture that is read" in found[0]


def test_boxes_of_a_class_called_ignore_are_regions(folder):
    place = folder("0 0.5 0.5 0.25 0.5\n1 0.25 0.25 0.5 0.5\n", "train: images/train\nnames: [can, Ignore, box]\n")
    dataset = open_dataset(place)
    assert dataset.labels == ("can", "box")
    (one,) = dataset.pictures
    assert one.label.tolist() == [0, 0, 1]
    assert one.ignore.tolist() == [False, True, True]
    assert one.xyxy.tolist() == [[24, 12, 40, 36], [0, 0, 32, 24], [0, 0, 32, 24]]


def test_a_folder_of_pictures_may_have_one_for_each_split(folder, tmp_path):
    place = folder()
    save(tmp_path / "new/images/val/c.png")
    put(tmp_path / "new/labels/val/c.txt", "")
    (one,) = open_dataset(place, images=tmp_path / "new/images", split="val").pictures
    assert one.path.name == "c.png"


def test_fractions_are_of_the_upright_picture(tmp_path, folder):
    from PIL import Image

    made = Image.new("RGB", (64, 48))
    exif = made.getexif()
    exif[274] = 6
    place = folder() / "images/train"
    (place / "a.png").unlink()
    made.save(place / "a.jpg", exif=exif)
    (one,) = open_dataset(tmp_path, split="train").pictures
    assert one.size == (48, 64)
    np.testing.assert_allclose(one.xyxy, [[18, 16, 30, 48]])


@pytest.mark.parametrize(
    "yaml",
    [
        "path: .\ntrain: images/train\nval: images/val\nnames: {0: can, 1: box}\nnc: 2\n",
        "path: /nowhere/datasets/shelf\ntrain: images/train\nvalid: images/val\nnames: [can, box]\n",
        "train: ../images/train\nval: ../images/val\nnames: [can, box]\n",  # as Roboflow writes it
        "train: [images/train]\nval: val.txt\nnames: [can, box]\n",
    ],
)
def test_the_dialects_of_data_yaml(folder, yaml, tmp_path):
    put(tmp_path / "val.txt", "images/val/b.png\n")
    place = folder(yaml=yaml)
    assert dataset_splits(place) == ("train", "val")
    for split, name in (("train", "a.png"), ("val", "b.png")):
        dataset = open_dataset(place, split=split)
        assert dataset.labels == ("can", "box")
        assert [one.path.name for one in dataset] == [name]


def test_the_same_pictures_for_train_and_val_are_one_split(folder):
    assert dataset_splits(folder(yaml="train: images/train\nval: images/train\nnames: [can]\n")) == ("train",)


def test_classes_txt_is_enough(tmp_path):
    save(tmp_path / "images/a.png")
    put(tmp_path / "labels/a.txt", "1 0.5 0.5 0.25 0.5\n")
    put(tmp_path / "classes.txt", "can\nbox\n")
    dataset = open_dataset(tmp_path)
    assert dataset.labels == ("can", "box")
    assert dataset.pictures[0].label.tolist() == [1]


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ("0 0.5 0.5 0.25\n", "line 1: 4 values, expected 5"),
        ("0 0.5 0.5 0.25 0.5\n0 0.5 0.5 0.25 0.5 0.3\n", "line 2: 6 values"),
        ("0 0.5 0.5 0.25 0.5 0.1 0.2 0.3\n", "line 1: 8 values"),
        ("can 0.5 0.5 0.25 0.5\n", "line 1: not numbers"),
        ("0 0.5 0.5 0.25 half\n", "line 1: not numbers"),
        ("0 0.5 0.5 nan 0.5\n", "line 1: .* no fractions"),
        ("0 32 24 16 24\n", r"line 1: '32 24 16 24' are no fractions of the picture \(pixels\?\)"),
        ("2 0.5 0.5 0.25 0.5\n", r"line 1: class 2, but there are 2 names"),
        ("-1 0.5 0.5 0.25 0.5\n", "line 1: class -1"),
        ("0.5 0.5 0.5 0.25 0.5\n", "line 1: class is 0.5, expected a whole number"),
    ],
)
def test_a_broken_label_is_one_clear_error(folder, lines, words):
    with pytest.raises(DataError, match=rf"a\.txt {words}") as caught:
        open_dataset(folder(lines), split="train")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("yaml", "words"),
    [
        ("", "no YOLO dataset"),
        ("train: [\n", "not valid YAML"),
        ("train: images/train\n", "names is nothing"),
        ("train: images/train\nnames: can\n", "names is 'can'"),
        ("train: images/train\nnames: {0: can, 2: box}\n", "names has the keys 0, 2, expected 0 to 1"),
        ("train: images/train\nnames: [can]\nnc: 2\n", "nc is 2, but there are 1 names"),
        ("train: images/train\nnames: [can, can]\n", "class names come twice: can"),
        ("names: [can]\n", "names neither train, val nor test"),
        ("train: 5\nnames: [can]\n", "train is 5, expected a folder"),
        ("train: images/gone\nnames: [can]\n", "images/gone: no such folder or list of pictures"),
    ],
)
def test_a_broken_description_is_one_clear_error(folder, yaml, words):
    place = folder(yaml=yaml)
    with pytest.raises(DataError, match=words) as caught:
        read_yolo(place / "data.yaml")
    assert "\n" not in str(caught.value)


def test_a_folder_without_pictures_and_a_broken_picture_are_said(folder, tmp_path):
    place = folder()
    (place / "images/val/b.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"b\.png: cannot be read as a picture"):
        open_dataset(place, split="val")
    (place / "images/val/b.png").unlink()
    with pytest.raises(DataError, match="no pictures in it"):
        open_dataset(place, split="val")
