"""Where a board is empty to the eye: stretches on which nothing stands in any row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from shelfvision.sim.fixture import Board
from shelfvision.sim.stocking import Place, ShelfSlot

_FREE_FACING = 0.75  # share of a facing's width that is free when it counts as empty
_FEW = 0.5  # of the narrower neighbour's width; an empty facing narrower than that is hardly seen as one
_NARROW = 0.85  # of the narrower neighbour's width; a stretch in which no facing is planned may pass for one from here


@dataclass(frozen=True, slots=True)
class Gap:
    """A stretch of a board between two products, or a product and the board's end, in cm.

    It is as high as the higher of the products beside it, which can be seen; the height of what is missing cannot.
    """

    left: float
    right: float
    height: float  # above the board
    slots: tuple[str, ...]  # ids of the slots with an empty facing in it
    sure: bool  # False: one may call it a gap or not


@dataclass(frozen=True, slots=True)
class _Standing:
    left: float
    right: float
    top: float  # cm above the board

    @property
    def width(self) -> float:
        return self.right - self.left


def find_gaps(
    slots: Sequence[ShelfSlot], board: Board, reach: tuple[float, float], *, table: bool = False
) -> list[Gap]:
    """Gaps on one board, from left to right.

    A stretch counts when a facing is empty in it, or when the wider of its neighbours would fit: the eye knows no plan.
    On a table nothing tells a free facing from free room, so there empty facings are found but never sure.

    Args:
        slots: those of this board.
        board: its height and the space over it.
        reach: least and greatest x in cm that is looked at.
        table: goods stand about freely.
    """
    units = sorted((_standing(place, board) for slot in slots for place in slot.present), key=lambda unit: unit.left)
    found = []
    for left, right in _free(units, reach):
        empty = [(slot, a, b) for slot in slots for a, b in _facings(slot) if _covers(left, right, a, b)]
        beside = _neighbours(units, left, right)
        sure = _sure(right - left, [group.width for group in beside], facing=bool(empty))
        if sure is None or (table and not empty):
            continue
        heights = [group.top for group in beside] or [slot.pack.size_cm[1] * slot.levels for slot, _, _ in empty]
        height = min(max(heights), board.ceiling - board.top)
        names = tuple(dict.fromkeys(slot.id for slot, _, _ in empty))
        found.append(Gap(left, right, height, names, sure and not table))
    return found


def _standing(place: Place, board: Board) -> _Standing:
    lies = abs(place.lean) > 45
    width, height = (place.pack.size_cm[1], place.pack.size_cm[0]) if lies else place.pack.size_cm[:2]
    return _Standing(place.x - width / 2, place.x + width / 2, place.y - board.top + height)


def _free(units: Sequence[_Standing], reach: tuple[float, float]) -> list[tuple[float, float]]:
    found, at = [], reach[0]
    for unit in units:
        if unit.left > at:
            found.append((at, min(unit.left, reach[1])))
        at = max(at, unit.right)
    if at < reach[1]:
        found.append((at, reach[1]))
    return [(left, right) for left, right in found if right > left]


def _facings(slot: ShelfSlot) -> list[tuple[float, float]]:
    return [slot.column_reach(column) for column in range(slot.facings)]


def _covers(left: float, right: float, a: float, b: float) -> bool:
    return min(right, b) - max(left, a) >= _FREE_FACING * (b - a)


def _neighbours(units: Sequence[_Standing], left: float, right: float) -> list[_Standing]:
    """What stands nearest on either side: of the units within half a width of the nearest, the widest and highest."""
    found = []
    for distance in (
        [(left - unit.right, unit) for unit in units if unit.right <= left + 1e-6],
        [(unit.left - right, unit) for unit in units if unit.left >= right - 1e-6],
    ):
        if distance:
            _, nearest = min(distance, key=lambda pair: pair[0])
            group = [unit for away, unit in distance if away <= nearest.width / 2]
            widest = max(unit.width for unit in group)
            found.append(_Standing(0.0, widest, max(unit.top for unit in group)))
    return found


def _sure(width: float, beside: Sequence[float], *, facing: bool) -> bool | None:
    """True for a gap, False for what may pass as one, None for none."""
    if facing:
        return not beside or width >= _FEW * min(beside)
    if not beside or width < _NARROW * min(beside):
        return None
    return width >= max(beside)
