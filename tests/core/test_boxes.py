"""Box geometry against its definition."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shelfvision.core import boxes

CORNER = st.integers(0, 30)
BOX = st.tuples(CORNER, CORNER, CORNER, CORNER).map(
    lambda c: (min(c[0], c[2]), min(c[1], c[3]), max(c[0], c[2]), max(c[1], c[3]))
)
BOXES = st.lists(BOX, min_size=1, max_size=5).map(lambda rows: np.array(rows, np.float64))


def paint(box: np.ndarray) -> np.ndarray:
    canvas = np.zeros((30, 30), bool)
    x1, y1, x2, y2 = box.astype(int)
    canvas[y1:y2, x1:x2] = True
    return canvas


@given(BOXES, BOXES)
def test_overlaps_agree_with_counted_pixels(first, second):
    shared, ratio, inside = boxes.intersection(first, second), boxes.iou(first, second), boxes.coverage(first, second)
    for i, a in enumerate(first):
        for j, b in enumerate(second):
            both, either = int((paint(a) & paint(b)).sum()), int((paint(a) | paint(b)).sum())
            assert shared[i, j] == both
            assert ratio[i, j] == pytest.approx(both / either if either else 0)
            assert inside[i, j] == pytest.approx(both / paint(a).sum() if paint(a).any() else 0)


@given(BOXES)
def test_areas_centres_and_the_enclosing_box(rows):
    assert boxes.area(rows).tolist() == [int(paint(row).sum()) for row in rows]
    assert boxes.centres(rows)[0].tolist() == [(rows[0, 0] + rows[0, 2]) / 2, (rows[0, 1] + rows[0, 3]) / 2]
    x1, y1, x2, y2 = boxes.enclosing(rows)
    assert (rows[:, 0] >= x1).all()
    assert (rows[:, 1] >= y1).all()
    assert (rows[:, 2] <= x2).all()
    assert (rows[:, 3] <= y2).all()


def test_a_box_with_corners_out_of_order_has_no_area():
    assert boxes.area(np.array([[5, 5, 2, 9]])).tolist() == [0]
