"""Processor, memory and disk of this machine, without a library for it."""

from __future__ import annotations

import os
from pathlib import Path

from shelfvision.edge.vitals import Vitals


def test_memory_and_disk_are_plausible(tmp_path: Path) -> None:
    vitals = Vitals(tmp_path / "outbox.sqlite")
    memory = vitals.rss_mb([os.getpid()])
    assert memory is not None
    assert 5 < memory < 10_000
    assert (vitals.disk_free_mb() or 0) > 0


def test_processor_time_is_counted_between_two_calls(tmp_path: Path) -> None:
    vitals = Vitals(tmp_path / "x")
    assert vitals.cpu_percent([os.getpid()]) is None
    before = os.times().user
    while os.times().user - before < 0.1:
        sum(range(10_000))
    used = vitals.cpu_percent([os.getpid()])
    assert used is not None
    assert used > 5


def test_a_process_that_has_gone_and_a_folder_that_is_missing_are_no_fault(tmp_path: Path) -> None:
    vitals = Vitals(tmp_path / "no" / "such" / "x")
    assert vitals.cpu_percent([2**22 + 1]) is None
    assert vitals.rss_mb([2**22 + 1]) is None
    assert vitals.disk_free_mb() is None
