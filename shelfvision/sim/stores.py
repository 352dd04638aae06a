"""The simulated stores: which shelves, slots and products there are. Lengths are in pixels of a 640x360 picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from shelfvision.core.catalogue import Product, gtin_check_digit
from shelfvision.core.planogram import Slot

BASE_SIZE = (640, 360)
_GAP = 4.0  # between two units side by side

Colour = tuple[int, int, int]  # BGR


@dataclass(frozen=True, slots=True)
class Look:
    """What one unit of a product looks like from the front."""

    form: Literal["bottle", "can", "carton"]
    width: float
    height: float
    body: Colour
    accent: Colour
    text: str


@dataclass(frozen=True, slots=True)
class ShelfSlot:
    """A place on a shelf board with room for ``facings`` units side by side."""

    id: str
    product: Product
    look: Look
    centre: float  # x
    floor: float  # y on which the units stand
    facings: int

    def place(self, unit: int) -> float:
        """The x of a unit's middle, units counted from the left."""
        pitch = self.look.width + _GAP
        return self.centre + (unit - (self.facings - 1) / 2) * pitch

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Where the full slot appears, ``(x1, y1, x2, y2)``, with the small margin that staff would leave."""
        half = self.facings * (self.look.width + _GAP) / 2 + 3
        return self.centre - half, self.floor - self.look.height - 5, self.centre + half, self.floor + 2


@dataclass(frozen=True, slots=True)
class SimulatedStore:
    """One camera's view: a shelf unit with boards and slots."""

    name: str
    scale: int  # pixels of the picture for one of the 640x360 layout
    boards: tuple[float, ...]  # y of each board's upper edge
    slots: tuple[ShelfSlot, ...]

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the picture in pixels."""
        return BASE_SIZE[0] * self.scale, BASE_SIZE[1] * self.scale

    def slot(self, slot_id: str) -> ShelfSlot:
        """The slot of that id; KeyError when there is none."""
        for slot in self.slots:
            if slot.id == slot_id:
                return slot
        raise KeyError(slot_id)


def _product(number: int, sku: str, name: str, category: str, *, price: float, margin: float, backroom: int) -> Product:
    body = f"2000000{number:05d}"  # GS1 prefix 20: numbers for use within a company
    return Product(
        sku=sku,
        name=name,
        gtin=body + str(gtin_check_digit(body)),
        category=category,
        price=price,
        unit_margin=margin,
        backroom_units=backroom,
    )


_TABLE_FLOOR = 296.0
_CORNER_FLOORS = (164.0, 318.0)

STORES = {
    "table": SimulatedStore(
        "table",
        1,
        (_TABLE_FLOOR,),
        (
            ShelfSlot(
                "table-left",
                _product(101, "OIL-OLIVE-05", "Olive oil 0.5 l", "oil", price=6.49, margin=1.80, backroom=12),
                Look("bottle", 62, 182, (52, 104, 62), (150, 222, 238), "OLIVA"),
                118,
                _TABLE_FLOOR,
                1,
            ),
            ShelfSlot(
                "table-middle",
                _product(102, "SOUP-TOMATO-04", "Tomato soup 400 g", "cans", price=2.29, margin=0.70, backroom=36),
                Look("can", 68, 104, (46, 44, 196), (226, 240, 246), "SOUP"),
                316,
                _TABLE_FLOOR,
                2,
            ),
            ShelfSlot(
                "table-right",
                _product(103, "FLAKES-CORN-37", "Corn flakes 375 g", "cereal", price=3.19, margin=0.95, backroom=18),
                Look("carton", 108, 168, (54, 168, 240), (150, 60, 30), "FLAKES"),
                522,
                _TABLE_FLOOR,
                1,
            ),
        ),
    ),
    "corner": SimulatedStore(
        "corner",
        2,
        _CORNER_FLOORS,
        (
            ShelfSlot(
                "corner-a1",
                _product(
                    201, "WATER-SPARK-07", "Sparkling water 0.75 l", "drinks", price=0.99, margin=0.32, backroom=48
                ),
                Look("bottle", 36, 112, (196, 150, 84), (250, 246, 240), "AQUA"),
                102,
                _CORNER_FLOORS[0],
                3,
            ),
            ShelfSlot(
                "corner-a2",
                _product(202, "DRINK-OAT-10", "Oat drink 1 l", "drinks", price=1.89, margin=0.62, backroom=30),
                Look("carton", 46, 104, (214, 226, 232), (86, 150, 70), "OAT"),
                318,
                _CORNER_FLOORS[0],
                3,
            ),
            ShelfSlot(
                "corner-a3",
                _product(
                    203, "COFFEE-GROUND-05", "Ground coffee 500 g", "coffee", price=5.99, margin=1.55, backroom=20
                ),
                Look("carton", 62, 98, (46, 52, 84), (70, 176, 226), "CAFE"),
                534,
                _CORNER_FLOORS[0],
                2,
            ),
            ShelfSlot(
                "corner-b1",
                _product(204, "CHICKPEAS-04", "Chickpeas 400 g", "cans", price=1.29, margin=0.45, backroom=60),
                Look("can", 48, 72, (120, 150, 60), (210, 236, 250), "CHICK"),
                102,
                _CORNER_FLOORS[1],
                3,
            ),
            ShelfSlot(
                "corner-b2",
                _product(205, "JUICE-ORANGE-10", "Orange juice 1 l", "drinks", price=2.49, margin=0.80, backroom=24),
                Look("bottle", 46, 118, (40, 140, 246), (70, 190, 120), "SUN"),
                318,
                _CORNER_FLOORS[1],
                2,
            ),
            ShelfSlot(
                "corner-b3",
                _product(206, "RICE-BASMATI-10", "Basmati rice 1 kg", "staples", price=3.49, margin=1.05, backroom=22),
                Look("carton", 66, 94, (156, 84, 120), (236, 238, 250), "RICE"),
                534,
                _CORNER_FLOORS[1],
                2,
            ),
        ),
    ),
}


def store_plan(name: str) -> tuple[tuple[int, int], tuple[Slot, ...], tuple[Product, ...]]:
    """What a site file must say of a simulated store: picture size, slots and products.

    Raises:
        KeyError: there is no store of that name.
    """
    store = STORES[name]
    slots = tuple(
        Slot(slot.id, _corners(slot.box, store.scale), slot.product.sku, slot.facings, slot.facings)
        for slot in store.slots
    )
    return store.size, slots, tuple(slot.product for slot in store.slots)


def _corners(box: tuple[float, float, float, float], scale: int) -> tuple[tuple[float, float], ...]:
    x1, y1, x2, y2 = (round(side * scale) for side in box)
    return (x1, y1), (x2, y1), (x2, y2), (x1, y2)
