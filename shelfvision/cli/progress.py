"""Shows how far long work is: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from typing import TextIO

_WIDTH = 28


class ProgressLine:
    """Redraws one line a few times a second on a terminal; elsewhere prints a line every so many seconds.

    Args:
        title: what is going on.
        stream: where to; stderr, so that stdout stays free for results.
        every: seconds between plain lines.
    """

    def __init__(self, title: str, *, stream: TextIO | None = None, every: float = 10.0) -> None:
        self._title = title
        self._stream = stream or sys.stderr
        self._terminal = self._stream.isatty()
        self._period = 0.1 if self._terminal else every
        self._next = time.monotonic() + (0.0 if self._terminal else every)
        self._drawn = False

    def update(self, share: float | None, detail: str) -> None:
        """Say how far it is: ``share`` from 0 to 1 when known."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + self._period
        if not self._terminal:
            done = "" if share is None else f" {min(share, 1):.0%}"
            print(f"{self._title}:{done} {detail}", file=self._stream, flush=True)
            return
        if share is None:
            bar = "." * _WIDTH
        else:
            full = round(min(share, 1) * _WIDTH)
            bar = "#" * full + "-" * (_WIDTH - full)
        print(f"\r{self._title} [{bar}] {detail}\x1b[K", end="", file=self._stream, flush=True)
        self._drawn = True

    def close(self) -> None:
        """Clear the bar."""
        if self._drawn:
            print("\r\x1b[K", end="", file=self._stream, flush=True)
            self._drawn = False
