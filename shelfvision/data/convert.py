"""A dataset of one format and its splits written in another, whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from shelfvision.data.coco import write_coco
from shelfvision.data.dataset import Dataset
from shelfvision.data.placing import Placing
from shelfvision.data.relabel import align_labels, all_labels, relabel
from shelfvision.data.sku110k import write_sku110k
from shelfvision.data.text_file import read_json, write_whole
from shelfvision.data.voc import write_voc
from shelfvision.data.yolo import write_yolo
from shelfvision.errors import DataError

RECORD = "converted.json"  # in the written folder: what it was made from; marks it as ours to overwrite
_WRITERS: dict[str, Callable[..., tuple[str, ...]]] = {
    "coco": write_coco,
    "yolo": write_yolo,
    "voc": write_voc,
    "sku110k": write_sku110k,
}


@dataclass(frozen=True, slots=True)
class Converted:
    """What was written."""

    folder: Path
    labels: tuple[str, ...]
    pictures: dict[str, int]  # a split; "" when there was none
    boxes: dict[str, int]
    notes: tuple[str, ...] = field(default=())  # what the format could not hold


def convert(
    splits: Mapping[str | None, Dataset],
    folder: Path,
    *,
    to: str,
    placing: Placing = Placing.LINK,
    mapping: Mapping[str, str] | None = None,
    force: bool = False,
) -> Converted:
    """Write splits of one dataset as ``to``, with the same classes in the same order in all of them.

    Everything is written beside ``folder`` first and moved there at the end.

    Args:
        splits: name of the split, None for a dataset without, to its pictures.
        folder: where to; must be empty or not there.
        to: coco, yolo, voc or sku110k.
        placing: link or copy the pictures, or leave them where they are.
        mapping: classes to rename, merge or leave out, as ``relabel`` takes it.
        force: replace what an earlier conversion wrote into ``folder``; other files are left alone, and pictures that
            this conversion needs are not removed.

    Raises:
        DataError: an unknown format or class, something in the way, a missing picture, a full disk.
    """
    if to not in _WRITERS:
        raise DataError(f"format {to!r} is unknown; there are: {', '.join(_WRITERS)}")
    names = {name: _split_name(name, to) for name in splits}
    if len(set(names.values())) < len(names):
        raise DataError(f"the splits {', '.join(map(str, names))} would become one; convert them one by one")
    _check_free(folder, force=force)
    earlier = _earlier_entries(folder)
    _check_kept(folder, earlier, splits)
    renamed = {name: relabel(dataset, _known(mapping or {}, dataset, splits)) for name, dataset in splits.items()}
    labels = all_labels(renamed.values())
    aligned = {name: align_labels(dataset, labels) for name, dataset in renamed.items()}
    notes: list[str] = []
    beside = folder.parent / f".{folder.name}.{os.getpid()}.part"
    try:
        for name, dataset in aligned.items():
            said = _WRITERS[to](dataset, beside, split=names[name], placing=placing)
            notes += [f"{name}: {note}" if name else note for note in said]
        record = {
            "written_by": "shelfvision data convert",
            "format": to,
            "sources": {name or "": str(dataset.source.absolute()) for name, dataset in splits.items()},
            "mapping": dict(mapping or {}),
            "classes": list(labels),
            "entries": sorted(entry.name for entry in beside.iterdir()),
        }
        write_whole(beside / RECORD, json.dumps(record, indent=2) + "\n")
        _move(beside, folder, earlier)
    except OSError as error:
        raise DataError(f"{folder}: cannot be written: {error.strerror}") from None
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return Converted(
        folder,
        labels,
        {name or "": len(dataset) for name, dataset in aligned.items()},
        {name or "": sum(int((~picture.ignore).sum()) for picture in dataset) for name, dataset in aligned.items()},
        tuple(notes),
    )


def _known(mapping: Mapping[str, str], dataset: Dataset, splits: Mapping[str | None, Dataset]) -> dict[str, str]:
    """The part of a mapping that concerns this split; what concerns none of them stays in, to be refused."""
    everywhere = all_labels(splits.values())
    return {old: new for old, new in mapping.items() if old in dataset.labels or old not in everywhere}


def _split_name(name: str | None, to: str) -> str | None:
    if name is None or to != "yolo":
        return name
    for known, usual in (("train", "train"), ("val", "val"), ("test", "test")):  # train2017, valid, testing
        if name.startswith(known):
            return usual
    raise DataError(f"a YOLO dataset has the splits train, val and test, not {name}; convert it with --split {name}")


def _check_free(folder: Path, *, force: bool) -> None:
    if folder.exists() and not folder.is_dir():
        raise DataError(f"{folder}: is there and no folder")
    if folder.is_dir() and any(folder.iterdir()) and not force:
        raise DataError(f"{folder}: is not empty; choose another folder, or --force to replace an earlier conversion")


def _earlier_entries(folder: Path) -> set[str]:
    """What an earlier conversion wrote into ``folder``, with its record."""
    if not (folder / RECORD).is_file():
        return set()
    record = read_json(folder / RECORD)
    if not isinstance(record, dict) or not isinstance(record.get("entries"), list) or "written_by" not in record:
        return set()
    names = {name for name in record["entries"] if isinstance(name, str) and name == Path(name).name}
    return {RECORD, *names} - {".", ".."}


def _check_kept(folder: Path, earlier: set[str], splits: Mapping[str | None, Dataset]) -> None:
    """Raises DataError: pictures to convert lie in what would be replaced."""
    replaced = [(folder / name).resolve() for name in earlier]
    for dataset in splits.values():
        for picture in dataset:
            if not {*picture.path.resolve().parents}.isdisjoint(replaced):
                raise DataError(f"{folder}: holds {picture.path}, which is to be converted; choose another folder")


def _move(made: Path, folder: Path, earlier: set[str]) -> None:
    """Bring the written entries into ``folder``, in place of those of an earlier conversion, or change nothing."""
    folder.mkdir(parents=True, exist_ok=True)
    entries = sorted(made.iterdir())
    foreign = [entry.name for entry in entries if os.path.lexists(folder / entry.name) and entry.name not in earlier]
    if foreign:
        raise DataError(
            f"{folder}: {', '.join(foreign)} there was not written by a conversion and is not replaced; "
            "choose another folder"
        )
    old = made.with_suffix(".old")
    old.mkdir()
    aside = [name for name in sorted(earlier) if os.path.lexists(folder / name)]
    moved: list[str] = []
    try:
        for name in aside:
            (folder / name).rename(old / name)
            moved.append(name)
        for entry in entries:
            entry.rename(folder / entry.name)
    except OSError:
        for entry in entries:
            if not entry.exists():
                (folder / entry.name).rename(entry)
        for name in moved:
            (old / name).rename(folder / name)
        raise
    finally:
        shutil.rmtree(old, ignore_errors=True)
