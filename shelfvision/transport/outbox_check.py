"""Looks at a device's outbox for `shelfvision doctor`, without opening it for writing: an agent may be using it."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from shelfvision.core.findings import Finding
from shelfvision.transport.outbox_file import APPLICATION_ID, TIERS, VERSION, is_damaged

_SYNCS = 15
_SLOW_SYNC_SECONDS = 0.1
_DAMAGED = "nothing: at its next start the agent moves it aside and takes over what is readable"
_LOG_BYTES = 8_000_000  # the write-ahead log comes on top of the cap


def check_outbox(path: Path, max_bytes: int) -> Iterator[Finding]:
    """Findings about the disk under the outbox and about the file itself."""
    folder = path.parent
    while not folder.exists():
        folder = folder.parent
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        yield Finding.fail("disk", f"{folder}: cannot be written by this user", "change its owner, or device.outbox")
        return
    yield _space(folder, path, max_bytes)
    yield _sync_speed(folder)
    yield _file(path) if path.exists() else Finding.ok("outbox", f"{path}: will be made at the first start")


def _space(folder: Path, path: Path, max_bytes: int) -> Finding:
    free = shutil.disk_usage(folder).free
    used = path.stat().st_size if path.exists() else 0
    wanted = max(max_bytes - used, 0) + _LOG_BYTES
    text = f"{free / 1e6:,.0f} MB free at {folder}, the outbox may grow by {wanted / 1e6:,.0f} MB"
    if free < 2 * _LOG_BYTES:
        return Finding.fail("disk", text, "free some space: events cannot be stored")
    if free < wanted:
        return Finding.warn("disk", text, "free some space or lower device.outbox_max_mb")
    return Finding.ok("disk", text)


def _sync_speed(folder: Path) -> Finding:
    """How long one durable write takes: every batch of events waits for one."""
    seconds = []
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            for _ in range(_SYNCS):
                started = time.perf_counter()
                file.write(bytes(4096))
                file.flush()
                os.fsync(file.fileno())
                seconds.append(time.perf_counter() - started)
    except OSError as error:
        return Finding.fail(
            "disk", f"{folder}: cannot be written: {error.strerror}", "free space, or change device.outbox"
        )
    median, worst = statistics.median(seconds), max(seconds)
    text = f"a durable write takes {median * 1000:.1f} ms (at worst {worst * 1000:.1f} ms)"
    if median > _SLOW_SYNC_SECONDS:
        return Finding.warn("disk", text, "use a better disk or card: events are stored late under load")
    return Finding.ok("disk", text)


def _file(path: Path) -> Finding:
    try:
        with contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=5)) as file:
            return _contents(path, file)
    except sqlite3.Error as error:
        if is_damaged(error):
            return Finding.warn("outbox", f"{path}: is damaged: {error}", _DAMAGED)
        return Finding.fail("outbox", f"{path}: cannot be read: {error}", "check its permissions")


def _contents(path: Path, file: sqlite3.Connection) -> Finding:
    def value(query: str) -> Any:
        return file.execute(query).fetchone()[0]

    if value("PRAGMA application_id") != APPLICATION_ID:
        return Finding.fail("outbox", f"{path}: is another program's database", "choose another device.outbox")
    if (version := value("PRAGMA user_version")) > VERSION:
        return Finding.fail("outbox", f"{path}: made by a newer shelfvision (format {version})", "update this one")
    if (verdict := value("PRAGMA quick_check(1)")) != "ok":
        return Finding.warn("outbox", f"{path}: is damaged: {verdict}", _DAMAGED)
    count = sum(value(f"SELECT count(*) FROM {tier}") for tier in TIERS)  # noqa: S608 - our own table names
    text = f"{path}: sound, {count} events wait"
    if dropped := value("SELECT value FROM counters WHERE name = 'dropped'"):
        return Finding.warn(
            "outbox", f"{text}, {dropped} were given up for lack of space", "raise device.outbox_max_mb"
        )
    return Finding.ok("outbox", text)
