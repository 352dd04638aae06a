"""Keeps one camera's process running: starts it, listens to it, starts it again when it dies."""

from __future__ import annotations

import multiprocessing
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess

import structlog

from shelfvision.config import CameraSection
from shelfvision.core.events import EventData, EventDraft, EventKind, to_utc
from shelfvision.core.messages import CameraStatus, SlotCondition, SlotState
from shelfvision.edge.camera_process import run_camera
from shelfvision.edge.detector_client import DetectorAddress
from shelfvision.edge.reports import CameraJob, CameraReport
from shelfvision.edge.restarts import Restarts

_PAUSES = (0.5, 30.0)  # seconds before the process is started again, first and longest
_SILENCE = 60.0  # a process that reports nothing for so long hangs
_log = structlog.get_logger(__name__)


class CameraWorker:
    """The supervised process of one camera.

    Args:
        camera: what to watch.
        presence_window_seconds: for the pipeline.
        deliver: takes the reports; called from the worker's own thread and from ``step``.
        detector: the process that detects for all cameras, if there is one.

    Attributes:
        finished: the source has ended for good and no process runs any more.
        fault: why it ended, when it should not have.
        restarts: how often the process was started anew.
        status: the latest one.
    """

    def __init__(
        self,
        camera: CameraSection,
        *,
        presence_window_seconds: float,
        deliver: Callable[[CameraReport], None],
        detector: DetectorAddress | None = None,
    ) -> None:
        self.camera = camera
        self.finished = False
        self.fault: str | None = None
        self.restarts = 0
        self.status: CameraStatus | None = None
        self._window = presence_window_seconds
        self._deliver = deliver
        self._detector = detector
        self._context = multiprocessing.get_context("spawn")
        self._process: SpawnProcess | None = None
        self._pipe: Connection | None = None
        self._reader: threading.Thread | None = None
        self._heard = 0.0
        self._start_at: float | None = None
        self._restarts = Restarts(*_PAUSES)
        self._slots: dict[str, SlotState] = {}
        self._stopping = False
        self._lost = False  # a camera event said that it went offline

    @property
    def pid(self) -> int | None:
        """Process id while it runs."""
        return self._process.pid if self._process is not None and self._process.is_alive() else None

    def start(self) -> None:
        """Start the process; returns at once."""
        ours, theirs = self._context.Pipe()
        run = f"{time.time_ns() // 1_000_000:x}"
        job = CameraJob(self.camera, self._window, run, self._detector)
        self._process = self._context.Process(
            target=run_camera, args=(job, theirs), name=f"camera-{self.camera.id}", daemon=True
        )
        # blocked in the child from its first instruction on, so that Ctrl-C leaves no traceback of a half-born process;
        # the tracker that multiprocessing starts with the first child would unblock them again
        resource_tracker.ensure_running()
        masked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
        try:
            self._process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, masked)
        theirs.close()  # or the end of the process would not end our reading
        self._pipe, self._heard, self._start_at = ours, time.monotonic(), None
        self._reader = threading.Thread(target=self._read, args=(ours,), name=f"reports-{self.camera.id}", daemon=True)
        self._reader.start()

    def step(self, now: float) -> None:
        """Look after the process; ``now`` is monotonic seconds."""
        if self.finished or self._stopping:
            return
        if self._start_at is not None:
            if now >= self._start_at:
                self.restarts += 1
                self.start()
            return
        process, reader = self._process, self._reader
        if process is None or reader is None:
            return
        if process.is_alive():
            if now - self._heard > _SILENCE:
                _log.error("camera process hangs and is killed", camera=self.camera.id)
                process.kill()
            return
        reader.join(5)  # what it said before its end comes first
        if self.fault is not None or (self.status is not None and self.status.status == "ended"):
            self.finished = True
            return
        self._bury(process, now)

    def _bury(self, process: SpawnProcess, now: float) -> None:
        """The process died: say so, and plan the next start."""
        pause = self._restarts.pause(now)
        self._start_at = now + pause
        code = process.exitcode or 0
        how = f"was ended by signal {-code}" if code < 0 else f"ended with code {code}"
        reason = f"the camera's process {how}; it starts again in {pause:g} s"
        if self.status is not None and self.status.error and code > 0:
            reason = f"{reason} ({self.status.error})"
        _log.warning("camera process died", camera=self.camera.id, problem=reason, restarts=self.restarts + 1)
        moment = time.time()
        known = self._lost or (self.status is not None and self.status.status == "offline")
        events = () if known else (self._camera_event("offline", moment, reason),)
        self._lost = True
        slots = tuple(_unknown(state, moment) for state in self._slots.values())
        status = CameraStatus(camera=self.camera.id, status="offline", since=to_utc(moment), error=reason[:500])
        self._hand_on(CameraReport(events, slots, status))

    def _camera_event(self, status: str, moment: float, reason: str | None) -> EventDraft:
        data = EventData(status=status, reason=None if reason is None else reason[:500])
        key = f"process-{time.time_ns() // 1_000_000:x}-{status}"
        return EventDraft(EventKind.CAMERA, moment, self.camera.id, data, key)

    def _read(self, pipe: Connection) -> None:
        with suppress(EOFError, OSError):
            while True:
                report = pipe.recv()
                self._heard = time.monotonic()
                if self._lost and report.status is not None and report.status.status == "online":
                    self._lost = False
                    back = self._camera_event("online", time.time(), None)
                    self._hand_on(CameraReport(events=(back,)))
                self._hand_on(report)
        pipe.close()

    def _hand_on(self, report: CameraReport) -> None:
        for state in report.slots:
            self._slots[state.slot] = state
        if report.fault is not None:
            self.fault = report.fault
        if report.status is not None:
            restarts = self.restarts + (1 if self._start_at is not None else 0)
            self.status = report.status.model_copy(update={"restarts": restarts})
            report = CameraReport(report.events, report.slots, self.status, report.fault)
        self._deliver(report)

    def stop(self) -> None:
        """Ask the process to end; returns at once."""
        self._stopping = True
        if self._pipe is not None:
            with suppress(OSError, ValueError):
                self._pipe.send("stop")

    def join(self, deadline: float) -> None:
        """Wait for the end of the process until ``deadline`` (monotonic seconds), then kill it."""
        process, reader = self._process, self._reader
        if process is None or reader is None:
            return
        process.join(max(deadline - time.monotonic(), 0))
        if process.is_alive():
            process.kill()
            process.join(5)
        reader.join(5)

    def kill(self) -> None:
        """End the process at once."""
        self._stopping = True
        if self._process is not None:
            self._process.kill()


def _unknown(state: SlotState, moment: float) -> SlotState:
    if state.state is SlotCondition.UNKNOWN:
        return state
    return state.model_copy(
        update={
            "state": SlotCondition.UNKNOWN,
            "since": to_utc(moment),
            "updated_at": to_utc(moment),
            "fullness": None,
            "facings": None,
            "confidence": 0.0,
            "obstructed": False,
            "last_known": state.state,
        }
    )
