"""Builders of small videos for tests."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
CLOCK = Fraction(1, 1000)


def numbered(count: int, size: tuple[int, int] = (64, 48)) -> list[Picture]:
    """Up to 30 pictures whose grey level rises by 7 a frame, so that a frame can be told from its content."""
    return [np.full((size[1], size[0], 3), 40 + 7 * index, np.uint8) for index in range(count)]


def level(image: Picture) -> int:
    """Which of the ``numbered`` pictures this is."""
    return round((float(image.mean()) - 38) / 7)


def busy(count: int, size: tuple[int, int] = (160, 120)) -> list[Picture]:
    """Pictures with much detail, so that their packets are large."""
    random = np.random.default_rng(0)
    return [
        cv2.resize(random.integers(0, 255, (size[1] // 4, size[0] // 4, 3), dtype=np.uint8), size) for _ in range(count)
    ]


def write_video(
    path: Path | str,
    pictures: Iterable[Picture],
    *,
    fps: float = 10,
    codec: str = "libx264",
    container: str | None = None,
    times: Sequence[float] | None = None,
    options: dict[str, str] | None = None,
) -> Path:
    """Write pictures as a video; ``times`` are the presentation times in seconds."""
    settings = {"qp": "0", "preset": "ultrafast", "tune": "zerolatency"} if codec == "libx264" else {}
    with av.open(str(path), "w", format=container, options=options or {}) as output:
        stream = None
        for index, picture in enumerate(pictures):
            if stream is None:
                stream = output.add_stream(codec, rate=Fraction(fps).limit_denominator(1000), options=settings)
                stream.width, stream.height = picture.shape[1], picture.shape[0]
                stream.pix_fmt = {"mjpeg": "yuvj420p", "rawvideo": "bgr24"}.get(codec, "yuv420p")
                stream.codec_context.time_base = CLOCK
            frame = av.VideoFrame.from_ndarray(picture, format="bgr24")
            frame.pts = round((index / fps if times is None else times[index]) / CLOCK)
            frame.time_base = CLOCK
            output.mux(stream.encode(frame))
        if stream is not None:
            output.mux(stream.encode(None))
    return Path(path)


def cut(path: Path, share: float) -> Path:
    """Keep only the first part of a file."""
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path


def packets(path: Path) -> list[tuple[int, int]]:
    """Place and length in the file of each packet of a video."""
    with av.open(str(path)) as video:
        return [(packet.pos, packet.size) for packet in video.demux(video=0) if packet.size and packet.pos is not None]
