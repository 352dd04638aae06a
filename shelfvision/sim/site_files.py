"""A site file and its catalogue for a simulated store, as text."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from shelfvision.core.catalogue import Product
from shelfvision.core.planogram import CameraPlan

_COLUMNS = ("sku", "name", "gtin", "category", "price", "unit_margin", "backroom_units")


@dataclass(frozen=True, slots=True)
class CameraEntry:
    """One camera of the site file."""

    plan: CameraPlan
    source: str
    fps: float


def write_site(folder: Path, name: str, cameras: Sequence[CameraEntry], products: Iterable[Product]) -> Path:
    """Write ``NAME.yaml`` and ``NAME.csv``, each whole or not at all.

    Returns:
        The site file's path.
    """
    lines = [
        "version: 1",
        "store: {id: simulated, name: Simulated store}",
        f"catalogue: {name}.csv",
        "cameras:",
    ]
    for camera in cameras:
        plan = camera.plan
        lines += [
            f"  - id: {plan.camera}",
            f"    source: {json.dumps(camera.source)}",
            f"    size: [{plan.frame_size[0]}, {plan.frame_size[1]}]",
            f"    fps: {camera.fps:g}",
            "    slots:",
        ]
        for slot in plan.slots:
            corners = ", ".join(f"[{x:g}, {y:g}]" for x, y in slot.polygon)
            lines.append(
                f"      - {{id: {slot.id}, sku: {json.dumps(slot.sku)}, facings: {slot.facings}, "
                f"capacity: {slot.capacity}, polygon: [{corners}]}}"
            )
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(_COLUMNS)
    writer.writerows([getattr(product, column) for column in _COLUMNS] for product in products)
    write_whole(folder / f"{name}.csv", table.getvalue())
    return write_whole(folder / f"{name}.yaml", "\n".join(lines) + "\n")


def write_whole(path: Path, text: str) -> Path:
    """Write beside the final name and move there."""
    partial = path.with_name(path.name + ".part")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, path)  # noqa: PTH105 - the rule for files that must be whole
    return path
