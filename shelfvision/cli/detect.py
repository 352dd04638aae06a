"""``shelfvision detect``: what a detector finds in pictures."""

from __future__ import annotations

import os
import re
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from shelfvision.errors import DataError, ShelfvisionError, UsageError

if TYPE_CHECKING:
    from shelfvision.core.detections import Detections
    from shelfvision.edge.detector import Tiling
    from shelfvision.edge.frame import Image

_WORTH_MEASURING = 20  # pictures; for fewer, loading a second runtime costs more than it can win

ModelArgument = Annotated[
    str, typer.Argument(metavar="MODEL|default", help="ONNX file with its sidecar beside it, or 'default'.")
]
RuntimeOption = Annotated[
    Literal["auto", "onnxruntime", "openvino"],
    typer.Option(help="auto: the quicker one, measured where there is much to do."),
]
ThreadsOption = Annotated[int | None, typer.Option(min=1, max=256, help="Computing threads; all cores when absent.")]
TilesOption = Annotated[
    str,
    typer.Option(help="auto: a closer look where things are small; off; or tiles, COLUMNSxROWS, such as 3x2."),
]


def detect(
    model: ModelArgument,
    pictures: Annotated[list[Path], typer.Argument(metavar="IMAGE...", help="Pictures, or folders of them.")],
    json_out: Annotated[Path | None, typer.Option("--json", help="Write all boxes as JSON; - for stdout.")] = None,
    annotated: Annotated[
        Path | None,
        typer.Option(help="Folder for the pictures with boxes drawn in, PNG; it is not searched for pictures."),
    ] = None,
    least_score: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Boxes from this score on; when absent, see above."),
    ] = None,
    tiles: TilesOption = "auto",
    size: Annotated[
        int | None, typer.Option(min=32, max=8192, help="Longer side of the input; the model's own when absent.")
    ] = None,
    runtime: RuntimeOption = "auto",
    threads: ThreadsOption = None,
) -> int:
    """Find products, gaps and hands in pictures.

    The JSON holds every box that the model gives, for whoever wants to choose or measure; drawn and counted are
    those that its own threshold believes. --least-score sets both.
    A picture that cannot be read or drawn is told, the others are done, and the exit code is 1. What was found before
    Ctrl-C or a fault stands in the JSON too.
    """
    from shelfvision.cli.boxes_document import boxes_document
    from shelfvision.cli.progress import ProgressLine
    from shelfvision.data.images import read_image
    from shelfvision.edge.detector import open_detector

    paths = _paths(pictures, annotated)
    drawn = [] if annotated is None else [annotated / f"{name}.png" for name in _names(paths)]
    quiet = str(json_out) == "-"
    _check_outputs(drawn if json_out is None or quiet else [*drawn, json_out], [*paths, *_model_files(model)])
    tiling = parse_tiles(tiles)
    if runtime == "auto" and len(paths) < _WORTH_MEASURING:
        runtime = "onnxruntime"
    detector = open_detector(model, runtime=runtime, threads=threads, size=size, tiling=tiling)
    thresholds = detector.model.sidecar.thresholds
    believed = thresholds.score if least_score is None else least_score
    detector.least_score = thresholds.least if least_score is None else least_score
    if annotated is not None:
        _make_folder(annotated)
    faults = 0

    def tell(fault: ShelfvisionError) -> None:
        nonlocal faults
        faults += 1
        progress.close()
        print(f"error: {fault}", file=sys.stderr)

    with closing(ProgressLine("detect")) as progress, boxes_document(json_out) as add:
        for number, path in enumerate(paths):
            try:
                image = read_image(path)
                started = time.perf_counter()
                found = detector.detect(image)
            except ShelfvisionError as error:
                tell(error)
                continue
            took = time.perf_counter() - started
            add({"image": str(path), "detections": as_json(found, detector.labels)})
            sure = found[found.score >= believed]
            progress.close()
            if not quiet:
                print(f"{printable(path)}: {counted(sure, detector.labels)} ({took * 1000:.0f} ms)")
            if drawn:
                try:
                    _draw(drawn[number], image, sure, detector.labels)
                except ShelfvisionError as error:
                    tell(error)
            progress.update((number + 1) / len(paths), f"{number + 1} of {len(paths)} pictures")
    return 1 if faults else 0


def parse_tiles(text: str) -> Tiling | None:
    """How small things are looked at, from ``auto``, ``off`` or ``3x2``.

    Raises:
        UsageError: none of these.
    """
    from shelfvision.edge.detector import Tiling

    if text == "auto":
        return Tiling()
    if text == "off":
        return None
    if match := re.fullmatch(r"([1-9]\d?)[xX]([1-9]\d?)", text):
        return Tiling(grid=(int(match[1]), int(match[2])))
    raise UsageError(f"--tiles {text!r}: expected auto, off, or COLUMNSxROWS of 1 to 99 each, such as 3x2")


def as_json(found: Detections, labels: Sequence[str]) -> list[dict[str, Any]]:
    """Boxes as JSON values, surest first: label, score, xyxy in pixels."""
    return [
        {
            "label": labels[label],
            "score": round(float(score), 5),
            "xyxy": [round(float(side), 2) for side in xyxy],
        }
        for xyxy, score, label in zip(found.xyxy, found.score, found.label, strict=True)
    ]


def counted(found: Detections, labels: Sequence[str]) -> str:
    """How many of each class, in words."""
    counts = Counter(found.label.tolist())
    words = [f"{counts[label]} {labels[label]}" for label in sorted(counts, key=lambda each: (-counts[each], each))]
    return ", ".join(words) or "nothing"


def printable(path: Path) -> str:
    """The path as stdout can show it: what its encoding has no signs for is escaped."""
    encoding = sys.stdout.encoding or "utf-8"
    return str(path).encode(encoding, "backslashreplace").decode(encoding)


def _paths(given: Sequence[Path], drawings: Path | None) -> list[Path]:
    """The pictures named, and those in the folders named but not in the folder for drawings.

    Raises:
        DataError: a folder without pictures.
        UsageError: the folder for drawings is one of those that are searched.
    """
    from shelfvision.data.images import PICTURE_SUFFIXES

    passed_over = None if drawings is None else os.path.realpath(drawings)
    paths: list[Path] = []
    for path in given:
        if not path.is_dir():
            paths.append(path)
            continue
        if os.path.realpath(path) == passed_over:
            raise UsageError(f"--annotated {drawings}: is searched for pictures; give another folder")
        inside = sorted(
            each
            for each in path.rglob("*")
            if each.suffix.lower() in PICTURE_SUFFIXES
            and each.is_file()
            and os.path.realpath(each.parent) != passed_over
        )
        if not inside:
            raise DataError(f"{path}: holds no pictures")
        paths += inside
    return paths


def _model_files(model: str) -> list[Path]:
    path = Path(model)
    return [path, path.with_suffix(".json")] if path.suffix == ".onnx" else []


def _check_outputs(outputs: Sequence[Path], inputs: Sequence[Path]) -> None:
    """Nothing that is read may be written over.

    Raises:
        UsageError: an output is one of the inputs.
    """
    read = {os.path.realpath(path) for path in inputs}
    for path in outputs:
        if os.path.realpath(path) in read:
            raise UsageError(f"{path}: is read and would be written over; give another --annotated or --json")


def _names(paths: Sequence[Path]) -> list[str]:
    """A name for each drawn picture, unique without its ending."""
    from shelfvision.data.placing import picture_names

    return [Path(name).stem for name in picture_names(paths)]


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ShelfvisionError(f"{path}: cannot be made: {error.strerror}") from None


def _draw(path: Path, image: Image, found: Detections, labels: Sequence[str]) -> None:
    import cv2

    from shelfvision.edge.annotate_boxes import draw_detections
    from shelfvision.edge.partial_file import write_file

    write_file(path, cv2.imencode(".png", draw_detections(image, found, labels))[1].tobytes())
