"""Assignment of points to boxes, the loss, and what decoding makes of a prediction."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from shelfvision.core.boxes import iou
from shelfvision.models.assign import AssignSettings, assign
from shelfvision.models.decode import decode
from shelfvision.models.detector import Detector, DetectorConfig, Prediction
from shelfvision.models.detector_loss import DetectorLoss

STRIDE = 8


def prediction(boxes: torch.Tensor, logits: torch.Tensor) -> Prediction:
    """On a map of 8 x 8 points with stride 8."""
    y, x = torch.meshgrid(torch.arange(8.0), torch.arange(8.0), indexing="ij")
    points = (torch.stack([x, y], -1).reshape(-1, 2) + 0.5) * STRIDE
    return Prediction(boxes, logits, points, torch.full((64,), float(STRIDE)))


def around_points(side: float = 16.0) -> torch.Tensor:
    points = prediction(torch.zeros(1, 64, 4), torch.zeros(1, 64, 1)).points
    return torch.cat([points - side / 2, points + side / 2], 1)[None]


def test_the_points_whose_boxes_overlap_most_answer_and_the_best_of_them_fully():
    said = prediction(around_points(16), torch.zeros(1, 64, 1))
    found = assign(said, 0, torch.tensor([[3.0, 3, 21, 21]]), torch.tensor([0]), AssignSettings(candidates=3))
    assert (found.box >= 0).sum() == 3
    best = found.quality.argmax()
    assert said.points[best].tolist() == [12, 12]
    assert found.quality[best] == pytest.approx((16 / 18) ** 2)


def test_a_point_answers_for_one_box_only_and_every_box_gets_one():
    said = prediction(around_points(16), torch.zeros(1, 64, 1))
    boxes = torch.tensor([[4.0, 4, 20, 20], [12.0, 4, 28, 20], [8.0, 8, 24, 24]])
    found = assign(said, 0, boxes, torch.zeros(3, dtype=torch.long), AssignSettings())
    assert set(found.box.unique().tolist()) == {-1, 0, 1, 2}


@pytest.mark.parametrize("threads", [1, 2])
def test_of_many_boxes_the_one_that_a_point_overlaps_most_is_answered_for(threads):
    """Also where torch writes with several threads at once."""
    generator = torch.Generator().manual_seed(0)
    low = torch.rand(2000, 2, generator=generator) * 40
    boxes = torch.cat([low, low + 16 + torch.rand(2000, 2, generator=generator) * 8], dim=1)
    said = prediction(around_points(20) + torch.rand(1, 64, 4, generator=generator), torch.zeros(1, 64, 1))
    inside = (said.points[None] > boxes[:, None, :2]) & (said.points[None] < boxes[:, None, 2:])
    overlap = np.where(inside.all(dim=2).numpy(), iou(boxes.numpy(), said.boxes[0].numpy()), -1)
    expected = np.where(overlap.max(axis=0) > 0, overlap.argmax(axis=0), -1)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    found = assign(said, 0, boxes, torch.zeros(2000, dtype=torch.long), AssignSettings(candidates=64))
    torch.set_num_threads(before)
    assert found.box.tolist() == expected.tolist()


@pytest.mark.parametrize("box", [[30.0, 30, 33, 33], [31.0, 8, 33, 60], [0.0, 0, 1, 1], [63.0, 63, 64, 64]])
def test_a_box_too_small_to_hold_a_point_is_answered_for_by_its_neighbours(box):
    said = prediction(around_points(6), torch.zeros(1, 64, 1))
    found = assign(said, 0, torch.tensor([box]), torch.tensor([0]), AssignSettings())
    assert (found.box == 0).any()


def test_without_boxes_no_point_answers():
    said = prediction(around_points(), torch.zeros(1, 64, 1))
    found = assign(said, 0, torch.zeros(0, 4), torch.zeros(0, dtype=torch.long), AssignSettings())
    assert (found.box == -1).all()
    assert not found.quality.any()


def cost(said: Prediction, boxes, labels, ignore=None) -> dict[str, float]:
    boxes = torch.tensor(boxes).reshape(-1, 4)
    ignore = torch.tensor(ignore or [False] * len(boxes), dtype=torch.bool)
    parts = DetectorLoss()(said, [boxes], [torch.tensor(labels, dtype=torch.long)], [ignore])
    return {name: float(part) for name, part in parts.items()}


def test_right_boxes_and_scores_cost_less_than_wrong_ones():
    truth = [[4.0, 4, 20, 20]]
    sure = torch.full((1, 64, 2), -8.0)
    sure[0, 9, 0] = 8.0  # the point at (12, 12)
    good = cost(prediction(around_points(16), sure), truth, [0])
    shifted = cost(prediction(around_points(16) + 5, sure), truth, [0])
    other_class = cost(prediction(around_points(16), sure.flip(2)), truth, [0])
    assert good["box"] < shifted["box"]
    assert good["class"] < other_class["class"]


def test_a_picture_without_products_teaches_that_nothing_is_there():
    quiet = cost(prediction(around_points(), torch.full((1, 64, 1), -8.0)), [], [])
    loud = cost(prediction(around_points(), torch.full((1, 64, 1), 2.0)), [], [])
    assert quiet["box"] == loud["box"] == 0
    assert quiet["class"] < 1e-3 < loud["class"]


def test_points_in_an_ignored_region_teach_nothing_unless_they_answer_for_a_box():
    loud = prediction(around_points(), torch.full((1, 64, 1), 2.0))
    whole = [0.0, 0, 64, 64]
    assert cost(loud, [whole], [0], [True])["class"] == 0
    with_box = cost(loud, [whole, [5.0, 4, 22, 20]], [0, 0], [True, False])
    assert with_box["box"] > 0


def test_the_network_learns_a_picture_by_heart():
    torch.manual_seed(0)
    torch.set_num_threads(1)
    picture = torch.full((1, 3, 64, 96), 114.0)
    boxes = torch.tensor([[8.0, 10, 30, 50], [40.0, 10, 62, 50], [68.0, 20, 90, 60]])
    for number, (x1, y1, x2, y2) in enumerate(boxes.int().tolist()):
        picture[0, :, y1:y2, x1:x2] = torch.tensor([200.0, 30, 60.0 * number])[:, None, None]
    labels = torch.tensor([0, 1, 0])
    model = Detector(DetectorConfig(("carton", "can"), neck=(16, 16, 16), head=16)).train()
    optimiser = torch.optim.AdamW(model.parameters(), 4e-3)
    for _ in range(120):
        parts = DetectorLoss()(model(picture), [boxes], [labels], [torch.zeros(3, dtype=torch.bool)])
        optimiser.zero_grad()
        sum(parts.values()).backward()
        optimiser.step()
    with torch.no_grad():
        found = decode(model(picture), least_score=0.3)[0]
    overlap = iou(boxes.numpy(), found.xyxy)
    assert len(found) == 3
    assert overlap.max(axis=1).min() > 0.75
    assert found.label[overlap.argmax(axis=1)].tolist() == [0, 1, 0]


def test_boxes_of_one_class_suppress_each_other_and_others_stay():
    boxes = torch.tensor([[[0.0, 0, 10, 10], [1.0, 0, 11, 10], [0.0, 0, 10, 10], [30.0, 0, 40, 10]]])
    logits = torch.tensor([[[3.0, -9], [2.0, -9], [-9.0, 2], [1.0, -9]]])
    points, strides = torch.zeros(4, 2), torch.ones(4)
    found = decode(Prediction(boxes, logits, points, strides))[0]
    assert found.label.tolist() == [0, 1, 0]
    assert found.score.tolist() == sorted(found.score.tolist(), reverse=True)
    assert found.xyxy[0].tolist() == [0, 0, 10, 10]


def test_each_class_has_its_own_overlap_and_the_best_come_first_whatever_it_is():
    """Two boxes of IoU 0.6 a class; the better one of class 1 is the best of all."""
    boxes = torch.tensor([[[0.0, 0, 10, 10], [0.0, 0, 6, 10], [50.0, 0, 60, 10], [50.0, 0, 56, 10]]])
    logits = torch.tensor([[[1.0, -9], [0.5, -9], [-9.0, 3], [-9.0, 2]]])
    said = Prediction(boxes, logits, torch.zeros(4, 2), torch.ones(4))
    for overlaps, kept in (((0.65, 0.65), [1, 1, 0, 0]), ((0.65, 0.4), [1, 0, 0]), ((0.4, 0.65), [1, 1, 0])):
        found = decode(said, overlap=overlaps)[0]
        assert found.label.tolist() == kept
        assert found.score.tolist() == sorted(found.score.tolist(), reverse=True)


def test_seven_hundred_boxes_survive_and_most_bounds_each_class():
    columns, rows = np.meshgrid(np.arange(35) * 10.0, np.arange(20) * 10.0)
    low = torch.tensor(np.stack([columns.ravel(), rows.ravel()], 1), dtype=torch.float32)
    boxes = torch.cat([low, low + 9], 1)[None]
    logits = torch.linspace(0, 3, 700).view(1, 700, 1).repeat(1, 1, 2)
    said = Prediction(boxes, logits, low, torch.ones(700))
    assert len(decode(said)[0]) == 1400
    few = decode(said, most=5)[0]
    assert np.bincount(few.label).tolist() == [5, 5]
    assert few.score.min() > 0.94


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(*[st.floats(0, 60)] * 2, *[st.floats(0.5, 40)] * 2), max_size=12), st.integers(0, 1000))
def test_any_boxes_give_a_finite_loss(raw, seed):
    generator = torch.Generator().manual_seed(seed)
    boxes = [[x, y, x + w, y + h] for x, y, w, h in raw]
    said = prediction(
        around_points() + torch.rand(1, 64, 4, generator=generator), torch.randn(1, 64, 3, generator=generator)
    )
    parts = cost(
        said, boxes, [index % 3 for index in range(len(boxes))], [index % 4 == 3 for index in range(len(boxes))]
    )
    assert all(np.isfinite(part) and part >= 0 for part in parts.values())
