"""What is worth a message: a change at once, flicker calmly, everything now and then."""

from __future__ import annotations

from shelfvision.core.events import to_utc
from shelfvision.core.messages import SlotCondition, SlotState
from shelfvision.edge.slot_changes import SlotChanges


def state(condition: SlotCondition = SlotCondition.IN_STOCK, *, since: float = 0, now: float = 0, **more) -> SlotState:
    return SlotState(
        slot=more.pop("slot", "left"),
        camera="c",
        sku="A",
        state=condition,
        since=to_utc(since),
        updated_at=to_utc(now),
        confidence=0.9,
        **more,
    )


def test_the_first_state_goes_out_and_an_unchanged_one_only_after_a_minute() -> None:
    changes = SlotChanges()
    sent = [now for now in range(130) if changes.pick([state(now=now)], now)]
    assert sent == [0, 60, 120]


def test_a_new_condition_goes_out_at_once() -> None:
    changes = SlotChanges()
    changes.pick([state()], 0)
    assert changes.pick([state(SlotCondition.OUT, since=0.1)], 0.1)
    assert changes.pick([state(SlotCondition.UNKNOWN, since=0.2, last_known=SlotCondition.OUT)], 0.2)


def test_flicker_in_front_goes_out_once_a_second() -> None:
    changes = SlotChanges()
    sent = [step / 10 for step in range(50) if changes.pick([state(obstructed=step % 2 == 0, fullness=1.0)], step / 10)]
    assert 4 <= len(sent) <= 6


def test_a_small_drift_of_fullness_is_no_news_but_a_step_and_its_loss_are() -> None:
    changes = SlotChanges()
    changes.pick([state(fullness=0.80)], 0)
    assert not changes.pick([state(fullness=0.82)], 5)
    assert changes.pick([state(fullness=0.60)], 6)
    assert changes.pick([state(fullness=None)], 8)


def test_each_slot_has_its_own_history() -> None:
    changes = SlotChanges()
    changes.pick([state(slot="left"), state(slot="right")], 0)
    chosen = changes.pick([state(slot="left"), state(SlotCondition.LOW, slot="right", since=1)], 1)
    assert [one.slot for one in chosen] == ["right"]
