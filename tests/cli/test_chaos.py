"""``shelfvision chaos`` runs real processes, kills them and finds nothing lost."""

from __future__ import annotations

import importlib.util
import json
import sqlite3
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


class TestVerdict:
    """The comparison finds each kind of fault that is planted in a healthy result."""

    @pytest.fixture
    def run_(self, tmp_path):
        from shelfvision.cli.chaos import _Chaos, _stored
        from shelfvision.core.events import EventKind
        from shelfvision.service.store import open_store
        from shelfvision.transport.arrivals import read_delivery
        from shelfvision.transport.mqtt import Incoming
        from shelfvision.transport.outbox import Outbox
        from shelfvision.transport.topics import Topics
        from tests.transport.builders import drafts

        chaos = _Chaos(tmp_path, 1, naive=False, quiet=True)
        outbox = Outbox(tmp_path / "o.sqlite", store="chaos", device="edge-1", max_bytes=10_000_000)
        events = outbox.append([*drafts(20), *drafts(10, EventKind.TOUCH, start=20)])
        topic = Topics("chaos").events("edge-1")
        store = open_store(str(chaos.database), "chaos")
        store.apply(
            [
                read_delivery(Incoming(topic, event.to_json().encode(), 1, False, 1, 0.0), "edge-1", "chaos")
                for event in events
            ]
        )
        store.close()
        outbox.close()
        lines = "".join(f"{event.id} {event.type}\n" for event in events)
        chaos.agent_settings.ledger.write_text(lines + "an unfinished li")
        assert _stored(chaos.database)[1:] == (0, 0)
        return chaos

    def change(self, run_, statement: str) -> dict:
        with sqlite3.connect(run_.database) as database:
            assert database.execute(statement).rowcount > 0
        database.close()
        return run_._compare()

    def test_a_healthy_result_is_clean(self, run_):
        result = run_._compare()
        assert (result["events"], result["lost"], result["duplicates"]) == (30, 0, 0)

    def test_a_missing_event_is_lost(self, run_):
        result = self.change(run_, "DELETE FROM inbox WHERE seq = 5")
        assert result["lost"] == 1

    def test_an_event_stored_twice_is_a_duplicate(self, run_):
        copy = "INSERT INTO inbox SELECT device, epoch, 99, event_id, type, time, received_at, payload FROM inbox"
        result = self.change(run_, f"{copy} WHERE seq = 5")
        assert result["duplicates"] == 1

    def test_an_effect_applied_twice_is_a_duplicate(self, run_):
        assert self.change(run_, "UPDATE activity SET pick_ups = pick_ups + 1")["duplicates"] == 1

    def test_an_effect_that_was_never_applied_is_a_loss(self, run_):
        assert self.change(run_, "UPDATE activity SET touches = touches - 1")["lost"] == 1


def test_the_event_bench_measures_a_small_backlog():
    code, result = run("bench", "events", "--count", "2000", "--json")
    assert code == 0
    assert result["events"] == 2_000
    assert result["drained_per_second"] > 100
    assert 0 < result["live_append_ms"]["p50"] < 5_000
    assert result["live_end_to_end_ms"]["p50"] >= result["live_append_ms"]["p50"] * 0.5
