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
from shelfvision.sim.dressing import dress, paint_before
from shelfvision.sim.fixture import Fixture, make_fixture, rectangle, visible_reach
from shelfvision.sim.furniture_paint import (
    paint_back,
    paint_board,
    paint_outer_sides,
    paint_surroundings,
    panel_shadows,
)
from shelfvision.sim.gaps import Gap, find_gaps
from shelfvision.sim.goods import Goods
from shelfvision.sim.layer import Layer
from shelfvision.sim.light import UNIT, light_map
from shelfvision.sim.optics import Camera, Points
from shelfvision.sim.pack_views import SpriteCache
from shelfvision.sim.packaging import Packaging
from shelfvision.sim.pictures import Image
from shelfvision.sim.products import make_assortment
from shelfvision.sim.scene_settings import SceneSettings
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
        self._spread = max(2.0 * self.camera.focal / max(settings.distance_cm, 20.0), 1.0)  # pixels of half-shade
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
        shade = settings.shadows
        self._goods = Goods(self.camera, self.fixture, self.slots, shade=shade, cache=self.cache, rng=look_rng)
        self._dressing = dress(
            self.camera, self.fixture, self.slots, self._reach, settings, photograph=backdrop, rng=look_rng
        )
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
        return self._goods.silhouette(identity)

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
        moved = [place.identity for place in slot.places[slot.capacity - high : slot.capacity - low]]
        slot.count = count
        if not moved:
            return None
        boxes = np.stack([self._goods.box(identity) for identity in moved])
        pad = 2 + int(3 * self._goods.projections.scale[np.array(moved) - 1].max())
        width, height = self.camera.canvas_size
        box = (
            max(int(boxes[:, 0].min()) - pad, 0), max(int(boxes[:, 1].min()) - pad, 0),
            min(int(boxes[:, 2].max()) + pad, width), min(int(boxes[:, 3].max()) + pad, height),
        )  # fmt: skip
        return self._repaint(box) if box[0] < box[2] and box[1] < box[3] else None

    def swap_pack(self, slot_id: str, identity: int, pack: Packaging) -> None:
        """Let another product stand at a place of a slot, from the next time that a unit comes to it.

        Raises:
            ValueError: something stands there now.
        """
        if any(place.identity == identity for place in self._by_id[slot_id].present):
            raise ValueError(f"slot {slot_id}: place {identity} is occupied")
        self._goods.swap(identity, pack)

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
            spot = self._goods.projections.anchors[identity - 1].mean(axis=0, keepdims=True)
            scale = float(self._goods.projections.scale[identity - 1])
        x, y = self.camera.to_picture(spot)[0]
        return (float(x), float(y)), scale

    def slot_polygon(self, slot: ShelfSlot) -> Points:
        """Pixels (4, 2) of a slot's front: bottom left, bottom right, top right, top left; not cut by the frame."""
        top = self.fixture.boards[slot.board].top
        corners = rectangle(slot.left, slot.right, top, top + slot.pack.size_cm[1] * slot.levels, -1.5)
        return self.camera.to_picture(self.camera.to_canvas(corners)[0])

    def gaps(self) -> list[tuple[Gap, Points]]:
        """Where boards are empty to the eye, as the pixels (n, 2) of what a row of goods there would cover."""
        found = []
        for number, reach in self._reach.items():
            board = self.fixture.boards[number]
            slots = [slot for slot in self.slots if slot.board == number]
            for gap in find_gaps(slots, board, reach, table=self.fixture.kind == "table"):
                corners = rectangle(gap.left, gap.right, board.top, board.top + gap.height, -1.5)
                polygon = self.camera.polygon(corners)
                if len(polygon) >= 3:
                    found.append((gap, self.camera.to_picture(polygon)))
        return found

    # ------------------------------------------------------------ pictures

    def render(self) -> Image:
        """The picture now, (h, w, 3) BGR, lit and seen through the lens but without noise; do not write to it."""
        return self._image

    def unlit_sprite(self, identity: int) -> Image:
        """One unit's own picture, (h, w, 4) BGRA with colour multiplied by cover, to be carried in a hand."""
        return self._goods.sprite(identity).pixels

    def light(self, identity: int | None = None) -> NDArray[np.float64]:
        """(3,) BGR factors of the light: at one unit's place, its shade included, or on the whole."""
        if identity is None:
            return np.array(cv2.mean(self._light)[:3]) / UNIT
        x, y = self._goods.projections.anchors[identity - 1].mean(axis=0)
        height, width = self._light.shape[:2]
        here = self._light[int(np.clip(y, 0, height - 1)), int(np.clip(x, 0, width - 1))]
        return np.asarray(here / UNIT * self._goods.gain[identity - 1])

    def standing(self, identity: int) -> NDArray[np.float64]:
        """(2, 3) affine map from pixels of `unlit_sprite` to the picture, where the unit stands."""
        spots = self.camera.to_picture(self._goods.projections.anchors[identity - 1])
        source = self._goods.sprite(identity).anchors[[0, 1, 3]].astype(np.float32)
        return np.asarray(cv2.getAffineTransform(source, spots[[0, 1, 3]].astype(np.float32)), np.float64)

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
        camera, fixture, dressing = self.camera, self.fixture, self._dressing
        paint_surroundings(layer, camera, dressing.backdrop, dressing.floor, fixture)
        if fixture.kind != "table":
            paint_back(layer, camera, fixture, dressing.panel)
            layer.darken(panel_shadows(camera, fixture), 0.6 * self.settings.shadows, 2 * self._spread)
        eye = camera.position[1]
        above = [n for n, board in enumerate(fixture.boards) if board.top >= eye]
        below = [n for n, board in enumerate(fixture.boards) if board.top < eye]
        for number in reversed(above):  # seen from below: goods first, their board hides their feet
            self._paint_goods(layer, number)
            self._paint_board(layer, number)
        for number in below:
            self._paint_board(layer, number)
            self._paint_goods(layer, number)
        if fixture.kind != "table":
            paint_outer_sides(layer, camera, fixture)
        paint_before(layer, camera, fixture, dressing, self.settings)

    def _paint_goods(self, layer: Layer, number: int) -> None:
        self._goods.paint(layer, number)
        for card in self._dressing.trays.get(number, ()):
            card.paint(layer)

    def _paint_board(self, layer: Layer, number: int) -> None:
        board, shade = self.fixture.boards[number], self.settings.shadows
        paint_board(layer, self.camera, self.fixture, board, shade)
        if self.camera.position[1] > board.top:
            layer.darken(self._goods.contact_shadows(number), 0.75 * shade, 0.5 * self._spread)
        for card in self._dressing.rails.get(number, ()):
            card.paint(layer)
