"""What hangs on and stands before a scene's furniture: price rails, offers, tray fronts, wires, glass and doors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from shelfvision.sim.fixture import Fixture, rectangle
from shelfvision.sim.furniture_paint import make_backdrop, make_panel
from shelfvision.sim.layer import Layer
from shelfvision.sim.optics import Camera, Points, perspective
from shelfvision.sim.palette import Colour, hsv, mix
from shelfvision.sim.pictures import Image
from shelfvision.sim.price_tags import make_rail, make_wobbler, price_tag
from shelfvision.sim.prints import paint_front
from shelfvision.sim.scene_settings import SceneSettings
from shelfvision.sim.stocking import ShelfSlot

_RAIL_PIECE = 60.0  # cm
_GLARE_STEP = 4  # mirrored lamps are kept at a quarter of the canvas


@dataclass(frozen=True, slots=True)
class Card:
    """A flat picture in the scene and its map to the canvas."""

    picture: Image
    matrix: NDArray[np.float64]

    def paint(self, layer: Layer) -> None:
        """Paint it over what is there."""
        layer.picture(self.picture, self.matrix)


@dataclass(slots=True)
class Dressing:
    """Pictures that are made once for a scene."""

    backdrop: Image
    floor: Colour
    panel: Image | None
    wire: Colour
    reaches: Mapping[int, tuple[float, float]]  # visible range of x by board
    rails: dict[int, list[Card]] = field(default_factory=dict)  # by board
    trays: dict[int, list[Card]] = field(default_factory=dict)  # by board
    offers: list[Card] = field(default_factory=list)
    glare: Image | None = None


def dress(
    camera: Camera,
    fixture: Fixture,
    slots: Sequence[ShelfSlot],
    reaches: Mapping[int, tuple[float, float]],
    settings: SceneSettings,
    *,
    photograph: Image | None,
    rng: np.random.Generator,
) -> Dressing:
    """Make the pictures of a scene; ``reaches`` is the visible range of x of each board in view."""
    below = 0.6 if fixture.kind == "table" else 1.0
    dressing = Dressing(
        backdrop=make_backdrop(photograph, rng),
        # the floor is farther from the lamps than a table
        floor=hsv(rng.uniform(0.05, 0.15), rng.uniform(0.02, 0.25), rng.uniform(0.35, 0.85) * below),
        panel=make_panel(fixture, camera.focal / max(camera.position[2] + fixture.depth, 10.0), rng),
        wire=(0, 0, 0),
        reaches=reaches,
    )
    for number, reach in reaches.items():
        top = fixture.boards[number].top
        here = [slot for slot in slots if slot.board == number]
        if fixture.rail > 0:
            dressing.rails[number] = _rail(camera, fixture, number, reach, here, rng=rng)
        for slot in here:
            if slot.tray > 0:
                corners = rectangle(slot.left, slot.right, top, top + slot.tray, slot.tray_z)
                tray = _card(camera, corners, lambda w, h, p, slot=slot: _tray_print(slot, w, h, p))  # type: ignore[misc]
                if tray is not None:
                    dressing.trays.setdefault(number, []).append(tray)
            if fixture.rail > 0 and rng.random() < 0.12 * settings.promotions:
                offer = _offer(camera, slot, top, rng)
                if offer is not None:
                    dressing.offers.append(offer)
    if settings.front in {"glass", "door"}:
        dressing.glare = _glare(camera, fixture, rng)
    dressing.wire = mix((180, 184, 188), (90, 90, 92), rng.random())
    return dressing


def paint_before(layer: Layer, camera: Camera, fixture: Fixture, dressing: Dressing, settings: SceneSettings) -> None:
    """Paint what is nearer than all goods: offers, wires, glass and door frames."""
    for card in dressing.offers:
        card.paint(layer)
    if settings.front == "wire" and fixture.rail > 0:
        thickness = max(int(0.35 * camera.focal / max(settings.distance_cm, 20)), 1)
        layer.lines(_wires(camera, fixture, dressing.reaches), dressing.wire, thickness)
    if dressing.glare is not None:
        cv2.add(layer.image, layer.stretched(dressing.glare, camera.canvas_size), dst=layer.image)
    if settings.front == "door" and fixture.kind != "table":
        frame = mix(fixture.board_colour, (120, 122, 124), 0.4)
        for x in fixture.uprights:
            layer.polygon(camera.polygon(rectangle(x - 2.2, x + 2.2, 4, fixture.height, 5.0)), frame)
            layer.polygon(camera.polygon(rectangle(x + 5, x + 7, 85, 130, 8.0)), mix(frame, (0, 0, 0), 0.55))
        for y in (4.0, fixture.height - 5):
            layer.polygon(camera.polygon(rectangle(fixture.left, fixture.right, y, y + 5, 5.0)), frame)


def _wires(camera: Camera, fixture: Fixture, reaches: Mapping[int, tuple[float, float]]) -> list[Points]:
    """Lines on the canvas: two along each board's front and uprights between them."""
    ends = []
    for number, (left, right) in reaches.items():
        top = fixture.boards[number].top
        ends += [[(left, top + y, 0.9), (right, top + y, 0.9)] for y in (2.5, 5.0)]
        ends += [[(x, top, 0.9), (x, top + 5, 0.9)] for x in np.arange(left, right, 24.0)]
    # a line is cut at the lens like a polygon that goes there and back
    return [camera.polygon(np.array([start, end, end])) for start, end in ends]


def _card(camera: Camera, corners: Points, paint: Callable[[float, float, float], Image]) -> Card | None:
    """A picture for an upright rectangle at the resolution that the camera sees it with; None when it is too near.

    ``paint`` gets width and height in cm and pixels per cm.
    """
    spots, distance = camera.to_canvas(corners)
    if distance.min() < 12:
        return None
    scale = float(np.clip(camera.focal / distance.mean(), 1.0, 40.0))
    picture = paint(float(corners[1, 0] - corners[0, 0]), float(corners[2, 1] - corners[1, 1]), scale)
    return Card(picture, _fitted(picture, spots))


def _fitted(picture: Image, spots: Points) -> NDArray[np.float64]:
    """The map that brings a picture to corners given from the bottom left on, counter-clockwise."""
    rows, columns = picture.shape[:2]
    return perspective(np.array([(0, rows), (columns, rows), (columns, 0), (0, 0)], float) - 0.5, spots)


def _rail(
    camera: Camera,
    fixture: Fixture,
    number: int,
    reach: tuple[float, float],
    slots: Sequence[ShelfSlot],
    *,
    rng: np.random.Generator,
) -> list[Card]:
    """A board's price rail in pieces: in a slanting view the whole would have to be painted over half the picture."""
    top = fixture.boards[number].top
    xs = np.arange(reach[0], reach[1], 4.0)
    _, distance = camera.to_canvas(np.stack([xs, np.full_like(xs, top), np.full_like(xs, 0.8)], 1))
    ahead = xs[distance > 14]
    if len(ahead) < 2:
        return []
    left, right = float(ahead[0]), float(ahead[-1]) + 4.0
    scale = float(np.clip(camera.focal / np.median(distance[distance > 14]), 1.5, min(24.0, 5000 / (right - left))))
    strip = make_rail(fixture, (left, right), [slot.left + 0.3 for slot in slots], scale, rng)
    pieces = max(round((right - left) / _RAIL_PIECE), 1)
    cuts = np.rint(np.linspace(0, strip.shape[1], pieces + 1)).astype(int)
    cards = []
    for start, end in pairwise(cuts):
        x1, x2 = (left + (right - left) * cut / strip.shape[1] for cut in (start, end))
        corners = rectangle(x1, x2, top + 0.25 - fixture.rail, top + 0.25, 0.8)
        piece = np.ascontiguousarray(strip[:, start:end])
        cards.append(Card(piece, _fitted(piece, camera.to_canvas(corners)[0])))
    return cards


def _offer(camera: Camera, slot: ShelfSlot, top: float, rng: np.random.Generator) -> Card | None:
    wide, high = rng.uniform(8, 15), rng.uniform(5, 9)
    x = slot.left + rng.uniform(0, max(slot.right - slot.left - wide, 0.1))
    if rng.random() < 0.25:
        corners = rectangle(x, x + high, top - 0.6 * high, top + 0.4 * high, 2.0)
        return _card(camera, corners, lambda w, _, p: make_wobbler(round(w * p), rng))
    corners = rectangle(x, x + wide, top + 0.3 - high, top + 0.3, 1.2)
    return _card(camera, corners, lambda w, h, p: price_tag(w, h, p, rng, offer=True))


def _tray_print(slot: ShelfSlot, width: float, height: float, pixels_per_cm: float) -> Image:
    """The front of a shelf-ready tray: the product's own design on a low strip."""
    design = slot.pack.design
    # few resolutions and few widths, so that the same tray is painted once for many scenes
    pixels_per_cm = 2.0 ** round(np.log2(pixels_per_cm))
    wanted = max(round(width * pixels_per_cm), 4)
    if design is None:
        return np.full((max(round(height * pixels_per_cm), 4), wanted, 3), (95, 135, 170), np.uint8)
    printed = 5.0 * max(int(min(width, height * 5) / 5), 1)
    picture = np.array(paint_front(design, min(printed, width), height, pixels_per_cm))
    if wanted > picture.shape[1]:
        before = (wanted - picture.shape[1]) // 2
        after = wanted - picture.shape[1] - before
        picture = np.asarray(cv2.copyMakeBorder(picture, 0, 0, before, after, cv2.BORDER_REPLICATE), np.uint8)
    picture[:1] = 215
    return picture


def _glare(camera: Camera, fixture: Fixture, rng: np.random.Generator) -> Image:
    """Lamps mirrored in glass: soft slanted strips, to be added."""
    width, height = camera.canvas_size
    small = np.zeros((max(height // _GLARE_STEP, 4), max(width // _GLARE_STEP, 4), 3), np.uint8)
    for _ in range(int(rng.integers(2, 6))):
        x, y = int(rng.integers(0, small.shape[1])), int(rng.integers(0, small.shape[0]))
        slant, tall = int(rng.normal(0, 60)), int(rng.integers(40, 260))
        shade = int(rng.integers(25, 85))
        cv2.line(small, (x, y), (x + slant, y + tall), (shade, shade, int(shade * 0.95)), int(rng.integers(2, 22)))
    glare = cv2.GaussianBlur(small, (0, 0), 4) + np.uint8(6)
    pane = np.zeros(small.shape[:2], np.uint8)
    front = camera.polygon(rectangle(fixture.left, fixture.right, 2.0, fixture.height, 1.0))
    if len(front) >= 3:
        corners = np.round(front * 16 / _GLARE_STEP).astype(np.int32)
        cv2.fillPoly(pane, [corners], 1, cv2.LINE_8, 4)
    return np.asarray(glare * pane[..., None], np.uint8)
