"""Annotated pictures: everything inside, nothing over one another, words beside colours."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shelfvision.core.events import EventData, EventDraft, EventKind, to_utc
from shelfvision.core.messages import SlotCondition, SlotState
from shelfvision.core.planogram import CameraPlan, Slot
from shelfvision.edge.annotate import BANNER_SECONDS, STATE_COLOURS, Annotator
from shelfvision.edge.frame import Frame
from shelfvision.edge.lettering import FreePlaces, Letters
from shelfvision.edge.pipeline import StepResult

SIZE = (640, 360)
PLAN = CameraPlan(
    "table",
    SIZE,
    (
        Slot("left", ((50, 100), (128, 100), (128, 316), (50, 316)), "A"),
        Slot("right", ((500, 100), (580, 100), (580, 318), (500, 318)), "B", capacity=3),
    ),
)


def frame(seconds: float, size: tuple[int, int] = SIZE) -> Frame:
    return Frame(np.full((size[1], size[0], 3), 128, np.uint8), seconds, 0)


def result(*conditions: SlotCondition, events: tuple[EventDraft, ...] = (), fault: str | None = None) -> StepResult:
    slots = tuple(
        SlotState(
            slot=slot.id,
            camera="table",
            sku=slot.sku,
            state=condition,
            since=to_utc(0),
            updated_at=to_utc(1),
            confidence=1,
            fullness=None if condition is SlotCondition.UNKNOWN else 0.5,
        )
        for slot, condition in zip(PLAN.slots, conditions, strict=True)
    )
    return StepResult(events, slots, fault)


def shows(image: np.ndarray, colour: tuple[int, int, int]) -> int:
    return int((np.abs(image.astype(int) - colour).max(axis=2) <= 6).sum())


@pytest.mark.parametrize("condition", list(SlotCondition))
def test_a_slot_is_outlined_in_the_colour_of_its_state(condition: SlotCondition) -> None:
    image = Annotator(PLAN).draw(frame(1), result(condition, condition))
    assert shows(image, STATE_COLOURS[condition]) > 500


def test_a_small_picture_is_enlarged_and_a_large_one_is_not() -> None:
    small = Annotator(PLAN)
    assert small.size[0] == 1280
    assert small.draw(frame(0), result(SlotCondition.LOW, SlotCondition.OUT)).shape[:2] == small.size[::-1]
    assert Annotator(CameraPlan("c", (1920, 1080), ())).size[0] == 1920


def test_an_interaction_is_shown_for_two_seconds() -> None:
    annotator = Annotator(PLAN)
    conditions = (SlotCondition.IN_STOCK, SlotCondition.IN_STOCK)
    calm = annotator.draw(frame(4.9), result(*conditions))
    pick = EventDraft(EventKind.PICK_UP, 4.5, "table", EventData(slot="left", sku="A", count=1, confidence=0.9), "k")
    shown = annotator.draw(frame(5), result(*conditions, events=(pick,)))
    later = annotator.draw(frame(5 + BANNER_SECONDS + 0.1), result(*conditions))
    blue = (178, 114, 0)
    view = slice(0, 720)
    assert shows(calm[view], blue) == 0
    assert shows(shown[view], blue) > 1000
    assert shows(later[view], blue) == 0
    assert shows(later[720:], blue) > 20  # it stays in the strip


def test_a_camera_fault_and_a_frame_of_another_size_are_drawn() -> None:
    image = Annotator(PLAN).draw(
        frame(1, (320, 240)), result(SlotCondition.UNKNOWN, SlotCondition.UNKNOWN, fault="resized")
    )
    assert shows(image[:80], STATE_COLOURS[SlotCondition.OUT]) > 1000


boxes = st.lists(
    st.tuples(st.integers(-200, 1400), st.integers(-200, 900), st.integers(20, 260), st.integers(16, 90)),
    min_size=1,
    max_size=25,
)


@given(boxes)
def test_labels_lie_inside_the_picture_and_apart_while_there_is_room(wanted: list[tuple[int, int, int, int]]) -> None:
    places = FreePlaces((1280, 720))
    taken = []
    for x, y, width, height in wanted:
        x1, y1, x2, y2 = places.take([(x, y), (x, y + 100)], (width, height))
        assert 0 <= x1 < x2 <= 1280
        assert 0 <= y1 < y2 <= 720
        assert (x2 - x1, y2 - y1) == (width, height)
        taken.append((x1, y1, x2, y2))
    if sum(height for *_, height in wanted) * 2 < 720:  # even one column has room for all
        for number, (ax1, ay1, ax2, ay2) in enumerate(taken):
            for bx1, by1, bx2, by2 in taken[:number]:
                assert ax2 <= bx1 or bx2 <= ax1 or ay2 <= by1 or by2 <= ay1


def test_text_is_cut_to_fit() -> None:
    letters = Letters(0.5)
    text = letters.fitted("a very long name of a slot that nobody can read", 100)
    assert text.endswith("..")
    assert letters.width(text) <= 100
    assert letters.fitted("ab", 100) == "ab"
