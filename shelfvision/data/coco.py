"""COCO detection annotations: one JSON file with images, categories and boxes ``[x, y, width, height]``.

What does not count is marked ``ignore`` in the dataset: ``iscrowd``, and as many datasets of shelves have it, a box's
``ignore`` or ``hard`` key, a category called ``ignore``, ``ignore_regions`` of an image or of the file. A region that
is of no class stands in the dataset once for every class.
Format: https://cocodataset.org/#format-data
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np

from shelfvision.core.faults import shown
from shelfvision.data.dataset import Dataset, LabelledPicture, Report, is_ignored_class, refuse
from shelfvision.data.images import image_size
from shelfvision.data.placing import Placing, picture_names, place
from shelfvision.data.text_file import read_json, write_whole
from shelfvision.errors import DataError

_LISTS = re.compile(rb'"(images|annotations|categories)"\s*:\s*\[')
_BLOCK = 1_000_000  # bytes read at once to find one of the lists
_MOST_NAMED = 20  # pictures that are tried when the folder of pictures is searched


def read_coco(path: Path, *, images: Path | None = None, report: Report = refuse) -> Dataset:
    """The dataset that a COCO file describes; pictures without boxes are part of it.

    Args:
        path: the JSON file.
        images: folder that ``file_name`` is relative to; the usual places are tried when absent.
        report: gets every fault that the reading can go on after.

    Raises:
        DataError: not readable, not COCO, or (with the default ``report``) any fault of an image or annotation.
    """
    document = read_json(path)
    if not isinstance(document, dict) or not isinstance(document.get("images"), list):
        raise DataError(f"{path}: no COCO file: expected an object with images, annotations and categories")
    reading = _Reading(path, report)
    reading.categories(_items(path, document, "categories"))
    reading.pictures(_items(path, document, "images"), images)
    reading.annotations(_items(path, document, "annotations"))
    for region in _items(path, document, "ignore_regions"):
        reading.region(region.get("image_id"), region.get("bbox"), "ignore_regions")
    return reading.dataset()


def coco_files(folder: Path) -> dict[str, Path]:
    """Split to COCO file in the folder of a dataset: in it, in ``annotations/``, or one in each split's own folder."""
    for inner in (folder / "annotations", folder):
        files = [path for path in sorted(inner.glob("*.json")) if _looks_like_coco(path)]
        instances = [path for path in files if path.stem.startswith("instances_")]  # not captions_, image_info_
        if files:
            return {split_of(path): path for path in instances or files}
    parts = (path for path in sorted(folder.glob("*/_annotations.coco.json")) if _looks_like_coco(path))
    return {path.parent.name: path for path in parts}


def split_of(path: Path) -> str:
    """The split that a file's name tells: train2017 for ``instances_train2017.json``."""
    return path.stem.removeprefix("instances_").removeprefix("annotations_")


def write_coco(
    dataset: Dataset, folder: Path, *, split: str | None = None, placing: Placing = Placing.LINK
) -> tuple[str, ...]:
    """Write ``annotations.json`` and ``images/``; with a split ``annotations/instances_SPLIT.json``, ``images/SPLIT/``.

    Returns:
        Sentences about what the format could not hold: none, COCO holds everything.

    Raises:
        DataError: the folder cannot be written or a picture is missing.
    """
    paths = [picture.path for picture in dataset]
    if placing is Placing.REFERENCE:
        names = [str(path.absolute()) for path in paths]
    else:
        names = picture_names(paths)
        place(paths, folder / "images" / (split or ""), names, placing)
    target = folder / "annotations.json" if split is None else folder / "annotations" / f"instances_{split}.json"
    write_whole(target, json.dumps(coco_document(dataset, names)))
    return ()


def coco_document(dataset: Dataset, names: Iterable[str] | None = None) -> dict[str, Any]:
    """The dataset as COCO has it; image ids are 1 + the index in the dataset, category ids 1 + the label.

    Args:
        dataset: pictures and boxes.
        names: a ``file_name`` for each picture; its path when absent.
    """
    names = [str(picture.path) for picture in dataset] if names is None else list(names)
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, (picture, name) in enumerate(zip(dataset, names, strict=True), start=1):
        width, height = picture.size
        images.append({"id": number, "file_name": name, "width": width, "height": height})
        for box, label, ignore in zip(picture.xyxy.tolist(), picture.label, picture.ignore, strict=True):
            x1, y1, x2, y2 = box
            annotation = {
                "id": len(annotations) + 1,
                "image_id": number,
                "category_id": int(label) + 1,
                "bbox": [x1, y1, x2 - x1, y2 - y1],
                "area": max(x2 - x1, 0.0) * max(y2 - y1, 0.0),
                "iscrowd": int(ignore),
            }
            annotations.append(annotation)
    categories = [{"id": index + 1, "name": name} for index, name in enumerate(dataset.labels)]
    return {"images": images, "annotations": annotations, "categories": categories}


class _Reading:
    """One pass over a file: ids to places, boxes gathered by picture."""

    def __init__(self, path: Path, report: Report) -> None:
        self._path = path
        self._report = report
        self._labels: list[str] = []
        self._label_of: dict[Any, int] = {}
        self._paths: list[Path] = []
        self._sizes: list[tuple[int, int]] = []
        self._place_of: dict[Any, int] = {}
        self._boxes: list[list[tuple[float, float, float, float]]] = []
        self._classes: list[list[int]] = []
        self._ignored: list[list[bool]] = []

    def categories(self, items: list[dict[str, Any]]) -> None:
        for item in items:
            number, name = item.get("id"), item.get("name")
            if not _is_id(number) or not isinstance(name, str) or not name.strip():
                raise DataError(f"{self._path}: a category needs id and name, found {shown(item)}")
            if number in self._label_of:
                raise DataError(f"{self._path}: category id {shown(number)} stands there twice")
            self._label_of[number] = len(self._labels)
            self._labels.append(name.strip())

    def pictures(self, items: list[dict[str, Any]], images: Path | None) -> None:
        names = [item.get("file_name") for item in items]
        root = images or _root(self._path, [name for name in names[:_MOST_NAMED] if isinstance(name, str)])
        seen: set[str] = set()
        for item, name in zip(items, names, strict=True):
            number = item.get("id")
            if not _is_id(number) or not isinstance(name, str) or not name or "\0" in name:
                self._report(f"{self._path}: an image needs id and file_name, found {shown(item)}")
                continue
            if number in self._place_of or name in seen:
                what = f"image id {shown(number)}" if number in self._place_of else f"image {name}"
                self._report(f"{self._path}: {what} stands there twice")
                continue
            path = root / name.replace("\\", "/")
            size = self._size(item, path)
            if size is None:
                continue
            seen.add(name)
            self._place_of[number] = len(self._paths)
            self._paths.append(path)
            self._sizes.append(size)
            self._boxes.append([])
            self._classes.append([])
            self._ignored.append([])
            regions = item.get("ignore_regions") or []
            for region in regions if isinstance(regions, list) else [regions]:
                self.region(number, region.get("bbox") if isinstance(region, dict) else region, f"image {name}")

    def _size(self, item: dict[str, Any], path: Path) -> tuple[int, int] | None:
        width, height = item.get("width"), item.get("height")
        if width is None and height is None:
            try:
                return image_size(path)
            except DataError as error:
                self._report(str(error))
                return None
        if not _is_number(width) or not _is_number(height) or min(width, height) < 1:
            self._report(f"{self._path}: image {path.name}: size {shown(width)} x {shown(height)}, expected pixels")
            return None
        return int(width), int(height)

    def annotations(self, items: list[dict[str, Any]]) -> None:
        lost_images: list[str] = []
        lost_categories: list[str] = []
        for item in items:
            place, category = item.get("image_id"), item.get("category_id")
            if not _is_id(place) or place not in self._place_of:
                lost_images.append(f"{_annotation(item)} names image {shown(place)}")
                continue
            if not _is_id(category) or category not in self._label_of:
                lost_categories.append(f"{_annotation(item)} names category {shown(category)}")
                continue
            bbox = item.get("bbox") or _around(item.get("segmentation"))
            ignored = any(_is_set(item.get(key)) for key in ("iscrowd", "ignore", "hard"))
            if not self._add(self._place_of[place], bbox, [self._label_of[category]], ignored=ignored):
                self._report(f"{self._path}: {_annotation(item)}: {_no_box(bbox)}")
        for lost, what in (lost_images, "an image"), (lost_categories, "a category"):
            if lost:
                more = f" and {len(lost) - 1} more" if len(lost) > 1 else ""
                self._report(f"{self._path}: {lost[0]}{more}: {what} that is not in the file")

    def region(self, place: Any, bbox: Any, where: str) -> None:
        """A region that is of no class: what is found there counts for none."""
        if not _is_id(place) or place not in self._place_of:
            self._report(f"{self._path}: {where} names image {shown(place)}, which is not in the file")
            return
        every = [label for label, name in enumerate(self._labels) if not is_ignored_class(name)]
        if not self._add(self._place_of[place], bbox, every, ignored=True):
            self._report(f"{self._path}: {where}: {_no_box(bbox)}")

    def _add(self, place: int, bbox: Any, labels: list[int], *, ignored: bool) -> bool:
        """Note a box for each of the labels; False when it is none."""
        if not isinstance(bbox, list) or len(bbox) != 4 or not all(map(_is_number, bbox)):
            return False
        x, y, width, height = (float(value) for value in bbox)
        for label in labels:
            self._boxes[place].append((x, y, x + width, y + height))
            self._classes[place].append(label)
            self._ignored[place].append(ignored)
        return True

    def dataset(self) -> Dataset:
        pictures = tuple(
            LabelledPicture(
                path,
                size,
                np.array(boxes, np.float32).reshape(-1, 4),
                np.array(classes, np.int64),
                np.array(ignored, np.bool_),
            )
            for path, size, boxes, classes, ignored in zip(
                self._paths, self._sizes, self._boxes, self._classes, self._ignored, strict=True
            )
        )
        return Dataset(tuple(self._labels), pictures, self._path).without_ignored_classes()


def _root(path: Path, names: list[str]) -> Path:
    """The folder in which most of the named pictures are, among those that tools use; the file's own if none."""
    split = split_of(path)
    above = path.parent.parent
    candidates = [path.parent, path.parent / "images", path.parent / path.stem, path.parent / split]
    candidates += [above / "images" / split, above / split, above / "images", above]
    found = [
        sum((root / name.replace("\\", "/")).is_file() for name in names if "\0" not in name) for root in candidates
    ]
    return candidates[found.index(max(found))]


def _items(path: Path, document: dict[str, Any], key: str) -> list[dict[str, Any]]:
    items = document.get(key, [])
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise DataError(f"{path}: {key} is no list of objects")
    return items


def _annotation(item: dict[str, Any]) -> str:
    return f"annotation {shown(item.get('id'))}"


def _no_box(bbox: Any) -> str:
    return f"bbox is {shown(bbox)}, expected [x, y, width, height]"


def _is_id(value: Any) -> bool:
    return isinstance(value, int | str) and not isinstance(value, bool)


def _is_set(flag: Any) -> bool:
    """Whether a mark such as ``iscrowd`` is set; some tools write it as text."""
    return flag.strip().lower() not in {"", "0", "false", "no"} if isinstance(flag, str) else bool(flag)


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e9 and math.isfinite(value)


def _around(segmentation: Any) -> list[float] | None:
    """The box around polygons, for tools that leave ``bbox`` out."""
    if not isinstance(segmentation, list) or not segmentation or not all(isinstance(p, list) for p in segmentation):
        return None
    values = [value for polygon in segmentation for value in polygon]
    if len(values) < 6 or not all(_is_number(value) for value in values):
        return None
    points = np.array(values, np.float64)[: len(values) // 2 * 2].reshape(-1, 2)
    (left, top), (right, bottom) = points.min(axis=0), points.max(axis=0)
    return [float(left), float(top), float(right - left), float(bottom - top)]


def _looks_like_coco(path: Path) -> bool:
    """Whether a JSON file lists images or annotations: notes beside a dataset may list ``categories`` alone."""
    try:
        with path.open("rb") as file:
            block = file.read(_BLOCK)
            if not block.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):
                return False
            found = {match[1] for match in _LISTS.finditer(block)}
            while found == {b"categories"} and (more := file.read(_BLOCK)):
                block = block[-64:] + more  # a key may lie across two blocks
                found |= {match[1] for match in _LISTS.finditer(block)}
    except OSError:
        return False
    return bool(found - {b"categories"})
