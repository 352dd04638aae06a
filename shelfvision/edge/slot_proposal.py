"""Proposes slots from what a detector finds in one picture of a shelf; people correct them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import cv2
import numpy as np

from shelfvision.core.boxes import coverage, iou
from shelfvision.core.detections import Detections
from shelfvision.core.planogram import Point, Slot, check_polygon, polygon_area
from shelfvision.edge.frame import Image
from shelfvision.edge.likeness import Look, likeness, look_of
from shelfvision.edge.shelf_rows import Column, split_rows, stack_columns
from shelfvision.errors import GeometryError

_ALIKE = 0.6  # likeness from which neighbours are one SKU
_ALIKE_STACKED = 0.45  # ... from which what stands on something of its width is a stack
_SAME_HEIGHT = 0.85  # their heights agree within this
_APART = 0.7  # of a width: wider spaces end a run
_SIDE_MARGIN = 0.06  # of a facing's width, left and right
_FOOT_MARGIN = 0.02  # of the height, below
_HEAD_MARGIN = 0.15  # of the height, above; less where the board above comes sooner
_STEEPEST = 0.25  # slope of a board in the picture
_INSIDE = 0.5  # share of the smaller of two slots that the other covers: both are of the same things


@dataclass(slots=True)
class _Run:
    """Neighbours of one look on a board."""

    columns: list[Column]
    empty: int = 0  # facings among them that are gaps


@dataclass(frozen=True, slots=True)
class _Proposal:
    """A slot that has no name yet."""

    row: int
    polygon: tuple[Point, ...]
    facings: int
    capacity: int


def propose_slots(image: Image, found: Detections, labels: Sequence[str]) -> list[Slot]:
    """Slots from left to right, board by board.

    A run of neighbours that look alike is one slot; a gap between two like ones belongs to it, any other gap is a
    slot of its own. Of two slots one of which lies mostly in the other, the one with more facings stays, else the
    larger. SKUs are placeholders ``unknown-1``, ``unknown-2`` ...

    Args:
        image: the picture.
        found: boxes in it that are believed.
        labels: class names; ``gap`` is an empty place, ``hand`` is left out, all others are products.

    Returns:
        Nothing, when there are no products and no gaps.
    """
    names = np.array([labels[label] for label in found.label], dtype=object)
    products = _distinct(found[np.asarray(names != "hand") & np.asarray(names != "gap")])
    gaps = found[np.asarray(names == "gap")]
    if len(products) and len(gaps):
        gaps = gaps[np.asarray(coverage(gaps.xyxy, products.xyxy).max(axis=1) < 0.5)]
    single = [look_of(image, (float(b[0]), float(b[1]), float(b[2]), float(b[3]))) for b in products.xyxy]
    columns = stack_columns(products.xyxy, lambda a, b: likeness(single[a], single[b]) >= _ALIKE_STACKED)
    empty = [Column((), (float(b[0]), float(b[1]), float(b[2]), float(b[3]))) for b in gaps.xyxy]
    if not columns and not empty:
        return []
    looks = {column.box: single[column.members[0]] for column in columns}
    size = (image.shape[1], image.shape[0])
    proposals: list[_Proposal] = []
    rows = split_rows(columns + empty)
    for number, row in enumerate(rows):
        ceiling = rows[:number]
        runs = _runs(row, looks)
        for place, run in enumerate(runs):
            polygon = _polygon(run, row, ceiling, _free_sides(runs, place), size)
            try:
                check_polygon(polygon, size)
            except GeometryError:  # a sliver at the border of the picture
                continue
            units = sum(max(len(column.members), 1) for column in run.columns) + max(run.empty - 1, 0)
            facings = sum(1 for column in run.columns if column.members) + run.empty
            proposals.append(_Proposal(number, polygon, facings, max(units, facings)))
    return _named(_apart(proposals))


def _apart(proposals: list[_Proposal]) -> list[_Proposal]:
    """Without those that lie mostly in, or around, one with more facings; of as many, a larger one."""
    areas = [polygon_area(each.polygon) for each in proposals]
    corners = [np.array(each.polygon, np.float32) for each in proposals]
    kept: list[int] = []
    for index in sorted(range(len(proposals)), key=lambda each: (-proposals[each].facings, -areas[each])):
        if all(
            cv2.intersectConvexConvex(corners[index], corners[other])[0] <= _INSIDE * min(areas[index], areas[other])
            for other in kept
        ):
            kept.append(index)
    return [proposals[index] for index in sorted(kept)]


def _named(proposals: list[_Proposal]) -> list[Slot]:
    """Slots whose rows, places and SKUs are counted from 1 without holes."""
    slots: list[Slot] = []
    for number, (_, row) in enumerate(groupby(proposals, key=lambda each: each.row), 1):
        for place, each in enumerate(row, 1):
            sku = f"unknown-{len(slots) + 1}"
            slots.append(Slot(f"row{number}-{place}", each.polygon, sku, each.facings, each.capacity))
    return slots


def _distinct(products: Detections) -> Detections:
    """Without boxes that repeat a surer one or hold several others."""
    products = products[np.argsort(-products.score, kind="stable")]
    kept: list[int] = []
    for index in range(len(products)):
        box = products.xyxy[index : index + 1]
        others = products.xyxy[kept]
        if kept and (iou(box, others).max() > 0.6 or coverage(box, others).max() > 0.8):
            continue
        if kept and (coverage(others, box) > 0.8).sum() > 1:
            continue
        kept.append(index)
    return products[np.array(kept, np.int64)]


def _runs(row: list[Column], looks: dict[tuple[float, float, float, float], tuple[Look, Look]]) -> list[_Run]:
    """Neighbours that look alike, with the gaps between them."""
    widths = [column.width for column in row if column.members]
    usual = float(np.median(widths)) if widths else None
    runs: list[_Run] = []
    for column in row:
        if not column.members:
            places = 1 if usual is None else max(1, round(column.width / usual))
            runs.append(_Run([column], places))
            continue
        if _joins(runs, column, looks):
            if not runs[-1].columns[-1].members:  # the gap lies between two like ones
                gap = runs.pop()
                runs[-1].columns += gap.columns
                runs[-1].empty += gap.empty
            runs[-1].columns.append(column)
            continue
        runs.append(_Run([column]))
    return runs


def _joins(runs: list[_Run], column: Column, looks: dict[tuple[float, float, float, float], tuple[Look, Look]]) -> bool:
    """Whether a column goes on with the last run, or with the one before when a gap is the last."""
    if not runs:
        return False
    last = runs[-1]
    end = last.columns[-1].box[2]
    if not last.columns[-1].members:
        if len(runs) < 2 or not runs[-2].columns[-1].members:
            return False
        last = runs[-2]
    known = [each for each in last.columns if each.members]
    before = known[-1]
    lower, higher = sorted((_unit_height(before), _unit_height(column)))
    if lower < _SAME_HEIGHT * higher or column.box[0] - end > _APART * min(before.width, column.width):
        return False
    # the first one counts too, so that a run does not drift from one look to another
    return min(likeness(looks[each.box], looks[column.box]) for each in (before, known[0])) >= _ALIKE


def _unit_height(column: Column) -> float:
    return column.height / len(column.members)


def _free_sides(runs: list[_Run], place: int) -> tuple[float, float]:
    """How far a run may reach to the left and right: half-way to its neighbours."""
    left, right = -np.inf, np.inf
    if place > 0:
        left = (runs[place - 1].columns[-1].box[2] + runs[place].columns[0].box[0]) / 2
    if place + 1 < len(runs):
        right = (runs[place].columns[-1].box[2] + runs[place + 1].columns[0].box[0]) / 2
    return left, right


def _polygon(
    run: _Run, row: list[Column], above: list[list[Column]], free: tuple[float, float], size: tuple[int, int]
) -> tuple[tuple[float, float], ...]:
    """Four corners around a run: a little wider, along the board below, up to what stands on the board above."""
    boxes = np.array([column.box for column in run.columns], np.float64)
    slope = _slope(row)
    height = float((boxes[:, 3] - boxes[:, 1]).max())
    margin = _SIDE_MARGIN * float(np.median(boxes[:, 2] - boxes[:, 0]))
    left, right = max(boxes[:, 0].min() - margin, free[0]), min(boxes[:, 2].max() + margin, free[1])
    middle = (boxes[:, 0] + boxes[:, 2]) / 2
    foot = float((boxes[:, 3] - slope * middle).max()) + _FOOT_MARGIN * height
    head = float((boxes[:, 1] - slope * middle).min()) - _HEAD_MARGIN * height
    board = [
        column.box[3] - slope * (column.box[0] + column.box[2]) / 2
        for other in above
        for column in other
        if column.box[0] < right and column.box[2] > left and column.box[3] <= boxes[:, 1].min() + 0.1 * height
    ]
    if board:
        head = max(head, max(board) + 0.02 * height)
    limit = np.array(size, np.float64)
    corners = [(left, head), (right, head), (right, foot), (left, foot)]
    placed = [np.clip([x, y + slope * x], 0, limit) for x, y in corners]
    return tuple((round(float(x), 1), round(float(y), 1)) for x, y in placed)


def _slope(row: list[Column]) -> float:
    """How a board runs in the picture: the median of the slopes between its columns' feet (Theil and Sen)."""
    x = np.array([(column.box[0] + column.box[2]) / 2 for column in row])
    y = np.array([column.box[3] for column in row])
    if len(x) < 3:
        return 0.0
    first, second = np.triu_indices(len(x), 1)
    far = np.abs(x[second] - x[first]) > 1
    if not far.any():
        return 0.0
    slopes = (y[second] - y[first])[far] / (x[second] - x[first])[far]
    return float(np.clip(np.median(slopes), -_STEEPEST, _STEEPEST))
