"""The newest item only, from a thread that never waits."""

from __future__ import annotations

import threading

import pytest

from shelfvision.edge.newest import Newest
from shelfvision.errors import CameraError


def test_a_slow_reader_gets_the_newest_and_the_others_are_counted() -> None:
    queue: Newest[int] = Newest()
    for number in range(5):
        queue.put(number)
    assert queue.get(1) == 4
    assert queue.dropped == 4


def test_a_reader_waits_for_the_next_item() -> None:
    queue: Newest[int] = Newest()
    threading.Timer(0.05, queue.put, [7]).start()
    assert queue.get(5) == 7
    assert queue.dropped == 0


def test_silence_is_noticed() -> None:
    queue: Newest[int] = Newest()
    with pytest.raises(TimeoutError):
        queue.get(0.01)


def test_the_last_item_comes_before_the_error() -> None:
    queue: Newest[int] = Newest()
    queue.put(1)
    queue.end(CameraError("gone"))
    assert queue.get(0.1) == 1
    with pytest.raises(CameraError, match="gone"):
        queue.get(0.1)


def test_the_end_without_a_fault_is_none_and_wakes_the_reader() -> None:
    queue: Newest[int] = Newest()
    threading.Timer(0.05, queue.end).start()
    assert queue.get(5) is None
    assert queue.get(0) is None
