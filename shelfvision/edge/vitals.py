"""How the device is: processor, memory and disk, read from the operating system."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterable
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Vitals:
    """Processor time and memory of a set of processes, and the free space beside a file.

    Figures that the system does not tell (no ``/proc``) are None.
    """

    def __init__(self, beside: Path) -> None:
        self._beside = beside
        self._before: tuple[float, dict[int, float]] | None = None

    def cpu_percent(self, processes: Iterable[int]) -> float | None:
        """Processor time used since the last call, 100 for one full core; None on the first call."""
        now = time.monotonic()
        used = {pid: seconds for pid in processes if (seconds := _cpu_seconds(pid)) is not None}
        before, self._before = self._before, (now, used)
        if before is None or not used:
            return None
        then, earlier = before
        spent = sum(max(seconds - earlier.get(pid, 0.0), 0.0) for pid, seconds in used.items())
        return round(100 * spent / max(now - then, 1e-3), 1)

    def rss_mb(self, processes: Iterable[int]) -> float | None:
        """Resident memory of the processes together; shared pages count in each."""
        found = [pages for pid in processes if (pages := _resident_pages(pid)) is not None]
        return round(sum(found) * _PAGE / 1e6, 1) if found else None

    def disk_free_mb(self) -> float | None:
        """Free space on the disk of the file."""
        folder = self._beside.parent
        try:
            return round(shutil.disk_usage(folder).free / 1e6, 1)
        except OSError:
            return None


def _cpu_seconds(pid: int) -> float | None:
    try:
        # the name in parentheses may hold spaces; utime and stime are fields 14 and 15 (proc(5))
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICK
    except (OSError, ValueError, IndexError):
        return None


def _resident_pages(pid: int) -> int | None:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text(encoding="utf-8").split()[1])
    except (OSError, ValueError, IndexError):
        return None
