"""``shelfvision chaos`` runs real processes, kills them and finds nothing lost."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys

import pytest

from shelfvision.transport.mosquitto import find_mosquitto

pytestmark = [
    pytest.mark.skipif(find_mosquitto() is None, reason="the program mosquitto is not installed"),
    pytest.mark.skipif(importlib.util.find_spec("sqlalchemy") is None, reason="the service extra is not installed"),
]


def run(*words: str) -> tuple[int, dict]:
    done = subprocess.run(
        [sys.executable, "-m", "shelfvision", *words], capture_output=True, text=True, timeout=100, check=False
    )
    assert done.stdout.strip(), done.stderr
    return done.returncode, json.loads(done.stdout.strip().splitlines()[-1])


def test_nothing_is_lost_or_applied_twice_and_the_naive_way_is_shown_beside_it():
    code, result = run("chaos", "--seed", "7", "--seconds", "12", "--naive")
    assert code == 0
    assert result["lost"] == result["duplicates"] == 0
    assert result["events"] > 50
    assert result["kills"] > 0
    assert result["kills"] == result["broker_kills"] + result["agent_kills"] + result["service_kills"]
    assert result["naive"]["events"] > 50
    assert result["naive"]["lost"] >= 0


def test_the_event_bench_measures_a_small_backlog():
    code, result = run("bench", "events", "--count", "2000", "--json")
    assert code == 0
    assert result["events"] == 2_000
    assert result["drained_per_second"] > 100
    assert 0 < result["live_append_ms"]["p50"] < 5_000
    assert result["live_end_to_end_ms"]["p50"] >= result["live_append_ms"]["p50"] * 0.5
