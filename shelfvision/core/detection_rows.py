"""What an exported detector gives, as detections: the rows that its graph ends in."""

from __future__ import annotations

import numpy as np

from shelfvision.core.detections import Detections, FloatArray
from shelfvision.core.letterbox import Letterbox


def to_detections(rows: FloatArray, letterbox: Letterbox, least_score: float) -> Detections:
    """Boxes of one picture out of the graph's rows.

    Args:
        rows: (m, 7) batch index, x1, y1, x2, y2, score, label; pixels of the input.
        letterbox: how the picture was put into the input.
        least_score: lower ones are left out.

    Returns:
        Boxes in pixels of the picture, cut off at its border, surest first; those that lie beyond it are left out.
    """
    rows = rows[(rows[:, 5] >= least_score) & np.isfinite(rows).all(axis=1)]
    xyxy = letterbox.to_picture(rows[:, 1:5])
    # ties are ordered by place, so that both runtimes give one order
    order = np.lexsort((xyxy[:, 0], xyxy[:, 1], rows[:, 6], -rows[:, 5]))
    order = order[(xyxy[order, 2] > xyxy[order, 0]) & (xyxy[order, 3] > xyxy[order, 1])]
    return Detections(xyxy[order], np.clip(rows[order, 5], 0, 1), rows[order, 6].astype(np.int64))
