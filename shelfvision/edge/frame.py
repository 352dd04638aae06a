"""One picture from a camera, with its time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
"""(height, width, 3), BGR."""


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """A decoded picture."""

    image: Image
    time: float  # POSIX seconds: arrival for live sources, start + PTS in replay
    index: int  # position in the stream, from 0; gaps where frames were skipped

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.image.shape[1], self.image.shape[0]


class FrameSource(Protocol):
    """Anything that yields frames: file, stream, USB device, simulator."""

    live: bool  # False: every frame counts and the end is an end; True: only the newest frame counts

    def __iter__(self) -> Iterator[Frame]:
        """Frames in order of time.

        Raises:
            CameraError: when the source fails in the middle.
        """

    def close(self) -> None:
        """Free the device or file; safe to call twice."""
