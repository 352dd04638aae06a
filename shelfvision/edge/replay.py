"""Runs a recorded video through a camera's pipeline, offline. Video time is the clock; equal input, equal bytes."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from shelfvision.config import CameraSection, Site
from shelfvision.core.messages import SlotState
from shelfvision.edge.annotate import Annotator
from shelfvision.edge.chosen_models import check_models, open_site_detector
from shelfvision.edge.frame import Frame
from shelfvision.edge.inference import AtOnce
from shelfvision.edge.partial_file import PartialFile, cannot_write
from shelfvision.edge.pipeline import CameraPipeline
from shelfvision.edge.video_file import VideoFile
from shelfvision.edge.video_writer import VideoWriter
from shelfvision.errors import CameraError, UsageError
from shelfvision.transport.ids import to_event

_FINGERPRINT_BYTES = 1 << 20


@dataclass(slots=True)
class Progress:
    """How far a replay is."""

    seconds: float  # of video time reached
    declared: float | None  # length of the video by its header
    frames: int
    events: int


@dataclass(slots=True)
class ReplaySummary:
    """What a replay did."""

    frames_read: int = 0
    frames: int = 0  # processed: those within the camera's fps
    seconds: float = 0.0
    damaged: int = 0
    events: Counter[str] = field(default_factory=Counter)
    slots: tuple[SlotState, ...] = ()
    fault: CameraError | None = None  # the video ended early; all of it that can be decoded was processed


def replay(
    site: Site,
    camera: CameraSection,
    video: Path,
    events: Path,
    *,
    annotated: Path | None = None,
    start: float = 0.0,
    on_progress: Callable[[Progress], None] = lambda _: None,
) -> ReplaySummary:
    """Process every frame of a video within the camera's rate and write the events, one CloudEvent a line.

    The output files appear under their names when all is done, also when the video turns out to be truncated.

    Args:
        site: whose store, device and settings.
        camera: whose geometry and rate; its own source is not used.
        video: the file.
        events: the output.
        annotated: an MP4 that shows what the system believed, if wanted.
        start: POSIX seconds of the video's first picture.
        on_progress: called after each frame.

    Raises:
        CameraError: the video cannot be read at all, or its size is not the camera's.
        ModelError: the detector that the site asks for cannot be used.
        ShelfvisionError: an output cannot be written.
    """
    _check_paths(video, events, annotated)
    source = VideoFile(video, fps=camera.fps, start=start)
    with ExitStack() as stack:
        stack.callback(source.close)
        if source.size != camera.size:
            raise CameraError(
                f"{video}: pictures of {source.size[0]}x{source.size[1]} pixels, but camera {camera.id!r} was drawn on "
                f"{camera.size[0]}x{camera.size[1]}; use footage of that size or draw the slots anew"
            )
        output = stack.enter_context(PartialFile(events))
        film = stack.enter_context(PartialFile(annotated)) if annotated is not None else None
        try:
            with output.path.open("w", encoding="utf-8", newline="\n") as lines:
                summary = _Run(site, camera, source, film).process(lines.write, on_progress)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise cannot_write(events, error) from None
        output.keep()
        if film is not None:
            film.keep()
    return summary


class _Run:
    """One replay of an open video."""

    def __init__(self, site: Site, camera: CameraSection, source: VideoFile, film: PartialFile | None) -> None:
        plan = camera.plan()
        self._site, self._source = site, source
        wanted = check_models(site.models) is not None
        detector = AtOnce(open_site_detector(site.models, repeatable=True)) if wanted else None
        self._pipeline = CameraPipeline(
            plan, presence_window_seconds=site.device.presence_window_seconds, detector=detector
        )
        self._epoch = _epoch(site, camera, source)
        self._links: dict[str, str] = {}
        self._seq = 0
        self._annotator = self._writer = None
        if film is not None:
            self._annotator = Annotator(plan, start=source.start)
            self._writer = VideoWriter(film.path, self._annotator.size, camera.fps)

    def process(self, write: Callable[[str], object], on_progress: Callable[[Progress], None]) -> ReplaySummary:
        """Run all frames; a video that ends early is noted in the summary."""
        summary, source = ReplaySummary(), self._source
        declared = source.declared_seconds
        try:
            try:
                for frame in source:
                    summary.slots = self._step(frame, write, summary)
                    on_progress(Progress(source.seconds, declared, summary.frames, self._seq))
            except CameraError as error:
                summary.fault = error
            if self._writer is not None:
                self._writer.close()
        except BaseException:
            if self._writer is not None:
                self._writer.abandon()
            raise
        summary.frames_read, summary.seconds, summary.damaged = source.read, source.seconds, source.damaged
        return summary

    def _step(self, frame: Frame, write: Callable[[str], object], summary: ReplaySummary) -> tuple[SlotState, ...]:
        result = self._pipeline.step(frame)
        store, device = self._site.store.id, self._site.device.id
        for draft in result.events:
            self._seq += 1
            event = to_event(draft, store=store, device=device, epoch=self._epoch, seq=self._seq, links=self._links)
            write(event.to_json() + "\n")
            summary.events[draft.kind.value] += 1
        if self._writer is not None and self._annotator is not None:
            self._writer.write(self._annotator.draw(frame, result), frame.time - self._source.start)
        summary.frames += 1
        return result.slots


def _epoch(site: Site, camera: CameraSection, source: VideoFile) -> str:
    """An epoch that belongs to this store, camera, start and video content, wherever the file lies."""
    digest = hashlib.sha256()
    for part in (site.store.id, site.device.id, camera.id, repr(source.start), str(source.path.stat().st_size)):
        digest.update(f"{len(part)}:{part}".encode())
    with source.path.open("rb") as file:
        digest.update(file.read(_FINGERPRINT_BYTES))
    return digest.hexdigest()[:24]


def _check_paths(video: Path, events: Path, annotated: Path | None) -> None:
    named = [path.resolve() for path in (video, events, annotated) if path is not None]
    if len(set(named)) != len(named):
        raise UsageError("--video, --events and --annotated must be different files")
