"""What an export writes and what it refuses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from shelfvision.core.faults import suggestion
from shelfvision.core.sidecar import Thresholds
from shelfvision.errors import UsageError
from shelfvision.learn.onnx_graph import Suppression
from shelfvision.models.decode import OVERLAP

MULTIPLE = 32
USUAL_SIZE = 640
# (least, score) that are taken where none are given
_CALIBRATED = (0.001, 0.5)  # from 0.5 on a box is rather right than wrong
_RAW = (0.01, 0.3)  # trained detectors had their best F1 at 0.3


@dataclass(frozen=True, slots=True)
class ExportSettings:
    """All choices of an export.

    Raises:
        UsageError: values that do not fit together.
    """

    size: int = USUAL_SIZE  # longer side of the input in pixels
    score: float | None = None  # from which boxes are believed; None: 0.5 where scores are calibrated, else 0.3
    least_score: float | None = None  # the graph gives no box below; None: 0.001 where calibrated, else 0.01
    overlap: float = OVERLAP  # IoU above which the weaker box of a class goes
    overlap_of: Mapping[str, float] = field(default_factory=dict)  # the same for classes with one of their own
    most: int = 1000  # boxes of a class and picture
    calibrate: bool = True  # scores become chances of being right, where there is data
    int8: bool = False
    most_drop: float = 0.01  # of mAP50-95

    def __post_init__(self) -> None:
        if self.size < MULTIPLE or self.size % MULTIPLE:
            raise UsageError(f"--size {self.size}: must be a multiple of {MULTIPLE}")
        for calibrated in (False, True):
            least, score = self._scores(calibrated=calibrated)
            if not 0 <= least <= score <= 1:
                raise UsageError(f"--score {score:g} must lie between --least-score {least:g} and 1")
        for overlap in (self.overlap, *self.overlap_of.values()):
            if not 0 < overlap <= 1:
                raise UsageError(f"--overlap {overlap:g}: must lie above 0 and not above 1")

    def check_classes(self, labels: Sequence[str]) -> None:
        """See that the detector has every class that is named.

        Raises:
            UsageError: it lacks one.
        """
        for name in self.overlap_of:
            if name not in labels:
                raise UsageError(
                    f"--overlap {name}=...: the detector has no such class{suggestion(name, labels)}; "
                    f"it knows {', '.join(labels)}"
                )

    def suppression(self, labels: Sequence[str], *, calibrated: bool) -> Suppression:
        """The graph's thresholds for a detector of these classes."""
        least, _ = self._scores(calibrated=calibrated)
        return Suppression(least, tuple(self.overlap_of.get(name, self.overlap) for name in labels), self.most)

    def thresholds(self, *, calibrated: bool) -> Thresholds:
        """The same as the sidecar says it."""
        least, score = self._scores(calibrated=calibrated)
        return Thresholds(least=least, score=score, overlap=self.overlap, overlap_of=dict(self.overlap_of))

    def _scores(self, *, calibrated: bool) -> tuple[float, float]:
        """The least score, and from which one boxes are believed."""
        least, score = _CALIBRATED if calibrated else _RAW
        return (
            least if self.least_score is None else self.least_score,
            score if self.score is None else self.score,
        )
