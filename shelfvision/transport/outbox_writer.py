"""The one thread that writes events to the outbox, many to a commit."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

import structlog

from shelfvision.core.events import Event, EventDraft
from shelfvision.errors import OutboxError
from shelfvision.transport.outbox import Outbox, OversizeEventError
from shelfvision.transport.outbox_file import TIERS, tier_of

GROUP_SECONDS = 0.05
GROUP_EVENTS = 50
_CHECK_SECONDS = 1.0
_RETRY_SECONDS = (0.2, 5.0)  # first and longest pause while the disk fails
_log = structlog.get_logger(__name__)


class OutboxWriter:
    """Takes drafts from any thread at once and stores them in groups of at most 50 events or 50 ms.

    While the disk fails, drafts wait in memory and are tried again; beyond ``max_waiting`` the least important and
    oldest ones are lost, which is counted and logged.

    Args:
        outbox: where the events go.
        on_stored: called in the writer's thread with the events that have just become durable.
        max_waiting: drafts held in memory while the disk fails.

    Attributes:
        last_error: why the last attempt failed; None when all is well.
        refused: drafts that were too large.
        lost: drafts given up because the disk failed for too long.
    """

    def __init__(
        self,
        outbox: Outbox,
        *,
        on_stored: Callable[[Sequence[Event]], None] | None = None,
        max_waiting: int = 20_000,
    ) -> None:
        self.last_error: str | None = None
        self.refused = 0
        self.lost = 0
        self._outbox = outbox
        self._on_stored = on_stored
        self._max_waiting = max_waiting
        self._waiting: deque[EventDraft] = deque()
        self._busy = 0  # drafts taken out and not yet stored
        self._changed = threading.Condition()
        self._stopping = False
        self._deadline = 0.0
        self._thread = threading.Thread(target=self._run, name="outbox-writer", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Drafts that are not yet durable."""
        with self._changed:
            return len(self._waiting) + self._busy

    def submit(self, draft: EventDraft) -> None:
        """Hand over a draft; returns at once, whatever the disk does."""
        with self._changed:
            self._waiting.append(draft)
            if len(self._waiting) > self._max_waiting:
                self._lose_one()
            self._changed.notify()

    def flush(self, seconds: float) -> bool:
        """Wait until everything submitted so far is durable; False when that takes longer than ``seconds``."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._waiting and not self._busy, seconds)

    def stop(self, deadline: float) -> None:
        """Store what waits and end the thread. At least one attempt is made for every draft.

        Args:
            deadline: monotonic seconds (``time.monotonic() + grace``) until which a failing disk is tried again.
        """
        with self._changed:
            self._stopping = True
            self._deadline = deadline
            self._changed.notify_all()
        self._thread.join(max(deadline - time.monotonic(), 0) + 10)
        if self.waiting:
            _log.error("events lost at the end: the outbox could not store them", events=self.waiting)

    def _run(self) -> None:
        pause = _RETRY_SECONDS[0]
        while True:
            batch = self._take()
            if batch is None:
                return
            if not batch:
                self._check()
                continue
            try:
                self._write(batch)
            except OutboxError as error:
                self._give_back(batch, str(error))
                if self._out_of_time():
                    return
                self._wait(pause)
                pause = min(pause * 2, _RETRY_SECONDS[1])
            else:
                self.last_error = None
                pause = _RETRY_SECONDS[0]
                with self._changed:
                    self._busy = 0
                    self._changed.notify_all()

    def _take(self) -> list[EventDraft] | None:
        """The next group; empty when there was nothing for a while, None at the end."""
        with self._changed:
            if not self._waiting and not self._stopping:
                self._changed.wait(_CHECK_SECONDS)
            if not self._waiting:
                return None if self._stopping else []
            until = time.monotonic() + GROUP_SECONDS
            self._changed.wait_for(
                lambda: len(self._waiting) >= GROUP_EVENTS or self._stopping, max(until - time.monotonic(), 0)
            )
            batch = [self._waiting.popleft() for _ in range(min(GROUP_EVENTS, len(self._waiting)))]
            self._busy = len(batch)
            return batch

    def _write(self, batch: Sequence[EventDraft]) -> None:
        try:
            stored = self._outbox.append(batch)
        except OversizeEventError:
            stored = []
            for draft in batch:
                try:
                    stored.extend(self._outbox.append([draft]))
                except OversizeEventError as error:
                    self.refused += 1
                    _log.error("event refused", reason=str(error))
        if self._on_stored is not None and stored:
            self._on_stored(stored)

    def _give_back(self, batch: Sequence[EventDraft], error: str) -> None:
        if error != self.last_error:
            _log.error("outbox does not take events; they wait in memory", error=error, events=len(batch))
        self.last_error = error
        with self._changed:
            self._waiting.extendleft(reversed(batch))
            self._busy = 0
            while len(self._waiting) > self._max_waiting:  # others came while the batch was out
                self._lose_one()

    def _check(self) -> None:
        try:
            self._outbox.check_file()
        except OutboxError as error:
            self.last_error = str(error)

    def _lose_one(self) -> None:
        for tier in TIERS:
            for index, draft in enumerate(self._waiting):
                if tier_of(draft.kind) == tier:
                    del self._waiting[index]
                    self.lost += 1
                    if self.lost == 1 or self.lost % 1000 == 0:
                        _log.error("events lost: the outbox has failed for too long", lost=self.lost)
                    return

    def _out_of_time(self) -> bool:
        with self._changed:
            return self._stopping and time.monotonic() >= self._deadline

    def _wait(self, seconds: float) -> None:
        with self._changed:
            if self._stopping:
                seconds = min(seconds, max(self._deadline - time.monotonic(), 0))
            self._changed.wait_for(lambda: self._stopping, seconds)
