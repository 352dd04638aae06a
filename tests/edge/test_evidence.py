"""The places of the trained networks, with small stand-ins for them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from shelfvision.core.detections import Detections
from shelfvision.core.events import EventDraft
from shelfvision.core.messages import SlotCondition
from shelfvision.core.planogram import CameraPlan, Slot
from shelfvision.core.shelf import SlotEvidence
from shelfvision.edge.evidence import EvidenceSettings, NetworkEvidence, view_of
from shelfvision.edge.frame import Image
from shelfvision.edge.inference import ActionScores, AtOnce, DetectorAwayError, Recognition
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
    if "detector" in networks:
        networks["detector"] = AtOnce(networks["detector"])
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


class TestHowFarADetectorIsBelieved:
    """It knows many packages, not all: what it does not find proves nothing, a gap that it sees does."""

    @staticmethod
    def added(detector, evidence=None, *, facings=(2,), witnessed=False):
        footage = ShelfFootage(facings=facings, per_board=1, seed=1, fps=5)
        networks = NetworkEvidence(footage.plan, AtOnce(detector), None, EvidenceSettings())
        networks.look(np.zeros((360, 640, 3), np.uint8), [True] * len(facings), 1.0)
        return networks.add(0, evidence or SlotEvidence(clear=True), witnessed=witnessed)

    @staticmethod
    def cells():
        return boxes_of(ShelfFootage(facings=(2,), per_board=1, seed=1, fps=5))

    def test_a_full_count_is_believed(self):
        added = self.added(FixedDetector(self.cells(), [0, 0]))
        assert (added.detected_facings, added.gap_share) == (2, None)
        assert added.detector_trust == EvidenceSettings().detector_trust

    def test_nothing_found_says_nothing(self):
        added = self.added(FixedDetector([], []))
        assert (added.detected_facings, added.gap_share) == (None, None)

    def test_a_low_count_without_a_gap_is_doubted(self):
        added = self.added(FixedDetector(self.cells()[:1], [0]))
        assert (added.detected_facings, added.gap_share) == (1, None)
        assert added.detector_trust == EvidenceSettings().doubtful_trust

    def test_a_low_count_with_a_gap_is_believed(self):
        added = self.added(FixedDetector(self.cells(), [0, 1]))
        assert added.detected_facings == 1
        assert added.gap_share == pytest.approx(0.5, abs=0.15)
        assert added.detector_trust == EvidenceSettings().detector_trust

    def test_a_hand_in_the_slot_makes_the_look_worthless(self):
        cells = self.cells()
        added = self.added(FixedDetector([*cells, cells[0]], [1, 1, 2]))
        assert added.detected_facings is None

    @pytest.mark.parametrize(("occupied", "kept"), [((5.0, 5.0), False), ((5.0, 0.5), True), ((5.0, -5.0), True)])
    def test_a_change_that_was_seen_outweighs_a_count_that_contradicts(self, occupied, kept):
        detector = FixedDetector(self.cells(), [0, 1])
        evidence = SlotEvidence(clear=True, occupied=occupied)
        assert (self.added(detector, evidence, witnessed=True).detected_facings is not None) is kept
        assert self.added(detector, evidence).detected_facings == 1, "a first guess does not"


def test_the_detector_runs_on_change_and_no_more_often_than_it_may():
    footage = ShelfFootage(seed=1, fps=5)
    detector = FixedDetector(boxes_of(footage), [0] * 4)
    settings = EvidenceSettings(every=1.0, refresh=60.0)
    networks = NetworkEvidence(footage.plan, AtOnce(detector), None, settings)
    image = np.zeros((360, 640, 3), np.uint8)
    for step in range(300):
        networks.look(image, [True] * 4, step / 5)
    assert detector.calls == 1, "nothing changed for a minute"
    for step in range(300, 310):
        networks.forget(step % 4)
        networks.look(image, [True] * 4, step / 5)
    assert detector.calls == 3, "changes every 0.2 s, a look a second"
    networks.forget(0)
    networks.look(image, [False] * 4, 100.0)
    assert detector.calls == 3, "not while something is in front"
    networks.look(image, [True] * 4, 130.0)
    assert detector.calls == 4


def test_a_detector_that_is_away_is_asked_again_and_holds_nothing_up():
    footage = ShelfFootage(seed=1, fps=5)
    detector = FixedDetector(boxes_of(footage), [0] * 4)
    fine = detector.detect
    networks = NetworkEvidence(footage.plan, AtOnce(detector), None, EvidenceSettings())
    image = np.zeros((360, 640, 3), np.uint8)

    def away(_):
        raise DetectorAwayError("gone")

    detector.detect = away
    networks.look(image, [True] * 4, 0.0)
    assert networks.add(0, SlotEvidence(clear=True)).detected_facings is None
    detector.detect = fine
    networks.look(image, [True] * 4, 1.0)
    assert networks.add(0, SlotEvidence(clear=True)).detected_facings == 1


def test_a_late_answer_holds_for_slots_that_stayed_as_they_were():
    footage = ShelfFootage(seed=1, fps=5)
    asked, said = [], []

    class Elsewhere:
        labels = ("product", "gap", "hand")

        def ask(self, image):
            asked.append(image)

        def answer(self):
            return said.pop() if said else None

    networks = NetworkEvidence(footage.plan, Elsewhere(), None, EvidenceSettings())
    image, clear = np.zeros((360, 640, 3), np.uint8), [True] * 4

    def counts():
        return [networks.add(index, SlotEvidence(clear=True)).detected_facings for index in range(4)]

    for now in (0.0, 0.2, 1.0, 2.0):
        networks.look(image, clear, now)
    assert len(asked) == 1, "no second question before the first is answered"
    networks.forget(2)
    said.append(FixedDetector(boxes_of(footage), [0] * 4).answer)
    networks.look(image, [False] * 4, 2.2)
    assert counts() == [1, 1, None, 1]
    networks.look(image, clear, 3.2)
    assert len(asked) == 2, "the slot that changed is looked at again"


def plan_with(size, *boxes):
    slots = tuple(
        Slot(f"s{index}", ((x1, y1), (x2, y1), (x2, y2), (x1, y2)), "sku")
        for index, (x1, y1, x2, y2) in enumerate(boxes)
    )
    return CameraPlan("cam", size, slots)


@pytest.mark.parametrize(
    ("size", "boxes", "view"),
    [
        ((640, 360), [(100, 100, 140, 180)], (0, 0, 640, 360)),  # no pixels to win
        ((1920, 1080), [(0, 0, 1900, 1000)], (0, 0, 1920, 1080)),
        ((1920, 1080), [(800, 400, 900, 500)], (530, 130, 1170, 770)),  # never enlarged
        ((1920, 1080), [(0, 0, 100, 100)], (0, 0, 640, 640)),  # what lies beyond the border is added at the other side
        ((3840, 2160), [(500, 500, 900, 900), (1500, 700, 1900, 1500)], (360, 400, 2040, 1600)),
        ((1920, 1080), [], (0, 0, 1920, 1080)),
    ],
)
def test_the_detector_sees_the_slots_not_the_whole_frame(size, boxes, view):
    assert view_of(plan_with(size, *boxes), 0.1, 640) == view


def test_boxes_of_the_part_that_it_sees_are_put_back_into_the_frame():
    plan = plan_with((1920, 1080), (800, 400, 900, 500))
    seen = []

    class Part:
        labels = ("product",)

        def detect(self, image):
            seen.append(image.shape)
            return Detections(
                np.array([[280, 280, 360, 360]], np.float32), np.array([0.9], np.float32), np.zeros(1, np.int64)
            )

    networks = NetworkEvidence(plan, AtOnce(Part()), None, EvidenceSettings())
    networks.look(np.zeros((1080, 1920, 3), np.uint8), [True], 0.0)
    assert seen == [(640, 640, 3)]
    assert networks.add(0, SlotEvidence(clear=True)).detected_facings == 1


@pytest.mark.parametrize("kind", ["blind", "always full", "noise"])
def test_a_bad_detector_does_not_spoil_what_is_seen_to_happen(kind):
    """The events of a pick-up that empties a slot are those without a detector."""

    def events(**networks):
        footage = ShelfFootage(seed=1)
        footage.reach("pick", 2, 2)
        return [(event.kind, event.data.slot) for event in run(footage, 8, **networks)[0]]

    cells = boxes_of(ShelfFootage(seed=1))
    rng = np.random.default_rng(0)
    detector = FixedDetector([], []) if kind == "blind" else FixedDetector(cells, [0] * len(cells))
    if kind == "noise":

        def detect(image):
            kept = rng.random(len(cells)) < 0.5
            return detector.answer[np.asarray(kept)]

        detector.detect = detect
    expected = events()
    assert ("stockout", "s2") in expected
    assert events(detector=detector) == expected
