"""Which events may be on their way: in order, a bounded number, sent again when nothing comes back. No I/O."""

from __future__ import annotations

from collections import deque

MOST = 200  # events on their way at once; a broker keeps 1,000 a subscriber by default, several devices share that
_LEAST = 8
PATIENCE_SECONDS = 3.0
_REFUSED_SECONDS = 1.0
_LONGEST_SECONDS = 15.0


class SendWindow:
    """Sending positions upwards until each is acknowledged by the service's watermark.

    After ``PATIENCE_SECONDS`` without progress it rewinds to the watermark. While nothing answers it sends a single
    event, less and less often (up to every 15 s), so that a service that is off for hours is not hammered; the first
    sign of progress opens the window again. A window that was too large for the broker's queue comes back smaller
    and grows with each sign of progress.

    Positions are integers that sort by (epoch, seq); times are monotonic seconds.
    """

    def __init__(self, acknowledged: int, now: float) -> None:
        self.acknowledged = acknowledged  # highest position that the service has
        self.cursor = acknowledged  # highest position sent since the last rewind
        self.rewinds = 0
        self._sent: deque[int] = deque()
        self._size = MOST
        self._ceiling = MOST
        self._patience = PATIENCE_SECONDS
        self._refused_pause = _REFUSED_SECONDS
        self._progress_at = now
        self._hold_until = now

    @property
    def outstanding(self) -> int:
        """Events sent and not acknowledged."""
        return len(self._sent)

    def allowance(self, now: float) -> int:
        """How many events may be sent now."""
        return 0 if now < self._hold_until else max(self._size - len(self._sent), 0)

    def sent(self, position: int, now: float) -> None:
        """``position`` went out; positions rise between rewinds."""
        if not self._sent:
            self._progress_at = now  # the wait for an answer begins now
        self._sent.append(position)
        self.cursor = position

    def progress(self, position: int, now: float) -> bool:
        """The service has everything up to ``position``; False when that is no news."""
        if position <= self.acknowledged:
            return False
        self.acknowledged = position
        self.cursor = max(self.cursor, position)
        while self._sent and self._sent[0] <= position:
            self._sent.popleft()
        self._progress_at = now
        self._hold_until = now
        self._patience = PATIENCE_SECONDS
        self._refused_pause = _REFUSED_SECONDS
        self._ceiling = min(self._ceiling + _LEAST, MOST)
        self._size = min(self._size * 2, self._ceiling) if self._size > 1 else min(self._ceiling, MOST)
        return True

    def refused(self, now: float) -> None:
        """The broker did not pass an event on: start over from the watermark after a pause that grows."""
        self._rewind()
        self._hold_until = now + self._refused_pause
        self._refused_pause = min(self._refused_pause * 2, _LONGEST_SECONDS)

    def stalled(self, now: float) -> bool:
        """Whether there has been no progress for too long; if so, the cursor is back at the watermark."""
        if not self._sent or now - self._progress_at < self._patience:
            return False
        self._ceiling = max(self._ceiling // 2, _LEAST)
        self._rewind()
        self._patience = min(self._patience * 2, _LONGEST_SECONDS)
        return True

    def next_change(self, now: float) -> float:
        """Seconds until ``stalled`` or ``allowance`` may answer otherwise without any news."""
        times = [_LONGEST_SECONDS]
        if self._sent:
            times.append(self._progress_at + self._patience - now)
        if self._hold_until > now:
            times.append(self._hold_until - now)
        return max(min(times), 0.0)

    def _rewind(self) -> None:
        self.rewinds += 1
        self._sent.clear()
        self.cursor = self.acknowledged
        self._size = 1
