"""The one type for detections everywhere."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shelfvision.errors import GeometryError

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Detections:
    """Boxes found in one frame, as parallel arrays.

    Raises:
        GeometryError: when the arrays do not belong together or a box is not finite and ordered.
    """

    xyxy: FloatArray  # (n, 4) pixels of the original frame
    score: FloatArray  # (n,) in [0, 1]
    label: IntArray  # (n,) class index

    def __post_init__(self) -> None:
        if self.xyxy.ndim != 2 or self.xyxy.shape[1] != 4:
            raise GeometryError(f"detections: xyxy has shape {self.xyxy.shape}, expected (n, 4)")
        count = len(self.xyxy)
        if self.score.shape != (count,) or self.label.shape != (count,):
            raise GeometryError(
                f"detections: {count} boxes with scores {self.score.shape} and labels {self.label.shape}, "
                f"expected ({count},) each"
            )
        if not np.isfinite(self.xyxy).all() or not np.isfinite(self.score).all():
            raise GeometryError("detections: boxes and scores must be finite")
        if (self.xyxy[:, 2:] < self.xyxy[:, :2]).any():
            raise GeometryError("detections: every box must have x2 >= x1 and y2 >= y1")

    def __len__(self) -> int:
        return len(self.xyxy)

    def __getitem__(self, index: NDArray[np.bool_] | IntArray | slice) -> Detections:
        return Detections(self.xyxy[index], self.score[index], self.label[index])

    @staticmethod
    def empty() -> Detections:
        """No detections at all."""
        return Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64))
