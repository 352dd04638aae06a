"""The SQLite file behind the outbox: its tables, opening and checking it, moving it aside."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from shelfvision.core.events import EventKind
from shelfvision.errors import OutboxError

APPLICATION_ID = 0x53564F42  # "SVOB"
VERSION = 1
PAGE_BYTES = 4096
_LOG_PAGES = 200  # the write-ahead log is emptied into the file when it has so many
SEQ_BITS = 40  # a position is epoch number << 40 | seq: one integer key that sorts by (epoch, seq)
SEQ_MASK = 2**SEQ_BITS - 1

# One table a tier, so that giving up the oldest rows of a tier frees whole pages at once.
TIERS = ("minor", "normal", "vital")
_MINOR = {EventKind.TOUCH, EventKind.PRESENCE}
_VITAL = {EventKind.STOCKOUT, EventKind.PICK_UP}

_SCHEMA = f"""
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {VERSION};
CREATE TABLE epochs (number INTEGER PRIMARY KEY, epoch TEXT NOT NULL UNIQUE, last_seq INTEGER NOT NULL);
CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE minor (position INTEGER PRIMARY KEY, kind TEXT NOT NULL, payload TEXT NOT NULL);
CREATE TABLE normal (position INTEGER PRIMARY KEY, kind TEXT NOT NULL, payload TEXT NOT NULL);
CREATE TABLE vital (position INTEGER PRIMARY KEY, kind TEXT NOT NULL, payload TEXT NOT NULL);
CREATE TABLE gaps (position INTEGER PRIMARY KEY, first_seq INTEGER NOT NULL, dropped TEXT NOT NULL, time REAL NOT NULL);
INSERT INTO counters VALUES ('dropped', 0);
"""  # noqa: S608 - two constants of ours


def tier_of(kind: EventKind | None) -> str:
    """In which order events give way on a full disk: minor first, vital last."""
    if kind in _MINOR:
        return "minor"
    return "vital" if kind in _VITAL else "normal"


def is_damaged(error: sqlite3.Error) -> bool:
    """Whether an error says that the file is no (longer a) sound database, rather than locked, full or forbidden."""
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:
        return False
    return code & 0xFF in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT}


def is_full(error: sqlite3.Error) -> bool:
    """Whether an error says that the cap is reached or the disk is full."""
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and (code & 0xFF == sqlite3.SQLITE_FULL or code == sqlite3.SQLITE_IOERR_WRITE)


class DamagedFileError(Exception):
    """The file is there but is no sound outbox."""


def connect(path: Path, max_pages: int) -> sqlite3.Connection:
    """Open or make the file, with every commit on the disk before it returns.

    Raises:
        DamagedFileError: it is no sound outbox.
        OutboxError: it cannot be opened, or a newer version of shelfvision made it.
    """
    try:
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5)
    except sqlite3.Error as error:
        raise OutboxError(f"outbox {path}: cannot be opened: {error}; check the folder and its permissions") from None
    try:
        fresh = _prepare(connection, path)
        connection.execute(f"PRAGMA max_page_count = {max_pages}")
        if not fresh:
            _check(connection)
    except sqlite3.DatabaseError as error:
        connection.close()
        if is_damaged(error) or "no such table" in str(error):
            raise DamagedFileError(str(error)) from None
        raise OutboxError(f"outbox {path}: cannot be opened: {error}; check permissions and free space") from None
    except (DamagedFileError, OutboxError):
        connection.close()
        raise
    return connection


def _prepare(connection: sqlite3.Connection, path: Path) -> bool:
    connection.execute("PRAGMA trusted_schema = OFF")
    tables = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
    if tables:
        identity = connection.execute("PRAGMA application_id").fetchone()[0]
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if identity != APPLICATION_ID:
            raise OutboxError(f"outbox {path}: this is another program's database; choose another path")
        if version > VERSION:
            raise OutboxError(f"outbox {path}: made by a newer shelfvision (format {version}); update this one")
    else:
        connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(f"PRAGMA wal_autocheckpoint = {_LOG_PAGES}")
    if not tables:
        connection.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} COMMIT;")
    return not tables


def _check(connection: sqlite3.Connection) -> None:
    verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if verdict != "ok":
        raise DamagedFileError(str(verdict))
    for table in (*TIERS, "gaps"):
        connection.execute(f"SELECT max(position) FROM {table}")  # noqa: S608 - our own table names
    connection.execute("SELECT epoch, last_seq FROM epochs")
    if connection.execute("SELECT value FROM counters WHERE name = 'dropped'").fetchone() is None:
        raise DamagedFileError("a counter is missing")


def move_aside(path: Path, now: float) -> Path:
    """Rename a damaged file and its log so that a fresh one can take its place; returns the new name."""
    stamp = f"{int(now)}"
    target = path.with_name(f"{path.name}.corrupt-{stamp}")
    number = 1
    while target.exists():
        number += 1
        target = path.with_name(f"{path.name}.corrupt-{stamp}-{number}")
    path.rename(target)
    for suffix in ("-wal", "-shm"):
        part = Path(f"{path}{suffix}")
        if part.exists():
            part.rename(Path(f"{target}{suffix}"))
    return target


def same_file(path: Path, inode: tuple[int, int]) -> bool:
    """Whether the path still names the file that was opened."""
    try:
        found = os.stat(path)  # noqa: PTH116 - on the path of every event; Path.stat costs twice
    except OSError:
        return False
    return (found.st_dev, found.st_ino) == inode


def remove_logs(path: Path) -> None:
    """Remove the write-ahead log of a file that is gone: it must not be replayed into the next one."""
    if not path.exists():
        for suffix in ("-wal", "-shm"):
            Path(f"{path}{suffix}").unlink(missing_ok=True)
