"""Drawn shelves with hands, people, shadows and lamps: exactly the scripted events, at low frame rates too."""

from __future__ import annotations

import numpy as np
import pytest

from shelfvision.core.events import EventDraft
from shelfvision.core.messages import SlotCondition, SlotState
from shelfvision.edge.frame import Frame
from shelfvision.edge.pipeline import CameraPipeline
from tests.edge.shelf_footage import Passing, Person, ShelfFootage

LOOKS = [("colourful", 1, 10), ("colourful", 2, 4), ("dark", 1, 5), ("alike", 2, 4)]


def run(footage: ShelfFootage, seconds: float) -> tuple[list[EventDraft], list[tuple[SlotState, ...]]]:
    pipeline, events, states = CameraPipeline(footage.plan), [], []
    for frame in footage.frames(seconds):
        result = pipeline.step(frame)
        events += result.events
        states.append(result.slots)
    return events, states


def names(events: list[EventDraft]) -> list[str]:
    return sorted(f"{event.kind} {event.data.slot or 'camera'}" for event in events)


def seconds(value) -> float:
    assert value is not None
    return value.timestamp()


@pytest.mark.parametrize(("style", "seed", "fps"), LOOKS)
def test_pick_put_back_and_touch(style, seed, fps):
    footage = ShelfFootage(style=style, seed=seed, fps=fps)
    footage.reach("pick", 1, 2).reach("put", 1, 9, side="top").reach("touch", 2, 13)
    events, _ = run(footage, 16)
    assert names(events) == sorted(["pick_up s1", "stockout s1", "put_back s1", "restocked s1", "touch s2"])
    by_name = {f"{event.kind} {event.data.slot}": event for event in events}
    within = 0.5 + 1 / fps
    assert seconds(by_name["pick_up s1"].data.contact_at) == pytest.approx(2.6, abs=within)
    assert seconds(by_name["stockout s1"].data.onset_at) == pytest.approx(3.2, abs=within)
    assert seconds(by_name["put_back s1"].data.contact_at) == pytest.approx(9.6, abs=within)
    assert seconds(by_name["touch s2"].data.contact_at) == pytest.approx(13.6, abs=within)
    assert by_name["put_back s1"].data.linked_event == by_name["pick_up s1"].key
    assert by_name["put_back s1"].data.hold_seconds == pytest.approx(7.0, abs=2 * within)


@pytest.mark.parametrize(("style", "seed", "fps"), LOOKS[:3])
def test_a_hand_that_only_passes_is_nothing(style, seed, fps):
    footage = ShelfFootage(style=style, seed=seed, fps=fps)
    footage.passings.append(Passing(2, 4, (300, 460), ((-40, 150), (680, 170))))
    path = ((-40, 300), (200, 220), (560, 150), (200, 220), (-40, 300))
    footage.passings.append(Passing(5, 6.5, (-60, 300), path))
    events, _ = run(footage, 9)
    assert events == []


@pytest.mark.parametrize(("style", "seed", "fps"), LOOKS[:3])
def test_two_hands_at_once_are_two_events(style, seed, fps):
    footage = ShelfFootage(style=style, seed=seed, fps=fps)
    footage.reach("pick", 0, 2, side="left").reach("pick", 3, 2.2, side="right")
    events, _ = run(footage, 8)
    assert names(events) == ["pick_up s0", "pick_up s3", "stockout s0", "stockout s3"]


@pytest.mark.parametrize(("style", "seed", "fps"), [("colourful", 1, 5), ("colourful", 3, 4), ("dark", 2, 5)])
def test_facings_that_go_one_by_one(style, seed, fps):
    footage = ShelfFootage(facings=(2, 4, 1), per_board=3, style=style, seed=seed, fps=fps)
    for facing, start in zip((2, 0, 3, 1), (2, 8, 14, 20), strict=True):
        footage.reach("pick", 1, start, facing=facing, side="bottom" if facing % 2 else "top")
    footage.reach("pick", 0, 5, facing=1).reach("put", 0, 17, facing=1)
    events, states = run(footage, 26)
    expected = ["pick_up s1"] * 4 + ["low_stock s1", "stockout s1", "pick_up s0", "put_back s0"]
    assert names(events) == sorted(expected)
    assert all(event.data.count == 1 for event in events if event.kind == "pick_up")
    counts = [states[round(time * fps) - 1][1].facings for time in (2, 7, 13, 20, 25.5)]
    assert counts == [4, 3, 2, 1, 0]


@pytest.mark.parametrize(("style", "seed", "fps"), LOOKS)
def test_an_empty_start_is_seen_and_a_refill_too(style, seed, fps):
    footage = ShelfFootage(style=style, seed=seed, fps=fps, empty=((1, 0), (3, 0)))
    footage.reach("put", 1, 5)
    events, states = run(footage, 9)
    assert names(events) == ["put_back s1", "restocked s1", "stockout s1", "stockout s3"]
    assert [state.state for state in states[-1]] == [SlotCondition.IN_STOCK] * 3 + [SlotCondition.OUT]


@pytest.mark.parametrize(("style", "seed", "fps"), [("colourful", 1, 5), ("dark", 2, 4), ("alike", 1, 3)])
def test_somebody_who_stands_in_front_for_half_a_minute_makes_slots_unknown_and_nothing_else(style, seed, fps):
    footage = ShelfFootage(style=style, seed=seed, fps=fps)
    footage.people.append(Person(3, 34, 300, 150))
    events, states = run(footage, 38)
    assert events == []
    behind = [slots[1].state for slots in states]
    assert SlotCondition.UNKNOWN in behind[round(26 * fps) :]
    assert SlotCondition.OUT not in behind
    assert states[round(20 * fps)][1].obstructed
    assert [state.state for state in states[-1]] == [SlotCondition.IN_STOCK] * 4


def test_somebody_in_the_first_picture_is_no_product():
    footage = ShelfFootage(seed=3, fps=5)
    footage.people.append(Person(-5, 7, 300, 150))
    footage.reach("pick", 1, 12)
    events, _ = run(footage, 18)
    assert names(events) == ["pick_up s1", "stockout s1"]


def test_lamps_that_dim_to_sixty_percent_and_back_within_a_minute():
    footage = ShelfFootage(seed=1, fps=4, light=lambda t: 1 - 0.4 * np.sin(np.pi * t / 60) ** 2)
    footage.reach("pick", 1, 20).reach("put", 1, 35)
    events, _ = run(footage, 60)
    assert names(events) == ["pick_up s1", "put_back s1", "restocked s1", "stockout s1"]


@pytest.mark.parametrize("seed", [1, 4])
def test_exposure_that_jumps_with_the_hand(seed):
    footage = ShelfFootage(seed=seed, light=lambda t: 0.7 if 2 < t < 4.5 or t > 6 else 1.0)
    footage.reach("pick", 1, 2)
    events, _ = run(footage, 9)
    assert names(events) == ["pick_up s1", "stockout s1"]


@pytest.mark.parametrize(("style", "seed", "fps"), LOOKS[:3])
def test_a_soft_shadow_that_wanders_over_the_shelf_is_nothing(style, seed, fps):
    events, _ = run(ShelfFootage(style=style, seed=seed, fps=fps, shadow=lambda t: (-100 + 70 * t, 0.6)), 12)
    assert events == []


def test_a_pick_up_within_a_shadow():
    footage = ShelfFootage(seed=1, shadow=lambda t: (-100 + 40 * t, 0.6))
    footage.reach("pick", 1, 5)
    events, _ = run(footage, 17)
    assert names(events) == ["pick_up s1", "stockout s1"]


@pytest.mark.parametrize("seed", [1, 2])
def test_a_hand_that_reaches_over_one_slot_acts_at_the_other_only(seed):
    footage = ShelfFootage(facings=(1,) * 8, seed=seed)
    footage.reach("pick", 1, 2, side="bottom").reach("touch", 6, 7, side="top").reach("put", 1, 10, side="bottom")
    events, _ = run(footage, 14)
    assert names(events) == ["pick_up s1", "put_back s1", "restocked s1", "stockout s1", "touch s6"]


def test_a_coarsely_coded_noisy_stream():
    footage = ShelfFootage(seed=2, quality=25, noise=6)
    footage.reach("pick", 1, 2).reach("put", 1, 9)
    events, _ = run(footage, 13)
    assert names(events) == ["pick_up s1", "put_back s1", "restocked s1", "stockout s1"]


def test_frames_at_uneven_times():
    footage = ShelfFootage(seed=2)
    footage.reach("pick", 1, 2).reach("put", 1, 9)
    rng, now, pipeline, events = np.random.default_rng(5), 0.0, CameraPipeline(footage.plan), []
    index = 0
    while now < 13:
        events += pipeline.step(footage.frame(index, now)).events
        index, now = index + 1, now + float(rng.uniform(0.03, 0.4))
    assert names(events) == ["pick_up s1", "put_back s1", "restocked s1", "stockout s1"]


def test_a_pushed_camera_is_told_and_its_slots_are_unknown_until_it_is_back():
    footage = ShelfFootage(seed=1, nudge=lambda t: (9, 4) if 5 < t < 12 else (0, 0))
    footage.reach("pick", 1, 16)
    pipeline, events, faults = CameraPipeline(footage.plan), [], []
    for frame in footage.frames(21):
        result = pipeline.step(frame)
        events += result.events
        faults.append(result.camera_fault)
        if result.camera_fault:
            assert {state.state for state in result.slots} == {SlotCondition.UNKNOWN}
    assert [event.data.status for event in events if event.kind == "camera"] == ["moved", "online"]
    assert faults[100] == "moved"
    assert faults[-1] is None
    assert names(events) == ["camera camera"] * 2 + ["pick_up s1", "stockout s1"]


def test_a_camera_of_another_size_is_a_fault_and_not_an_error():
    footage = ShelfFootage(seed=1)
    pipeline = CameraPipeline(footage.plan)
    frames = list(footage.frames(3))
    for frame in frames[:20]:
        pipeline.step(frame)
    small = [Frame(np.ascontiguousarray(frame.image[::2, ::2]), frame.time, frame.index) for frame in frames[20:25]]
    results = [pipeline.step(frame) for frame in small] + [pipeline.step(frame) for frame in frames[25:]]
    assert [result.camera_fault for result in results] == ["resized"] * 5 + [None] * 5
    assert [event.data.status for result in results for event in result.events] == ["resized", "online"]


def test_a_frozen_camera_is_told_after_ten_seconds_of_identical_frames():
    footage = ShelfFootage(seed=1, fps=5)
    pipeline, told = CameraPipeline(footage.plan), []
    for index in range(100):
        live = footage.frame(index, index / 5)
        frozen = 3 <= index / 5 < 16
        image = footage.frame(15, 3.0).image if frozen else live.image
        told += [
            (event.data.status, event.time) for event in pipeline.step(Frame(image.copy(), index / 5, index)).events
        ]
    assert [status for status, _ in told] == ["frozen", "online"]
    assert told[0][1] == pytest.approx(13, abs=0.41)


def test_presence_counts_hands_and_time_on_offer_by_complete_windows():
    footage = ShelfFootage(seed=2, fps=5)
    footage.reach("pick", 1, 2).reach("touch", 2, 12, hold=3)
    pipeline, events = CameraPipeline(footage.plan, presence_window_seconds=10), []
    for frame in footage.frames(21):
        events += pipeline.step(frame).events
    presence = [event for event in events if event.kind == "presence"]
    whole = [event.data for event in presence if event.data.slot is None]
    assert [(data.passes, data.stops) for data in whole] == [(1, 0), (1, 1)]
    slots = {(round(e.time), e.data.slot): e.data for e in presence if e.data.slot}
    assert len(slots) == 8
    assert slots[10, "s1"].count == 1
    assert slots[10, "s1"].available_seconds < 4
    assert slots[20, "s1"].available_seconds == 0
    assert slots[20, "s0"].available_seconds == pytest.approx(10, abs=0.5)
    assert slots[20, "s2"].count == 1
