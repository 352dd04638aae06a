"""Disk space set aside in good times, given back when the disk is full so that there is room to tidy up in."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

_PAUSE_SECONDS = 30.0  # between attempts to set it aside


class DiskReserve:
    """A file that is nothing but space.

    Args:
        path: where it lies.
        size: bytes wanted; at most a quarter of what is free is taken.
    """

    def __init__(self, path: Path, size: int) -> None:
        self._path = path
        self._size = size
        self._held = False
        self._not_before = 0.0

    def hold(self) -> bool:
        """Set the space aside if it is not; True when it has just been, so the disk is well."""
        if self._held or time.monotonic() < self._not_before:
            return False
        self._not_before = time.monotonic() + _PAUSE_SECONDS
        try:
            if not self._path.exists():
                size = min(self._size, shutil.disk_usage(self._path.parent).free // 4)
                with self._path.open("wb") as file:
                    os.posix_fallocate(file.fileno(), 0, max(size, 1))
        except OSError:
            self._path.unlink(missing_ok=True)
            return False
        self._held = True
        return True

    def release(self) -> None:
        """Give it back."""
        self._path.unlink(missing_ok=True)
        self._held = False
        self._not_before = time.monotonic() + _PAUSE_SECONDS
