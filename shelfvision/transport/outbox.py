"""Events wait here until the service has them: a SQLite file in which every commit is on the disk.

The file has a cap. Near it, and on a full disk, the oldest events of the lowest tier (touch and presence first,
stockout and pick-up last) give way to *gap* records that say what was given up, so that readers can pass over the hole.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog

from shelfvision.core.events import Event, EventData, EventDraft, EventKind
from shelfvision.errors import OutboxError
from shelfvision.transport import outbox_file
from shelfvision.transport.file_lock import FileLock, HeldElsewhereError
from shelfvision.transport.ids import event_id, new_epoch, to_event
from shelfvision.transport.outbox_file import PAGE_BYTES, SEQ_BITS, SEQ_MASK, TIERS, tier_of
from shelfvision.transport.outbox_rescue import Rescued, fill_fresh, next_epoch, read_all, rescue
from shelfvision.transport.outbox_rows import Found, OutboxRows, Values

MAX_EVENT_BYTES = 65_536
_MIN_PAGES = 16
_MAX_LINKS = 4096
_log = structlog.get_logger(__name__)


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
        generation: rises when places change while running: positions of before mean nothing then.
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
        self.last_seq = 0
        self.generation = 0
        self._store = store
        self._device = device
        self._max_pages = max(max_bytes // PAGE_BYTES, _MIN_PAGES)
        self._clock = clock
        self._mutex = threading.RLock()
        self._listeners: list[Callable[[], None]] = []
        self._links: dict[str, str] = {}  # camera/key to event id, of recent events
        self._epochs: dict[int, str] = {}  # number to epoch, oldest first
        self._told_dropped = 0
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutboxError(f"outbox {path}: its folder cannot be made: {error.strerror}") from None
        with self._lock_errors():
            self._lock = FileLock(Path(f"{self.path}.lock"))
        try:
            self._open()
        except BaseException:
            self._lock.release()
            raise

    # ------------------------------------------------------------------ what others see

    @property
    def backlog(self) -> int:
        """Events (and gap records) stored and not yet acknowledged."""
        return self._rows.count

    @property
    def dropped(self) -> int:
        """Events given up for lack of space since the file was made."""
        return self._rows.dropped

    @property
    def bytes_used(self) -> int:
        """Size of the file's used pages."""
        with self._mutex:
            return self._rows.bytes_used

    def on_append(self, listener: Callable[[], None]) -> None:
        """Call ``listener`` after each append, from the appending thread; it must return at once."""
        self._listeners.append(listener)

    def close(self) -> None:
        """Close the file and let another agent have it; safe to call twice."""
        with self._mutex:
            self._connection.close()
            self._lock.release()

    # ------------------------------------------------------------------ writing

    def append(self, drafts: Sequence[EventDraft]) -> list[Event]:
        """Give the drafts their places and store them; they are on the disk when this returns.

        On a full disk minor events may be given up at once for a gap record; they are returned like the others.

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
                self._rows.roll_back()
                if not outbox_file.is_damaged(error):
                    raise OutboxError(
                        f"outbox {self.path}: cannot store events: {error}; free some disk space or check the disk"
                    ) from None
                self._make_anew(f"was found damaged ({error})")
                events = self._append(drafts)
        for listener in self._listeners:
            listener()
        return events

    def _append(self, drafts: Sequence[EventDraft]) -> list[Event]:
        base = max(self._epochs) << SEQ_BITS
        rows: dict[str, list[Values]] = {tier: [] for tier in TIERS}
        events = []
        for seq, draft in enumerate(drafts, start=self.last_seq + 1):
            event = self._event(draft, self.epoch, seq)
            payload = event.to_json()
            size = len(payload.encode())
            if size > MAX_EVENT_BYTES:
                raise OversizeEventError(
                    f"{draft.kind} event {draft.key!r} of camera {draft.camera!r} has {size} bytes; "
                    f"an event takes at most {MAX_EVENT_BYTES}"
                )
            rows[tier_of(draft.kind)].append(Values(base | seq, draft.kind.value, payload))
            events.append(event)
        dropped = self.dropped
        self._rows.store(rows, self.epoch, self.last_seq + len(events), now=self._clock())
        self.last_seq += len(events)
        if self.dropped > dropped:
            self._tell_dropped()
        while len(self._links) > _MAX_LINKS:
            del self._links[next(iter(self._links))]
        return events

    def _event(self, draft: EventDraft, epoch: str, seq: int) -> Event:
        return to_event(draft, store=self._store, device=self._device, epoch=epoch, seq=seq, links=self._links)

    def _tell_dropped(self) -> None:
        self.notice = f"outbox is full: {self.dropped} events of the least important kinds were given up so far"
        if self.dropped >= self._told_dropped * 2:
            self._told_dropped = self.dropped
            _log.warning("outbox full, events given up", path=str(self.path), dropped=self.dropped)

    # ------------------------------------------------------------------ reading and acknowledging

    def read(self, after: int, limit: int) -> list[Row]:
        """The next rows above a position, in order; they never reach into the next epoch.

        Raises:
            OutboxError: the file cannot be read.
        """
        with self._mutex:
            try:
                found = self._rows.read(after, limit)
            except sqlite3.DatabaseError as error:
                if not outbox_file.is_damaged(error):
                    raise OutboxError(f"outbox {self.path}: cannot be read: {error}") from None
                self._make_anew(f"was found damaged ({error})")
                return []
            return [self._row(row) for row in found if row.position >> SEQ_BITS == found[0].position >> SEQ_BITS]

    def _row(self, found: Found) -> Row:
        epoch, seq = self._epochs[found.position >> SEQ_BITS], found.position & SEQ_MASK
        if not found.first_seq:
            return Row(found.position, epoch, seq, seq, found.kind, found.payload)
        data = EventData(
            first_seq=found.first_seq,
            dropped=json.loads(found.payload),
            reason="the device had no space or lost part of its file",
        )
        draft = EventDraft(EventKind.GAP, found.time, "-", data, "gap")  # no camera can be called "-"
        event = to_event(draft, store=self._store, device=self._device, epoch=epoch, seq=seq)
        identity = event_id(found.time, event.source, epoch, f"gap-{found.first_seq}-{seq}")
        payload = event.model_copy(update={"id": identity}).to_json()
        return Row(found.position, epoch, seq, found.first_seq, EventKind.GAP.value, payload)

    def lowest(self) -> Row | None:
        """The oldest row, or None when nothing waits."""
        rows = self.read(0, 1)
        return rows[0] if rows else None

    def position(self, epoch: str, seq: int) -> int | None:
        """Where (epoch, seq) stands in the order, or None for an epoch that is not in the file."""
        with self._mutex:
            number = next((number for number, name in self._epochs.items() if name == epoch), None)
        return None if number is None else number << SEQ_BITS | min(seq, SEQ_MASK)

    def acknowledge(self, epoch: str, seq: int) -> int:
        """Delete every row of ``epoch`` up to ``seq``; returns how many went.

        An epoch that is not in the file, or a seq that was never given out, changes nothing.

        Raises:
            OutboxError: the file does not take it.
        """
        with self._mutex:
            high = self.position(epoch, seq)
            if high is None or (epoch == self.epoch and seq > self.last_seq):
                return 0
            try:
                gone = self._rows.delete(high & ~SEQ_MASK, high)
                if self.backlog == 0 and len(self._epochs) > 1:
                    number = max(self._epochs)
                    self._connection.execute("DELETE FROM epochs WHERE number < ?", (number,))
                    self._epochs = {number: self.epoch}
            except sqlite3.DatabaseError as error:
                if outbox_file.is_damaged(error):
                    self._make_anew(f"was found damaged ({error})")
                    return 0
                raise OutboxError(f"outbox {self.path}: cannot delete acknowledged events: {error}") from None
            return gone

    def begin_epoch(self, why: str, *, after: int) -> None:
        """Number events in a new epoch: further ones, and those of the present epoch above seq ``after``.

        Raises:
            OutboxError: the file does not take it.
        """
        with self._mutex:
            before = max(self._epochs)
            epoch, base = next_epoch(self.epoch, self._clock()), before + 1 << SEQ_BITS
            start = before << SEQ_BITS | after
            try:
                moved: list[tuple[Values, Values]] = []
                for row in self._rows.read(start, self.backlog + 1):
                    if not row.first_seq:
                        old = Event.model_validate_json(row.payload)
                        new = old.model_copy(update={"epoch": epoch, "seq": len(moved) + 1})
                        place = Values(base | new.seq, row.kind, new.to_json())
                        moved.append((Values(row.position, row.kind, row.payload), place))
                self._rows.move(start, before + 1, moved, epoch)
            except sqlite3.DatabaseError as error:
                raise OutboxError(f"outbox {self.path}: cannot begin a new epoch: {error}") from None
            self._epochs[before + 1] = epoch
            self.epoch, self.last_seq = epoch, len(moved)
            self.generation += 1
            self.notice = f"outbox began a new epoch: {why}"
            _log.error("outbox began a new epoch", path=str(self.path), why=why, moved=len(moved))

    # ------------------------------------------------------------------ the file

    def check_file(self) -> None:
        """See that the file still lies where it was opened, and make it anew from what is at hand when not.

        Raises:
            OutboxError: another agent has taken its place, or it cannot be made.
        """
        with self._mutex:
            if not outbox_file.same_file(self.path, self._inode):
                self._make_anew("was deleted or replaced while in use")

    def _open(self) -> None:
        try:
            connection = outbox_file.connect(self.path, self._max_pages)
        except outbox_file.DamagedFileError as error:
            aside = outbox_file.move_aside(self.path, self._clock())
            rescued = rescue(aside)
            connection = self._fill(rescued)
            self.notice = (
                f"outbox file was damaged ({error}) and moved to {aside.name}; "
                f"{len(rescued.events)} events were saved from it"
            )
            _log.error("outbox file was damaged", path=str(self.path), moved_to=str(aside), saved=len(rescued.events))
        self._load(connection)

    def _load(self, connection: sqlite3.Connection) -> None:
        epochs = dict(connection.execute("SELECT number, epoch FROM epochs ORDER BY number").fetchall())
        if not epochs:
            epochs = {1: new_epoch(self._clock())}
            connection.execute("INSERT INTO epochs VALUES (1, ?, 0)", (epochs[1],))
        number = max(epochs)
        self.last_seq = connection.execute("SELECT last_seq FROM epochs WHERE number = ?", (number,)).fetchone()[0]
        self.epoch = epochs[number]
        self._epochs = epochs
        self._rows = OutboxRows(connection, self.path, self._max_pages)
        self._connection = connection
        found = os.stat(self.path)  # noqa: PTH116 - pairs with same_file
        self._inode = (found.st_dev, found.st_ino)

    def _make_anew(self, why: str) -> None:
        """Make the file anew while running, from what the open one still gives up.

        Raises:
            OutboxError: it cannot be made now; what is open stays open, and the next call tries again.
        """
        rescued = read_all(self._connection)
        with self._lock_errors():
            self._lock.renew()  # it may have been deleted too, and another agent may have taken the place
        try:
            if self.path.exists():
                aside = outbox_file.move_aside(self.path, self._clock())
                if not rescued.complete:
                    rescued.add(rescue(aside))
            else:
                outbox_file.remove_logs(self.path)
                self.path.parent.mkdir(parents=True, exist_ok=True)
            connection = self._fill(rescued)
        except OSError as error:
            raise OutboxError(f"outbox {self.path}: {why}, and cannot be made anew: {error.strerror}") from None
        before = self._connection
        self._load(connection)
        before.close()
        self.generation += 1
        self.notice = f"outbox file {why}; made anew with {self.backlog} waiting events"
        _log.error("outbox file made anew", path=str(self.path), why=why, waiting=self.backlog)

    def _fill(self, rescued: Rescued) -> sqlite3.Connection:
        try:
            return fill_fresh(self.path, rescued, max_pages=self._max_pages, now=self._clock())
        except sqlite3.DatabaseError as error:
            self.path.unlink(missing_ok=True)
            outbox_file.remove_logs(self.path)
            raise OutboxError(f"outbox {self.path}: cannot be made anew: {error}; free some disk space") from None

    def _lock_errors(self) -> _LockErrors:
        return _LockErrors(self.path)


class _LockErrors:
    """Turns the lock's errors into one clear line."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, HeldElsewhereError):
            raise OutboxError(
                f"outbox {self._path}: another agent has it open (process {error}); "
                "stop that one or give this device another outbox"
            ) from None
        if isinstance(error, OSError):
            raise OutboxError(f"outbox {self._path}: cannot be locked: {error.strerror}; check permissions") from None
