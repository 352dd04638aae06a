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
    score: Annotated[float, typer.Option(min=0, max=1, help="Boxes are believed from this score on.")] = 0.3,
    least_score: Annotated[float, typer.Option(min=0, max=1, help="The graph gives no box below.")] = 0.01,
    overlap: Annotated[
        float, typer.Option(min=0.05, max=1, help="IoU above which the weaker of two boxes of a class goes.")
    ] = 0.65,
    most: Annotated[int, typer.Option(min=1, max=100_000, help="Most boxes of a class in a picture.")] = 1000,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Write a checkpoint as ONNX with its sidecar; suppression of repeated boxes is in the file.

    Refused when torch and ONNX disagree on any of 50 pictures of several sizes, when mAP50-95 on --data falls by more
    than --max-drop, or when a picture of --data holds more boxes of a class than --most.
    """
    from shelfvision.cli.progress import ProgressLine
    from shelfvision.cli.told_command import told_command
    from shelfvision.data.open_dataset import open_dataset
    from shelfvision.learn.export import ExportSettings, export_detector, find_checkpoint, trained_size

    checkpoint = find_checkpoint(checkpoint)
    settings = ExportSettings(
        size=size or trained_size(checkpoint),
        score=score,
        least_score=least_score,
        overlap=overlap,
        most=most,
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
    accuracy = done.accuracy
    if as_json:
        document = {
            "model": str(done.model),
            "sidecar": str(done.sidecar),
            "bytes": done.bytes,
            "parity": done.parity.to_json(),
            "map50_95_torch": None if accuracy is None else accuracy.torch,
            "map50_95_onnx": None if accuracy is None else accuracy.onnx,
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
