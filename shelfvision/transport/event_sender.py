"""Moves events from the outbox to a connection, and deletes them when they are safe."""

from __future__ import annotations

from collections import deque

import structlog

from shelfvision.core.messages import Ack
from shelfvision.transport.mqtt import Connection
from shelfvision.transport.outbox import Outbox, Row
from shelfvision.transport.reasons import SUCCESS, reason_text
from shelfvision.transport.send_window import SendWindow

_READ_ROWS = 200
_SURE = 2
_log = structlog.get_logger(__name__)


class EventSender:
    """In order, one epoch after the other, deleting only up to the watermark (or, if so chosen, the broker's answer).

    Each event carries the MQTT user properties ``epoch``, ``seq`` and ``base``: the lowest seq of the epoch that the
    device still has. A reader that misses something below ``base`` need not wait for it.

    Args:
        outbox: what to send.
        topic: where to.
        by_broker: delete on a successful PUBACK with a subscriber instead of on the service's watermark.

    Attributes:
        problem: why events do not get through; None when they do.
        progress: how often something became safe.
    """

    def __init__(self, outbox: Outbox, topic: str, *, by_broker: bool) -> None:
        self.problem: str | None = None
        self.progress = 0
        self._outbox = outbox
        self._topic = topic
        self._by_broker = by_broker
        self._at_start = {outbox.epoch: outbox.last_seq}
        self._could_be_sent = dict(self._at_start)  # by this process, and before it by another
        self._ahead = 0  # acknowledgements in a row of what was never sent, while something was
        self._overtaken: set[str] = set()  # epochs in which the service has more than our file
        self._begin()

    def connected(self, now: float) -> None:
        """A new connection: whatever was on its way may be lost."""
        self._begin()
        self._window = SendWindow(self._before_first(), now)

    def _begin(self) -> None:
        self._packets: dict[int, Row] = {}  # packet id to row, since the last rewind
        self._ready: deque[Row] = deque()  # read and not yet sent
        self._settled: Row | None = None  # by_broker: highest row that the broker has taken, all below it too
        self._generation = self._outbox.generation
        self._window = SendWindow(0, 0.0)
        self._epoch = self._outbox.epoch
        self._base = 1

    def _before_first(self) -> int:
        lowest = self._outbox.lowest()
        if lowest is None:
            self._epoch, self._base = self._outbox.epoch, self._outbox.last_seq + 1
            return self._outbox.position(self._epoch, self._outbox.last_seq) or 0
        self._epoch, self._base = lowest.epoch, lowest.first_seq
        return (self._outbox.position(lowest.epoch, lowest.first_seq) or 1) - 1

    # ------------------------------------------------------------------ out

    def send(self, connection: Connection, now: float) -> bool:
        """Send what the window, the broker and the outbox allow; True when something went out.

        Raises:
            OutboxError: the outbox cannot be read.
        """
        if self._outbox.generation != self._generation:  # made anew meanwhile: other positions
            self.connected(now)
        if self._window.stalled(now):
            self._rewind()
            if self.problem is None:
                self.problem = "no acknowledgement from the replenishment service; events wait in the outbox"
        allowed = min(self._window.allowance(now), connection.room)
        if allowed <= 0 or not self._fill():
            return False
        with connection.together():
            while allowed > 0 and self._fill():
                row = self._ready.popleft()
                user = [("epoch", row.epoch), ("seq", str(row.seq)), ("base", str(self._base))]
                self._packets[connection.publish(self._topic, row.payload, user=user)] = row
                self._window.sent(row.position, now)
                self._could_be_sent[row.epoch] = max(self._could_be_sent.get(row.epoch, 0), row.seq)
                allowed -= 1
        return True

    def _fill(self) -> bool:
        if self._ready:
            return True
        rows = self._outbox.read(self._window.cursor, _READ_ROWS)
        if rows and rows[0].epoch != self._epoch:
            if self._window.outstanding:
                return False  # the old epoch first has to be safe as a whole
            self._epoch, self._base = rows[0].epoch, rows[0].first_seq
        self._ready.extend(rows)
        return bool(rows)

    def next_change(self, now: float) -> float:
        """Seconds until ``send`` may do something without any news."""
        return self._window.next_change(now)

    @property
    def outstanding(self) -> int:
        """Events sent and not yet safe."""
        return self._window.outstanding

    # ------------------------------------------------------------------ answers

    def answered(self, packet: int, code: int, now: float) -> bool:
        """Take the broker's answer to one packet; False when it is none of ours."""
        row = self._packets.pop(packet, None)
        if row is None:
            return False
        if code == SUCCESS:
            self._settled = row
        else:
            self.problem = f"the broker does not pass events on: {reason_text(code)}"
            self._settle_by_broker(now)
            self._rewind()
            self._window.refused(now)
        return True

    def settle(self, acks: list[Ack], now: float) -> None:
        """After a round of answers: delete what has become safe.

        Raises:
            OutboxError: it cannot be deleted; it will be sent again.
        """
        if self._by_broker:
            self._settle_by_broker(now)
            return
        fitting = [ack for ack in acks if self._is_plausible(ack)]
        if fitting:
            highest = max(ack.seq for ack in fitting)
            self._safe(self._epoch, min(highest, self._could_be_sent.get(self._epoch, highest)), now)

    def _settle_by_broker(self, now: float) -> None:
        if self._by_broker and self._settled is not None:
            self._safe(self._settled.epoch, self._settled.seq, now)
        self._settled = None

    def _is_plausible(self, ack: Ack) -> bool:
        if ack.epoch != self._epoch:
            return False
        if ack.seq <= self._could_be_sent.get(ack.epoch, 0):
            self._ahead = 0
            return True
        if ack.epoch in self._overtaken:
            return True
        _log.warning("acknowledgement of an event that was never sent is ignored", epoch=ack.epoch, seq=ack.seq)
        if ack.epoch == self._outbox.epoch and self._window.outstanding:
            # once may be anybody's error; as the answer to what we have sent it is the service's knowledge: an older
            # copy of the file was put back, and its numbers are given out a second time
            self._ahead += 1
            if self._ahead >= _SURE:
                self._outbox.begin_epoch(
                    f"the service already has seq {ack.seq}, which this file has not given out; is it an older copy?",
                    after=self._at_start.get(ack.epoch, 0),
                )
                self._overtaken.add(ack.epoch)
        return False

    def _safe(self, epoch: str, seq: int, now: float) -> None:
        position = self._outbox.position(epoch, seq)
        if position is None or not self._window.progress(position, now):
            return
        self._outbox.acknowledge(epoch, seq)
        self._base = max(self._base, seq + 1)
        while self._ready and self._ready[0].position <= position:
            self._ready.popleft()
        self.progress += 1
        self.problem = None

    def _rewind(self) -> None:
        self._packets.clear()
        self._ready.clear()
