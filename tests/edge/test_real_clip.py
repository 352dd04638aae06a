"""The real recording of three bottles, forwards, backwards and altered: exactly the true events, defaults only."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

import cv2
import numpy as np
import pytest

from shelfvision.core.detections import Detections
from shelfvision.core.events import EventDraft
from shelfvision.core.messages import SlotCondition
from shelfvision.core.planogram import CameraPlan, Slot
from shelfvision.edge.default_models import has_default
from shelfvision.edge.detector import open_detector
from shelfvision.edge.frame import Frame, Image
from shelfvision.edge.inference import AtOnce, Detector
from shelfvision.edge.pipeline import CameraPipeline

CLIP = Path(os.environ.get("SHELFVISION_DATA", "../shared/data")) / "bottles" / "bottles.mp4"
pytestmark = pytest.mark.skipif(not CLIP.is_file(), reason=f"the real clip is not at {CLIP}")
RATE = 29.833
SLOTS = {"left": (50, 100, 128, 316), "mid": (280, 102, 352, 316), "right": (501, 100, 580, 318)}
Place = Callable[[float, float], tuple[float, float]]

FORWARDS = [
    "pick_up left",
    "stockout left",
    "put_back left",
    "restocked left",
    "pick_up mid",
    "pick_up left",
    "stockout mid",
    "stockout left",
]
BACKWARDS = [
    "stockout left",
    "stockout mid",
    "put_back mid",
    "put_back left",
    "restocked mid",
    "restocked left",
    "pick_up left",
    "stockout left",
    "put_back left",
    "restocked left",
]


@pytest.fixture(scope="module")
def clip() -> list[Image]:
    capture, images = cv2.VideoCapture(str(CLIP)), []
    while True:
        ok, image = capture.read()
        if not ok:
            break
        images.append(image)
    assert len(images) == 641
    return images


def plan(size: tuple[int, int] = (640, 360), place: Place = lambda x, y: (x, y)) -> CameraPlan:
    slots = []
    for name, (x1, y1, x2, y2) in SLOTS.items():
        corners = tuple(place(*corner) for corner in ((x1, y1), (x2, y1), (x2, y2), (x1, y2)))
        slots.append(Slot(name, corners, name))
    return CameraPlan("table", size, tuple(slots))


def run(
    images: Iterable[Image],
    frames_apart: int = 1,
    camera: CameraPlan | None = None,
    detector: Detector | None = None,
) -> tuple[list[EventDraft], CameraPipeline, dict[str, SlotCondition]]:
    pipeline, events, states = (
        CameraPipeline(camera or plan(), detector=None if detector is None else AtOnce(detector)),
        [],
        {},
    )
    for index, image in enumerate(images):
        result = pipeline.step(Frame(image, index * frames_apart / RATE, index))
        assert result.camera_fault is None
        events += result.events
        states = {state.slot: state.state for state in result.slots}
    return events, pipeline, states


def names(events: Iterable[EventDraft]) -> list[str]:
    return sorted(f"{event.kind} {event.data.slot}" for event in events)


def frame_of(value) -> float:
    assert value is not None
    return value.timestamp() * RATE


def one(events: list[EventDraft], name: str, number: int = 0) -> EventDraft:
    return [event for event in events if f"{event.kind} {event.data.slot}" == name][number]


@pytest.fixture(scope="module")
def whole(clip) -> tuple[list[EventDraft], CameraPipeline, dict[str, SlotCondition]]:
    return run(clip)


def test_the_clip_gives_exactly_the_true_events_at_the_true_times(whole):
    events, _, states = whole
    assert names(events) == sorted(FORWARDS)
    half_second = RATE / 2
    contacts = {("pick_up left", 0): 182, ("put_back left", 0): 371, ("pick_up left", 1): 498, ("pick_up mid", 0): 488}
    for (name, number), true in contacts.items():
        event = one(events, name, number)
        assert frame_of(event.data.contact_at) == pytest.approx(true, abs=half_second), name
        assert event.data.started_at <= event.data.contact_at <= event.data.ended_at
        assert event.time == pytest.approx(event.data.contact_at.timestamp(), abs=0.001)
        assert event.data.count == 1
    onsets = {
        ("stockout left", 0): 199,
        ("stockout left", 1): 520,
        ("stockout mid", 0): 517,
        ("restocked left", 0): 371,
    }
    for (name, number), true in onsets.items():
        assert frame_of(one(events, name, number).data.onset_at) == pytest.approx(true, abs=half_second), name
    back = one(events, "put_back left").data
    assert back.linked_event == one(events, "pick_up left").key
    assert back.hold_seconds == pytest.approx((371 - 182) / RATE, abs=1.0)
    assert states == {"left": SlotCondition.OUT, "mid": SlotCondition.OUT, "right": SlotCondition.IN_STOCK}
    assert len({event.key for event in events}) == len(events)


def test_a_stockout_is_told_three_seconds_after_the_hand_has_left(whole):
    events, _, _ = whole
    alert = one(events, "stockout left").time * RATE
    assert 213 + 3 * RATE - 10 <= alert <= 213 + 3 * RATE + 10


def test_backwards_it_starts_with_two_empty_slots_and_every_act_is_turned_round(clip):
    events, _, states = run(clip[::-1])
    assert names(events) == sorted(BACKWARDS)
    assert frame_of(one(events, "stockout mid").data.onset_at) == pytest.approx(0, abs=15)
    assert frame_of(one(events, "put_back mid").data.contact_at) == pytest.approx(640 - 516, abs=15)
    assert frame_of(one(events, "pick_up left").data.contact_at) == pytest.approx(640 - 396, abs=15)
    assert frame_of(one(events, "stockout left", 1).data.onset_at) == pytest.approx(640 - 371, abs=15)
    assert set(states.values()) == {SlotCondition.IN_STOCK}


@pytest.mark.parametrize(("first", "apart"), [(0, 3), (2, 6), (0, 10), (5, 10)])
def test_ten_five_and_three_frames_a_second_are_enough(clip, first, apart):
    events, _, _ = run(clip[first::apart], apart)
    assert names(events) == sorted(FORWARDS)


def test_a_start_with_one_slot_empty(clip):
    events, _, _ = run(clip[230::3], 3)
    assert names(events) == sorted(FORWARDS[1:])


def test_a_start_with_a_hand_in_the_picture(clip):
    events, _, _ = run(clip[190::3], 3)
    assert names(events) == sorted(FORWARDS[1:])


def test_a_start_with_two_slots_empty_that_stay_so(clip):
    still = clip[560:] + clip[:560:-1]
    events, _, states = run(still[::3], 3)
    assert names(events) == ["stockout left", "stockout mid"]
    assert states["right"] is SlotCondition.IN_STOCK


def grade(gamma: float, gain: float) -> np.ndarray:
    return np.clip((np.arange(256) / 255.0) ** gamma * 255 * gain, 0, 255).astype(np.uint8)


@pytest.mark.parametrize(("gamma", "gain"), [(0.6, 1), (1.6, 1), (1, 0.5), (1.3, 0.6)])
def test_another_exposure_or_gamma_changes_nothing(clip, gamma, gain):
    table = grade(gamma, gain)
    events, _, _ = run((table[image] for image in clip[::3]), 3)
    assert names(events) == sorted(FORWARDS)


def test_lamps_that_dim_to_sixty_percent_and_back_change_nothing(clip):
    gains = 1 - 0.4 * np.abs(np.sin(np.arange(0, 641, 3) / 641 * np.pi * 3))
    events, _, _ = run(
        (np.clip(image * gain, 0, 255).astype(np.uint8) for image, gain in zip(clip[::3], gains, strict=True)), 3
    )
    assert names(events) == sorted(FORWARDS)


@pytest.mark.parametrize(
    ("alter", "camera"),
    [
        pytest.param(lambda i: i[:, ::-1], plan(place=lambda x, y: (640 - x, y)), id="mirrored"),
        pytest.param(lambda i: i[60:, 20:600], plan((580, 300), lambda x, y: (x - 20, y - 60)), id="cropped"),
        pytest.param(lambda i: cv2.resize(i, (320, 180)), plan((320, 180), lambda x, y: (x / 2, y / 2)), id="small"),
        pytest.param(
            lambda i: cv2.resize(i, (960, 540)), plan((960, 540), lambda x, y: (x * 1.5, y * 1.5)), id="large"
        ),
        pytest.param(
            lambda i: cv2.cvtColor(cv2.cvtColor(i, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR), plan(), id="grey"
        ),
        pytest.param(lambda i: i[:, :, ::-1], plan(), id="other colours"),
        pytest.param(
            lambda i: cv2.imdecode(cv2.imencode(".jpg", i, [cv2.IMWRITE_JPEG_QUALITY, 20])[1], cv2.IMREAD_COLOR),
            plan(),
            id="coarsely coded",
        ),
    ],
)
def test_the_picture_may_look_otherwise(clip, alter, camera):
    events, _, _ = run((np.ascontiguousarray(alter(image)) for image in clip[::3]), 3, camera)
    assert names(events) == sorted(FORWARDS)


def test_a_noisy_sensor_changes_nothing(clip):
    rng = np.random.default_rng(1)
    events, _, _ = run((np.clip(i + rng.normal(0, 8, i.shape), 0, 255).astype(np.uint8) for i in clip[::3]), 3)
    assert names(events) == sorted(FORWARDS)


def test_the_same_frames_give_the_same_events(clip):
    first, _, _ = run(clip[::6], 6)
    second, _, _ = run(clip[::6], 6)
    assert first == second


def test_an_interruption_hides_the_hand_but_not_the_empty_slots(clip):
    """Offline from frame 460 to 560: nobody saw the hands, but left and mid are found empty."""
    pipeline, events = CameraPipeline(plan()), []
    for index in range(400, 460, 3):
        events += pipeline.step(Frame(clip[index], index / RATE, index)).events
    assert pipeline.interrupted(470 / RATE).events[0].data.status == "offline"
    result = pipeline.interrupted(500 / RATE)
    assert result.events == ()
    assert {state.state for state in result.slots} == {SlotCondition.UNKNOWN}
    for index, image in enumerate([*clip[560:], *clip[:560:-1]][::3]):
        events += pipeline.step(Frame(image, (560 + 3 * index) / RATE, index)).events
    assert names(events) == ["camera None", "stockout left", "stockout mid"]
    assert one(events, "camera None").data.status == "online"


class Liar:
    """Says the same of every slot whatever there is."""

    labels = ("product", "gap")

    def __init__(self, label: int) -> None:
        self._boxes = np.array(list(SLOTS.values()), np.float32)
        self._label = label

    def detect(self, image: Image) -> Detections:
        count = len(self._boxes)
        return Detections(self._boxes, np.full(count, 0.9, np.float32), np.full(count, self._label, np.int64))


@pytest.mark.parametrize(("label", "backwards"), [(0, True), (1, False)])
def test_a_detector_that_lies_changes_no_event(clip, label, backwards):
    """Products where there are none, and gaps where there are products."""
    images = clip[::-1] if backwards else clip
    events, _, _ = run(images, detector=Liar(label))
    assert names(events) == sorted(BACKWARDS if backwards else FORWARDS)


def test_the_default_detector_changes_no_event(clip):
    if not has_default("detector"):
        pytest.skip("this installation has no default detector")
    for images, true in ((clip, FORWARDS), (clip[::-1], BACKWARDS)):
        detector = open_detector("default", runtime="onnxruntime", threads=1)
        assert names(run(images, detector=detector)[0]) == sorted(true)
