"""A rendered shelf: furniture stocked with products, seen by a camera, with the truth about every pixel.

The picture is painted back to front. What never changes (placement, projections, light) is worked out once, so taking a
unit away repaints only the part of the picture that it covered.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from shelfvision.errors import ConfigError
from shelfvision.sim import fixture as furniture
from shelfvision.sim.block_views import block_in_view
from shelfvision.sim.fixture import Fixture, level, make_fixture, rectangle, visible_reach
from shelfvision.sim.layer import Layer
from shelfvision.sim.light import UNIT, light_map
from shelfvision.sim.optics import NEAR, Camera, Points, perspective
from shelfvision.sim.pack_sprite import Sprite
from shelfvision.sim.pack_views import SpriteCache
from shelfvision.sim.palette import hsv, mix
from shelfvision.sim.pictures import Image
from shelfvision.sim.placement import Projections, project_places, world_of
from shelfvision.sim.prints import paint_front_once
from shelfvision.sim.products import Packaging, make_assortment
from shelfvision.sim.scene_settings import SceneSettings
from shelfvision.sim.solids import block_faces
from shelfvision.sim.stocking import Place, ShelfSlot, Stocker, disturb, stock_board

Box = tuple[int, int, int, int]  # left, top, right, bottom, ends exclusive


@dataclass(frozen=True, slots=True)
class Unit:
    """One package that stands on the shelf now."""

    identity: int  # its value in the instance map
    slot: str
    sku: str  # what it is, which differs from the slot's when misplaced
    family: str
    column: int
    row: int
    stack: int
    misplaced: bool
    fallen: bool


@dataclass(frozen=True, slots=True)
class _Card:
    """A picture hanging at the front: promotion card, wobbler, front of a tray."""

    picture: Image
    matrix: NDArray[np.float64]


class Scene:
    """A shelf in front of a camera.

    Args:
        settings: what to build.
        seed: decides everything else.
        assortment: products to stock; made from the seed when absent.
        stocker: puts slots on one board; see ``stocking.stock_board``.
        cache: sprites to share between scenes.
        backdrop: photograph of what is behind and beside the furniture.

    Raises:
        ConfigError: no product of the assortment fits on any board that the camera sees.
    """

    def __init__(
        self,
        settings: SceneSettings,
        seed: int | np.random.SeedSequence,
        *,
        assortment: Sequence[Packaging] | None = None,
        stocker: Stocker = stock_board,
        cache: SpriteCache | None = None,
        backdrop: Image | None = None,
    ) -> None:
        root = seed if isinstance(seed, np.random.SeedSequence) else np.random.SeedSequence(seed)
        stock_rng, look_rng, light_rng, goods_rng = (np.random.default_rng(child) for child in root.spawn(4))
        self.settings = settings
        self.cache = cache if cache is not None else SpriteCache()
        products = list(assortment) if assortment is not None else make_assortment(goods_rng, settings.products)
        if not products:
            raise ConfigError("scene: the assortment has no products")
        goods = [(pack.size_cm[1], pack.stackable and settings.stacked > 0.25) for pack in products]
        # a planned shop hangs its boards by its plan
        self.fixture: Fixture = make_fixture(settings, look_rng, goods if stocker is stock_board else ())
        self.camera = Camera(
            settings.size,
            (settings.offset_cm, settings.height_cm, settings.distance_cm),
            settings.yaw, settings.pitch, settings.roll, settings.field_of_view, settings.distortion,
        )  # fmt: skip
        self.slots: list[ShelfSlot] = []
        self._reach: dict[int, tuple[float, float]] = {}
        for number, board in enumerate(self.fixture.boards):
            reach = visible_reach(self.camera, self.fixture, board)
            if reach is None:
                continue
            self._reach[number] = reach
            down = float(np.degrees(np.arctan2(settings.height_cm - board.top - 8, settings.distance_cm)))
            self.slots += stocker(self.fixture, number, reach, products, settings, down, stock_rng)
        if self._reach and not self.slots:
            raise ConfigError("scene: no product of the assortment fits on a board; use more products or fewer boards")
        disturb(self.slots, products, self.fixture, settings, stock_rng)
        self._by_id = {slot.id: slot for slot in self.slots}
        self._places: list[Place] = [place for slot in self.slots for place in slot.places]
        for number, place in enumerate(self._places):
            place.identity = number + 1
        self._owner = [slot for slot in self.slots for _ in slot.places]
        self._projections: Projections = project_places(self.camera, self._places)
        self._close_ups: dict[int, Sprite] = {}  # boxes drawn in true perspective, by place
        self._gain = self._unit_gains(look_rng)
        self._order = self._painting_order()
        self._make_pictures(look_rng, backdrop)
        self._light = light_map(self.camera, self.fixture, settings, light_rng)
        self._maps: tuple[NDArray[np.float32], NDArray[np.float32]] | None = (
            self.camera.lens_maps() if settings.distortion else None
        )
        width, height = self.camera.canvas_size
        self._canvas = np.zeros((height, width, 3), np.uint8)
        self._canvas_ids = np.zeros((height, width), np.uint16)
        self._image = np.zeros((settings.size[1], settings.size[0], 3), np.uint8)
        self.instance_map = np.zeros((settings.size[1], settings.size[0]), np.int32)
        self._repaint((0, 0, width, height))

    # ------------------------------------------------------------ what stands where

    def slot(self, slot_id: str) -> ShelfSlot:
        """A slot by its id; KeyError when there is none."""
        return self._by_id[slot_id]

    def units(self, slot_id: str | None = None) -> list[Unit]:
        """Units that stand in one slot or in all, the one that is taken next first."""
        slots = self.slots if slot_id is None else [self._by_id[slot_id]]
        return [self._unit(slot, place) for slot in slots for place in slot.present]

    def _unit(self, slot: ShelfSlot, place: Place) -> Unit:
        return Unit(
            place.identity, slot.id, place.pack.sku, place.pack.family, place.column, place.row, place.stack,
            place.pack.sku != slot.sku, abs(place.lean) > 45,
        )  # fmt: skip

    def silhouette(self, identity: int) -> float:
        """Pixels of the picture that a unit would cover alone, parts beyond the frame included."""
        sprite = self._sprite(identity - 1)
        spots = self.camera.to_picture(self._projections.anchors[identity - 1])
        return sprite.seen_area * _area(spots) / max(_area(sprite.anchors), 1e-6)

    def next_unit(self, slot_id: str) -> Unit | None:
        """The unit that is taken next; None when the slot is empty."""
        slot = self._by_id[slot_id]
        return self._unit(slot, slot.present[0]) if slot.count else None

    def next_place(self, slot_id: str) -> Place | None:
        """Where a unit that is put back comes to stand; None when the slot is full."""
        slot = self._by_id[slot_id]
        return slot.places[slot.capacity - slot.count - 1] if slot.count < slot.capacity else None

    def set_units(self, slot_id: str, count: int) -> Box | None:
        """Stock a slot with ``count`` units and repaint what that changes.

        Returns:
            The changed rectangle of the picture (left, top, right, bottom); None when nothing changed.

        Raises:
            ValueError: more units than fit, or fewer than none.
        """
        slot = self._by_id[slot_id]
        if not 0 <= count <= slot.capacity:
            raise ValueError(f"slot {slot_id}: {count} units, it holds 0 to {slot.capacity}")
        low, high = sorted((slot.count, count))
        moved = [place.identity - 1 for place in slot.places[slot.capacity - high : slot.capacity - low]]
        slot.count = count
        if not moved:
            return None
        boxes = np.stack([self._box(index) for index in moved])
        pad = 2 + int(3 * self._projections.scale[moved].max())
        width, height = self.camera.canvas_size
        box = (
            max(int(boxes[:, 0].min()) - pad, 0), max(int(boxes[:, 1].min()) - pad, 0),
            min(int(boxes[:, 2].max()) + pad, width), min(int(boxes[:, 3].max()) + pad, height),
        )  # fmt: skip
        return self._repaint(box) if box[0] < box[2] and box[1] < box[3] else None

    def point_on_shelf(self, slot_id: str, identity: int | None = None) -> tuple[tuple[float, float], float]:
        """Where a hand reaches for a unit.

        Args:
            slot_id: which slot.
            identity: which unit; the middle of the slot's front when absent.

        Returns:
            Pixel (x, y) of the middle of the unit's front, and pixels per centimetre there.
        """
        if identity is None:
            slot = self._by_id[slot_id]
            height = slot.pack.size_cm[1]
            middle = np.array([[(slot.left + slot.right) / 2, self.fixture.boards[slot.board].top + height / 2, -2.0]])
            spot, distance = self.camera.to_canvas(middle)
            scale = self.camera.focal / max(float(distance[0]), 6.0)
        else:
            spot = self._projections.anchors[identity - 1].mean(axis=0, keepdims=True)
            scale = float(self._projections.scale[identity - 1])
        x, y = self.camera.to_picture(spot)[0]
        return (float(x), float(y)), scale

    def slot_polygon(self, slot: ShelfSlot) -> Points:
        """Corners (4, 2) in pixels of a slot's front: bottom left, bottom right, top right, top left; not cut by the frame."""
        top = self.fixture.boards[slot.board].top
        corners = rectangle(slot.left, slot.right, top, top + slot.pack.size_cm[1] * slot.levels, -1.5)
        return self.camera.to_picture(self.camera.to_canvas(corners)[0])

    def gaps(self) -> list[tuple[ShelfSlot, Points]]:
        """Empty facings: runs with no unit in any row, as the polygon (n, 2) in pixels that a product's front would cover."""
        found = []
        for slot in self.slots:
            step = (slot.right - slot.left) / slot.facings
            taken = np.zeros(slot.facings, bool)
            for place in slot.present:
                width = place.pack.size_cm[1 if abs(place.lean) > 45 else 0]
                first, last = (place.x - width / 2 - slot.left) / step, (place.x + width / 2 - slot.left) / step
                taken[max(int(np.floor(first + 0.12)), 0) : max(int(np.ceil(last - 0.12)), 0)] = True
            edges = np.flatnonzero(np.diff(np.concatenate([[True], taken, [True]]).astype(int)))
            top = self.fixture.boards[slot.board].top
            for start, end in edges.reshape(-1, 2):
                left, right = slot.left + start * step, slot.left + end * step
                corners = rectangle(left, right, top, top + slot.pack.size_cm[1] * slot.levels, -1.5)
                polygon = self.camera.polygon(corners)
                if len(polygon) >= 3:
                    found.append((slot, self.camera.to_picture(polygon)))
        return found

    # ------------------------------------------------------------ pictures

    def render(self) -> Image:
        """The picture as it is now, (h, w, 3) BGR, lit and seen through the lens but without noise; do not write to it."""
        return self._image

    def unlit_sprite(self, identity: int) -> Image:
        """One unit's own picture, (h, w, 4) BGRA with colour multiplied by cover, to be carried in a hand."""
        return self._sprite(identity - 1).pixels

    def light(self, identity: int | None = None) -> NDArray[np.float64]:
        """(3,) BGR factors of the light: at one unit's place, its shade included, or on the whole."""
        if identity is None:
            return self._light.reshape(-1, 3).mean(axis=0) / UNIT
        x, y = self._projections.anchors[identity - 1].mean(axis=0)
        height, width = self._light.shape[:2]
        here = self._light[int(np.clip(y, 0, height - 1)), int(np.clip(x, 0, width - 1))]
        return np.asarray(here / UNIT * self._gain[identity - 1])

    def standing(self, identity: int) -> NDArray[np.float64]:
        """(2, 3) affine map from pixels of `unlit_sprite` to the picture, where the unit stands."""
        spots = self.camera.to_picture(self._projections.anchors[identity - 1])
        source = self._sprite(identity - 1).anchors[[0, 1, 3]].astype(np.float32)
        return np.asarray(cv2.getAffineTransform(source, spots[[0, 1, 3]].astype(np.float32)), np.float64)

    def _sprite(self, index: int) -> Sprite:
        places, place = self._projections, self._places[index]
        level, back = float(places.level[index]), abs(place.turn) > 90
        if not places.close[index]:
            azimuth, elevation = float(places.azimuth[index]), float(places.elevation[index])
            return self.cache.view(place.pack, level, azimuth, elevation, float(places.turn[index]))
        sprite = self._close_ups.get(index)
        if sprite is None:
            faces = block_faces(place.pack.size_cm, place.pack.gable_cm)
            spots, distance = self.camera.to_canvas(world_of(place, np.array([face.corners for face in faces])))
            width, height = self.camera.canvas_size
            window = (-0.5 * width, -0.5 * height, 1.5 * width, 1.5 * height)
            made = None
            if distance.min() > NEAR:
                made = block_in_view(place.pack, list(spots), places.anchors[index], window, level, back=back)
            sprite = made if made is not None else self.cache.view(place.pack, 2.0, 0.0, 0.0, 0.0)
            self._close_ups[index] = sprite
        return sprite

    def _box(self, index: int) -> NDArray[np.int64]:
        """Rectangle of the canvas that a unit's sprite can touch."""
        sprite = self._sprite(index)
        height, width = sprite.pixels.shape[:2]
        matrix = perspective(sprite.anchors, self._projections.anchors[index])
        edges = np.array([[[0, 0], [width, 0], [width, height], [0, height]]], np.float64)
        corners = cv2.perspectiveTransform(edges, matrix)[0]
        return np.concatenate([np.floor(corners.min(axis=0)), np.ceil(corners.max(axis=0))]).astype(np.int64)

    def _unit_gains(self, rng: np.random.Generator) -> NDArray[np.float64]:
        """Brightness of each place: darker towards the back, a little different for each."""
        rows = np.array([place.row for place in self._places], float)
        return (1 - 0.2 * self.settings.shadows) ** rows * rng.uniform(0.94, 1.04, len(rows))

    def _painting_order(self) -> dict[int, list[int]]:
        """For each board its places from the farthest to the nearest."""
        order: dict[int, list[int]] = {}
        camera_x, camera_y = self.camera.position[:2]
        for number, board in enumerate(self.fixture.boards):
            upwards = 1 if camera_y > board.top else -1

            def key(index: int, upwards: int = upwards) -> tuple[float, float, float]:
                place = self._places[index]
                front = place.z + place.pack.size_cm[2] / 2
                return round(front / 3.0), -round(abs(place.x - camera_x), 1), upwards * place.stack

            members = [i for i, slot in enumerate(self._owner) if slot.board == number]
            order[number] = sorted(members, key=key)
        return order

    def _make_pictures(self, rng: np.random.Generator, photograph: Image | None) -> None:
        settings, fixture = self.settings, self.fixture
        self._backdrop = furniture.make_backdrop(photograph, rng)
        self._floor = hsv(rng.uniform(0.05, 0.15), rng.uniform(0.02, 0.25), rng.uniform(0.35, 0.85))
        self._panel = furniture.make_panel(fixture, rng)
        self._rails: dict[int, _Card] = {}
        self._trays: dict[str, _Card] = {}
        self._cards: list[_Card] = []
        for number, reach in self._reach.items():
            board = fixture.boards[number]
            slots = [slot for slot in self.slots if slot.board == number]
            if fixture.rail > 0:
                self._make_rail(number, reach, slots, rng)
            for slot in slots:
                if slot.tray > 0:
                    card = rectangle(slot.left, slot.right, board.top, board.top + slot.tray, slot.tray_z)
                    self._hang(card, lambda w, h, p, slot=slot: _tray_print(slot, w, h, p), self._trays, slot.id)
                if fixture.rail > 0 and rng.random() < 0.12 * settings.promotions:
                    self._make_offer(slot, board.top, rng)
        self._glare = self._make_glare(rng) if settings.front in {"glass", "door"} else None
        self._wire_colour = mix((180, 184, 188), (90, 90, 92), rng.random())

    def _hang(self, corners: Points, paint, into: dict[str, _Card] | list[_Card], name: str = "") -> None:  # noqa: ANN001
        """Make a picture for an upright rectangle at the resolution that the camera sees it with."""
        spots, distance = self.camera.to_canvas(corners)
        if distance.min() < 12:
            return
        scale = float(np.clip(self.camera.focal / distance.mean(), 1.0, 40.0))
        picture = paint(corners[1, 0] - corners[0, 0], corners[2, 1] - corners[1, 1], scale)
        rows, columns = picture.shape[:2]
        source = np.array([(0, rows), (columns, rows), (columns, 0), (0, 0)], float) - 0.5
        card = _Card(picture, perspective(source, spots))
        if isinstance(into, dict):
            into[name] = card
        else:
            into.append(card)

    def _make_rail(
        self, number: int, reach: tuple[float, float], slots: Sequence[ShelfSlot], rng: np.random.Generator
    ) -> None:
        board = self.fixture.boards[number]
        xs = np.arange(reach[0], reach[1], 4.0)
        _, distance = self.camera.to_canvas(np.stack([xs, np.full_like(xs, board.top), np.full_like(xs, 0.8)], 1))
        ahead = xs[distance > 14]
        if len(ahead) < 2:
            return
        left, right = float(ahead[0]), float(ahead[-1]) + 4.0
        scale = float(
            np.clip(self.camera.focal / np.median(distance[distance > 14]), 1.5, min(24.0, 5000 / (right - left)))
        )
        tags = [slot.left + 0.3 for slot in slots]
        strip = furniture.make_rail(self.fixture, (left, right), tags, scale, rng)
        corners = rectangle(left, right, board.top + 0.25 - self.fixture.rail, board.top + 0.25, 0.8)
        spots, _ = self.camera.to_canvas(corners)
        rows, columns = strip.shape[:2]
        source = np.array([(0, rows), (columns, rows), (columns, 0), (0, 0)], float) - 0.5
        self._rails[number] = _Card(strip, perspective(source, spots))

    def _make_offer(self, slot: ShelfSlot, top: float, rng: np.random.Generator) -> None:
        wide, high = rng.uniform(8, 15), rng.uniform(5, 9)
        x = slot.left + rng.uniform(0, max(slot.right - slot.left - wide, 0.1))
        if rng.random() < 0.25:
            corners = rectangle(x, x + high, top - 0.6 * high, top + 0.4 * high, 2.0)
            self._hang(corners, lambda w, _h, p: furniture.make_wobbler(round(w * p), rng), self._cards)
        else:
            corners = rectangle(x, x + wide, top + 0.3 - high, top + 0.3, 1.2)
            self._hang(corners, lambda w, h, p: furniture.price_tag(w, h, p, rng, offer=True), self._cards)

    def _make_glare(self, rng: np.random.Generator) -> Image:
        """Lamps mirrored in glass: soft slanted strips, at a quarter of the canvas."""
        width, height = self.camera.canvas_size
        small = np.zeros((max(height // 4, 4), max(width // 4, 4), 3), np.uint8)
        for _ in range(int(rng.integers(2, 6))):
            x, y = int(rng.integers(0, small.shape[1])), int(rng.integers(0, small.shape[0]))
            slant, tall = int(rng.normal(0, 60)), int(rng.integers(40, 260))
            shade = int(rng.integers(25, 85))
            cv2.line(small, (x, y), (x + slant, y + tall), (shade, shade, int(shade * 0.95)), int(rng.integers(2, 22)))
        glare = cv2.GaussianBlur(small, (0, 0), 4) + np.uint8(6)
        front = rectangle(self.fixture.left, self.fixture.right, 2.0, self.fixture.height, 1.0)
        pane = np.zeros(small.shape[:2], np.uint8)
        cv2.fillPoly(pane, [np.round(self.camera.polygon(front) * 4).astype(np.int32)], 1, cv2.LINE_8, 4)
        return np.asarray(glare * pane[..., None], np.uint8)

    # ------------------------------------------------------------ painting

    def _repaint(self, box: Box) -> Box:
        left, top, right, bottom = box
        width, height = self.camera.canvas_size
        # smooth edges of shapes differ where a layer ends: paint a little more than is taken
        rim = 3
        layer = Layer((max(left - rim, 0), max(top - rim, 0), min(right + rim, width), min(bottom + rim, height)))
        self._paint(layer)
        inner = slice(top - layer.top, bottom - layer.top), slice(left - layer.left, right - layer.left)
        light = self._light[top:bottom, left:right]
        self._canvas[top:bottom, left:right] = cv2.multiply(layer.image[inner], light, scale=1 / UNIT)
        self._canvas_ids[top:bottom, left:right] = layer.ids[inner]
        return self._through_lens(box)

    def _through_lens(self, box: Box) -> Box:
        margin_x, margin_y = self.camera.margin
        width, height = self.settings.size
        left, top, right, bottom = box
        if self._maps is None:
            x1, y1 = max(left - margin_x, 0), max(top - margin_y, 0)
            x2, y2 = min(right - margin_x, width), min(bottom - margin_y, height)
            if x1 < x2 and y1 < y2:
                source = slice(y1 + margin_y, y2 + margin_y), slice(x1 + margin_x, x2 + margin_x)
                self._image[y1:y2, x1:x2] = self._canvas[source]
                self.instance_map[y1:y2, x1:x2] = self._canvas_ids[source]
            return x1, y1, max(x2, x1), max(y2, y1)
        steps = np.linspace(0, 1, 17)
        xs, ys = left + (right - left) * steps, top + (bottom - top) * steps
        border = np.concatenate([
            np.stack([xs, np.full(17, top)], 1), np.stack([xs, np.full(17, bottom)], 1),
            np.stack([np.full(17, left), ys], 1), np.stack([np.full(17, right), ys], 1),
        ])  # fmt: skip
        seen = self.camera.to_picture(border)
        x1, y1 = np.maximum(np.floor(seen.min(axis=0)).astype(int) - 2, 0)
        x2, y2 = np.minimum(np.ceil(seen.max(axis=0)).astype(int) + 3, (width, height))
        if x1 >= x2 or y1 >= y2:
            return int(x1), int(y1), int(x1), int(y1)
        map_x, map_y = (part[y1:y2, x1:x2] for part in self._maps)
        self._image[y1:y2, x1:x2] = cv2.remap(
            self._canvas, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        # identities fit in 16 bits, which OpenCV can remap: the nearest canvas pixel, as the picture's main part
        ids = cv2.remap(self._canvas_ids, map_x, map_y, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)
        self.instance_map[y1:y2, x1:x2] = ids
        return int(x1), int(y1), int(x2), int(y2)

    def _paint(self, layer: Layer) -> None:
        camera, fixture = self.camera, self.fixture
        furniture.paint_surroundings(layer, camera, self._backdrop, self._floor, fixture)
        if fixture.kind != "table":
            furniture.paint_back(layer, camera, fixture, self._panel)
        eye = camera.position[1]
        above = [n for n, board in enumerate(fixture.boards) if board.top >= eye]
        below = [n for n, board in enumerate(fixture.boards) if board.top < eye]
        spread = max(2.0 * camera.focal / max(self.settings.distance_cm, 20.0), 1.0)
        for number in reversed(above):  # seen from below: goods first, their board hides their feet
            self._paint_goods(layer, number)
            self._paint_furniture(layer, number, spread)
        for number in below:
            self._paint_furniture(layer, number, spread)
            self._paint_goods(layer, number)
        if fixture.kind != "table":
            furniture.paint_outer_sides(layer, camera, fixture)
        for card in self._cards:
            layer.picture(card.picture, card.matrix)
        self._paint_front(layer)

    def _paint_furniture(self, layer: Layer, number: int, spread: float) -> None:
        board = self.fixture.boards[number]
        furniture.paint_board(layer, self.camera, self.fixture, board)
        if self.fixture.kind != "table":
            layer.darken(
                furniture.board_shadow(self.camera, self.fixture, board), 0.6 * self.settings.shadows, spread * 2
            )
        if self.camera.position[1] > board.top:
            layer.darken(self._contact_shadows(number), 0.75 * self.settings.shadows, spread * 0.5)
        rail = self._rails.get(number)
        if rail is not None:
            layer.picture(rail.picture, rail.matrix)

    def _contact_shadows(self, number: int) -> list[NDArray[np.float64]]:
        top = self.fixture.boards[number].top
        shadows = []
        for slot in self.slots:
            if slot.board != number:
                continue
            for place in slot.present:
                if place.stack == 0 and self._projections.visible[place.identity - 1]:
                    width, height, depth = place.pack.size_cm
                    half = (height if abs(place.lean) > 45 else width) / 2 + 0.5
                    z = place.z
                    shadows.append(
                        camera_polygon(
                            self.camera,
                            level(
                                place.x - half, place.x + half + 0.8, top, min(z + depth / 2 + 0.9, 0.3), z - depth / 2
                            ),
                        )
                    )
        return [corners for corners in shadows if len(corners) >= 3]

    def _paint_goods(self, layer: Layer, number: int) -> None:
        places = self._projections
        left, top = layer.left, layer.top
        right, bottom = left + layer.image.shape[1], top + layer.image.shape[0]
        low, high = places.low, places.high
        pending = {slot.id for slot in self.slots if slot.board == number and slot.id in self._trays}
        hidden = self._hidden(number)
        for index in self._order.get(number, ()):
            slot, place = self._owner[index], self._places[index]
            if not places.visible[index] or place.identity in hidden or not self._stands(slot, place):
                continue
            if low[index, 0] >= right or high[index, 0] < left or low[index, 1] >= bottom or high[index, 1] < top:
                continue
            sprite = self._sprite(index)
            layer.sprite(
                sprite, perspective(sprite.anchors, places.anchors[index]), place.identity, float(self._gain[index])
            )
        for name in sorted(pending):
            layer.picture(self._trays[name].picture, self._trays[name].matrix)

    def _stands(self, slot: ShelfSlot, place: Place) -> bool:
        first = slot.places[0].identity
        return place.identity - first >= slot.capacity - slot.count

    def _hidden(self, number: int) -> set[int]:
        """Units fully behind an equal one in front of them, which need no painting."""
        hidden: set[int] = set()
        places = self._projections
        for slot in self.slots:
            if slot.board != number or slot.rows < 2:
                continue
            nearest: dict[tuple[int, int], list[int]] = {}
            for place in sorted(slot.present, key=lambda p: p.row):
                if abs(place.lean) > 1 or place.pack.sku != slot.sku:
                    continue
                index = place.identity - 1
                before = nearest.setdefault((place.column, place.stack), [])
                needed = 1 if place.pack.solid in {"block", "gable"} else 2
                if len(before) >= needed:
                    cover = before[-1]
                    inside = (places.low[cover] - 0.5 <= places.low[index]).all() and (
                        places.high[cover] + 0.5 >= places.high[index]
                    ).all()
                    if inside:
                        hidden.add(place.identity)
                        continue
                before.append(index)
        return hidden

    def _paint_front(self, layer: Layer) -> None:
        fixture, camera, kind = self.fixture, self.camera, self.settings.front
        if kind == "wire" and fixture.rail > 0:
            scale = camera.focal / max(self.settings.distance_cm, 20)
            thick = max(int(0.35 * scale), 1)
            wires = []
            for number, reach in self._reach.items():
                top = fixture.boards[number].top
                for y in (2.5, 5.0):
                    wires.append(
                        camera_polygon(
                            camera,
                            np.array([(reach[0], top + y, 0.9), (reach[1], top + y, 0.9), (reach[1], top + y, 0.9)]),
                        )
                    )
                wires += [
                    camera_polygon(camera, np.array([(x, top, 0.9), (x, top + 5, 0.9), (x, top + 5, 0.9)]))
                    for x in np.arange(reach[0], reach[1], 24.0)
                ]
            layer.lines(wires, self._wire_colour, thick)
        if self._glare is not None:
            height, width = layer.image.shape[:2]
            shift = np.array([[0.25, 0, layer.left * 0.25], [0, 0.25, layer.top * 0.25]])
            glare = cv2.warpAffine(
                self._glare,
                shift,
                (width, height),
                flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
                borderMode=cv2.BORDER_REPLICATE,
            )
            cv2.add(layer.image, glare, dst=layer.image)
        if kind == "door" and fixture.kind != "table":
            frame = mix(fixture.board_colour, (120, 122, 124), 0.4)
            for x in fixture.uprights:
                layer.polygon(camera.polygon(rectangle(x - 2.2, x + 2.2, 4, fixture.height, 5.0)), frame)
                layer.polygon(camera.polygon(rectangle(x + 5, x + 7, 85, 130, 8.0)), mix(frame, (0, 0, 0), 0.55))
            for y in (4.0, fixture.height - 5):
                layer.polygon(camera.polygon(rectangle(fixture.left, fixture.right, y, y + 5, 5.0)), frame)


def camera_polygon(camera: Camera, corners: Points) -> Points:
    """As ``Camera.polygon``."""
    return camera.polygon(corners)


def _tray_print(slot: ShelfSlot, width: float, height: float, pixels_per_cm: float) -> Image:
    design = slot.pack.design
    if design is None:
        picture = np.empty((max(round(height * pixels_per_cm), 4), max(round(width * pixels_per_cm), 4), 3), np.uint8)
        picture[:] = (95, 135, 170)
        return picture
    picture = paint_front_once(design, min(width, height * 5), height, pixels_per_cm)
    wanted = max(round(width * pixels_per_cm), 4)
    if wanted > picture.shape[1]:
        before = (wanted - picture.shape[1]) // 2
        picture = cv2.copyMakeBorder(picture, 0, 0, before, wanted - picture.shape[1] - before, cv2.BORDER_REPLICATE)
    picture[:1] = 215
    return picture


def _area(corners: NDArray[np.floating]) -> float:
    x, y = corners[:, 0], corners[:, 1]
    return float(abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2)
