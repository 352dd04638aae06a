"""Hands the newest item from a thread that must never wait to one that takes its time."""

from __future__ import annotations

import threading
import time
from typing import Generic, TypeVar

from shelfvision.errors import CameraError

T = TypeVar("T")


class Newest(Generic[T]):
    """A queue with room for one: a newer item takes the place of one that nobody has fetched."""

    def __init__(self) -> None:
        self.dropped = 0  # items that gave way before they were fetched
        self._changed = threading.Condition()
        self._item: T | None = None
        self._ended = False
        self._error: CameraError | None = None

    def put(self, item: T) -> None:
        """Offer an item; never blocks."""
        with self._changed:
            if self._item is not None:
                self.dropped += 1
            self._item = item
            self._changed.notify()

    def end(self, error: CameraError | None = None) -> None:
        """No more items come; the reader gets what is there, then ``error`` if there is one."""
        with self._changed:
            if not self._ended:
                self._ended, self._error = True, error
            self._changed.notify()

    def get(self, timeout: float) -> T | None:
        """The newest item, or None when the end has come.

        Args:
            timeout: seconds to wait.

        Raises:
            CameraError: the one given to ``end``.
            TimeoutError: nothing came in time.
        """
        deadline = time.monotonic() + timeout
        with self._changed:
            while self._item is None and not self._ended:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise TimeoutError
                self._changed.wait(left)
            item, self._item = self._item, None
            if item is None and self._error is not None:
                raise self._error
            return item
