"""A simulated camera that runs in real time."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

from shelfvision.edge.clock import SteadyClock
from shelfvision.edge.frame import Frame
from shelfvision.edge.sampling import FrameSampler
from shelfvision.sim.camera import SimulatedShelf, parse_address


class SimulatedCamera:
    """Frames of a simulated store as they would arrive from a camera.

    Args:
        address: what follows ``sim:`` in the source.
        fps: frames handed out a second at most.

    Raises:
        CameraError: the address names no simulated store.
    """

    live = True

    def __init__(self, address: str, *, fps: float) -> None:
        parsed = parse_address(address)
        self.dropped = 0
        self._shelf = SimulatedShelf(parsed)
        self._period = 1.0 / parsed.fps
        self._sampler = FrameSampler(fps)
        self._clock = SteadyClock()
        self._closed = threading.Event()

    def __iter__(self) -> Iterator[Frame]:
        """Frames as they fall due; a slow reader misses some."""
        started = time.monotonic()
        index, undrawn = 0, 0
        while not self._closed.wait(max(0.0, started + index * self._period - time.monotonic())):
            late = int((time.monotonic() - started) / self._period) - index
            if late > 0:
                self.dropped += late
                undrawn += late
                index += late
            if self._sampler.takes(index * self._period):
                yield Frame(self._shelf.picture(skip=undrawn), self._clock.now(), index)
                undrawn = 0
            else:
                undrawn += 1
            index += 1

    def close(self) -> None:
        """End the iteration soon; safe to call twice, and from another thread."""
        self._closed.set()
