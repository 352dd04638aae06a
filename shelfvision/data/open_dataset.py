"""Opening a dataset of any format that we read, by what is there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from shelfvision.data.coco import coco_files, read_coco
from shelfvision.data.dataset import Dataset, Report, refuse
from shelfvision.data.sku110k import read_sku110k, sku110k_files
from shelfvision.data.voc import has_voc, read_voc, voc_labels, voc_splits
from shelfvision.data.yolo import read_yolo, yolo_description, yolo_splits
from shelfvision.errors import DataError

FORMATS = ("coco", "yolo", "voc", "sku110k")
_SPLIT_FOLDERS = ("train", "val", "valid", "test")  # as Roboflow divides a download


def open_dataset(
    path: Path,
    *,
    images: Path | None = None,
    format: str | None = None,  # noqa: A002 - the word that users know
    split: str | None = None,
    report: Report = refuse,
) -> Dataset:
    """The dataset at ``path``: a COCO file, a YOLO data.yaml, an SKU-110K CSV, or the folder of a dataset.

    Args:
        path: file or folder.
        images: where the pictures are, if not in the places that the format has for them.
        format: one of ``FORMATS``; found out when absent.
        split: such as train or val, where the dataset has splits; may be left out where there is only one.
        report: gets every fault that the reading can go on after; by default the first is an error.

    Raises:
        DataError: nothing there, no format that we know, a split that is not there, or a broken file.
    """
    found = _find(path, format)
    if split is None and len(found.splits) > 1:
        raise DataError(f"{path}: has the splits {', '.join(found.splits)}; say which one to use")
    if split is not None and split not in found.splits:
        there = f"there are: {', '.join(found.splits)}" if found.splits else "it is not divided, leave the split out"
        raise DataError(f"{path}: no split {split}; {there}")
    part = split if split is not None else next(iter(found.splits), None)
    return _READERS[found.format](found, images, part, report)


def dataset_splits(path: Path, *, format: str | None = None) -> tuple[str, ...]:  # noqa: A002 - as above
    """Names of the splits of the dataset at ``path``; empty when it has none.

    Raises:
        DataError: nothing there, or no format that we know.
    """
    return _find(path, format).splits


def dataset_format(path: Path) -> str:
    """Which of ``FORMATS`` is at ``path``.

    Raises:
        DataError: nothing there, or no format that we know.
    """
    return _find(path, None).format


@dataclass(frozen=True, slots=True)
class _Found:
    format: str
    place: Path  # what the reader takes
    splits: tuple[str, ...] = ()


def _find(path: Path, asked: str | None) -> _Found:
    if asked is not None and asked not in FORMATS:
        raise DataError(f"format {asked!r} is unknown; there are: {', '.join(FORMATS)}")
    if "\0" in str(path) or not path.exists():
        raise DataError(f"{path}: no such file or folder; check the path")
    finders: dict[str, Callable[[Path], _Found | None]] = {
        "coco": _find_coco,
        "yolo": _find_yolo,
        "voc": _find_voc,
        "sku110k": _find_sku110k,
    }
    found = [one for name, find in finders.items() if asked in {None, name} and (one := find(path)) is not None]
    if not found:
        raise DataError(
            f"{path}: no {asked or 'dataset'} found there: expected a COCO .json, a YOLO data.yaml, Pascal VOC .xml "
            "files or an SKU-110K .csv, or a folder with one of them"
        )
    if len(found) > 1:
        names = " and ".join(one.format for one in found)
        raise DataError(f"{path}: looks like {names}; say which with the format option, or name the file")
    return found[0]


def _find_coco(path: Path) -> _Found | None:
    if path.is_file():
        return _Found("coco", path) if path.suffix.lower() == ".json" else None
    return _divided("coco", path, coco_files(path))


def _find_yolo(path: Path) -> _Found | None:
    place = yolo_description(path)
    return None if place is None else _Found("yolo", place, yolo_splits(place))


def _find_voc(path: Path) -> _Found | None:
    if not path.is_dir():
        return None
    if has_voc(path):
        return _Found("voc", path, voc_splits(path))
    parts = tuple(name for name in _SPLIT_FOLDERS if has_voc(path / name))
    return _Found("voc", path, parts) if parts else None


def _find_sku110k(path: Path) -> _Found | None:
    if path.is_file():
        return _Found("sku110k", path) if path.suffix.lower() == ".csv" else None
    return _divided("sku110k", path, sku110k_files(path))


def _divided(format_name: str, folder: Path, files: dict[str, Path]) -> _Found | None:
    """A folder with a file a split; one file whose name tells no split is the whole dataset."""
    if not files:
        return None
    if len(files) == 1 and not next(iter(files)).startswith(_SPLIT_FOLDERS):
        return _Found(format_name, next(iter(files.values())))
    return _Found(format_name, folder, tuple(files))


def _read_coco(found: _Found, images: Path | None, split: str | None, report: Report) -> Dataset:
    file = found.place if split is None or not found.splits else coco_files(found.place)[split]
    return read_coco(file, images=images, report=report)


def _read_yolo(found: _Found, images: Path | None, split: str | None, report: Report) -> Dataset:
    return read_yolo(found.place, split=split, images=images, report=report)


def _read_voc(found: _Found, images: Path | None, split: str | None, report: Report) -> Dataset:
    if not found.splits or not found.place.joinpath("ImageSets").is_dir():
        folders = [found.place / part for part in found.splits]
        labels = voc_labels(folders) if folders else None
        folder = found.place if split is None or not folders else found.place / split
        return read_voc(folder, images=images, labels=labels, report=report)
    return read_voc(found.place, images=images, split=split, report=report)


def _read_sku110k(found: _Found, images: Path | None, split: str | None, report: Report) -> Dataset:
    file = found.place if split is None or not found.splits else sku110k_files(found.place)[split]
    return read_sku110k(file, images=images, report=report)


_READERS: dict[str, Callable[[_Found, Path | None, str | None, Report], Dataset]] = {
    "coco": _read_coco,
    "yolo": _read_yolo,
    "voc": _read_voc,
    "sku110k": _read_sku110k,
}
