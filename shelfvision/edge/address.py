"""What a camera's ``source`` names, and how to show it without its password."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from shelfvision.errors import CameraError

STREAM_SCHEMES = ("rtsp", "rtsps", "http", "https")
_SCHEME = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*)://")
# user:password@ between the scheme and the host; the last @ before the path counts, since passwords hold some too
_USERINFO = re.compile(r"(?<=://)[^/?#\s]*@")
# cheap cameras take the password as a parameter, in the query or in the path (rtsp://host/user=admin&password=x)
_SECRET = re.compile(
    r"(?i)((?:^|[?&/;_-])(?:pass\w*|pwd|psw|user|username|usr|login|token|secret|key|\w*_key|apikey|auth\w*|sig\w*)=)"
    r"[^&;\s]*"
)


class SourceKind(StrEnum):
    """The ways by which frames come in."""

    FILE = "file"
    STREAM = "stream"
    DEVICE = "device"
    SIMULATED = "simulated"


@dataclass(frozen=True, slots=True)
class SourceAddress:
    """A camera source, taken apart."""

    kind: SourceKind
    location: str  # path, URL, device path, or what follows ``sim:``; may hold a password

    @property
    def shown(self) -> str:
        """The address as logs and errors may show it."""
        return redact_url(f"sim:{self.location}" if self.kind is SourceKind.SIMULATED else self.location)

    def __repr__(self) -> str:
        return f"SourceAddress({self.kind.value}, {self.shown!r})"


def parse_source(source: str) -> SourceAddress:
    """Find out what a source string names.

    ``rtsp://``, ``rtsps://``, ``http://``, ``https://``: a stream. ``usb:0`` or ``/dev/video0``: a device.
    ``sim:NAME?seed=1``: a simulated camera. Anything else without a scheme: a video file.

    Raises:
        CameraError: a scheme or device that we do not read.
    """
    if source.startswith("sim:"):
        return SourceAddress(SourceKind.SIMULATED, source.removeprefix("sim:"))
    if source.startswith("usb:"):
        number = source.removeprefix("usb:")
        if not number.isascii() or not number.isdigit():
            raise CameraError(f"source {source!r}: expected usb:0 or another device number")
        return SourceAddress(SourceKind.DEVICE, f"/dev/video{int(number)}")
    if source.startswith("/dev/"):
        return SourceAddress(SourceKind.DEVICE, source)
    if scheme := _SCHEME.match(source):
        if scheme[1].lower() not in STREAM_SCHEMES:
            raise CameraError(
                f"source {redact_url(source)!r}: {scheme[1]}:// is not read; "
                "expected a file path, rtsp://, http(s)://, usb:0, /dev/video0 or sim:NAME"
            )
        return SourceAddress(SourceKind.STREAM, source)
    return SourceAddress(SourceKind.FILE, str(Path(source)))


def redact_url(text: str) -> str:
    """The text with every user, password, token and key of a URL in it replaced by ``***``."""
    return _SECRET.sub(r"\1***", _USERINFO.sub("***@", text))
