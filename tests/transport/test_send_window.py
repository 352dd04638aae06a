"""The window sends in order, never forgets, never floods, and recovers from silence."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from shelfvision.transport.send_window import MOST, PATIENCE_SECONDS, SendWindow


def fill(window: SendWindow, now: float) -> list[int]:
    sent = []
    while window.allowance(now) > 0:
        sent.append(window.cursor + 1)
        window.sent(window.cursor + 1, now)
    return sent


def test_it_sends_in_order_up_to_the_most():
    window = SendWindow(0, 0.0)
    assert fill(window, 0.0) == list(range(1, MOST + 1))
    window.progress(50, 0.1)
    assert fill(window, 0.1) == list(range(MOST + 1, MOST + 51))


def test_silence_rewinds_to_the_watermark_and_probes_with_one_event_ever_less_often():
    window = SendWindow(0, 0.0)
    fill(window, 0.0)
    window.progress(10, 0.0)
    now, pauses = 0.0, []
    for _ in range(6):
        pause = window.next_change(now)
        assert not window.stalled(now + pause - 0.01)
        now += pause
        assert window.stalled(now)
        pauses.append(pause)
        assert fill(window, now) == [11]
    assert pauses == [3.0, 6.0, 12.0, 15.0, 15.0, 15.0]


def test_progress_after_silence_opens_the_window_at_once_and_growth_is_steady():
    window = SendWindow(0, 0.0)
    fill(window, 0.0)
    assert window.stalled(PATIENCE_SECONDS)
    fill(window, 3.0)
    window.progress(1, 3.1)
    opened = len(fill(window, 3.1))
    assert MOST // 2 <= opened < MOST
    for _ in range(50):
        window.progress(window.cursor, 4.0)
        fill(window, 4.0)
    assert window.outstanding == MOST


def test_a_refusal_waits_longer_each_time_until_there_is_progress():
    window = SendWindow(0, 0.0)
    fill(window, 0.0)
    now, pauses = 0.0, []
    for _ in range(6):
        window.refused(now)
        assert window.allowance(now) == 0
        pauses.append(window.next_change(now))
        now += pauses[-1]
        assert fill(window, now) == [1]
    assert pauses == [1.0, 2.0, 4.0, 8.0, 15.0, 15.0]
    window.progress(1, now)
    window.refused(now)
    assert window.next_change(now) == 1.0


@given(st.integers(-5, 400))
def test_old_news_is_no_progress(position):
    window = SendWindow(100, 0.0)
    assert window.progress(position, 1.0) == (position > 100)
    assert window.acknowledged == max(position, 100)
    assert window.cursor >= window.acknowledged


class LossyWorld(RuleBasedStateMachine):
    """Whatever is lost, refused or delayed: sending goes on above the watermark, without holes."""

    def __init__(self) -> None:
        super().__init__()
        self.window = SendWindow(0, 0.0)
        self.now = 0.0
        self.received = 0  # the reader has 1..received
        self.expected = 1

    @rule(seconds=st.floats(0.001, 20))
    def time_passes(self, seconds):
        self.now += seconds
        if self.window.stalled(self.now):
            self.expected = self.window.acknowledged + 1

    @rule(lost=st.booleans())
    def send(self, lost):
        for position in fill(self.window, self.now):
            assert position == self.expected
            self.expected += 1
            if not lost and position == self.received + 1:
                self.received = position

    @rule()
    def acknowledge(self):
        if self.window.progress(self.received, self.now):
            self.expected = max(self.expected, self.received + 1)

    @rule()
    def refuse(self):
        self.window.refused(self.now)
        self.expected = self.window.acknowledged + 1

    @invariant()
    def bounded(self):
        assert 0 <= self.window.outstanding <= MOST
        assert self.window.acknowledged <= self.window.cursor


TestLossyWorld = LossyWorld.TestCase
