"""Waiting for a condition with a deadline, instead of sleeping for a guess."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


def wait_until(condition: Callable[[], object], seconds: float = 10.0, *, what: str = "condition") -> None:
    """Return as soon as ``condition()`` is true.

    Raises:
        AssertionError: when it is not true within ``seconds``.
    """
    pause = threading.Event()
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come true within {seconds} s"
        pause.wait(0.02)
