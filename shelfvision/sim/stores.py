"""The named simulated stores: which slots and products there are, and how the camera sees them, by seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from shelfvision.core.catalogue import Product, gtin_check_digit
from shelfvision.core.planogram import Slot
from shelfvision.sim.fixture import Fixture, make_fixture
from shelfvision.sim.optics import Camera
from shelfvision.sim.pack_views import SpriteCache
from shelfvision.sim.packaging import Packaging
from shelfvision.sim.products import make_assortment
from shelfvision.sim.scene import Scene
from shelfvision.sim.scene_settings import SceneSettings, changed
from shelfvision.sim.stocking import Place, ShelfSlot, stock_board

SIZE = (1280, 720)
_ROW_NAMES = "abcdefg"


@dataclass(frozen=True, slots=True)
class StoreKind:
    """What all seeds of a named store have in common."""

    name: str
    fixture: str
    boards: int  # of the fixture
    shown: int  # boards whose slots are in the plan
    per_board: int  # slots
    rows: int  # units behind each other
    people: bool  # whole people come into view; else only arms, and bodies that pass close by
    approaches: tuple[str, ...]  # ways in which hands come, see `wardrobe.APPROACHES`
    arrival_seconds: float  # mean time between people
    widest_cm: float  # of a product
    most_facings: int
    front: str = "none"
    pitch: tuple[float, float] = (4.0, 14.0)
    field_of_view: tuple[float, float] = (54.0, 64.0)


STORES = {
    kind.name: kind
    for kind in (
        StoreKind("corner", "gondola", 6, 2, 3, 1, False, ("low", "low", "level"), 6.5, 13.0, 4),
        StoreKind("aisle", "gondola", 5, 5, 8, 2, True, ("low",), 7.0, 17.0, 6, field_of_view=(62.0, 70.0)),
        StoreKind("chiller", "chiller", 5, 3, 5, 2, True, ("low",), 8.0, 12.0, 5, front="door"),
        StoreKind("table", "table", 1, 1, 4, 1, False, ("above", "level"), 6.0, 12.0, 2, pitch=(14.0, 26.0)),
    )
}


@dataclass(frozen=True, slots=True)
class SimulatedStore:
    """One camera's view of a store."""

    kind: StoreKind
    seed: int
    scene: Scene
    slots: tuple[ShelfSlot, ...]  # those of the plan, left to right and from the upper board down

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the picture in pixels."""
        return self.scene.settings.size

    def plan(self) -> tuple[Slot, ...]:
        """The slots as a site file says them."""
        return tuple(
            Slot(slot.id, _corners(self.scene, slot), slot.sku, slot.facings, slot.capacity) for slot in self.slots
        )

    def products(self) -> tuple[Product, ...]:
        """The catalogue, one product a slot at least, each once."""
        rng = np.random.default_rng([self.seed, 77])
        packs: dict[str, Packaging] = {}
        for slot in self.slots:
            packs.setdefault(slot.sku, slot.pack)
        products = []
        for number, (sku, pack) in enumerate(packs.items()):
            body = f"200{self.seed % 10**5:05d}{number:04d}"  # GS1 prefix 200: numbers for use within a company
            price = round(float(np.exp(rng.normal(1.0, 0.5))), 2)
            products.append(
                Product(
                    sku=sku,
                    name=pack.name.strip()[:200] or sku,
                    gtin=body + str(gtin_check_digit(body)),
                    category=pack.family.replace("_", " "),
                    price=price,
                    unit_margin=round(price * float(rng.uniform(0.18, 0.42)), 2),
                    backroom_units=int(rng.integers(12, 60)),
                )
            )
        return tuple(products)


def build_store(name: str, seed: int) -> SimulatedStore:
    """A named store as the seed makes it.

    Raises:
        KeyError: there is no store of that name.
    """
    kind = STORES[name]
    root = np.random.SeedSequence([seed, *name.encode()])
    rng = np.random.default_rng(root.spawn(1)[0])
    scene_seed = int(rng.integers(2**31))
    settings = _furniture(kind, rng)
    fixture = make_fixture(settings, np.random.default_rng(np.random.SeedSequence(scene_seed).spawn(4)[1]))
    shown = _shown_boards(kind, fixture, rng)
    settings = _camera(kind, settings, fixture, shown, rng)
    assortment = make_assortment(rng, 90)
    camera = Camera(
        settings.size,
        (settings.offset_cm, settings.height_cm, settings.distance_cm),
        settings.yaw,
        settings.pitch,
        settings.roll,
        settings.field_of_view,
        settings.distortion,
    )
    stocker = _Planned(kind, shown, camera, rng)
    scene = Scene(settings, scene_seed, assortment=assortment, stocker=stocker, cache=SpriteCache(24_000_000))
    order = sorted((slot for slot in scene.slots if slot.id.startswith(f"{name}-")), key=lambda slot: slot.id)
    return SimulatedStore(kind, seed, scene, tuple(order))


def store_plan(name: str, seed: int = 1) -> tuple[tuple[int, int], tuple[Slot, ...], tuple[Product, ...]]:
    """What a site file must say of a simulated store: picture size, slots and products.

    Raises:
        KeyError: there is no store of that name.
    """
    store = build_store(name, seed)
    return store.size, store.plan(), store.products()


def _furniture(kind: StoreKind, rng: np.random.Generator) -> SceneSettings:
    return SceneSettings(
        size=SIZE,
        fixture=kind.fixture,
        back=str(rng.choice(("plain", "plain", "perforated", "dark", "slats"))),
        front="none",
        boards=kind.boards,
        bays={"aisle": 5, "table": 1}.get(kind.name, 3),
        fill=1.0,
        rows=kind.rows,
        stacked=0.0,
        misplaced=0.0,
        fallen=0.0,
        leaning=0.0,
        turned=float(rng.uniform(0, 0.05)),
        loose=float(rng.uniform(0.05, 0.4)),
        faced_up=0.9,
        trays=0.0,
        promotions=float(rng.uniform(0, 0.3)),
        brightness=float(np.clip(rng.normal(1.08, 0.1), 0.8, 1.35)),
        temperature=float(np.clip(rng.normal(0, 0.25), -0.8, 0.8)),
        unevenness=float(rng.uniform(0.1, 0.7)),
        shadows=float(rng.uniform(0.4, 0.9)),
        contrast=float(np.clip(rng.normal(1.03, 0.08), 0.8, 1.25)),
    )


def _shown_boards(kind: StoreKind, fixture: Fixture, rng: np.random.Generator) -> range:
    """The boards in the plan: those about breast height when not all are."""
    spare = len(fixture.boards) - kind.shown
    first = min(spare, max(0, round(spare * rng.uniform(0.35, 0.9))))
    return range(first, first + kind.shown)


def _camera(
    kind: StoreKind, settings: SceneSettings, fixture: Fixture, shown: range, rng: np.random.Generator
) -> SceneSettings:
    """Place the camera so that the shown boards fill most of the picture."""
    view = float(rng.uniform(*kind.field_of_view))
    pitch = float(rng.uniform(*kind.pitch))
    lower, upper = (
        fixture.boards[shown.start].top - 7.0,
        min(fixture.boards[shown.stop - 1].ceiling, fixture.height + 6),
    )
    if kind.fixture == "table":
        lower, upper = fixture.boards[0].top - 8.0, fixture.boards[0].top + 30.0
    half_tall = np.arctan(np.tan(np.radians(view / 2)) * SIZE[1] / SIZE[0])
    distance = float((upper - lower) / 2 / np.tan(half_tall) / np.cos(np.radians(pitch)) * rng.uniform(1.04, 1.12))
    distance = float(np.clip(distance, 62, 420))
    height = (lower + upper) / 2 + distance * float(np.tan(np.radians(pitch)))
    return changed(
        settings,
        field_of_view=view,
        pitch=pitch,
        distance_cm=distance,
        height_cm=float(np.clip(height, 20, 285)),
        yaw=float(np.clip(rng.normal(0, 4), -9, 9)),
        roll=float(np.clip(rng.normal(0, 0.8), -2, 2)),
        offset_cm=0.0,
        distortion=float(rng.uniform(0, 0.05)),
    )


class _Planned:
    """Lays the planned slots on the shown boards; other boards are filled as the scene would."""

    def __init__(self, kind: StoreKind, shown: range, camera: Camera, rng: np.random.Generator) -> None:
        self._kind = kind
        self._camera = camera
        self._shown = shown
        self._rng = rng
        self._used: set[str] = set()

    def __call__(  # noqa: PLR0917 - as `stocking.Stocker` has it
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
        if number not in self._shown:
            return stock_board(fixture, number, reach, assortment, settings, steepness, rng)
        row = _ROW_NAMES[self._shown.stop - 1 - number]
        kind = self._kind
        left, right = _seen_reach(self._camera, fixture, number)
        share = (right - left) / kind.per_board
        packs = self._choose(fixture, number, share, assortment, steepness)
        wanted = [_facings(pack, share, kind, settings) for pack in packs]
        widths = [count * _pitch(pack, settings) for count, pack in zip(wanted, packs, strict=True)]
        spare = right - left - sum(widths)
        gap = min(spare / kind.per_board, 2.0 + 3.0 * float(self._rng.random()) if kind.fixture != "table" else 30.0)
        x = left + (spare - gap * (kind.per_board - 1)) * float(self._rng.uniform(0.25, 0.75))
        before = x
        slots = []
        for place, (pack, facings, width) in enumerate(zip(packs, wanted, widths, strict=True)):
            slot_id = f"{kind.name}-{row}{place + 1}"
            slots.append(
                _lay(slot_id, pack, fixture, number, start=x, facings=facings, settings=settings, rng=self._rng)
            )
            x += width + gap
        if kind.fixture != "table":  # what stands beside is no part of the plan
            for side, (low, high) in enumerate(((reach[0], before - gap - 1.5), (x, reach[1]))):
                for extra in stock_board(fixture, number, (low, high), assortment, settings, steepness, self._rng):
                    extra.id = f"beside-{row}{side}-{extra.id}"
                    slots.append(extra)
        return slots

    def _choose(
        self, fixture: Fixture, number: int, share: float, assortment: Sequence[Packaging], steepness: float
    ) -> list[Packaging]:
        """Products for one board, near-twins side by side now and then."""
        board = fixture.boards[number]
        clearance = board.ceiling - board.top
        usable = [
            pack
            for pack in assortment
            if pack.size_cm[0] <= min(self._kind.widest_cm, share * 0.8)
            and 7.0 <= pack.size_cm[1] <= min(clearance - 5, 34)
            and pack.size_cm[2] <= fixture.depth - 2
            and (pack.solid != "flat" or steepness < 20)
        ]
        fresh = [pack for pack in usable if pack.sku not in self._used] or usable
        chosen: list[Packaging] = []
        while len(chosen) < self._kind.per_board:
            twins = [pack for pack in fresh if chosen and pack.line == chosen[-1].line and pack not in chosen]
            pool = twins if twins and self._rng.random() < 0.3 else [pack for pack in fresh if pack not in chosen]
            pool = pool or usable
            weights = np.array([min(pack.size_cm[1] / clearance, 0.7) for pack in pool])
            chosen.append(pool[int(self._rng.choice(len(pool), p=weights / weights.sum()))])
        self._used.update(pack.sku for pack in chosen)
        return chosen


def _seen_reach(camera: Camera, fixture: Fixture, number: int) -> tuple[float, float]:
    """Range of x on a board whose goods stand wholly inside the picture."""
    top = fixture.boards[number].top
    xs = np.arange(fixture.left, fixture.right, 0.5)
    inside = np.ones(len(xs), bool)
    for y, z in ((top, 0.0), (top + 25.0, 0.0), (top, -20.0), (top + 25.0, -20.0)):
        spots = camera.to_picture(camera.to_canvas(np.stack([xs, np.full_like(xs, y), np.full_like(xs, z)], axis=1))[0])
        inside &= (spots[:, 0] > 6) & (spots[:, 0] < camera.size[0] - 6)
    found = xs[inside]
    return (float(found[0]), float(found[-1])) if len(found) else (fixture.left, fixture.right)


def _pitch(pack: Packaging, settings: SceneSettings) -> float:
    return pack.size_cm[0] + 0.5 + 0.7 * settings.loose


def _facings(pack: Packaging, share: float, kind: StoreKind, settings: SceneSettings) -> int:
    return int(np.clip((share - 2.0) // _pitch(pack, settings), 1, kind.most_facings))


def _lay(
    slot_id: str,
    pack: Packaging,
    fixture: Fixture,
    number: int,
    *,
    start: float,
    facings: int,
    settings: SceneSettings,
    rng: np.random.Generator,
) -> ShelfSlot:
    """One slot with its places, front row first."""
    depth = pack.size_cm[2]
    pitch = _pitch(pack, settings)
    rows = int(np.clip((fixture.depth - 3) // (depth + 0.6), 1, settings.rows))
    slot = ShelfSlot(slot_id, pack, number, start, start + facings * pitch, facings, rows, 1)
    top = fixture.boards[number].top
    setback = rng.uniform(0.8, 2.5) if fixture.kind != "table" else fixture.depth * 0.35
    for row in range(rows):
        for column in rng.permutation(facings):
            middle = start + (column + 0.5) * pitch + float(np.clip(rng.normal(0, 0.25 * settings.loose), -0.3, 0.3))
            z = -(setback + row * (depth + 0.6) + depth / 2 + abs(rng.normal(0, 0.4 * settings.loose)))
            turn = float(rng.normal(0, 6 if pack.solid == "round" else 1.5 * settings.loose))
            slot.places.append(Place(pack, middle, top, z, int(column), row, 0, turn))
    slot.count = slot.capacity
    return slot


def _corners(scene: Scene, slot: ShelfSlot) -> tuple[tuple[float, float], ...]:
    """The polygon that staff would draw: the fronts of the first row with a small margin, in whole pixels."""
    width, height = scene.settings.size
    top = scene.fixture.boards[slot.board].top
    front = max(place.z + place.pack.size_cm[2] / 2 for place in slot.places)
    back = min(place.z for place in slot.places)
    tall = slot.pack.size_cm[1]
    points = [
        (x, y, z) for x in (slot.left, slot.right) for y, z in ((top, front), (top + tall, front), (top + tall, back))
    ]
    spots = scene.camera.to_picture(scene.camera.to_canvas(np.array(points))[0])
    (left, upper), (right, lower) = np.floor(spots.min(axis=0)) - 2, np.ceil(spots.max(axis=0)) + 2
    x1, x2 = float(max(left, 0)), float(min(right, width))
    y1, y2 = float(max(upper, 0)), float(min(lower, height))
    return (x1, y1), (x2, y1), (x2, y2), (x1, y2)
