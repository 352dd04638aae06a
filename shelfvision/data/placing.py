"""Where a written dataset's pictures are: linked or copied into its folder, or left where they are."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path

from shelfvision.data.images import PICTURE_SUFFIXES, picture_format
from shelfvision.errors import DataError


class Placing(StrEnum):
    """How pictures come into a written dataset."""

    LINK = "link"  # symbolic links
    COPY = "copy"
    REFERENCE = "reference"  # annotations name the pictures where they are


def picture_names(paths: Sequence[Path]) -> list[str]:
    """A file name for each picture, unique even without its ending (``a.jpg`` and ``a.png`` share ``a.txt``).

    The picture's own name where that is enough; else its path below the folder they all share, with ``_`` between.
    Every name has the ending of a picture and none is hidden, so that readers find the pictures again.
    """
    names = [_readable(path, path.name) for path in paths]
    clashing = _clashing(names)
    if not clashing:
        return names
    absolute = [Path(os.path.normpath(path.absolute())) for path in paths]  # without "..", links stay
    shared = Path(os.path.commonpath([path.parent for path in absolute]))
    names = [
        _readable(place, "_".join(place.relative_to(shared).parts))
        if without_ending(name).casefold() in clashing
        else name
        for place, name in zip(absolute, names, strict=True)
    ]
    taken: Counter[str] = Counter(without_ending(name).casefold() for name in names)
    seen: Counter[str] = Counter()
    for index, name in enumerate(names):
        key = without_ending(name).casefold()
        seen[key] += 1
        if taken[key] > 1 and seen[key] > 1:
            number = seen[key]
            base, dot, ending = name.rpartition(".")
            while taken[f"{key}-{number}"]:
                number += 1
            names[index] = f"{base}-{number}{dot}{ending}"
            taken[f"{key}-{number}"] += 1
    return names


def without_ending(name: str) -> str:
    """The part of a picture's name that its annotation file shares; compare it without regard to case."""
    return name.rpartition(".")[0]


def place(sources: Sequence[Path], folder: Path, names: Sequence[str], placing: Placing) -> None:
    """Bring pictures into ``folder`` under ``names``; a file of that name that is there already is replaced.

    Raises:
        DataError: a picture is missing, or the folder cannot be written.
    """
    if placing is Placing.REFERENCE:
        return
    for source, name in zip(sources, names, strict=True):
        target = folder / name
        beside = folder / f".{name}.{os.getpid()}.part"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if target.exists() and target.samefile(source) and not target.is_symlink():
                continue  # converting a dataset into its own folder
            try:
                if placing is Placing.COPY:
                    shutil.copyfile(source, beside)
                else:
                    if not source.is_file():
                        raise FileNotFoundError
                    beside.symlink_to(source.resolve())
                beside.replace(target)
            finally:
                beside.unlink(missing_ok=True)
        except FileNotFoundError:
            raise DataError(f"{source}: no such picture; `shelfvision data check` lists all that are missing") from None
        except OSError as error:
            raise DataError(f"{target}: cannot be written: {error.strerror}") from None


def _readable(path: Path, name: str) -> str:
    """The name as a reader of the written dataset takes it for a picture's: not hidden, with the ending of its kind."""
    name = name.lstrip(".") or "picture"
    if Path(name).suffix.lower() in PICTURE_SUFFIXES:
        return name
    try:
        return f"{name}.{picture_format(path).lower()}"
    except DataError:
        return f"{name}.jpg"  # missing or broken, which is said where it is placed


def _clashing(names: Sequence[str]) -> set[str]:
    return {name for name, count in Counter(without_ending(name).casefold() for name in names).items() if count > 1}
