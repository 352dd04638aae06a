"""Looks after the process that holds the detector for all cameras: starts it, listens to it, starts it again."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import tempfile
import time
from contextlib import suppress
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Literal

import structlog

from shelfvision.config import ModelsSection
from shelfvision.edge.detector_client import DetectorAddress
from shelfvision.edge.detector_process import Failed, Ready, serve
from shelfvision.edge.restarts import Restarts

_PAUSES = (1.0, 60.0)  # seconds before the process is started again, first and longest
_SILENCE = 30.0  # a process without a sign of life for so long hangs
_LOADING = 180.0  # ... while it loads the network and measures the runtimes
_log = structlog.get_logger(__name__)


class DetectorService:
    """Keeps the detector's process running while the agent does.

    Args:
        models: of the site file; a detector is wanted and can be read (``chosen_models.check_models``).

    Attributes:
        address: for the cameras' processes; the same for all starts.
        ready: what the running process said; None until it did.
        restarts: how often the process was started anew.
        problem: why it cannot be asked, None while it can or is being started for the first time.
    """

    def __init__(self, models: ModelsSection) -> None:
        self._models = models
        self._folder = Path(tempfile.mkdtemp(prefix="shelfvision-"))  # only for this user
        self.address = DetectorAddress(str(self._folder / "detector"), os.urandom(32))
        self.ready: Ready | None = None
        self.restarts = 0
        self.problem: str | None = None
        self._context = multiprocessing.get_context("spawn")
        self._process: SpawnProcess | None = None
        self._pipe: Connection | None = None
        self._pauses = Restarts(*_PAUSES)
        self._start_at = 0.0
        self._heard = 0.0

    @property
    def state(self) -> Literal["starting", "ready", "away"]:
        """Whether it can be asked."""
        if self.problem is not None:
            return "away"
        return "starting" if self.ready is None else "ready"

    @property
    def pid(self) -> int | None:
        """Process id while it runs."""
        return self._process.pid if self._process is not None and self._process.is_alive() else None

    def start(self) -> None:
        """Start the process; returns at once."""
        ours, theirs = self._context.Pipe()
        arguments = (self._models, self.address, theirs)
        self._process = self._context.Process(target=serve, args=arguments, name="detector", daemon=True)
        resource_tracker.ensure_running()
        # as with the cameras: Ctrl-C must not reach it before it can ignore it
        masked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
        try:
            self._process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, masked)
        theirs.close()
        self._pipe, self._heard = ours, time.monotonic()

    def step(self, now: float) -> None:
        """Hear what it says, and start it again when it died or hangs; ``now`` is monotonic seconds."""
        self._hear()
        process = self._process
        if process is None:
            if now >= self._start_at:
                self.restarts += 1
                self.start()
            return
        if process.is_alive():
            if now - self._heard > (_LOADING if self.ready is None else _SILENCE):
                _log.error("the detector's process hangs and is killed")
                process.kill()
                process.join(5)
            return
        pause = self._pauses.pause(now)
        self.ready, self._process, self._start_at = None, None, now + pause
        self.problem = f"its process ended with code {process.exitcode}; it starts again in {pause:g} s"
        _log.warning("the detector's process ended and starts again", code=process.exitcode, seconds=pause)

    def _hear(self) -> None:
        with suppress(EOFError, OSError):
            while self._pipe is not None and self._pipe.poll():
                said = self._pipe.recv()
                self._heard = time.monotonic()
                if isinstance(said, Ready):
                    self.ready, self.problem = said, None
                    _log.info("detector ready", model=said.model, runtime=said.runtime, ms=said.milliseconds)
                elif isinstance(said, Failed):
                    self.problem = said.problem
                    _log.error("the detector cannot be loaded; slots are judged without it", problem=said.problem)

    def stop(self, deadline: float) -> None:
        """End the process until ``deadline`` (monotonic seconds), or kill it."""
        process, pipe = self._process, self._pipe
        self._process = self._pipe = None
        if pipe is not None:
            pipe.close()
        if process is not None:
            process.join(max(deadline - time.monotonic(), 0))
            if process.is_alive():
                process.kill()
                process.join(5)
        shutil.rmtree(self._folder, ignore_errors=True)

    def kill(self) -> None:
        """End the process at once."""
        if self._process is not None:
            self._process.kill()
        shutil.rmtree(self._folder, ignore_errors=True)
