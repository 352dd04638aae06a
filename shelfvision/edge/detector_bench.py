"""Times detectors against each other in one run: they take turns, so that a busy moment of the machine hits all."""

from __future__ import annotations

import resource
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from shelfvision.core.detection_rows import to_detections
from shelfvision.core.detections import FloatArray
from shelfvision.core.letterbox import Letterbox
from shelfvision.edge.frame import Image
from shelfvision.edge.onnx_file import check_onnx
from shelfvision.edge.runtimes import SESSIONS, RuntimeName, Session
from shelfvision.errors import ModelError

_LEAST_SCORE = 0.05
_OVERLAP = 0.65

Decode = Callable[[NDArray[Any]], int]
"""What a graph gives to boxes; returns how many."""


@dataclass(slots=True)
class Contestant:
    """One network on one runtime."""

    name: str
    runtime: str
    session: Session
    images: FloatArray
    decode: Decode
    megabytes: float  # of memory that loading it and its first run took
    network: list[float] = field(default_factory=list)  # seconds a run
    decoding: list[float] = field(default_factory=list)
    boxes: int = 0

    def turn(self, *, counts: bool = True) -> None:
        """One picture."""
        begun = time.perf_counter()
        output = self.session.run(self.images)
        ran = time.perf_counter()
        self.boxes = self.decode(output)
        if counts:
            self.network.append(ran - begun)
            self.decoding.append(time.perf_counter() - ran)

    @property
    def milliseconds(self) -> float:
        """Median of network and decoding together."""
        return 1000 * statistics.median(a + b for a, b in zip(self.network, self.decoding, strict=True))

    def row(self) -> dict[str, Any]:
        """The figures, rounded."""
        return {
            "model": self.name,
            "runtime": self.runtime,
            "ms": round(self.milliseconds, 2),
            "network_ms": round(1000 * statistics.median(self.network), 2),
            "decoding_ms": round(1000 * statistics.median(self.decoding), 3),
            "fastest_ms": round(1000 * min(a + b for a, b in zip(self.network, self.decoding, strict=True)), 2),
            "boxes": self.boxes,
            "megabytes": round(self.megabytes, 1),
        }


def ours(data: bytes, name: str, runtime: str, *, image: Image, size: int, threads: int) -> Contestant:
    """Our exported graph: suppression is in it, decoding makes ``Detections``."""
    fitted = cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA)
    images = np.asarray(cv2.dnn.blobFromImage(fitted), np.float32)
    fit = Letterbox((size, size), (size, size))
    return _enter(
        data, name, runtime, images, lambda rows: len(to_detections(rows, fit, _LEAST_SCORE)), threads=threads
    )


def peer(path: Path, runtime: str, *, image: Image, size: int, threads: int) -> Contestant:
    """Another detector's graph of fixed input (1, 3, size, size), RGB 0 to 1.

    Its output may be (1, n, 6) rows that are ready (x1, y1, x2, y2, score, class), or (1, 4 + c, n) as YOLOv8 to
    YOLO11 give it, whose suppression is then done here as their users do it.

    Raises:
        ModelError: no such graph.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}") from None
    check_onnx(data, name=str(path))
    fitted = cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA)
    images = np.asarray(cv2.dnn.blobFromImage(fitted, 1 / 255, swapRB=True), np.float32)
    return _enter(data, path.stem, runtime, images, decode_peer, threads=threads)


def _enter(data: bytes, name: str, runtime: str, images: FloatArray, decode: Decode, *, threads: int) -> Contestant:
    before = resident_megabytes()
    try:
        session = SESSIONS[runtime](data, threads)
        contestant = Contestant(name, runtime, session, images, decode, 0.0)
        contestant.turn(counts=False)
    except ModelError:
        raise
    except Exception as error:  # the runtimes raise classes of their own that share no base
        first = str(error).strip().splitlines()[0]
        raise ModelError(f"{name}: {runtime} cannot run it on {images.shape}: {first}") from error
    contestant.megabytes = resident_megabytes() - before
    return contestant


def decode_peer(output: NDArray[Any]) -> int:
    """Boxes of a peer's output, as their users make them; returns how many.

    Raises:
        ModelError: a shape that we do not know.
    """
    if output.ndim == 3 and output.shape[2] == 6:
        rows = output[0]
        return len(rows[rows[:, 4] >= _LEAST_SCORE])
    if output.ndim == 3 and output.shape[1] > 4:
        table = output[0]
        scores = table[4:]
        label, best = scores.argmax(axis=0), scores.max(axis=0)
        sure = best >= _LEAST_SCORE
        centre_box = table[:4, sure].T
        boxes = np.concatenate([centre_box[:, :2] - centre_box[:, 2:] / 2, centre_box[:, 2:]], axis=1)
        kept = cv2.dnn.NMSBoxesBatched(
            boxes.tolist(), best[sure].tolist(), label[sure].tolist(), _LEAST_SCORE, _OVERLAP
        )
        return len(kept)
    raise ModelError(f"a peer's output has shape {output.shape}, expected (1, n, 6) or (1, 4 + classes, n)")


def race(contestants: Sequence[Contestant], rounds: int, on_round: Callable[[int], None] = lambda _: None) -> None:
    """Let all take turns, ``rounds`` times; two rounds more at the beginning are not counted."""
    for number in range(-2, rounds):
        for contestant in contestants:
            contestant.turn(counts=number >= 0)
        on_round(max(number + 1, 0))


def resident_megabytes() -> float:
    """Memory of this process now."""
    with Path("/proc/self/statm").open(encoding="ascii") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 1e6


def peak_megabytes() -> float:
    """The most memory that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def drawn_shelf(width: int = 1920, height: int = 1440, seed: int = 0) -> Image:
    """A picture to measure on when none is given: boards with rows of coloured packages."""
    rng = np.random.default_rng(seed)
    image = np.full((height, width, 3), 190, np.uint8)
    for top in range(0, height, height // 5):
        bottom = top + height // 5
        x = 10
        while x < width - 60:
            wide, high = int(rng.integers(50, 120)), int(rng.integers(height // 8, height // 6))
            colour = tuple(map(int, rng.integers(20, 240, 3)))
            for _ in range(int(rng.integers(1, 5))):
                cv2.rectangle(image, (x, bottom - 24 - high), (x + wide, bottom - 24), colour, -1)
                cv2.rectangle(image, (x + 8, bottom - high), (x + wide - 8, bottom - high // 2), (240, 240, 240), -1)
                x += wide + 4
        cv2.rectangle(image, (0, bottom - 22), (width, bottom), (120, 120, 125), -1)
    return image


def runtimes_named(name: RuntimeName | str, installed: Sequence[str]) -> list[str]:
    """The runtimes to measure: one, or all that are installed."""
    return list(installed) if name in {"auto", "both"} else [name]
