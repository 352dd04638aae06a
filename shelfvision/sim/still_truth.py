"""What is to be seen in a still, read off the map of which pixel belongs to which unit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from shelfvision.sim.reaching import HandSeen, HeldSeen
from shelfvision.sim.scene import Scene, Unit

CATEGORIES = ({"id": 1, "name": "product"}, {"id": 2, "name": "gap"}, {"id": 3, "name": "hand"})
MIN_PIXELS = 20  # fewer are nobody's annotation
MIN_VISIBILITY = 0.08
IGNORE_VISIBILITY = 0.3  # less visible units are marked ``iscrowd``: neither found nor missed
IGNORE_SIDE = 7  # likewise units narrower than this many pixels
GAP_VISIBILITY = 0.55
GAP_IGNORE_VISIBILITY = 0.25  # gaps in view between the two are marked ``iscrowd``, those less in view left out


@dataclass(frozen=True, slots=True)
class Seen:
    """Boxes of everything in an instance map, by identity."""

    boxes: NDArray[np.int64]  # (n + 1, 4) left, top, right, bottom, ends exclusive; zeros where nothing is seen
    pixels: NDArray[np.int64]  # (n + 1,)


def seen_in(instance_map: NDArray[np.int32], identities: int) -> Seen:
    """Boxes and pixels of identities 1 to ``identities``.

    The picture is cut into runs of equal pixels along its rows, so that each is looked at once.
    """
    height, width = instance_map.shape
    change = np.ones((height, width), bool)
    np.not_equal(instance_map[:, 1:], instance_map[:, :-1], out=change[:, 1:])
    starts = np.flatnonzero(change)
    ends = np.append(starts[1:], height * width)
    owner = instance_map.ravel()[starts]
    kept = (owner > 0) & (owner <= identities)
    starts, ends, owner = starts[kept], ends[kept], owner[kept]
    rows, lefts = np.divmod(starts, width)
    rights = lefts + (ends - starts)
    boxes = np.zeros((identities + 1, 4), np.int64)
    boxes[:, :2] = max(height, width) + 1
    np.minimum.at(boxes[:, 0], owner, lefts)
    np.minimum.at(boxes[:, 1], owner, rows)
    np.maximum.at(boxes[:, 2], owner, rights)
    np.maximum.at(boxes[:, 3], owner, rows + 1)
    pixels = np.bincount(owner, weights=ends - starts, minlength=identities + 1).astype(np.int64)
    boxes[pixels == 0] = 0
    return Seen(boxes, pixels)


def annotate(
    scene: Scene,
    instance_map: NDArray[np.int32],
    hands: Sequence[HandSeen] = (),
    held: Sequence[HeldSeen] = (),
    *,
    prefix: str = "",
) -> list[dict[str, object]]:
    """COCO annotations of a still, without ids.

    Args:
        scene: what was rendered.
        instance_map: (h, w) which unit or hand each pixel belongs to, hands included.
        hands: with identities beyond those of the units.
        held: products in hands, likewise.
        prefix: put before each SKU.

    Returns:
        One dictionary for each product, gap and hand: category_id, bbox (left, top, width, height), area, iscrowd,
        visibility, truncated; products besides sku, family, slot, row, stack, misplaced, fallen; gaps the slots (slot,
        sku) of which a facing is empty in them; hands the typology angle of their skin in degrees.
    """
    units = scene.units()
    highest = max((thing.identity for things in (units, hands, held) for thing in things), default=0)
    seen = seen_in(instance_map, highest)
    found: list[dict[str, object]] = []
    for unit in units:
        if seen.pixels[unit.identity] >= MIN_PIXELS:
            truth = _product(seen, unit.identity, scene.silhouette(unit.identity), instance_map.shape)
            if truth is not None:
                found.append(truth | _described(unit, prefix))
    for carried in held:
        truth = _product(seen, carried.identity, carried.silhouette, instance_map.shape)
        if truth is not None:
            found.append(truth | {"sku": prefix + carried.sku, "family": carried.family, "held": True})
    found += _gaps(scene, instance_map, prefix)
    for hand in hands:
        area = int(seen.pixels[hand.identity])
        if area >= MIN_PIXELS:
            visibility = area / max(hand.silhouette, 1.0)
            truth = _entry(3, seen.boxes[hand.identity], area, visibility, instance_map.shape)
            found.append(truth | {"skin": round(hand.skin, 1)})
    return found


def _entry(
    category: int, box: Sequence[int] | NDArray[np.int64], area: int, visibility: float, shape: tuple[int, ...]
) -> dict[str, object]:
    left, top, right, bottom = (int(v) for v in box)
    small = min(right - left, bottom - top) < IGNORE_SIDE
    return {
        "category_id": category,
        "bbox": [left, top, right - left, bottom - top],
        "area": int(area),
        "iscrowd": int(small or visibility < IGNORE_VISIBILITY),
        "visibility": round(min(visibility, 1.0), 3),
        "truncated": left == 0 or top == 0 or right == shape[1] or bottom == shape[0],
    }


def _product(seen: Seen, identity: int, silhouette: float, shape: tuple[int, ...]) -> dict[str, object] | None:
    area = int(seen.pixels[identity])
    visibility = area / max(silhouette, 1.0)
    if area < MIN_PIXELS or visibility < MIN_VISIBILITY:
        return None
    return _entry(1, seen.boxes[identity], area, visibility, shape)


def _described(unit: Unit, prefix: str) -> dict[str, object]:
    return {
        "sku": prefix + unit.sku,
        "family": unit.family,
        "slot": unit.slot,
        "row": unit.row,
        "stack": unit.stack,
        "misplaced": unit.misplaced,
        "fallen": unit.fallen,
    }


def _gaps(scene: Scene, instance_map: NDArray[np.int32], prefix: str) -> list[dict[str, object]]:
    found = []
    for gap, polygon in scene.gaps():
        mask = gap_mask(polygon, instance_map)
        if mask is None:
            continue
        (x, y), free, whole = mask
        area = int(np.count_nonzero(free))
        visibility = area / whole
        if area < 12 * MIN_PIXELS or visibility < GAP_IGNORE_VISIBILITY:
            continue
        rows, columns = np.flatnonzero(free.any(axis=1)), np.flatnonzero(free.any(axis=0))
        box = (x + int(columns[0]), y + int(rows[0]), x + int(columns[-1]) + 1, y + int(rows[-1]) + 1)
        truth = _entry(2, box, area, visibility, instance_map.shape)
        doubtful = visibility < GAP_VISIBILITY or not gap.sure
        truth["iscrowd"] = int(bool(truth["iscrowd"]) or doubtful)
        found.append(truth | {"slots": [{"slot": slot, "sku": prefix + scene.slot(slot).sku} for slot in gap.slots]})
    return found


def gap_mask(
    polygon: NDArray[np.floating], instance_map: NDArray[np.int32]
) -> tuple[tuple[int, int], NDArray[np.bool_], float] | None:
    """Pixels of an empty facing that nothing covers; None when it is out of the picture.

    Returns:
        Left and top pixel of the part of the picture that is looked at; (h, w) what is free in it; the facing's whole
        area in pixels, cut by the frame or not.
    """
    height, width = instance_map.shape
    low = np.maximum(np.floor(polygon.min(axis=0)), 0).astype(int)
    high = np.minimum(np.ceil(polygon.max(axis=0)) + 1, (width, height)).astype(int)
    if (high - low < 2).any():
        return None
    inside = np.zeros((high[1] - low[1], high[0] - low[0]), np.uint8)
    corners = np.round(np.clip(polygon - low, -15_000, 15_000) * 16).astype(np.int32)
    cv2.fillPoly(inside, [corners], 1, cv2.LINE_8, 4)
    x, y = polygon[:, 0], polygon[:, 1]
    area = abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2
    free = (inside > 0) & (instance_map[low[1] : high[1], low[0] : high[0]] == 0)
    return (int(low[0]), int(low[1])), free, float(max(area, 1.0))
