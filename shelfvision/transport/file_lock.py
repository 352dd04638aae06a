"""One process at a time: a lock file that names its holder and that the kernel frees however the process ends."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path


class HeldElsewhereError(Exception):
    """Another process holds the lock; the message is its process id, or ``unknown``."""


class FileLock:
    """An exclusive ``flock`` on a file of its own.

    Args:
        path: the lock file; made when absent, never removed.

    Raises:
        HeldElsewhereError: somebody else has it.
        OSError: the file cannot be made or opened.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = _acquire(path)

    def renew(self) -> None:
        """After the lock file may have been deleted: hold the one that lies there now.

        Raises:
            HeldElsewhereError: somebody else has taken its place; the old lock is kept.
            OSError: the file cannot be made or opened.
        """
        ours = os.fstat(self._descriptor)
        try:
            found = self._path.stat()
        except FileNotFoundError:
            found = None
        if found is None or (found.st_dev, found.st_ino) != (ours.st_dev, ours.st_ino):
            descriptor = _acquire(self._path)
            os.close(self._descriptor)
            self._descriptor = descriptor

    def release(self) -> None:
        """Let another process have it; safe to call twice."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _acquire(path: Path) -> int:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
    except BlockingIOError:
        holder = os.read(descriptor, 32).decode(errors="replace").strip()
        os.close(descriptor)
        raise HeldElsewhereError(holder or "unknown") from None
    except OSError:  # a full disk: held all the same, without its holder's name
        return descriptor
    return descriptor
