"""What a store sells: products by SKU, with GTIN check digits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pydantic import BaseModel, ConfigDict, Field, field_validator

from shelfvision.errors import ConfigError

GTIN_LENGTHS = (8, 12, 13, 14)


def gtin_check_digit(body: str) -> int:
    """The check digit for a GTIN without its last digit.

    Source: GS1 General Specifications, section 7.9: from the right, digits weigh 3, 1, 3, ...; the check
    digit brings the sum to a multiple of ten.
    """
    total = sum(int(digit) * (3 if place % 2 == 0 else 1) for place, digit in enumerate(reversed(body)))
    return -total % 10


def check_gtin(gtin: str) -> str:
    """The GTIN itself when its length and check digit are right.

    Raises:
        ValueError: naming what is wrong and what the check digit should be.
    """
    if not gtin.isascii() or not gtin.isdigit() or len(gtin) not in GTIN_LENGTHS:
        raise ValueError(f"GTIN {gtin!r} must be 8, 12, 13 or 14 digits")
    expected = gtin_check_digit(gtin[:-1])
    if int(gtin[-1]) != expected:
        raise ValueError(f"GTIN {gtin!r} has check digit {gtin[-1]}, expected {expected}")
    return gtin


class Product(BaseModel):
    """One SKU of the catalogue."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)

    sku: str = Field(min_length=1, max_length=64, description="the store's own key for the product")
    name: str = Field(min_length=1, max_length=200, description="what staff call it")
    gtin: str | None = Field(default=None, description="GTIN-8, -12, -13 or -14 with a valid check digit")
    category: str = Field(default="", max_length=100, description="demand is shrunk towards its category")
    price: float = Field(default=1.0, ge=0, allow_inf_nan=False, description="selling price of one unit")
    unit_margin: float | None = Field(
        default=None, allow_inf_nan=False, description="profit of one unit; price when absent"
    )
    backroom_units: int | None = Field(default=None, ge=0, description="units in the backroom; unknown when absent")
    image: str | None = Field(default=None, description="path of a pack shot, relative to the catalogue")

    @field_validator("gtin")
    @classmethod
    def _gtin(cls, value: str | None) -> str | None:
        return None if value is None else check_gtin(value)

    @property
    def unit_value(self) -> float:
        """What one sold unit is worth to the store, in the currency of ``price``."""
        return self.price if self.unit_margin is None else self.unit_margin


class Catalogue:
    """Products by SKU, in the order given.

    Raises:
        ConfigError: when two products share a SKU.
    """

    def __init__(self, products: Iterable[Product]) -> None:
        self._products: dict[str, Product] = {}
        for product in products:
            if product.sku in self._products:
                raise ConfigError(f"catalogue: SKU {product.sku!r} stands there twice; keep one")
            self._products[product.sku] = product

    def __getitem__(self, sku: str) -> Product:
        return self._products[sku]

    def __contains__(self, sku: object) -> bool:
        return sku in self._products

    def __iter__(self) -> Iterator[Product]:
        return iter(self._products.values())

    def __len__(self) -> int:
        return len(self._products)
