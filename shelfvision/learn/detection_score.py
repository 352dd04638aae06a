"""How good a detector is, as plain values."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from shelfvision.learn.calibration import Calibration


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """What a threshold gives: counts at IoU 0.5 and what follows from them."""

    threshold: float
    right: int
    false: int
    missed: int

    @property
    def precision(self) -> float | None:
        """Share of the detections that is right; None without a detection."""
        return self.right / (self.right + self.false) if self.right + self.false else None

    @property
    def recall(self) -> float | None:
        """Share of the true boxes that is found; None without a true box."""
        return self.right / (self.right + self.missed) if self.right + self.missed else None

    @property
    def f1(self) -> float | None:
        """Harmonic mean of both; None with neither detection nor true box."""
        all_of_them = 2 * self.right + self.false + self.missed
        return 2 * self.right / all_of_them if all_of_them else None

    def to_json(self) -> dict[str, Any]:
        """Counts and shares as plain values."""
        return asdict(self) | {"precision": self.precision, "recall": self.recall, "f1": self.f1}


@dataclass(frozen=True, slots=True)
class CountError:
    """Boxes found against true boxes a picture, at the operating threshold."""

    mean_absolute: float  # boxes
    mean_relative: float | None  # of the pictures with a true box: |found - true| / true; None without such a picture
    bias: float  # mean of found - true, boxes; above 0: too many are found


@dataclass(frozen=True, slots=True)
class SizeScore:
    """Boxes of one size: small below 32 x 32 pixels of the picture, large from 96 x 96."""

    boxes: int
    map50_95: float | None
    map50: float | None


@dataclass(frozen=True, slots=True)
class ClassScore:
    """One class."""

    name: str
    boxes: int  # true ones
    ap50_95: float | None
    ap50: float | None
    ap75: float | None
    ar300: float | None
    ar1000: float | None
    sizes: dict[str, SizeScore]
    best: OperatingPoint | None  # where F1 is highest; None without a true box or detection
    operating: OperatingPoint  # at the threshold of the whole
    count: CountError
    calibration_error: float | None


@dataclass(frozen=True, slots=True)
class DetectionScore:
    """The whole judgement; None stands where there is nothing to measure (no true box of a class or size)."""

    pictures: int
    boxes: int  # true ones
    ignored: int  # regions in which nothing counts, once each, whatever the number of classes
    found: int  # detections of any score
    densest: int  # true boxes in the fullest picture
    box_limit: int  # detections of a class in a picture that could count; no picture has more
    map50_95: float | None
    map50: float | None
    map75: float | None
    ar100: float | None
    ar300: float | None
    ar1000: float | None
    sizes: dict[str, SizeScore]
    classes: tuple[ClassScore, ...]
    operating: OperatingPoint  # all classes together
    threshold_chosen: bool  # the threshold is the best one for these very pictures, not one that was given
    count: CountError
    calibration: Calibration
    confusion: tuple[tuple[int, ...], ...]  # rows true, columns found, the last of each the background
    errors: dict[str, int]  # missed, and false by reason

    def to_json(self) -> dict[str, Any]:
        """Every figure as plain values."""
        plain = asdict(self)
        plain["operating"] = self.operating.to_json()
        for values, part in zip(plain["classes"], self.classes, strict=True):
            values["best"] = part.best.to_json() if part.best else None
            values["operating"] = part.operating.to_json()
        plain["confusion"] = {
            "labels": [*(part.name for part in self.classes), "background"],
            "rows_true_columns_found": [list(row) for row in self.confusion],
        }
        return plain
