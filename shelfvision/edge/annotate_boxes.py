"""Draws what a detector found into a picture, for looking at."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import cv2
import numpy as np

from shelfvision.core.detections import Detections
from shelfvision.edge.frame import Image
from shelfvision.edge.lettering import INK, PAPER, Colour, Letters

# Okabe and Ito's palette (2008), told apart with every kind of colour vision
_NAMED: dict[str, Colour] = {"product": (115, 158, 0), "gap": (0, 94, 213), "hand": (233, 180, 86)}
_OTHERS: tuple[Colour, ...] = (
    (178, 114, 0),
    (0, 159, 230),
    (167, 121, 204),
    (66, 228, 240),
    (115, 158, 0),
    (0, 94, 213),
    (233, 180, 86),
)
_SMALLEST_WIDTH = 640  # narrower pictures are enlarged, or no text would fit
_MOST_HEIGHT = 16_000  # of an enlarged picture


def colour_of(label: int, labels: Sequence[str]) -> Colour:
    """The colour of a class, the same on every picture."""
    return _NAMED.get(labels[label], _OTHERS[label % len(_OTHERS)])


def draw_detections(image: Image, found: Detections, labels: Sequence[str]) -> Image:
    """A copy of the picture with all boxes and a strip below that counts them by class.

    Scores stand in the boxes that have room for them; class names too, where there is more than one class.
    """
    zoom = max(1, min(-(-_SMALLEST_WIDTH // image.shape[1]), _MOST_HEIGHT // image.shape[0]))
    view = image.copy()
    if zoom > 1:
        view = np.asarray(cv2.resize(image, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_CUBIC), np.uint8)
    width = view.shape[1]
    unit = min(max(width / 1600, 0.75), 3.0)
    line = max(1, round(1.6 * unit))
    small, large = Letters(0.42 * unit), Letters(0.6 * unit)
    several = len(labels) > 1
    for index in np.argsort(found.score, kind="stable"):  # the surest on top
        label = int(found.label[index])
        corners = (found.xyxy[index] * zoom).round().astype(int).tolist()
        colour = colour_of(label, labels)
        for ink, thick in ((INK, line + 2), (colour, line)):
            cv2.rectangle(view, tuple(corners[:2]), tuple(corners[2:]), ink, thick, cv2.LINE_AA)
        score = f"{found.score[index]:.2f}"
        named = f"{labels[label]} {score}"
        pad = max(2, round(3 * unit))
        room = corners[2] - corners[0] - line
        text = next((t for t in ((named, score) if several else (score,)) if small.width(t) + 2 * pad <= room), None)
        if text is None or corners[3] - corners[1] < small.height + 2 * pad:
            continue
        x, y = corners[0], corners[1]
        below = y + small.height + 2 * pad
        cv2.rectangle(view, (x, y), (x + small.width(text) + 2 * pad, below), colour, -1)
        small.write(view, text, x + pad, (y + below) // 2, INK)
    pad = round(10 * unit)
    strip = np.full((large.height + 2 * pad, width, 3), INK, np.uint8)
    counts = Counter(found.label.tolist())
    x = pad
    for label in sorted(counts, key=lambda each: -counts[each]):
        text = f"{counts[label]} {labels[label]}"
        cv2.rectangle(strip, (x, pad), (x + large.height, pad + large.height), colour_of(label, labels), -1)
        large.write(strip, text, x + large.height + pad, strip.shape[0] // 2, PAPER)
        x += large.height + 3 * pad + large.width(text)
    if not counts:
        large.write(strip, "nothing found", pad, strip.shape[0] // 2, PAPER)
    return np.concatenate([view, strip])
