"""``shelfvision bench detector``: how long the detector takes, beside others in the same run."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from shelfvision.errors import UsageError

if TYPE_CHECKING:
    from shelfvision.edge.frame import Image

_GRIDS = ((1, 1), (2, 1), (2, 2), (3, 2), (4, 3), (5, 4))
_TILE_ROUNDS = 3


def detector(
    model: Annotated[
        str, typer.Argument(metavar="[MODEL|default]", help="ONNX file with its sidecar, or 'default'.")
    ] = "default",
    size: Annotated[int, typer.Option(min=32, max=8192, help="Sides of the input in pixels.")] = 640,
    threads: Annotated[int, typer.Option(min=1, max=256, help="Computing threads.")] = 2,
    peers: Annotated[
        list[Path] | None, typer.Option("--peer", help="Another detector's ONNX file; may be given several times.")
    ] = None,
    runtime: Annotated[
        Literal["onnxruntime", "openvino", "both"], typer.Option(help="both: those that are installed.")
    ] = "both",
    rounds: Annotated[int, typer.Option(min=3, max=10_000, help="Turns of each contestant.")] = 30,
    image: Annotated[Path | None, typer.Option(help="Picture to look at; a drawn shelf when absent.")] = None,
    tiles: Annotated[bool, typer.Option("--tiles/--no-tiles", help="Also measure larger pictures in tiles.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")] = False,
) -> None:
    """Measure the detector, network and decoding, beside others that take turns with it in one process.

    Medians and ratios are told. Then larger and larger pictures are looked at in tiles, and the memory is told.
    """
    result = _measure(model, size, threads, list(peers or []), runtime, rounds, image, tiles)
    if as_json:
        print(json.dumps(result))
        return
    _print(result)


def _measure(
    model: str,
    size: int,
    threads: int,
    peers: Sequence[Path],
    runtime: str,
    rounds: int,
    picture: Path | None,
    tiles: bool,
) -> dict[str, Any]:
    from shelfvision.cli.progress import ProgressLine
    from shelfvision.data.images import read_image
    from shelfvision.edge.default_models import default_model
    from shelfvision.edge.detector_bench import (
        drawn_shelf,
        ours,
        peak_megabytes,
        peer,
        race,
        resident_megabytes,
        runtimes_named,
    )
    from shelfvision.edge.model import read_model
    from shelfvision.edge.runtimes import installed_runtimes

    file = read_model(default_model("detector") if model == "default" else Path(model))
    if size % file.sidecar.input.multiple:
        raise UsageError(f"--size {size}: must be a multiple of {file.sidecar.input.multiple}")
    image = drawn_shelf() if picture is None else read_image(picture)
    names = runtimes_named(runtime, installed_runtimes())
    progress = ProgressLine("bench detector")
    before = resident_megabytes()
    contestants = []
    for name in names:
        contestants.append(ours(file.data, "ours", name, image=image, size=size, threads=threads))
        contestants += [peer(path, name, image=image, size=size, threads=threads) for path in peers]
    for name in names:
        group = [each for each in contestants if each.runtime == name]
        race(group, rounds, lambda done: progress.update(done / rounds, group[0].runtime))  # noqa: B023 - called within
    rows = [each.row() for each in contestants]
    own = {row["runtime"]: row["ms"] for row in rows if row["model"] == "ours"}
    for row in rows:
        row["ours_to_it"] = round(own[row["runtime"]] / row["ms"], 3)
    result: dict[str, Any] = {
        "model": str(file.path),
        "size": size,
        "threads": threads,
        "rounds": rounds,
        "megabytes_before": round(before, 1),
        "contestants": rows,
        "tiles": [],
    }
    if tiles:
        progress.update(None, "tiles")
        result["tiles"] = _tiles(file.path, names[0], threads, size, image)
    progress.close()
    result["peak_megabytes"] = round(peak_megabytes(), 1)
    return result


def _tiles(path: Path, runtime: Any, threads: int, size: int, image: Image) -> list[dict[str, Any]]:
    """Time by grid; each grid's picture is so large that a tile has the input's size."""
    import cv2
    import numpy as np

    from shelfvision.edge.detector import Tiling, open_detector
    from shelfvision.edge.tiles import OVERLAP

    detector = open_detector(path, runtime=runtime, threads=threads, size=size, least_score=0.0)
    rows = []
    for columns, rows_ in _GRIDS:
        sides = (round(size * (n - (n - 1) * OVERLAP)) for n in (columns, rows_))
        picture = np.asarray(cv2.resize(image, tuple(sides), interpolation=cv2.INTER_LINEAR), np.uint8)
        detector.tiling = Tiling((columns, rows_), whole=False)
        times = []
        for _ in range(_TILE_ROUNDS + 1):
            begun = time.perf_counter()
            found = detector.detect(picture)
            times.append(time.perf_counter() - begun)
        milliseconds = 1000 * statistics.median(times[1:])
        count = columns * rows_
        rows.append(
            {
                "grid": f"{columns}x{rows_}",
                "tiles": count,
                "width": picture.shape[1],
                "height": picture.shape[0],
                "boxes": len(found),
                "ms": round(milliseconds, 1),
                "ms_a_tile": round(milliseconds / count, 2),
            }
        )
    return rows


def _print(result: dict[str, Any]) -> None:
    size = result["size"]
    print(f"{size}x{size} pixels, {result['threads']} threads, median of {result['rounds']} turns each")
    head = f"{'model':<20}{'runtime':<13}{'ms':>9}{'network':>10}{'decoding':>10}{'ours/it':>9}{'boxes':>7}{'MB':>8}"
    print(head)
    for row in result["contestants"]:
        print(
            f"{row['model'][:19]:<20}{row['runtime']:<13}{row['ms']:>9.2f}{row['network_ms']:>10.2f}"
            f"{row['decoding_ms']:>10.3f}{row['ours_to_it']:>9.2f}{row['boxes']:>7}{row['megabytes']:>8.1f}"
        )
    if result["tiles"]:
        print(f"{'tiles':<8}{'picture':>12}{'ms':>10}{'ms a tile':>11}{'boxes':>8}")
        for row in result["tiles"]:
            picture = f"{row['width']}x{row['height']}"
            print(f"{row['grid']:<8}{picture:>12}{row['ms']:>10.1f}{row['ms_a_tile']:>11.2f}{row['boxes']:>8}")
    print(f"memory: {result['megabytes_before']:.0f} MB before loading, {result['peak_megabytes']:.0f} MB at the peak")
