"""Detections from files that other programs wrote."""

import json
from pathlib import Path

import pytest

from shelfvision.data.coco import read_coco
from shelfvision.errors import DataError
from shelfvision.learn.detections_file import read_detections
from tests.learn.labelled import dataset, picture

BOX = (100, 100, 200, 200)
ITEM = {"label": "product", "score": 0.5, "xyxy": [1, 2, 3, 4]}


@pytest.fixture
def read(tmp_path):
    """Reads a document that stands in a file, for two pictures of two folders with one name."""
    truth = dataset(picture(BOX, name="left/a.jpg"), picture(BOX, name="right/a.jpg"), picture(name="b.jpg"))

    def call(document, truth=truth):
        path = tmp_path / "found.json"
        path.write_text(document if isinstance(document, str) else json.dumps(document))
        return read_detections(path, truth)

    return call


def entry(image, *items):
    return {"image": image, "detections": list(items)}


def test_what_the_detect_command_writes(read):
    result = read({"images": [entry("/x/right/a.jpg", ITEM), entry("b.jpg"), entry("left/a.jpg"), entry("other.jpg")]})
    assert [len(detections) for detections in result.found] == [0, 1, 0]
    assert result.found[1].xyxy.tolist() == [[1, 2, 3, 4]]
    assert (result.labels, result.complete, result.other_pictures) == (("product",), False, 1)


def test_the_list_of_classes_may_stand_in_it(read):
    images = [entry("left/a.jpg"), entry("right/a.jpg"), entry("b.jpg", ITEM)]
    result = read({"labels": ["gap", "product"], "images": images})
    assert result.complete
    assert result.found[2].label.tolist() == [1]


@pytest.mark.parametrize(
    ("document", "fault"),
    [
        ("{", "found.json line 1, column 2: not JSON"),
        ({"boxes": []}, "expected what `shelfvision detect --json` writes, or a list of COCO results"),
        ({"images": [1]}, r"images\[0\]: expected an object with image and detections"),
        ({"images": [{"image": "b.jpg"}]}, r"images\[0\]: detections: expected a list, found nothing"),
        ({"images": [entry("b.jpg"), entry("b.jpg")]}, r"images\[1\]: b.jpg stands there twice"),
        ({"images": [entry("b.jpg")]}, r"has no entry for left/a.jpg and 1 more of shelf.json"),
        ({"images": [entry("b.jpg", ITEM | {"score": 7})]}, r"detections\[0\]: score: expected 0 to 1, found 7"),
        ({"images": [entry("b.jpg", ITEM | {"xyxy": [3, 2, 1, 4]})]}, "xyxy: expected x1 <= x2"),
        ({"images": [entry("b.jpg", ITEM | {"xyxy": ["1", 2, 3, 4]})]}, "xyxy: expected x1 <= x2"),
        ({"images": [entry("b.jpg", ITEM | {"label": 3})]}, "label: expected a class name, found 3"),
        ({"labels": ["gap"], "images": [entry("b.jpg", ITEM)]}, "label: expected one of gap, found 'product'"),
        ({"images": [entry("a.jpg", ITEM)]}, "has no entry"),
        ([], "COCO results name pictures by the ids of a COCO file, but shelf.json is none"),
        ('{"images": [NaN]}', "NaN is no JSON number"),
    ],
)
def test_what_is_wrong_is_one_line(read, document, fault):
    with pytest.raises(DataError, match=fault) as raised:
        read(document)
    assert "\n" not in str(raised.value)


@pytest.fixture
def coco(tmp_path):
    """A COCO file with ids of its own."""
    document = {
        "images": [
            {"id": 7, "file_name": "a.jpg", "width": 9, "height": 9},
            {"id": 4, "file_name": "b.jpg", "width": 9, "height": 9},
        ],
        "categories": [{"id": 3, "name": "gap"}, {"id": 90, "name": "product"}],
        "annotations": [],
    }
    (tmp_path / "truth.json").write_text(json.dumps(document))
    return read_coco(tmp_path / "truth.json")


def test_coco_results_are_found_by_the_ids_of_the_coco_file(read, coco):
    result = read([{"image_id": 4, "category_id": 90, "bbox": [1, 2, 3, 4], "score": 0.25}], coco)
    assert [len(detections) for detections in result.found] == [0, 1]
    assert result.found[1].xyxy.tolist() == [[1, 2, 4, 6]]
    assert result.labels[result.found[1].label[0]] == "product"


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"category_id": 5}, r"\[0\]: category_id 5 is not in"),
        ({"image_id": 5}, "none of its image ids is in .*truth.json"),
        ({"bbox": [1, 2]}, r"\[0\]: bbox: expected \[x, y, width, height\]"),
        ({"bbox": [1, 2, -3, 4]}, "expected x1 <= x2"),
    ],
)
def test_wrong_coco_results_are_one_line(read, coco, changes, fault):
    with pytest.raises(DataError, match=fault):
        read([{"image_id": 4, "category_id": 90, "bbox": [1, 2, 3, 4], "score": 0.25} | changes], coco)


def test_no_detections_at_all_are_coco_results_too(read, coco):
    assert [len(detections) for detections in read([], coco).found] == [0, 0]


def test_a_file_that_is_not_there_is_named(coco):
    with pytest.raises(DataError, match=r"no\.json: no such file"):
        read_detections(Path("no.json"), coco)
