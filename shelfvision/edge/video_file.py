"""Video files as cameras: as fast as one can read, or in real time."""

from __future__ import annotations

import stat
import time
from collections.abc import Iterator
from pathlib import Path

from av.video.frame import VideoFrame

from shelfvision.edge.decoder import Decoder, Opening, to_image
from shelfvision.edge.frame import Frame
from shelfvision.edge.sampling import FrameSampler
from shelfvision.errors import CameraError

_TOLERANCE_SECONDS = 0.5  # a header's length and the last picture may differ by this much, or by 2 %
_TOLERANCE_SHARE = 0.02


class VideoFile:
    """A recorded video; frame times are ``start`` plus presentation time, the first picture's being 0.

    A picture whose presentation time is missing or does not rise comes one nominal frame after the one before it.

    Args:
        path: the file.
        fps: frames handed out a second at most, chosen by presentation time.
        start: POSIX seconds of the first picture.

    Raises:
        CameraError: no such file, not a video, no picture in it, or pictures too large.
    """

    live = False

    def __init__(self, path: Path, *, fps: float, start: float = 0.0) -> None:
        self.path = path
        self.start = start
        self.read = 0  # pictures decoded so far
        self.seconds = 0.0  # presentation time of the latest picture
        # when that picture's time is over, by the file's own clock: some containers count their length from a first
        # picture that comes late, and the last picture may stand for long
        self._end = 0.0
        check_readable(path)
        # "file:" keeps a name such as "rtsp:x" from being read as an address, the list a playlist from leading away
        self._decoder = Decoder(Opening(f"file:{path}", str(path), options={"protocol_whitelist": "file"}))
        try:
            self._pictures = self._decoder.pictures()
            self._first: VideoFrame | None = self._first_picture()
            height, width = to_image(self._first).shape[:2]
        except BaseException:
            self.close()
            raise
        self.size = (width, height)
        self._sampler = FrameSampler(fps)

    def _first_picture(self) -> VideoFrame:
        picture = next(self._pictures, None)
        if picture is None:
            raise CameraError(f"{self.path}: holds no picture that can be decoded")
        return picture

    @property
    def declared_seconds(self) -> float | None:
        """Length by the file's header, if it tells."""
        return self._decoder.declared_seconds

    @property
    def damaged(self) -> int:
        """Packets and pictures passed over because they could not be decoded."""
        return self._decoder.damaged

    def __iter__(self) -> Iterator[Frame]:
        """The frames within the limit.

        Raises:
            CameraError: after the last frame, when the file ends before its header says: it is truncated.
        """
        for seconds, picture in self._timed():
            if self._sampler.takes(seconds):
                yield Frame(to_image(picture), self.start + seconds, self.read - 1)
        self._check_complete()

    def _timed(self) -> Iterator[tuple[float, VideoFrame]]:
        step = 1.0 / self._decoder.rate
        origin: float | None = None
        while True:
            picture, self._first = self._first, None
            if picture is None:
                picture = next(self._pictures, None)
            if picture is None:
                return
            told = picture.time
            if origin is None:
                origin = told or 0.0
                seconds = 0.0
            else:
                seconds = self.seconds + step if told is None else told - origin
                if seconds <= self.seconds:
                    seconds = self.seconds + step
            self.seconds = seconds
            self._end = max(seconds, told or 0.0) + max(step, _shown_for(picture))
            self.read += 1
            yield seconds, picture

    def _check_complete(self) -> None:
        declared = self.declared_seconds
        missing = declared is not None and declared - self._end > max(_TOLERANCE_SECONDS, _TOLERANCE_SHARE * declared)
        if missing or self._decoder.damaged_last:
            of = f" of {declared:.1f} s" if missing else ""
            raise CameraError(
                f"{self.path}: truncated: it ends at {self.seconds:.1f} s{of}; everything up to there was processed"
            )

    def close(self) -> None:
        """Close the file; safe to call twice."""
        self._decoder.close()


def _shown_for(picture: VideoFrame) -> float:
    """Seconds that a picture stands, by its container; 0 when that does not tell."""
    if not picture.duration or picture.time_base is None:
        return 0.0
    return float(picture.duration * picture.time_base)


class PlayedFile:
    """A video file that plays in real time, as if it were a camera now.

    A frame that comes more than ``patience`` seconds late is dropped, so that the clock holds on a slow machine.
    """

    live = False

    def __init__(self, path: Path, *, fps: float, patience: float = 1.0) -> None:
        self._file = VideoFile(path, fps=fps)
        self._patience = patience
        self.size = self._file.size
        self.dropped = 0
        self._closed = False

    def __iter__(self) -> Iterator[Frame]:
        """Frames at their time; the first is now.

        Raises:
            CameraError: after the last frame, when the file is truncated.
        """
        started, start = time.monotonic(), time.time()
        for frame in self._file:
            early = frame.time - (time.monotonic() - started)
            if early < -self._patience:
                self.dropped += 1
                continue
            while early > 0 and not self._closed:
                time.sleep(min(early, 0.1))
                early = frame.time - (time.monotonic() - started)
            if self._closed:
                return
            yield Frame(frame.image, start + frame.time, frame.index)

    def close(self) -> None:
        """End the playing soon; safe to call twice, and from another thread."""
        self._closed = True


def check_readable(path: Path) -> None:
    """Check that there is a file with something in it.

    Raises:
        CameraError: there is none.
    """
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise CameraError(f"{path}: is a folder, expected a video file")
        if not stat.S_ISREG(mode):
            raise CameraError(f"{path}: is no regular file, expected a video file")
        with path.open("rb") as file:
            if not file.read(1):
                raise CameraError(f"{path}: is empty, expected a video file")
    except FileNotFoundError:
        raise CameraError(f"{path}: no such file; check the path") from None
    except OSError as error:
        raise CameraError(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError:  # a NUL character in the name
        raise CameraError(f"{str(path)!r}: is no file name") from None
