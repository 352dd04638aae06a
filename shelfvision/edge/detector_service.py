"""The process that holds the detector for all cameras of a device, and who looks after it."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import AuthenticationError, resource_tracker
from multiprocessing.connection import Connection, Listener
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Literal

import numpy as np
import structlog

from shelfvision.config import ModelsSection
from shelfvision.edge.chosen_models import open_site_detector
from shelfvision.edge.detector_client import BAD, GOOD, ROW, SIZE, DetectorAddress
from shelfvision.edge.frame import Image
from shelfvision.edge.inference import Detector
from shelfvision.edge.restarts import Restarts
from shelfvision.errors import ModelError, ShelfvisionError
from shelfvision.logs import configure_logs

_MAX_BYTES = 200_000_000  # of one picture: 8192 x 8192 pixels
_PAUSES = (1.0, 60.0)  # seconds before the process is started again, first and longest
_BEAT = 2.0  # seconds between two signs of life
_SILENCE = 30.0  # a process without one for so long hangs
_LOADING = 180.0  # ... while it loads the network and measures the runtimes
_LONGEST_LOOK = 60.0  # so long at one picture is no work but a fault: there are no signs of life any more
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Ready:
    """What the process says when it can be asked."""

    model: str
    runtime: str
    milliseconds: float


@dataclass(frozen=True, slots=True)
class _Failed:
    """What the process says when it never can be."""

    problem: str


@dataclass(frozen=True, slots=True)
class _Beat:
    """What the process says while it is well."""


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
                elif isinstance(said, _Failed):
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


class _Desk:
    """Takes the cameras' pictures one after the other: the network uses all threads for each."""

    def __init__(self, detector: Detector) -> None:
        self._detector = detector
        self._turn = threading.Lock()
        self._since: float | None = None  # when the look that goes on began, monotonic seconds

    @property
    def is_well(self) -> bool:
        """Whether no look takes so long that it will never end."""
        since = self._since
        return since is None or time.monotonic() - since < _LONGEST_LOOK

    def answer(self, connection: Connection) -> None:
        """One camera's questions, until it hangs up."""
        with suppress(EOFError, OSError), connection:
            connection.send_bytes(json.dumps(self._detector.labels).encode())
            while True:
                question = connection.recv_bytes(_MAX_BYTES)
                height, width = SIZE.unpack_from(question)
                if len(question) != SIZE.size + height * width * 3 or not height or not width:
                    return
                image = np.frombuffer(question, np.uint8, offset=SIZE.size).reshape(height, width, 3)
                with self._turn:
                    if connection.poll():  # it asks nothing before it has its answer, so it gave up and hung up
                        return
                    reply = self._look(image)
                connection.send_bytes(reply)

    def _look(self, image: Image) -> bytes:
        self._since = time.monotonic()
        try:
            found = self._detector.detect(image)
        except ModelError as error:
            return BAD + str(error).encode()
        finally:
            self._since = None
        rows = np.zeros(len(found), ROW)
        rows["xyxy"], rows["score"], rows["label"] = found.xyxy, found.score, found.label
        return GOOD + rows.tobytes()


def serve(models: ModelsSection, address: DetectorAddress, pipe: Connection) -> None:
    """The entry of the process; returns when the agent hangs up or has gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGTERM})
    configure_logs()
    with suppress(EOFError, OSError):
        try:
            desk = _Desk(detector := open_site_detector(models))
        except ShelfvisionError as error:
            pipe.send(_Failed(str(error)))
            _wait_for_end(pipe)  # it would fail again: stay, so that nobody starts it over and over
            return
        Path(address.path).unlink(missing_ok=True)  # of a process that was killed
        listener = Listener(address.path, "AF_UNIX", authkey=address.key, backlog=64)
        threading.Thread(target=_accept, args=(listener, desk), name="accept", daemon=True).start()
        with suppress(EOFError, OSError):
            pipe.send(Ready(detector.model.path.name, detector.model.runtime, detector.measure()))
            _wait_for_end(pipe, desk)
        listener.close()
    shutil.rmtree(Path(address.path).parent, ignore_errors=True)  # an agent that was killed could not


def _wait_for_end(pipe: Connection, desk: _Desk | None = None) -> None:
    """Say that all is well, until the agent hangs up.

    Raises:
        EOFError: it did.
    """
    while True:
        if pipe.poll(_BEAT):
            pipe.recv()
        if desk is None or desk.is_well:
            pipe.send(_Beat())


def _accept(listener: Listener, desk: _Desk) -> None:
    while True:
        try:
            connection = listener.accept()
        except (AuthenticationError, EOFError, ConnectionError):
            continue  # a caller that died, or has no business here
        except OSError:
            return  # closed: the end
        threading.Thread(target=desk.answer, args=(connection,), daemon=True).start()
