"""Shop furniture: boards, back panels, rails with price tags, wires, doors; its geometry and how it is painted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from shelfvision.sim.layer import Layer
from shelfvision.sim.lettering import Style, write_small_print, write_word
from shelfvision.sim.optics import Camera, Points, perspective
from shelfvision.sim.palette import Colour, hsv, luminance, mix
from shelfvision.sim.pictures import Image, barcode, ellipse
from shelfvision.sim.scene_settings import SceneSettings

BAY_CM = 100.0
_SHADE_STEPS = 5
_NEAREST = 8.0  # cm before the lens
_READABLE = 9  # pixels; lower price tags carry the price alone


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


# ---------------------------------------------------------------- painting


def paint_surroundings(layer: Layer, camera: Camera, backdrop: Image, floor: Colour, fixture: Fixture) -> None:
    """What is seen around the furniture: a blurred picture of the shop, and the floor."""
    layer.image[:] = layer.stretched(backdrop, camera.canvas_size)
    far = -450.0
    layer.polygon(camera.polygon(level(-2000, 2000, 0.0, far, 600.0)), floor)
    joint = mix(floor, (0, 0, 0), 0.14)
    xs, zs = np.arange(-360, 361, 60.0), np.arange(far, 400.0, 60.0)
    joints = [level(x, x + 0.6, 0.0, far, 600.0) for x in xs]
    joints += [level(-1500, 1500, 0.0, z, z + 0.6)[[0, 3, 2, 1]] for z in zs]
    spots, distance = camera.to_canvas(_ahead(camera, np.stack(joints)))
    layer.polygons(np.clip(spots[distance.min(axis=1) > _NEAREST], -20_000, 20_000), joint)
    if fixture.kind == "table":
        under = camera.polygon(level(fixture.left - 10, fixture.right + 10, 0.0, 8.0, -fixture.depth - 12))
        if len(under) >= 3:
            layer.darken([under], 0.55, max(14.0 * camera.focal / max(camera.position[1], 40.0), 3.0))
        legs = mix(fixture.board_colour, (0, 0, 0), 0.5)
        for z in (-fixture.depth + 6, -3.0):
            for x in (fixture.left + 4, fixture.right - 8):
                layer.polygon(camera.polygon(rectangle(x, x + 4, 0, 74, z)), legs)
        return
    shade = mix(fixture.back_colour, (0, 0, 0), 0.35)
    layer.polygon(
        camera.polygon(rectangle(fixture.left, fixture.right, 0, max(fixture.boards[0].top, 1.0), 0.0)),
        mix(fixture.board_colour, (0, 0, 0), 0.35),
    )
    layer.polygon(camera.polygon(rectangle(fixture.left, fixture.right, 0, fixture.boards[0].top * 0.35, 0.1)), shade)


def _ahead(camera: Camera, strips: Points) -> Points:
    """Strips (n, 4, 3), whose first two corners are one end and last two the other, cut to what is before the lens."""
    _, distance = camera.to_canvas(strips)
    cut = strips.copy()
    for end, other in ((0, 3), (1, 2), (3, 0), (2, 1)):
        short = _NEAREST + 1.0 - distance[:, end]
        share = np.clip(short / np.maximum(distance[:, other] - distance[:, end], 1e-6), 0.0, 1.0)[:, None]
        cut[:, end] = np.where(
            (short > 0)[:, None], strips[:, end] + share * (strips[:, other] - strips[:, end]), strips[:, end]
        )
    return cut


def paint_back(layer: Layer, camera: Camera, fixture: Fixture, panel: Image | None) -> None:
    """The back panel, its pattern, uprights and the side sheets whose inside is seen."""
    z = -fixture.depth
    layer.polygon(camera.polygon(rectangle(fixture.left, fixture.right, 0, fixture.height, z)), fixture.back_colour)
    if panel is not None:
        low, high = fixture.boards[0].top, fixture.height
        for left in fixture.uprights[:-1]:
            corners = rectangle(left, left + fixture.bay, low, high, z)
            spots, distance = camera.to_canvas(corners)
            if distance.min() > 10:
                rows, columns = panel.shape[:2]
                source = np.array([(0, rows), (columns, rows), (columns, 0), (0, 0)], float) - 0.5
                layer.panel(panel, perspective(source, spots))
    metal = mix(fixture.back_colour, (140, 142, 145), 0.5)
    for x in fixture.uprights:
        layer.polygon(camera.polygon(rectangle(x - 1.6, x + 1.6, 0, fixture.height, z + 1.0)), metal)
    if camera.focal / max(camera.position[2] - z, 1.0) > 2.0:  # slits in the uprights, too small to see from afar
        ys = np.arange(4, fixture.height, 5.0)
        xs = np.asarray(fixture.uprights)
        corners = np.array([(-0.35, 0.0), (0.35, 0.0), (0.35, 1.6), (-0.35, 1.6)])
        slits = np.zeros((len(xs), len(ys), 4, 3))
        slits[..., 0] = xs[:, None, None] + corners[:, 0]
        slits[..., 1] = ys[None, :, None] + corners[:, 1]
        slits[..., 2] = z + 1.1
        spots, distance = camera.to_canvas(slits)
        layer.polygons(spots[distance.min(axis=-1) > 8], mix(metal, (0, 0, 0), 0.7))
    for x, inner in (
        (fixture.left, camera.position[0] > fixture.left),
        (fixture.right, camera.position[0] < fixture.right),
    ):
        if inner:
            side = np.array([(x, 0, 0.0), (x, 0, z), (x, fixture.height, z), (x, fixture.height, 0.0)])
            layer.polygon(camera.polygon(side), mix(fixture.board_colour, (40, 40, 40), 0.4))


def paint_outer_sides(layer: Layer, camera: Camera, fixture: Fixture) -> None:
    """Side sheets seen from outside, and the header; they hide goods, so they come after them."""
    z = -fixture.depth
    for x, outer in (
        (fixture.left, camera.position[0] < fixture.left),
        (fixture.right, camera.position[0] > fixture.right),
    ):
        if outer:
            side = np.array([(x, 0, 0.8), (x, 0, z), (x, fixture.height, z), (x, fixture.height, 0.8)])
            layer.polygon(camera.polygon(side), mix(fixture.board_colour, (40, 40, 40), 0.2))
    if fixture.header is not None:
        top = fixture.height
        layer.polygon(camera.polygon(rectangle(fixture.left, fixture.right, top, top + 22, 1.0)), fixture.header)
        layer.polygon(
            camera.polygon(rectangle(fixture.left, fixture.right, top + 3, top + 5, 1.1)),
            mix(fixture.header, (255, 255, 255), 0.7),
        )


def paint_board(layer: Layer, camera: Camera, fixture: Fixture, board: Board, shadows: float) -> None:
    """The board's upper or lower side, whichever the camera sees; ``shadows`` is their strength, 0 to 1."""
    above = camera.position[1] > board.top
    y = board.top if above else board.top - board.thickness
    shade = mix(fixture.board_colour, (0, 0, 0), 0.12 if above else 0.6)
    layer.polygon(camera.polygon(level(fixture.left, fixture.right, y, 0.4, -fixture.depth)), shade)
    if above and fixture.kind != "table":
        # deeper is darker, in steps too small to see
        for step in range(1, _SHADE_STEPS):
            near = -fixture.depth * (0.25 + 0.75 * step / _SHADE_STEPS)
            darker = mix(shade, (0, 0, 0), 0.6 * shadows * step / _SHADE_STEPS)
            layer.tint(camera.polygon(level(fixture.left, fixture.right, y, near, -fixture.depth)), darker)
        for x in fixture.uprights[1:-1]:
            layer.tint(camera.polygon(level(x - 0.15, x + 0.15, y, 0.4, -fixture.depth)), mix(shade, (0, 0, 0), 0.5))
    if fixture.rail <= 0:
        front = rectangle(fixture.left, fixture.right, board.top - board.thickness, board.top, 0.4)
        layer.polygon(camera.polygon(front), mix(fixture.board_colour, (0, 0, 0), 0.4))


def panel_shadows(camera: Camera, fixture: Fixture) -> list[Points]:
    """Where the back panel lies in the shade: under each board."""
    shadows = []
    for board in fixture.boards:
        if board.ceiling > fixture.height:  # nothing above keeps the light off
            continue
        low = board.top + (board.ceiling - board.top) * 0.55
        corners = camera.polygon(rectangle(fixture.left, fixture.right, low, board.ceiling, -fixture.depth))
        if len(corners) >= 3:
            shadows.append(corners)
    return shadows


# ---------------------------------------------------------------- pictures on furniture


def make_panel(fixture: Fixture, pixels_per_cm: float, rng: np.random.Generator) -> Image | None:
    """The pattern of one bay's back panel, for a camera that sees it at a resolution; None for a plain one."""
    if fixture.back not in {"perforated", "slats"}:
        return None
    p = float(np.clip(pixels_per_cm, 3.0, 12.0))
    height, width = (max(int(side * p), 8) for side in (fixture.height - fixture.boards[0].top, fixture.bay))
    dark = mix(fixture.back_colour, (0, 0, 0), 0.65)
    if fixture.back == "perforated":
        pitch, radius = float(rng.choice((2.5, 3.8, 5.0))), float(rng.choice((0.35, 0.55)))
        hole = np.full((round(pitch * p), round(pitch * p), 3), fixture.back_colour, np.uint8)
        ellipse(hole, (len(hole) / 2, len(hole) / 2), (radius * p, radius * p), dark)
        tiles = -(-height // len(hole)), -(-width // len(hole)), 1
        return np.asarray(np.tile(hole, tiles)[:height, :width], np.uint8)
    panel = np.full((height, width, 3), fixture.back_colour, np.uint8)
    pitch = float(rng.choice((6, 10)))
    for y in np.arange(0, height, pitch * p):
        panel[int(y) : int(y + p)] = dark
        panel[int(y + p) : int(y + 1.7 * p)] = mix(fixture.back_colour, (255, 255, 255), 0.3)
    return panel


def make_backdrop(photograph: Image | None, rng: np.random.Generator) -> Image:
    """What is seen behind and beside the furniture: a photograph or an invented shop, out of focus."""
    if photograph is not None:
        backdrop = cv2.resize(photograph, (320, 240), interpolation=cv2.INTER_AREA)
        return np.asarray(cv2.GaussianBlur(backdrop, (0, 0), rng.uniform(1.0, 4)), np.uint8)
    wall = hsv(rng.random(), rng.uniform(0, 0.12), rng.uniform(0.35, 0.9))
    column = np.clip(np.linspace(1.05, 0.75, 240)[:, None, None] * np.array(wall, float), 0, 255).astype(np.uint8)
    backdrop = np.asarray(cv2.copyMakeBorder(column, 0, 0, 0, 319, cv2.BORDER_REPLICATE), np.uint8)
    ceiling, floor = int(rng.integers(20, 80)), int(rng.integers(150, 220))
    backdrop[:ceiling] = backdrop[:ceiling] // 4 * 3 + 40
    far = rng.uniform(-60, 380), ceiling + 5.0
    for _ in range(int(rng.integers(0, 5))):  # rows of lamps run to one point
        start = rng.uniform(-100, 420), rng.uniform(-90, 0)
        share = rng.uniform(0.3, 0.85)
        end = start[0] + (far[0] - start[0]) * share, start[1] + (far[1] - start[1]) * share
        cv2.line(backdrop, (int(start[0]), int(start[1])), (int(end[0]), int(end[1])), (252, 252, 252), 3, cv2.LINE_AA)
    if rng.random() < 0.7:  # shelves across the aisle
        left = int(rng.integers(-80, 160))
        right = left + int(rng.integers(60, 320))
        rows = int(rng.integers(3, 7))
        for row in range(rows):
            bottom = ceiling + 8 + (floor - ceiling - 8) * (row + 1) // rows
            tall = (floor - ceiling - 8) / rows
            cv2.rectangle(backdrop, (left, int(bottom - tall)), (right, bottom), (48, 50, 52), -1)
            x = left + 1
            while x < right - 4:
                facing, colour = (
                    int(rng.integers(3, 9)),
                    hsv(rng.random(), rng.uniform(0.2, 0.9), rng.uniform(0.3, 0.95)),
                )
                high = tall * rng.uniform(0.4, 0.85)
                for _ in range(int(rng.integers(1, 4))):
                    cv2.rectangle(
                        backdrop, (x, int(bottom - 2 - high)), (min(x + facing - 1, right), bottom - 2), colour, -1
                    )
                    x += facing + 1
            cv2.rectangle(backdrop, (left, bottom - 2), (right, bottom), (205, 208, 210), -1)
    return np.asarray(cv2.GaussianBlur(backdrop, (0, 0), rng.uniform(0.8, 3.0)), np.uint8)


def price_tag(
    width_cm: float, height_cm: float, pixels_per_cm: float, rng: np.random.Generator, *, offer: bool = False
) -> Image:
    """A price tag or an offer card."""
    width, height = max(round(width_cm * pixels_per_cm), 4), max(round(height_cm * pixels_per_cm), 3)
    paper: Colour = (245, 248, 248)
    if offer:
        paper = ((40, 220, 250), (40, 40, 215), (245, 248, 248), (60, 160, 60))[rng.integers(4)]
    elif rng.random() < 0.15:
        paper = (80, 225, 250)
    tag = np.empty((height, width, 3), np.uint8)
    tag[:] = paper
    ink: Colour = (30, 25, 25) if luminance(paper) > 130 else (250, 250, 250)
    price = f"{int(rng.integers(0, 30))}.{rng.choice(('99', '49', '29', '95', '79', '50'))}"
    write_word(tag, price, (width * 0.42, height * 0.12, width * 0.97, height * 0.75), ink, Style(800), align=1)
    small = (width * 0.05, height * 0.08, width * 0.42, height * 0.55)
    if height >= _READABLE:
        write_small_print(tag, small, max(height * 0.2, 2.0), ink, rng)
    if offer:
        write_word(
            tag,
            str(rng.choice(("SALE", "-25%", "2 + 1", "NEW", "TIP", "מבצע", "АКЦИЯ", "特価"))),
            (width * 0.05, height * 0.55, width * 0.45, height * 0.95),
            ink,
            Style(900),
        )
    elif height >= _READABLE:
        barcode(tag, (width * 0.05, height * 0.62, width * 0.4, height * 0.95), rng)
    tag[:1], tag[-1:] = tag[:1] // 2, tag[-1:] // 2
    return tag


def make_rail(
    fixture: Fixture, reach: tuple[float, float], tags: list[float], pixels_per_cm: float, rng: np.random.Generator
) -> Image:
    """The strip along a board's front edge with a price tag at each of the places ``tags`` (x in cm)."""
    p = pixels_per_cm
    width, height = max(round((reach[1] - reach[0]) * p), 4), max(round(fixture.rail * p), 3)
    ramp = np.interp(np.linspace(0, 1, height), (0, 0.12, 0.2, 0.9, 1), (1.12, 1.1, 0.98, 0.9, 0.6))
    column = np.clip(ramp[:, None, None] * np.asarray(fixture.rail_colour, float), 0, 255).astype(np.uint8)
    strip = np.asarray(cv2.copyMakeBorder(column, 0, 0, 0, width - 1, cv2.BORDER_REPLICATE), np.uint8)
    tag_height = fixture.rail * rng.uniform(0.72, 0.92)
    tag_width = tag_height * rng.uniform(1.3, 2.0)
    for x in tags:
        if rng.random() < 0.08:
            continue
        tag = price_tag(tag_width, tag_height, p, rng)
        left, top = round((x - reach[0]) * p), round((fixture.rail - tag_height) / 2 * p)
        if left < 0 or left + tag.shape[1] > width:
            continue
        part = strip[top : top + tag.shape[0], left : left + tag.shape[1]]
        part[:] = tag[: part.shape[0]]
    for x in fixture.uprights:
        joint = round((x - reach[0]) * p)
        if 1 <= joint < width - 1:
            strip[:, joint - 1 : joint + 1] = strip[:, joint - 1 : joint + 1] // 3
    return strip


def make_wobbler(size_px: int, rng: np.random.Generator) -> Image:
    """A round sign on a springy strip, (h, w, 4) with colour times cover."""
    size = max(size_px, 6)
    sign = np.zeros((size, size, 3), np.uint8)
    cover = np.zeros((size, size, 3), np.uint8)
    middle = size / 2 - 0.5
    colour = hsv(rng.choice((0.0, 0.15, 0.33, 0.6)), 0.85, 0.9)
    ellipse(cover, (middle, middle), (middle, middle), (255, 255, 255))
    sign[:] = colour
    ellipse(sign, (middle, middle), (middle * 0.85, middle * 0.85), mix(colour, (255, 255, 255), 0.2))
    write_word(
        sign,
        str(rng.choice(("NEW", "BIO", "-30%", "TOP", "1+1", "%"))),
        (size * 0.15, size * 0.3, size * 0.85, size * 0.7),
        (255, 255, 255),
        Style(900),
    )
    return np.dstack([cv2.multiply(sign, cover, scale=1 / 255), cover[..., 0]])
