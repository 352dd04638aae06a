"""``shelfvision simulate video`` and ``simulate clips``: rendered footage of named stores with exact truth."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated

import typer


def video(
    out: Annotated[Path, typer.Option(help="Folder for the recordings; what is there already stays.")],
    store: Annotated[
        str, typer.Option(help="corner, aisle, chiller or table; several separated by commas.")
    ] = "corner",
    count: Annotated[int, typer.Option(min=1, help="Recordings of each store, with seeds one after another.")] = 1,
    seed: Annotated[int, typer.Option(help="The first seed; it decides everything.")] = 1,
    seconds: Annotated[float, typer.Option(help="Length of each recording.")] = 60.0,
    fps: Annotated[float, typer.Option(help="Frames a second.")] = 25.0,
    quality: Annotated[int, typer.Option(help="H.264 constant rate factor: 0 best, 51 worst.")] = 23,
    busy: Annotated[float, typer.Option(help="2: twice as many people come.")] = 1.0,
    nudge_at: Annotated[float | None, typer.Option(help="Second at which the camera is moved for good.")] = None,
    boxes: Annotated[bool, typer.Option("--boxes", help="Also write the boxes of every frame.")] = False,
    workers: Annotated[int, typer.Option(min=1, help="Processes that render.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> int:
    """Record footage of simulated stores: MP4, truth for `evaluate events`, and a site file for `replay`.

    Writes STORE-SEED.mp4, .truth.json, .yaml, .csv and with --boxes .boxes.jsonl into OUT.
    """
    import cv2

    from shelfvision.cli.progress import ProgressLine
    from shelfvision.sim.video import VideoOptions, record_all

    cv2.setNumThreads(1)
    recordings = [
        VideoOptions(name.strip(), seed + number, seconds, fps, quality, boxes, busy, nudge_at)
        for name in store.split(",")
        for number in range(count)
    ]
    progress = ProgressLine("simulate video")
    unit = "recordings" if workers > 1 and len(recordings) > 1 else "frames"
    began = time.monotonic()
    try:
        videos = record_all(
            recordings,
            out,
            workers=workers,
            progress=lambda done, total: progress.update(done / total, f"{done} of {total} {unit}"),
        )
    finally:
        progress.close()
    took = time.monotonic() - began
    if as_json:
        print(json.dumps({"videos": [str(path) for path in videos], "seconds": round(took, 2)}))
    else:
        for path in videos:
            print(path)
        print(f"{len(videos)} recordings of {seconds:g} s in {took:.1f} s")
    return 0


def clips(
    out: Annotated[Path, typer.Option(help="Folder for the clips; one begun before is continued.")],
    count: Annotated[int, typer.Option(help="Clips in the finished set, at least.")] = 1000,
    seed: Annotated[int, typer.Option(help="Decides everything; the same seed gives the same bytes.")] = 0,
    frames: Annotated[int, typer.Option(help="Frames of a clip.")] = 16,
    seconds: Annotated[float, typer.Option(help="Time that a clip spans.")] = 1.6,
    size: Annotated[int, typer.Option(help="Pixels of a side.")] = 112,
    store: Annotated[str | None, typer.Option(help="Stores, separated by commas; all when absent.")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes that render.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> int:
    """Cut labelled clips for the action classifier: background, touch, pick_up, put_back.

    Writes OUT/LABEL/*.jpg, each with its frames below one another, and OUT/clips.jsonl.
    """
    import cv2

    from shelfvision.cli.progress import ProgressLine
    from shelfvision.sim.clips import ClipOptions, write_clips
    from shelfvision.sim.stores import STORES

    cv2.setNumThreads(1)
    stores = tuple(STORES) if store is None else tuple(name.strip() for name in store.split(","))
    options = ClipOptions(count, seed, frames, seconds, size, stores)
    progress = ProgressLine("simulate clips")
    try:
        index = write_clips(
            options,
            out,
            workers=workers,
            progress=lambda done, total: progress.update(done / total, f"{done} of {total} clips"),
        )
    finally:
        progress.close()
    made = sum(1 for _ in index.open(encoding="utf-8")) - 1
    print(json.dumps({"index": str(index), "clips": made}) if as_json else f"{index}: {made} clips")
    return 0
