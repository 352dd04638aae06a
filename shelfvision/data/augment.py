"""Augmented inputs from samples: paste, mosaic or crop, rotation, flip, look.

Geometry is done here rather than by a library because a box that a crop cuts, or that something hides, is neither a
target nor background: it becomes an ignore region. Mosaic after Bochkovskiy et al., YOLOv4, 2020.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from shelfvision.core.boxes import Boxes, area
from shelfvision.core.detections import FloatArray
from shelfvision.core.letterbox import PADDING, Letterbox
from shelfvision.data.augment_settings import AugmentSettings as AugmentSettings  # noqa: PLC0414 - belongs to this API
from shelfvision.data.images import Image
from shelfvision.data.look import Look
from shelfvision.data.paste import paste_products
from shelfvision.data.sample import Sample, fit_sample

_MIDDLE = (0.3, 0.7)  # where the four pictures of a mosaic meet, as a share of the side
_SMALLEST_TILE = 0.5  # a picture in a mosaic is between this and its usual size


class Augmenter:
    """Makes square inputs of ``size`` pixels from samples of any size.

    Args:
        settings: strengths.
        size: side of the input in pixels.
        pasted: classes whose boxes may be pasted onto other pictures; all when absent.
    """

    def __init__(self, settings: AugmentSettings, size: int, *, pasted: Collection[int] | None = None) -> None:
        self._settings = settings
        self._size = size
        self._pasted = pasted
        self._look = Look(settings)

    @property
    def side(self) -> int:
        """Pixels of a picture's longer side beyond which its details never show."""
        return math.ceil(self._size * (1 + self._settings.zoom_in))

    def __call__(self, rng: np.random.Generator, sample: Sample, more: Callable[[], Sample]) -> Sample:
        """One input; ``more`` gives further samples for mosaic and pasting.

        The same sample, further samples and generator state give the same input.
        """
        settings = self._settings
        if rng.random() < settings.copy_paste:
            sample = paste_products(
                rng, sample, more(), most_hidden=settings.most_hidden, labels=self._pasted, side=self._size
            )
        if rng.random() < settings.mosaic:
            placed = self._mosaic(rng, [sample, more(), more(), more()])
        else:
            placed = self._single(rng, sample)
        if rng.random() < settings.flip:
            placed = flip(placed)
        return replace(placed, image=self._look(rng, placed.image))

    def _single(self, rng: np.random.Generator, sample: Sample) -> Sample:
        settings = self._settings
        if not any((settings.zoom_in, settings.zoom_out, settings.stretch, settings.rotate)):
            letterbox = Letterbox(sample.size, (self._size, self._size))
            fitted = fit_sample(sample, letterbox)
            return _settle(fitted, fitted.xyxy, area(fitted.xyxy), settings)
        image = np.full((self._size, self._size, 3), PADDING, np.uint8)
        return self._put(rng, sample, image, (0, 0, self._size, self._size), 1.0)

    def _mosaic(self, rng: np.random.Generator, samples: list[Sample]) -> Sample:
        """Four pictures, each cropped into a corner of the input."""
        image = np.full((self._size, self._size, 3), PADDING, np.uint8)
        across, down = (round(self._size * share) for share in rng.uniform(*_MIDDLE, 2))
        corners = [
            (0, 0, across, down),
            (across, 0, self._size, down),
            (0, down, across, self._size),
            (across, down, self._size, self._size),
        ]
        parts = [
            self._put(rng, sample, image, corner, math.exp(rng.uniform(math.log(_SMALLEST_TILE), 0)))
            for sample, corner in zip(samples, corners, strict=True)
        ]
        return Sample(
            image,
            np.concatenate([part.xyxy for part in parts]),
            np.concatenate([part.label for part in parts]),
            np.concatenate([part.ignore for part in parts]),
        )

    def _put(
        self, rng: np.random.Generator, sample: Sample, image: Image, window: tuple[int, int, int, int], scale: float
    ) -> Sample:
        """Draw a randomly scaled, rotated and cropped picture into a window of ``image``; its boxes, settled.

        Args:
            rng: random numbers.
            sample: what is drawn.
            image: (size, size, 3), changed in place.
            window: x1, y1, x2, y2 in pixels of ``image``.
            scale: factor on top of the fit into the whole input.
        """
        left, top, right, bottom = window
        fit = scale * self._size / max(sample.size)
        motion = self._motion(rng, sample.size, fit, (right - left, bottom - top))
        view = image[top:bottom, left:right]
        motion.draw(sample.image, view)
        moved = motion.move(sample.xyxy)
        inside = np.clip(moved, 0, np.array([right - left, bottom - top] * 2, np.float32))
        shifted = inside + np.array([left, top, left, top], np.float32)
        return _settle(replace(sample, image=image), shifted, area(moved), self._settings)

    def _motion(
        self, rng: np.random.Generator, picture: tuple[int, int], fit: float, window: tuple[int, int]
    ) -> _Motion:
        settings = self._settings
        zoom = math.exp(rng.uniform(-math.log1p(settings.zoom_out), math.log1p(settings.zoom_in)))
        stretch = math.exp(rng.uniform(-1, 1) * math.log1p(settings.stretch) / 2)
        size = (picture[0] * fit * zoom * stretch, picture[1] * fit * zoom / stretch)
        angle = rng.uniform(-settings.rotate, settings.rotate)
        # a picture larger than its window is cropped anywhere, a smaller one stands anywhere in it
        spare = [have - need for have, need in zip(window, size, strict=True)]
        offset = [rng.uniform(min(0, one), max(0, one)) for one in spare]
        return _Motion(picture, size, angle, (offset[0], offset[1]))


def flip(sample: Sample) -> Sample:
    """The sample mirrored left to right."""
    width = sample.size[0]
    xyxy = sample.xyxy.copy()
    xyxy[:, [0, 2]] = width - sample.xyxy[:, [2, 0]]
    return replace(sample, image=np.ascontiguousarray(sample.image[:, ::-1]), xyxy=xyxy)


@dataclass(frozen=True, slots=True)
class _Motion:
    """Scaling to ``size``, rotation around the middle, then shifting by ``offset``, into a window."""

    picture: tuple[int, int]  # width, height in pixels
    size: tuple[float, float]  # after scaling
    angle: float  # degrees, clockwise as seen
    offset: tuple[float, float]  # of the scaled picture's corner in the window, may be negative

    def draw(self, image: Image, view: Image) -> None:
        """Draw the picture into ``view`` (the window's pixels); what it does not cover is padding."""
        matrix = self._matrix()
        shrink = int(min(have / new for have, new in zip(self.picture, self.size, strict=True)))
        if shrink >= 2:
            # averaged first, as in evaluation: a warp alone would alias thin prints; whole factors are quick
            width, height = self.picture[0] // shrink, self.picture[1] // shrink
            whole = image[: height * shrink, : width * shrink]
            image = np.asarray(cv2.resize(whole, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
            matrix[:, :2] *= shrink
        # ours maps corners of pixels, OpenCV's their middles
        matrix[:, 2] += matrix[:, :2].sum(axis=1) / 2 - 0.5
        cv2.warpAffine(
            image,
            matrix,
            view.shape[1::-1],
            dst=view,
            flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_CONSTANT,
            borderValue=(PADDING, PADDING, PADDING),
        )

    def move(self, xyxy: FloatArray) -> FloatArray:
        """Boxes (n, 4) of the picture in pixels of the window; of a rotated box the box around it."""
        corners = xyxy[:, [[0, 1], [2, 1], [2, 3], [0, 3]]]  # (n, 4, 2)
        matrix = self._matrix()
        moved = corners @ matrix[:, :2].T + matrix[:, 2]
        return np.asarray(np.concatenate([moved.min(axis=1), moved.max(axis=1)], axis=1), np.float32)

    def _matrix(self) -> NDArray[np.float64]:
        """(2, 3) from places in the picture to places in the window."""
        cosine, sine = math.cos(math.radians(self.angle)), math.sin(math.radians(self.angle))
        rotation = np.array([[cosine, -sine], [sine, cosine]])
        middle, size = np.array(self.size) / 2, np.array(self.size)
        shift = middle - rotation @ middle + np.array(self.offset)
        return np.concatenate([rotation * (size / np.array(self.picture)), shift[:, None]], axis=1)


def _settle(sample: Sample, xyxy: FloatArray, whole: Boxes, settings: AugmentSettings) -> Sample:
    """Decide what became of each box: gone, too little left to count, or a target.

    Args:
        sample: labels and ignore flags, and the image that is returned.
        xyxy: (n, 4) what is left of each box.
        whole: (n,) square pixels, areas of the boxes before they were cut.
        settings: the limits.
    """
    left = area(xyxy)
    sides = (xyxy[:, 2:] - xyxy[:, :2]).min(axis=1, initial=np.inf)
    doubtful = (left < settings.least_visible * whole) | (sides < settings.least_pixels)
    settled = replace(sample, xyxy=xyxy, ignore=sample.ignore | doubtful)
    return settled.take(left > 0)
