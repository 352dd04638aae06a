"""``shelfvision data``: look at datasets before training on them, and bring them into another format."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from enum import StrEnum
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shelfvision.errors import DataError, UsageError

if TYPE_CHECKING:
    from shelfvision.data.check import Finding, Part
    from shelfvision.data.dataset import Dataset
    from shelfvision.data.statistics import Spread, Statistics

_EXAMPLES = 5  # findings of a kind that are printed unless all are asked for


class Format(StrEnum):
    """Formats of datasets."""

    COCO = "coco"
    YOLO = "yolo"
    VOC = "voc"
    SKU110K = "sku110k"


_Paths = Annotated[list[Path], typer.Argument(help="COCO .json, YOLO data.yaml, SKU-110K .csv, or a dataset's folder.")]
_Images = Annotated[Path | None, typer.Option(help="Folder of the pictures, if not in the format's own place.")]
_Format = Annotated[Format | None, typer.Option("--format", help="Format; found out when absent.")]
_Split = Annotated[str | None, typer.Option(help="Only this split, such as train; all when absent.")]
_Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


def check(
    paths: _Paths,
    images: _Images = None,
    format_name: _Format = None,
    split: _Split = None,
    least_side: Annotated[float, typer.Option(help="Boxes with a side of fewer pixels are tiny.", min=0)] = 4.0,
    sheet: Annotated[Path | None, typer.Option(help="Also draw labelled samples into this .jpg or .png.")] = None,
    samples: Annotated[int, typer.Option(help="Pictures on the sheet.", min=1, max=200)] = 24,
    workers: Annotated[int, typer.Option(help="Threads that decode pictures.", min=1)] = 2,
    show_all: Annotated[bool, typer.Option("--all", help="Print every finding, not five of a kind.")] = False,
    as_json: _Json = False,
) -> int:
    """Find what would spoil training: broken files, wrong boxes, leaks between splits; exit code 1 if there is any.

    Splits of one dataset, and several datasets given together, are compared: same classes, no picture in two of them.
    """
    from shelfvision.cli.progress import ProgressLine
    from shelfvision.data.check import Kind, check_parts
    from shelfvision.data.sheet import labelled_sheet, write_picture

    findings: list[Finding] = []
    parts, failed = _read_all(paths, images, format_name, split, findings)
    progress = ProgressLine("data check")
    try:
        checked = check_parts(
            parts,
            least_side=least_side,
            workers=workers,
            on_progress=lambda done, all_of: progress.update(done / all_of, f"{done} of {all_of} pictures"),
        )
        findings += checked
    finally:
        progress.close()
    if failed and not parts and len(findings) == 1:
        raise DataError(findings[0].message)
    if sheet is not None:
        write_picture(sheet, labelled_sheet(_together(parts), count=samples))
    findings.sort(key=lambda one: (not one.fault, list(Kind).index(one.kind)))
    faults = sum(one.fault for one in findings)
    if as_json:
        document = {
            "parts": [_summary(part) for part in parts],
            "faults": faults,
            "notes": len(findings) - faults,
            "findings": [
                {"kind": one.kind, "fault": one.fault, "part": one.part, "message": one.message} for one in findings
            ],
        }
        print(json.dumps(document, indent=2))
    else:
        _print_check(parts, findings, show_all=show_all)
    return 1 if faults else 0


def stats(
    paths: _Paths,
    images: _Images = None,
    format_name: _Format = None,
    split: _Split = None,
    as_json: _Json = False,
) -> int:
    """Pictures, boxes, boxes a picture, sizes, classes and aspect ratios of datasets and their splits."""
    from shelfvision.data.statistics import statistics

    parts, _ = _read_all(paths, images, format_name, split, None)
    figures = {part.name: statistics(part.dataset) for part in parts}
    if as_json:
        print(json.dumps({name: one.to_json() for name, one in figures.items()}, indent=2))
        return 0
    for number, (name, one) in enumerate(figures.items()):
        print("" if number == 0 else "\n", end="")
        _print_statistics(name, one)
    return 0


def convert(
    path: Annotated[Path, typer.Argument(help="COCO .json, YOLO data.yaml, SKU-110K .csv, or a dataset's folder.")],
    to: Annotated[Format, typer.Option(help="Format to write.")],
    out: Annotated[Path, typer.Option(help="Folder to write into; must be empty or not there.")],
    images: _Images = None,
    format_name: _Format = None,
    split: _Split = None,
    labels: Annotated[
        list[str] | None,
        typer.Option(
            help="OLD=NEW renames or merges classes, OLD= leaves its boxes out, *=NEW takes all others; repeatable."
        ),
    ] = None,
    link: Annotated[bool, typer.Option("--link", help="Link the pictures (the default).")] = False,
    copy: Annotated[bool, typer.Option("--copy", help="Copy the pictures.")] = False,
    reference: Annotated[
        bool, typer.Option("--reference", help="Name the pictures where they are; not for YOLO.")
    ] = False,
    no_broken: Annotated[
        bool,
        typer.Option(
            "--without-broken", help="Leave out pictures that cannot be read and empty boxes; cut boxes at the border."
        ),
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace an earlier conversion in the folder.")] = False,
    as_json: _Json = False,
) -> int:
    """Write a dataset with all its splits in another format; says what that format cannot hold."""
    from shelfvision.data.clean import without_broken
    from shelfvision.data.convert import convert as convert_dataset
    from shelfvision.data.placing import Placing
    from shelfvision.data.relabel import parse_mapping

    if link + copy + reference > 1:
        raise UsageError("--link, --copy and --reference exclude each other; give one")
    placing = Placing.COPY if copy else Placing.REFERENCE if reference else Placing.LINK
    mapping = parse_mapping(labels or [])
    findings: list[Finding] = []
    splits = _read_splits(path, images, format_name, split, findings if no_broken else None)
    left_out = [f"left out: {one.message}" for one in findings]
    if no_broken:
        for name, dataset in splits.items():
            splits[name], notes = without_broken(dataset)
            left_out += notes
    done = convert_dataset(
        splits,
        out,
        to=to.value,
        placing=placing,
        mapping=mapping,
        force=force,
    )
    if as_json:
        document = {
            "folder": str(done.folder),
            "format": to.value,
            "classes": list(done.labels),
            "pictures": done.pictures,
            "boxes": done.boxes,
            "notes": [*left_out, *done.notes],
        }
        print(json.dumps(document, indent=2))
        return 0
    for name, pictures in done.pictures.items():
        print(f"{out}{f' {name}' if name else ''}: {pictures} pictures, {done.boxes[name]} boxes as {to.value}")
    print(f"classes: {', '.join(done.labels)}")
    for note in (*left_out, *done.notes):
        print(f"note: {note}")
    return 0


def _read_all(
    paths: Sequence[Path],
    images: Path | None,
    format_name: Format | None,
    split: str | None,
    findings: list[Finding] | None,
) -> tuple[list[Part], bool]:
    """Every split of every path under a name of its own, and whether something could not be read at all."""
    from shelfvision.data.check import Finding, Kind, Part

    parts: list[Part] = []
    failed = False
    for path in paths:
        try:
            read = _read_splits(path, images, format_name, split, findings)
        except DataError as error:
            if findings is None:
                raise
            findings.append(Finding(Kind.ANNOTATION, str(path), str(error)))
            failed = True
            continue
        for name, dataset in read.items():
            words = [str(path)] if len(paths) > 1 or name is None else []
            parts.append(Part(" ".join([*words, name or ""]).strip(), dataset))
    return parts, failed


def _read_splits(
    path: Path,
    images: Path | None,
    format_name: Format | None,
    split: str | None,
    findings: list[Finding] | None,
) -> dict[str | None, Dataset]:
    """The asked split, or all; faults of the annotations go into ``findings``, without it the first is an error."""
    from shelfvision.data.check import Finding, Kind
    from shelfvision.data.dataset import refuse
    from shelfvision.data.open_dataset import dataset_splits, open_dataset

    asked = None if format_name is None else format_name.value
    names: Sequence[str | None] = [split] if split else (dataset_splits(path, format=asked) or [None])
    read: dict[str | None, Dataset] = {}
    for name in names:

        def report(message: str, name: str | None = name) -> None:
            assert findings is not None
            findings.append(Finding(Kind.ANNOTATION, name or str(path), message))

        read[name] = open_dataset(
            path, images=images, format=asked, split=name, report=refuse if findings is None else report
        )
    if images is not None:
        _check_divided(images, read)
    return read


def _check_divided(images: Path, splits: dict[str | None, Dataset]) -> None:
    """Raises DataError: the given folder of pictures made splits that are one and the same."""
    named = [(name, {picture.path for picture in dataset}) for name, dataset in splits.items()]
    for (one, first), (two, second) in combinations(named, 2):
        if first and first == second:
            raise DataError(
                f"{images}: gives {one} and {two} the same pictures; name a folder with one for each, or one --split"
            )


def _together(parts: Sequence[Part]) -> Dataset:
    """All pictures under the classes of all of them, for the sheet."""
    from shelfvision.data.dataset import Dataset
    from shelfvision.data.relabel import align_labels, all_labels

    labels = all_labels(part.dataset for part in parts)
    pictures = tuple(picture for part in parts for picture in align_labels(part.dataset, labels))
    return Dataset(labels, pictures)


def _summary(part: Part) -> dict[str, Any]:
    dataset = part.dataset
    return {
        "name": part.name,
        "source": str(dataset.source),
        "pictures": len(dataset),
        "boxes": sum(int((~picture.ignore).sum()) for picture in dataset),
        "ignore_regions": sum(int(picture.ignore.sum()) for picture in dataset),
        "classes": list(dataset.labels),
    }


def _print_check(parts: Sequence[Part], findings: Sequence[Finding], *, show_all: bool) -> None:
    for part in parts:
        summary = _summary(part)
        regions = f", {summary['ignore_regions']} ignore regions" if summary["ignore_regions"] else ""
        classes = ", ".join(summary["classes"][:12]) + (", ..." if len(summary["classes"]) > 12 else "")
        print(f"{part.name}: {summary['pictures']} pictures, {summary['boxes']} boxes{regions}; classes: {classes}")
    counts = Counter((one.kind, one.fault) for one in findings)
    for (kind, fault), count in counts.items():
        print(f"{'fault' if fault else 'note'}: {kind.value}: {count}")
        listed = [one for one in findings if (one.kind, one.fault) == (kind, fault)]
        for one in listed if show_all else listed[:_EXAMPLES]:
            print(f"  {one.message}")
        if not show_all and count > _EXAMPLES:
            print(f"  and {count - _EXAMPLES} more (--all prints them)")
    faults = sum(one.fault for one in findings)
    print(f"{faults or 'no'} fault{'' if faults == 1 else 's'}, {len(findings) - faults} notes")


def _print_statistics(name: str, one: Statistics) -> None:
    print(f"{name}: {one.pictures} pictures ({one.without_boxes} without boxes), {one.boxes} boxes", end="")
    print(f", {one.ignore_regions} ignore regions" if one.ignore_regions else "")
    print(f"  picture sizes    {', '.join(f'{size} ({count})' for size, count in one.picture_sizes.items())}")
    print("                        least     5 %    25 %  median    75 %    95 %    most")
    _print_spread("boxes a picture", one.boxes_a_picture)
    _print_spread("box side, px", one.box_side)
    _print_spread("at 640 px input", one.box_side_at_640)
    _print_spread("width / height", one.aspect)
    print(f"  densest picture  {one.densest}")
    print(
        f"  box areas        {one.small} small (below 32 x 32), {one.medium} medium, {one.large} large (over 96 x 96)"
    )
    width = max((len(label) for label in one.classes), default=0)
    for label, count in sorted(one.classes.items(), key=lambda item: -item[1]):
        print(f"  {label:<{width}}  {count:>7}  {count / max(one.boxes, 1):6.1%}")


def _print_spread(words: str, spread: Spread) -> None:
    values = (spread.least, spread.p5, spread.p25, spread.median, spread.p75, spread.p95, spread.most)
    print(
        f"  {words:<16} "
        + "".join(f"{value:8.1f}" if words != "width / height" else f"{value:8.2f}" for value in values)
    )
