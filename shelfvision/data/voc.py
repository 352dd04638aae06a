"""Pascal VOC annotations: one XML file a picture, in the VOC layout or beside the pictures.

Coordinates are taken and written as they stand: LabelImg, CVAT, Roboflow and others count from 0, the original VOC2007
from 1, and no file says which; the difference is one pixel. ``difficult`` boxes do not count (``ignore``).
Layout: http://host.robots.ox.ac.uk/pascal/VOC/voc2007/htmldoc/
"""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from xml.parsers import expat
from xml.sax.saxutils import escape

import numpy as np

from shelfvision.core.faults import shown
from shelfvision.data.dataset import Dataset, LabelledPicture, Report, refuse
from shelfvision.data.images import PICTURE_SUFFIXES, image_size
from shelfvision.data.placing import Placing, picture_names, place, without_ending
from shelfvision.data.text_file import read_annotations, write_whole
from shelfvision.errors import DataError

_MOST_BYTES = 16_000_000  # an XML file of one picture
_CORNERS = ("xmin", "ymin", "xmax", "ymax")
_USUAL = ("train", "val", "test")
_FLAGGED = re.compile(r"(?P<name>.*\S)\s+(?P<flag>-1|0|1)")


def read_voc(
    folder: Path,
    *,
    images: Path | None = None,
    split: str | None = None,
    labels: Sequence[str] | None = None,
    report: Report = refuse,
) -> Dataset:
    """The dataset in a folder: ``Annotations/*.xml`` with ``JPEGImages/``, or XML files beside their pictures.

    Args:
        folder: of the dataset.
        images: where the pictures are, if not in the usual places.
        split: name of a list in ``ImageSets/Main``; all pictures when absent.
        labels: the class names in order; when absent those of the whole folder (not only of the split), sorted.
        report: gets every fault that the reading can go on after.

    Raises:
        DataError: no XML files, or (with the default ``report``) a file that is broken.
    """
    files = _annotation_files(folder)
    if not files:
        raise DataError(f"{folder}: no Pascal VOC dataset: there are no .xml files in it or in its Annotations/")
    parsed = [one for file in files if (one := _parse(file, report)) is not None]
    names = sorted({name for one in parsed for name in one.names}) if labels is None else list(labels)
    if split is not None:
        wanted = _listed(folder, split, files, report)
        parsed = [one for one in parsed if one.file in wanted]
    index = {name: number for number, name in enumerate(names)}
    pictures = [picture for one in parsed if (picture := _picture(one, folder, images, index, report)) is not None]
    return Dataset(tuple(names), tuple(pictures), folder).without_ignored_classes()


def has_voc(folder: Path) -> bool:
    """Whether there are annotation files in the folder or in its ``Annotations/``."""
    inner = folder / "Annotations"
    return any((inner if inner.is_dir() else folder).glob("*.xml")) or (inner.is_dir() and any(inner.rglob("*.xml")))


def voc_labels(folders: Sequence[Path]) -> list[str]:
    """Class names of several folders together, sorted; what cannot be read is passed over, ``read_voc`` reports it."""
    files = [file for folder in folders for file in _annotation_files(folder)]
    return sorted({name for file in files if (one := _parse(file, _pass_over)) is not None for name in one.names})


def voc_splits(folder: Path) -> tuple[str, ...]:
    """The lists in ``ImageSets/Main`` that divide the dataset, train, val and test first.

    VOC's lists a class (``cat_train``, whose lines end in -1, 0 or 1) are left out, and ``trainval`` beside its parts.
    """
    names = sorted(path.stem for path in (folder / "ImageSets" / "Main").glob("*.txt") if not _is_of_class(path))
    usual = [name for name in _USUAL if name in names]
    doubled = {"trainval"} if {"train", "val"} & set(names) else set()
    return tuple(usual + [name for name in names if name not in {*usual, *doubled}])


def write_voc(
    dataset: Dataset, folder: Path, *, split: str | None = None, placing: Placing = Placing.LINK
) -> tuple[str, ...]:
    """Write ``Annotations/``, ``JPEGImages/`` and with a split ``ImageSets/Main/SPLIT.txt``.

    Coordinates that are no whole numbers are written with decimals.

    Returns:
        Sentences about what the format could not hold.

    Raises:
        DataError: the folder cannot be written or a picture is missing.
    """
    paths = [picture.path for picture in dataset]
    names = picture_names(paths)
    if split is not None:
        taken = _names_of_others(folder, split)
        names = [f"{split}_{name}" if without_ending(name).casefold() in taken else name for name in names]
    place(paths, folder / "JPEGImages", names, placing)
    for picture, name in zip(dataset, names, strict=True):
        target = folder / "Annotations" / f"{without_ending(name)}.xml"
        write_whole(target, _document(dataset, picture, name, placing))
    if split is not None:
        stems = "".join(f"{without_ending(name)}\n" for name in names)
        write_whole(folder / "ImageSets" / "Main" / f"{split}.txt", stems)
    used = {int(label) for picture in dataset for label in picture.label}
    unused = [name for index, name in enumerate(dataset.labels) if index not in used]
    if unused:
        return (f"classes without a box are not in Pascal VOC files: {', '.join(unused)}",)
    return ()


@dataclass(frozen=True, slots=True)
class _Parsed:
    file: Path
    filename: str
    path: str
    size: tuple[int, int] | None
    names: list[str]
    boxes: list[list[float]]
    difficult: list[bool]


def _annotation_files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; check the path")
    return sorted(path for path in _annotations(folder).rglob("*.xml") if not path.name.startswith("."))


def _annotations(folder: Path) -> Path:
    """The folder of the annotation files."""
    inner = folder / "Annotations"
    return inner if inner.is_dir() else folder


def _parse(file: Path, report: Report) -> _Parsed | None:
    text = read_annotations(file, most_bytes=_MOST_BYTES)
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        report(f"{file}: has a document type definition, which no Pascal VOC file needs; it is not read")
        return None
    try:
        root = ET.fromstring(text)  # noqa: S314 - a document with a DTD, and so with entities, was refused
    except ET.ParseError as error:
        line, column = error.position
        report(f"{file} line {line}, column {column + 1}: not XML: {expat.ErrorString(error.code)}")
        return None
    except ValueError as error:  # an encoding declaration that contradicts the text
        report(f"{file}: not XML: {error}")
        return None
    if root.tag != "annotation":
        report(f"{file}: no Pascal VOC file: it begins with <{root.tag}>, expected <annotation>")
        return None
    sides = [_number(root.findtext(f"size/{side}")) for side in ("width", "height")]
    known = [int(side) for side in sides if side is not None and side >= 1]
    one = _Parsed(
        file,
        (root.findtext("filename") or "").strip(),
        (root.findtext("path") or "").strip(),
        (known[0], known[1]) if len(known) == 2 else None,  # some tools write 0 x 0
        [],
        [],
        [],
    )
    for number, item in enumerate(root.iter("object"), start=1):
        name = (item.findtext("name") or "").strip()
        corners = [_number(item.findtext(f"bndbox/{corner}")) for corner in _CORNERS]
        if not name:
            report(f"{file}: object {number} has no name")
        elif any(corner is None for corner in corners):
            found = ", ".join(shown(item.findtext(f"bndbox/{corner}")) for corner in _CORNERS)
            report(f"{file}: object {number} ({name}): bndbox is {found}, expected xmin, ymin, xmax, ymax")
        else:
            one.names.append(name)
            one.boxes.append([float(corner) for corner in corners if corner is not None])
            one.difficult.append((item.findtext("difficult") or "0").strip() in {"1", "true", "True"})
    return one


def _picture(
    one: _Parsed, folder: Path, images: Path | None, index: dict[str, int], report: Report
) -> LabelledPicture | None:
    path = _picture_path(one, folder, images)
    try:
        size = one.size or image_size(path)
    except DataError as error:
        report(str(error))
        return None
    unknown = sorted(set(one.names) - set(index))
    if unknown:
        report(f"{one.file}: class {', '.join(unknown)} is not among the classes {', '.join(index)}")
        return None
    return LabelledPicture(
        path,
        size,
        np.array(one.boxes, np.float32).reshape(-1, 4),
        np.array([index[name] for name in one.names], np.int64),
        np.array(one.difficult, np.bool_),
    )


def _picture_path(one: _Parsed, folder: Path, images: Path | None) -> Path:
    """The picture of a file: by the names in it, else by the file's own name; ``path`` is often of another machine."""
    # people rename pairs of files, so that the name in the file may be another picture's: the own name goes first
    within = one.file.parent.relative_to(folder)
    roots = [images] if images is not None else [one.file.parent, folder / "JPEGImages", folder / "images", folder]
    if images is None and within.parts[:1] == ("Annotations",):
        roots.insert(1, folder / "JPEGImages" / Path(*within.parts[1:]))
    named = PureWindowsPath(one.filename).name if one.filename else ""
    suffixes = [Path(named).suffix] if Path(named).suffix else []
    suffixes += [suffix for low in sorted(PICTURE_SUFFIXES) for suffix in (low, low.upper())]
    names = list(dict.fromkeys([f"{one.file.stem}{suffix}" for suffix in suffixes] + ([named] if named else [])))
    for root in roots:
        for name in names:
            if (root / name).is_file():
                return root / name
    if one.path and Path(one.path).is_absolute() and Path(one.path).is_file():
        return Path(one.path)
    return roots[0] / (named or names[0])


def _listed(folder: Path, split: str, files: Sequence[Path], report: Report) -> set[Path]:
    """The annotation files that a list names: by their place below their folder, or by name where only one has it.

    A line is a name, which may have spaces, in VOC's lists of a class followed by -1 (absent), 0 (difficult) or 1.
    """
    listed = folder / "ImageSets" / "Main" / f"{split}.txt"
    if not listed.is_file():
        known = ", ".join(voc_splits(folder)) or "none"
        raise DataError(f"{folder}: no split {split}; there are: {known}")
    root = _annotations(folder)
    by_place = {file.relative_to(root).with_suffix("").as_posix(): file for file in files}
    several = Counter(file.stem for file in files)
    by_name = {file.stem: file for file in files if several[file.stem] == 1}
    wanted: set[Path] = set()
    for line in _lines(listed):
        flagged = _FLAGGED.fullmatch(line)
        names = [line] if flagged is None else [line, flagged["name"]]
        file = next((file for name in names if (file := by_place.get(name) or by_name.get(name)) is not None), None)
        if file is None:
            why = "several have that name in different folders" if several[names[-1]] > 1 else "there is no annotation"
            report(f"{folder}: the list {split} names {names[-1]}, for which {why}")
        elif flagged is None or flagged["flag"] != "-1" or line in by_place:
            wanted.add(file)
    return wanted


def _is_of_class(listed: Path) -> bool:
    """Whether a list is one of VOC's of a class: ``cat_train``, every line with a flag."""
    if not listed.stem.endswith(tuple(f"_{name}" for name in (*_USUAL, "trainval"))):
        return False
    lines = _lines(listed)
    return bool(lines) and all(_FLAGGED.fullmatch(line) for line in lines)


def _names_of_others(folder: Path, split: str) -> set[str]:
    """The names, without regard to case, that other splits have in their lists."""
    others = [listed for listed in (folder / "ImageSets" / "Main").glob("*.txt") if listed.stem != split]
    return {line.casefold() for listed in others for line in _lines(listed)}


def _lines(listed: Path) -> list[str]:
    return [line.strip() for line in read_annotations(listed).splitlines() if line.strip()]


def _document(dataset: Dataset, picture: LabelledPicture, name: str, placing: Placing) -> str:
    lines = ["<annotation>", "  <folder>JPEGImages</folder>", f"  <filename>{escape(name)}</filename>"]
    if placing is Placing.REFERENCE:
        lines.append(f"  <path>{escape(str(picture.path.absolute()))}</path>")
    width, height = picture.size
    lines.append(f"  <size><width>{width}</width><height>{height}</height><depth>3</depth></size>")
    for box, label, ignore in zip(picture.xyxy.tolist(), picture.label, picture.ignore, strict=True):
        corners = "".join(
            f"<{corner}>{_written(value)}</{corner}>" for corner, value in zip(_CORNERS, box, strict=True)
        )
        lines += [
            "  <object>",
            f"    <name>{escape(dataset.labels[label])}</name>",
            f"    <difficult>{int(ignore)}</difficult>",
            f"    <bndbox>{corners}</bndbox>",
            "  </object>",
        ]
    return "\n".join([*lines, "</annotation>", ""])


def _written(value: float) -> str:
    return f"{value:.3f}".rstrip("0").rstrip(".")


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) and abs(value) < 1e9 else None


def _pass_over(_message: str) -> None:
    """A fault that is reported elsewhere."""
