"""Server-sent events: small notices of what changed; the page fetches the rest itself."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import AsyncIterator, Awaitable, Callable

from shelfvision.service.changes import Changes
from shelfvision.service.desk import Desk
from shelfvision.service.problems import WebProblem

BEAT_SECONDS = 10.0  # a page that hears nothing for three beats reconnects
QUIET_SECONDS = 0.15  # notices within this are sent as one


class _Waker:
    """Wakes one stream from any thread."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.event = asyncio.Event()

    def __call__(self) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has closed: the server is gone, and the stream with it
            self._loop.call_soon_threadsafe(self.event.set)


class Live:
    """The open streams; each holds at most one pending notice of each kind, so memory is bounded."""

    def __init__(self, desk: Desk, *, build: str, most_clients: int = 256, beat_seconds: float = BEAT_SECONDS) -> None:
        self._desk = desk
        self._build = build
        self._most_clients = most_clients
        self._beat_seconds = beat_seconds
        self._wakers: set[_Waker] = set()
        self._lock = threading.Lock()
        self._stopped = False

    @property
    def clients(self) -> int:
        """Streams open now."""
        return len(self._wakers)

    def stop(self) -> None:
        """End every stream and take no new ones, so that the server can close; from any thread."""
        with self._lock:
            self._stopped = True
            wakers = list(self._wakers)
        for waker in wakers:
            waker()

    def open(self, allowed: Callable[[], Awaitable[bool]]) -> AsyncIterator[bytes]:
        """A stream for one page; ``allowed`` is asked at each beat whether the login still holds.

        Raises:
            WebProblem: 503 when there are too many streams or the service is going down.
        """
        waker = _Waker()
        with self._lock:
            if self._stopped or len(self._wakers) >= self._most_clients:
                raise WebProblem(503, "too many open pages; this one tries again", headers={"Retry-After": "10"})
            self._wakers.add(waker)
        return self._stream(waker, self._desk.subscribe(waker), allowed)

    async def _stream(
        self, waker: _Waker, changes: Changes, allowed: Callable[[], Awaitable[bool]]
    ) -> AsyncIterator[bytes]:
        loop = asyncio.get_running_loop()
        try:
            yield b"retry: 2000\n" + _message("hello", {"build": self._build, "beat": self._beat_seconds})
            beat = loop.time() + self._beat_seconds
            while not self._stopped:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(waker.event.wait(), max(0.0, beat - loop.time()))
                    await asyncio.sleep(QUIET_SECONDS)
                waker.event.clear()
                kinds = changes.take(0)
                if kinds:
                    yield _message("change", {"kinds": list(kinds)})
                # its own clock, not the time since the last notice: in a busy store a login must end too
                if loop.time() >= beat:
                    if not await allowed():
                        yield _message("login", {})
                        return
                    yield _message("beat", {})
                    beat = loop.time() + self._beat_seconds
        finally:
            changes.close()
            with self._lock:
                self._wakers.discard(waker)


def _message(name: str, data: dict[str, object]) -> bytes:
    return f"event: {name}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n".encode()
