"""The rows of an open outbox file: storing within its cap, reading in order, deleting, giving way to gap records."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from shelfvision.transport.disk_reserve import DiskReserve
from shelfvision.transport.outbox_file import PAGE_BYTES, SEQ_BITS, SEQ_MASK, TIERS, is_full

_RESERVE_BYTES = 2_097_152  # more than the log holds, so that the log can always be emptied into the file
_FEW_ROWS = 200

# The statements below name tables of ours only, so none can carry anything from outside.
# ruff: noqa: S608


class Values(NamedTuple):
    """An event's row."""

    position: int
    kind: str
    payload: str


class Found(NamedTuple):
    """A row as read; of a gap record ``payload`` holds what was dropped and ``first_seq`` is not 0."""

    position: int
    kind: str
    payload: str
    first_seq: int
    time: float


class OutboxRows:
    """Works on one open connection. Not thread-safe; ``Outbox`` is.

    Args:
        connection: from ``outbox_file.connect``.
        path: its file.
        max_pages: cap of the file.

    Attributes:
        count: events and gap records stored.
        dropped: events given up for lack of space, ever.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path, max_pages: int) -> None:
        self._connection = connection
        self._max_pages = max_pages
        self._ceiling = max_pages  # lower while the disk is full
        size = min(_RESERVE_BYTES, max_pages * PAGE_BYTES // 4)
        self._reserve = DiskReserve(Path(f"{path}.reserve"), size)
        self._reserve.hold()
        self.dropped = self._one("SELECT value FROM counters WHERE name = 'dropped'")
        self.count = sum(self._one(f"SELECT count(*) FROM {table}") for table in (*TIERS, "gaps"))

    @property
    def bytes_used(self) -> int:
        """Size of the used pages."""
        return (self._ceiling - self._free_pages()) * PAGE_BYTES

    # ------------------------------------------------------------------ storing

    def store(self, rows: dict[str, list[Values]], epoch: str, last_seq: int, *, now: float) -> None:
        """Store rows by tier and the epoch's new last seq, in one durable transaction.

        Within the cap, events of the same or lower tiers give way, oldest first. Rows for which only higher tiers
        could give way are given up at once.

        Raises:
            sqlite3.DatabaseError: nothing was stored.
        """
        rows = dict(rows)
        given_up: list[Values] = []
        for tier in TIERS:
            try:
                self._insert(rows, given_up, epoch, last_seq, now)
            except sqlite3.DatabaseError as error:
                if not is_full(error) or tier == TIERS[-1]:
                    raise
                given_up.extend(rows.pop(tier, ()))
            else:
                return

    def _insert(
        self, rows: dict[str, list[Values]], given_up: list[Values], epoch: str, last_seq: int, now: float
    ) -> None:
        total = sum(len(row.payload) + 40 for values in rows.values() for row in values)
        needed = total // (PAGE_BYTES // 2) + 4  # pages; half full ones and the path down to them counted in
        highest = next((tier for tier in reversed(TIERS) if rows.get(tier)), TIERS[0])
        if self._free_pages() < needed:
            self._make_room(needed * 2, highest, now)
        for attempt in range(3):
            try:
                self._begin()
                for tier, values in rows.items():
                    self._connection.executemany(f"INSERT INTO {tier} VALUES (?, ?, ?)", values)
                gaps = self._give_up([(row.position, row.kind) for row in given_up], now)
                self._connection.execute("UPDATE epochs SET last_seq = ? WHERE epoch = ?", (last_seq, epoch))
                self._commit()
            except sqlite3.DatabaseError as error:
                self.roll_back()
                if not is_full(error) or attempt == 2:
                    raise
                if self._pages() + needed < self._ceiling:  # below the cap: it is the disk itself
                    self._relieve()
                self._make_room(needed * (2 + attempt), highest, now)
            else:
                self.count += gaps + sum(map(len, rows.values()))
                self.dropped += len(given_up)
                return

    def _make_room(self, pages: int, highest: str, now: float) -> None:
        """Turn the oldest events of the lowest tiers up to ``highest`` into gap records until pages are free."""
        for tier in TIERS[: TIERS.index(highest) + 1]:
            chunk = 64
            while self._free_pages() < pages:
                self._begin()
                victims = self._connection.execute(
                    f"SELECT position, kind FROM {tier} ORDER BY position LIMIT ?", (chunk,)
                ).fetchall()
                if not victims:
                    self.roll_back()
                    break
                self._connection.execute(f"DELETE FROM {tier} WHERE position <= ?", (victims[-1][0],))
                gaps = self._give_up(victims, now)
                self._commit()
                self.count += gaps - len(victims)
                self.dropped += len(victims)
                chunk = min(chunk * 2, 4096)

    def _give_up(self, victims: Sequence[tuple[int, str]], now: float) -> int:
        """Within a transaction: store gap records for (position, kind) pairs, joined with their neighbours.

        Returns:
            How many gap records there are more than before.
        """
        if not victims:
            return 0
        self._connection.execute("UPDATE counters SET value = value + ? WHERE name = 'dropped'", (len(victims),))
        # a gap below touches with its last position; one above may begin among the victims and end beyond them
        neighbours = self._connection.execute(
            f"SELECT position, first_seq, dropped FROM gaps WHERE position >= ? AND "
            f"(position & ~{SEQ_MASK}) + first_seq <= ? ORDER BY position",
            (victims[0][0] - 1, victims[-1][0] + 1),
        ).fetchall()
        pieces = [(position, position, Counter({kind: 1})) for position, kind in victims]
        for position, first_seq, dropped in neighbours:
            pieces.append((position & ~SEQ_MASK | first_seq, position, Counter(json.loads(dropped))))
        joined: list[tuple[int, int, Counter[str]]] = []  # first position, last position, kinds
        for start, end, kinds in sorted(pieces, key=lambda piece: piece[:2]):
            if joined and start <= joined[-1][1] + 1 and start >> SEQ_BITS == joined[-1][0] >> SEQ_BITS:
                first, last, before = joined[-1]
                joined[-1] = (first, max(last, end), before + kinds)
            else:
                joined.append((start, end, kinds))
        self._connection.executemany("DELETE FROM gaps WHERE position = ?", [(row[0],) for row in neighbours])
        self._connection.executemany(
            "INSERT INTO gaps VALUES (?, ?, ?, ?)",
            [(end, start & SEQ_MASK, json.dumps(kinds), now) for start, end, kinds in joined],
        )
        return len(joined) - len(neighbours)

    # ------------------------------------------------------------------ reading and deleting

    def read(self, after: int, limit: int) -> list[Found]:
        """The next rows above a position, in order.

        Raises:
            sqlite3.DatabaseError: the file cannot be read.
        """
        parts = [
            f"SELECT position, kind, payload, 0 AS first_seq, 0.0 AS time FROM {tier} WHERE position > :after"
            for tier in TIERS
        ]
        parts.append("SELECT position, '', dropped, first_seq, time FROM gaps WHERE position > :after")
        query = " UNION ALL ".join(parts) + " ORDER BY position LIMIT :limit"
        return [Found(*row) for row in self._connection.execute(query, {"after": after, "limit": limit})]

    def delete(self, low: int, high: int) -> int:
        """Delete a range of positions; returns how many rows went.

        Raises:
            sqlite3.DatabaseError: the file does not take it.
        """
        # a deletion that a power cut undoes only sends events again, so it need not wait for the disk
        self._connection.execute("PRAGMA synchronous = NORMAL")
        try:
            self._begin()
            gone = sum(
                self._connection.execute(f"DELETE FROM {table} WHERE position BETWEEN ? AND ?", (low, high)).rowcount
                for table in (*TIERS, "gaps")
            )
            self._commit()
        except sqlite3.DatabaseError as error:
            self.roll_back()
            if not is_full(error):
                raise
            gone = self._delete_bit_by_bit(low, high)
        finally:
            self._connection.execute("PRAGMA synchronous = FULL")
        self.count -= gone
        if self._reserve.hold() and self._ceiling != self._max_pages:
            self._set_ceiling(self._max_pages)
        return gone

    def _delete_bit_by_bit(self, low: int, high: int) -> int:
        """The same on a full disk, in transactions small enough for the space that the log has."""
        gone = 0
        for table in (*TIERS, "gaps"):
            while True:
                self._relieve()
                deleted = self._connection.execute(
                    f"DELETE FROM {table} WHERE position IN "
                    f"(SELECT position FROM {table} WHERE position BETWEEN ? AND ? LIMIT {_FEW_ROWS})",
                    (low, high),
                ).rowcount
                if deleted == 0:
                    break
                gone += deleted
        return gone

    def move(self, after: int, number: int, rewrite: Sequence[tuple[Values, Values]], epoch: str) -> None:
        """Begin epoch ``number`` with rows that had another place: pairs of the old row and the new one.

        Raises:
            sqlite3.DatabaseError: nothing was changed.
        """
        try:
            self._begin()
            for tier in TIERS:
                chosen = dict(
                    self._connection.execute(f"SELECT position, 1 FROM {tier} WHERE position > ?", (after,)).fetchall()
                )
                for old, new in rewrite:
                    if old.position in chosen:
                        self._connection.execute(f"DELETE FROM {tier} WHERE position = ?", (old.position,))
                        self._connection.execute(f"INSERT INTO {tier} VALUES (?, ?, ?)", new)
            self._connection.execute("INSERT INTO epochs VALUES (?, ?, ?)", (number, epoch, len(rewrite)))
            self._commit()
        except sqlite3.DatabaseError:
            self.roll_back()
            raise

    # ------------------------------------------------------------------ space and transactions

    def roll_back(self) -> None:
        """End a transaction that failed."""
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    def _begin(self) -> None:
        self._connection.execute("BEGIN IMMEDIATE")

    def _commit(self) -> None:
        self._connection.execute("COMMIT")

    def _one(self, query: str) -> int:
        return int(self._connection.execute(query).fetchone()[0])

    def _pages(self) -> int:
        return self._one("PRAGMA page_count")

    def _free_pages(self) -> int:
        return self._ceiling - self._pages() + self._one("PRAGMA freelist_count")

    def _set_ceiling(self, pages: int) -> None:
        self._ceiling = pages
        self._connection.execute(f"PRAGMA max_page_count = {pages}")

    def _relieve(self) -> None:
        """On a full disk: give the reserve back and empty the log into the file, so that there is room to work in."""
        self._reserve.release()
        self._connection.execute("PRAGMA wal_checkpoint(RESTART)")  # the log keeps its space
        self._set_ceiling(self._pages())  # the space just won is for working in, not for more events
