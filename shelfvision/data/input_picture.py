"""A picture in the shape that a network takes: one place, so that training, export and the edge see the same."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from shelfvision.core.detections import FloatArray
from shelfvision.core.letterbox import PADDING, Letterbox
from shelfvision.data.images import Image


def input_size(picture: tuple[int, int], longest: int, multiple: int = 32) -> tuple[int, int]:
    """Width and height of the smallest input for a picture whose longer side becomes ``longest`` pixels.

    Args:
        picture: width, height in pixels.
        longest: pixels of the input's longer side, a multiple of ``multiple``.
        multiple: both sides of the input are multiples of this.
    """
    scale = longest / max(picture)
    width, height = (max(1, round(side * scale)) for side in picture)
    return -(-width // multiple) * multiple, -(-height // multiple) * multiple


def fit_picture(image: Image, letterbox: Letterbox) -> Image:
    """The picture scaled and padded, (h, w, 3) uint8 of the letterbox's target size.

    Averages pixels where it shrinks (else thin prints alias), interpolates linearly where it grows.
    """
    width, height = letterbox.scaled
    if image.shape[1::-1] == letterbox.target == (width, height):
        return image
    fitted = np.full((letterbox.target[1], letterbox.target[0], 3), PADDING, np.uint8)
    way = cv2.INTER_AREA if letterbox.scale < 1 else cv2.INTER_LINEAR
    cv2.resize(image, (width, height), dst=fitted[:height, :width], interpolation=way)
    return fitted


def as_batch(images: Sequence[Image]) -> FloatArray:
    """Pictures of one size as (b, 3, h, w) float32, BGR 0..255."""
    return np.asarray(cv2.dnn.blobFromImages(list(images), swapRB=False), np.float32)
