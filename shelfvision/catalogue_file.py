"""Reads a catalogue from CSV: a header line and one line a product."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from pydantic import ValidationError

from shelfvision.core.catalogue import Product
from shelfvision.core.faults import fault_lines, shown, suggestion
from shelfvision.errors import ConfigError
from shelfvision.yaml_file import read_text

_MOST_FAULTS = 50


def read_catalogue(path: Path) -> list[Product]:
    """The products of a CSV file with the columns of ``Product``, in the file's order.

    Raises:
        ConfigError: one line a fault, each with the line it stands on; at most 50.
    """
    rows = csv.reader(io.StringIO(read_text(path), newline=""), strict=True)
    products: dict[str, tuple[Product, int]] = {}
    faults: list[str] = []
    try:
        header = [column.strip() for column in next(rows, [])]
        faults += [f"line 1: {fault}" for fault in _header_faults(header)]
        for cells in [] if faults else rows:
            if not any(cell.strip() for cell in cells):
                continue
            line = rows.line_num
            if len(cells) > len(header):
                faults.append(
                    f"line {line}: {len(cells)} cells, expected at most {len(header)}; quote cells with commas"
                )
                continue
            row = {column: cell.strip() for column, cell in zip(header, cells, strict=False) if cell.strip()}
            try:
                product = Product.model_validate(row)
            except ValidationError as error:
                faults += [f"line {line}: {fault}" for fault in fault_lines(error)]
                continue
            if product.sku in products:
                first = products[product.sku][1]
                faults.append(f"line {line}: sku: {shown(product.sku)} stands on line {first} too; keep one")
            else:
                products[product.sku] = product, line
    except csv.Error as error:
        faults.append(f"line {rows.line_num}: {error}")
    if not products and not faults:
        faults.append("holds no products; expected a header line and one line a product")
    if len(faults) > _MOST_FAULTS:
        faults = [*faults[:_MOST_FAULTS], f"{len(faults) - _MOST_FAULTS} more faults"]
    if faults:
        raise ConfigError("\n".join(f"{path}: {fault}".replace(f"{path}: line", f"{path} line") for fault in faults))
    return [product for product, _ in products.values()]


def _header_faults(header: list[str]) -> list[str]:
    known = list(Product.model_fields)
    required = [name for name, field in Product.model_fields.items() if field.is_required()]
    if len(header) == 1 and (separators := [sign for sign in ";\t|" if sign in header[0]]):
        return [f"columns are separated by {separators[0]!r}, expected ','"]
    faults = [f"column {name!r} is missing" for name in required if name not in header]
    faults += [f"unknown column {name!r}{suggestion(name, known)}" for name in header if name not in known]
    return faults + [f"column {name!r} stands there twice" for name in known if header.count(name) > 1]
