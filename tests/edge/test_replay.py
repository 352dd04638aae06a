"""``shelfvision replay`` through the real command line: deterministic, and clear about every fault."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import av
import pytest

from shelfvision.edge.video_writer import VideoWriter
from shelfvision.sim.camera import SimulatedShelf, parse_address
from shelfvision.sim.stores import store_plan
from tests.edge.footage import busy, cut, numbered, write_video
from tests.edge.sites import camera, shelfvision, write_site

SECONDS = 18


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A site of the simulated table, and a video of it in which a slot is emptied and a product put back."""
    folder = tmp_path_factory.mktemp("simulated")
    size, slots, _ = store_plan("table")
    video = folder / "table.mp4"
    shelf = SimulatedShelf(parse_address("table?seed=1&fps=10"))
    writer = VideoWriter(video, size, 10)
    for index in range(SECONDS * 10):
        writer.write(shelf.picture(), index / 10)
    writer.close()
    section = camera(str(video), name="table", size=size, fps=10)
    section["slots"] = [
        {"id": slot.id, "sku": "A", "facings": slot.facings, "polygon": [list(corner) for corner in slot.polygon]}
        for slot in slots
    ]
    return write_site(folder, section), video


def replay(
    site: Path, video: Path, out: Path, *more: str | Path, name: str = "cam"
) -> subprocess.CompletedProcess[str]:
    return shelfvision("replay", site, "--camera", name, "--video", video, "--events", out, *more)


def small(tmp_path: Path) -> tuple[Path, Path]:
    video = write_video(tmp_path / "v.mp4", numbered(10))
    return write_site(tmp_path, camera(str(video))), video


def assert_one_line(run: subprocess.CompletedProcess[str], *parts: str, code: int = 1) -> None:
    lines = run.stderr.strip().splitlines()
    assert run.returncode == code, run.stderr
    assert len(lines) == 1, run.stderr
    assert lines[0].startswith("error: ")
    for part in parts:
        assert part in lines[0]


def test_events_are_cloudevents_and_two_runs_are_equal_byte_for_byte(
    simulated: tuple[Path, Path], tmp_path: Path
) -> None:
    site, video = simulated
    first = replay(site, video, tmp_path / "1.jsonl", "--json", name="table")
    second = replay(site, video, tmp_path / "2.jsonl", name="table")
    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    text = (tmp_path / "1.jsonl").read_bytes()
    assert text == (tmp_path / "2.jsonl").read_bytes()
    events = [json.loads(line) for line in text.splitlines()]
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert len({event["id"] for event in events}) == len(events)
    assert {event["source"] for event in events} == {"shop/edge/table"}
    assert all(event["specversion"] == "1.0" and event["time"].startswith("1970-01-01T00:00:") for event in events)
    kinds = [event["type"].split(".")[1] for event in events]
    assert {"pick_up", "put_back", "stockout"} <= set(kinds)
    pick_ups = {event["id"] for event in events if ".pick_up." in event["type"]}
    links = [event["data"].get("linked_event") for event in events if ".put_back." in event["type"]]
    assert set(links) <= pick_ups
    summary = json.loads(first.stdout)
    assert summary["frames"] == SECONDS * 10
    assert summary["events"] == {kind: kinds.count(kind) for kind in set(kinds)}
    assert summary["complete"] is True


def test_the_start_moves_every_time(simulated: tuple[Path, Path], tmp_path: Path) -> None:
    site, video = simulated
    run = replay(site, video, tmp_path / "o.jsonl", "--start", "2026-01-31T09:00:00+01:00", name="table")
    assert run.returncode == 0, run.stderr
    times = [json.loads(line)["time"] for line in (tmp_path / "o.jsonl").read_text().splitlines()]
    assert times
    assert all(time.startswith("2026-01-31T08:00:") for time in times)


def test_the_annotated_video_shows_every_frame_and_plays_everywhere(
    simulated: tuple[Path, Path], tmp_path: Path
) -> None:
    site, video = simulated
    run = replay(site, video, tmp_path / "o.jsonl", "--annotated", tmp_path / "o.mp4", name="table")
    assert run.returncode == 0, run.stderr
    with av.open(str(tmp_path / "o.mp4")) as annotated:
        stream = annotated.streams.video[0]
        assert stream.codec_context.name == "h264"
        assert stream.codec_context.pix_fmt == "yuv420p"
        assert stream.codec_context.width == 1280
        times = [float(frame.time or 0) for frame in annotated.decode(stream)]
    assert len(times) == SECONDS * 10
    assert times[-1] == pytest.approx(SECONDS - 0.1, abs=0.01)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["o.jsonl", "o.mp4"]


def test_a_frame_rate_above_the_cameras_is_thinned_out(tmp_path: Path) -> None:
    video = write_video(tmp_path / "v.mp4", numbered(30), fps=30)
    site = write_site(tmp_path, camera(str(video), fps=10))
    summary = json.loads(replay(site, video, tmp_path / "o.jsonl", "--json").stdout)
    assert (summary["frames_read"], summary["frames"]) == (30, 10)


def test_a_truncated_video_leaves_its_events_and_one_error(simulated: tuple[Path, Path], tmp_path: Path) -> None:
    site, video = simulated
    short = tmp_path / "cut.mp4"
    short.write_bytes(video.read_bytes()[: int(video.stat().st_size * 0.8)])
    run = replay(site, short, tmp_path / "o.jsonl", "--json", name="table")
    assert_one_line(run, str(short), "truncated: it ends at ", "of 18.0 s")
    events = (tmp_path / "o.jsonl").read_text().splitlines()
    assert len(events) >= 2
    summary = json.loads(run.stdout)
    assert summary["complete"] is False
    assert sum(summary["events"].values()) == len(events)


def test_the_events_before_the_cut_are_those_of_the_whole_video(simulated: tuple[Path, Path], tmp_path: Path) -> None:
    site, video = simulated
    replay(site, video, tmp_path / "whole.jsonl", name="table")
    short = tmp_path / "cut.mp4"
    short.write_bytes(video.read_bytes()[: int(video.stat().st_size * 0.8)])
    replay(site, short, tmp_path / "cut.jsonl", name="table")

    def content(path: Path) -> list[dict[str, object]]:
        events = [json.loads(line) for line in path.read_text().splitlines()]
        return [{"type": event["type"], "time": event["time"], "slot": event["data"].get("slot")} for event in events]

    before = content(tmp_path / "cut.jsonl")
    assert before
    assert content(tmp_path / "whole.jsonl")[: len(before)] == before


def test_an_unknown_camera_names_the_known_ones(tmp_path: Path) -> None:
    site, video = small(tmp_path)
    run = replay(site, video, tmp_path / "o.jsonl", name="nope")
    assert_one_line(run, "'nope'", "cam", code=2)


def test_a_video_of_another_size_is_refused_before_anything(tmp_path: Path) -> None:
    site, _ = small(tmp_path)
    other = write_video(tmp_path / "other.mp4", numbered(5, (96, 64)))
    run = replay(site, other, tmp_path / "o.jsonl")
    assert_one_line(run, "96x64", "64x48")
    assert not (tmp_path / "o.jsonl").exists()


@pytest.mark.parametrize("kind", ["missing", "folder", "text", "empty", "zero frames", "no index"])
def test_a_broken_video_is_one_line_and_leaves_nothing(tmp_path: Path, kind: str) -> None:
    site, _ = small(tmp_path)
    bad = tmp_path / "bad.mp4"
    if kind == "folder":
        bad.mkdir()
    elif kind == "text":
        bad.write_text("this is no video\n" * 100)
    elif kind == "empty":
        bad.touch()
    elif kind == "zero frames":
        write_video(tmp_path / "bad.avi", numbered(1), codec="mjpeg")
        data = (tmp_path / "bad.avi").read_bytes()
        bad.write_bytes(data[: data.index(b"movi") + 4])
    elif kind == "no index":
        cut(write_video(bad, busy(20, (64, 48))), 0.6)
    run = replay(site, bad, tmp_path / "o.jsonl")
    assert_one_line(run, str(bad))
    assert not (tmp_path / "o.jsonl").exists()


def test_outputs_that_cannot_be_written_are_one_line(tmp_path: Path) -> None:
    site, video = small(tmp_path)
    assert_one_line(replay(site, video, tmp_path / "no" / "o.jsonl"), "there is no folder")
    assert_one_line(replay(site, video, tmp_path), "is a folder")
    assert_one_line(replay(site, video, video), "must be different files", code=2)
    assert_one_line(
        replay(site, video, tmp_path / "o.jsonl", "--annotated", tmp_path / "no" / "o.mp4"), "there is no folder"
    )
    assert not (tmp_path / "o.jsonl").exists()
    with av.open(str(video)) as untouched:
        assert untouched.streams.video[0].frames == 10


def test_a_full_disk_is_one_line(tmp_path: Path) -> None:
    if not os.access("/dev/full", os.W_OK):
        pytest.skip("this system has no /dev/full")
    site, video = small(tmp_path)
    more = {"device": {"id": "edge", "presence_window_seconds": 5}}
    long = write_video(tmp_path / "long.mp4", numbered(30), times=[index * 0.5 for index in range(30)])
    site = write_site(tmp_path, camera(str(video)), **more)
    assert_one_line(replay(site, long, Path("/dev/full")), "/dev/full", "No space left")
    assert Path("/dev/full").is_char_device()


def test_a_device_as_output_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    site, video = small(tmp_path)
    assert replay(site, video, Path("/dev/null")).returncode == 0
    assert Path("/dev/null").is_char_device()


@pytest.mark.parametrize("start", ["yesterday", "2026-01-31T08:00:00", "1950-01-01T00:00:00Z"])
def test_a_start_that_is_no_time_is_wrong_usage(tmp_path: Path, start: str) -> None:
    site, video = small(tmp_path)
    assert_one_line(replay(site, video, tmp_path / "o.jsonl", "--start", start), "--start", code=2)


def test_a_reader_of_the_summary_that_has_gone_is_no_traceback(tmp_path: Path) -> None:
    site, video = small(tmp_path)
    words = ["replay", site, "--camera", "cam", "--video", video, "--events", tmp_path / "o.jsonl"]
    read, write = os.pipe()
    os.close(read)
    run = subprocess.run(
        [sys.executable, "-m", "shelfvision", *map(str, words)],
        stdout=write,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(write)
    assert run.returncode == 1
    assert "Traceback" not in run.stderr
    assert (tmp_path / "o.jsonl").exists()
