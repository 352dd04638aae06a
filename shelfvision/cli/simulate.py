"""``shelfvision simulate images``: rendered stills of shelves with exact truth."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated

import typer

from shelfvision.errors import UsageError


def images(
    out: Annotated[Path, typer.Option(help="Folder for pictures and annotations; one begun before is continued.")],
    count: Annotated[int, typer.Option(help="Stills in the finished set.")] = 100,
    size: Annotated[str, typer.Option(help="Width x height of the pictures in pixels.")] = "1280x960",
    seed: Annotated[int, typer.Option(help="Decides everything; the same seed gives the same bytes.")] = 0,
    workers: Annotated[int, typer.Option(help="Processes that render.")] = 1,
    products: Annotated[int, typer.Option(help="SKUs of each store; 120 stills show one store.")] = 120,
    people: Annotated[float, typer.Option(help="Share of stills in which people reach for the shelf, 0 to 1.")] = 0.0,
    families: Annotated[
        str | None, typer.Option(help="Kinds of packaging, separated by commas, such as can,jar; all when absent.")
    ] = None,
    pack_shots: Annotated[
        Path | None, typer.Option(help="Folder of product pictures (transparent or on a plain background) to mix in.")
    ] = None,
    textures: Annotated[
        Path | None, typer.Option(help="Folder of photographs for printed pictures and surroundings.")
    ] = None,
    sheet: Annotated[
        Path | None, typer.Option(help="Also write a contact sheet of the first 24 stills, a PNG or JPEG.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> int:
    """Render stills of stocked shelves with COCO annotations of products, gaps and hands.

    Writes OUT/images/*.jpg and OUT/annotations.json; every product carries its SKU, family and visibility.
    """
    import cv2

    from shelfvision.cli.progress import ProgressLine
    from shelfvision.sim.packaging import FAMILIES
    from shelfvision.sim.stills import Recipe, contact_sheet, make_stills, write_sheet

    cv2.setNumThreads(1)
    recipe = Recipe(
        seed=seed,
        size=parse_size(size),
        products=products,
        people=people,
        families=tuple(name.strip() for name in families.split(",")) if families is not None else tuple(FAMILIES),
        pack_shots=str(pack_shots.resolve()) if pack_shots is not None else None,
        textures=str(textures.resolve()) if textures is not None else None,
    )
    progress = ProgressLine("simulate images")
    started = time.monotonic()
    first: list[int] = []

    def show(done: int, wanted: int) -> None:
        first.append(done) if not first else None
        progress.update(done / wanted, f"{done} of {wanted} stills")

    try:
        annotations = make_stills(out, count, recipe, workers=workers, on_progress=show)
    finally:
        progress.close()
    if sheet is not None:
        write_sheet(sheet, contact_sheet(out, range(min(count, 24))))
    seconds = time.monotonic() - started
    made = count - first[0]
    boxes = len(json.loads(annotations.read_bytes())["annotations"])
    if as_json:
        print(
            json.dumps(
                {
                    "annotations": str(annotations),
                    "stills": count,
                    "rendered": made,
                    "boxes": boxes,
                    "seconds": round(seconds, 2),
                }
            )
        )
    else:
        print(f"{annotations}: {count} stills ({made} rendered now in {seconds:.1f} s), {boxes} boxes")
    return 0


def parse_size(text: str) -> tuple[int, int]:
    """``1280x960`` -> (1280, 960).

    Raises:
        UsageError: when it does not read like that.
    """
    width, cross, height = text.lower().partition("x")
    if not cross or not width.isascii() or not width.isdigit() or not height.isascii() or not height.isdigit():
        raise UsageError(f"--size {text!r}: expected width x height, such as 1280x960")
    return int(width), int(height)
