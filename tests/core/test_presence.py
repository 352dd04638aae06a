"""Counting passes and stops, and the time that slots were on offer."""

from __future__ import annotations

from shelfvision.core.presence import PresenceCounter, PresenceSettings, PresenceWindow


def run(
    counter: PresenceCounter, visits: list[tuple[int, float, float]], until: float, fps: float = 5
) -> list[PresenceWindow]:
    windows = []
    for step in range(round(until * fps) + 1):
        now = step / fps
        tracks = [(key, start) for key, start, end in visits if start <= now <= end]
        windows += counter.update(tracks, [True, now > 15], now)
    return windows


def test_passes_stops_and_available_seconds_of_complete_windows_only():
    counter = PresenceCounter(["a", "b"], 10, PresenceSettings(), 0.0)
    counter.touched("b")
    windows = run(counter, [(1, 1.0, 2.0), (2, 5.0, 9.0), (3, 12.0, 12.1), (4, 16.0, 17.0)], 29)
    assert [(w.started_at, w.ended_at, w.passes, w.stops) for w in windows] == [(0, 10, 2, 1), (10, 20, 1, 0)]
    assert [round(slot.available_seconds, 1) for slot in windows[0].slots] == [10, 0]
    assert [round(slot.available_seconds, 1) for slot in windows[1].slots] == [10, 5]
    assert [slot.touches for slot in windows[0].slots] == [0, 1]
    assert [slot.touches for slot in windows[1].slots] == [0, 0]


def test_a_hand_that_is_lost_for_a_moment_is_not_counted_twice():
    counter = PresenceCounter(["a", "b"], 10, PresenceSettings(), 0.0)
    (window,) = run(counter, [(1, 1.0, 2.5), (2, 3.0, 6.0)], 10)
    assert (window.passes, window.stops) == (1, 1)


def test_time_that_was_not_seen_is_not_available():
    counter = PresenceCounter(["a", "b"], 10, PresenceSettings(), 0.0)
    counter.update([], [True, True], 4.0)
    counter.skip(9.0)
    (window,) = counter.update([], [True, True], 11.0)
    assert [slot.available_seconds for slot in window.slots] == [5.0, 5.0]


def test_a_long_gap_yields_every_window_with_little_in_it():
    counter = PresenceCounter(["a", "b"], 10, PresenceSettings(), 0.0)
    windows = counter.update([], [False, False], 45.0)
    assert [window.ended_at for window in windows] == [10, 20, 30, 40]
    assert all(slot.available_seconds == 0 for window in windows for slot in window.slots)
