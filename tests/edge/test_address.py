"""What a source names, and that no password of it is ever shown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shelfvision.edge.address import SourceKind, parse_source, redact_url
from shelfvision.errors import CameraError


@pytest.mark.parametrize(
    ("source", "kind", "location"),
    [
        ("/a/b.mp4", SourceKind.FILE, "/a/b.mp4"),
        ("clips/rtsp.mp4", SourceKind.FILE, "clips/rtsp.mp4"),
        ("rtsp://cam/1", SourceKind.STREAM, "rtsp://cam/1"),
        ("RTSP://cam/1", SourceKind.STREAM, "RTSP://cam/1"),
        ("https://cam/mjpeg", SourceKind.STREAM, "https://cam/mjpeg"),
        ("usb:3", SourceKind.DEVICE, "/dev/video3"),
        ("/dev/video1", SourceKind.DEVICE, "/dev/video1"),
        ("sim:table?seed=4", SourceKind.SIMULATED, "table?seed=4"),
    ],
)
def test_a_source_is_told_by_its_form(source: str, kind: SourceKind, location: str) -> None:
    address = parse_source(source)
    assert (address.kind, address.location) == (kind, location)


@pytest.mark.parametrize("source", ["ftp://host/x.mp4", "usb:front", "usb:", "gopher://x"])
def test_what_is_not_read_is_refused_in_one_line(source: str) -> None:
    with pytest.raises(CameraError, match="expected") as caught:
        parse_source(source)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "rtsp://admin:hunter2@10.0.0.5:554/stream",
        "rtsp://admin:hunt@er2:hunter2@10.0.0.5/stream",
        "http://10.0.0.5/video?user=admin&password=hunter2",
        "http://10.0.0.5/video?pwd=hunter2&channel=1",
        "http://10.0.0.5/v?access_token=hunter2",
        "rtsp://10.0.0.5/user=admin_password=hunter2_channel=1",
        "cannot open 'https://u:hunter2@host/x?api_key=hunter2'",
    ],
)
def test_no_password_survives(url: str) -> None:
    assert "hunter2" not in redact_url(url)
    assert "10.0.0.5" in redact_url(url) or "host/x" in redact_url(url)


def test_what_is_no_secret_stays_readable() -> None:
    assert (
        redact_url("rtsp://10.0.0.5:554/stream?channel=1&subtype=0") == "rtsp://10.0.0.5:554/stream?channel=1&subtype=0"
    )
    assert redact_url("/videos/keynote.mp4") == "/videos/keynote.mp4"


@given(
    user=st.text("abcXYZ019._-", min_size=1, max_size=8),
    password=st.text("abcdefgh!$%&'()*+,;=:@^~_-.", min_size=6, max_size=20),
)
def test_user_and_password_before_the_host_are_always_hidden(user: str, password: str) -> None:
    shown = redact_url(f"rtsp://{user}:{password}@camera.example:554/live/main")
    assert shown == "rtsp://***@camera.example:554/live/main"


def test_an_address_does_not_show_its_password_when_printed() -> None:
    address = parse_source("rtsp://admin:hunter2@10.0.0.5/stream")
    assert "hunter2" not in f"{address!r} {address} {address.shown}"
