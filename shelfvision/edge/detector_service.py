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
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import AuthenticationError, resource_tracker
from multiprocessing.connection import Connection, Listener
from multiprocessing.context import SpawnProcess
from pathlib import Path

import numpy as np
import structlog

from shelfvision.config import ModelsSection
from shelfvision.core.detections import Detections
from shelfvision.edge.chosen_models import open_site_detector
from shelfvision.edge.detector import OnnxDetector
from shelfvision.edge.detector_client import BAD, GOOD, ROW, SIZE, DetectorAddress
from shelfvision.edge.frame import Image
from shelfvision.errors import ModelError, ShelfvisionError
from shelfvision.logs import configure_logs

_MAX_BYTES = 200_000_000  # of one picture: 8192 x 8192 pixels
_PAUSES = (1.0, 60.0)  # seconds before the process is started again, first and longest
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Ready:
    """What the process says when it can be asked."""

    model: str
    runtime: str
    milliseconds: float


class DetectorService:
    """Keeps the detector's process running while the agent does.

    Args:
        models: of the site file; a detector is wanted and can be read (``chosen_models.check_models``).

    Attributes:
        address: for the cameras' processes; the same for all starts.
        ready: what the running process said; None until it did.
    """

    def __init__(self, models: ModelsSection) -> None:
        self._models = models
        self._folder = Path(tempfile.mkdtemp(prefix="shelfvision-"))  # only for this user
        self.address = DetectorAddress(str(self._folder / "detector"), os.urandom(32))
        self.ready: Ready | None = None
        self._context = multiprocessing.get_context("spawn")
        self._process: SpawnProcess | None = None
        self._pipe: Connection | None = None
        self._pause = _PAUSES[0]
        self._start_at = 0.0

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
        self._pipe = ours

    def step(self, now: float) -> None:
        """Hear what it says, and start it again when it died; ``now`` is monotonic seconds."""
        self._hear()
        process = self._process
        if process is None:
            if now >= self._start_at:
                self.start()
            return
        if process.is_alive():
            return
        self._hear()
        self.ready, self._process = None, None
        self._start_at = now + self._pause
        _log.warning("the detector's process ended and starts again", code=process.exitcode, seconds=self._pause)
        self._pause = min(self._pause * 2, _PAUSES[1])

    def _hear(self) -> None:
        with suppress(EOFError, OSError):
            while self._pipe is not None and self._pipe.poll():
                said = self._pipe.recv()
                if isinstance(said, Ready):
                    self.ready, self._pause = said, _PAUSES[0]
                    _log.info("detector ready", model=said.model, runtime=said.runtime, ms=said.milliseconds)
                else:
                    _log.error("the detector cannot be loaded; slots are judged without it", problem=said)

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


def serve(models: ModelsSection, address: DetectorAddress, pipe: Connection) -> None:
    """The entry of the process; returns when the agent hangs up or has gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGTERM})
    configure_logs()
    try:
        detector = open_site_detector(models)
    except ShelfvisionError as error:
        with suppress(OSError):
            pipe.send(str(error))
            pipe.recv()  # it would fail again: stay, so that nobody starts it over and over
        return
    with suppress(FileNotFoundError):
        Path(address.path).unlink()  # of a process that was killed
    listener = Listener(address.path, "AF_UNIX", authkey=address.key, backlog=64)
    threading.Thread(target=_accept, args=(listener, detector), name="accept", daemon=True).start()
    with suppress(EOFError, OSError):
        pipe.send(Ready(detector.model.path.name, detector.model.runtime, detector.measure()))
        pipe.recv()
    with suppress(OSError):
        listener.close()
    shutil.rmtree(Path(address.path).parent, ignore_errors=True)  # an agent that was killed could not


def _accept(listener: Listener, detector: OnnxDetector) -> None:
    while True:
        try:
            connection = listener.accept()
        except (AuthenticationError, EOFError, ConnectionError):
            continue  # a caller that died, or has no business here
        except OSError:
            return  # closed: the end
        threading.Thread(target=_answer, args=(connection, detector.detect, detector.labels), daemon=True).start()


def _answer(connection: Connection, detect: Callable[[Image], Detections], labels: tuple[str, ...]) -> None:
    """One camera's questions, until it hangs up."""
    with suppress(EOFError, OSError), connection:
        connection.send_bytes(json.dumps(labels).encode())
        while True:
            question = connection.recv_bytes(_MAX_BYTES)
            height, width = SIZE.unpack_from(question)
            if len(question) != SIZE.size + height * width * 3 or not height or not width:
                return
            image = np.frombuffer(question, np.uint8, offset=SIZE.size).reshape(height, width, 3)
            try:
                found = detect(image)
            except ModelError as error:
                connection.send_bytes(BAD + str(error).encode())
                continue
            rows = np.zeros(len(found), ROW)
            rows["xyxy"], rows["score"], rows["label"] = found.xyxy, found.score, found.label
            connection.send_bytes(GOOD + rows.tobytes())
