"""Sorts the boxes on a picture of a shelf: what stands on one board, and what stands on top of what."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from shelfvision.core.boxes import Boxes, enclosing

_SAME_BOARD = 0.5  # share of the lower of two heights that two neighbours have in common, and their bottoms differ by
_REACH = 2.5  # widths of a usual package that may lie between neighbours on a board
_ON_TOP = 0.6  # share of the narrower width that a package on another one shares with it
_SEAM = 0.12  # of the height: so near is a package's bottom to the top of the one that it stands on


@dataclass(frozen=True, slots=True)
class Column:
    """Packages that stand on one another; one facing."""

    members: tuple[int, ...]  # indices of the boxes, lowest first
    box: tuple[float, float, float, float]  # around all of them

    @property
    def width(self) -> float:
        """In pixels."""
        return self.box[2] - self.box[0]

    @property
    def height(self) -> float:
        """In pixels."""
        return self.box[3] - self.box[1]


def stack_columns(boxes: Boxes, alike: Callable[[int, int], bool]) -> list[Column]:
    """Put what stands on something of its own kind into one column.

    A board between two packages is thicker than the seam of a stack, so packages of two boards stay apart.

    Args:
        boxes: (n, 4) of single packages.
        alike: whether two of them, by index, look alike.
    """
    order = np.argsort(-boxes[:, 3], kind="stable")
    under = np.full(len(boxes), -1)
    taken: set[int] = set()
    for upper in order:
        x1, y1, x2, y2 = boxes[upper]
        best, nearest = -1, np.inf
        for lower in order:
            if lower == upper or lower in taken or boxes[lower, 3] <= y2:
                continue
            a1, b1, a2, b2 = boxes[lower]
            shared = min(x2, a2) - max(x1, a1)
            widths = sorted((x2 - x1, a2 - a1))
            heights = sorted((y2 - y1, b2 - b1))
            fits = shared >= _ON_TOP * widths[1] and heights[0] >= 0.7 * heights[1]
            seam = abs(b1 - y2)
            if fits and seam <= _SEAM * heights[0] and seam < nearest and alike(int(upper), int(lower)):
                best, nearest = int(lower), seam
        if best >= 0:
            under[upper] = best
            taken.add(best)
    above = {int(lower): int(upper) for upper, lower in enumerate(under) if lower >= 0}
    columns = []
    for base in np.flatnonzero(under < 0):
        members = [int(base)]
        while members[-1] in above:
            members.append(above[members[-1]])
        columns.append(Column(tuple(members), enclosing(boxes[members])))
    return columns


def split_rows(columns: list[Column]) -> list[list[Column]]:
    """Columns of each board, from left to right; boards from top to bottom.

    Neighbours are linked when most of their heights lie side by side and they stand on one line; so a board may slope.
    """
    boxes = np.array([column.box for column in columns])
    usual = float(np.median(boxes[:, 2] - boxes[:, 0]))
    row = np.arange(len(columns))
    order = np.argsort(boxes[:, 0], kind="stable")
    for place, index in enumerate(order):
        x1, y1, x2, y2 = boxes[index]
        for other in order[place + 1 :]:
            a1, b1, a2, b2 = boxes[other]
            if a1 - x2 > _REACH * usual:
                break
            lower = min(y2 - y1, b2 - b1)
            beside = min(y2, b2) - max(y1, b1) >= _SAME_BOARD * lower
            across = min(x2, a2) - max(x1, a1) <= 0.5 * min(x2 - x1, a2 - a1)
            if beside and across and abs(y2 - b2) <= _SAME_BOARD * 0.6 * lower:
                row[row == row[other]] = row[index]
    rows = [[columns[i] for i in order if row[i] == name] for name in np.unique(row)]
    return sorted(rows, key=lambda each: float(np.mean([column.box[3] for column in each])))
