"""A sheet of labelled samples: the quickest way to see that labels mean what they should."""

from __future__ import annotations

import colorsys
import os
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from shelfvision.core.letterbox import Letterbox
from shelfvision.data.dataset import Dataset, LabelledPicture
from shelfvision.data.images import Image, read_image
from shelfvision.data.input_picture import fit_picture
from shelfvision.errors import DataError

_WIDTH, _NARROWEST, _WIDEST = 2000, 400, 1200  # pixels of the sheet and of one sample
_GAP = 4
_CAPTION = 18  # pixels
_GREY = (150, 150, 150)  # of ignore regions
_WHITE = (255, 255, 255)
_FONT = cv2.FONT_HERSHEY_SIMPLEX


def labelled_sheet(dataset: Dataset, *, count: int = 24) -> Image:
    """Samples spread evenly over the dataset, the densest picture first, boxes in the colour of their class.

    Ignore regions are grey; a picture that cannot be read is a cell that says so.
    """
    colours = class_colours(len(dataset.labels))
    chosen = _chosen(dataset, count)
    columns = max(1, round(np.sqrt(len(chosen))))
    across = min(max(_WIDTH // columns, _NARROWEST), _WIDEST)
    size = (across, across * 3 // 4)
    cells = [_cell(dataset, picture, colours, size) for picture in chosen]
    rows = [cells[start : start + columns] for start in range(0, len(cells), columns)]
    width = columns * (size[0] + _GAP) + _GAP
    height = len(rows) * (size[1] + _CAPTION + _GAP) + _GAP
    legend = _legend(dataset, colours, width)
    sheet = np.full((legend.shape[0] + height, width, 3), 40, np.uint8)
    sheet[: legend.shape[0]] = legend
    for row, listed in enumerate(rows):
        for column, cell in enumerate(listed):
            x = _GAP + column * (size[0] + _GAP)
            y = legend.shape[0] + _GAP + row * (size[1] + _CAPTION + _GAP)
            sheet[y : y + cell.shape[0], x : x + cell.shape[1]] = cell
    return sheet


def write_picture(path: Path, image: Image) -> None:
    """Write a picture as its ending says.

    Raises:
        DataError: an ending that is no picture's, or the place is not writable.
    """
    if path.suffix.lower() not in {".jpg", ".jpeg", ".png", ".webp"}:
        raise DataError(f"{path}: expected a name that ends with .jpg, .png or .webp")
    _, data = cv2.imencode(path.suffix.lower(), image)
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            beside.write_bytes(data.tobytes())
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)
    except OSError as error:
        raise DataError(f"{path}: cannot be written: {error.strerror}") from None


def class_colours(count: int) -> list[tuple[int, int, int]]:
    """BGR colours that differ as far as ``count`` of them can, the same for the same class every time."""
    colours = []
    for index in range(count):
        hue = (0.36 + index * 0.618034) % 1  # golden ratio: neighbours are far apart
        red, green, blue = colorsys.hsv_to_rgb(hue, 0.9 if index % 2 == 0 else 0.6, 1.0)
        colours.append((round(255 * blue), round(255 * green), round(255 * red)))
    return colours


def _chosen(dataset: Dataset, count: int) -> list[LabelledPicture]:
    if not len(dataset):
        return []
    densest = max(range(len(dataset)), key=lambda index: len(dataset.pictures[index]))
    spread = np.linspace(0, len(dataset) - 1, min(count, len(dataset))).round().astype(int)
    indices = [densest, *(int(index) for index in spread if index != densest)][:count]
    return [dataset.pictures[index] for index in indices]


def _cell(
    dataset: Dataset, picture: LabelledPicture, colours: Sequence[tuple[int, int, int]], size: tuple[int, int]
) -> Image:
    cell = np.full((size[1] + _CAPTION, size[0], 3), 60, np.uint8)
    view = cell[: size[1]]
    caption = f"{picture.path.name}  {int((~picture.ignore).sum())} boxes"
    try:
        image = read_image(picture.path)
    except DataError:
        cv2.putText(cell, "cannot be read", (8, size[1] // 2), _FONT, 0.6, _WHITE, 1, cv2.LINE_AA)
    else:
        letterbox = Letterbox((image.shape[1], image.shape[0]), size)
        view[:] = fit_picture(image, letterbox)
        few = len(picture) <= 15
        boxes = np.clip(letterbox.to_input(picture.xyxy), -_WIDTH, 2 * _WIDTH)  # OpenCV refuses a box of 2e9 pixels
        for box, label, ignore in zip(boxes.round().astype(int), picture.label, picture.ignore, strict=True):
            colour = _GREY if ignore else colours[label]
            first, second = (int(box[0]), int(box[1])), (int(box[2]), int(box[3]))
            cv2.rectangle(view, first, second, colour, 1)
            if few and not ignore:
                _name(view, _ascii(dataset.labels[label]), first, colour)
    cv2.putText(cell, _ascii(caption), (4, size[1] + 13), _FONT, 0.4, _WHITE, 1, cv2.LINE_AA)
    return cell


def _name(view: Image, name: str, corner: tuple[int, int], colour: tuple[int, int, int]) -> None:
    """Write a class name into the upper left corner of its box."""
    (width, height), _ = cv2.getTextSize(name, _FONT, 0.36, 1)
    x, y = max(corner[0], 0), max(corner[1], 0)
    cv2.rectangle(view, (x, y), (x + width + 3, y + height + 5), colour, cv2.FILLED)
    cv2.putText(view, name, (x + 2, y + height + 2), _FONT, 0.36, (0, 0, 0), 1, cv2.LINE_AA)


def _legend(dataset: Dataset, colours: Sequence[tuple[int, int, int]], width: int) -> Image:
    """Class names in their colours, in as many lines as they need."""
    lines: list[list[tuple[int, str, tuple[int, int, int]]]] = [[]]
    x = _GAP
    for name, colour in [*zip(dataset.labels, colours, strict=True), ("ignore", _GREY)]:
        (needed, _), _ = cv2.getTextSize(_ascii(name), _FONT, 0.45, 1)
        if x + needed + 24 > width and lines[-1]:
            lines.append([])
            x = _GAP
        lines[-1].append((x, _ascii(name), colour))
        x += needed + 24
    legend = np.full((20 * len(lines) + _GAP, width, 3), 40, np.uint8)
    for row, line in enumerate(lines):
        for left, name, colour in line:
            cv2.putText(legend, name, (left, 15 + 20 * row), _FONT, 0.45, colour, 1, cv2.LINE_AA)
    return legend


def _ascii(text: str) -> str:
    """OpenCV's font has no other letters."""
    return text.encode("ascii", "replace").decode()
