"""Live cameras over HTTP: the newest frame counts, and every way to fail is noticed in time."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from itertools import pairwise

import pytest

from shelfvision.edge.address import parse_source
from shelfvision.edge.live import LiveCamera
from shelfvision.errors import CameraError
from tests.edge.footage import level
from tests.edge.http_camera import HttpCamera
from tests.edge.rtsp_camera import RtspCamera
from tests.waiting import wait_until


@pytest.fixture
def camera() -> Iterator[HttpCamera]:
    served = HttpCamera()
    yield served
    served.close()


def live(url: str, *, fps: float = 100, silence: float = 10) -> LiveCamera:
    return LiveCamera(parse_source(url), size=(64, 48), fps=fps, silence=silence)


@pytest.mark.parametrize("path", ["/mjpeg", "/ts"])
def test_a_stream_gives_frames_at_their_arrival(camera: HttpCamera, path: str) -> None:
    source, frames, began = live(camera.url(path)), [], time.time()
    for frame in source:
        frames.append(frame)
        if len(frames) == 10:
            break
    source.close()
    assert all(frame.size == (64, 48) for frame in frames)
    assert all(later.time > earlier.time and later.index > earlier.index for earlier, later in pairwise(frames))
    assert began <= frames[0].time <= frames[-1].time <= time.time() + 1


def test_a_slow_reader_gets_the_newest_frame_and_the_rest_are_counted(camera: HttpCamera) -> None:
    source = live(camera.url("/mjpeg"))
    frames = iter(source)
    first = next(frames)
    sent = camera.sent
    wait_until(lambda: camera.sent >= sent + 15)  # the reader is busy meanwhile
    next(frames)  # may have come just before
    second = next(frames)
    source.close()
    assert second.index - first.index >= 10
    assert source.dropped >= 8


def test_the_rate_is_limited_without_counting_as_dropped(camera: HttpCamera) -> None:
    source = live(camera.url("/mjpeg"), fps=5)
    times = [frame.time for frame, _ in zip(source, range(6), strict=False)]
    source.close()
    assert times[-1] - times[0] >= 5 * 0.2 * 0.7
    assert source.dropped <= 1


def test_a_stall_is_noticed(camera: HttpCamera) -> None:
    source = live(camera.url("/mjpeg"), silence=1.0)
    frames = iter(source)
    next(frames)
    camera.mood = "stall"
    began = time.monotonic()
    with pytest.raises(CameraError, match=r"no (picture|data) for 1 s"):
        for _ in frames:
            pass
    assert time.monotonic() - began < 5
    source.close()


def test_a_server_that_accepts_and_says_nothing_is_noticed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        source = live(f"http://127.0.0.1:{silent.getsockname()[1]}/x", silence=1.0)
        began = time.monotonic()
        with pytest.raises(CameraError):
            next(iter(source))
        assert time.monotonic() - began < 5
        source.close()


def test_the_end_of_a_stream_is_a_fault(camera: HttpCamera) -> None:
    source = live(camera.url("/mjpeg"))
    frames = iter(source)
    next(frames)
    camera.mood = "hang_up"
    with pytest.raises(CameraError, match=r"the (connection broke|stream ended)"):
        for _ in frames:
            pass
    source.close()


@pytest.mark.parametrize("user", ["", "admin:hunter2@"])
def test_an_unreachable_camera_is_named_without_its_password(camera: HttpCamera, user: str) -> None:
    camera.close()
    for url in (camera.url("/mjpeg?password=hunter2", user), f"rtsp://{user}127.0.0.1:{camera.port}/live"):
        source = live(url)
        with pytest.raises(CameraError, match="cannot be opened: Connection refused") as caught:
            next(iter(source))
        source.close()
        assert "hunter2" not in str(caught.value)
        assert "127.0.0.1" in str(caught.value)


def test_a_refused_password_is_said_so(camera: HttpCamera) -> None:
    source = live(camera.url("/locked", "admin:hunter2@"))
    with pytest.raises(CameraError, match="user or password refused") as caught:
        next(iter(source))
    source.close()
    assert "hunter2" not in str(caught.value)


def test_a_recording_over_http_plays_in_real_time_and_ends(camera: HttpCamera) -> None:
    began = time.monotonic()
    seen = [level(frame.image) for frame in live(camera.url("/clip.mp4"))]
    assert time.monotonic() - began >= 0.85
    assert seen[-1] == 9
    assert seen == sorted(seen)


def test_closing_ends_a_long_wait_at_once(camera: HttpCamera) -> None:
    camera.mood = "stall"
    source = live(camera.url("/mjpeg"), silence=30)
    threading.Timer(0.2, source.close).start()
    began = time.monotonic()
    assert list(source) == []
    assert time.monotonic() - began < 5


def test_an_absent_device_is_one_clear_line() -> None:
    with pytest.raises(CameraError, match=r"/dev/video97: no such device; is the camera plugged in"):
        live("usb:97")


def test_a_folder_under_dev_is_no_device() -> None:
    with pytest.raises(CameraError, match=r"is no video device"):
        live("/dev/fd/..")


@pytest.fixture
def rtsp() -> Iterator[RtspCamera]:
    served = RtspCamera()
    yield served
    served.close()


def test_an_rtsp_camera_with_a_password_streams(rtsp: RtspCamera) -> None:
    source = live(rtsp.url())
    frames = [frame for frame, _ in zip(source, range(10), strict=False)]
    source.close()
    assert all(frame.size == (64, 48) for frame in frames)
    assert all(later.time > earlier.time for earlier, later in pairwise(frames))
    assert frames[-1].time - frames[0].time < 5


def test_a_wrong_rtsp_password_is_said_so_and_not_shown(rtsp: RtspCamera) -> None:
    source = live(rtsp.url("admin", "guess1ng"))
    with pytest.raises(CameraError, match="user or password refused") as caught:
        next(iter(source))
    source.close()
    assert "guess1ng" not in str(caught.value)


def test_an_rtsp_camera_that_stalls_or_goes_is_noticed(rtsp: RtspCamera) -> None:
    source = live(rtsp.url(), silence=1.0)
    frames = iter(source)
    next(frames)
    rtsp.stalled = True
    began = time.monotonic()
    with pytest.raises(CameraError, match=r"no (picture|data) for 1 s"):
        list(frames)
    assert time.monotonic() - began < 5
    source.close()
    rtsp.stalled = False
    source = live(rtsp.url())
    frames = iter(source)
    next(frames)
    rtsp.close()
    with pytest.raises(CameraError):
        list(frames)
    source.close()
