"""What runs in the process that holds the detector for all cameras of a device."""

from __future__ import annotations

import json
import shutil
import signal
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import AuthenticationError
from multiprocessing.connection import Connection, Listener
from pathlib import Path

import numpy as np

from shelfvision.config import ModelsSection
from shelfvision.edge.chosen_models import open_site_detector
from shelfvision.edge.detector_client import BAD, GOOD, ROW, SIZE, DetectorAddress
from shelfvision.edge.frame import Image
from shelfvision.edge.inference import Detector
from shelfvision.errors import ModelError, ShelfvisionError
from shelfvision.logs import configure_logs

_MAX_BYTES = 200_000_000  # of one picture: 8192 x 8192 pixels
_BEAT = 2.0  # seconds between two signs of life
_LONGEST_LOOK = 60.0  # so long at one picture is no work but a fault: there are no signs of life any more


@dataclass(frozen=True, slots=True)
class Ready:
    """What the process says when it can be asked."""

    model: str
    runtime: str
    milliseconds: float


@dataclass(frozen=True, slots=True)
class Failed:
    """What the process says when it never can be."""

    problem: str


@dataclass(frozen=True, slots=True)
class Beat:
    """What the process says while it is well."""


class Desk:
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
            desk = Desk(detector := open_site_detector(models))
        except ShelfvisionError as error:
            pipe.send(Failed(str(error)))
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


def _wait_for_end(pipe: Connection, desk: Desk | None = None) -> None:
    """Say that all is well, until the agent hangs up.

    Raises:
        EOFError: it did.
    """
    while True:
        if pipe.poll(_BEAT):
            pipe.recv()
        if desk is None or desk.is_well:
            pipe.send(Beat())


def _accept(listener: Listener, desk: Desk) -> None:
    while True:
        try:
            connection = listener.accept()
        except (AuthenticationError, EOFError, ConnectionError):
            continue  # a caller that died, or has no business here
        except OSError:
            return  # closed: the end
        threading.Thread(target=desk.answer, args=(connection,), daemon=True).start()
