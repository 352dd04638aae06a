"""Classes are renamed, merged, left out and put in a model's order."""

import numpy as np
import pytest

from shelfvision.data.dataset import Dataset
from shelfvision.data.relabel import align_labels, parse_mapping, relabel
from shelfvision.errors import DataError
from tests.data.builders import picture

BOXES = [(1, 2, 30, 40), (5, 6, 20, 20), (7, 8, 60, 40)]


@pytest.fixture
def dataset(tmp_path):
    return Dataset(("cola", "zero", "hand"), (picture(tmp_path / "a.png", BOXES, labels=[0, 1, 2]),))


def test_classes_are_merged(dataset):
    merged = relabel(dataset, {"cola": "product", "zero": "product"})
    assert merged.labels == ("product", "hand")
    assert merged.pictures[0].label.tolist() == [0, 0, 1]
    assert np.array_equal(merged.pictures[0].xyxy, dataset.pictures[0].xyxy)


def test_a_star_stands_for_all_others(dataset):
    assert relabel(dataset, {"*": "product", "hand": "hand"}).labels == ("product", "hand")


def test_a_class_can_be_left_out(dataset):
    left = relabel(dataset, {"zero": ""})
    assert left.labels == ("cola", "hand")
    assert left.pictures[0].label.tolist() == [0, 1]
    assert left.pictures[0].xyxy.tolist() == [list(BOXES[0]), list(BOXES[2])]


def test_ignore_regions_of_merged_classes_become_one(tmp_path):
    regions = picture(tmp_path / "a.png", [BOXES[0], BOXES[0], BOXES[1]], labels=[0, 1, 0], ignore=[True, True, False])
    merged = relabel(Dataset(("a", "b"), (regions,)), {"a": "b"}).pictures[0]
    assert merged.ignore.tolist() == [True, False]


def test_words_become_a_mapping():
    assert parse_mapping(["a=b", " *= c", "d="]) == {"a": "b", "*": "c", "d": ""}
    for words, said in ((["a"], "expected OLD=NEW"), (["=b"], "expected OLD=NEW"), (["a=b", "a=c"], "mapped twice")):
        with pytest.raises(DataError, match=said):
            parse_mapping(words)


def test_a_class_that_is_not_there_is_an_error(dataset):
    with pytest.raises(DataError, match=r"no class cole.*cola.*; there are: cola, zero, hand"):
        relabel(dataset, {"cole": "product"})


def test_labels_are_put_in_a_models_order(dataset):
    aligned = align_labels(dataset, ("product", "hand", "zero", "cola"))
    assert aligned.labels == ("product", "hand", "zero", "cola")
    assert aligned.pictures[0].label.tolist() == [3, 2, 1]


def test_a_class_with_boxes_that_the_model_lacks_is_an_error(dataset):
    with pytest.raises(DataError, match="has boxes of cola, zero, which are not among the classes hand"):
        align_labels(dataset, ("hand",))
    assert align_labels(relabel(dataset, {"cola": "", "zero": ""}), ("hand",)).labels == ("hand",)
