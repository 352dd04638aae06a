"""Server-sent events: small notices of what changed; the page fetches the rest itself."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Awaitable, Callable

from shelfvision.service.problems import WebProblem

BEAT_SECONDS = 10.0  # a page that hears nothing for three beats reconnects
QUIET_SECONDS = 0.2  # notices within this are sent as one


class _Client:
    """One open stream: the topics that changed since its last notice. Memory is bounded by the topics."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.pending: set[str] = set()
        self.woken = asyncio.Event()

    def wake(self, topics: set[str]) -> None:
        self.pending |= topics
        self.woken.set()


class Live:
    """Hands change notices to every open page."""

    def __init__(self, *, build: str, most_clients: int = 256, beat_seconds: float = BEAT_SECONDS) -> None:
        self._build = build
        self._most_clients = most_clients
        self._beat_seconds = beat_seconds
        self._clients: set[_Client] = set()
        self._lock = threading.Lock()
        self._stopped = threading.Event()

    @property
    def clients(self) -> int:
        """Streams open now."""
        return len(self._clients)

    @property
    def stopped(self) -> bool:
        """Whether the service is going down."""
        return self._stopped.is_set()

    def publish(self, *topics: str) -> None:
        """Tell every page that something changed; from any thread, never blocks."""
        with self._lock:
            clients = list(self._clients)
        for client in clients:
            try:
                client.loop.call_soon_threadsafe(client.wake, set(topics))
            except RuntimeError:  # its event loop has closed with the server
                self._leave(client)

    def stop(self) -> None:
        """End every stream, so that the server can close; from any thread."""
        self._stopped.set()
        self.publish()

    def open(self, allowed: Callable[[], Awaitable[bool]]) -> AsyncIterator[bytes]:
        """A stream for one page; ``allowed`` is asked at each beat whether the login still holds.

        Raises:
            WebProblem: 503 when there are too many streams or the service is going down.
        """
        client = _Client()
        with self._lock:
            if self._stopped.is_set() or len(self._clients) >= self._most_clients:
                raise WebProblem(503, "too many open pages; this one tries again", headers={"Retry-After": "10"})
            self._clients.add(client)
        return self._stream(client, allowed)

    async def _stream(self, client: _Client, allowed: Callable[[], Awaitable[bool]]) -> AsyncIterator[bytes]:
        try:
            yield b"retry: 2000\n" + _message("hello", {"build": self._build, "beat": self._beat_seconds})
            while not self.stopped:
                try:
                    await asyncio.wait_for(client.woken.wait(), self._beat_seconds)
                except TimeoutError:
                    if not await allowed():
                        yield _message("login", {})
                        return
                    yield _message("beat", {})
                    continue
                await asyncio.sleep(QUIET_SECONDS)
                topics, client.pending = sorted(client.pending), set()
                client.woken.clear()
                if topics:
                    yield _message("change", {"topics": topics})
        finally:
            self._leave(client)

    def _leave(self, client: _Client) -> None:
        with self._lock:
            self._clients.discard(client)


def _message(name: str, data: dict[str, object]) -> bytes:
    return f"event: {name}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n".encode()
