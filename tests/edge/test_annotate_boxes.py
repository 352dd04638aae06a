"""Boxes drawn into pictures: the size of the result."""

from __future__ import annotations

import numpy as np
import pytest

from shelfvision.core.detections import Detections
from shelfvision.edge.annotate_boxes import draw_detections


@pytest.mark.parametrize(
    ("size", "width"), [((1280, 720), 1280), ((100, 50), 700), ((100, 4000), 400), ((1, 20_000), 1)]
)
def test_a_narrow_picture_is_enlarged_as_far_as_its_height_allows(size, width):
    box = Detections(np.array([[0, 0, *size]], np.float32), np.array([0.9], np.float32), np.array([0]))
    drawn = draw_detections(np.zeros((size[1], size[0], 3), np.uint8), box, ["product"])
    assert drawn.shape[1] == width
    assert drawn.shape[0] < max(size[1], 16_000) + 100
