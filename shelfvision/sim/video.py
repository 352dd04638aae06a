"""Footage on disk: H.264 in MP4, its truth as JSON beside it, and the boxes of every frame if wanted."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Self

import av
import numpy as np
from av.video.frame import VideoFrame

from shelfvision.errors import ConfigError
from shelfvision.sim.actors import BoxTruth
from shelfvision.sim.footage import FilmFrame, Footage
from shelfvision.sim.sensor import SensorOptions
from shelfvision.sim.stores import STORES, build_store
from shelfvision.sim.truth import TruthRecorder
from shelfvision.sim.visits import ScriptOptions


@dataclass(frozen=True, slots=True)
class VideoOptions:
    """One recording.

    Raises:
        ConfigError: a value outside its range, or an unknown store.
    """

    store: str = "corner"
    seed: int = 1
    seconds: float = 60.0
    fps: float = 25.0
    quality: int = 23  # constant rate factor of x264: 0 best, 51 worst
    boxes: bool = False  # boxes of every frame, to NAME.boxes.jsonl
    busy: float = 1.0
    nudge_at: float | None = None

    def __post_init__(self) -> None:
        checks = {
            f"store: no store {self.store!r}, choose from {', '.join(STORES)}": self.store in STORES,
            f"seed: expected 0 or more, found {self.seed}": self.seed >= 0,
            f"seconds: expected over 0 and up to 86400, found {self.seconds:g}": 0 < self.seconds <= 86_400,
            f"fps: expected 1 to 60, found {self.fps:g}": 1 <= self.fps <= 60,
            f"quality: expected 0 to 51, found {self.quality}": 0 <= self.quality <= 51,
            f"busy: expected over 0 and up to 10, found {self.busy:g}": 0 < self.busy <= 10,
        }
        faults = [fault for fault, right in checks.items() if not right]
        if faults:
            raise ConfigError("\n".join(f"video {fault}" for fault in faults))

    @property
    def name(self) -> str:
        """File name without its ending."""
        return f"{self.store}-{self.seed:04d}"


def record(
    options: VideoOptions, folder: Path, *, progress: Callable[[int, int], None] = lambda _done, _total: None
) -> Path:
    """Make ``NAME.mp4``, ``NAME.truth.json``, ``NAME.yaml`` (a site file) and ``NAME.csv`` (its catalogue).

    The video is written last and moved into place, so that it exists only when everything else does.

    Args:
        options: what to record.
        folder: where to; it is made.
        progress: called with frames done and all frames.

    Returns:
        The video's path.

    Raises:
        ConfigError: the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return _record(options, folder, progress)
    except OSError as error:
        raise ConfigError(f"{folder}: cannot write the recording: {error.strerror}") from None


def _record(options: VideoOptions, folder: Path, progress: Callable[[int, int], None]) -> Path:
    store = build_store(options.store, options.seed)
    footage = Footage(
        store,
        options.seed,
        fps=options.fps,
        script=ScriptOptions(busy=options.busy),
        sensor=SensorOptions(nudge_at=options.nudge_at),
    )
    recorder = TruthRecorder(footage)
    frames = max(1, round(options.seconds * options.fps))
    video, partial = folder / f"{options.name}.mp4", folder / f"{options.name}.mp4.part"
    boxes = (folder / f"{options.name}.boxes.jsonl").open("w", encoding="utf-8") if options.boxes else None
    try:
        with VideoWriter(partial, store.size, options.fps, options.quality) as writer:
            for done in range(frames):
                frame = footage.step(boxes=boxes is not None)
                recorder.see(frame)
                writer.write(frame)
                if boxes is not None:
                    boxes.write(json.dumps(_box_line(frame), separators=(",", ":")) + "\n")
                progress(done + 1, frames)
    finally:
        if boxes is not None:
            boxes.close()
    camera = options.store
    truth = recorder.document(camera=camera, video=video.name)
    _write(folder / f"{options.name}.truth.json", json.dumps(truth, indent=1) + "\n")
    _write_site(footage, camera, folder, options.name)
    partial.replace(video)
    return video


class VideoWriter:
    """H.264 by x264 on one thread, so that the same frames give the same bytes."""

    def __init__(self, path: Path, size: tuple[int, int], fps: float, quality: int) -> None:
        self._container = av.open(str(path), "w", format="mp4")
        rate = Fraction(fps).limit_denominator(1001)
        self._stream: Any = self._container.add_stream("libx264", rate=rate)
        self._stream.width, self._stream.height = size
        self._stream.pix_fmt = "yuv420p"
        self._stream.options = {"crf": str(quality), "preset": "veryfast", "threads": "1"}
        self._stream.codec_context.thread_count = 1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for packet in self._stream.encode(None):
            self._container.mux(packet)
        self._container.close()

    def write(self, frame: FilmFrame) -> None:
        """Add a drawn frame."""
        assert frame.image is not None
        picture = VideoFrame.from_ndarray(np.ascontiguousarray(frame.image), format="bgr24")
        for packet in self._stream.encode(picture):
            self._container.mux(packet)


def _box_line(frame: FilmFrame) -> dict[str, Any]:
    return {"frame": frame.index, "boxes": [_box(box) for box in frame.boxes]}


def _box(box: BoxTruth) -> dict[str, Any]:
    entry: dict[str, Any] = {"label": box.label, "xyxy": list(box.xyxy), "visibility": round(box.visibility, 4)}
    if box.sku is not None:
        entry["sku"] = box.sku
    if box.slot is not None:
        entry["slot"] = box.slot
    return entry


def _write_site(footage: Footage, camera: str, folder: Path, name: str) -> None:
    """A site file with which `replay` runs on the video."""
    store = footage.store
    lines = [
        "version: 1",
        "store: {id: simulated, name: Simulated store}",
        f"catalogue: {name}.csv",
        "cameras:",
        f"  - id: {camera}",
        f"    source: {name}.mp4",
        f"    size: [{store.size[0]}, {store.size[1]}]",
        f"    fps: {min(footage.fps, 10):g}",
        "    slots:",
    ]
    for slot in store.plan():
        corners = ", ".join(f"[{x:g}, {y:g}]" for x, y in slot.polygon)
        lines.append(
            f"      - {{id: {slot.id}, sku: {json.dumps(slot.sku)}, facings: {slot.facings}, "
            f"capacity: {slot.capacity}, polygon: [{corners}]}}"
        )
    rows = ["sku,name,gtin,category,price,unit_margin,backroom_units"]
    for product in store.products():
        label = '"' + product.name.replace('"', '""') + '"'
        rows.append(
            f"{product.sku},{label},{product.gtin},{product.category},{product.price},{product.unit_margin},"
            f"{product.backroom_units}"
        )
    _write(folder / f"{name}.csv", "\n".join(rows) + "\n")
    _write(folder / f"{name}.yaml", "\n".join(lines) + "\n")


def _write(path: Path, text: str) -> None:
    partial = path.with_name(path.name + ".part")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, path)  # noqa: PTH105 - the rule for files that must be whole
