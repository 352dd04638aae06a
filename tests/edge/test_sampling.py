"""Frames are thinned out to the camera's rate, by their times alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shelfvision.edge.sampling import FrameSampler


def taken(times: list[float], fps: float) -> list[float]:
    sampler = FrameSampler(fps)
    return [time for time in times if sampler.takes(time)]


@pytest.mark.parametrize(("source", "limit"), [(29.833, 30), (30, 30), (25, 30), (59.94, 60)])
def test_a_video_within_the_limit_loses_no_frame(source: float, limit: float) -> None:
    times = [round(index / source, 3) for index in range(2000)]  # containers round to milliseconds
    assert taken(times, limit) == times


@pytest.mark.parametrize(("source", "limit"), [(30, 5), (30, 10), (29.97, 12), (25, 10), (60, 7)])
def test_the_rate_is_the_limit_on_average(source: float, limit: float) -> None:
    times = [index / source for index in range(int(source * 60))]
    assert len(taken(times, limit)) == pytest.approx(limit * 60, rel=0.02)


def test_a_pause_is_not_made_up_for_by_a_burst() -> None:
    times = [index / 30 for index in range(30)] + [100 + index / 30 for index in range(30)]
    after = [time for time in taken(times, 5) if time >= 100]
    assert len(after) <= 6


@given(
    gaps=st.lists(st.floats(0.001, 2.0), min_size=2, max_size=60),
    fps=st.floats(0.5, 60),
)
def test_over_any_length_of_time_the_limit_holds(gaps: list[float], fps: float) -> None:
    """One frame at the start, one for each period, and one that is a quarter of a period early."""
    times, now = [], 0.0
    for gap in gaps:
        now += gap
        times.append(now)
    chosen = taken(times, fps)
    assert chosen[0] == times[0]
    for first in range(len(chosen)):
        for last in range(first, len(chosen)):
            assert last - first + 1 <= (chosen[last] - chosen[first]) * fps + 2.51
