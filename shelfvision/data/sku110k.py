"""SKU-110K's CSV: ``image_name,x1,y1,x2,y2,class,image_width,image_height`` a box, no header line.

Layout: ``annotations/annotations_SPLIT.csv`` and ``images/``. A picture without boxes cannot be said in this format.
Format: https://github.com/eg4000/SKU110K_CVPR19
"""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path

import numpy as np

from shelfvision.core.faults import shown
from shelfvision.data.dataset import Dataset, LabelledPicture, Report, refuse
from shelfvision.data.placing import Placing, picture_names, place
from shelfvision.data.text_file import read_annotations, write_whole
from shelfvision.errors import DataError

COLUMNS = ("image_name", "x1", "y1", "x2", "y2", "class", "image_width", "image_height")
_PREFIX = "annotations_"


def read_sku110k(path: Path, *, images: Path | None = None, report: Report = refuse) -> Dataset:
    """The dataset of one CSV file; pictures in order of first appearance, class names sorted.

    Args:
        path: the CSV file.
        images: folder of the pictures; ``images`` beside or above the file when absent.
        report: gets every fault that the reading can go on after.

    Raises:
        DataError: not readable, or (with the default ``report``) a line that is broken.
    """
    boxes: dict[str, list[list[float]]] = {}
    classes: dict[str, list[str]] = {}
    sizes: dict[str, tuple[int, int]] = {}
    rows = csv.reader(io.StringIO(read_annotations(path)), strict=True)
    try:
        for row in rows:
            where = f"{path} line {rows.line_num}"
            if not row or (rows.line_num == 1 and tuple(cell.strip() for cell in row) == COLUMNS):
                continue
            try:
                name, box, label, size = _parse(row)
            except ValueError as error:
                report(f"{where}: {error}")
                continue
            if sizes.setdefault(name, size) != size:
                first = " x ".join(map(str, sizes[name]))
                report(f"{where}: {name} is {size[0]} x {size[1]} here and {first} before")
                continue
            boxes.setdefault(name, []).append(box)
            classes.setdefault(name, []).append(label)
    except csv.Error as error:
        report(f"{path} line {rows.line_num}: not CSV: {error}")
    if not sizes:
        raise DataError(f"{path}: no boxes in it; expected lines {','.join(COLUMNS)}")
    root = images or _root(path, next(iter(sizes)))
    labels = sorted({label for listed in classes.values() for label in listed})
    index = {label: number for number, label in enumerate(labels)}
    pictures = tuple(
        LabelledPicture(
            root / name,
            sizes[name],
            np.array(listed, np.float32).reshape(-1, 4),
            np.array([index[label] for label in classes[name]], np.int64),
            np.zeros(len(listed), np.bool_),
        )
        for name, listed in boxes.items()
    )
    return Dataset(tuple(labels), pictures, path).without_ignored_classes()


def sku110k_files(folder: Path) -> dict[str, Path]:
    """Split to CSV file in the folder of a dataset."""
    for inner in (folder / "annotations", folder):
        found = {path.stem.removeprefix(_PREFIX): path for path in sorted(inner.glob(f"{_PREFIX}*.csv"))}
        if found:
            return found
    return {}


def write_sku110k(
    dataset: Dataset, folder: Path, *, split: str | None = None, placing: Placing = Placing.LINK
) -> tuple[str, ...]:
    """Write ``annotations/annotations_SPLIT.csv`` (``all`` without a split) and ``images/``.

    Returns:
        Sentences about what the format could not hold.

    Raises:
        DataError: the folder cannot be written or a picture is missing.
    """
    part = split or "all"
    kept = [picture for picture in dataset if not picture.ignore.all()]
    paths = [picture.path for picture in kept]
    if placing is Placing.REFERENCE:
        names = [str(path.absolute()) for path in paths]
    else:
        # all splits share one folder, as in the original
        names = [name if split is None else f"{part}_{name}" for name in picture_names(paths)]
        place(paths, folder / "images", names, placing)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for picture, name in zip(kept, names, strict=True):
        counted = ~picture.ignore
        for box, label in zip(picture.xyxy[counted].tolist(), picture.label[counted], strict=True):
            writer.writerow([name, *map(_written, box), dataset.labels[label], *picture.size])
    write_whole(folder / "annotations" / f"{_PREFIX}{part}.csv", text.getvalue())
    notes = []
    if len(kept) < len(dataset):
        notes.append(f"{len(dataset) - len(kept)} pictures without boxes are left out: this format cannot name them")
    left_out = sum(int(picture.ignore.sum()) for picture in dataset)
    if left_out:
        notes.append(f"{left_out} ignore regions are left out: this format has none")
    return tuple(notes)


def _parse(row: list[str]) -> tuple[str, list[float], str, tuple[int, int]]:
    """Raises ValueError: not a line of this format."""
    cells = [cell.strip() for cell in row]
    if len(cells) != len(COLUMNS):
        raise ValueError(f"{len(cells)} values, expected {len(COLUMNS)}: {','.join(COLUMNS)}")
    name, label = cells[0], cells[5]
    if not name or "\0" in name:
        raise ValueError("image_name is empty")
    if not label:
        raise ValueError("class is empty")
    numbers = [_number(cells[index], COLUMNS[index]) for index in (1, 2, 3, 4, 6, 7)]
    width, height = numbers[4:]
    if min(width, height) < 1:
        raise ValueError(f"the picture is {cells[6]} x {cells[7]}, expected pixels")
    return name, numbers[:4], label, (int(width), int(height))


def _number(text: str, column: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or abs(value) >= 1e9:
        raise ValueError(f"{column} is {shown(text)}, expected a number")
    return value


def _root(path: Path, name: str) -> Path:
    candidates = [path.parent.parent / "images", path.parent / "images", path.parent]
    return next((root for root in candidates if (root / name).is_file()), candidates[0])


def _written(value: float) -> str:
    return f"{value:.3f}".rstrip("0").rstrip(".")
