"""A decoded picture with its boxes, on its way from a dataset into a batch."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from shelfvision.core.boxes import area
from shelfvision.core.detections import FloatArray, IntArray
from shelfvision.core.letterbox import Letterbox
from shelfvision.data.dataset import BoolArray, LabelledPicture
from shelfvision.data.images import Image, image_size, read_image
from shelfvision.data.input_picture import fit_picture
from shelfvision.errors import DataError


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """Pixels and boxes of one picture."""

    image: Image  # (h, w, 3) BGR
    xyxy: FloatArray  # (n, 4) pixels of the image
    label: IntArray  # (n,)
    ignore: BoolArray  # (n,) neither finding nor missing these counts

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.image.shape[1], self.image.shape[0]

    def take(self, which: NDArray[np.bool_] | NDArray[np.intp]) -> Sample:
        """The same picture with some of its boxes."""
        return replace(self, xyxy=self.xyxy[which], label=self.label[which], ignore=self.ignore[which])


def load_sample(picture: LabelledPicture, *, side: int | None = None) -> Sample:
    """Decode a labelled picture; boxes are cut off at its border, empty ones left out.

    Args:
        picture: what to decode.
        side: pixels of the longer side that are enough; a far larger JPEG is decoded smaller, its boxes with it.

    Raises:
        DataError: the picture cannot be read, or has another size than its annotation says.
    """
    width, height = image_size(picture.path)
    if (width, height) != picture.size:
        raise DataError(
            f"{picture.path}: is {width} x {height}, its annotation says {picture.size[0]} x {picture.size[1]}; "
            "`shelfvision data check` lists all such pictures"
        )
    shrink = 1 if side is None else next((one for one in (8, 4, 2) if max(width, height) >= one * side), 1)
    image = read_image(picture.path, shrink=shrink)
    limit = np.array([width, height, width, height], np.float32)
    scale = np.array([*image.shape[1::-1], *image.shape[1::-1]], np.float32) / limit
    sample = Sample(image, np.clip(picture.xyxy, 0, limit) * scale, picture.label, picture.ignore)
    return sample.take(area(sample.xyxy) > 0)


def fit_sample(sample: Sample, letterbox: Letterbox) -> Sample:
    """The sample as a network's input: scaled and padded, boxes with it."""
    return replace(sample, image=fit_picture(sample.image, letterbox), xyxy=letterbox.to_input(sample.xyxy))
