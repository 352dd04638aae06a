"""How shop furniture is painted: floor and walls, back panel, sides, boards, and what is seen behind it."""

from __future__ import annotations

import cv2
import numpy as np

from shelfvision.sim.fixture import Board, Fixture, level, rectangle
from shelfvision.sim.layer import Layer
from shelfvision.sim.optics import Camera, Points, perspective
from shelfvision.sim.palette import Colour, hsv, mix
from shelfvision.sim.pictures import Image, ellipse

_SHADE_STEPS = 5
_NEAREST = 8.0  # cm before the lens


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
