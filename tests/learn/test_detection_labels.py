"""Classes of the detector and of the data are brought together by name."""

import pytest

from shelfvision.errors import DataError, UsageError
from shelfvision.learn.detection_labels import bring_together
from tests.learn.labelled import dataset, found, picture

BOX, FAR = (100, 100, 200, 200), (300, 300, 400, 400)


def test_equal_names_in_another_order():
    judged = bring_together(
        dataset(picture(BOX, (*FAR, 1))), [found((*BOX, 0.9, 1), (*FAR, 0.8, 0))], ["gap", "product"]
    )
    assert judged.dataset.labels == ("product", "gap")
    assert judged.found[0].label.tolist() == [0, 1]
    assert not judged.not_judged


def test_many_classes_of_the_data_count_as_one():
    truth = dataset(picture(BOX, (*FAR, 1), (0, 0, 9, 9, 2)), labels=("cola", "tea", "hand"))
    answers = [found((*BOX, 0.9), (*FAR, 0.8))]
    judged = bring_together(truth, answers, ["product", "hand"], {"*": "product"})
    assert judged.dataset.labels == ("product", "hand")
    assert judged.dataset.pictures[0].label.tolist() == [0, 0, 1]
    by_name = bring_together(truth, answers, ["product", "hand"], {"cola": "product", "tea": "product"})
    assert by_name.dataset.pictures[0].label.tolist() == [0, 0, 1]


def test_classes_of_the_detector_can_be_renamed_too():
    judged = bring_together(dataset(picture(BOX)), [found((*BOX, 0.9))], ["bottle"], {"bottle": "product", "gap": ""})
    assert judged.found[0].label.tolist() == [0]
    assert judged.dataset.labels == ("product",)


def test_a_class_can_be_left_out_and_is_counted():
    judged = bring_together(dataset(picture(BOX, (*FAR, 1))), [found((*BOX, 0.9))], ["product"], {"gap": ""})
    assert len(judged.dataset.pictures[0]) == 1
    assert judged.left_out == {"gap": 1}


def test_classes_that_the_data_does_not_label_are_not_judged_but_counted():
    judged = bring_together(
        dataset(picture(BOX), labels=("product",)), [found((*BOX, 0.9), (*FAR, 0.8, 1))], ["product", "hand"]
    )
    assert len(judged.found[0]) == 1
    assert judged.not_judged == {"hand": 1}


def test_true_boxes_of_a_class_that_the_detector_does_not_know_are_an_error():
    with pytest.raises(
        DataError, match=r"classes that the detector does not know: gap; it knows product.*--labels gap="
    ):
        bring_together(dataset(picture((*BOX, 1))), [found()], ["product"])


def test_a_class_without_boxes_may_be_unknown():
    judged = bring_together(dataset(picture(BOX)), [found((*BOX, 0.9))], ["product"])
    assert judged.dataset.labels == ("product", "gap")


def test_classes_that_were_only_not_found_are_no_error():
    judged = bring_together(dataset(picture((*BOX, 1))), [found((*BOX, 0.9))], ["product"], complete=False)
    assert judged.dataset.labels == ("product", "gap")
    with pytest.raises(DataError, match="does not know: product"):
        bring_together(dataset(picture(BOX)), [found((*BOX, 0.9))], ["bottle"], complete=False)


def test_a_name_that_neither_side_has_is_wrong_usage():
    with pytest.raises(UsageError, match=r"'prodct' is a class of neither.*did you mean 'product'"):
        bring_together(dataset(picture(BOX)), [found()], ["product"], {"prodct": "product"})


def test_nothing_left_is_an_error():
    with pytest.raises(DataError, match="no class is left to judge"):
        bring_together(dataset(picture(BOX)), [found()], ["product", "gap"], {"product": None, "gap": ""})
