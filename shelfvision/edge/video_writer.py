"""Writes an MP4 that plays everywhere: H.264 with 4:2:0 colour, or MPEG-4 where no H.264 encoder is installed."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import av.error
import numpy as np
from av.codec.codec import UnknownCodecError
from av.video.stream import VideoStream

from shelfvision.edge.frame import Image
from shelfvision.errors import ShelfvisionError

_ENCODERS = {
    "libx264": {"preset": "veryfast", "crf": "20"},
    "libopenh264": {"b": "6000000"},
    "mpeg4": {"q:v": "3", "b": "8000000"},
}
_CLOCK = Fraction(1, 90_000)


class VideoWriter:
    """One video being written, picture by picture.

    Args:
        path: the file.
        size: width and height of every picture; odd sizes lose their last column or row.
        fps: nominal rate; the real times are those of the pictures.

    Raises:
        ShelfvisionError: the file cannot be written.
    """

    def __init__(self, path: Path, size: tuple[int, int], fps: float) -> None:
        self.path = path
        self._size = size[0] // 2 * 2, size[1] // 2 * 2
        self._last = -1
        try:
            self._container = av.open(f"file:{path}", "w", format="mp4", options={"movflags": "+faststart"})
        except (av.error.FFmpegError, OSError) as error:
            raise self._fault(error) from None
        self._stream = self._add_stream(fps)

    def _add_stream(self, fps: float) -> VideoStream:
        for name, options in _ENCODERS.items():
            try:
                stream = self._container.add_stream(name, rate=Fraction(fps).limit_denominator(1001), options=options)
            except (UnknownCodecError, ValueError):
                continue
            if not isinstance(stream, VideoStream):
                continue
            stream.width, stream.height = self._size
            stream.pix_fmt = "yuv420p"
            stream.time_base = stream.codec_context.time_base = _CLOCK
            stream.codec_context.thread_count = 1
            return stream
        self._container.close()
        raise ShelfvisionError(f"{self.path}: this PyAV has no encoder of {', '.join(_ENCODERS)}; reinstall av")

    def write(self, image: Image, seconds: float) -> None:
        """Add a picture that is shown from ``seconds`` after the first one on.

        Raises:
            ShelfvisionError: the disk fails.
        """
        cropped = np.ascontiguousarray(image[: self._size[1], : self._size[0]])
        frame = av.VideoFrame.from_ndarray(cropped, format="bgr24")
        frame.pts = self._last = max(round(seconds / _CLOCK), self._last + 1)
        frame.time_base = _CLOCK
        try:
            self._container.mux(self._stream.encode(frame))
        except (av.error.FFmpegError, OSError) as error:
            raise self._fault(error) from None

    def close(self) -> None:
        """Write what is still in the encoder and the index.

        Raises:
            ShelfvisionError: the disk fails.
        """
        try:
            self._container.mux(self._stream.encode(None))
            self._container.close()
        except (av.error.FFmpegError, OSError) as error:
            raise self._fault(error) from None

    def abandon(self) -> None:
        """Close without caring for what was written."""
        try:
            self._container.close()
        except (av.error.FFmpegError, OSError):
            return

    def _fault(self, error: Exception) -> ShelfvisionError:
        reason = getattr(error, "strerror", None) or type(error).__name__
        return ShelfvisionError(f"{self.path}: cannot be written: {reason}")
