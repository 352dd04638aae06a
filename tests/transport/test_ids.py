"""Ids sort by time, are the same for the same event, and links point at them."""

from __future__ import annotations

import uuid

from hypothesis import given
from hypothesis import strategies as st

from shelfvision.core.events import EventData, EventDraft, EventKind
from shelfvision.transport.ids import event_id, new_epoch, to_event

times = st.floats(min_value=0, max_value=2e10)


@given(times, st.lists(st.text(st.characters(exclude_categories=["Cs"])), max_size=3))
def test_an_event_id_is_a_version_7_uuid_that_depends_on_its_arguments_alone(time, parts):
    identity = event_id(time, *parts)
    parsed = uuid.UUID(identity)
    assert (parsed.version, parsed.variant) == (7, uuid.RFC_4122)
    assert parsed.int >> 80 == round(time * 1000)
    assert identity == event_id(time, *parts)
    assert identity != event_id(time, *parts, "more")


def test_parts_do_not_run_into_each_other():
    assert event_id(1.0, "ab", "c") != event_id(1.0, "a", "bc")


def test_times_outside_48_bits_still_give_an_id():
    assert uuid.UUID(event_id(-5.0, "x")).version == 7
    assert uuid.UUID(event_id(1e18, "x")).version == 7


@given(times, times)
def test_epochs_rise_with_time(first, second):
    if round(first * 1000) < round(second * 1000):
        assert new_epoch(first) < new_epoch(second)


def test_a_put_back_is_linked_to_the_id_of_its_pick_up():
    place = {"store": "s", "device": "d", "epoch": new_epoch(1.0)}
    links: dict[str, str] = {}
    pick = to_event(EventDraft(EventKind.PICK_UP, 10.0, "cam", EventData(slot="a"), "k1"), seq=1, links=links, **place)
    back_draft = EventDraft(EventKind.PUT_BACK, 12.0, "cam", EventData(slot="a", linked_event="k1"), "k2")
    back = to_event(back_draft, seq=2, links=links, **place)
    assert back.data.linked_event == pick.id
    other_camera = to_event(
        EventDraft(EventKind.PUT_BACK, 12.0, "cam2", back_draft.data, "k2"), seq=3, links=links, **place
    )
    assert other_camera.data.linked_event is None
