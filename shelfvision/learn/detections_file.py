"""Detections that any system has written to a JSON file, so that all are judged by the same code.

Two forms are read: what ``shelfvision detect --json`` writes, ``{"images": [{"image", "detections": [{"label", "score",
"xyxy"}]}]}`` (with ``"labels": [...]`` when the list of classes is known), and COCO results,
``[{"image_id", "category_id", "bbox": [x, y, width, height], "score"}]``, whose ids are those of the COCO file.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from shelfvision.core.detections import Detections
from shelfvision.core.faults import shown
from shelfvision.data.dataset import Dataset
from shelfvision.data.text_file import read_json
from shelfvision.errors import DataError


@dataclass(frozen=True, slots=True)
class FoundInFile:
    """Detections of a dataset's pictures, in its order."""

    labels: tuple[str, ...]
    complete: bool  # labels are all classes of the system, not only those that it happened to find
    found: tuple[Detections, ...]
    other_pictures: int  # pictures in the file that are not in the dataset


def read_detections(path: Path, dataset: Dataset) -> FoundInFile:
    """Read detections of the pictures of ``dataset``.

    A picture is known by its path, or as much of the path's end as tells it from all others.

    Raises:
        DataError: not such a file, a picture of the dataset is not in it (COCO results: none is), or a value is wrong.
    """
    document = read_json(path)
    if isinstance(document, list):
        return _coco_results(path, document, dataset)
    if not isinstance(document, dict) or not isinstance(document.get("images"), list):
        raise DataError(
            f"{path}: no detections: expected what `shelfvision detect --json` writes, or a list of COCO results"
        )
    return _detect_output(path, document, dataset)


def _detect_output(path: Path, document: dict[str, Any], dataset: Dataset) -> FoundInFile:
    names = _PictureNames([picture.path for picture in dataset])
    labels = document.get("labels")
    complete = labels is not None
    if labels is not None and not (isinstance(labels, list) and all(isinstance(name, str) for name in labels)):
        raise DataError(f"{path}: labels: expected a list of class names")
    rows = _Rows(path, list(labels or []), len(dataset), open_ended=not complete)
    seen: set[int] = set()
    others = 0
    for number, entry in enumerate(document["images"]):
        where = f"images[{number}]"
        if not isinstance(entry, dict) or not isinstance(entry.get("image"), str):
            raise DataError(f"{path}: {where}: expected an object with image and detections, found {shown(entry)}")
        listed = entry.get("detections")
        if not isinstance(listed, list):
            raise DataError(f"{path}: {where}: detections: expected a list, found {shown(listed)}")
        at = names.find(entry["image"])
        if at is None:
            others += 1
            continue
        if at in seen:
            raise DataError(f"{path}: {where}: {entry['image']} stands there twice")
        seen.add(at)
        for place, item in enumerate(listed):
            if not isinstance(item, dict):
                raise DataError(f"{path}: {where}.detections[{place}]: expected an object, found {shown(item)}")
            rows.add(at, item.get("label"), item.get("xyxy"), item.get("score"), f"{where}.detections[{place}]")
    missing = [picture.path for at, picture in enumerate(dataset) if at not in seen]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise DataError(
            f"{path}: has no entry for {missing[0]}{more} of {dataset.source}; run the detector on all of it"
        )
    return FoundInFile(tuple(rows.labels), complete, rows.detections(), others)


def _coco_results(path: Path, items: list[Any], dataset: Dataset) -> FoundInFile:
    pictures, categories = _coco_ids(path, dataset)
    labels = list(dict.fromkeys(categories.values()))
    rows = _Rows(path, labels, len(dataset), open_ended=False)
    others: set[Any] = set()
    for number, item in enumerate(items):
        where = f"[{number}]"
        if not isinstance(item, dict):
            raise DataError(f"{path}: {where}: expected an object, found {shown(item)}")
        picture, category, bbox = item.get("image_id"), item.get("category_id"), item.get("bbox")
        if not isinstance(picture, int | str) or picture not in pictures:
            others.add(str(picture))
            continue
        if not isinstance(category, int | str) or category not in categories:
            raise DataError(f"{path}: {where}: category_id {shown(category)} is not in {dataset.source}")
        if not isinstance(bbox, list) or not _are_numbers(bbox):
            raise DataError(f"{path}: {where}: bbox: expected [x, y, width, height], found {shown(bbox)}")
        x, y, width, height = bbox
        rows.add(pictures[picture], categories[category], [x, y, x + width, y + height], item.get("score"), where)
    if others and len(others) == len({str(item.get("image_id")) for item in items}):
        raise DataError(f"{path}: none of its image ids is in {dataset.source}; is it of other data?")
    return FoundInFile(tuple(labels), False, rows.detections(), len(others))


def _coco_ids(path: Path, dataset: Dataset) -> tuple[Mapping[Any, int], Mapping[Any, str]]:
    """Place in the dataset by image id, class name by category id, as the dataset's own COCO file has them."""
    document = read_json(dataset.source) if dataset.source.is_file() and dataset.source.suffix == ".json" else None
    if not isinstance(document, dict) or not isinstance(document.get("images"), list):
        raise DataError(
            f"{path}: COCO results name pictures by the ids of a COCO file, but {dataset.source} is none; give the "
            "COCO file as data, or detections with picture names"
        )
    names = _PictureNames([picture.path for picture in dataset])
    pictures = {item.get("id"): names.find(str(item.get("file_name"))) for item in document["images"]}
    categories = {item.get("id"): str(item.get("name")).strip() for item in document.get("categories", [])}
    return {number: at for number, at in pictures.items() if at is not None}, categories


class _PictureNames:
    """Finds pictures by the end of their path."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._parts = [path.parts for path in paths]
        self._exact = {str(path.resolve()): at for at, path in enumerate(paths)}
        self._by_name: dict[str, list[int]] = {}
        for at, path in enumerate(paths):
            self._by_name.setdefault(path.name, []).append(at)

    def find(self, name: str) -> int | None:
        """The picture's place; None when there is none, or several are meant equally well."""
        path = Path(name.replace("\\", "/")) if "\\" in name and "/" not in name else Path(name)
        try:
            if (at := self._exact.get(str(path.resolve()))) is not None:
                return at
        except (OSError, ValueError):  # no name that a file system takes
            return None
        candidates = self._by_name.get(path.name, [])
        if len(candidates) <= 1:
            return candidates[0] if candidates else None
        shared = Counter({at: _common_end(self._parts[at], path.parts) for at in candidates}).most_common(2)
        return shared[0][0] if shared[0][1] > shared[1][1] else None


def _common_end(first: Sequence[str], second: Sequence[str]) -> int:
    count = 0
    for a, b in zip(reversed(first), reversed(second), strict=False):
        if a != b:
            break
        count += 1
    return count


class _Rows:
    """Gathers detections by picture, each value checked."""

    def __init__(self, path: Path, labels: list[str], pictures: int, *, open_ended: bool) -> None:
        self._path = path
        self.labels = labels
        self._index = {name: at for at, name in enumerate(labels)}
        self._open_ended = open_ended
        self._rows: list[list[tuple[float, ...]]] = [[] for _ in range(pictures)]

    def add(self, picture: int, label: Any, xyxy: Any, score: Any, where: str) -> None:
        if not isinstance(label, str) or (not self._open_ended and label not in self._index):
            expected = "a class name" if self._open_ended else f"one of {', '.join(self.labels[:8])}"
            raise DataError(f"{self._path}: {where}: label: expected {expected}, found {shown(label)}")
        if not _are_numbers(xyxy) or xyxy[2] < xyxy[0] or xyxy[3] < xyxy[1]:
            raise DataError(
                f"{self._path}: {where}: xyxy: expected x1 <= x2 and y1 <= y2 in pixels, found {shown(xyxy)}"
            )
        if not _is_number(score) or not 0 <= score <= 1:
            raise DataError(f"{self._path}: {where}: score: expected 0 to 1, found {shown(score)}")
        if label not in self._index:
            self._index[label] = len(self.labels)
            self.labels.append(label)
        self._rows[picture].append((*xyxy, score, self._index[label]))

    def detections(self) -> tuple[Detections, ...]:
        found = []
        for rows in self._rows:
            values = np.array(rows, np.float64).reshape(-1, 6)
            xyxy, score = values[:, :4].astype(np.float32), values[:, 4].astype(np.float32)
            found.append(Detections(xyxy, score, values[:, 5].astype(np.int64)))
        return tuple(found)


def _are_numbers(values: Any) -> bool:
    return isinstance(values, list) and len(values) == 4 and all(_is_number(value) for value in values)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e9 and math.isfinite(value)
