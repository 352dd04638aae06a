"""How a picture of any size is put into a network's input: scaled to fit, at the upper left, the rest padded."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shelfvision.core.detections import FloatArray
from shelfvision.errors import GeometryError

PADDING = 114  # grey level of the padding, as in YOLOX and its kin, so that weights can be carried over


@dataclass(frozen=True, slots=True)
class Letterbox:
    """The fit of one picture into one input.

    Raises:
        GeometryError: a side is not positive.
    """

    picture: tuple[int, int]  # width, height in pixels
    target: tuple[int, int]  # width, height of the input in pixels

    def __post_init__(self) -> None:
        if min(*self.picture, *self.target) < 1:
            raise GeometryError(f"letterbox: sides must be positive, found {self.picture} into {self.target}")

    @property
    def scale(self) -> float:
        """Input pixels a picture pixel."""
        return min(self.target[0] / self.picture[0], self.target[1] / self.picture[1])

    @property
    def scaled(self) -> tuple[int, int]:
        """Width and height of the scaled picture within the input, in pixels."""
        width, height = (max(1, round(side * self.scale)) for side in self.picture)
        return min(width, self.target[0]), min(height, self.target[1])

    def to_input(self, xyxy: FloatArray) -> FloatArray:
        """Boxes (n, 4) of the picture in pixels of the input."""
        return np.asarray(xyxy * np.float32(self.scale), np.float32)

    def to_picture(self, xyxy: FloatArray) -> FloatArray:
        """Boxes (n, 4) of the input in pixels of the picture, cut off at its border."""
        limit = np.array([*self.picture, *self.picture], np.float32)
        return np.asarray(np.clip(xyxy / np.float32(self.scale), 0, limit), np.float32)
