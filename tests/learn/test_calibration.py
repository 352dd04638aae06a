"""Expected calibration error and the table behind it."""

import numpy as np
import pytest

from shelfvision.learn.calibration import calibrate


def table(*rows):
    return np.array([row[0] for row in rows], np.float32), np.array([row[1] for row in rows], np.bool_)


def test_scores_that_say_what_happens_have_no_error():
    score, right = table(*[(0.75, True)] * 3, (0.75, False), *[(0.25, False)] * 3, (0.25, True))
    result = calibrate(score, right)
    assert result.error == pytest.approx(0)
    assert result.bins[7].precision == result.bins[7].mean_score == pytest.approx(0.75)


def test_sums_done_by_hand():
    """Two bins: |1/2 - 0.925| of two detections and |1 - 0.35| of one."""
    result = calibrate(*table((0.94, True), (0.91, False), (0.35, True)))
    assert result.error == pytest.approx((2 * 0.425 + 1 * 0.65) / 3, abs=1e-6)
    assert [part.count for part in result.bins] == [0, 0, 0, 1, 0, 0, 0, 0, 0, 2]


def test_the_ends_belong_to_the_first_and_last_bin():
    result = calibrate(*table((1.0, True), (0.0, False)), floor=0)
    assert (result.bins[0].count, result.bins[-1].count) == (1, 1)
    assert result.bins[4].precision is None


def test_scores_below_the_floor_are_left_out():
    assert calibrate(*table(*[(0.01, False)] * 1000, (1.0, True))).error == 0
    assert calibrate(*table((0.05, False))).error is None
    assert calibrate(*table()).error is None
