"""``shelfvision calibrate``: a first site file from a picture of the shelf."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from shelfvision.cli.detect import RuntimeOption, ThreadsOption, TilesOption, parse_tiles, printable
from shelfvision.errors import CameraError, ConfigError, UsageError

if TYPE_CHECKING:
    from shelfvision.core.planogram import Slot
    from shelfvision.edge.frame import Image

_IDENTIFIER = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}"


def calibrate(
    source: Annotated[
        str, typer.Argument(metavar="IMAGE|SOURCE", help="A picture, or a camera source as in a site file.")
    ],
    out: Annotated[Path, typer.Option(help="The site file; the catalogue and a drawn picture are put beside it.")],
    model: Annotated[str, typer.Option(help="Detector: ONNX file with its sidecar, or 'default'.")] = "default",
    camera: Annotated[str, typer.Option(help="Id of the camera in the site file.")] = "camera-1",
    camera_source: Annotated[
        str | None,
        typer.Option(help="Source of the camera in the site file, when a picture is given; a file as seen from here."),
    ] = None,
    least_score: Annotated[
        float | None, typer.Option(min=0, max=1, help="Boxes from this score on; the model's own when absent.")
    ] = None,
    tiles: TilesOption = "auto",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that are there.")] = False,
    runtime: RuntimeOption = "auto",
    threads: ThreadsOption = None,
) -> None:
    """Propose slots from a picture of the shelf and write a site file with them.

    Boxes on one board that look alike are one slot. SKUs are placeholders (unknown-1, unknown-2, ...) in a catalogue
    beside the site file: look at the drawn picture, put in the true ones, and correct polygons that are wrong.
    """
    import cv2

    from shelfvision.edge.detector import open_detector
    from shelfvision.edge.partial_file import write_file
    from shelfvision.edge.slot_proposal import propose_slots
    from shelfvision.edge.slot_sketch import draw_slots
    from shelfvision.site_file import load_site

    if not re.fullmatch(_IDENTIFIER, camera):
        raise UsageError(f"--camera {camera!r}: letters, digits, '_', '.' and '-', at most 64")
    catalogue, drawn = out.with_suffix(".csv"), out.with_name(f"{out.stem}-slots.png")
    if out.suffix not in {".yaml", ".yml"}:
        raise UsageError(f"--out {out}: expected a name that ends in .yaml")
    _check_outputs((out, catalogue, drawn), source, overwrite=overwrite)
    detector = open_detector(
        model,
        runtime="onnxruntime" if runtime == "auto" else runtime,  # one picture is not worth measuring
        threads=threads,
        least_score=least_score,
        tiling=parse_tiles(tiles),
    )
    image, live = _picture(source)
    size = (image.shape[1], image.shape[0])
    found = detector.detect(image)
    slots = propose_slots(image, found, detector.labels)
    if not slots:
        raise ConfigError(
            f"{source}: no products found; give a sharper or nearer picture of the stocked shelf, "
            f"--tiles 2x2, or a lower --least-score than {detector.least_score:g}"
        )
    wanted = _source_from(out, source if live else camera_source)
    text = site_text(camera, wanted, size, slots, catalogue.name, source)
    sketch = cv2.imencode(".png", draw_slots(image, slots))[1].tobytes()
    for path, data in (
        (catalogue, catalogue_text(slots).encode()),
        (drawn, sketch),
        (out, text.encode(errors="backslashreplace")),  # file names that are not UTF-8
    ):
        write_file(path, data)
    load_site(out)
    boards = len({slot.id.split("-")[0] for slot in slots})
    facings = sum(slot.facings for slot in slots)
    print(f"{printable(out)}: {len(slots)} slots on {boards} boards, {facings} facings from {len(found)} boxes")
    print(f"{printable(catalogue)}: {len(slots)} placeholders; put in the true SKUs and names, in the site file too")
    print(f"{printable(drawn)}: look whether every slot is right")


def site_text(
    camera: str, source: str | None, size: tuple[int, int], slots: Sequence[Slot], catalogue: str, picture: str
) -> str:
    """The site file."""
    lines = [
        f"# Proposed by `shelfvision calibrate` from {Path(picture).name if source is None else 'the camera'}.",
        "# Check every slot on the drawn picture beside this file; give it its true SKU here and in the catalogue.",
        "version: 1",
        "store: {id: my-store, name: My store}",
        f"catalogue: {_quoted(catalogue)}",
        "cameras:",
        f"  - id: {_quoted(camera)}",
        f"    source: {_quoted(source or 'usb:0')}"
        + ("" if source else "  # put in the camera's address: rtsp://..., usb:N or a file"),
        f"    size: [{size[0]}, {size[1]}]  # the camera must send exactly this",
        "    fps: 5",
        "    slots:",
    ]
    for slot in slots:
        corners = ", ".join(f"[{x:g}, {y:g}]" for x, y in slot.polygon)
        lines.append(
            f"      - {{id: {slot.id}, sku: {slot.sku}, facings: {slot.facings}, capacity: {slot.capacity}, "
            f"polygon: [{corners}]}}"
        )
    return "\n".join(lines) + "\n"


def catalogue_text(slots: Sequence[Slot]) -> str:
    """The catalogue with a line a placeholder."""
    lines = ["sku,name,gtin,category,price,unit_margin,backroom_units"]
    lines += [f"{slot.sku},{slot.sku.replace('-', ' ').capitalize()},,,,," for slot in slots]
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    """A YAML string; in pairs of escapes, as JSON may have them, YAML would see two characters."""
    return json.dumps(text, ensure_ascii=False)


def _check_outputs(outputs: Sequence[Path], source: str, *, overwrite: bool) -> None:
    """The picture is never written over, other files only when asked for.

    Raises:
        UsageError: an output is the picture itself, or there already.
    """
    for path in outputs:
        if os.path.realpath(path) == os.path.realpath(source):
            raise UsageError(f"{path}: is the picture itself and would be written over; give another --out")
    there = [str(path) for path in outputs if path.exists()]
    if there and not overwrite:
        raise UsageError(f"{' and '.join(there)}: there already; give another --out, or --overwrite")


def _source_from(out: Path, source: str | None) -> str | None:
    """A camera source as the site file must have it, where a relative path counts from the site file's folder."""
    from shelfvision.site_file import is_file_source

    if not source or not is_file_source(source) or Path(source).is_absolute():
        return source
    path = Path(source)
    return os.path.relpath(Path(os.path.realpath(path.parent)) / path.name, Path(os.path.realpath(out)).parent)


def _picture(source: str) -> tuple[Image, bool]:
    """The picture, and whether it came from a camera."""
    from shelfvision.config import CameraSection
    from shelfvision.data.images import PICTURE_SUFFIXES, read_image
    from shelfvision.edge.address import redact_url
    from shelfvision.edge.camera import open_camera
    from shelfvision.site_file import is_file_source

    if is_file_source(source) and Path(source).suffix.lower() in PICTURE_SUFFIXES:
        return read_image(Path(source)), False
    # the size is not known before the first picture; it is not looked at when opening
    section = CameraSection(id="calibrate", source=source, size=(16, 16), fps=5)
    camera = open_camera(section)
    try:
        frame = next(iter(camera), None)
    finally:
        camera.close()
    if frame is None:
        raise CameraError(f"{redact_url(source)}: holds no picture")
    return frame.image, True
