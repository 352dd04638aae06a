"""Shop furniture: boards, back panel, rails; how it is built and what a camera sees of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from shelfvision.sim.optics import Camera, Points
from shelfvision.sim.palette import Colour, hsv, mix
from shelfvision.sim.scene_settings import SceneSettings

BAY_CM = 100.0


@dataclass(frozen=True, slots=True)
class Board:
    """One shelf board, seen from the side a rectangle."""

    top: float  # cm above the floor, where goods stand
    thickness: float
    ceiling: float  # cm above the floor where the space over it ends


@dataclass(frozen=True, slots=True)
class Fixture:
    """Furniture along x, front edge at z = 0, back panel at z = -depth."""

    kind: str
    boards: tuple[Board, ...]  # from the lowest to the highest
    left: float
    right: float
    depth: float
    height: float
    rail: float  # height of the price rail in cm, 0 for none
    back: str
    board_colour: Colour
    rail_colour: Colour
    back_colour: Colour
    header: Colour | None
    bay: float = BAY_CM
    uprights: tuple[float, ...] = field(default=())


def make_fixture(
    settings: SceneSettings, rng: np.random.Generator, goods: Sequence[tuple[float, bool]] = ()
) -> Fixture:
    """Furniture that fits the settings.

    Args:
        settings: kind, boards, bays.
        rng: decides the rest.
        goods: height in cm of each product of the shop and whether it is stacked; boards are then hung as shops hang
            them, a hand's breadth above what stands below. Evenly without.
    """
    white = hsv(rng.uniform(0.08, 0.6), rng.uniform(0.0, 0.08), rng.uniform(0.75, 0.97))
    metal = (white, hsv(0.1, 0.1, 0.82), (60, 60, 62), hsv(0.08, 0.45, 0.62), (150, 152, 155))
    board_colour = metal[int(rng.choice(5, p=(0.55, 0.15, 0.12, 0.08, 0.1)))]
    rail_colour = (
        board_colour
        if rng.random() < 0.6
        else hsv(rng.choice((0.0, 0.6, 0.15, 0.35)), rng.choice((0.05, 0.75)), rng.uniform(0.5, 0.95))
    )
    if settings.fixture == "table":
        kinds = (hsv(0.08, rng.uniform(0.3, 0.6), rng.uniform(0.3, 0.8)), white, hsv(rng.random(), 0.2, 0.5))
        wood = kinds[int(rng.choice(3, p=(0.55, 0.2, 0.25)))]
        board = Board(75.0, 3.5, 260.0)
        return Fixture("table", (board,), -85.0, 85.0, rng.uniform(55, 80), 75.0, 0.0, "none", wood, wood, wood, None)
    count = settings.boards
    low = rng.uniform(10, 22)
    spacing = float(np.clip(rng.uniform(145, 215) / count, 21, 52))
    steps = spacing * rng.uniform(0.88, 1.12, count)
    if rng.random() < 0.5:  # the lowest space is often the highest
        steps[0] *= 1.12
    if goods:
        steps = _hang(goods, count, rng)
        low += rng.uniform(0.2, 0.9) * max(150.0 - low - float(steps.sum()), 0.0) * (count < 5)
    tops = low + np.concatenate([[0], np.cumsum(steps[:-1])])
    thickness = rng.uniform(2.2, 4.0)
    height = float(tops[-1] + steps[-1])
    if settings.fixture == "chiller":
        board_colour = (70, 68, 66) if rng.random() < 0.4 else white
    if settings.back == "dark" or settings.fixture == "chiller":
        back_colour = mix((28, 28, 30), board_colour, rng.uniform(0, 0.3))
    else:
        back_colour = mix(board_colour, (90, 95, 98), rng.uniform(0.0, 0.5))
    width = BAY_CM * settings.bays * rng.uniform(0.9, 1.25)
    bay = width / settings.bays
    left = -width / 2
    header = (
        hsv(rng.random(), 0.8, rng.uniform(0.4, 0.8)) if settings.fixture == "endcap" or rng.random() < 0.25 else None
    )
    # what stands on top may stand higher than the fixture where nothing is above it
    open_top = header is None and settings.fixture != "chiller"
    ceilings = [float(top - thickness) for top in tops[1:]] + [height + (30 if open_top else 0)]
    boards = [
        Board(float(top), thickness if i else float(top), ceiling)
        for i, (top, ceiling) in enumerate(zip(tops, ceilings, strict=True))
    ]
    return Fixture(
        kind=settings.fixture,
        boards=tuple(boards),
        left=left,
        right=left + width,
        depth=float(rng.uniform(32, 52)),
        height=height,
        rail=float(rng.uniform(3.2, 5.0)),
        back=settings.back,
        board_colour=board_colour,
        rail_colour=rail_colour,
        back_colour=back_colour,
        header=header,
        bay=bay,
        uprights=tuple(left + bay * i for i in range(settings.bays + 1)),
    )


def _hang(goods: Sequence[tuple[float, bool]], count: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Room in cm that each board has, from what may stand there; together no more than a shelf's height."""
    steps = np.zeros(count)
    for number in range(count):
        height, stacked = max((goods[int(rng.integers(len(goods)))] for _ in range(3)), key=lambda good: good[0])
        levels = int(min(max(26.0 // height, 1), 3)) if stacked else 1
        steps[number] = height * levels + rng.uniform(6.0, 12.0)
    steps = np.clip(steps, 19.0, 46.0)
    return np.asarray(np.maximum(steps * min(1.0, 205.0 / steps.sum()), 17.0))


def visible_reach(camera: Camera, fixture: Fixture, board: Board) -> tuple[float, float] | None:
    """Range of x in cm along a board that can be in the picture; None when the board is out of sight."""
    xs = np.arange(fixture.left, fixture.right + 2.5, 2.5)
    high = min(board.ceiling, board.top + 40)
    seen = np.zeros(len(xs), bool)
    width, height = camera.canvas_size
    lines = []
    for z in (0.5, -fixture.depth):
        low_end, near_low = camera.to_canvas(np.stack([xs, np.full_like(xs, board.top - 5), np.full_like(xs, z)], 1))
        high_end, near_high = camera.to_canvas(np.stack([xs, np.full_like(xs, high), np.full_like(xs, z)], 1))
        ahead = (near_low > 8) & (near_high > 8)
        left, right = np.minimum(low_end[:, 0], high_end[:, 0]), np.maximum(low_end[:, 0], high_end[:, 0])
        top, bottom = np.minimum(low_end[:, 1], high_end[:, 1]), np.maximum(low_end[:, 1], high_end[:, 1])
        seen |= ahead & (left < width) & (right > 0) & (top < height) & (bottom > 0)
        lines.append(ahead)
    usable = seen
    if not usable.any():
        return None
    start, end = xs[usable][0] - 15, xs[usable][-1] + 15
    return max(float(start), fixture.left), min(float(end), fixture.right)


def rectangle(x1: float, x2: float, y1: float, y2: float, z: float) -> Points:
    """Corners of an upright rectangle facing the camera: bottom left, bottom right, top right, top left."""
    return np.array([(x1, y1, z), (x2, y1, z), (x2, y2, z), (x1, y2, z)])


def level(x1: float, x2: float, y: float, z1: float, z2: float) -> Points:
    """Corners of a level rectangle."""
    return np.array([(x1, y, z1), (x2, y, z1), (x2, y, z2), (x1, y, z2)])
