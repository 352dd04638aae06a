"""Scores that mean how often a box is right."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from shelfvision.core.detections import Detections
from shelfvision.data.dataset import Dataset, LabelledPicture
from shelfvision.learn.calibration import calibrate
from shelfvision.learn.platt import PlattScaling, fit_platt
from shelfvision.learn.score_calibration import LEAST_BOXES, fit_scores, fold_scores
from shelfvision.models.detector import Detector, DetectorConfig

LABELS = ("product", "gap", "hand")


def drawn(count, scaling, seed=0):
    """Scores, and rights drawn by what a scaling says of them."""
    rng = np.random.default_rng(seed)
    score = rng.uniform(0.02, 0.98, count).astype(np.float32)
    return score, rng.random(count) < scaling.apply(score)


def a_dataset(rights, names=LABELS):
    """Fifty boxes a picture, ten of a class in a row; ``rights`` (pictures, 50) says which detections are true ones."""
    left, top = np.meshgrid(np.arange(10) * 20, np.arange(5) * 20)
    boxes = np.stack([left.ravel(), top.ravel(), left.ravel() + 10, top.ravel() + 10], axis=1).astype(np.float32)
    label = np.repeat(np.array([0, 0, 0, 1, 1]), 10)
    pictures = [
        LabelledPicture(Path(f"{index}.png"), (200, 100), boxes[right], label[right], np.zeros(right.sum(), bool))
        for index, right in enumerate(rights)
    ]
    return Dataset(names, tuple(pictures), Path("drawn")), boxes, label


@pytest.mark.parametrize("scaling", [PlattScaling(2.5, 1.3), PlattScaling(0.6, -1.0), PlattScaling()])
def test_the_scaling_that_made_the_data_is_found(scaling):
    score, right = drawn(40_000, scaling)
    found = fit_platt(score, right)
    assert (found.slope, found.offset) == pytest.approx((scaling.slope, scaling.offset), abs=0.06)


def test_scores_that_part_right_from_wrong_wholly_keep_a_slope_that_can_be_used():
    score = np.concatenate([np.full(300, 0.2), np.full(300, 0.6)]).astype(np.float32)
    found = fit_platt(score, score > 0.5)
    assert 1 < found.slope < 20
    low, high = found.apply(np.array([0.2, 0.6], np.float32))
    assert low < 0.02
    assert high > 0.98


def test_scores_of_nothing_and_of_certainty_are_finite():
    score, right = drawn(2_000, PlattScaling(2.0, 0.5))
    scaled = fit_platt(np.append(score, [0.0, 1.0]).astype(np.float32), np.append(right, [False, True])).apply(
        np.array([0.0, 1.0], np.float32)
    )
    assert np.isfinite(scaled).all()
    assert scaled[0] < scaled[1]


def test_each_class_gets_its_own_and_a_rare_one_that_of_all():
    product, gap = PlattScaling(2.0, 1.0), PlattScaling(3.0, 2.5)
    score = np.random.default_rng(1).uniform(0.02, 0.98, (200, 50)).astype(np.float32)
    chance = np.concatenate([product.apply(score[:, :30]), gap.apply(score[:, 30:])], axis=1)
    rights = np.random.default_rng(2).random((200, 50)) < chance
    dataset, boxes, label = a_dataset(rights)
    fitted = fit_scores(dataset, [Detections(boxes, row, label) for row in score], LABELS)
    assert fitted.own == (True, True, False)
    assert (fitted.scalings[0].slope, fitted.scalings[0].offset) == pytest.approx((2.0, 1.0), abs=0.25)
    assert (fitted.scalings[1].slope, fitted.scalings[1].offset) == pytest.approx((3.0, 2.5), abs=0.4)
    assert fitted.scalings[0].slope < fitted.scalings[2].slope < fitted.scalings[1].slope
    assert fitted.error_after < 0.02 < fitted.error_before
    others = np.random.default_rng(3).uniform(0.02, 0.98, 20_000).astype(np.float32)
    rights = np.random.default_rng(4).random(20_000) < product.apply(others)
    assert calibrate(fitted.scalings[0].apply(others), rights).error < 0.02 < calibrate(others, rights).error


def test_classes_are_known_by_name_not_by_place():
    score = np.random.default_rng(1).uniform(0.02, 0.98, (200, 50)).astype(np.float32)
    rights = np.random.default_rng(2).random((200, 50)) < PlattScaling(2.0, 1.0).apply(score)
    dataset, boxes, label = a_dataset(rights, ("gap", "product"))
    found = [Detections(boxes, row, np.where(label == 0, 1, 0)) for row in score]
    fitted = fit_scores(dataset, found, LABELS)
    assert fitted.own == (True, True, False)
    assert fitted.error_after < 0.02


def test_too_few_boxes_and_an_order_turned_round_are_left_alone():
    score = np.linspace(0.1, 0.9, 50, dtype=np.float32)
    few = np.zeros((1, 50), bool)
    few[0, : LEAST_BOXES - 1] = True
    dataset, boxes, label = a_dataset(few)
    assert fit_scores(dataset, [Detections(boxes, score, label)], LABELS) is None
    turned = np.random.default_rng(0).random((100, 50)) < 1 - score
    dataset, boxes, label = a_dataset(turned)
    assert fit_scores(dataset, [Detections(boxes, score, label)] * 100, LABELS) is None


def test_a_folded_network_gives_what_the_scaling_says():
    torch.manual_seed(0)
    detector = Detector(DetectorConfig(LABELS, neck=(16, 16, 16), head=16)).eval()
    for level in detector.head.levels:
        torch.nn.init.normal_(level.class_layer.weight, std=2.0)
    score = np.random.default_rng(1).uniform(0.02, 0.98, (200, 50)).astype(np.float32)
    rights = np.random.default_rng(2).random((200, 50)) < PlattScaling(2.5, 1.3).apply(score)
    dataset, boxes, label = a_dataset(rights)
    fitted = fit_scores(dataset, [Detections(boxes, row, label) for row in score], LABELS)
    picture = torch.rand(1, 3, 96, 96) * 255
    with torch.no_grad():
        before = detector(picture)
        fold_scores(detector, fitted)
        after = detector(picture)
    for label, scaling in enumerate(fitted.scalings):
        raw = before.logits[0, :, label].sigmoid().numpy()
        np.testing.assert_allclose(after.logits[0, :, label].sigmoid().numpy(), scaling.apply(raw), atol=1e-5)
    torch.testing.assert_close(after.boxes, before.boxes)
