"""A detector in another process: all cameras of a device share one, which holds the network in memory once."""

from __future__ import annotations

import json
import os
import queue
import socket
import struct
import threading
from dataclasses import dataclass
from multiprocessing import AuthenticationError
from multiprocessing.connection import Connection, answer_challenge, deliver_challenge

import numpy as np

from shelfvision.core.detections import Detections
from shelfvision.edge.frame import Image
from shelfvision.edge.inference import DetectorAwayError

SIZE = struct.Struct("<II")  # height, width; the BGR bytes follow
ROW = np.dtype([("xyxy", "<f4", 4), ("score", "<f4"), ("label", "<i4")])
GOOD, BAD = b"\0", b"\1"  # first byte of an answer: rows follow, or a line that says what went wrong
ANSWER_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class DetectorAddress:
    """Where the detector's process listens, and what proves that one may ask it."""

    path: str
    key: bytes


class DetectorLine:
    """Asks the detector's process and waits for the answer; ``edge.inference.Detector`` is what it does.

    It connects when it is first asked, and again after the process was started anew.

    Args:
        address: where it listens.
        seconds: no step of a question takes longer: connecting, sending, waiting for the answer.
    """

    def __init__(self, address: DetectorAddress, seconds: float = ANSWER_SECONDS) -> None:
        self.labels: tuple[str, ...] = ()
        self._address = address
        self._seconds = seconds
        self._connection: Connection | None = None

    def detect(self, image: Image) -> Detections:
        """Boxes in pixels of a BGR picture.

        Raises:
            DetectorAwayError: no answer; ask again later.
        """
        try:
            connection = self._connect()
            height, width = image.shape[:2]
            connection.send_bytes(SIZE.pack(height, width) + np.ascontiguousarray(image).tobytes())
            answer = connection.recv_bytes()
        except (OSError, EOFError, ValueError, AuthenticationError) as error:  # it died, is not there yet, or hangs
            self.close()
            late = isinstance(error, BlockingIOError)
            problem = f"nothing within {self._seconds:g} s" if late else error or type(error).__name__
            raise DetectorAwayError(f"the detector does not answer: {problem}") from None
        if answer[:1] != GOOD:
            raise DetectorAwayError(f"the detector failed: {answer[1:].decode(errors='replace')}")
        rows = np.frombuffer(answer[1:], ROW)
        return Detections(rows["xyxy"].copy(), rows["score"].copy(), rows["label"].astype(np.int64))

    def close(self) -> None:
        """Hang up; the next question connects anew."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _connect(self) -> Connection:
        if self._connection is None:
            # as multiprocessing's Client, but a stopped process must not hold the caller for ever
            with socket.socket(socket.AF_UNIX) as wire:
                longest = struct.pack("ll", int(self._seconds), int(self._seconds % 1 * 1e6))
                wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, longest)
                wire.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, longest)
                wire.connect(self._address.path)
                self._connection = Connection(os.dup(wire.fileno()))
            answer_challenge(self._connection, self._address.key)
            deliver_challenge(self._connection, self._address.key)
            self.labels = tuple(json.loads(self._connection.recv_bytes(1_000_000)))
        return self._connection


class RemoteDetector:
    """The detector's process as a camera asks it, whose frames go on meanwhile; see ``edge.inference.AskedDetector``.

    Args:
        line: how it is asked.
    """

    def __init__(self, line: DetectorLine) -> None:
        self._line = line
        self._questions: queue.SimpleQueue[Image] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[Detections | Exception] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    @property
    def labels(self) -> tuple[str, ...]:
        """Class names by index; known from the first answer on."""
        return self._line.labels

    def ask(self, image: Image) -> None:
        """Give it a copy of a BGR picture; returns at once."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="detector-line", daemon=True)
            self._thread.start()
        self._questions.put(image.copy())

    def answer(self) -> Detections | None:
        """Boxes of the picture; None while it is looked at.

        Raises:
            DetectorAwayError: there will be no answer.
        """
        try:
            said = self._answers.get_nowait()
        except queue.Empty:
            return None
        if isinstance(said, Exception):
            raise said
        return said

    def _work(self) -> None:
        while True:
            image = self._questions.get()
            try:
                self._answers.put(self._line.detect(image))
            except Exception as error:  # noqa: BLE001 - raised where the answer is taken, a bug too
                self._answers.put(error)
