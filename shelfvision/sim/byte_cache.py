"""Things worked out once and kept, up to a number of bytes; the least used go first."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Kept = TypeVar("Kept")


class ByteCache(Generic[Kept]):
    """A cache bounded by bytes rather than entries.

    Args:
        max_bytes: what is kept at most; a single larger thing is still kept until the next one comes.
        size: bytes of one thing.
    """

    def __init__(self, max_bytes: int, size: Callable[[Kept], int]) -> None:
        self._kept: OrderedDict[Hashable, Kept] = OrderedDict()
        self._size = size
        self._max_bytes = max_bytes
        self.bytes = 0

    def get(self, key: Hashable, make: Callable[[], Kept]) -> Kept:
        """The thing kept under ``key``; made now when it is not there."""
        found = self._kept.get(key)
        if found is not None:
            self._kept.move_to_end(key)
            return found
        made = make()
        self._kept[key] = made
        self.bytes += self._size(made)
        while self.bytes > self._max_bytes and len(self._kept) > 1:
            self.bytes -= self._size(self._kept.popitem(last=False)[1])
        return made
