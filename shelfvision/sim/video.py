"""Footage on disk: H.264 in MP4, its truth as JSON beside it, and the boxes of every frame if wanted."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Self

import av
import numpy as np
from av.video.frame import VideoFrame

from shelfvision.core.planogram import CameraPlan
from shelfvision.errors import ConfigError
from shelfvision.sim.actors import BoxTruth
from shelfvision.sim.footage import FilmFrame, Footage
from shelfvision.sim.pools import single_threaded_pool
from shelfvision.sim.sensor import SensorOptions
from shelfvision.sim.site_files import CameraEntry, write_site, write_whole
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


def record_all(
    recordings: Sequence[VideoOptions],
    folder: Path,
    *,
    workers: int = 1,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> list[Path]:
    """Make several recordings; those that are there already stay as they are.

    Args:
        recordings: what to record.
        folder: where to.
        workers: processes that render; the files do not depend on it.
        progress: called with frames done and all frames when one process works, else with recordings.

    Raises:
        ConfigError: the folder cannot be written.
    """
    videos = [folder / f"{options.name}.mp4" for options in recordings]
    missing = [options for options, video in zip(recordings, videos, strict=True) if not video.exists()]
    if workers <= 1 or len(missing) <= 1:
        total = sum(max(1, round(options.seconds * options.fps)) for options in missing)
        done = 0
        for options in missing:
            before = done
            record(options, folder, progress=lambda frames, _, before=before: progress(before + frames, total))  # type: ignore[misc]
            done += max(1, round(options.seconds * options.fps))
        return videos
    with single_threaded_pool(min(workers, len(missing))) as pool:
        for done, _ in enumerate(pool.map(record, missing, [folder] * len(missing)), start=1):
            progress(done, len(missing))
    return videos


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
    write_whole(folder / f"{options.name}.truth.json", json.dumps(truth, indent=1) + "\n")
    plan = CameraPlan(camera, store.size, store.plan())
    write_site(folder, options.name, [CameraEntry(plan, video.name, min(options.fps, 10.0))], store.products())
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
