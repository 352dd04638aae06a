"""Tiles: together they show all of a picture, and what several of them show of one thing becomes one box."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shelfvision.core.boxes import iou
from shelfvision.core.detections import Detections
from shelfvision.edge import tiles as tiles_module
from shelfvision.edge.tiles import Tile, grid_for, merge_tiles, plan_tiles


def detections(boxes, scores=None, labels=None) -> Detections:
    count = len(boxes)
    return Detections(
        np.array(boxes, np.float32).reshape(-1, 4),
        np.full(count, 0.9, np.float32) if scores is None else np.array(scores, np.float32),
        np.zeros(count, np.int64) if labels is None else np.array(labels, np.int64),
    )


def seen_in(tile: Tile, things, *, jitter=0.0, rng=None, least=4.0) -> Detections:
    """What a perfect detector says of a tile: everything in it, cut off at its borders."""
    boxes, labels = [], []
    for *box, label in things:
        x1, y1 = max(box[0], tile.x1), max(box[1], tile.y1)
        x2, y2 = min(box[2], tile.x2), min(box[3], tile.y2)
        if x2 - x1 < least or y2 - y1 < least:
            continue
        moved = np.array([x1, y1, x2, y2], float)
        if rng is not None:
            moved += rng.uniform(-jitter, jitter, 4)
            moved = np.clip(moved, [tile.x1, tile.y1] * 2, [tile.x2, tile.y2] * 2)
        boxes.append(moved)
        labels.append(label)
    scores = None if rng is None else rng.uniform(0.5, 0.95, len(boxes))
    return detections(boxes, scores, labels)


def one_each(found: Detections, things, bound=0.8) -> None:
    truth = np.array([thing[:4] for thing in things], np.float32)
    assert len(found) == len(things), found.xyxy.round().tolist()
    overlap = iou(truth, found.xyxy)
    assert (overlap.max(axis=1) >= bound).all(), overlap.max(axis=1)
    assert len(set(overlap.argmax(axis=1).tolist())) == len(things)
    labels = [thing[4] for thing in things]
    assert found.label[overlap.argmax(axis=1)].tolist() == labels


@given(
    st.tuples(st.integers(1, 3000), st.integers(1, 3000)),
    st.integers(1, 9),
    st.integers(1, 9),
    st.floats(0, 0.5),
)
def test_tiles_cover_the_picture_have_one_size_and_overlap(size, columns, rows, overlap):
    tiles = plan_tiles(size, columns, rows, overlap)
    assert len({tile.size for tile in tiles}) == 1
    assert min(t.x1 for t in tiles) == min(t.y1 for t in tiles) == 0
    assert max(t.x2 for t in tiles) == size[0]
    assert max(t.y2 for t in tiles) == size[1]
    lefts = sorted({t.x1 for t in tiles})
    assert all(b <= a + tiles[0].size[0] for a, b in pairwise(lefts)), "no pixel is left out"


@given(st.tuples(st.integers(32, 9000), st.integers(32, 9000)), st.floats(100, 3000), st.integers(1, 30))
def test_a_grid_keeps_to_its_tile_size_or_to_the_number_of_tiles(size, side, most):
    columns, rows = grid_for(size, side, most)
    assert columns * rows <= most
    if columns * rows < most / 4 and max(size) > side:
        assert max(plan_tiles(size, columns, rows)[0].size) <= side * 1.5 + 1


PICTURE = (2000, 1500)
GRIDS = [(2, 1), (1, 2), (2, 2), (3, 2), (4, 3)]


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("side", [60, 140, 320, 500])
@pytest.mark.parametrize("grid", GRIDS)
def test_a_product_on_each_seam_and_crossing_is_one_box(grid, side, whole):
    """Smaller than the overlap, as large, and larger: whole in a tile, or cut in two, three or four."""
    tiles = plan_tiles(PICTURE, *grid)
    xs = sorted({(a.x2 + b.x1) / 2 for a in tiles for b in tiles if a.x1 < b.x1 < a.x2 < b.x2})
    ys = sorted({(a.y2 + b.y1) / 2 for a in tiles for b in tiles if a.y1 < b.y1 < a.y2 < b.y2})
    middles = [(x, y) for x in (xs or [PICTURE[0] / 2]) for y in (ys or [PICTURE[1] / 2])]
    things = []
    for x, y in middles:
        box = [x - side / 2, y - side / 2, x + side / 2, y + side / 2, 0]
        if not things or max(iou(np.array([box[:4]]), np.array([t[:4] for t in things])).max(), 0) == 0:
            things.append(box)
    rng = np.random.default_rng(1)
    found = [seen_in(tile, things, jitter=2, rng=rng) for tile in tiles]
    view = seen_in(Tile(0, 0, *PICTURE), things, jitter=5, rng=rng) if whole else None
    one_each(merge_tiles(PICTURE, tiles, found, view), things)


def test_what_is_hardly_seen_removes_nothing_and_is_not_joined_in():
    """All boxes may be given, down to scores that nobody believes."""
    tiles = plan_tiles(PICTURE, 2, 1)
    sure = detections([[50, 50, 250, 300]], [0.9])
    for score, left in ((0.3, 2), (0.6, 1)):
        view = detections([[40, 40, 300, 310]], [score])
        assert len(merge_tiles(PICTURE, tiles, [sure, Detections.empty()], view)) == left
    border = float(tiles[0].x2)
    cut = detections([[border - 80, 400, border, 500]], [0.9])
    for score, left in ((0.3, 2), (0.6, 1)):
        whole = detections([[border - 90, 390, border + 60, 510]], [score])
        found = merge_tiles(PICTURE, tiles, [cut, whole])
        assert len(found) == left


def shelves(seed, width, height, gap=0):
    """Rows of packages side by side, hundreds of them."""
    rng = np.random.default_rng(seed)
    things, y = [], 5.0
    while y < PICTURE[1] - height - 5:
        x = 3.0
        while x < PICTURE[0] - width - 3:
            w, h = width * rng.uniform(0.7, 1), height * rng.uniform(0.8, 1)
            things.append([x, y + height - h, x + w, y + height, int(rng.integers(0, 2))])
            x += w + gap + rng.uniform(0, 2)
        y += height + 12
    return things


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("seed", range(3))
def test_packages_side_by_side_stay_apart_and_none_is_lost(seed, grid):
    things = shelves(seed, 60, 110)
    assert len(things) > 300
    tiles = plan_tiles(PICTURE, *grid)
    rng = np.random.default_rng(seed)
    found = [seen_in(tile, things, jitter=1.5, rng=rng) for tile in tiles]
    one_each(merge_tiles(PICTURE, tiles, found), things, bound=0.75)
    view = seen_in(Tile(0, 0, *PICTURE), things, jitter=4, rng=rng)
    one_each(merge_tiles(PICTURE, tiles, found, view), things, bound=0.75)


def test_a_large_thing_over_many_tiles_is_one_box_with_the_whole_view():
    tiles = plan_tiles(PICTURE, 4, 3)
    things = [[100, 100, 1900, 1400, 0]]
    found = [seen_in(tile, things) for tile in tiles]
    one_each(merge_tiles(PICTURE, tiles, found, seen_in(Tile(0, 0, *PICTURE), things)), things)


def test_a_weak_large_box_over_many_packages_does_not_swallow_them():
    things = shelves(0, 100, 150)
    tiles = plan_tiles(PICTURE, 3, 2)
    found = [seen_in(tile, things) for tile in tiles]
    view = detections([[0, 0, 2000, 1500]], [0.1])
    merged = merge_tiles(PICTURE, tiles, found, view)
    one_each(merged[merged.score > 0.2], things)


def test_what_only_the_whole_view_shows_is_kept():
    tiles = plan_tiles(PICTURE, 2, 2)
    view = detections([[300, 300, 400, 420]], [0.5])
    merged = merge_tiles(PICTURE, tiles, [Detections.empty()] * 4, view)
    assert merged.xyxy.tolist() == [[300, 300, 400, 420]]


def test_classes_do_not_mix():
    tiles = plan_tiles(PICTURE, 2, 1)
    box = [990, 200, 1010, 230]
    found = [detections([box], labels=[0]), detections([box], labels=[1])]
    assert sorted(merge_tiles(PICTURE, tiles, found).label.tolist()) == [0, 1]


def test_no_boxes_are_no_boxes():
    tiles = plan_tiles(PICTURE, 3, 2)
    assert len(merge_tiles(PICTURE, tiles, [Detections.empty()] * 6)) == 0
    assert len(merge_tiles(PICTURE, tiles, [Detections.empty()] * 6, Detections.empty())) == 0


def test_pairs_that_are_compared_grow_with_the_tiles_not_with_their_square(monkeypatch):
    compared = 0
    for name in ("coverage", "iou"):
        real = getattr(tiles_module, name)

        def count(first, second, real=real):
            nonlocal compared
            compared += len(first) * len(second)
            return real(first, second)

        monkeypatch.setattr(tiles_module, name, count)
    work = {}
    for columns in (4, 16):
        size = (400 * columns, 1500)
        tiles = plan_tiles(size, columns, 2)
        things = [[x, y, x + 30, y + 50, 0] for x in range(5, size[0] - 40, 36) for y in range(5, 1440, 60)]
        compared = 0
        assert len(merge_tiles(size, tiles, [seen_in(tile, things) for tile in tiles])) == len(things)
        work[columns] = compared / len(tiles)
    assert work[16] < 2 * work[4]
