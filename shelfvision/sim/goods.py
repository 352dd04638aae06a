"""The goods of a scene as the camera sees them: every place's picture, the order of painting, shadows at their feet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

import cv2
import numpy as np
from numpy.typing import NDArray

from shelfvision.sim.block_views import block_in_view
from shelfvision.sim.fixture import Fixture
from shelfvision.sim.layer import Layer
from shelfvision.sim.optics import NEAR, Camera, Points, perspective
from shelfvision.sim.pack_sprite import Sprite
from shelfvision.sim.pack_views import SpriteCache
from shelfvision.sim.packaging import Packaging
from shelfvision.sim.placement import project_places, world_of
from shelfvision.sim.solids import block_faces
from shelfvision.sim.stocking import ShelfSlot

_ROW_SHADE = 0.2  # light that each row farther back loses in the strongest shade


class Goods:
    """All places of a scene, stocked or not; identities are their numbers from 1.

    Args:
        camera: who looks.
        fixture: what they stand on.
        slots: whose places to number and project; each place gets its identity.
        shade: strength of shadows, 0 to 1.
        cache: drawn packages.
        rng: of the small differences in brightness.
    """

    def __init__(
        self,
        camera: Camera,
        fixture: Fixture,
        slots: Sequence[ShelfSlot],
        *,
        shade: float,
        cache: SpriteCache,
        rng: np.random.Generator,
    ) -> None:
        self._camera, self._fixture, self._cache = camera, fixture, cache
        self._slots: dict[int, list[ShelfSlot]] = {number: [] for number in range(len(fixture.boards))}
        for slot in slots:
            self._slots[slot.board].append(slot)
        self._places = [place for slot in slots for place in slot.places]
        for number, place in enumerate(self._places):
            place.identity = number + 1
        self._owner = [slot for slot in slots for _ in slot.places]
        numbers = [number for number, slot in enumerate(slots) for _ in slot.places]
        self.projections = project_places(camera, self._places, numbers)
        rows = np.array([place.row for place in self._places], float)
        self.gain = (1 - _ROW_SHADE * shade) ** rows * rng.uniform(0.94, 1.04, len(rows))
        self._order = {number: self._painting_order(number) for number in self._slots}
        self._areas: NDArray[np.float64] | None = None  # of each place's reference rectangle in the picture
        self._sprites: dict[int, Sprite] = {}  # by place, as far as they were needed

    def swap(self, identity: int, pack: Packaging) -> None:
        """From now on another product stands at a place, when something does."""
        index = identity - 1
        place = self._places[index]
        place.pack, place.turn, place.lean = pack, 0.0, 0.0
        row = project_places(self._camera, [place])
        for column in fields(row):
            getattr(self.projections, column.name)[index] = getattr(row, column.name)[0]
        self._sprites.pop(index, None)

    def sprite(self, identity: int) -> Sprite:
        """The picture of one place's unit."""
        index = identity - 1
        sprite = self._sprites.get(index)
        if sprite is None:
            sprite = self._close_up(index) if self.projections.close[index] else self._from_afar(index)
            self._sprites[index] = sprite
        return sprite

    def _from_afar(self, index: int) -> Sprite:
        seen = self.projections
        view = (seen.level[index], seen.azimuth[index], seen.elevation[index], seen.turn[index])
        return self._cache.view(self._places[index].pack, *(float(number) for number in view))

    def _close_up(self, index: int) -> Sprite:
        """A box in true perspective."""
        seen, place = self.projections, self._places[index]
        faces = block_faces(place.pack.size_cm, place.pack.gable_cm)
        spots, distance = self._camera.to_canvas(world_of(place, np.array([face.corners for face in faces])))
        width, height = self._camera.canvas_size
        window = (-0.5 * width, -0.5 * height, 1.5 * width, 1.5 * height)
        made = None
        if distance.min() > NEAR:
            back, scale = abs(place.turn) > 90, float(seen.level[index])
            made = block_in_view(place.pack, list(spots), seen.anchors[index], window, scale, back=back)
        return made if made is not None else self._cache.view(place.pack, 2.0, 0.0, 0.0, 0.0)

    def silhouette(self, identity: int) -> float:
        """Pixels of the picture that a unit would cover alone, parts beyond the frame included."""
        if self._areas is None:
            self._areas = _areas(self._camera.to_picture(self.projections.anchors))
        sprite = self.sprite(identity)
        return sprite.seen_area * float(self._areas[identity - 1]) / max(float(_areas(sprite.anchors)), 1e-6)

    def matrix(self, identity: int) -> NDArray[np.float64]:
        """(3, 3) map from the pixels of a unit's sprite to the canvas."""
        return perspective(self.sprite(identity).anchors, self.projections.anchors[identity - 1])

    def box(self, identity: int) -> NDArray[np.int64]:
        """Rectangle of the canvas that a unit's sprite can touch: left, top, right, bottom."""
        height, width = self.sprite(identity).pixels.shape[:2]
        edges = np.array([[[0, 0], [width, 0], [width, height], [0, height]]], np.float64)
        corners = cv2.perspectiveTransform(edges, self.matrix(identity))[0]
        return np.concatenate([np.floor(corners.min(axis=0)), np.ceil(corners.max(axis=0))]).astype(np.int64)

    def paint(self, layer: Layer, board: int) -> None:
        """Paint the units that stand on a board, the farthest first."""
        seen = self.projections
        left, top = layer.left, layer.top
        right, bottom = left + layer.image.shape[1], top + layer.image.shape[0]
        inside = (seen.low < (right, bottom)).all(axis=1) & (seen.high >= (left, top)).all(axis=1) & seen.visible
        for index, here in zip(self._order[board], inside[self._order[board]].tolist(), strict=True):
            if here and self._stands(index):
                identity = self._places[index].identity
                sprite = self.sprite(identity)
                matrix = perspective(sprite.anchors, seen.anchors[index])
                layer.sprite(sprite, matrix, identity, float(self.gain[index]))

    def contact_shadows(self, board: int) -> list[Points]:
        """Where units keep the light off a board: polygons on the canvas."""
        feet = []
        visible = self.projections.visible
        for slot in self._slots[board]:
            for place in slot.present:
                if place.stack == 0 and visible[place.identity - 1]:
                    width, height, depth = place.pack.size_cm
                    half = (height if abs(place.lean) > 45 else width) / 2 + 0.5
                    front = min(place.z + depth / 2 + 0.9, 0.3)
                    feet.append((place.x - half, place.x + half + 0.8, front, place.z - depth / 2))
        if not feet:
            return []
        left, right, front, back = np.array(feet).T
        top = np.full_like(left, self._fixture.boards[board].top)
        ways = ((left, front), (right, front), (right, back), (left, back))
        corners = np.stack([np.stack([x, top, z], axis=1) for x, z in ways], axis=1)
        spots, distance = self._camera.to_canvas(corners)
        return list(spots[distance.min(axis=1) > NEAR])

    def _stands(self, index: int) -> bool:
        slot = self._owner[index]
        return self._places[index].identity - slot.places[0].identity >= slot.capacity - slot.count

    def _painting_order(self, board: int) -> list[int]:
        """A board's places from the farthest to the nearest."""
        camera_x, camera_y = self._camera.position[:2]
        upwards = 1 if camera_y > self._fixture.boards[board].top else -1

        def key(index: int) -> tuple[float, float, float]:
            place = self._places[index]
            front = place.z + place.pack.size_cm[2] / 2
            return round(front / 3.0), -round(abs(place.x - camera_x), 1), upwards * place.stack

        return sorted((i for i, slot in enumerate(self._owner) if slot.board == board), key=key)


def _areas(corners: NDArray[np.floating]) -> NDArray[np.float64]:
    """Areas of quadrilaterals (..., 4, 2): half the cross product of their diagonals."""
    first, second = corners[..., 2, :] - corners[..., 0, :], corners[..., 3, :] - corners[..., 1, :]
    return np.asarray(np.abs(first[..., 0] * second[..., 1] - first[..., 1] * second[..., 0]) / 2, np.float64)
