"""Scores of detections, against sums done by hand and against faster-coco-eval itself."""

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from faster_coco_eval import COCO, COCOeval_faster
from hypothesis import given, settings
from hypothesis import strategies as st

from shelfvision.core.detections import Detections
from shelfvision.data.coco import coco_document, read_coco
from shelfvision.errors import DataError
from shelfvision.learn import detection_coco
from shelfvision.learn.detection_coco import OVERLAPS
from shelfvision.learn.detection_matching import match, rank
from shelfvision.learn.detection_metrics import best_f1, judge, score
from tests.learn.labelled import dataset, found, picture, random_case

DATA = Path(os.environ.get("SHELFVISION_DATA", Path(__file__).parents[2] / "../shared/data"))
BOX, FAR = (100, 100, 200, 200), (300, 300, 400, 400)


def test_sums_done_by_hand():
    """Three true boxes, four detections: right, false, right, false. Precision 1, 1/2, 2/3, 1/2 at recalls 1/3, 2/3."""
    truth = dataset(picture(BOX, FAR, (0, 0, 50, 50)))
    result = score(truth, [found((*BOX, 0.9), (500, 0, 550, 50, 0.8), (*FAR, 0.7), (500, 100, 550, 150, 0.6))])
    # interpolated precision: 1 up to recall 1/3 (34 of 101 points), 2/3 up to 2/3 (33 points), 0 beyond
    by_hand = (34 * 1 + 33 * 2 / 3) / 101
    assert result.map50 == pytest.approx(by_hand)
    assert result.map50_95 == pytest.approx(by_hand)  # the boxes fit exactly
    assert result.ar300 == result.ar1000 == pytest.approx(2 / 3)
    best = result.classes[0].best
    assert (best.threshold, best.right, best.false, best.missed) == (pytest.approx(0.7), 2, 1, 1)
    assert best.f1 == pytest.approx(2 / 3)
    assert result.count.mean_absolute == 0  # three found above 0.7, three true
    assert result.threshold_chosen


def test_overlap_of_070_counts_at_five_of_ten_overlaps():
    truth = dataset(picture((0, 0, 100, 100)))
    result = score(truth, [found((0, 0, 100, 71, 0.9))])
    assert result.map50 == 1
    assert result.map75 == 0
    assert result.map50_95 == pytest.approx(0.5)


@pytest.mark.parametrize("seed", range(4))
def test_averages_are_those_of_faster_coco_eval(seed):
    """Asked in the library's own way, over the COCO file that we would write."""
    truth, answers = random_case(seed)
    coco = COCO(coco_document(truth))
    rows = [
        {"image_id": at + 1, "category_id": int(label) + 1, "bbox": [x1, y1, x2 - x1, y2 - y1], "score": float(points)}
        for at, detections in enumerate(answers)
        for (x1, y1, x2, y2), points, label in zip(
            detections.xyxy.tolist(), detections.score, detections.label, strict=True
        )
    ]
    reference = COCOeval_faster(coco, coco.loadRes(rows), iouType="bbox")
    reference.run()
    mine = score(truth, answers)
    measured = [mine.map50_95, mine.map50, mine.map75, *(mine.sizes[size].map50_95 for size in mine.sizes)]
    assert measured == pytest.approx(reference.stats[:6], abs=1e-9)
    assert mine.ar100 == pytest.approx(reference.stats[8], abs=1e-9)


@pytest.mark.parametrize("together", [1, 5, 12])
def test_averages_do_not_depend_on_how_many_pictures_are_evaluated_at_once(monkeypatch, together):
    truth, answers = random_case(7)
    whole = score(truth, answers).to_json()
    monkeypatch.setattr(detection_coco, "_CHUNK", together)
    assert score(truth, answers).to_json() == whole


@pytest.mark.parametrize("seed", range(3))
def test_our_matching_gives_the_same_average_precision(seed):
    """Average precision from our own pairs is that of the library, at every overlap and for every class."""
    truth, answers = random_case(seed)
    table = judge(truth, answers).table
    for overlap in OVERLAPS:
        pairs = [match(true, detections, overlap) for true, detections in zip(truth, answers, strict=True)]
        for label in range(len(truth.labels)):
            ranking = rank(truth, answers, pairs, label)
            right = np.cumsum(ranking.right)
            precision = np.maximum.accumulate((right / np.arange(1, len(right) + 1))[::-1])[::-1]
            at = np.searchsorted(right / ranking.true, np.linspace(0, 1, 101))
            average = np.append(precision, np.zeros(102))[np.where(at < len(right), at, len(right))].mean()
            assert average == pytest.approx(table.average_precision(overlap=overlap, label=label), abs=1e-6)


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 10_000))
def test_perfect_detections_score_one(seed):
    truth, _ = random_case(seed, ignore=0)
    answers = [Detections(p.xyxy, np.linspace(0.5, 1, len(p), dtype=np.float32), p.label) for p in truth]
    result = score(truth, answers)
    if not result.boxes:
        assert result.map50_95 is None
        return
    assert result.map50_95 == result.map75 == result.ar1000 == pytest.approx(1)
    assert result.operating.f1 == 1
    assert result.count.mean_absolute == 0
    assert result.errors == {"missed": 0}


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 10_000), order=st.permutations(range(12)))
def test_the_order_of_pictures_is_irrelevant(seed, order):
    truth, answers = random_case(seed)
    # equal scores are ranked by the order of pictures, as in COCO: keep them apart
    answers = [
        replace(a, score=((a.score * 10_000 + at / 12) / 10_001).astype(np.float32)) for at, a in enumerate(answers)
    ]
    straight = score(truth, answers).to_json()
    shuffled = score(truth.take(order), [answers[at] for at in order]).to_json()
    for key in ("map50_95", "map75", "ar300"):
        assert shuffled[key] == pytest.approx(straight[key], abs=1e-9)
    for key in ("operating", "confusion", "errors"):
        assert shuffled[key] == straight[key]
    assert shuffled["count"] == pytest.approx(straight["count"])


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 10_000))
def test_repeating_every_detection_never_helps(seed):
    truth, answers = random_case(seed, ignore=0)
    twice = [
        Detections(np.vstack([a.xyxy, a.xyxy]), np.r_[a.score, a.score * np.float32(0.999)], np.r_[a.label, a.label])
        for a in answers
    ]
    once, repeated = score(truth, answers, threshold=0.3), score(truth, twice, threshold=0.3)
    if once.map50:
        assert repeated.map50 <= once.map50 + 1e-9
        assert (repeated.operating.precision or 0) <= (once.operating.precision or 0)


def test_a_second_box_on_the_same_product_is_a_duplicate():
    result = score(dataset(picture(BOX)), [found((*BOX, 0.9), (*BOX, 0.8))], threshold=0.5)
    assert result.operating.precision == 0.5
    assert result.errors == {"missed": 0, "duplicate": 1}
    assert result.count.bias == 1


def test_ignore_regions_neither_punish_nor_reward():
    """Inside the region anything goes; a true box in it must still be found, and is preferred."""
    region = (0, 0, 300, 300, 0, True)
    inside, outside = (10, 10, 60, 60), (400, 100, 450, 150)
    truth = dataset(picture(region, BOX, outside))
    result = score(truth, [found((*BOX, 0.9), (*inside, 0.95), (*inside, 0.94), (*outside, 0.9))], threshold=0.5)
    assert result.map50_95 == pytest.approx(1)
    assert (result.operating.right, result.operating.false, result.operating.missed) == (2, 0, 0)
    assert result.count.mean_absolute == 0
    assert result.boxes == 2
    assert result.ignored == 1


def test_a_detection_mostly_outside_the_region_is_false():
    truth = dataset(picture((0, 0, 100, 100, 0, True), FAR))
    mostly_out, mostly_in = (80, 0, 180, 100), (20, 0, 120, 100)
    result = score(truth, [found((*mostly_out, 0.9), (*mostly_in, 0.8), (*FAR, 0.7))], threshold=0.5)
    assert result.operating.false == 1


def test_a_region_of_every_class_is_counted_once():
    truth = dataset(picture((0, 0, 100, 100, 0, True), (0, 0, 100, 100, 1, True), FAR))
    assert score(truth, [found((*FAR, 0.9))]).ignored == 1


def test_no_box_is_cut_off_in_a_dense_picture():
    """1,500 products in one picture, all found, some of them only beyond the 1,000th detection."""
    corners = np.stack(np.meshgrid(np.arange(50), np.arange(30)), -1).reshape(-1, 2) * 20
    boxes = np.hstack([corners, corners + 15]).astype(np.float32)
    truth = dataset(picture(*boxes.tolist(), size=(1000, 600)))
    answers = Detections(boxes, np.linspace(1, 0.5, len(boxes), dtype=np.float32), np.zeros(len(boxes), np.int64))
    result = score(truth, [answers])
    assert result.map50_95 == pytest.approx(1)
    assert result.box_limit == result.densest == 1500
    assert result.ar300 == pytest.approx(0.2)
    assert result.ar1000 == pytest.approx(2 / 3)
    assert score(truth, [answers[np.arange(10)]]).box_limit == 1500
    assert score(dataset(picture(BOX)), [found((*BOX, 0.5))]).box_limit == 1000


def test_confusion_has_a_row_for_what_is_true_and_a_background():
    truth = dataset(picture(BOX, (*FAR, 1), (0, 0, 50, 50)))
    answers = found((*BOX, 0.9, 1), (*FAR, 0.8, 1), (500, 0, 550, 50, 0.7, 0), (500, 0, 550, 50, 0.2, 0))
    result = score(truth, [answers], threshold=0.5)
    # the product that was called a gap; the gap; a product in nothing; a product missed
    assert result.confusion == ((0, 1, 1), (0, 1, 0), (1, 0, 0))
    assert result.errors == {"missed": 2, "background": 1, "class": 1}
    assert result.to_json()["confusion"]["labels"] == ["product", "gap", "background"]


def test_a_badly_placed_box_is_said_to_be_one():
    result = score(dataset(picture(BOX)), [found((150, 100, 260, 200, 0.9))], threshold=0.5)
    assert result.errors == {"missed": 1, "place": 1}


def test_count_error_is_by_picture():
    truth = dataset(picture(BOX, FAR, name="a.jpg"), picture(BOX, name="b.jpg"), picture(name="c.jpg"))
    answers = [found((*BOX, 0.9)), found((*BOX, 0.9), (*FAR, 0.9)), found((*FAR, 0.9), (*BOX, 0.1))]
    count = score(truth, answers, threshold=0.5).count
    assert count.mean_absolute == 1
    assert count.mean_relative == pytest.approx((1 / 2 + 1) / 2)
    assert count.bias == pytest.approx(1 / 3)


def test_a_threshold_cannot_part_equal_scores():
    truth = dataset(picture(BOX, FAR))
    answers = [found((*BOX, 0.5), (0, 0, 20, 20, 0.5), (0, 50, 20, 70, 0.5))]
    pairs = [match(true, detections) for true, detections in zip(truth, answers, strict=True)]
    best = best_f1(rank(truth, answers, pairs, 0))
    assert (best.right, best.false) == (1, 2)


def test_classes_and_sizes_without_true_boxes_are_none_and_left_out_of_the_mean():
    result = score(dataset(picture((0, 0, 20, 20))), [found((0, 0, 20, 20, 0.9), (*BOX, 0.8, 1))])
    assert result.map50_95 == pytest.approx(1)
    assert result.classes[1].ap50_95 is None
    assert result.classes[1].best is None
    assert result.sizes["large"].map50_95 is None
    assert result.sizes["small"].boxes == 1
    json.dumps(result.to_json(), allow_nan=False)


def test_pictures_without_products_can_be_judged():
    """Only negatives: no average, but the false boxes are counted."""
    result = score(dataset(picture()), [found((*BOX, 0.9))], threshold=0.5)
    assert result.map50_95 is None
    assert result.operating.false == 1
    assert result.count.mean_relative is None
    assert score(dataset(picture()), [found()]).operating.f1 is None


def test_a_class_beyond_the_datasets_is_refused():
    with pytest.raises(DataError, match=r"a\.jpg: was found class 2, but shelf\.json has only 2 classes: product, gap"):
        score(dataset(picture(BOX)), [found((*BOX, 0.9, 2))])


def test_detections_of_another_number_of_pictures_are_refused():
    with pytest.raises(DataError, match="has 1 pictures, but there are detections of 2"):
        score(dataset(picture(BOX)), [found(), found()])
    with pytest.raises(DataError, match="has no pictures to evaluate on"):
        score(dataset(), [])


def test_hard_boxes_and_ignore_regions_of_a_real_shelf_do_not_count():
    """All products and gaps, and something in every hard box and region: still a perfect score."""
    path = DATA / "shelf_photos/annotations.json"
    if not path.is_file():
        pytest.skip(f"{path} is not there; set SHELFVISION_DATA")
    truth = read_coco(path)
    (shelf,) = truth.pictures
    answers = [Detections(shelf.xyxy, np.where(shelf.ignore, 0.9, 0.8).astype(np.float32), shelf.label)]
    result = score(truth, answers, threshold=0.5)
    assert result.map50_95 == pytest.approx(1)
    assert result.boxes == 54
    assert (result.operating.right, result.operating.false, result.operating.missed) == (54, 0, 0)
    assert result.count.mean_absolute == 0
