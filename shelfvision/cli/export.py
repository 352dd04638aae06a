"""``shelfvision export``: a checkpoint becomes a model that devices run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer


def export(
    checkpoint: Annotated[
        Path,
        typer.Argument(metavar="CHECKPOINT", help="Folder of a trained detector, or of its training (the best one)."),
    ],
    out: Annotated[Path, typer.Option(help="Folder for NAME.onnx and NAME.json; made when absent.")],
    name: Annotated[str, typer.Option(help="Name of the two files.")] = "detector",
    int8: Annotated[bool, typer.Option("--int8", help="Eight-bit convolutions; needs --data.")] = False,
    data: Annotated[
        Path | None, typer.Option(help="Labelled pictures: the export is refused when accuracy falls on them.")
    ] = None,
    images: Annotated[Path | None, typer.Option(help="Where the pictures of --data are, if not beside it.")] = None,
    data_format: Annotated[
        str | None, typer.Option("--format", help="Of --data: coco, yolo, voc or sku110k; found out when absent.")
    ] = None,
    split: Annotated[str | None, typer.Option(help="Of --data, such as val.")] = None,
    max_drop: Annotated[float, typer.Option(min=0, max=1, help="Most that mAP50-95 may fall.")] = 0.01,
    size: Annotated[
        int | None, typer.Option(min=32, max=8192, help="Longer side of the input; as trained when absent.")
    ] = None,
    score: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Boxes are believed from here on; 0.5 if scores are calibrated, else 0.3."),
    ] = None,
    least_score: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="The graph gives no box below; 0.001 if scores are calibrated, else 0.01."),
    ] = None,
    calibrate: Annotated[
        bool, typer.Option(help="With --data: a score becomes the chance that the box is right, by Platt's scaling.")
    ] = True,
    overlap: Annotated[
        list[str] | None,
        typer.Option(
            metavar="IOU|CLASS=IOU",
            help="IoU above which the weaker of two boxes of a class goes, 0.65 when absent; again for a single class.",
        ),
    ] = None,
    most: Annotated[int, typer.Option(min=1, max=100_000, help="Most boxes of a class in a picture.")] = 1000,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Write a checkpoint as ONNX with its sidecar; suppression of repeated boxes is in the file.

    With --data scores are calibrated too: 0.8 means that eight of ten such boxes are right.

    Refused when torch and ONNX disagree on any of 50 pictures of several sizes, when mAP50-95 on --data falls by more
    than --max-drop, or when a picture of --data holds more boxes of a class than --most.
    """
    from shelfvision.cli.progress import ProgressLine
    from shelfvision.cli.told_command import told_command
    from shelfvision.data.open_dataset import open_dataset
    from shelfvision.learn.export import export_detector, find_checkpoint, trained_size
    from shelfvision.learn.export_settings import ExportSettings
    from shelfvision.models.decode import OVERLAP

    checkpoint = find_checkpoint(checkpoint)
    overlap_of = _overlaps(overlap or [])
    settings = ExportSettings(
        size=size or trained_size(checkpoint),
        score=score,
        least_score=least_score,
        overlap=overlap_of.pop("", OVERLAP),
        overlap_of=overlap_of,
        most=most,
        calibrate=calibrate,
        int8=int8,
        most_drop=max_drop,
    )
    dataset = None if data is None else open_dataset(data, images=images, format=data_format, split=split)
    progress = ProgressLine("export", every=5.0)
    try:
        done = export_detector(
            checkpoint,
            out,
            settings,
            data=dataset,
            command=told_command(),
            name=name,
            on_progress=progress.update,
        )
    finally:
        progress.close()
    accuracy, scaling = done.accuracy, done.scaling
    if as_json:
        document = {
            "model": str(done.model),
            "sidecar": str(done.sidecar),
            "bytes": done.bytes,
            "parity": done.parity.to_json(),
            "map50_95_torch": None if accuracy is None else accuracy.torch,
            "map50_95_onnx": None if accuracy is None else accuracy.onnx,
            "calibration_error_before": None if scaling is None else scaling.error_before,
            "calibration_error_after": None if scaling is None else scaling.error_after,
        }
        print(json.dumps(document))
        return
    parity = done.parity
    print(f"{done.model}: {done.bytes / 1e6:.1f} MB, sidecar {done.sidecar.name}")
    print(
        f"parity with torch on {parity.pictures} pictures of {parity.sizes} sizes: "
        f"boxes IoU >= {parity.worst_iou:.5f}, "
        f"scores within {parity.worst_score:.1e}, {parity.right:.2%} of the boxes rightly kept or dropped"
    )
    if accuracy is None:
        print("accuracy was not measured: give --data")
    else:
        pictures = f"{accuracy.pictures} pictures"
        print(f"mAP50-95 on {pictures}: {accuracy.torch:.4f} by torch, {accuracy.onnx:.4f} exported")
    if scaling is not None:
        print(f"scores calibrated on them: error {scaling.error_before:.3f} before, {scaling.error_after:.3f} after")
    elif accuracy is not None and calibrate:
        print("scores were not calibrated: too few right or too few wrong boxes among what was found")


def _overlaps(words: list[str]) -> dict[str, float]:
    """Overlaps by the name of their class; that of all other classes, where given, by an empty name.

    Raises:
        UsageError: no number behind a name, or one thing given twice.
    """
    from shelfvision.errors import UsageError

    given: dict[str, float] = {}
    for word in words:
        name, _, text = word.rpartition("=")
        try:
            value = float(text)
        except ValueError:
            raise UsageError(f"--overlap {word}: expected an IoU such as 0.6, or CLASS=0.4") from None
        if name in given:
            raise UsageError(f"--overlap {word}: was given before as {given[name]:g}")
        given[name] = value
    return given
