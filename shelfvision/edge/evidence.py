"""What trained networks say about slots, ready to be added to what the pixels say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from shelfvision.core.boxes import centres, coverage
from shelfvision.core.detections import Detections
from shelfvision.core.planogram import CameraPlan, Slot
from shelfvision.core.shelf import SlotEvidence
from shelfvision.edge.frame import Image
from shelfvision.edge.inference import ActionClassifier, ActionScores, Detector, Recogniser


@dataclass(frozen=True, slots=True)
class EvidenceSettings:
    """When networks run and what of their answers is believed."""

    every: float = 1.0  # seconds between two looks of the detector at a shelf that does not change
    least_score: float = 0.35  # of a box
    detector_trust: float = 0.8  # chance that a count of facings is exact
    least_recognised: float = 0.5  # score of a crop
    crop_margin: float = 0.05  # of a box's sides, added around a crop
    action_weight: float = 1.5  # of ln(pick-up score / put-back score) in the direction of a change


@dataclass(slots=True)
class _Seen:
    """Last answers about one slot, while its picture stays the same."""

    at: float | None = None
    facings: int | None = None
    gap_share: float | None = None
    sku: str | None = None
    sku_trust: float = 0.0


@dataclass(slots=True, eq=False)
class NetworkEvidence:
    """Runs the networks that there are, no more often than needed.

    Args:
        plan: the camera's slots.
        detector: finds products and gaps, or None.
        recogniser: names crops, or None; it needs a detector.
        settings: see ``EvidenceSettings``.
    """

    plan: CameraPlan
    detector: Detector | None
    recogniser: Recogniser | None
    settings: EvidenceSettings
    _seen: list[_Seen] = field(init=False)
    _looked_at: float = field(init=False, default=-np.inf)

    def __post_init__(self) -> None:
        self._seen = [_Seen() for _ in self.plan.slots]

    def forget(self, index: int) -> None:
        """The slot's picture has changed: what was said of it holds no longer."""
        self._seen[index] = _Seen()

    def look(self, image: Image, clear: Sequence[bool], now: float) -> None:
        """Let the networks see a frame, when a clear slot has not been looked at or the last look is old.

        Args:
            image: the whole frame.
            clear: by slot, whether nothing is in front of it.
            now: time in seconds.
        """
        if self.detector is None or not any(clear):
            return
        unseen = any(ok and seen.at is None for ok, seen in zip(clear, self._seen, strict=True))
        if not unseen and now - self._looked_at < self.settings.every:
            return
        self._looked_at = now
        found = self.detector.detect(image)
        found = found[found.score >= self.settings.least_score]
        names = self.detector.labels
        gaps = np.array([names[label] == "gap" for label in found.label], bool)
        hands = np.array([names[label] == "hand" for label in found.label], bool)
        products = found[~(gaps | hands)]
        for index, ok in enumerate(clear):
            if ok:
                self._judge(index, image, products, found[gaps], now)

    def _judge(self, index: int, image: Image, products: Detections, gaps: Detections, now: float) -> None:
        seen, slot = self._seen[index], self.plan.slots[index]
        inside = self._inside(slot, products)
        seen.facings = len(inside)
        bounds = np.array([slot.bounds], np.float64)
        covered = coverage(bounds, gaps.xyxy) if len(gaps) else np.zeros((1, 1))
        seen.gap_share = float(min(1.0, covered.sum()))
        if self.recogniser is not None and len(inside) and seen.at is None:
            seen.sku, seen.sku_trust = self._name(image, inside, self.recogniser)
        seen.at = now

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

    def add(self, index: int, evidence: SlotEvidence) -> SlotEvidence:
        """A slot's evidence with what the networks said of it."""
        seen = self._seen[index]
        if not evidence.clear or seen.at is None:
            return evidence
        return replace(
            evidence,
            detected_facings=seen.facings,
            detector_trust=self.settings.detector_trust,
            gap_share=seen.gap_share,
            seen_sku=seen.sku,
            sku_trust=seen.sku_trust,
        )


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
