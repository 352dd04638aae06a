"""``shelfvision detect``: what a detector finds in pictures."""

from __future__ import annotations

import json
import re
import sys
import time
from collections import Counter
from collections.abc import Sequence
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
    annotated: Annotated[Path | None, typer.Option(help="Folder for the pictures with boxes drawn in, PNG.")] = None,
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
    A picture that cannot be read is told and passed over, and the exit code is 1.
    """
    from shelfvision.cli.progress import ProgressLine
    from shelfvision.data.images import read_image
    from shelfvision.edge.detector import open_detector

    paths = _paths(pictures)
    names = _names(paths) if annotated is not None else []
    tiling = parse_tiles(tiles)
    if runtime == "auto" and len(paths) < _WORTH_MEASURING:
        runtime = "onnxruntime"
    detector = open_detector(model, runtime=runtime, threads=threads, size=size, tiling=tiling)
    thresholds = detector.model.sidecar.thresholds
    believed = thresholds.score if least_score is None else least_score
    detector.least_score = thresholds.least if least_score is None else least_score
    images: list[dict[str, Any]] = []
    faults: list[str] = []
    quiet = str(json_out) == "-"
    progress = ProgressLine("detect")
    for number, path in enumerate(paths):
        try:
            image = read_image(path)
        except DataError as error:
            faults.append(str(error))
            continue
        started = time.perf_counter()
        found = detector.detect(image)
        took = time.perf_counter() - started
        images.append({"image": str(path), "detections": as_json(found, detector.labels)})
        sure = found[found.score >= believed]
        if annotated is not None:
            _draw(annotated / f"{names[number]}.png", image, sure, detector.labels)
        progress.close()
        if not quiet:
            print(f"{path}: {counted(sure, detector.labels)} ({took * 1000:.0f} ms)")
        progress.update((number + 1) / len(paths), f"{number + 1} of {len(paths)} pictures")
    progress.close()
    if json_out is not None:
        write_json(json_out, {"images": images})
    for fault in faults:
        print(f"error: {fault}", file=sys.stderr)
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


def write_json(path: Path, document: dict[str, Any]) -> None:
    """Write a whole file or none; ``-`` is stdout.

    Raises:
        ShelfvisionError: it cannot be written.
    """
    from shelfvision.edge.partial_file import write_file

    if str(path) == "-":
        print(json.dumps(document))
        return
    write_file(path, f"{json.dumps(document)}\n".encode())


def _paths(given: Sequence[Path]) -> list[Path]:
    """The pictures named, and those in the folders named."""
    from shelfvision.data.images import PICTURE_SUFFIXES

    paths: list[Path] = []
    for path in given:
        if not path.is_dir():
            paths.append(path)
            continue
        inside = sorted(each for each in path.rglob("*") if each.suffix.lower() in PICTURE_SUFFIXES and each.is_file())
        if not inside:
            raise DataError(f"{path}: holds no pictures")
        paths += inside
    return paths


def _names(paths: Sequence[Path]) -> list[str]:
    """A name for each drawn picture, unique without its ending."""
    from shelfvision.data.placing import picture_names

    return [Path(name).stem for name in picture_names(paths)]


def _draw(path: Path, image: Image, found: Detections, labels: Sequence[str]) -> None:
    import cv2

    from shelfvision.edge.annotate_boxes import draw_detections
    from shelfvision.edge.partial_file import write_file

    data = cv2.imencode(".png", draw_detections(image, found, labels))[1].tobytes()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ShelfvisionError(f"{path.parent}: cannot be made: {error.strerror}") from None
    write_file(path, data)
