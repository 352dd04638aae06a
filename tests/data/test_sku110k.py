"""SKU-110K's CSV is read as published; what is broken is one clear error with its line."""

import pytest

from shelfvision.data.open_dataset import dataset_splits, open_dataset
from shelfvision.data.sku110k import read_sku110k
from shelfvision.errors import DataError

GOOD = "train_0.jpg,208,537,422,814,object,3024,3024\n"


def put(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_boxes_are_gathered_by_picture(tmp_path):
    path = put(tmp_path / "a.csv", GOOD + "train_1.jpg,1,2,3,4,object,100,200\n" + GOOD.replace("208", "10"))
    dataset = read_sku110k(path)
    assert dataset.labels == ("object",)
    assert [one.path.name for one in dataset] == ["train_0.jpg", "train_1.jpg"]
    assert dataset.pictures[0].xyxy.tolist() == [[208, 537, 422, 814], [10, 537, 422, 814]]
    assert dataset.pictures[1].size == (100, 200)


def test_the_published_layout(tmp_path):
    for split in ("train", "val", "test"):
        put(tmp_path / f"annotations/annotations_{split}.csv", GOOD.replace("train", split))
    assert dataset_splits(tmp_path) == ("test", "train", "val")
    (one,) = open_dataset(tmp_path, split="val").pictures
    assert one.path == tmp_path / "images/val_0.jpg"


def test_a_header_line_is_passed_over(tmp_path):
    path = put(tmp_path / "a.csv", "image_name,x1,y1,x2,y2,class,image_width,image_height\n" + GOOD)
    assert len(read_sku110k(path)) == 1


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("train_0.jpg,1,2,3,4,object,3024", "7 values, expected 8"),
        (GOOD.replace("208", "left").strip(), "x1 is 'left', expected a number"),
        (GOOD.replace("208", "inf").strip(), "x1 is 'inf', expected a number"),
        (GOOD.replace("object", "").strip(), "class is empty"),
        (GOOD.replace("train_0.jpg", "").strip(), "image_name is empty"),
        (GOOD.replace("3024,3024", "0,3024").strip(), "the picture is 0 x 3024"),
        (GOOD.replace("3024,3024", "3024,4032").strip(), "train_0.jpg is 3024 x 4032 here and 3024 x 3024 before"),
        ('"train', "not CSV"),
    ],
)
def test_a_broken_line_is_one_clear_error(tmp_path, line, words):
    path = put(tmp_path / "a.csv", f"{GOOD}{line}\n")
    with pytest.raises(DataError, match=rf"a\.csv line \d: {words}"):
        read_sku110k(path)


def test_an_empty_file_is_one_clear_error(tmp_path):
    with pytest.raises(DataError, match="no boxes in it"):
        read_sku110k(put(tmp_path / "a.csv", ""))
