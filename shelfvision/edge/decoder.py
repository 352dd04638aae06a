"""Opens a video container with PyAV and hands out its pictures; every fault becomes one clear line."""

from __future__ import annotations

import errno
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import av
import av.error
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from shelfvision.edge.frame import Image
from shelfvision.errors import CameraError

MAX_SIDE = 16_384  # as in the site file
MAX_PIXELS = 64 << 20  # an 8K picture has 33 million; a header may claim anything, and decoding would allocate it


@dataclass(frozen=True, slots=True)
class Opening:
    """How a container is to be opened."""

    location: str  # what libav gets; may hold a password
    shown: str  # what people may see
    format: str | None = None  # libav's name of the input format; found by libav when None
    options: Mapping[str, str] | None = None
    open_timeout: float | None = None  # seconds
    read_timeout: float | None = None  # seconds without any data
    low_delay: bool = False  # hand out each picture at once, as a live source wants


class Decoder:
    """One open video.

    Raises:
        CameraError: it cannot be opened, holds no video, or claims pictures that are too large.
    """

    def __init__(self, opening: Opening) -> None:
        self.shown = opening.shown
        self.damaged = 0  # packets and pictures that could not be decoded so far
        self.damaged_last = False  # whether the last one could not
        self._read_timeout = opening.read_timeout
        self._container = self._open(opening)
        try:
            self._stream = self._video()
            self._check_header()
        except BaseException:
            self.close()
            raise
        codec = self._stream.codec_context
        codec.options = {**codec.options, "max_pixels": str(MAX_PIXELS)}
        codec.thread_count = 1
        if opening.low_delay:
            codec.flags |= 0x80000  # AV_CODEC_FLAG_LOW_DELAY

    def _open(self, opening: Opening) -> InputContainer:
        try:
            return av.open(
                opening.location,
                format=opening.format,
                container_options=dict(opening.options or {}),
                timeout=(opening.open_timeout, opening.read_timeout),
                metadata_errors="replace",
            )
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise CameraError(f"{self.shown}: cannot be opened: {self._why(error, opening.open_timeout)}") from None

    def _video(self) -> VideoStream:
        streams = [stream for stream in self._container.streams.video if stream.codec_context is not None]
        if not streams:
            raise CameraError(f"{self.shown}: holds no video that can be decoded; check that it is a video file")
        return streams[0]

    def _check_header(self) -> None:
        width, height = self.size
        if width > MAX_SIDE or height > MAX_SIDE or width * height > MAX_PIXELS:
            raise CameraError(
                f"{self.shown}: claims pictures of {width}x{height} pixels; "
                f"at most {MAX_SIDE} a side and {MAX_PIXELS} together are read"
            )

    @property
    def size(self) -> tuple[int, int]:
        """Width and height that the header claims; 0 where it claims none."""
        return self._stream.codec_context.width, self._stream.codec_context.height

    @property
    def rate(self) -> float:
        """Nominal frames a second; 25 when the container names none that makes sense."""
        for rate in (self._stream.average_rate, self._stream.guessed_rate, self._stream.base_rate):
            if rate is not None and 0.01 <= rate <= 1000:
                return float(rate)
        return 25.0

    @property
    def declared_seconds(self) -> float | None:
        """Length of the video by its header, None when the header does not tell reliably."""
        stream, container = self._stream, self._container
        if "avi" in container.format.name.split(","):  # libav derives an AVI's duration from the file's size
            return stream.frames / self.rate if stream.frames else None
        claims = []
        if stream.duration and stream.time_base:
            claims.append(float(stream.duration * stream.time_base))
        if tag := _tagged_seconds(stream.metadata.get("DURATION", "")):
            claims.append(tag)
        # the container's length is that of its longest stream, which may be sound
        if container.duration and (claims or len(container.streams) == 1):
            claims.append(container.duration / av.time_base)
        return min(claims) if claims else None

    def pictures(self) -> Iterator[VideoFrame]:
        """Every picture that can be decoded, in order of display; damaged packets are counted and passed over.

        Raises:
            CameraError: reading fails or stalls.
        """
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets, None)
            except av.error.InvalidDataError:
                self._damage()
                return
            except (av.error.FFmpegError, OSError) as error:
                raise CameraError(f"{self.shown}: reading failed: {self._why(error, self._read_timeout)}") from None
            if packet is None:
                return
            try:
                frames = packet.decode()
            except av.error.ExitError as error:
                raise CameraError(f"{self.shown}: reading failed: {self._why(error, self._read_timeout)}") from None
            except (av.error.FFmpegError, ValueError):
                self._damage()
                continue
            for frame in frames:
                if not isinstance(frame, VideoFrame) or frame.is_corrupt:
                    self._damage()
                    continue
                self.damaged_last = False
                yield frame

    def _damage(self) -> None:
        self.damaged += 1
        self.damaged_last = True

    def close(self) -> None:
        """Close the container; safe to call twice."""
        self._container.close()

    @staticmethod
    def _why(error: Exception, timeout: float | None) -> str:
        """A reason without the location, which libav's own texts repeat with its password."""
        if isinstance(error, av.error.ExitError):
            return f"no data for {timeout:g} s" if timeout else "interrupted"
        if isinstance(error, av.error.InvalidDataError):
            return "not a video, or cut off or damaged beyond reading"
        if isinstance(error, av.error.HTTPUnauthorizedError | av.error.HTTPForbiddenError):
            return "user or password refused"
        if isinstance(error, OSError) and error.errno in {errno.EIO, errno.EPIPE}:
            return "the connection broke"
        reason = getattr(error, "strerror", None) or type(error).__name__
        return " ".join(str(reason).split())


def to_image(frame: VideoFrame) -> Image:
    """A decoded picture as (height, width, 3) BGR, turned upright when the container says so."""
    image: Image = np.asarray(frame.to_ndarray(format="bgr24"), np.uint8)
    if quarter_turns := round(frame.rotation / 90) % 4:
        image = np.ascontiguousarray(np.rot90(image, quarter_turns))
    return image


def _tagged_seconds(text: str) -> float | None:
    """Seconds in Matroska's ``DURATION`` tag, ``HH:MM:SS.nnnnnnnnn``."""
    parts = text.split(":")
    try:
        hours, minutes, seconds = (float(part) for part in parts)
    except ValueError:
        return None
    return hours * 3600 + minutes * 60 + seconds
