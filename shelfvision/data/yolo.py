"""YOLO datasets in the layout of Ultralytics: ``data.yaml``, ``images/SPLIT/``, a text file a picture in ``labels/``.

A line is ``class cx cy w h`` in fractions of the picture, or ``class x1 y1 x2 y2 ...`` with a polygon, of which the box
is taken. A picture without a label file, or with an empty one, is a negative; a split without a single label file is a
fault, for that is what labels in the wrong place look like. ``classes.txt`` beside ``images/`` and ``labels/``, as
LabelImg and Label Studio write it, is read too.
Format: https://docs.ultralytics.com/datasets/detect/
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from shelfvision.core.detections import FloatArray
from shelfvision.core.faults import shown
from shelfvision.data.dataset import Dataset, LabelledPicture, Report, refuse
from shelfvision.data.images import PICTURE_SUFFIXES, image_size
from shelfvision.data.placing import Placing, picture_names, place, without_ending
from shelfvision.data.text_file import read_annotations, write_whole
from shelfvision.errors import ConfigError, DataError
from shelfvision.yaml_file import read_yaml

_MOST_BYTES = 64_000_000  # a label file or list of pictures
_SPLITS = ("train", "val", "test")
_BEYOND = 0.5  # fractions further outside the picture than this are no fractions but pixels


def read_yolo(path: Path, *, split: str | None = None, images: Path | None = None, report: Report = refuse) -> Dataset:
    """One split of a YOLO dataset.

    Args:
        path: ``data.yaml``, or a ``classes.txt`` beside the folders of a dataset without splits.
        split: a key of ``data.yaml`` such as train; may be left out where there is only one.
        images: a folder of pictures to take instead of the one that ``data.yaml`` names, or one with a folder a split.
        report: gets every fault that the reading can go on after.

    Raises:
        DataError: no such split, no pictures, or (with the default ``report``) a broken label file or picture.
    """
    names, folders = _described(path)
    if split is None and len(folders) > 1 and images is None:
        raise DataError(f"{path}: has the splits {', '.join(folders)}; say which one to use")
    split = split if split is not None else next(iter(folders), None)
    if images is None and split not in folders:
        raise DataError(f"{path}: no split {split}; there are: {', '.join(folders) or 'none'}")
    places = _places_in(images, split) if images is not None else folders[str(split)]
    files = [file for one in places for file in _picture_files(path, one, report)]
    if not any(label_file(file).is_file() for file in files):
        report(
            f"{path}: none of the {len(files)} pictures{f' of {split}' if split else ''} has a label file (expected "
            f"{label_file(files[0])}); if none shows an object, put one empty label file there"
        )
    pictures = [picture for file in files if (picture := _picture(file, names, report)) is not None]
    return Dataset(tuple(names), tuple(pictures), path).without_ignored_classes()


def yolo_splits(path: Path) -> tuple[str, ...]:
    """Splits that a ``data.yaml`` names; one that has the very pictures of another, as if there were none, once.

    Raises:
        DataError: the file is broken.
    """
    return tuple(_described(path)[1])


def yolo_description(path: Path) -> Path | None:
    """The file that describes the YOLO dataset at ``path`` (a file or folder), or None where there is none."""
    if path.is_file():
        return path if path.suffix.lower() in {".yaml", ".yml"} or path.name == "classes.txt" else None
    for name in ("data.yaml", "data.yml", "dataset.yaml"):
        if (path / name).is_file():
            return path / name
    if (path / "classes.txt").is_file() and (path / "labels").is_dir():
        return path / "classes.txt"
    found = sorted([*path.glob("*.yaml"), *path.glob("*.yml")])
    return found[0] if len(found) == 1 and (path / "images").is_dir() and _describes_pictures(found[0]) else None


def write_yolo(
    dataset: Dataset, folder: Path, *, split: str | None = None, placing: Placing = Placing.LINK
) -> tuple[str, ...]:
    """Write ``data.yaml``, ``images/SPLIT/``, ``labels/SPLIT/``; without a split all is ``train`` and ``val`` the same.

    A ``data.yaml`` that is there already, of another split with the same classes, is added to.

    Returns:
        Sentences about what the format could not hold.

    Raises:
        DataError: the folder cannot be written, a picture is missing, or ``data.yaml`` there has other classes.
    """
    if placing is Placing.REFERENCE:
        raise DataError("YOLO labels are found by the place of their picture; link or copy the pictures")
    part = split or "train"
    paths = [picture.path for picture in dataset]
    names = picture_names(paths)
    splits = _splits_there(folder / "data.yaml", dataset.labels)
    place(paths, folder / "images" / part, names, placing)
    for picture, name in zip(dataset, names, strict=True):
        write_whole(folder / "labels" / part / f"{without_ending(name)}.txt", _lines(picture))
    splits[part] = f"images/{part}"
    notes = []
    if split is None:
        splits.setdefault("val", splits[part])  # Ultralytics refuses a file without val
        notes.append("there was no split: data.yaml names the same pictures as train and val")
    ordered = {key: splits[key] for key in [*_SPLITS, *splits] if key in splits}
    # no "path": Ultralytics takes "." for the folder it is started in, but without it looks beside data.yaml
    document = {**ordered, "names": dict(enumerate(dataset.labels))}
    write_whole(folder / "data.yaml", yaml.safe_dump(document, sort_keys=False, allow_unicode=True))
    left_out = sum(int(picture.ignore.sum()) for picture in dataset)
    if left_out:
        notes.append(f"{left_out} ignore regions are left out: YOLO has none, so what is in them counts as background")
    return tuple(notes)


def _splits_there(path: Path, labels: tuple[str, ...]) -> dict[str, Any]:
    """The splits that an earlier call wrote into this ``data.yaml``."""
    if not path.is_file():
        return {}
    names, _ = _described(path)
    if tuple(names) != labels:
        raise DataError(f"{path}: is there with other classes ({', '.join(names)}); choose an empty folder")
    document = _document(path)
    return {key: document[key] for key in _SPLITS if document.get(key)}


def _lines(picture: LabelledPicture) -> str:
    width, height = picture.size
    lines = []
    for (x1, y1, x2, y2), label in zip(
        picture.xyxy[~picture.ignore].tolist(), picture.label[~picture.ignore], strict=True
    ):
        values = ((x1 + x2) / 2 / width, (y1 + y2) / 2 / height, (x2 - x1) / width, (y2 - y1) / height)
        lines.append(f"{label} " + " ".join(f"{value:.9g}" for value in values) + "\n")
    return "".join(lines)


def _describes_pictures(path: Path) -> bool:
    """Whether a YAML file of any name is a dataset's: others lie beside pictures too."""
    try:
        document = _document(path)
    except DataError:
        return False
    return "names" in document and any(key in document for key in (*_SPLITS, "valid"))


def _document(path: Path) -> dict[Any, Any]:
    try:
        document = read_yaml(path)
    except ConfigError as error:
        raise DataError(str(error)) from None
    if not isinstance(document, dict):
        raise DataError(f"{path}: no YOLO dataset: expected keys such as train, val and names")
    return document


def _described(path: Path) -> tuple[list[str], dict[str, list[Path]]]:
    """Class names and the places of each split."""
    if path.name == "classes.txt":
        names = [line.strip() for line in read_annotations(path).splitlines() if line.strip()]
        inner = path.parent / "images"
        return names, {"train": [inner if inner.is_dir() else path.parent]}
    document = _document(path)
    names = _names(path, document)
    root = path.parent
    if isinstance(document.get("path"), str):
        root = path.parent / document["path"]
        if not root.is_dir():  # Ultralytics writes its own datasets folder there; the file's folder is the better guess
            root = path.parent
    splits: dict[str, list[Path]] = {}
    for key in _SPLITS:
        value = document.get(key, document.get("valid") if key == "val" else None)
        listed = value if isinstance(value, list) else [value] if value else []
        if not all(isinstance(one, str) and "\0" not in one for one in listed):
            raise DataError(f"{path}: {key} is {shown(value)}, expected a folder or a list of folders")
        places = [_existing(root, path.parent, one) for one in listed]
        if places and places not in splits.values():
            splits[key] = places
    if not splits:
        raise DataError(f"{path}: no YOLO dataset: names neither train, val nor test")
    return names, splits


def _existing(root: Path, beside: Path, name: str) -> Path:
    # Roboflow writes ../train/images and means train/images
    for candidate in (root / name, beside / name, beside / name.removeprefix("../")):
        if candidate.exists():
            return candidate
    return root / name


def _names(path: Path, document: dict[Any, Any]) -> list[str]:
    names = document.get("names")
    if isinstance(names, dict):
        if sorted(names, key=str) != sorted(range(len(names)), key=str):
            raise DataError(f"{path}: names has the keys {', '.join(map(str, names))}, expected 0 to {len(names) - 1}")
        names = [names[index] for index in range(len(names))]
    if not isinstance(names, list) or not names:
        raise DataError(f"{path}: names is {shown(names)}, expected a list of class names")
    if "nc" in document and document["nc"] != len(names):
        raise DataError(f"{path}: nc is {shown(document['nc'])}, but there are {len(names)} names")
    return [str(name) for name in names]


def _places_in(images: Path, split: str | None) -> list[Path]:
    """The folder of a split within ``images``, or ``images`` itself when it has none."""
    names = ["val", "valid"] if split == "val" else [split] if split else []
    return [next((images / name for name in names if (images / name).is_dir()), images)]


def _picture_files(path: Path, place: Path, report: Report) -> list[Path]:
    if place.is_dir():
        files = [file for file in place.rglob("*") if not _is_hidden(file.relative_to(place))]
        found = sorted(file for file in files if file.suffix.lower() in PICTURE_SUFFIXES)
        known = {file.with_suffix("") for file in found}
        others = [file for file in files if file.suffix.lower() not in {*PICTURE_SUFFIXES, "", ".txt"}]
        for file in sorted(others):  # .heic, .avif: they would be lost without a word
            if file.with_suffix("") not in known and label_file(file).is_file():
                report(f"{file}: has labels, but is of no kind of picture that is read; save it as JPEG or PNG")
        if not found:
            raise DataError(f"{place}: no pictures in it ({path} names it)")
        return found
    if place.suffix == ".txt" and place.is_file():
        lines = read_annotations(place, most_bytes=_MOST_BYTES).splitlines()
        return [place.parent / line.strip() for line in lines if line.strip()]
    raise DataError(f"{place}: no such folder or list of pictures ({path} names it)")


def _picture(file: Path, names: list[str], report: Report) -> LabelledPicture | None:
    try:
        size = image_size(file)
    except DataError as error:
        report(str(error))
        return None
    labels = label_file(file)
    boxes: list[FloatArray] = []
    classes: list[int] = []
    text = read_annotations(labels, most_bytes=_MOST_BYTES) if labels.is_file() else ""
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.split()
        if not words:
            continue
        where = f"{labels} line {number}"
        try:
            label, box = _parse(words)
        except ValueError as error:
            report(f"{where}: {error}")
            continue
        if not 0 <= label < len(names):
            report(f"{where}: class {label}, but there are {len(names)} names (0 to {len(names) - 1})")
            continue
        boxes.append(np.asarray(box * np.array([*size, *size]), np.float32))
        classes.append(label)
    xyxy = np.array(boxes, np.float32).reshape(-1, 4)
    return LabelledPicture(file, size, xyxy, np.array(classes, np.int64), np.zeros(len(classes), np.bool_))


def _is_hidden(within: Path) -> bool:
    """Whether a name, or a folder on the way, is one that tools hide (.ipynb_checkpoints)."""
    return any(part.startswith(".") for part in within.parts)


def label_file(picture: Path) -> Path:
    """Where the labels of a picture are: the last folder ``images`` becomes ``labels``; beside it if they are there."""
    parts = list(picture.parts)
    for index in range(len(parts) - 2, -1, -1):
        if parts[index] == "images":
            parts[index] = "labels"
            break
    usual, beside = Path(*parts).with_suffix(".txt"), picture.with_suffix(".txt")
    return beside if beside.is_file() and not usual.is_file() else usual


def _parse(words: list[str]) -> tuple[int, FloatArray]:
    """Class and box in fractions of the picture.

    Raises:
        ValueError: not a label line.
    """
    if len(words) < 5 or (len(words) > 5 and (len(words) < 7 or len(words) % 2 == 0)):
        raise ValueError(f"{len(words)} values, expected 5 (class cx cy w h) or a class and a polygon")
    try:
        label, values = float(words[0]), np.array(words[1:], np.float64)
    except ValueError:
        raise ValueError(f"not numbers: {shown(' '.join(words))}") from None
    if not label.is_integer() or not math.isfinite(label):
        raise ValueError(f"class is {words[0]}, expected a whole number")
    if not np.isfinite(values).all() or values.min() < -_BEYOND or values.max() > 1 + _BEYOND:
        raise ValueError(f"{shown(' '.join(words[1:5]))} are no fractions of the picture (pixels?)")
    if len(values) == 4:
        half = values[2:] / 2
        return int(label), np.concatenate([values[:2] - half, values[:2] + half])
    points = values.reshape(-1, 2)
    return int(label), np.concatenate([points.min(axis=0), points.max(axis=0)])
