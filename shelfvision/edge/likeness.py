"""How alike two packages look: their colours and where these lie."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from shelfvision.edge.frame import Image

Look = NDArray[np.float32]
_INNER = 0.8  # of a box's sides: neighbours and shadows show at its edges
_LAYOUT = (4, 6)  # columns and rows of mean colours
_BINS = (12, 6)  # of hue and saturation
_HALF = 18.0  # difference of mean colours in CIELAB at which two looks are half alike


def look_of(image: Image, box: tuple[float, float, float, float]) -> tuple[Look, Look]:
    """Colours of a part of a picture: a histogram of hue and saturation, and a coarse layout in CIELAB."""
    x1, y1, x2, y2 = box
    middle, half = ((x1 + x2) / 2, (y1 + y2) / 2), ((x2 - x1) * _INNER / 2, (y2 - y1) * _INNER / 2)
    left, top = int(max(middle[0] - half[0], 0)), int(max(middle[1] - half[1], 0))
    part = image[top : max(int(middle[1] + half[1]), top + 1), left : max(int(middle[0] + half[0]), left + 1)]
    if not part.size:
        part = np.zeros((1, 1, 3), np.uint8)
    small = np.asarray(cv2.resize(part, (48, 72), interpolation=cv2.INTER_AREA), np.uint8)
    hsv = cv2.cvtColor(small, cv2.COLOR_BGR2HSV)
    histogram = cv2.calcHist([hsv], [0, 1], None, list(_BINS), [0, 180, 0, 256])
    lab = cv2.cvtColor(small.astype(np.float32) / 255, cv2.COLOR_BGR2LAB)
    layout = cv2.resize(lab, _LAYOUT, interpolation=cv2.INTER_AREA)
    return np.asarray(histogram / histogram.sum(), np.float32), np.asarray(layout, np.float32)


def likeness(first: tuple[Look, Look], second: tuple[Look, Look]) -> float:
    """From 0 to 1; 1 is the same picture."""
    shared = float(np.minimum(first[0], second[0]).sum())
    apart = first[1] - second[1]
    # the light falls off along a board: a common difference of lightness counts less
    apart = apart - np.array([0.7, 0, 0], np.float32) * apart.mean(axis=(0, 1))
    distance = float(np.sqrt((apart**2).sum(axis=-1)).mean())
    return float(np.sqrt(shared * np.exp2(-distance / _HALF)))
