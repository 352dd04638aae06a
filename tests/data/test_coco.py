"""COCO files of many makers are read; what is broken is one clear error."""

import json
import os
from pathlib import Path

import pytest

from shelfvision.data.coco import read_coco
from shelfvision.data.open_dataset import dataset_splits, open_dataset
from shelfvision.errors import DataError
from tests.data.builders import save

DATA = Path(os.environ.get("SHELFVISION_DATA", Path(__file__).parents[2] / "../shared/data"))


def document(**changes):
    base = {
        "images": [{"id": 7, "file_name": "a.png", "width": 64, "height": 48}],
        "categories": [{"id": 3, "name": "can"}, {"id": 90, "name": "box"}],
        "annotations": [{"id": 1, "image_id": 7, "category_id": 90, "bbox": [1, 2, 30, 20], "iscrowd": 0}],
    }
    return base | changes


@pytest.fixture
def written(tmp_path):
    def write(value, name="annotations.json"):
        path = tmp_path / name
        path.write_text(value if isinstance(value, str) else json.dumps(value))
        return path

    return write


def annotation(**changes):
    return {"id": 1, "image_id": 7, "category_id": 3, "bbox": [1, 2, 30, 20]} | changes


def test_category_ids_need_not_be_contiguous(written):
    dataset = read_coco(written(document()))
    assert dataset.labels == ("can", "box")
    (one,) = dataset.pictures
    assert one.label.tolist() == [1]
    assert one.xyxy.tolist() == [[1, 2, 31, 22]]
    assert not one.ignore.any()


@pytest.mark.parametrize("mark", [{"iscrowd": 1}, {"ignore": True}, {"ignore": 1}, {"hard": True}])
def test_boxes_that_do_not_count_are_ignore_regions(written, mark):
    (one,) = read_coco(written(document(annotations=[annotation(**mark), annotation(id=2)]))).pictures
    assert one.ignore.tolist() == [True, False]


@pytest.mark.parametrize(
    "changes",
    [
        {
            "categories": [{"id": 3, "name": "can"}, {"id": 4, "name": "box"}, {"id": 5, "name": "ignore"}],
            "annotations": [annotation(category_id=5)],
        },
        {
            "images": [{"id": 7, "file_name": "a.png", "width": 64, "height": 48, "ignore_regions": [[1, 2, 30, 20]]}],
            "annotations": [],
        },
        {"ignore_regions": [{"image_id": 7, "bbox": [1, 2, 30, 20]}], "annotations": []},
    ],
)
def test_a_region_of_no_class_is_ignored_for_every_class(written, changes):
    dataset = read_coco(written(document(**changes)))
    assert dataset.labels == ("can", "box")
    (one,) = dataset.pictures
    assert one.ignore.tolist() == [True, True]
    assert sorted(one.label.tolist()) == [0, 1]
    assert one.xyxy.tolist() == [[1, 2, 31, 22]] * 2


def test_the_size_is_read_from_the_picture_when_the_file_has_none(written, tmp_path):
    save(tmp_path / "a.png", (50, 40))
    (one,) = read_coco(written(document(images=[{"id": 7, "file_name": "a.png"}]))).pictures
    assert one.size == (50, 40)


def test_a_polygon_stands_in_for_a_box_that_is_left_out(written):
    shape = annotation(segmentation=[[10, 10, 20, 12, 15, 30]])
    del shape["bbox"]
    (one,) = read_coco(written(document(annotations=[shape]))).pictures
    assert one.xyxy.tolist() == [[10, 10, 20, 30]]


@pytest.mark.parametrize(
    ("file", "picture"),
    [
        ("annotations.json", "a.png"),
        ("annotations.json", "images/a.png"),
        ("annotations/instances_train2017.json", "train2017/a.png"),
        ("annotations/instances_train.json", "images/train/a.png"),
        ("annotations/anything.json", "images/a.png"),
        ("train/_annotations.coco.json", "train/a.png"),
    ],
)
def test_pictures_are_found_in_the_usual_places(tmp_path, file, picture):
    path = tmp_path / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document()))
    save(tmp_path / picture)
    assert read_coco(path).pictures[0].path == tmp_path / picture
    assert open_dataset(tmp_path).pictures[0].path == tmp_path / picture


def test_a_given_folder_of_pictures_wins(written, tmp_path):
    save(tmp_path / "a.png")
    assert read_coco(written(document()), images=tmp_path / "other").pictures[0].path == tmp_path / "other/a.png"


def test_splits_are_the_files_of_a_folder(tmp_path):
    for name in ("instances_train2017", "instances_val2017", "captions_val2017"):
        path = tmp_path / "annotations" / f"{name}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(document()))
    assert dataset_splits(tmp_path) == ("train2017", "val2017")
    assert len(open_dataset(tmp_path, split="val2017")) == 1


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", r"line 1, column 1: not JSON"),
        ('{"images": [', "line 1, column 13: not JSON"),
        ('{"images": [NaN]}', "NaN is no JSON number"),
        ("[" * 100_000, "nested too deep"),
        ("[]", "no COCO file"),
        ({"images": {}}, "no COCO file"),
        (document(annotations={"a": 1}), "annotations is no list of objects"),
        (document(annotations=[3]), "annotations is no list of objects"),
        (document(categories=[{"id": 3}]), "a category needs id and name"),
        (document(categories=[{"id": 3, "name": "a"}, {"id": 3, "name": "b"}]), "category id 3 stands there twice"),
        (document(categories=[{"id": 3, "name": "a"}, {"id": 90, "name": "a"}]), "class names come twice: a"),
        (document(images=[{"id": 7}]), "an image needs id and file_name"),
        (document(images=document()["images"] * 2), "image id 7 stands there twice"),
        (document(images=[document()["images"][0] | {"width": -1}]), r"size -1 x 48"),
        (document(images=[{"id": 7, "file_name": "a.png"}]), r"a\.png: no such picture"),
        (document(annotations=[annotation(image_id=8)] * 3), "annotation 1 names image 8 and 2 more: an image that"),
        (document(annotations=[annotation(image_id=[7])]), "names image a list of 1"),
        (document(annotations=[annotation(category_id=4)]), "annotation 1 names category 4: a category that"),
        (document(annotations=[annotation(bbox=[1, 2, 3])]), "bbox is a list of 3"),
        (document(annotations=[annotation(bbox=[1, 2, 3, "4"])]), "annotation 1: bbox"),
        (document(annotations=[annotation(bbox=None)]), "bbox is nothing"),
        (json.dumps(document(annotations=[annotation(bbox=[12345, 2, 3, 4])])).replace("12345", "1e999"), "1: bbox"),
    ],
)
def test_a_broken_file_is_one_clear_error(written, content, words):
    with pytest.raises(DataError, match=words) as caught:
        read_coco(written(content))
    assert "\n" not in str(caught.value)
    assert "annotations.json" in str(caught.value) or "a.png" in str(caught.value)


def test_all_faults_can_be_collected(written):
    broken = document(annotations=[annotation(image_id=8), annotation(id=2, bbox=[]), annotation(id=3)])
    faults = []
    dataset = read_coco(written(broken), report=faults.append)
    assert len(faults) == 2
    assert len(dataset.pictures[0]) == 1


def test_real_shelf_photograph():
    """75 products and a gap are labelled; hard ones and the regions of class ignore do not count."""
    path = DATA / "shelf_photos"
    if not path.is_dir():
        pytest.skip("no shelf_photos in $SHELFVISION_DATA")
    dataset = open_dataset(path)
    assert dataset.labels == ("product", "gap")
    (one,) = dataset.pictures
    document = json.loads((path / "annotations.json").read_text())
    counted = [item for item in document["annotations"] if item["category_id"] != 3 and not item.get("hard")]
    assert int((~one.ignore).sum()) == len(counted)
    assert one.path.is_file()
