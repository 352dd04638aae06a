"""``shelfvision replay``: a recorded video through the agent's reasoning, offline."""

from __future__ import annotations

import json
import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from shelfvision.errors import UsageError

if TYPE_CHECKING:
    from shelfvision.edge.replay import Progress, ReplaySummary


def replay(
    site_file: Annotated[Path, typer.Argument(metavar="SITE.yaml", help="The store's site file.")],
    camera: Annotated[str, typer.Option(help="Id of the camera whose slots the video shows.")],
    video: Annotated[Path, typer.Option(help="Video file to run.")],
    events: Annotated[Path, typer.Option(help="Output: one CloudEvent as JSON a line.")],
    annotated: Annotated[
        Path | None, typer.Option(help="Also write an MP4 that shows what the system believed.")
    ] = None,
    start: Annotated[
        str | None, typer.Option(help="Time of the first picture, such as 2026-01-31T08:00:00Z; 1970 when absent.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> int:
    """Run a recorded video through the agent's reasoning, offline.

    Video time is the clock and every frame within the camera's rate is processed, so equal input gives equal output.
    """
    from shelfvision.cli.progress import ProgressLine
    from shelfvision.edge.camera import find_camera
    from shelfvision.edge.replay import replay as run
    from shelfvision.site_file import load_site

    site = load_site(site_file)
    section = find_camera(site, camera)
    begin = _start_seconds(start)
    progress = ProgressLine(f"replay {video.name}")

    def show(at: Progress) -> None:
        share = at.seconds / at.declared if at.declared else None
        progress.update(share, f"{at.seconds:.1f} s, {at.frames} frames, {at.events} events")

    started = time.monotonic()
    try:
        summary = run(site, section, video, events, annotated=annotated, start=begin, on_progress=show)
    finally:
        progress.close()
    _print(summary, events, annotated, time.monotonic() - started, as_json=as_json)
    if summary.fault is not None:
        raise summary.fault
    return 0


def _start_seconds(text: str | None) -> float:
    if text is None:
        return 0.0
    try:
        start = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"--start {text!r}: expected a time such as 2026-01-31T08:00:00Z") from None
    if start.tzinfo is None:
        raise UsageError(f"--start {text!r}: needs a UTC offset, such as a trailing Z")
    if (seconds := start.timestamp()) < 0:
        raise UsageError(f"--start {text!r}: lies before 1970")
    return seconds


def _print(summary: ReplaySummary, events: Path, annotated: Path | None, wall: float, *, as_json: bool) -> None:
    if as_json:
        document = {
            "frames_read": summary.frames_read,
            "frames": summary.frames,
            "seconds": round(summary.seconds, 3),
            "damaged": summary.damaged,
            "complete": summary.fault is None,
            "events": dict(sorted(summary.events.items())),
            "slots": {slot.slot: slot.state.value for slot in summary.slots},
            "events_file": str(events),
            "annotated_file": None if annotated is None else str(annotated),
            "wall_seconds": round(wall, 3),
        }
        print(json.dumps(document))
        return
    speed = summary.seconds / wall if wall > 0 else 0.0
    frames = f"{summary.frames} of {summary.frames_read} frames"
    print(f"{frames}, {summary.seconds:.1f} s of video in {wall:.1f} s ({speed:.1f}x)")
    if summary.damaged:
        print(f"{summary.damaged} damaged pictures were passed over")
    counts = ", ".join(f"{count} {kind}" for kind, count in sorted(summary.events.items())) or "none"
    print(f"events: {counts} -> {events}")
    for slot in summary.slots:
        print(f"  {slot.slot}: {slot.state.value} since {slot.since:%H:%M:%S}")
    if annotated is not None:
        print(f"annotated video: {annotated}")
