"""A small inbox in a SQLite file of its own: the contract of ``InboxStore`` and nothing else."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from shelfvision.core.events import EventKind
from shelfvision.core.messages import Ack
from shelfvision.transport.inbox import Delivery


class InboxFile:
    """Stores deliveries exactly once and keeps a watermark for each device and epoch."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.executescript(
            """
            CREATE TABLE IF NOT EXISTS inbox (
                device TEXT, epoch TEXT, seq INTEGER, id TEXT, type TEXT, lag REAL, PRIMARY KEY (device, epoch, seq));
            CREATE TABLE IF NOT EXISTS gaps (device TEXT, epoch TEXT, first INTEGER, last INTEGER);
            CREATE TABLE IF NOT EXISTS dead (device TEXT, epoch TEXT, seq INTEGER, fault TEXT, raw BLOB);
            CREATE TABLE IF NOT EXISTS marks (
                device TEXT, epoch TEXT, seq INTEGER, heard INTEGER, PRIMARY KEY (device, epoch));
            """
        )
        self._mutex = threading.Lock()
        self.applies = 0

    def apply(self, deliveries: Sequence[Delivery]) -> Mapping[str, Ack]:
        """See ``InboxStore.apply``."""
        with self._mutex:
            self.applies += 1
            run = self._connection.execute
            run("BEGIN IMMEDIATE")
            try:
                last: dict[str, str] = {}
                for delivery in deliveries:
                    event = delivery.event
                    if event is None:
                        run(
                            "INSERT INTO dead VALUES (?, ?, ?, ?, ?)",
                            (delivery.device, delivery.epoch, delivery.seq, delivery.fault, delivery.raw),
                        )
                    if delivery.epoch is None or delivery.seq is None:
                        continue
                    last[delivery.device] = delivery.epoch
                    key = (delivery.device, delivery.epoch)
                    if event is not None and event.kind is EventKind.GAP:
                        run("INSERT INTO gaps VALUES (?, ?, ?, ?)", (*key, delivery.first_seq, delivery.seq))
                        continue
                    run(
                        "INSERT OR IGNORE INTO inbox VALUES (?, ?, ?, ?, ?, ?)",
                        (
                            *key,
                            delivery.seq,
                            event.id if event else None,
                            event.type if event else None,
                            delivery.received_at - event.time.timestamp() if event else None,
                        ),
                    )
                acks = {device: self._advance(device, epoch) for device, epoch in last.items()}
                run("COMMIT")
            except BaseException:
                run("ROLLBACK")
                raise
            return acks

    def _advance(self, device: str, epoch: str) -> Ack:
        run = self._connection.execute
        row = run("SELECT seq FROM marks WHERE device = ? AND epoch = ?", (device, epoch)).fetchone()
        mark = row[0] if row else 0
        seqs = {
            seq
            for (seq,) in run("SELECT seq FROM inbox WHERE device = ? AND epoch = ? AND seq > ?", (device, epoch, mark))
        }
        gaps = run("SELECT first, last FROM gaps WHERE device = ? AND epoch = ?", (device, epoch)).fetchall()
        moved = True
        while moved:
            moved = False
            while mark + 1 in seqs:
                mark, moved = mark + 1, True
            for first, end in gaps:
                if first <= mark + 1 <= end:
                    mark, moved = end, True
        heard = run("SELECT coalesce(max(heard), 0) + 1 FROM marks").fetchone()[0]
        run(
            "INSERT INTO marks VALUES (?, ?, ?, ?) "
            "ON CONFLICT DO UPDATE SET seq = excluded.seq, heard = excluded.heard",
            (device, epoch, mark, heard),
        )
        return Ack(epoch=epoch, seq=mark)

    def watermarks(self) -> Mapping[str, Ack]:
        """See ``InboxStore.watermarks``."""
        rows = self._ask("SELECT device, epoch, seq FROM marks ORDER BY heard")
        return {device: Ack(epoch=epoch, seq=seq) for device, epoch, seq in rows}

    def seqs(self, device: str = "edge-1") -> list[tuple[str, int]]:
        """(epoch, seq) of every event in the inbox, in order."""
        rows = self._ask("SELECT epoch, seq FROM inbox WHERE device = ? AND id IS NOT NULL ORDER BY 1, 2", device)
        return [(epoch, seq) for epoch, seq in rows]

    def ids(self) -> list[str]:
        """Ids of the events, in the order in which they came."""
        return [identity for (identity,) in self._ask("SELECT id FROM inbox WHERE id IS NOT NULL ORDER BY rowid")]

    def dead(self) -> list[tuple[int | None, str]]:
        """(seq, fault) of the dead letters."""
        return list(self._ask("SELECT seq, fault FROM dead ORDER BY rowid"))

    def lags(self) -> list[float]:
        """Seconds between each event's own time and its arrival."""
        return [lag for (lag,) in self._ask("SELECT lag FROM inbox WHERE lag IS NOT NULL ORDER BY rowid")]

    def _ask(self, query: str, *values: object) -> list[tuple]:
        with self._mutex:
            return self._connection.execute(query, values).fetchall()
