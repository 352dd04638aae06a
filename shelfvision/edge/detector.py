"""The detector as it runs on a device: pictures of any size in, boxes in their pixels out."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from shelfvision.core.detection_rows import to_detections
from shelfvision.core.detections import Detections
from shelfvision.core.letterbox import Letterbox
from shelfvision.data.input_picture import as_batch, fit_picture, input_size
from shelfvision.edge.default_models import default_model
from shelfvision.edge.frame import Image
from shelfvision.edge.model import Model, read_model
from shelfvision.edge.runtimes import RuntimeName
from shelfvision.edge.tiles import grid_for, merge_tiles, plan_tiles
from shelfvision.errors import UsageError

MOST_TILES = 6  # of a picture up to _WIDE times as wide as high, or as high as wide
_WIDE = 2.0
_FAR = 6.0  # a picture so many times larger than the input shows too little at first to be believed
_SEEN_AT = 2  # pixels of the picture a pixel of the input, in the parts of it that are looked at then
_CUT = 3.0  # pixels: a box that ends so near to the border of a part goes on beyond it
_SAMPLES = (1 / 3, 2 / 3)  # of its width and height: the middles of these parts
_CLOSER = (1.0, 1.5, 2.0)  # times its size, the inputs of a look; few, for each shape is compiled once
_COMFORTABLE = 56.0  # square root of a box's area in pixels of the input that is seen well
_UNKNOWN_ZOOM = 2.0  # when the whole view shows nothing at all

Grid = tuple[int, int]  # columns, rows


@dataclass(frozen=True, slots=True)
class Tiling:
    """How pictures with small things in them are looked at.

    Args:
        grid: columns and rows of tiles; None lets the picture decide: when what the first look shows is small and the
            picture has more pixels to give, a second look at a larger input follows, and where that does not suffice,
            such looks at tiles.
        whole: with a grid, also look at the whole picture at once, for things larger than the tiles' overlap.
    """

    grid: Grid | None = None
    whole: bool = True


class OnnxDetector:
    """A trained detector; ``edge.inference.Detector`` is what it does.

    Args:
        model: the loaded network.
        size: pixels of the input's longer side; the sidecar's when absent.
        least_score: boxes from this score on, not below what the graph gives; the sidecar's belief threshold when
            absent.
        tiling: how small things are looked at; None: in one look, as all others.

    Raises:
        UsageError: a size that the network cannot take.
    """

    def __init__(
        self,
        model: Model,
        *,
        size: int | None = None,
        least_score: float | None = None,
        tiling: Tiling | None = None,
    ) -> None:
        self.model = model
        sidecar = model.sidecar
        self.labels: tuple[str, ...] = tuple(sidecar.labels)
        self.size = sidecar.input.size if size is None else size
        multiple = sidecar.input.multiple
        if self.size < multiple or self.size % multiple:
            raise UsageError(f"--size {self.size}: the input's longer side must be a multiple of {multiple}")
        self.least_score = sidecar.thresholds.score if least_score is None else least_score
        self.tiling = tiling

    def detect(self, image: Image) -> Detections:
        """Boxes in pixels of a BGR picture of any size, surest first."""
        if self.tiling is None:
            return self._look([image])[0]
        if self.tiling.grid is None:
            return self._look_closer(image)
        whole = self._look([image])[0] if self.tiling.whole else None
        return self._look_at_tiles(image, self.tiling.grid, self.size, whole)

    def detect_all(self, images: Sequence[Image]) -> list[Detections]:
        """Boxes of several pictures; those that make inputs of one shape go through the network together."""
        if self.tiling is not None:
            return [self.detect(image) for image in images]
        return self._look(images)

    def measure(self, runs: int = 5) -> float:
        """Median milliseconds for a picture of the shape that cameras have, all steps together."""
        width = self.size
        picture = np.random.default_rng(0).integers(0, 256, (width * 9 // 16, width, 3), np.uint8)
        times = []
        for _ in range(runs + 1):
            begun = time.perf_counter()
            self._look([picture])
            times.append(time.perf_counter() - begun)
        return round(1000 * statistics.median(times[1:]), 1)

    def _look_closer(self, image: Image) -> Detections:
        """A first look, and a second one that brings what it shows to a comfortable size."""
        size = (image.shape[1], image.shape[0])
        whole = self._look([image])[0]
        zoom = self._choose_zoom(size, self._typical_side(image, whole))
        sides = [self._input_side(times) for times in _CLOSER]
        if zoom > _CLOSER[-1] * 1.2:  # with less to gain, seams cost more than tiles give
            most = round(MOST_TILES * max(1.0, max(size) / min(size) / _WIDE))
            grid = grid_for(size, max(size) * _CLOSER[-1] / zoom, most)
            return self._look_at_tiles(image, grid, sides[-1], whole)
        side = min(sides, key=lambda each: abs(np.log(each / self.size / zoom)))
        return whole if side == self.size else self._look([image], side)[0]

    def _look_at_tiles(self, image: Image, grid: Grid, side: int, whole: Detections | None) -> Detections:
        size = (image.shape[1], image.shape[0])
        tiles = plan_tiles(size, *grid)
        if len(tiles) == 1 and side == self.size:
            return self._look([image])[0] if whole is None else whole
        found = []
        for tile in tiles:
            inside = self._look([image[tile.y1 : tile.y2, tile.x1 : tile.x2]], side)[0]
            shift = np.array([tile.x1, tile.y1, tile.x1, tile.y1], np.float32)
            found.append(Detections(inside.xyxy + shift, inside.score, inside.label))
        return merge_tiles(size, tiles, found, whole)

    def _input_side(self, times: float) -> int:
        """So many times its size, as the network can take it."""
        multiple = self.model.sidecar.input.multiple
        return multiple * round(self.size * times / multiple)

    def _look(self, images: Sequence[Image], side: int | None = None) -> list[Detections]:
        """One run of the network a shape of input, whose longer side is the detector's size when absent."""
        multiple = self.model.sidecar.input.multiple
        fits = []
        for image in images:
            size = (image.shape[1], image.shape[0])
            fits.append(Letterbox(size, input_size(size, side or self.size, multiple)))
        shapes: dict[tuple[int, int], list[int]] = {}
        for index, fit in enumerate(fits):
            shapes.setdefault(fit.target, []).append(index)
        answers = [Detections.empty()] * len(images)
        for indices in shapes.values():
            rows = self.model.run(as_batch([fit_picture(images[index], fits[index]) for index in indices]))
            for place, index in enumerate(indices):
                answers[index] = to_detections(rows[rows[:, 0] == place], fits[index], self.least_score)
        return answers

    def _typical_side(self, image: Image, whole: Detections) -> float | None:
        """Pixels of the picture of a usual box's side, None where nothing is seen.

        Of a very large picture it is seen in two parts: what is too small for the first look gives wrong boxes there.
        """
        height, width = image.shape[:2]
        views = [[whole]]
        if max(width, height) > _FAR * self.size:
            side = _SEEN_AT * self.size
            corners = [(max(0, round(width * at - side / 2)), max(0, round(height * at - side / 2))) for at in _SAMPLES]
            parts = [np.ascontiguousarray(image[y : y + side, x : x + side]) for x, y in corners]
            views.insert(0, [_whole_ones(found, part) for found, part in zip(self._look(parts), parts, strict=True)])
        for view in views:
            sure = np.concatenate([found.xyxy[found.score >= self.model.sidecar.thresholds.score] for found in view])
            if len(sure):
                return float(np.median(np.sqrt((sure[:, 2:] - sure[:, :2]).prod(axis=1))))
        return None

    def _choose_zoom(self, size: tuple[int, int], typical: float | None) -> float:
        """How much larger than in the first look things should be seen; no pixel of the picture is enlarged."""
        scale = self.size / max(size)
        room = max(1 / scale, 1.0)
        if typical is None:
            return min(room, _UNKNOWN_ZOOM)
        return min(room, max(_COMFORTABLE / max(typical * scale, 0.1), 1.0))


def _whole_ones(found: Detections, part: Image) -> Detections:
    """The boxes that do not end at the border of a part of a picture: others are larger than they look."""
    height, width = part.shape[:2]
    inner = (found.xyxy[:, :2] > _CUT).all(axis=1) & (found.xyxy[:, 2:] < np.array([width, height]) - _CUT).all(axis=1)
    return found[np.asarray(inner)]


def open_detector(
    model: str | Path,
    *,
    runtime: RuntimeName = "auto",
    threads: int | None = None,
    size: int | None = None,
    least_score: float | None = None,
    tiling: Tiling | None = None,
    exact: bool = False,
) -> OnnxDetector:
    """Load a detector.

    Args:
        model: ``default`` for the one in the package, else the path of an ONNX file with its sidecar.
        runtime: see ``Model``.
        threads: see ``Model``.
        size: see ``OnnxDetector``.
        least_score: see ``OnnxDetector``.
        tiling: see ``OnnxDetector``.
        exact: see ``Model``.

    Raises:
        ModelError: missing, damaged, or not a detector.
        UsageError: an option that does not fit.
    """
    path = default_model("detector") if str(model) == "default" else Path(model)
    loaded = Model(read_model(path), runtime=runtime, threads=threads, exact=exact)
    return OnnxDetector(loaded, size=size, least_score=least_score, tiling=tiling)
