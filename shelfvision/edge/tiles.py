"""Large pictures are looked at in overlapping tiles; what several tiles say of one thing becomes one box."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shelfvision.core.boxes import centres, coverage, enclosing, intersection, iou
from shelfvision.core.detections import Detections, FloatArray, IntArray

OVERLAP = 0.2  # of a tile's side that it shares with the next one
_TOUCHING = 0.01  # of a tile's side: a box that ends so near to the tile's border is cut off by it
_TOUCHING_PIXELS = 3.0  # at least
_SAME = 0.5  # IoU from which whole boxes of two tiles are one thing
_INSIDE = 0.5  # share of a cut box that lies in a whole one, from which it is a part of it
_BELIEVED = 0.5  # of a box's score that another one needs, to take its place: what is hardly seen removes nothing
_PART = 0.3  # share of a box of the whole view that tiles show otherwise, from which they are believed
_FILLED = 0.6  # share of the strip that two tiles have in common, which both parts of a thing fill
_BLOCK = 128  # boxes that are compared at once
_ALIGNED = 0.5  # 1-d IoU across the border, from which two cut boxes are parts of one thing
_LEFT, _TOP, _RIGHT, _BOTTOM = range(4)


@dataclass(frozen=True, slots=True)
class Tile:
    """A part of a picture, whole pixels, ends exclusive."""

    x1: int
    y1: int
    x2: int
    y2: int

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.x2 - self.x1, self.y2 - self.y1


def plan_tiles(picture: tuple[int, int], columns: int, rows: int, overlap: float = OVERLAP) -> list[Tile]:
    """Tiles of one size that cover a picture, row by row.

    Args:
        picture: width, height in pixels.
        columns: tiles side by side.
        rows: tiles above one another.
        overlap: share of a tile's side that it has in common with the next one, in [0, 1).
    """
    across, down = _spans(picture[0], columns, overlap), _spans(picture[1], rows, overlap)
    return [Tile(x1, y1, x2, y2) for y1, y2 in down for x1, x2 in across]


def grid_for(picture: tuple[int, int], tile: float, most: int, overlap: float = OVERLAP) -> tuple[int, int]:
    """Columns and rows of the coarsest grid whose tiles have sides of ``tile`` pixels at most.

    Larger tiles are taken when there would be more than ``most`` of them.
    """
    while True:
        columns, rows = (
            1 if side <= tile else 1 + int(np.ceil((side - tile) / (tile * (1 - overlap)))) for side in picture
        )
        if columns * rows <= most or columns * rows == 1:
            return columns, rows
        tile *= 1.1


def _spans(side: int, count: int, overlap: float) -> list[tuple[int, int]]:
    count = max(1, min(count, side))
    length = min(side, int(np.ceil(side / (count - (count - 1) * overlap))))
    starts = np.round(np.linspace(0, side - length, count)).astype(int)
    return [(int(start), int(start) + length) for start in starts]


def merge_tiles(
    picture: tuple[int, int], tiles: Sequence[Tile], found: Sequence[Detections], whole: Detections | None = None
) -> Detections:
    """One box a thing out of what each tile shows.

    Boxes of one tile are taken to be of different things. A box that ends at a border inside the picture is cut: it
    goes when a whole box covers it, and is joined with the cut boxes across the border that continue it. Whole boxes
    of neighbouring tiles that overlap much are one thing, and the surer one stays. The view of the whole picture
    gives what is too large for the tiles' overlap, and what no tile shows. A box that is less than half as sure as
    another removes it in none of these cases, so that boxes of any low score may be given too. Work grows with the
    number of tiles: only tiles that share pixels are compared.

    Args:
        picture: width, height in pixels.
        tiles: where they lie.
        found: boxes of each tile in pixels of the picture.
        whole: boxes found in the whole picture at once, if looked for.

    Returns:
        The boxes, surest first.
    """
    xyxy = np.concatenate([f.xyxy for f in found]) if found else np.zeros((0, 4), np.float32)
    score = np.concatenate([f.score for f in found]) if found else np.zeros(0, np.float32)
    label = np.concatenate([f.label for f in found]) if found else np.zeros(0, np.int64)
    owner = np.repeat(np.arange(len(tiles)), [len(f) for f in found])
    cut = _cut_sides(picture, tiles, xyxy, owner)
    parts = Detections(xyxy, score, label)
    neighbours = _neighbours(tiles)

    is_cut = np.asarray(cut.any(axis=1))
    intact = parts[_without_repeats(parts, owner, ~is_cut, neighbours)]
    large = small = Detections.empty()
    if whole is not None:
        # what the tiles can show whole they show better
        sides = whole.xyxy[:, 2:] - whole.xyxy[:, :2]
        is_large = np.asarray((sides > _shared_pixels(tiles)).any(axis=1))
        large, small = whole[is_large], whole[~is_large]
        intact = _concatenate([intact[~_repeated(intact, large)], large])
    joined = _join(parts, cut, owner, neighbours, _covered(parts, intact) | ~is_cut)
    joined = joined[~(_repeated(joined, intact) | _covered(joined, intact))]
    merged = _concatenate([intact, joined])
    merged = _concatenate([merged, small[~_known(small, merged)]])
    return merged[np.argsort(-merged.score, kind="stable")]


def _cut_sides(picture: tuple[int, int], tiles: Sequence[Tile], xyxy: FloatArray, owner: IntArray) -> NDArray[np.bool_]:
    """(n, 4) whether the left, upper, right, lower side of each box lies at a border of its tile inside the picture."""
    if not len(xyxy):
        return np.zeros((0, 4), bool)
    borders = np.array([[t.x1, t.y1, t.x2, t.y2] for t in tiles], np.float64)
    ends = np.array([0, 0, *picture], np.float64)
    sides = borders[:, 2:] - borders[:, :2]
    near = np.maximum(np.tile(sides, 2) * _TOUCHING, _TOUCHING_PIXELS)
    inner = borders != ends
    return np.asarray(inner[owner] & (np.abs(xyxy - borders[owner]) <= near[owner]))


def _neighbours(tiles: Sequence[Tile]) -> list[tuple[int, int]]:
    """Pairs of tiles that share pixels."""
    if len(tiles) < 2:
        return []
    boxes = np.array([[t.x1, t.y1, t.x2, t.y2] for t in tiles], np.float64)
    first, second = np.nonzero(np.triu(intersection(boxes, boxes) > 0, 1))
    return list(zip(first.tolist(), second.tolist(), strict=True))


def _shared_pixels(tiles: Sequence[Tile]) -> NDArray[np.float64]:
    """(2,) width and height of what neighbours share; a thing no larger is whole in one of them."""
    lefts, tops = sorted({t.x1 for t in tiles}), sorted({t.y1 for t in tiles})
    width, height = tiles[0].size
    across = width - max(np.diff(lefts), default=0) if len(lefts) > 1 else np.inf
    down = height - max(np.diff(tops), default=0) if len(tops) > 1 else np.inf
    return np.array([across, down], np.float64)


def _without_repeats(
    parts: Detections, owner: IntArray, candidate: NDArray[np.bool_], neighbours: Sequence[tuple[int, int]]
) -> NDArray[np.bool_]:
    """Which whole boxes stay when those of two tiles that are one thing become one, the surer first."""
    rivals: dict[int, list[int]] = {}
    of_tile = {int(tile): np.flatnonzero(candidate & (owner == tile)) for tile in np.unique(owner)}
    for first, second in neighbours:
        a, b = of_tile.get(first, _NONE), of_tile.get(second, _NONE)
        if not len(a) or not len(b):
            continue
        same = (iou(parts.xyxy[a], parts.xyxy[b]) >= _SAME) & (parts.label[a][:, None] == parts.label[b][None])
        for i, j in zip(*np.nonzero(same), strict=True):
            rivals.setdefault(int(a[i]), []).append(int(b[j]))
            rivals.setdefault(int(b[j]), []).append(int(a[i]))
    kept = candidate.copy()
    for index in sorted(rivals, key=lambda each: (-parts.score[each], each)):
        if kept[index]:
            kept[rivals[index]] = False
    return kept


def _covered(parts: Detections, intact: Detections) -> NDArray[np.bool_]:
    """(n,) whether each box lies mostly in a whole one of its class."""
    return _any_pair(parts, intact, lambda a, b: coverage(a, b) >= _INSIDE)


def _repeated(boxes: Detections, others: Detections) -> NDArray[np.bool_]:
    """(n,) whether each box is the same thing as one of the others."""
    return _any_pair(boxes, others, lambda a, b: iou(a, b) >= _SAME)


def _known(boxes: Detections, others: Detections) -> NDArray[np.bool_]:
    """(n,) whether another box shows a notable part of each, or is mostly a part of it."""
    return _any_pair(boxes, others, lambda a, b: (coverage(a, b) >= _PART) | (coverage(b, a).T >= _INSIDE))


def _join(
    parts: Detections,
    cut: NDArray[np.bool_],
    owner: IntArray,
    neighbours: Sequence[tuple[int, int]],
    done: NDArray[np.bool_],
) -> Detections:
    """The cut boxes that are not ``done``, those that continue one another as one."""
    parent = np.arange(len(parts))

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = int(parent[index])
        return index

    of_tile = {int(tile): np.flatnonzero(~done & (owner == tile)) for tile in np.unique(owner)}
    for first, second in neighbours:
        a, b = of_tile.get(first, _NONE), of_tile.get(second, _NONE)
        if not len(a) or not len(b):
            continue
        goes_on = _continues(parts.xyxy[a], cut[a], parts.xyxy[b], cut[b])
        goes_on &= parts.label[a][:, None] == parts.label[b][None]
        for i, j in zip(*np.nonzero(goes_on), strict=True):
            parent[root(int(a[i]))] = root(int(b[j]))
    groups: dict[int, list[int]] = {}
    for index in np.flatnonzero(~done):
        groups.setdefault(root(int(index)), []).append(int(index))
    if not groups:
        return Detections.empty()
    boxes, scores, labels = [], [], []
    for group in groups.values():
        corners = parts.xyxy[group]
        boxes.append([*corners[:, :2].min(axis=0), *corners[:, 2:].max(axis=0)])
        scores.append(parts.score[group].max())
        labels.append(parts.label[group[0]])
    return Detections(np.array(boxes, np.float32), np.array(scores, np.float32), np.array(labels, np.int64))


def _continues(
    first: FloatArray, first_cut: NDArray[np.bool_], second: FloatArray, second_cut: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """(n, m) whether two boxes are cut at sides that face each other, meet there and agree along the border."""
    result = np.zeros((len(first), len(second)), bool)
    a, b = first[:, None], second[None]
    for low, high, across in ((_LEFT, _RIGHT, 1), (_TOP, _BOTTOM, 0)):
        one, other = across, across + 2
        shared = np.minimum(a[..., other], b[..., other]) - np.maximum(a[..., one], b[..., one])
        spanned = np.maximum(a[..., other], b[..., other]) - np.minimum(a[..., one], b[..., one])
        aligned = shared >= _ALIGNED * spanned
        for before, before_cut, after, after_cut in (
            (a, first_cut[:, None], b, second_cut[None]),
            (b, second_cut[None], a, first_cut[:, None]),
        ):
            facing = before_cut[..., high] & after_cut[..., low]
            # a thing that is cut at both ends of the shared strip fills it in both views
            strip = before[..., high] - after[..., low]
            slack = _TOUCHING_PIXELS + (1 - _FILLED) * strip
            fills = (before[..., low] <= after[..., low] + slack) & (after[..., high] >= before[..., high] - slack)
            result |= facing & aligned & (strip >= -_TOUCHING_PIXELS) & fills
    return result


def _any_pair(
    boxes: Detections, others: Detections, test: Callable[[FloatArray, FloatArray], NDArray[np.bool_]]
) -> NDArray[np.bool_]:
    """(n,) whether a test holds for a box and any other one of its class that is not much less sure.

    Only boxes near each other are tested.
    """
    result = np.zeros(len(boxes), bool)
    if not len(boxes) or not len(others):
        return result
    middle = centres(boxes.xyxy)
    bands = max(1, round((len(boxes) / _BLOCK) ** 0.5))
    height = max(float(np.ptp(middle[:, 1])) / bands, 1.0)
    order = np.lexsort((middle[:, 0], middle[:, 1] // height))
    for block in np.array_split(order, -(-len(order) // _BLOCK)):
        x1, y1, x2, y2 = enclosing(boxes.xyxy[block])
        near = np.flatnonzero(
            (others.xyxy[:, 0] <= x2)
            & (others.xyxy[:, 2] >= x1)
            & (others.xyxy[:, 1] <= y2)
            & (others.xyxy[:, 3] >= y1)
        )
        if len(near):
            holds = test(boxes.xyxy[block], others.xyxy[near])
            holds &= boxes.label[block][:, None] == others.label[near][None]
            holds &= others.score[near][None] >= _BELIEVED * boxes.score[block][:, None]
            result[block] = holds.any(axis=1)
    return result


def _concatenate(parts: Sequence[Detections]) -> Detections:
    return Detections(
        np.concatenate([p.xyxy for p in parts]),
        np.concatenate([p.score for p in parts]),
        np.concatenate([p.label for p in parts]),
    )


_NONE = np.zeros(0, np.int64)
