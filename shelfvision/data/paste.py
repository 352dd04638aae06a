"""Copy-paste: products cut out of one picture stand in another, and what they hide is said.

After Ghiasi et al., Simple Copy-Paste, CVPR 2021, with boxes in place of masks: only products that nothing overlaps are
cut out, and their edges are blended over a few pixels.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import cv2
import numpy as np

from shelfvision.core.boxes import area, coverage, intersection
from shelfvision.core.detections import FloatArray, IntArray
from shelfvision.data.images import Image
from shelfvision.data.sample import Sample

_MOST_PASTED = 4
_TRIES = 8  # places looked at for each product; the freest is taken
_SMALLEST = 16.0  # pixels: smaller crops are mush
_OVERLAPPED = 0.1  # share of a product that others may overlap, else it carries pieces of them along
_GONE = 0.95  # share hidden from which nothing is left to ignore
_FEATHER = 2  # pixels of the soft edge


def paste_products(
    rng: np.random.Generator,
    sample: Sample,
    donor: Sample,
    *,
    most_hidden: float,
    labels: Collection[int] | None = None,
    side: int = 640,
) -> Sample:
    """``sample`` with up to four products of ``donor`` pasted where the fewest boxes are.

    A box that gets covered by more than ``most_hidden`` becomes an ignore region, by nearly all of it goes; one whose
    side is covered all along shrinks to what is seen.

    Args:
        rng: random numbers.
        sample: what is pasted onto; not changed.
        donor: where the products come from.
        most_hidden: share of a box that may be covered.
        labels: classes that may be pasted; all when absent.
        side: pixels of the network's input, which products are scaled for where the sample has none of its own.
    """
    chosen = _choose(rng, donor, labels)
    if not len(chosen):
        return sample
    image = sample.image.copy()
    result = replace(sample, image=image)
    typical = _typical_side(sample, fallback=0.2 * max(sample.size))
    for index in chosen:
        x1, y1, x2, y2 = donor.xyxy[index].round().astype(int)
        crop = donor.image[y1:y2, x1:x2]
        scale = typical / max((x2 - x1 + y2 - y1) / 2, 1) * rng.uniform(0.7, 1.3)
        scale = min(scale, 2.0, 0.6 * sample.size[0] / (x2 - x1), 0.6 * sample.size[1] / (y2 - y1))
        width, height = round((x2 - x1) * scale), round((y2 - y1) * scale)
        if min(width, height) < _SMALLEST * max(sample.size) / max(side, *sample.size):
            continue
        box = _freest_place(rng, result, (width, height))
        way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        _blend(image, np.asarray(cv2.resize(crop, (width, height), interpolation=way), np.uint8), box)
        result = _cover(result, box, most_hidden)
        result = replace(
            result,
            xyxy=np.concatenate([result.xyxy, box[None]]),
            label=np.append(result.label, donor.label[index]),
            ignore=np.append(result.ignore, False),
        )
    return result


def _choose(rng: np.random.Generator, donor: Sample, labels: Collection[int] | None) -> IntArray:
    """Indices of the donor's boxes that can be cut out cleanly."""
    if not len(donor.label):
        return np.zeros(0, np.int64)
    shared = intersection(donor.xyxy, donor.xyxy)
    np.fill_diagonal(shared, 0)
    good = ~donor.ignore & ((donor.xyxy[:, 2:] - donor.xyxy[:, :2]).min(axis=1) >= _SMALLEST)
    good &= shared.max(axis=1) <= _OVERLAPPED * area(donor.xyxy)
    # at the border a product is usually cut off
    limit = np.array(donor.size, np.float32)
    good &= ((donor.xyxy[:, :2] > 1) & (donor.xyxy[:, 2:] < limit - 1)).all(axis=1)
    if labels is not None:
        good &= np.isin(donor.label, list(labels))
    (indices,) = np.nonzero(good)
    return rng.permutation(indices)[: rng.integers(1, _MOST_PASTED + 1)]


def _typical_side(sample: Sample, fallback: float) -> float:
    counted = sample.xyxy[~sample.ignore]
    if not len(counted):
        return fallback
    return float(np.median((counted[:, 2:] - counted[:, :2]).mean(axis=1)))


def _freest_place(rng: np.random.Generator, sample: Sample, size: tuple[int, int]) -> FloatArray:
    """The box of this size, of several random ones, that covers the least of others; (4,)."""
    room = np.array(sample.size) - size
    corners = np.stack([rng.integers(0, max(space, 0) + 1, _TRIES) for space in room], axis=1)
    places = np.concatenate([corners, corners + size], axis=1).astype(np.float32)
    if not len(sample.label):
        return np.asarray(places[0])
    return np.asarray(places[int(np.argmin(coverage(sample.xyxy, places).sum(axis=0)))])


def _blend(image: Image, crop: Image, box: FloatArray) -> None:
    x1, y1, x2, y2 = box.astype(int)
    height, width = crop.shape[:2]
    ramps = [np.minimum(np.arange(1, side + 1), np.arange(side, 0, -1)) / (_FEATHER + 1) for side in (height, width)]
    alpha = np.minimum(np.minimum.outer(*ramps), 1.0)[..., None].astype(np.float32)
    below = image[y1:y2, x1:x2]
    image[y1:y2, x1:x2] = np.round(alpha * crop + (1 - alpha) * below).astype(np.uint8)


def _cover(sample: Sample, cover: FloatArray, most_hidden: float) -> Sample:
    """What is left of a sample's boxes when something stands over ``cover`` (4,)."""
    hidden = coverage(sample.xyxy, cover[None])[:, 0]
    xyxy = sample.xyxy.copy()
    left, top, right, bottom = xyxy.T
    tall = (cover[1] <= top) & (cover[3] >= bottom)
    wide = (cover[0] <= left) & (cover[2] >= right)
    some = (hidden > 0) & (hidden < _GONE) & ~sample.ignore
    from_left, from_right = some & tall & (cover[0] <= left), some & tall & (cover[2] >= right)
    from_top, from_bottom = some & wide & (cover[1] <= top), some & wide & (cover[3] >= bottom)
    xyxy[from_left, 0], xyxy[from_right, 2] = cover[2], cover[0]
    xyxy[from_top, 1], xyxy[from_bottom, 3] = cover[3], cover[1]
    covered = replace(sample, xyxy=xyxy, ignore=sample.ignore | (hidden > most_hidden))
    return covered.take(hidden < _GONE)
