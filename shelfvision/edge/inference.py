"""The places where trained networks add their evidence to what the pixels say. All are optional."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from shelfvision.core.detections import Detections
from shelfvision.core.interactions import Action
from shelfvision.edge.frame import Image
from shelfvision.errors import ModelError


class DetectorAwayError(ModelError):
    """The detector cannot be asked now; it may be back soon."""


class Detector(Protocol):
    """Finds products and gaps in a picture."""

    labels: tuple[str, ...]  # class names by index; "gap" is an empty place, "hand" a hand, all others are products

    def detect(self, image: Image) -> Detections:
        """Boxes in pixels of the given BGR picture.

        Raises:
            DetectorAwayError: it runs elsewhere and does not answer now.
        """


class AskedDetector(Protocol):
    """A detector that may answer later, so that frames need not wait for it."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Class names by index."""

    def ask(self, image: Image) -> None:
        """Give it a BGR picture, when the last one was answered; returns at once."""

    def answer(self) -> Detections | None:
        """Boxes in pixels of the picture given last; None while it is looked at.

        Raises:
            DetectorAwayError: it runs elsewhere and will not answer; ask again later.
        """


class AtOnce:
    """A detector in this process, asked as others are; it answers before ``ask`` returns.

    Args:
        detector: does the work.
    """

    def __init__(self, detector: Detector) -> None:
        self._detector = detector
        self._found: Detections | None = None

    @property
    def labels(self) -> tuple[str, ...]:
        """Class names by index."""
        return self._detector.labels

    def ask(self, image: Image) -> None:
        """Look at a BGR picture.

        Raises:
            DetectorAwayError: the detector says so.
        """
        self._found = self._detector.detect(image)

    def answer(self) -> Detections | None:
        """Boxes in pixels of that picture, once."""
        found, self._found = self._found, None
        return found


@dataclass(frozen=True, slots=True)
class Recognition:
    """What one crop shows."""

    sku: str | None  # None: none of the known ones
    score: float  # probability that this is right, in [0, 1]


class Recogniser(Protocol):
    """Names the SKU in a crop."""

    def recognise(self, crops: Sequence[Image]) -> list[Recognition]:
        """One answer a crop, in order."""


@dataclass(frozen=True, slots=True)
class ActionScores:
    """Probabilities of what a clip shows; the rest to 1 is background."""

    touch: float
    pick_up: float
    put_back: float

    def of(self, action: Action) -> float:
        """Probability of one action."""
        return {Action.TOUCH: self.touch, Action.PICK_UP: self.pick_up, Action.PUT_BACK: self.put_back}[action]


class ActionClassifier(Protocol):
    """Names what a hand does at one slot."""

    frames: int  # pictures a clip
    seconds: float  # length of a clip
    side: int  # pixels, the clip's pictures are square

    def classify(self, clip: Sequence[Image]) -> ActionScores:
        """Scores of one clip: ``frames`` BGR pictures of ``side`` x ``side`` pixels, oldest first."""
