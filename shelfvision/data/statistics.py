"""What a dataset holds, in figures."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shelfvision.data.dataset import Dataset

_SMALL, _LARGE = 32**2, 96**2  # square pixels, COCO's limits of small and large boxes
_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
_INPUT = 640  # pixels: the side that box sizes are also told for


@dataclass(frozen=True, slots=True)
class Spread:
    """Quantiles of a figure; all 0 where there is nothing."""

    least: float
    p5: float
    p25: float
    median: float
    p75: float
    p95: float
    most: float


@dataclass(frozen=True, slots=True)
class Statistics:
    """Figures of one dataset; boxes are those that count, ignore regions are told apart."""

    pictures: int
    without_boxes: int
    boxes: int
    ignore_regions: int
    boxes_a_picture: Spread
    densest: str  # the picture with most boxes
    classes: dict[str, int]  # boxes a class
    picture_sizes: dict[str, int]  # "1280x960": pictures, the ten most frequent
    box_side: Spread  # square root of the area, pixels of the picture
    box_side_at_640: Spread  # the same when the longer side of the picture is 640 pixels
    aspect: Spread  # width / height
    small: int  # boxes below 32 x 32 pixels
    medium: int
    large: int  # boxes above 96 x 96 pixels

    def to_json(self) -> dict[str, Any]:
        """The figures as JSON has them."""
        return asdict(self)


def statistics(dataset: Dataset) -> Statistics:
    """Figures of a dataset, from its annotations alone."""
    counted = [picture.xyxy[~picture.ignore] for picture in dataset]
    numbers = np.array([len(boxes) for boxes in counted], np.int64)
    boxes = np.concatenate([*counted, np.zeros((0, 4), np.float32)])
    labels = [name for picture in dataset for name in picture.label[~picture.ignore].tolist()]
    sizes = np.maximum(boxes[:, 2:] - boxes[:, :2], 0).astype(np.float64)
    areas = sizes.prod(axis=1)
    scale = np.repeat([_INPUT / max(picture.size) for picture in dataset], numbers) if len(dataset) else np.zeros(0)
    sides = np.sqrt(areas)
    real = (sizes > 0).all(axis=1)
    count = Counter(labels)
    shapes = Counter(f"{picture.size[0]}x{picture.size[1]}" for picture in dataset)
    return Statistics(
        pictures=len(dataset),
        without_boxes=int((numbers == 0).sum()),
        boxes=len(boxes),
        ignore_regions=sum(int(picture.ignore.sum()) for picture in dataset),
        boxes_a_picture=_spread(numbers.astype(np.float64)),
        densest=str(dataset.pictures[int(numbers.argmax())].path) if len(dataset) else "",
        classes={name: count[index] for index, name in enumerate(dataset.labels)},
        picture_sizes=dict(shapes.most_common(10)),
        box_side=_spread(sides),
        box_side_at_640=_spread(sides * scale),
        aspect=_spread(sizes[real, 0] / sizes[real, 1]),
        small=int((areas < _SMALL).sum()),
        medium=int(((areas >= _SMALL) & (areas <= _LARGE)).sum()),
        large=int((areas > _LARGE).sum()),
    )


def _spread(values: NDArray[np.float64]) -> Spread:
    if not len(values):
        return Spread(0, 0, 0, 0, 0, 0, 0)
    quantiles = (round(float(value), 3) for value in np.quantile(values, [0, *_QUANTILES, 1]))
    return Spread(*quantiles)
