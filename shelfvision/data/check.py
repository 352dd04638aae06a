"""What is wrong with a dataset before anybody trains on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from shelfvision.data.dataset import Dataset, LabelledPicture
from shelfvision.data.duplicates import Fingerprint, fingerprint, near_pictures, same_pictures
from shelfvision.data.images import image_size, read_image, stored_size
from shelfvision.errors import DataError

_BORDER = 1.0  # pixels outside that are rounding: some formats count from 1
_SHOWN = 3  # boxes that a sentence lists


class Kind(StrEnum):
    """What a finding is about."""

    ANNOTATION = "annotation"  # a line or entry that cannot be read
    MISSING = "missing"
    UNREADABLE = "unreadable"
    SIZE = "size"
    OUTSIDE = "outside"
    EMPTY = "empty"
    TINY = "tiny"
    REPEATED = "repeated"  # the same box twice
    DUPLICATE = "duplicate"
    NEAR_DUPLICATE = "near duplicate"
    CLASSES = "classes"
    NO_BOXES = "no boxes"
    UNUSED_CLASS = "unused class"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing found; a note is worth knowing, a fault spoils training or its measurement."""

    kind: Kind
    part: str  # dataset or split
    message: str  # names the picture
    fault: bool = True


@dataclass(frozen=True, slots=True)
class Part:
    """A dataset or one split of it, under the name that findings carry."""

    name: str
    dataset: Dataset


@dataclass(frozen=True, slots=True)
class _Seen:
    """What the file of one picture showed."""

    findings: list[Finding]
    fingerprint: Fingerprint | None


def check_parts(
    parts: Sequence[Part],
    *,
    least_side: float = 4.0,
    workers: int = 2,
    on_progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> Iterator[Finding]:
    """Findings of datasets or splits that belong together; every picture is decoded.

    Args:
        parts: what is checked and compared with each other.
        least_side: boxes with a side of fewer pixels are tiny.
        workers: threads that decode.
        on_progress: called with pictures done and pictures in all.
    """
    total, done = sum(len(part.dataset) for part in parts), 0
    prints: list[list[Fingerprint]] = []
    places: list[list[LabelledPicture]] = []
    with ThreadPoolExecutor(max(1, workers)) as pool:
        for part in parts:
            yield from _of_classes(part)
            prints.append([])
            places.append([])
            for picture, seen in zip(part.dataset, pool.map(_look_at, part.dataset.pictures), strict=True):
                done += 1
                on_progress(done, total)
                for found in seen.findings:
                    yield Finding(found.kind, part.name, found.message, found.fault)
                for found in check_boxes(picture, least_side=least_side):
                    yield Finding(found.kind, part.name, found.message, found.fault)
                if seen.fingerprint is not None:
                    prints[-1].append(seen.fingerprint)
                    places[-1].append(picture)
    yield from _same_classes(parts)
    yield from _duplicates(parts, prints, places)


def check_boxes(picture: LabelledPicture, *, least_side: float = 4.0) -> Iterator[Finding]:
    """Findings about the boxes of one picture; of ignore regions only that they lie outside."""
    if not len(picture):
        yield Finding(Kind.NO_BOXES, "", f"{picture.path}", fault=False)
        return
    width, height = picture.size
    sides = picture.xyxy[:, 2:] - picture.xyxy[:, :2]
    counted = ~picture.ignore
    empty = np.asarray(counted & (sides <= 0).any(axis=1))
    limit = np.array([width, height], np.float32) + _BORDER
    beyond = np.concatenate([picture.xyxy[:, :2] < -_BORDER, picture.xyxy[:, 2:] > limit], axis=1)
    outside = np.asarray(beyond.any(axis=1))
    tiny = np.asarray(counted & ~empty & (sides < least_side).any(axis=1))
    rows = np.concatenate([picture.xyxy, picture.label[:, None]], axis=1)
    _, first = np.unique(rows, axis=0, return_index=True)
    repeated = counted.copy()
    repeated[first] = False
    cases: list[tuple[NDArray[np.bool_], Kind, str]] = [
        (outside, Kind.OUTSIDE, f"beyond its {width} x {height} pixels"),
        (empty, Kind.EMPTY, "without area"),
        (tiny, Kind.TINY, f"with a side below {least_side:g} pixels"),
        (repeated, Kind.REPEATED, "that stand there before, class and all"),
    ]
    for which, kind, words in cases:
        if which.any():
            yield Finding(kind, "", f"{picture.path}: {_boxes(picture, which)} {words}")


def _boxes(picture: LabelledPicture, which: NDArray[np.bool_]) -> str:
    (indices,) = np.nonzero(which)
    listed = ", ".join(
        "[" + " ".join(f"{value:g}" for value in picture.xyxy[index]) + "]" for index in indices[:_SHOWN]
    )
    more = f" and {len(indices) - _SHOWN} more" if len(indices) > _SHOWN else ""
    return f"{'box' if len(indices) == 1 else f'{len(indices)} boxes'} {listed}{more}"


def _look_at(picture: LabelledPicture) -> _Seen:
    path = picture.path
    if not path.is_file():
        return _Seen([Finding(Kind.MISSING, "", f"{path}: no such picture")], None)
    try:
        found = list(_size(picture))
        image = read_image(path)
        return _Seen(found, fingerprint(path, image))
    except DataError as error:
        return _Seen([Finding(Kind.UNREADABLE, "", str(error))], None)
    except OSError as error:
        return _Seen([Finding(Kind.UNREADABLE, "", f"{path}: cannot be read: {error.strerror}")], None)


def _size(picture: LabelledPicture) -> Iterator[Finding]:
    size = image_size(picture.path)
    if size == picture.size:
        return
    words = f"{picture.path}: is {size[0]} x {size[1]}, its annotation says {picture.size[0]} x {picture.size[1]}"
    if stored_size(picture.path) == picture.size:
        words += " (labelled without its Exif rotation)"
    yield Finding(Kind.SIZE, "", words)


def _of_classes(part: Part) -> Iterator[Finding]:
    used = {int(label) for picture in part.dataset for label in picture.label}
    unused = [name for index, name in enumerate(part.dataset.labels) if index not in used]
    if unused:
        yield Finding(Kind.UNUSED_CLASS, part.name, f"no box of {', '.join(unused)}", fault=False)
    if not len(part.dataset):
        yield Finding(Kind.MISSING, part.name, f"{part.dataset.source}: no pictures in it")


def _same_classes(parts: Sequence[Part]) -> Iterator[Finding]:
    first = parts[0] if parts else None
    for other in parts[1:]:
        assert first is not None
        ours, theirs = first.dataset.labels, other.dataset.labels
        if ours == theirs:
            continue
        lacks = [f"lacks {', '.join(name for name in ours if name not in theirs)}"] if set(ours) - set(theirs) else []
        adds = [f"adds {', '.join(name for name in theirs if name not in ours)}"] if set(theirs) - set(ours) else []
        what = " and ".join(lacks + adds) or f"has them in another order: {', '.join(theirs)}"
        yield Finding(Kind.CLASSES, other.name, f"classes differ from those of {first.name}: {other.name} {what}")


def _duplicates(
    parts: Sequence[Part], prints: list[list[Fingerprint]], places: list[list[LabelledPicture]]
) -> Iterator[Finding]:
    flat = [one for listed in prints for one in listed]
    owner = [(number, place) for number, listed in enumerate(places) for place in listed]
    for group in same_pictures(flat):
        first, *others = [owner[index] for index in group]
        for number, picture in others:
            across = number != first[0]
            where = f"{first[1].path} of {parts[first[0]].name}" if across else f"{first[1].path}"
            message = f"{picture.path}: the same file as {where}"
            yield Finding(Kind.DUPLICATE, parts[number].name, message, fault=across)
    for (one, first_prints), (two, second_prints) in combinations(enumerate(prints), 2):
        for left, right in near_pictures(first_prints, second_prints):
            message = (
                f"{places[two][right].path}: nearly the same picture as {places[one][left].path} of {parts[one].name}"
            )
            yield Finding(Kind.NEAR_DUPLICATE, parts[two].name, message)
