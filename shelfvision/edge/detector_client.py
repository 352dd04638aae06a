"""A detector in another process: all cameras of a device share one, which holds the network in memory once."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Connection

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


class RemoteDetector:
    """Asks the detector's process; ``edge.inference.Detector`` is what it does.

    It connects when it is first asked, and again after the process was started anew.

    Args:
        address: where it listens.
    """

    def __init__(self, address: DetectorAddress) -> None:
        self.labels: tuple[str, ...] = ()
        self._address = address
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
            if not connection.poll(ANSWER_SECONDS):
                raise TimeoutError(f"no answer within {ANSWER_SECONDS:g} s")
            answer = connection.recv_bytes()
        except (OSError, EOFError, ValueError, AuthenticationError) as error:  # it died, is not there yet, or hangs
            self.close()
            raise DetectorAwayError(f"the detector does not answer: {error or type(error).__name__}") from None
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
            connection = Client(self._address.path, "AF_UNIX", authkey=self._address.key)
            self._connection = connection
            if not connection.poll(ANSWER_SECONDS):
                raise TimeoutError(f"no answer within {ANSWER_SECONDS:g} s")
            self.labels = tuple(json.loads(connection.recv_bytes(1_000_000)))
        return self._connection
