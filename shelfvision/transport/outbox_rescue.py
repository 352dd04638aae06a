"""Getting events out of a damaged outbox file, and putting them into a fresh one."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from shelfvision.core.events import KIND_OF_TYPE, Event, EventKind
from shelfvision.transport.ids import new_epoch
from shelfvision.transport.outbox_file import SEQ_BITS, SEQ_MASK, TIERS, connect, tier_of


@dataclass(slots=True)
class Rescued:
    """What could be read from an old file: rows by (epoch, seq)."""

    events: dict[tuple[str, int], tuple[str, str]] = field(default_factory=dict)  # kind, payload
    gaps: dict[tuple[str, int], tuple[int, str, float]] = field(default_factory=dict)  # first_seq, dropped, time
    last_seq: dict[str, int] = field(default_factory=dict)
    dropped: int = 0
    complete: bool = True  # False: parts of the file could not be read

    def add(self, other: Rescued) -> None:
        """Take over what only ``other`` has."""
        self.events = {**other.events, **self.events}
        self.gaps = {**other.gaps, **self.gaps}
        self.last_seq = {**other.last_seq, **self.last_seq}

    @property
    def epochs(self) -> list[str]:
        """Every epoch met, oldest first."""
        return sorted({epoch for epoch, _ in (*self.events, *self.gaps)} | set(self.last_seq))


def read_all(connection: sqlite3.Connection) -> Rescued:
    """Everything that the open database gives up, row by row, from both ends of each table."""
    found = Rescued()
    epochs: dict[int, str] = {}
    for number, epoch, last_seq in _rows(connection, "SELECT number, epoch, last_seq FROM epochs", found):
        epochs[number] = epoch
        found.last_seq[epoch] = last_seq
    for (value,) in _rows(connection, "SELECT value FROM counters WHERE name = 'dropped'", found):
        found.dropped = value
    for table in TIERS:
        for direction in ("ASC", "DESC"):
            complete_before = found.complete
            query = f"SELECT position, kind, payload FROM {table} ORDER BY position {direction}"  # noqa: S608 - likewise
            for position, kind, payload in _rows(connection, query, found):
                key = _key(position, payload, epochs)
                if key is not None:
                    found.events[key] = (kind, payload)
            if found.complete == complete_before and direction == "ASC":
                break  # the first pass saw all of it
    for position, first_seq, dropped, when in _rows(
        connection, "SELECT position, first_seq, dropped, time FROM gaps ORDER BY position", found
    ):
        epoch = epochs.get(position >> SEQ_BITS)
        if epoch is not None:
            found.gaps[epoch, position & SEQ_MASK] = (first_seq, dropped, when)
    return found


def _rows(connection: sqlite3.Connection, query: str, found: Rescued) -> Iterator[tuple[Any, ...]]:
    try:
        yield from connection.execute(query)
    except sqlite3.DatabaseError:
        found.complete = False


def _key(position: int, payload: str, epochs: dict[int, str]) -> tuple[str, int] | None:
    event = _read_event(payload)
    if event is None:
        return None
    if epochs.get(position >> SEQ_BITS, event.epoch) != event.epoch or position & SEQ_MASK != event.seq:
        return None
    return event.epoch, event.seq


def _read_event(payload: str) -> Event | None:
    try:
        return Event.model_validate_json(payload)
    except (ValidationError, ValueError):
        return None


def rescue(path: Path) -> Rescued:
    """What can be read from a damaged file: by SQL as far as it goes, then by looking for events in its raw bytes."""
    found = Rescued(complete=False)
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=rw", uri=True, isolation_level=None)) as connection:
            connection.execute("PRAGMA cell_size_check = ON")
            found = read_all(connection)
    except sqlite3.Error:
        pass  # not even its first page: the raw bytes are left
    found.complete = False
    for suffix in ("", "-wal"):
        raw = Path(f"{path}{suffix}")
        if raw.exists():
            for event, payload in _carve(raw.read_bytes()):
                kind = KIND_OF_TYPE.get(event.type)
                found.events.setdefault((event.epoch, event.seq), (kind.value if kind else "", payload))
    return found


_START = b'{"specversion":"1.0"'


def _carve(data: bytes) -> Iterable[tuple[Event, str]]:
    """Events that stand in one piece somewhere in the bytes; acknowledged ones may be among them, which is harmless."""
    decoder = json.JSONDecoder()
    place = data.find(_START)
    while place >= 0:
        text = data[place : place + 70_000].decode("utf-8", errors="replace")
        try:
            _, end = decoder.raw_decode(text)
        except (json.JSONDecodeError, RecursionError):
            end = 0
        event = _read_event(text[:end]) if end else None
        if event is not None:
            yield event, text[:end]
        place = data.find(_START, place + 1)


def next_epoch(newest: str, now: float) -> str:
    """A new epoch that sorts above ``newest`` even when the clock went back."""
    epoch = new_epoch(now)
    return epoch if epoch > newest else new_epoch(int(newest[:12], 16) / 1000 + 0.001)


def fill_fresh(path: Path, rescued: Rescued, *, max_pages: int, now: float) -> sqlite3.Connection:
    """A new file with what was rescued under its old epochs, holes filled by gap records, and a new epoch."""
    connection = connect(path, max_pages)
    connection.execute("BEGIN IMMEDIATE")
    epoch = next_epoch(rescued.epochs[-1] if rescued.epochs else "", now)
    for number, old in enumerate(rescued.epochs, start=1):
        base = number << SEQ_BITS
        settled: list[tuple[int, int]] = []
        for (name, seq), (kind, payload) in rescued.events.items():
            if name == old:
                tier = tier_of(EventKind(kind) if kind in set(EventKind) else None)
                connection.execute(f"INSERT INTO {tier} VALUES (?, ?, ?)", (base | seq, kind, payload))  # noqa: S608 - likewise
                settled.append((seq, seq))
        for (name, seq), (first_seq, dropped, when) in rescued.gaps.items():
            if name == old:
                connection.execute("INSERT INTO gaps VALUES (?, ?, ?, ?)", (base | seq, first_seq, dropped, when))
                settled.append((first_seq, seq))
        last = max([rescued.last_seq.get(old, 0), *(end for _, end in settled)])
        connection.execute("INSERT INTO epochs VALUES (?, ?, ?)", (number, old, last))
        if not rescued.complete:
            for first_seq, seq in _holes(settled, last):
                lost = json.dumps({"unreadable": seq - first_seq + 1})
                connection.execute("INSERT OR IGNORE INTO gaps VALUES (?, ?, ?, ?)", (base | seq, first_seq, lost, now))
    connection.execute("INSERT INTO epochs VALUES (?, ?, 0)", (len(rescued.epochs) + 1, epoch))
    connection.execute("UPDATE counters SET value = ? WHERE name = 'dropped'", (rescued.dropped,))
    connection.execute("COMMIT")
    return connection


def _holes(settled: Sequence[tuple[int, int]], last: int) -> list[tuple[int, int]]:
    """What the ranges leave out of ``lowest..last``."""
    holes = []
    reached: int | None = None
    for start, end in sorted(settled):
        if reached is not None and start > reached + 1:
            holes.append((reached + 1, start - 1))
        reached = end if reached is None else max(reached, end)
    if reached is None:
        return [(1, last)] if last else []
    if last > reached:
        holes.append((reached + 1, last))
    return holes
