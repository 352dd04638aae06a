"""What trained networks say about slots, ready to be added to what the pixels say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import cv2
import numpy as np
import structlog
from numpy.typing import NDArray

from shelfvision.core.boxes import centres, coverage
from shelfvision.core.detections import Detections, FloatArray
from shelfvision.core.planogram import CameraPlan, Slot
from shelfvision.core.shelf import SlotEvidence
from shelfvision.edge.frame import Image
from shelfvision.edge.inference import ActionClassifier, ActionScores, AskedDetector, DetectorAwayError, Recogniser

_log = structlog.get_logger(__name__)
_WORTHWHILE = 0.75  # of a frame's area: less is cut out for the detector, more is not


@dataclass(frozen=True, slots=True)
class EvidenceSettings:
    """When networks run and what of their answers is believed."""

    every: float = 1.0  # seconds between two runs of the detector at least, however much changes
    refresh: float = 60.0  # a slot that does not change is looked at again after so many seconds
    detector_trust: float = 0.8  # chance that a count of facings is exact
    doubtful_trust: float = 0.4  # ... of a count below the slot's facings where no gap accounts for the rest
    least_gap: float = 0.15  # share of a slot from which gap boxes are believed
    least_witnessed: float = 2.0  # log-odds from which the pictures of a change that was seen are sure of a facing
    hand_share: float = 0.1  # of a slot; a hand that covers more makes what is found in it worthless
    least_crop: int = 640  # pixels of the longer side; what is cut out of a frame for the detector is not smaller
    crop_around: float = 0.1  # of the slots' common bounds, added around them in that cut-out
    least_recognised: float = 0.5  # score of a crop
    crop_margin: float = 0.05  # of a box's sides, added around a crop
    action_weight: float = 1.5  # of ln(pick-up score / put-back score) in the direction of a change


@dataclass(slots=True)
class _Seen:
    """Last answers about one slot, while its picture stays the same."""

    at: float | None = None
    facings: int | None = None
    trust: float = 0.0
    gap_share: float | None = None
    sku: str | None = None
    sku_trust: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class _Question:
    """What the detector was asked and has not answered yet."""

    image: Image
    slots: set[int]  # that it is to tell about, while they stay as they were
    at: float


@dataclass(slots=True, eq=False)
class NetworkEvidence:
    """Runs the networks that there are, no more often than needed.

    Args:
        plan: the camera's slots.
        detector: finds products and gaps, or None.
        recogniser: names crops, or None; it needs a detector.
        settings: see ``EvidenceSettings``.

    Attributes:
        hands: boxes (n, 4) of the hands that the detector saw last, in pixels of the frame.
    """

    plan: CameraPlan
    detector: AskedDetector | None
    recogniser: Recogniser | None
    settings: EvidenceSettings
    hands: FloatArray = field(init=False, default_factory=lambda: np.zeros((0, 4), np.float32))
    _seen: list[_Seen] = field(init=False)
    _looked_at: float = field(init=False, default=-np.inf)
    _question: _Question | None = field(init=False, default=None)
    _away: str | None = field(init=False, default=None)  # why the detector did not answer last time
    _view: tuple[int, int, int, int] = field(init=False)  # part of the frame that the detector sees

    def __post_init__(self) -> None:
        self._seen = [_Seen() for _ in self.plan.slots]
        self._view = view_of(self.plan, self.settings.crop_around, self.settings.least_crop)

    def forget(self, index: int) -> None:
        """The slot's picture has changed: what was said of it holds no longer."""
        self._seen[index] = _Seen()
        if self._question is not None:
            self._question.slots.discard(index)

    def look(self, image: Image, clear: Sequence[bool], now: float) -> None:
        """Let the networks see the slots, when a clear one has changed or the last look at it is old.

        What they say comes in at a later call, when they need longer; it holds for slots that did not change meanwhile.

        Args:
            image: the whole frame.
            clear: by slot, whether nothing is in front of it.
            now: time in seconds.
        """
        if self.detector is None:
            return
        self._hear(self.detector)
        if self._question is not None or now - self._looked_at < self.settings.every:
            return
        due = {
            index
            for index, (ok, seen) in enumerate(zip(clear, self._seen, strict=True))
            if ok and (seen.at is None or now - seen.at >= self.settings.refresh)
        }
        if not due:
            return
        self._looked_at = now
        x1, y1, x2, y2 = self._view
        self._question = _Question(image, due, now)
        self._hear(self.detector, image[y1:y2, x1:x2])

    def _hear(self, detector: AskedDetector, view: Image | None = None) -> None:
        """Take in the answer to the open question, if it is there; ``view`` is what it is asked first."""
        question = self._question
        if question is None:
            return
        try:
            if view is not None:
                detector.ask(view)
            found = detector.answer()
        except DetectorAwayError as error:
            self._question = None
            self._say_away(str(error))
            return
        if found is None:
            return
        self._question = self._away = None
        x1, y1, _, _ = self._view
        found = replace(found, xyxy=found.xyxy + np.array([x1, y1, x1, y1], np.float32))
        names = detector.labels
        gaps = np.array([names[label] == "gap" for label in found.label], bool)
        hands = np.array([names[label] == "hand" for label in found.label], bool)
        self.hands = found[hands].xyxy
        for index in sorted(question.slots):
            self._judge(index, question.image, found[~(gaps | hands)], found[gaps], question.at)

    def _say_away(self, problem: str) -> None:
        """Tell once that the slots are judged by their pictures alone."""
        if self._away is None:
            _log.warning("without the detector for now", camera=self.plan.camera, problem=problem)
        self._away = problem

    def _judge(self, index: int, image: Image, products: Detections, gaps: Detections, at: float) -> None:
        seen, slot, settings = self._seen[index], self.plan.slots[index], self.settings
        bounds = np.array([slot.bounds], np.float64)
        if len(self.hands) and coverage(bounds, self.hands).max() > settings.hand_share:
            return  # the slot was thought to be clear; look again
        inside = self._inside(slot, products)
        share = min(1.0, float(coverage(bounds, gaps.xyxy).sum())) if len(gaps) else 0.0
        seen.facings, seen.gap_share, seen.trust = len(inside), share, settings.detector_trust
        if share < settings.least_gap:
            seen.gap_share = None  # that no gap is found says nothing that the count does not say
            if len(inside) < slot.facings:
                # what a detector does not find may be there all the same: it does not know every package
                seen.facings, seen.trust = len(inside) or None, settings.doubtful_trust
        if self.recogniser is not None and len(inside) and seen.at is None:
            seen.sku, seen.sku_trust = self._name(image, inside, self.recogniser)
        seen.at = at

    @staticmethod
    def _inside(slot: Slot, boxes: Detections) -> Detections:
        corners = np.asarray(slot.polygon, np.float32)
        keep = [cv2.pointPolygonTest(corners, (float(x), float(y)), False) >= 0 for x, y in centres(boxes.xyxy)]
        return boxes[np.array(keep, bool)]

    def _name(self, image: Image, boxes: Detections, recogniser: Recogniser) -> tuple[str | None, float]:
        """The SKU that most of the boxes show, and the mean score of those."""
        answers = recogniser.recognise([self._crop(image, box) for box in boxes.xyxy])
        votes: dict[str, list[float]] = {}
        for answer in answers:
            if answer.sku is not None and answer.score >= self.settings.least_recognised:
                votes.setdefault(answer.sku, []).append(answer.score)
        if not votes:
            return None, 0.0
        sku = max(votes, key=lambda name: (len(votes[name]), sum(votes[name]), name))
        if len(votes[sku]) * 2 <= len(answers):
            return None, 0.0
        return sku, float(np.mean(votes[sku]))

    def _crop(self, image: Image, box: NDArray[np.float32]) -> Image:
        margin = self.settings.crop_margin * (box[2:] - box[:2])
        x1, y1 = np.maximum(np.floor(box[:2] - margin), 0).astype(int)
        x2, y2 = np.ceil(box[2:] + margin).astype(int)
        return image[y1 : max(y2, y1 + 1), x1 : max(x2, x1 + 1)]

    def add(self, index: int, evidence: SlotEvidence, *, witnessed: bool = False) -> SlotEvidence:
        """A slot's evidence with what the networks said of it.

        Args:
            index: of the slot.
            evidence: from its own picture.
            witnessed: that picture was compared with the slot's looks before and after a change that was seen; it
                then knows better than a detector, whose count is left out when it contradicts.
        """
        seen = self._seen[index]
        if not evidence.clear or seen.at is None:
            return evidence
        evidence = replace(evidence, seen_sku=seen.sku, sku_trust=seen.sku_trust)
        if witnessed and self._contradicts(self.plan.slots[index], seen, evidence):
            return evidence
        return replace(evidence, detected_facings=seen.facings, detector_trust=seen.trust, gap_share=seen.gap_share)

    def _contradicts(self, slot: Slot, seen: _Seen, evidence: SlotEvidence) -> bool:
        if evidence.occupied is None or min(map(abs, evidence.occupied)) < self.settings.least_witnessed:
            return False
        there = sum(odds > 0 for odds in evidence.occupied)
        if seen.facings is not None and min(seen.facings, slot.facings) != there:
            return True
        return seen.gap_share is not None and abs(seen.gap_share - (1 - there / slot.facings)) > 1 / slot.facings


def view_of(plan: CameraPlan, around: float, least: int) -> tuple[int, int, int, int]:
    """The part of a frame with all slots in it, so that they get more of a network's pixels than in the whole frame.

    Args:
        plan: the slots.
        around: share of their common bounds that is added on every side.
        least: pixels of the longer side, if the frame has so many: a network is not shown an enlarged picture.

    Returns:
        x1, y1, x2, y2 in whole pixels, ends exclusive.
    """
    width, height = plan.frame_size
    if not plan.slots:
        return 0, 0, width, height
    bounds = np.array([slot.bounds for slot in plan.slots])
    low, high = bounds[:, :2].min(axis=0).astype(float), bounds[:, 2:].max(axis=0).astype(float)
    margin = around * (high - low)
    low, high = low - margin, high + margin
    short = least - float((high - low).max())
    if short > 0:
        low, high = low - short / 2, high + short / 2
    frame = np.array([width, height], float)
    # what would lie beyond one border is added at the other
    low, high = low - np.maximum(high - frame, 0), high - np.minimum(low, 0)
    low, high = np.maximum(np.floor(low), 0), np.minimum(np.ceil(high), frame)
    if (high - low).prod() > _WORTHWHILE * frame.prod():
        return 0, 0, width, height
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])


@dataclass(slots=True, eq=False)
class ActionClips:
    """Keeps the last pictures around visited slots and lets the classifier name what was done there.

    Args:
        slots: the camera's slots.
        classifier: names clips.
        settings: see ``EvidenceSettings``.
    """

    slots: Sequence[Slot]
    classifier: ActionClassifier
    settings: EvidenceSettings
    _clips: dict[int, list[tuple[float, Image]]] = field(init=False, default_factory=dict)

    def take(self, index: int, image: Image, now: float) -> None:
        """Keep the picture around a slot that is visited."""
        clip = self._clips.setdefault(index, [])
        if clip and now - clip[-1][0] < self.classifier.seconds / self.classifier.frames - 1e-6:
            return
        x1, y1, x2, y2 = self.slots[index].bounds
        half = max(x2 - x1, y2 - y1) * 0.65
        middle_x, middle_y = (x1 + x2) / 2, (y1 + y2) / 2
        scale = self.classifier.side / (2 * half)
        matrix = np.array([[scale, 0, (half - middle_x) * scale], [0, scale, (half - middle_y) * scale]])
        side = (self.classifier.side, self.classifier.side)
        square = cv2.warpAffine(image, matrix, side, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        clip.append((now, np.asarray(square, np.uint8)))
        del clip[: -8 * self.classifier.frames]

    def name(self, index: int, contact_at: float) -> ActionScores | None:
        """Scores of the clip around the moment of contact; None when nothing was kept. The clip is dropped."""
        clip = self._clips.pop(index, [])
        if not clip:
            return None
        times = np.array([time for time, _ in clip])
        wanted = contact_at + np.linspace(-0.5, 0.5, self.classifier.frames) * self.classifier.seconds
        chosen = [clip[int(np.argmin(np.abs(times - time)))][1] for time in wanted]
        return self.classifier.classify(chosen)

    def direction(self, scores: ActionScores) -> float:
        """Log-odds for a pick-up against a put-back."""
        ratio = (scores.pick_up + 0.02) / (scores.put_back + 0.02)
        return self.settings.action_weight * float(np.log(ratio))
