"""Events wait here until the service has them: a SQLite file in which every commit is on the disk.

The file has a cap. Near it, and on a full disk, the oldest events of the lowest tier (touch and presence first,
stockout and pick-up last) give way to *gap* records that say what was given up, so that readers can pass over the hole.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog

from shelfvision.core.events import Event, EventData, EventDraft, EventKind
from shelfvision.errors import OutboxError
from shelfvision.transport import outbox_file
from shelfvision.transport.ids import event_id, new_epoch, to_event
from shelfvision.transport.outbox_file import PAGE_BYTES, SEQ_BITS, TIERS, tier_of
from shelfvision.transport.outbox_rescue import fill_fresh, next_epoch, read_all, rescue

MAX_EVENT_BYTES = 65_536
_MIN_PAGES = 16
_ROW_OVERHEAD = 40  # bytes of a row besides its payload, roughly
_RESERVE_BYTES = 2_097_152  # given back on a full disk: more than the log holds, so that it can always be emptied
_RESERVE_SECONDS = 30.0  # between attempts to set it aside again
_MAX_LINKS = 4096
_FEW_ROWS = 200
_log = structlog.get_logger(__name__)

_Values = tuple[int, str, str]  # position, kind, payload


class OversizeEventError(OutboxError):
    """One event is larger than the outbox takes; the others of its batch are not to blame."""


@dataclass(frozen=True, slots=True)
class Row:
    """One stored event, or a gap record, as it will be published."""

    position: int  # sorts by (epoch, seq)
    epoch: str
    seq: int
    first_seq: int  # seq itself, or for a gap record the start of its range
    kind: str
    payload: str


class Outbox:
    """The events of one device that the service does not have yet; safe to use from several threads.

    Args:
        path: the file; made when absent. A damaged one is moved aside and what is readable is taken over.
        store: store id.
        device: device id.
        max_bytes: cap of the file; its write-ahead log and a reserve for a full disk come on top (some 3 MB).
        clock: POSIX seconds, for epochs and gap records.

    Attributes:
        epoch: life of the file; new events get it.
        last_seq: highest place given out in the epoch.
        backlog: events (and gap records) stored and not yet acknowledged.
        dropped: events given up for lack of space since the file was made.
        generation: rises when the file is made anew while running; positions of before mean nothing then.
        notice: what the user should know about the file, in one line; None when all is well.

    Raises:
        OutboxError: another agent has it open, or it cannot be opened.
    """

    def __init__(
        self, path: Path | str, *, store: str, device: str, max_bytes: int, clock: Callable[[], float] = time.time
    ) -> None:
        self.path = Path(path)
        self.notice: str | None = None
        self.epoch = ""
        self.backlog = 0
        self.dropped = 0
        self.last_seq = 0
        self.generation = 0
        self._store_id = store
        self._device = device
        self._max_pages = max(max_bytes // PAGE_BYTES, _MIN_PAGES)
        self._ceiling = self._max_pages  # lower while the disk is full
        self._clock = clock
        self._mutex = threading.RLock()
        self._listeners: list[Callable[[], None]] = []
        self._links: dict[str, str] = {}
        self._epochs: dict[int, str] = {}  # number to epoch, oldest first
        self._lock_file = -1
        self._reserve_held = False
        self._reserve_after = 0.0
        self._told_dropped = 0
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutboxError(f"outbox {path}: its folder cannot be made: {error.strerror}") from None
        self._lock()
        try:
            self._connection = self._open()
        except BaseException:
            self._unlock()
            raise

    # ------------------------------------------------------------------ writing

    def append(self, drafts: Sequence[EventDraft]) -> list[Event]:
        """Give the drafts their places and store them; they are on the disk when this returns.

        Raises:
            OversizeEventError: one of them is larger than 64 KiB; none is stored.
            OutboxError: the disk is full or fails even after minor events gave way; none is stored.
        """
        if not drafts:
            return []
        with self._mutex:
            self.check_file()
            try:
                events = self._append(drafts)
            except sqlite3.DatabaseError as error:
                self._rollback()
                if not outbox_file.is_damaged(error):
                    raise OutboxError(
                        f"outbox {self.path}: cannot store events: {error}; free some disk space or check the disk"
                    ) from None
                self._replace(f"was found damaged ({error})")
                events = self._append(drafts)
        for listener in self._listeners:
            listener()
        return events

    def _append(self, drafts: Sequence[EventDraft]) -> list[Event]:
        number = max(self._epochs)
        first = self.last_seq + 1
        events = [
            to_event(
                draft, store=self._store_id, device=self._device, epoch=self.epoch, seq=first + index, links=self._links
            )
            for index, draft in enumerate(drafts)
        ]
        rows: dict[str, list[_Values]] = {tier: [] for tier in TIERS}
        total = 0
        for draft, event in zip(drafts, events, strict=True):
            payload = event.to_json()
            size = len(payload.encode())
            if size > MAX_EVENT_BYTES:
                raise OversizeEventError(
                    f"{draft.kind} event {draft.key!r} of camera {draft.camera!r} has {size} bytes; "
                    f"an event takes at most {MAX_EVENT_BYTES}"
                )
            total += size + _ROW_OVERHEAD
            rows[tier_of(draft.kind)].append((number << SEQ_BITS | event.seq, draft.kind.value, payload))
        self._store(rows, total)
        while len(self._links) > _MAX_LINKS:
            del self._links[next(iter(self._links))]
        return events

    def _store(self, rows: dict[str, list[_Values]], total: int) -> None:
        """Store the rows; what finds no place because only higher tiers are left to give way becomes a gap itself."""
        last_seq = self.last_seq + sum(map(len, rows.values()))
        given_up: list[_Values] = []
        for tier in TIERS:
            try:
                self._insert(rows, given_up, last_seq, total)
            except sqlite3.DatabaseError as error:
                if not outbox_file.is_full(error) or tier == TIERS[-1]:
                    raise
                given_up.extend(rows.pop(tier, ()))
            else:
                break
        self.last_seq = last_seq
        self.backlog += sum(map(len, rows.values()))

    def _insert(self, rows: dict[str, list[_Values]], given_up: list[_Values], last_seq: int, total: int) -> None:
        needed = total // (PAGE_BYTES // 2) + 4  # pages; half full ones and the path down to them counted in
        highest = next((tier for tier in reversed(TIERS) if rows.get(tier)), TIERS[0])
        if self._free_pages() < needed:
            self._make_room(needed * 2, highest)
        for attempt in range(3):
            try:
                self._begin()
                for tier, values in rows.items():
                    if values:
                        self._connection.executemany(f"INSERT INTO {tier} VALUES (?, ?, ?)", values)  # noqa: S608 - our tables
                change = self._give_up([(position, kind) for position, kind, _ in given_up]) if given_up else 0
                self._connection.execute("UPDATE epochs SET last_seq = ? WHERE epoch = ?", (last_seq, self.epoch))
                self._connection.execute("COMMIT")
            except sqlite3.DatabaseError as error:
                self._rollback()
                if not outbox_file.is_full(error) or attempt == 2:
                    raise
                if self._pages() + needed < self._ceiling:  # below the cap: it is the disk itself
                    self._relieve()
                self._make_room(needed * (2 + attempt), highest)
            else:
                self.backlog += change
                self.dropped += len(given_up)
                return

    # ------------------------------------------------------------------ reading and acknowledging

    def read(self, after: int, limit: int) -> list[Row]:
        """The next rows above a position, in order; a run of rows never reaches into the next epoch."""
        parts = [
            f"SELECT position, kind, payload, 0 AS first_seq, 0.0 AS time FROM {tier} WHERE position > :after"  # noqa: S608 - likewise
            for tier in TIERS
        ]
        parts.append("SELECT position, '', dropped, first_seq, time FROM gaps WHERE position > :after")
        query = " UNION ALL ".join(parts) + " ORDER BY position LIMIT :limit"
        with self._mutex:
            try:
                found = self._connection.execute(query, {"after": after, "limit": limit}).fetchall()
            except sqlite3.DatabaseError as error:
                if not outbox_file.is_damaged(error):
                    raise OutboxError(f"outbox {self.path}: cannot be read: {error}") from None
                self._replace(f"was found damaged ({error})")
                return []
            rows = []
            for position, kind, payload, first_seq, when in found:
                number, seq = position >> SEQ_BITS, position & (2**SEQ_BITS - 1)
                if number != found[0][0] >> SEQ_BITS:
                    break
                epoch = self._epochs[number]
                if first_seq:
                    payload = self._gap_event(epoch, first_seq, seq, json.loads(payload), when).to_json()  # noqa: PLW2901 - a gap's payload is made when read
                rows.append(Row(position, epoch, seq, first_seq or seq, kind or EventKind.GAP.value, payload))
        return rows

    def lowest(self) -> Row | None:
        """The oldest row, or None when nothing waits."""
        rows = self.read(0, 1)
        return rows[0] if rows else None

    def acknowledge(self, epoch: str, seq: int) -> int:
        """Delete every row of ``epoch`` up to ``seq``; returns how many went.

        An epoch that is not in the file, or a seq that was never given out, changes nothing.
        """
        with self._mutex:
            number = next((number for number, name in self._epochs.items() if name == epoch), None)
            if number is None or (epoch == self.epoch and seq > self.last_seq):
                return 0
            low, high = number << SEQ_BITS, number << SEQ_BITS | min(seq, 2**SEQ_BITS - 1)
            try:
                gone = self._delete(low, high)
            except sqlite3.DatabaseError as error:
                if outbox_file.is_damaged(error):
                    self._replace(f"was found damaged ({error})")
                    return 0
                raise OutboxError(f"outbox {self.path}: cannot delete acknowledged events: {error}") from None
            self.backlog -= gone
            if self.backlog == 0:
                self._forget_old_epochs()
            self._make_reserve()
            return gone

    def _delete(self, low: int, high: int) -> int:
        """Delete the rows of a range of positions; returns how many went."""
        # a deletion that a power cut undoes only sends events again, so it need not wait for the disk
        self._connection.execute("PRAGMA synchronous = NORMAL")
        try:
            self._begin()
            gone = sum(
                self._connection.execute(
                    f"DELETE FROM {table} WHERE position BETWEEN ? AND ?",  # noqa: S608 - likewise
                    (low, high),
                ).rowcount
                for table in (*TIERS, "gaps")
            )
            self._connection.execute("COMMIT")
        except sqlite3.DatabaseError as error:
            self._rollback()
            if not outbox_file.is_full(error):
                raise
            gone = self._delete_bit_by_bit(low, high)
        finally:
            self._connection.execute("PRAGMA synchronous = FULL")
        return gone

    def _delete_bit_by_bit(self, low: int, high: int) -> int:
        """The same on a full disk, in transactions small enough for the space that the log has."""
        gone = 0
        for table in (*TIERS, "gaps"):
            while True:
                self._relieve()
                deleted = self._connection.execute(
                    f"DELETE FROM {table} WHERE position IN "  # noqa: S608 - likewise
                    f"(SELECT position FROM {table} WHERE position BETWEEN ? AND ? LIMIT {_FEW_ROWS})",
                    (low, high),
                ).rowcount
                if deleted == 0:
                    break
                gone += deleted
        return gone

    def position(self, epoch: str, seq: int) -> int | None:
        """Where (epoch, seq) stands in the order, or None for an epoch that is not in the file."""
        with self._mutex:
            for number, name in self._epochs.items():
                if name == epoch:
                    return number << SEQ_BITS | seq
        return None

    @property
    def bytes_used(self) -> int:
        """Size of the file's used pages."""
        with self._mutex:
            return (self._ceiling - self._free_pages()) * PAGE_BYTES

    def on_append(self, listener: Callable[[], None]) -> None:
        """Call ``listener`` after each append, from the appending thread; it must return at once."""
        self._listeners.append(listener)

    def check_file(self) -> None:
        """See that the file still lies where it was opened, and make it anew from what is at hand when not."""
        with self._mutex:
            if not outbox_file.same_file(self.path, self._inode):
                self._replace("was deleted or replaced while in use")

    def close(self) -> None:
        """Close the file and let another agent have it; safe to call twice."""
        with self._mutex:
            self._connection.close()
            self._unlock()

    # ------------------------------------------------------------------ making room

    def _pages(self) -> int:
        return int(self._connection.execute("PRAGMA page_count").fetchone()[0])

    def _free_pages(self) -> int:
        return self._ceiling - self._pages() + int(self._connection.execute("PRAGMA freelist_count").fetchone()[0])

    def _set_ceiling(self, pages: int) -> None:
        self._ceiling = pages
        self._connection.execute(f"PRAGMA max_page_count = {pages}")

    def _make_room(self, pages: int, highest: str) -> None:
        """Turn the oldest events of the lowest tiers up to ``highest`` into gap records until pages are free."""
        before = self.dropped
        for tier in TIERS[: TIERS.index(highest) + 1]:
            chunk = 64
            while self._free_pages() < pages:
                self._begin()
                victims = self._connection.execute(
                    f"SELECT position, kind FROM {tier} ORDER BY position LIMIT ?",  # noqa: S608 - likewise
                    (chunk,),
                ).fetchall()
                if not victims:
                    self._rollback()
                    break
                self._connection.execute(f"DELETE FROM {tier} WHERE position <= ?", (victims[-1][0],))  # noqa: S608 - likewise
                change = self._give_up(victims)
                self._connection.execute("COMMIT")
                self.backlog += change - len(victims)
                self.dropped += len(victims)
                chunk = min(chunk * 2, 4096)
        if self.dropped > before:
            self.notice = f"outbox is full: {self.dropped} events of the least important kinds were given up so far"
            if self.dropped >= self._told_dropped * 2:
                self._told_dropped = self.dropped
                _log.warning("outbox full, events given up", path=str(self.path), dropped=self.dropped)

    def _give_up(self, victims: Sequence[tuple[int, str]]) -> int:
        """Within a transaction: count the victims and store their gap records; returns gap rows gained."""
        self._connection.execute("UPDATE counters SET value = value + ? WHERE name = 'dropped'", (len(victims),))
        return self._write_gaps(victims)

    def _write_gaps(self, victims: Sequence[tuple[int, str]]) -> int:
        """Store gap records for the victims, joined with each other and with their neighbours; returns rows gained."""
        when = self._clock()
        joined: list[tuple[int, int, Counter[str]]] = []  # first position, last position, counts
        low, high = victims[0][0] - 1, victims[-1][0] + 1
        # a gap below touches at most its last position; a gap above may begin inside and end beyond
        neighbours = self._connection.execute(
            f"SELECT position, first_seq, dropped FROM gaps WHERE position >= ? AND "  # noqa: S608 - a constant
            f"(position & ~{2**SEQ_BITS - 1}) + first_seq <= ? ORDER BY position",
            (low, high),
        ).fetchall()
        pieces = [(position, position, Counter({kind: 1})) for position, kind in victims]
        for position, first_seq, dropped in neighbours:
            start = position >> SEQ_BITS << SEQ_BITS | first_seq
            pieces.append((start, position, Counter(json.loads(dropped))))
        for start, end, counts in sorted(pieces, key=lambda piece: piece[:2]):
            if joined and start <= joined[-1][1] + 1 and start >> SEQ_BITS == joined[-1][0] >> SEQ_BITS:
                before = joined[-1]
                joined[-1] = (before[0], max(before[1], end), before[2] + counts)
            else:
                joined.append((start, end, counts))
        self._connection.executemany("DELETE FROM gaps WHERE position = ?", [(row[0],) for row in neighbours])
        self._connection.executemany(
            "INSERT INTO gaps VALUES (?, ?, ?, ?)",
            [(end, start & (2**SEQ_BITS - 1), json.dumps(counts), when) for start, end, counts in joined],
        )
        return len(joined) - len(neighbours)

    def _gap_event(self, epoch: str, first_seq: int, seq: int, dropped: dict[str, int], when: float) -> Event:
        draft = EventDraft(
            EventKind.GAP,
            when,
            "-",  # no camera can have this id
            EventData(first_seq=first_seq, dropped=dropped, reason="the device had no space or lost part of its file"),
            f"gap-{first_seq}",
        )
        event = to_event(draft, store=self._store_id, device=self._device, epoch=epoch, seq=seq)
        return event.model_copy(update={"id": event_id(when, event.source, epoch, f"gap-{first_seq}-{seq}")})

    # ------------------------------------------------------------------ the file

    def _open(self) -> sqlite3.Connection:
        try:
            connection = outbox_file.connect(self.path, self._max_pages)
        except outbox_file.DamagedFileError as error:
            now = self._clock()
            aside = outbox_file.move_aside(self.path, now)
            rescued = rescue(aside)
            connection = fill_fresh(self.path, rescued, max_pages=self._max_pages, now=self._clock())
            self.notice = (
                f"outbox file was damaged ({error}) and moved to {aside.name}; "
                f"{len(rescued.events)} events were saved from it"
            )
            _log.error("outbox file was damaged", path=str(self.path), moved_to=str(aside), saved=len(rescued.events))
        self._load(connection)
        return connection

    def _load(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._ceiling = self._max_pages
        self._epochs = dict(connection.execute("SELECT number, epoch FROM epochs ORDER BY number").fetchall())
        if not self._epochs:
            self.epoch = new_epoch(self._clock())
            connection.execute("INSERT INTO epochs VALUES (1, ?, 0)", (self.epoch,))
            self._epochs = {1: self.epoch}
        number = max(self._epochs)
        self.epoch = self._epochs[number]
        self.last_seq = connection.execute("SELECT last_seq FROM epochs WHERE number = ?", (number,)).fetchone()[0]
        self.dropped = connection.execute("SELECT value FROM counters WHERE name = 'dropped'").fetchone()[0]
        self.backlog = sum(
            connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]  # noqa: S608 - likewise
            for table in (*TIERS, "gaps")
        )
        found = os.stat(self.path)  # noqa: PTH116 - pairs with same_file
        self._inode = (found.st_dev, found.st_ino)
        self._make_reserve()

    def _replace(self, why: str) -> None:
        """Make the file anew while running, from what the open one still gives up."""
        rescued = read_all(self._connection)
        gone = not outbox_file.same_file(self.path, self._inode)
        self._connection.close()
        if gone:
            # our lock may have been deleted too, and another agent may have taken the place
            self._unlock()
            self._lock()
            outbox_file.remove_logs(self.path)
        if self.path.exists():
            aside = outbox_file.move_aside(self.path, self._clock())
            if not rescued.complete:
                more = rescue(aside)
                rescued.events = {**more.events, **rescued.events}
                rescued.gaps = {**more.gaps, **rescued.gaps}
        self._load(fill_fresh(self.path, rescued, max_pages=self._max_pages, now=self._clock()))
        self.generation += 1
        self.notice = f"outbox file {why}; made anew with {self.backlog} waiting events"
        _log.error("outbox file made anew", path=str(self.path), why=why, waiting=self.backlog)

    def begin_epoch(self, why: str, *, after: int) -> None:
        """Number events in a new epoch: further ones, and those of the present epoch above seq ``after``.

        Raises:
            OutboxError: the file does not take it.
        """
        with self._mutex:
            before = max(self._epochs)
            epoch, number = next_epoch(self.epoch, self._clock()), before + 1
            try:
                self._begin()
                seq = 0
                for tier, position, kind, payload in self._above(before << SEQ_BITS | after):
                    seq += 1
                    event = Event.model_validate_json(payload).model_copy(update={"epoch": epoch, "seq": seq})
                    self._connection.execute(f"DELETE FROM {tier} WHERE position = ?", (position,))  # noqa: S608 - likewise
                    self._connection.execute(
                        f"INSERT INTO {tier} VALUES (?, ?, ?)",  # noqa: S608 - likewise
                        (number << SEQ_BITS | seq, kind, event.to_json()),
                    )
                self._connection.execute("INSERT INTO epochs VALUES (?, ?, ?)", (number, epoch, seq))
                self._connection.execute("COMMIT")
            except sqlite3.DatabaseError as error:
                self._rollback()
                raise OutboxError(f"outbox {self.path}: cannot begin a new epoch: {error}") from None
            self._epochs[number] = epoch
            self.epoch, self.last_seq = epoch, seq
            self.generation += 1
            self.notice = f"outbox began a new epoch: {why}"
            _log.error("outbox began a new epoch", path=str(self.path), why=why, moved=seq)

    def _above(self, position: int) -> list[tuple[str, int, str, str]]:
        """Tier, position, kind and payload of every event above a position, in order."""
        return sorted(
            (
                (tier, *row)
                for tier in TIERS
                for row in self._connection.execute(
                    f"SELECT position, kind, payload FROM {tier} WHERE position > ?",  # noqa: S608 - likewise
                    (position,),
                )
            ),
            key=lambda row: row[1],
        )

    def _forget_old_epochs(self) -> None:
        if len(self._epochs) > 1:
            number = max(self._epochs)
            self._connection.execute("DELETE FROM epochs WHERE number < ?", (number,))
            self._epochs = {number: self.epoch}

    def _begin(self) -> None:
        self._connection.execute("BEGIN IMMEDIATE")

    def _rollback(self) -> None:
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    # ------------------------------------------------------------------ lock and reserve

    def _lock(self) -> None:
        path = Path(f"{self.path}.lock")
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise OutboxError(f"outbox {self.path}: cannot be locked: {error.strerror}; check permissions") from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.read(descriptor, 32).decode(errors="replace").strip()
            os.close(descriptor)
            raise OutboxError(
                f"outbox {self.path}: another agent has it open (process {holder or 'unknown'}); "
                "stop that one or give this device another outbox"
            ) from None
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        self._lock_file = descriptor

    def _unlock(self) -> None:
        if self._lock_file >= 0:
            os.close(self._lock_file)
            self._lock_file = -1

    @property
    def _reserve(self) -> Path:
        return Path(f"{self.path}.reserve")

    def _make_reserve(self) -> None:
        """Set space aside if it is not, and if the disk has plenty."""
        if self._reserve_held or time.monotonic() < self._reserve_after:
            return
        self._reserve_after = time.monotonic() + _RESERVE_SECONDS
        try:
            if not self._reserve.exists():
                free = shutil.disk_usage(self.path.parent).free
                size = min(_RESERVE_BYTES, self._max_pages * PAGE_BYTES // 4, free // 4)
                with self._reserve.open("wb") as file:
                    os.posix_fallocate(file.fileno(), 0, size)
            self._reserve_held = True
            if self._ceiling != self._max_pages:
                self._set_ceiling(self._max_pages)
        except OSError:
            self._reserve.unlink(missing_ok=True)

    def _relieve(self) -> None:
        """On a full disk: give the reserve back and empty the log into the file, so that there is room to work in."""
        self._reserve.unlink(missing_ok=True)
        self._reserve_held = False
        self._reserve_after = time.monotonic() + _RESERVE_SECONDS
        self._connection.execute("PRAGMA wal_checkpoint(RESTART)")  # the log keeps its space
        self._set_ceiling(self._pages())  # the space just won is for working in, not for more events
