"""Following things in front of the shelf from frame to frame."""

from __future__ import annotations

import pytest

from shelfvision.core.tracking import Tracker


def box(x: float, y: float, size: float = 40) -> tuple[float, float, float, float]:
    return x, y, x + size, y + size


@pytest.mark.parametrize("fps", [3, 10, 30])
def test_a_hand_that_moves_keeps_its_track(fps):
    tracker, ids = Tracker(320), set()
    for step in range(round(2 * fps)):
        x = 100 * step / fps
        ((track,), _) = tracker.update([box(x, 50)], [(x + 20, 90)], step / fps)
        ids.add(track.id)
    assert len(ids) == 1
    assert track.seconds == pytest.approx(2 - 1 / fps)


def test_two_hands_at_once_keep_two_tracks():
    tracker = Tracker(320)
    for step in range(10):
        first, second = box(10 + 3 * step, 20), box(250 - 3 * step, 20)
        tracks, _ = tracker.update([second, first], [(0, 0), (0, 0)], step / 10)
        assert [track.id for track in tracks] == [1, 2]


def test_a_track_that_is_not_seen_ends_and_a_later_hand_is_a_new_one():
    tracker = Tracker(320)
    tracker.update([box(10, 10)], [(30, 50)], 0.0)
    _, ended = tracker.update([], [], 2.0)
    assert [track.id for track in ended] == [1]
    tracks, _ = tracker.update([box(10, 10)], [(30, 50)], 2.1)
    assert tracks[0].id == 2


def test_rest_is_counted_from_the_last_move():
    tracker = Tracker(320)
    for step in range(11):
        tip = (step * 10.0, 0.0) if step < 5 else (50.0, 0.0)
        (track,), _ = tracker.update([box(tip[0], 0)], [tip], step / 10)
    assert track.still_seconds(5) == pytest.approx(0.5)
    assert track.still_seconds(1000) == pytest.approx(1.0)
