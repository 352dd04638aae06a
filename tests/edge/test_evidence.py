"""The places of the trained networks, with small stand-ins for them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from shelfvision.core.detections import Detections
from shelfvision.core.events import EventDraft
from shelfvision.core.messages import SlotCondition
from shelfvision.edge.frame import Image
from shelfvision.edge.inference import ActionScores, Recognition
from shelfvision.edge.pipeline import CameraPipeline
from tests.edge.shelf_footage import ShelfFootage


class FixedDetector:
    """Answers with the same boxes on every picture."""

    labels = ("product", "gap", "hand")

    def __init__(self, boxes: Sequence[tuple[float, ...]], labels: Sequence[int]) -> None:
        self.answer = Detections(
            np.array(boxes, np.float32).reshape(-1, 4),
            np.full(len(labels), 0.9, np.float32),
            np.array(labels, np.int64),
        )
        self.calls = 0

    def detect(self, image: Image) -> Detections:
        assert image.shape == (360, 640, 3)
        self.calls += 1
        return self.answer


class FixedRecogniser:
    """Names every crop alike."""

    def __init__(self, sku: str | None, score: float = 0.9) -> None:
        self.sku, self.score, self.crops = sku, score, 0

    def recognise(self, crops: Sequence[Image]) -> list[Recognition]:
        assert all(crop.size for crop in crops)
        self.crops += len(crops)
        return [Recognition(self.sku, self.score) for _ in crops]


class FixedClassifier:
    """Gives every clip the same scores."""

    frames, seconds, side = 16, 1.5, 112

    def __init__(self, scores: ActionScores) -> None:
        self.scores, self.clips = scores, 0

    def classify(self, clip: Sequence[Image]) -> ActionScores:
        assert len(clip) == self.frames
        assert all(picture.shape == (112, 112, 3) for picture in clip)
        self.clips += 1
        return self.scores


def boxes_of(footage: ShelfFootage) -> list[tuple[float, ...]]:
    return [tuple(map(float, cell)) for cells in footage.cells for cell in cells]


def run(footage: ShelfFootage, seconds: float, **networks) -> tuple[list[EventDraft], list[SlotCondition]]:
    pipeline, events, states = CameraPipeline(footage.plan, **networks), [], []
    for frame in footage.frames(seconds):
        result = pipeline.step(frame)
        events += result.events
        states = [state.state for state in result.slots]
    return events, states


def test_a_detector_that_agrees_changes_nothing_and_is_not_asked_every_frame():
    footage = ShelfFootage(seed=1, fps=5)
    detector = FixedDetector(boxes_of(footage), [0] * 4)
    events, states = run(footage, 10, detector=detector)
    assert events == []
    assert states == [SlotCondition.IN_STOCK] * 4
    assert detector.calls <= 12


def test_a_detector_that_sees_a_gap_where_the_picture_does_not_tell_makes_a_stockout():
    """Products in the colour of the panel: the first guess is unsure, the detector is not."""
    footage = ShelfFootage(seed=2, fps=5, style="alike")
    boxes = boxes_of(footage)
    detector = FixedDetector(boxes, [0, 1, 0, 0])
    events, states = run(footage, 8, detector=detector)
    assert [(event.kind, event.data.slot) for event in events] == [("stockout", "s1")]
    assert states[1] is SlotCondition.OUT


def test_a_foreign_sku_that_stays_is_misplaced_and_a_right_one_is_not():
    footage = ShelfFootage(facings=(1,), per_board=1, seed=1, fps=5)
    detector = FixedDetector(boxes_of(footage), [0])
    wrong = FixedRecogniser("other")
    events, _ = run(footage, 14, detector=detector, recogniser=wrong)
    assert [(event.kind, event.data.slot, event.data.seen_sku) for event in events] == [("misplaced", "s0", "other")]
    assert wrong.crops == 1
    for harmless in (FixedRecogniser("s0"), FixedRecogniser(None), FixedRecogniser("other", 0.2)):
        assert run(footage, 14, detector=detector, recogniser=harmless)[0] == []


@pytest.mark.parametrize(("score", "touches"), [(0.95, 1), (0.02, 0)])
def test_an_action_classifier_confirms_a_touch_or_denies_it(score, touches):
    footage = ShelfFootage(seed=1)
    footage.reach("touch", 2, 2)
    classifier = FixedClassifier(ActionScores(touch=score, pick_up=0.01, put_back=0.01))
    events, _ = run(footage, 5, actions=classifier)
    assert [event.kind for event in events] == ["touch"] * touches
    assert classifier.clips >= 1


def test_an_action_classifier_does_not_overrule_what_plainly_went():
    footage = ShelfFootage(seed=1)
    footage.reach("pick", 2, 2)
    classifier = FixedClassifier(ActionScores(touch=0.1, pick_up=0.3, put_back=0.5))
    events, _ = run(footage, 6, actions=classifier)
    assert [event.kind for event in events if event.data.slot == "s2"][:1] == ["pick_up"]
