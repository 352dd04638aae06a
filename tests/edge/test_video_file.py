"""Video files: their times, and every way in which they can be broken."""

from __future__ import annotations

import os
import struct
import time
from pathlib import Path

import numpy as np
import pytest

from shelfvision.edge.video_file import PlayedFile, VideoFile
from shelfvision.errors import CameraError
from tests.edge.footage import busy, cut, level, numbered, packets, write_video
from tests.waiting import wait_until


def read(path: Path, *, fps: float = 120, start: float = 0.0) -> list[tuple[float, int]]:
    source = VideoFile(path, fps=fps, start=start)
    try:
        return [(round(frame.time, 3), level(frame.image)) for frame in source]
    finally:
        source.close()


def test_every_frame_comes_with_its_presentation_time(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", numbered(10), fps=10)
    assert read(path) == [(round(index / 10, 3), index) for index in range(10)]


def test_the_start_is_added(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", numbered(3), fps=10)
    assert [when for when, _ in read(path, start=1000)] == [1000, 1000.1, 1000.2]


def test_uneven_times_are_kept_and_the_first_is_zero(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mkv", numbered(4), times=[5.0, 5.1, 7.0, 7.05])
    assert [when for when, _ in read(path)] == pytest.approx([0, 0.1, 2.0, 2.05])


def test_frames_within_the_limit_are_chosen_by_time(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", numbered(30), fps=30)
    assert [number for _, number in read(path, fps=10)] == list(range(0, 30, 3))


def test_without_presentation_times_frames_are_evenly_spaced(tmp_path: Path) -> None:
    """A raw H.264 stream carries none."""
    path = write_video(tmp_path / "a.h264", numbered(8), fps=25, container="h264")
    times = [when for when, _ in read(path)]
    assert len(times) == 8
    assert times == pytest.approx([index / 25 for index in range(8)])


def test_the_size_is_known_before_the_first_frame(tmp_path: Path) -> None:
    source = VideoFile(write_video(tmp_path / "a.mp4", numbered(2, (96, 64))), fps=10)
    assert source.size == (96, 64)
    source.close()
    source.close()


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(CameraError, match="no such file"):
        VideoFile(tmp_path / "none.mp4", fps=5)


def test_a_folder_is_no_video(tmp_path: Path) -> None:
    with pytest.raises(CameraError, match="is a folder"):
        VideoFile(tmp_path, fps=5)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    with pytest.raises(CameraError, match="no regular file"):
        VideoFile(tmp_path / "pipe.mp4", fps=5)


@pytest.mark.parametrize("content", [b"", b"no video at all\n" * 50, b"\x00" * 4096, os.urandom(4096)])
def test_what_is_no_video_is_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "notes.mp4"
    path.write_bytes(content)
    with pytest.raises(CameraError) as caught:
        VideoFile(path, fps=5)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_sound_file_holds_no_video(tmp_path: Path) -> None:
    path = tmp_path / "tone.wav"
    rate, samples = 8000, b"\x00\x01" * 8000
    header = (
        b"RIFF"
        + struct.pack("<I", 36 + len(samples))
        + b"WAVEfmt "
        + struct.pack("<IHHIIHH", 16, 1, 1, rate, rate * 2, 2, 16)
    )
    path.write_bytes(header + b"data" + struct.pack("<I", len(samples)) + samples)
    with pytest.raises(CameraError, match="holds no video"):
        VideoFile(path, fps=5)


def test_a_video_without_a_picture_is_one_line(tmp_path: Path) -> None:
    """A container whose only packet is cut away."""
    path = write_video(tmp_path / "a.avi", numbered(1), codec="mjpeg")
    data = path.read_bytes()
    at = data.index(b"movi")
    path.write_bytes(data[: at + 4])
    with pytest.raises(CameraError, match=r"no picture|not a video"):
        VideoFile(path, fps=5)


@pytest.mark.parametrize("side", [60_000, 16_000])
def test_a_header_that_claims_huge_pictures_is_refused_before_decoding(tmp_path: Path, side: int) -> None:
    path = write_video(tmp_path / "a.avi", numbered(2), codec="rawvideo")
    data = bytearray(path.read_bytes())
    at = data.index(b"strf") + 12
    data[at : at + 8] = struct.pack("<ii", side, side)
    path.write_bytes(data)
    began = time.monotonic()
    with pytest.raises(CameraError, match=r"claims pictures|no picture"):
        VideoFile(path, fps=5)
    assert time.monotonic() - began < 5


def test_a_playlist_leads_nowhere(tmp_path: Path) -> None:
    """A text file that names other files or addresses must not make us read them."""
    path = tmp_path / "list.m3u8"
    path.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://127.0.0.1:9/secret.ts\n#EXT-X-ENDLIST\n")
    with pytest.raises(CameraError):
        VideoFile(path, fps=5)


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [("a.mp4", "libx264", {"movflags": "+faststart"}), ("a.mkv", "libx264", {}), ("a.avi", "mjpeg", {})],
)
def test_a_truncated_video_gives_all_that_can_be_decoded_then_says_where_it_ends(
    tmp_path: Path, name: str, codec: str, options: dict[str, str]
) -> None:
    path = write_video(tmp_path / name, busy(60), fps=10, codec=codec, options=options)
    cut(path, 0.5)
    source = VideoFile(path, fps=60)
    with pytest.raises(CameraError, match=r"truncated: it ends at [1-4]\.\d s of 6\.0 s") as caught:
        list(source)
    source.close()
    assert "processed" in str(caught.value)
    assert 10 <= source.read <= 45


def test_frames_before_the_cut_are_handed_out(tmp_path: Path) -> None:
    path = cut(write_video(tmp_path / "a.mkv", busy(40), fps=10), 0.5)
    source = VideoFile(path, fps=60)
    frames = iter(source)
    seen = [next(frames).size for _ in range(15)]
    with pytest.raises(CameraError):
        list(frames)
    assert seen == [(160, 120)] * 15
    assert 15 <= source.read <= 25


def test_an_mp4_without_its_index_is_not_readable(tmp_path: Path) -> None:
    path = cut(write_video(tmp_path / "a.mp4", busy(20)), 0.6)
    with pytest.raises(CameraError, match="damaged"):
        VideoFile(path, fps=5)


def test_a_damaged_packet_in_the_middle_is_passed_over_and_counted(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.avi", busy(20), codec="mjpeg")
    data = bytearray(path.read_bytes())
    at, size = packets(path)[8]
    data[at + 8 : at + 8 + size] = bytes(size)
    path.write_bytes(data)
    source = VideoFile(path, fps=60)
    frames = list(source)
    source.close()
    assert len(frames) == 19
    assert source.damaged == 1


def test_a_video_turned_by_a_phone_is_handed_out_upright(tmp_path: Path) -> None:
    """The display matrix of the track header says by how much."""
    picture = np.zeros((48, 64, 3), np.uint8)
    picture[:, :32] = 255  # the left half is white
    path = write_video(tmp_path / "a.mp4", [picture] * 3)
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4 + 40  # version and flags, times, ids, layer, volume; then the matrix
    one = 0x10000
    data[at : at + 36] = struct.pack(">9i", 0, one, 0, -one, 0, 0, 48 * one, 0, 0x40000000)  # turn right by 90 degrees
    path.write_bytes(data)
    source = VideoFile(path, fps=30)
    assert source.size == (48, 64)
    image = next(iter(source)).image
    source.close()
    assert image.shape == (64, 48, 3)
    assert image[:28].mean() > 200  # turned right, the left half is on top
    assert image[36:].mean() < 60


def test_a_played_file_keeps_real_time(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", numbered(8), fps=10)
    began, wall = time.monotonic(), time.time()
    frames = list(PlayedFile(path, fps=30))
    assert time.monotonic() - began >= 0.69
    assert [level(frame.image) for frame in frames] == list(range(8))
    assert frames[-1].time - frames[0].time == pytest.approx(0.7)
    assert abs(frames[0].time - wall) < 5


def test_a_played_file_ends_at_once_when_closed(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mkv", numbered(3), times=[0, 60, 120])
    source = PlayedFile(path, fps=30)
    seen = []
    began = time.monotonic()
    for frame in source:
        seen.append(frame)
        source.close()
    assert len(seen) == 1
    assert time.monotonic() - began < 5


def test_a_reader_that_falls_behind_loses_frames_but_not_the_clock(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", numbered(20), fps=10)
    source = PlayedFile(path, fps=30, patience=0.2)
    frames = iter(source)
    first = next(frames)
    wait_until(lambda: time.time() >= first.time + 1.0, what="a slow reader")
    second = next(frames)
    assert second.time >= first.time + 0.7
    assert source.dropped >= 5
    source.close()
