"""What runs in the process of one camera: source, pipeline, reports to the agent."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from multiprocessing.connection import Connection
from typing import Literal

import cv2

from shelfvision.core.events import EventDraft, EventKind, to_utc
from shelfvision.core.messages import CameraStatus, SlotCondition, SlotState
from shelfvision.edge.camera import CameraSource, comes_back, open_camera
from shelfvision.edge.clock import SteadyClock
from shelfvision.edge.detector_client import DetectorLine, RemoteDetector
from shelfvision.edge.frame import Frame
from shelfvision.edge.pipeline import CameraPipeline, StepResult
from shelfvision.edge.reports import CameraJob, CameraReport
from shelfvision.edge.slot_changes import SlotChanges
from shelfvision.errors import CameraError
from shelfvision.logs import configure_logs

REPORT_SECONDS = 10.0  # a report at least this often, so that the agent knows that the process lives
_RETRY_SECONDS = (1.0, 30.0)  # first and longest pause before a failed source is opened again

Status = Literal["starting", "online", "offline", "frozen", "moved", "resized", "ended"]
_FAULTS: dict[str, Status] = {"frozen": "frozen", "moved": "moved", "resized": "resized"}


def run_camera(job: CameraJob, pipe: Connection) -> None:
    """The entry of the process; returns when the agent says so, has gone, or the source has ended for good."""
    # the agent decides when to stop: a Ctrl-C at the terminal reaches this process too, and must not cut it short
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGTERM})
    configure_logs()
    cv2.setNumThreads(1)  # the machine's cores are shared by all cameras
    process = CameraProcess(job, pipe.send)
    signal.signal(signal.SIGTERM, lambda *_: process.stop())
    threading.Thread(target=_listen, args=(pipe, process), name="agent-listener", daemon=True).start()
    with suppress(BrokenPipeError, ConnectionResetError):  # the agent has gone
        process.run()


def _listen(pipe: Connection, process: CameraProcess) -> None:
    """Wait for the agent's word to stop, or for its end."""
    with suppress(EOFError, OSError):
        pipe.recv()
    process.stop()


class CameraProcess:
    """Runs one camera's source through its pipeline and reports.

    Args:
        job: which camera.
        send: takes the reports, in order.
        pipeline: makes the pipeline; a test may give another one.
    """

    def __init__(
        self,
        job: CameraJob,
        send: Callable[[CameraReport], None],
        *,
        pipeline: Callable[[], CameraPipeline] | None = None,
    ) -> None:
        self._job = job
        self._send = send
        plan, window = job.camera.plan(), job.presence_window_seconds
        detector = None if job.detector is None else RemoteDetector(DetectorLine(job.detector))
        make = pipeline or (lambda: CameraPipeline(plan, presence_window_seconds=window, detector=detector))
        self._pipeline = make()
        self._clock = SteadyClock()
        self._changes = SlotChanges()
        self._rate = _Rate()
        self._stopped = threading.Event()
        self._source: CameraSource | None = None
        self._dropped = 0  # by sources that are closed
        self._status: Status = "starting"
        self._since = self._last = self._clock.now()
        self._error: str | None = None
        self._reported = 0.0  # never yet

    def stop(self) -> None:
        """End soon; from any thread."""
        self._stopped.set()
        if (source := self._source) is not None:
            source.close()

    def run(self) -> None:
        """Process frames until told to stop or the source has ended for good.

        Raises:
            OSError: nobody takes the reports any more.
        """
        self._tell()
        pause = _RETRY_SECONDS[0]
        while not self._stopped.is_set():
            online = self._rate.total
            try:
                self._play()
            except CameraError as error:
                if not comes_back(self._job.camera):
                    self._fail(str(error))
                    return
                self._lose(str(error))
            else:
                if not self._stopped.is_set():
                    self._change("ended", None)
                return
            pause = _RETRY_SECONDS[0] if self._rate.total > online else min(pause * 2, _RETRY_SECONDS[1])
            self._wait(pause)

    def _play(self) -> None:
        source = self._source = open_camera(self._job.camera)
        try:
            if self._stopped.is_set():  # told to while the source was being opened
                return
            for frame in source:
                self._take(frame)
                if self._stopped.is_set():
                    return
        finally:
            source.close()
            self._dropped += source.dropped
            self._source = None

    def _take(self, frame: Frame) -> None:
        self._last = max(self._last, frame.time)
        result = self._pipeline.step(frame)
        self._rate.count(frame.time)
        fault = result.camera_fault
        status = "online" if fault is None else _FAULTS.get(fault, "offline")
        error = None
        if fault == "resized":
            size, expected = "{}x{}".format(*frame.size), "{}x{}".format(*self._job.camera.size)
            error = f"sends pictures of {size}, but its slots were drawn on {expected}"
        elif fault is not None:
            error = f"the picture is {fault}; slots are unknown until it is right again"
        self._tell(result, status, error)

    def _lose(self, error: str) -> None:
        """The source failed and may come back."""
        result = None
        if self._rate.total and self._status != "offline":
            result = self._pipeline.interrupted(self._now())
        elif self._status != "offline":  # it never came: no change to tell of, but what is retained may be old
            result = StepResult((), self._never_seen())
        self._tell(result, "offline", error)

    def _never_seen(self) -> tuple[SlotState, ...]:
        moment, camera = to_utc(self._now()), self._job.camera
        return tuple(
            SlotState(
                slot=slot.id,
                camera=camera.id,
                sku=slot.sku,
                state=SlotCondition.UNKNOWN,
                since=moment,
                updated_at=moment,
                confidence=0.0,
            )
            for slot in camera.slots
        )

    def _fail(self, error: str) -> None:
        """The source failed for good: a file that is missing, or that ended early."""
        name = f"camera {self._job.camera.id}: "
        error = name + error.removeprefix(name)
        ended = self._rate.total > 0
        self._status, self._since, self._error = "ended" if ended else "offline", self._now(), error
        self._send(CameraReport(status=self._current(), fault=error))

    def _wait(self, seconds: float) -> None:
        until = self._clock.now() + seconds
        while not self._stopped.wait(max(0.0, min(until - self._clock.now(), REPORT_SECONDS))):
            if self._clock.now() >= until:
                return
            self._tell()

    def _now(self) -> float:
        """Now, but not before the last frame: a pipeline's time never goes back."""
        return max(self._clock.now(), self._last)

    def _change(self, status: Status, error: str | None) -> None:
        self._tell(None, status, error)

    def _tell(self, result: StepResult | None = None, status: Status | None = None, error: str | None = None) -> None:
        """Report what is new; the status also when it is time for a sign of life."""
        now = self._now()
        events: tuple[EventDraft, ...] = ()
        slots: tuple[SlotState, ...] = ()
        if result is not None:
            events = tuple(self._named(event, error) for event in result.events)
            slots = self._changes.pick(result.slots, now)
        status = status or self._status
        changed = status != self._status or (status != "online" and error is not None and error != self._error)
        if changed:
            if status != self._status:
                self._since = now
            self._status, self._error = status, error
        told = None
        if changed or now - self._reported >= REPORT_SECONDS:
            told, self._reported = self._current(), now
        if events or slots or told is not None:
            self._send(CameraReport(events, slots, told))

    def _current(self) -> CameraStatus:
        dropped = self._dropped + (self._source.dropped if self._source is not None else 0)
        return CameraStatus(
            camera=self._job.camera.id,
            status=self._status,
            since=to_utc(self._since),
            fps=round(self._rate.fps(self._now()), 2),
            dropped=dropped,
            error=None if self._error is None else self._error[:500],
        )

    def _named(self, draft: EventDraft, error: str | None) -> EventDraft:
        """The draft with a key that no other run of this camera uses, and the source's own reason for being offline."""
        run, data = self._job.run, draft.data
        if data.linked_event is not None:
            data = data.model_copy(update={"linked_event": f"{run}-{data.linked_event}"})
        if draft.kind is EventKind.CAMERA and error is not None and data.status == "offline":
            data = data.model_copy(update={"reason": error[:500]})
        return replace(draft, key=f"{run}-{draft.key}", data=data)


class _Rate:
    """Frames a second over the last seconds."""

    def __init__(self, window: float = 10.0) -> None:
        self.total = 0
        self._window = window
        self._times: list[float] = []

    def count(self, time: float) -> None:
        """One more frame."""
        self.total += 1
        self._times.append(time)
        while self._times[0] < time - self._window:
            self._times.pop(0)

    def fps(self, now: float) -> float:
        """The rate up to now."""
        recent = [time for time in self._times if time >= now - self._window]
        if len(recent) < 2:
            return 0.0
        return (len(recent) - 1) / max(recent[-1] - recent[0], 1e-3)
