"""Change notices for server-sent events: which kind of thing changed, coalesced, never blocking the writer."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self


class Changes:
    """One subscriber's notices. A slow reader finds each kind once, however often it changed meanwhile."""

    def __init__(self, feed: ChangeFeed, wake: Callable[[], None] | None) -> None:
        self._feed = feed
        self._wake = wake
        self._kinds: dict[str, None] = {}  # an ordered set
        self._ready = threading.Condition()

    def take(self, timeout: float | None = None) -> tuple[str, ...]:
        """The kinds changed since the last call, in order; waits for one, and is empty when the time is over."""
        deadline = None if timeout is None else time.monotonic() + timeout
        with self._ready:
            while not self._kinds:
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    break
                self._ready.wait(left)
            kinds = tuple(self._kinds)
            self._kinds.clear()
        return kinds

    def put(self, kinds: tuple[str, ...]) -> None:
        """Add notices and wake the reader."""
        with self._ready:
            self._kinds.update(dict.fromkeys(kinds))
            self._ready.notify_all()
        if self._wake is not None:
            self._wake()

    def close(self) -> None:
        """Hear no more."""
        self._feed.drop(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


class ChangeFeed:
    """Gives every notice to every subscriber."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._subscribers: list[Changes] = []

    def subscribe(self, wake: Callable[[], None] | None = None) -> Changes:
        """A new subscriber."""
        changes = Changes(self, wake)
        with self._lock:
            self._subscribers.append(changes)
        return changes

    def drop(self, changes: Changes) -> None:
        """Forget a subscriber."""
        with self._lock:
            if changes in self._subscribers:
                self._subscribers.remove(changes)

    def notify(self, *kinds: str) -> None:
        """Tell every subscriber."""
        with self._lock:
            subscribers = tuple(self._subscribers)
        for changes in subscribers:
            changes.put(kinds)
