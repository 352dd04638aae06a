"""Which product stands where: slots along boards, and in each slot places in the order in which they are emptied."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from shelfvision.sim.fixture import Fixture
from shelfvision.sim.packaging import Packaging
from shelfvision.sim.scene_settings import SceneSettings

STEEP = 28.0  # degrees; flat packages are not shown to a camera that looks down more steeply


@dataclass(slots=True)
class Place:
    """Where one unit of a slot stands or can stand."""

    pack: Packaging
    x: float  # centre of the foot, cm
    y: float
    z: float
    column: int
    row: int  # 0 in front
    stack: int  # 0 on the board
    turn: float = 0.0  # degrees: askew for blocks, around the axis for round ones, 180 shows the back
    lean: float = 0.0  # degrees clockwise in the shelf's plane; 90 is fallen
    identity: int = 0  # in the scene's instance map, from 1


@dataclass(slots=True)
class ShelfSlot:
    """A run of facings of one SKU."""

    id: str
    pack: Packaging
    board: int
    left: float
    right: float
    facings: int
    rows: int
    levels: int
    places: list[Place] = field(default_factory=list)  # the first is taken first
    count: int = 0  # the last ``count`` places are occupied
    tray: float = 0.0  # height in cm of a shelf-ready tray's front, 0 for none
    tray_z: float = 0.0

    @property
    def sku(self) -> str:
        """What belongs here."""
        return self.pack.sku

    @property
    def capacity(self) -> int:
        """Units when full."""
        return len(self.places)

    @property
    def present(self) -> list[Place]:
        """Occupied places."""
        return self.places[len(self.places) - self.count :]

    def column_reach(self, column: int) -> tuple[float, float]:
        """Least and greatest x of one facing."""
        step = (self.right - self.left) / self.facings
        return self.left + column * step, self.left + (column + 1) * step


class Stocker(Protocol):
    """Puts slots on a board, as `stock_board` does."""

    def __call__(  # noqa: PLR0917 - the call of `stock_board`
        self,
        fixture: Fixture,
        number: int,
        reach: tuple[float, float],
        assortment: Sequence[Packaging],
        settings: SceneSettings,
        steepness: float,
        rng: np.random.Generator,
        /,
    ) -> list[ShelfSlot]:
        """Slots from left to right."""


def _fits(pack: Packaging, clearance: float, depth: float, steepness: float) -> bool:
    if pack.solid == "flat" and steepness > STEEP:
        return False
    return pack.size_cm[1] <= clearance - 1.5 and pack.size_cm[2] <= depth - 1.0


def stock_board(  # noqa: PLR0917 - given once, by the scene
    fixture: Fixture,
    number: int,
    reach: tuple[float, float],
    assortment: Sequence[Packaging],
    settings: SceneSettings,
    steepness: float,
    rng: np.random.Generator,
) -> list[ShelfSlot]:
    """Slots side by side along one board.

    Args:
        fixture: the furniture.
        number: which board, 0 the lowest.
        reach: range of x to fill.
        assortment: products to choose from.
        settings: disorder, rows, stacking, fill.
        steepness: degrees by which the camera looks down on the board.
        rng: decides everything.

    Returns:
        Slots from left to right; none when nothing of the assortment fits.
    """
    board = fixture.boards[number]
    clearance = board.ceiling - board.top
    usable = [pack for pack in assortment if _fits(pack, clearance, fixture.depth, steepness)]
    if not usable:
        return []
    lines: dict[str, list[Packaging]] = {}
    for pack in usable:
        lines.setdefault(pack.line, []).append(pack)
    names = sorted(lines)
    # a board is mostly of one kind; low things are less often put where much room is left
    favourite = str(rng.choice([pack.family for pack in usable]))
    weights = np.array(
        [
            (6.0 if lines[name][0].family == favourite else 1.0)
            * (min(lines[name][0].size_cm[1] / clearance, 0.85) + 0.05) ** 1.5
            for name in names
        ]
    )
    weights /= weights.sum()
    order = list(rng.choice(len(names), size=len(names), replace=False, p=weights))
    slots: list[ShelfSlot] = []
    x = reach[0] + rng.uniform(0, 4)
    turn = 0
    while x < reach[1] - 3:
        members = lines[names[order[turn % len(order)]]]
        turn += 1
        for pack in members[: int(rng.integers(1, len(members) + 1))]:
            name = f"{number + 1}-{len(slots) + 1}"
            slot = _make_slot(name, pack, fixture, settings, rng, number=number, x=x)
            if slot.right > reach[1]:
                if x + pack.size_cm[0] < reach[1] and slot.facings > 1:
                    continue
                return slots
            slots.append(slot)
            x = slot.right + rng.uniform(0.2, 0.6 + 2.5 * settings.loose)
    return slots


def _make_slot(
    name: str,
    pack: Packaging,
    fixture: Fixture,
    settings: SceneSettings,
    rng: np.random.Generator,
    *,
    number: int,
    x: float,
) -> ShelfSlot:
    board = fixture.boards[number]
    width, height, depth = pack.size_cm
    clearance = board.ceiling - board.top
    space = 0.15 + settings.loose * rng.uniform(0.1, 0.9) + (1.0 if fixture.kind == "table" else 0.0)
    facings = int(rng.integers(2, 6)) if width < 8 else int(rng.integers(1, 4))
    rows = int(np.clip((fixture.depth - 3) // (depth + 0.5), 1, settings.rows))
    levels = 1
    if pack.stackable and height < clearance * 0.46 and fixture.kind != "table" and rng.random() < settings.stacked:
        levels = min(int((clearance - 1.5) // height), int(rng.integers(2, 5)))
    slot = ShelfSlot(name, pack, number, x, x + facings * (width + space), facings, rows, max(levels, 1))
    setback = rng.uniform(0.4, 1.0 + 4.0 * settings.loose)
    if (
        rng.random() < settings.trays
        and height > 7
        and pack.family not in {"tray", "multipack"}
        and fixture.kind != "table"
    ):
        slot.tray = float(round(min(height * rng.uniform(0.18, 0.34), 7.0)))
    slot.tray_z = -setback + 0.5
    pushed = rng.random() < settings.faced_up
    columns: list[list[Place]] = []
    shaken = rng.standard_normal((facings, slot.rows, slot.levels, 2)).tolist()
    slack = (slot.right - slot.left) / facings / 2 - width / 2
    rows_order = range(slot.rows - 1, -1, -1) if pushed else range(slot.rows)
    pitch = depth + 0.4 + 0.6 * settings.loose
    for column in range(facings):
        left, right = slot.column_reach(column)
        places = []
        drift = rng.normal(0, 0.12 + 0.3 * settings.loose)
        for row in rows_order:
            for stack in range(slot.levels - 1, -1, -1):
                aside, back = shaken[column][row][stack]
                off = min(max(drift + 0.2 * settings.loose * aside, -slack), slack)
                z = -(setback + row * pitch + depth / 2 + abs(0.5 * settings.loose * back))
                z = max(z, -(fixture.depth - depth / 2 - 0.3))
                turn = _turn(pack, settings, rng)
                places.append(
                    Place(pack, (left + right) / 2 + off, board.top + stack * height, z, column, row, stack, turn)
                )
        columns.append(places)
    # shoppers take from any column; the more orderly the shop, the more evenly
    slot.places = _taken(columns, 3.0 * settings.faced_up + 0.5, rng)
    slot.count = _stock(slot.capacity, settings.fill, rng)
    return slot


def _taken(columns: list[list[Place]], order: float, rng: np.random.Generator) -> list[Place]:
    """Places in the order in which they are emptied: from a column with chances of its units left to the ``order``."""
    places: list[Place] = []
    most = max(len(column) for column in columns)
    weights = [units**order if units else 0.0 for units in range(most + 1)]
    for draw in rng.random(sum(len(column) for column in columns)).tolist():
        rest = draw * sum(weights[len(column)] for column in columns)
        chosen = None
        for column in columns:
            if column:
                chosen = column
                rest -= weights[len(column)]
                if rest < 0:
                    break
        if chosen is not None:
            places.append(chosen.pop(0))
    return places


def _turn(pack: Packaging, settings: SceneSettings, rng: np.random.Generator) -> float:
    odd = rng.random() < settings.turned
    if pack.solid == "round":
        return (
            float(rng.choice((180, 90, -90, 60, -60, 135)))
            if odd
            else float(20 * round(rng.normal(0, 0.3 + 0.5 * settings.loose)))
        )
    if odd and rng.random() < 0.4:
        return 180.0
    return float(rng.normal(0, 9.0 if odd else 0.6 + 1.5 * settings.loose)) if pack.solid in {"block", "gable"} else 0.0


def _stock(capacity: int, fill: float, rng: np.random.Generator) -> int:
    if rng.random() < fill:
        missing = 0.35 * float(rng.random()) ** 2.2 if fill < 0.999 else 0.0
        return round(capacity * (1 - missing))
    kind = rng.random()
    return 0 if kind < 0.4 else round(capacity * rng.uniform(0.05, 0.75))


def disturb(
    slots: Sequence[ShelfSlot],
    assortment: Sequence[Packaging],
    fixture: Fixture,
    settings: SceneSettings,
    rng: np.random.Generator,
) -> None:
    """Misplaced, leaning and fallen units; only where they have room."""
    for slot in slots:
        present = slot.present
        if not present:
            continue
        clearance = fixture.boards[slot.board].ceiling - fixture.boards[slot.board].top
        covered = {(place.column, place.row) for place in present if place.stack > 0}
        empty = set(range(slot.facings)) - {place.column for place in present}
        for place in present:
            if slot.levels == 1 and rng.random() < settings.misplaced:
                _swap(slot, place, assortment, clearance, rng)
            loaded = (place.column, place.row) in covered or place.stack > 0
            if loaded or place.pack.solid == "gable":
                continue
            free = [side for side in (-1, 1) if place.column + side in empty]
            if free and place.row == 0 and rng.random() < settings.fallen * 6:
                _fall(slot, place, empty, free[0], clearance)
            elif rng.random() < settings.leaning:
                place.lean = _lean(slot, place, empty, free, rng)


def _swap(
    slot: ShelfSlot, place: Place, assortment: Sequence[Packaging], clearance: float, rng: np.random.Generator
) -> None:
    """Put another product in a unit's place, one that has room there."""
    width, _, depth = slot.pack.size_cm
    others = [
        pack
        for pack in assortment
        if pack.size_cm[0] <= width * 1.1
        and pack.size_cm[1] < clearance - 1.5
        and pack.size_cm[2] <= depth * 1.2
        and pack.sku != slot.sku
        and (pack.solid == "flat") == (slot.pack.solid == "flat")
    ]
    if others:
        place.pack = others[int(rng.integers(len(others)))]
        place.turn = 0.0


def _lean(slot: ShelfSlot, place: Place, empty: set[int], free: list[int], rng: np.random.Generator) -> float:
    """Degrees by which a unit leans: over a narrow gap until it rests on what stands beyond, else hardly."""
    for side in free:
        beyond = place.column + side
        while beyond in empty:
            beyond += side
        if not 0 <= beyond < slot.facings:
            continue
        step = (slot.right - slot.left) / slot.facings
        gap = (abs(beyond - place.column) - 1) * step + step - place.pack.size_cm[0]
        share = gap / place.pack.size_cm[1]
        if share < 0.5:
            return side * float(np.degrees(np.arcsin(share * 0.94)))
    if place.pack.solid == "flat":
        return float(rng.normal(0, 1.0))
    return 0.0


def _fall(slot: ShelfSlot, place: Place, empty: set[int], side: int, clearance: float) -> None:
    """Lay a unit down into the empty facings beside it when they are wide enough."""
    column = place.column + side
    last = column
    while last + side in empty:
        last += side
    reaches = [slot.column_reach(c) for c in (column, last)]
    left, right = min(r[0] for r in reaches), max(r[1] for r in reaches)
    width, height, _ = place.pack.size_cm
    if right - left < height + 0.5 or width > clearance - 1:
        return
    # its foot's centre: the pivot is worked out by the scene from the lean of 90 degrees
    place.x = (left + right) / 2
    place.lean = 90.0 * side
    place.turn = 0.0
    place.column = column
    empty.difference_update(range(min(column, last), max(column, last) + 1))
