"""Live cameras: RTSP, HTTP and USB. A thread drains the source all the time; the reader gets the newest frame only."""

from __future__ import annotations

import os
import stat
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from av.video.frame import VideoFrame

from shelfvision.edge.address import SourceAddress, SourceKind
from shelfvision.edge.clock import SteadyClock
from shelfvision.edge.decoder import Decoder, Opening, to_image
from shelfvision.edge.frame import Frame
from shelfvision.edge.newest import Newest
from shelfvision.edge.sampling import FrameSampler
from shelfvision.errors import CameraError

SILENCE_SECONDS = 10.0  # a camera that sends nothing for so long is offline
_ANALYSIS_SECONDS = 2.0  # libav looks at a stream for so long at most before it hands out pictures
_OPENING_SECONDS = 5.0  # more patience with the first picture: the analysis, and the wait for a key frame
_PROTOCOLS = {
    "http": "http,https,httpproxy,tcp,tls,crypto,data",
    "rtsp": "rtsp,rtsps,rtp,srtp,udp,tcp,tls,http,https,crypto",
}


class LiveCamera:
    """A stream or device whose newest frame counts; a frame's time is its arrival.

    Opening happens in the reading thread, so that ``close`` ends a long wait at once. A recording served over HTTP
    (its header tells its length) plays in real time and ends.
    """

    live = True

    def __init__(
        self,
        address: SourceAddress,
        *,
        size: tuple[int, int],
        fps: float,
        silence: float = SILENCE_SECONDS,
        clock: SteadyClock | None = None,
    ) -> None:
        self._shown = address.shown
        self._opening = _opening(address, size, silence)
        self._silence = silence
        self._clock = clock or SteadyClock()
        self._sampler = FrameSampler(fps)
        self._newest: Newest[tuple[VideoFrame, float, int]] = Newest()
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def dropped(self) -> int:
        """Frames within the limit that gave way to a newer one."""
        return self._newest.dropped

    def __iter__(self) -> Iterator[Frame]:
        """The newest frame, again and again.

        Raises:
            CameraError: the camera cannot be opened, fails, or is silent for too long.
        """
        # daemon: a read that hangs in a driver must not keep the process from ending
        self._thread = threading.Thread(target=self._drain, name="camera-reader", daemon=True)
        self._thread.start()
        patience = self._silence + _OPENING_SECONDS
        while True:
            try:
                newest = self._newest.get(patience)
            except TimeoutError:
                raise CameraError(f"{self._shown}: no picture for {patience:g} s") from None
            patience = self._silence
            if newest is None:
                return
            picture, arrived, index = newest
            yield Frame(to_image(picture), arrived, index)

    def _drain(self) -> None:
        try:
            decoder = Decoder(self._opening)
            try:
                self._read(decoder)
            finally:
                decoder.close()
        except CameraError as error:
            self._newest.end(error)
        except BaseException as error:  # the reader must learn of it, or it would wait for nothing
            self._newest.end(CameraError(f"{self._shown}: reading broke: {type(error).__name__}: {error}"))
            raise

    def _read(self, decoder: Decoder) -> None:
        recorded = decoder.declared_seconds is not None
        started: float | None = None
        for index, picture in enumerate(decoder.pictures()):
            if recorded and picture.time is not None:
                if started is None:
                    started = time.monotonic() - picture.time
                self._closed.wait(max(0.0, started + picture.time - time.monotonic()))
            if self._closed.is_set():
                return
            arrived = self._clock.now()
            if self._sampler.takes(arrived):
                self._newest.put((picture, arrived, index))
        self._newest.end(None if recorded else CameraError(f"{self._shown}: the stream ended"))

    def close(self) -> None:
        """Stop reading; safe to call twice, and from another thread."""
        self._closed.set()
        self._newest.end()


def _opening(address: SourceAddress, size: tuple[int, int], silence: float) -> Opening:
    if address.kind is SourceKind.DEVICE:
        _check_device(address)
        return Opening(
            address.location,
            address.shown,
            format="v4l2",
            options={"video_size": f"{size[0]}x{size[1]}"},
            open_timeout=silence,
            read_timeout=silence,
            low_delay=True,
        )
    scheme = "rtsp" if address.location.lower().startswith("rtsp") else "http"
    options = {"protocol_whitelist": _PROTOCOLS[scheme], "analyzeduration": str(round(_ANALYSIS_SECONDS * 1e6))}
    if scheme == "rtsp":
        # TCP: a lost UDP packet smears the picture until the next key frame, and that looks like foreground
        options |= {"rtsp_transport": "tcp", "timeout": str(round(silence * 1e6))}
    else:
        options |= {"rw_timeout": str(round(silence * 1e6))}
    return Opening(
        address.location,
        address.shown,
        options=options,
        open_timeout=silence,
        read_timeout=silence,
        low_delay=True,
    )


def _check_device(address: SourceAddress) -> None:
    path = Path(address.location)
    try:
        mode = path.stat().st_mode
    except OSError:
        raise CameraError(f"{path}: no such device; is the camera plugged in? (v4l2-ctl --list-devices)") from None
    if not stat.S_ISCHR(mode):
        raise CameraError(f"{path}: is no video device")
    if not os.access(path, os.R_OK | os.W_OK):
        raise CameraError(f"{path}: not permitted; add this user to the group that owns it (usually `video`)")
