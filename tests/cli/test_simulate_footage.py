"""The commands ``simulate video``, ``clips`` and ``demand``: files that the other commands read, one line of error."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from shelfvision.cli.main import main
from shelfvision.learn.events_file import read_events
from shelfvision.site_file import load_site


def test_recordings_are_made_once_and_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [
        "simulate",
        "video",
        "--out",
        str(tmp_path),
        "--store",
        "table",
        "--count",
        "2",
        "--seconds",
        "1",
        "--json",
    ]
    assert main(words) == 0
    videos = json.loads(capsys.readouterr().out)["videos"]
    assert [Path(video).name for video in videos] == ["table-0001.mp4", "table-0002.mp4"]
    made = [Path(video).stat().st_mtime_ns for video in videos]
    assert main(words) == 0
    assert [Path(video).stat().st_mtime_ns for video in videos] == made
    assert load_site(tmp_path / "table-0001.yaml").cameras[0].source == str(tmp_path / "table-0001.mp4")


def test_a_demand_trace_is_read_by_those_who_need_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["simulate", "demand", "--out", str(tmp_path), "--skus", "20", "--days", "2", "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    events = read_events(tmp_path / "demand.events.jsonl")
    assert len(events) == summary["count"]
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert any(event.data.linked_event for event in events)
    assert len(load_site(tmp_path / "demand.yaml").catalogue) == 20
    first = (tmp_path / "demand.events.jsonl").read_bytes()
    main(["simulate", "demand", "--out", str(tmp_path / "again"), "--skus", "20", "--days", "2"])
    assert (tmp_path / "again" / "demand.events.jsonl").read_bytes() == first


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (["video", "--store", "kiosk"], "no store 'kiosk'"),
        (["video", "--seconds", "0"], "seconds: expected over 0"),
        (["clips", "--size", "1"], "size: expected 16 to 512"),
        (["clips", "--store", "kiosk"], "no store kiosk"),
        (["demand", "--skus", "0"], "skus: expected 1 to 100000, found 0"),
        (["demand", "--refill", "magic"], "choose from emptiness"),
    ],
)
def test_impossible_wishes_get_one_clear_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], fault: str
) -> None:
    assert main(["simulate", words[0], "--out", str(tmp_path / "out"), *words[1:]]) in {1, 2}
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("error: ")
    assert fault in line
