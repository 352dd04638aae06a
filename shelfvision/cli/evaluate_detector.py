"""``shelfvision evaluate detector``: how good a detector is on labelled pictures."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from shelfvision.cli.detect import parse_tiles
from shelfvision.cli.progress import ProgressLine
from shelfvision.errors import UsageError

if TYPE_CHECKING:
    from shelfvision.core.detections import Detections
    from shelfvision.data.dataset import Dataset
    from shelfvision.edge.detector import OnnxDetector
    from shelfvision.learn.detection_labels import Judged
    from shelfvision.learn.detection_score import CountError, DetectionScore, OperatingPoint

_BATCH = 8  # pictures that go through the network together
_OF_CHECKPOINT = 0.01  # lowest score that is looked at of what is not calibrated yet
_REASONS = {
    "missed": "missed",
    "background": "false: nothing there",
    "class": "false: wrong class",
    "duplicate": "false: found twice",
    "place": "false: badly placed",
}

Found = tuple[Sequence["Detections"], tuple[str, ...], bool]
"""Detections of each picture, class names, and whether these are all that the detector knows."""
Check = Callable[[Sequence[str]], None]
"""Refuses class names that do not fit the data."""


def detector(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="[MODEL] DATA",
            help="MODEL: the folder of a checkpoint or training, an .onnx file, or `default`; not with --detections. "
            "DATA: a labelled dataset, file or folder.",
        ),
    ],
    detections: Annotated[
        Path | None,
        typer.Option(metavar="FILE.json", help="Judge what any system found: `detect` output or COCO results."),
    ] = None,
    data_format: Annotated[
        str | None,
        typer.Option("--format", metavar="FORMAT", help="coco, yolo, voc or sku110k; found out when absent."),
    ] = None,
    images: Annotated[Path | None, typer.Option(metavar="DIR", help="Where the pictures are, if elsewhere.")] = None,
    split: Annotated[str | None, typer.Option(help="Which split of the data, such as val.")] = None,
    labels: Annotated[
        list[str] | None,
        typer.Option(
            metavar="OLD=NEW", help="A class counts as another, OLD= leaves it out, *=NEW takes all others; repeatable."
        ),
    ] = None,
    size: Annotated[int | None, typer.Option(min=32, max=8192, help="Longer side of the input, pixels.")] = None,
    tiles: Annotated[
        str | None,
        typer.Option(help="For an .onnx file: auto as `detect` looks, which is the default, off, or COLUMNSxROWS."),
    ] = None,
    least_score: Annotated[
        float | None,
        typer.Option(
            min=0, max=1, help="Lowest score that is looked at; all that there are when absent, 0.01 of a checkpoint."
        ),
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Score that is acted on; by default the best one for these pictures."),
    ] = None,
    runtime: Annotated[
        Literal["auto", "onnxruntime", "openvino"], typer.Option(help="What runs an .onnx file.")
    ] = "auto",
    report: Annotated[
        Path | None, typer.Option(metavar="OUT.html", help="Write a page with curves and pictures.")
    ] = None,
    worst: Annotated[int, typer.Option(min=0, max=200, help="Pictures drawn in the report, most errors first.")] = 12,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of the table.")] = False,
) -> None:
    """Judge a detector on labelled pictures: COCO averages, counts, calibration, confusion."""
    from shelfvision.core.detections import Detections
    from shelfvision.data.open_dataset import open_dataset
    from shelfvision.data.relabel import parse_mapping
    from shelfvision.edge.detector import open_detector
    from shelfvision.learn.detection_labels import bring_together
    from shelfvision.learn.detection_metrics import judge

    model, data = _operands(words, detections)
    mapping = parse_mapping(word for one in labels or [] for word in one.split(",") if word.strip())
    if report is not None and not report.parent.is_dir():
        raise UsageError(f"--report {report}: there is no folder {report.parent}")
    dataset = open_dataset(Path(data), images=images, format=data_format, split=split)

    def check(names: Sequence[str]) -> None:
        """Classes that do not fit are told before the long work, not after it."""
        bring_together(dataset, [Detections.empty()] * len(dataset), names, mapping)

    if detections is not None:
        least_score = least_score or 0.0
        found, names, complete = _from_file(detections, dataset, least_score)
    elif model != "default" and Path(model).is_dir():
        if tiles is not None:
            raise UsageError(f"--tiles {tiles}: for .onnx files only; a checkpoint looks once, at --size")
        least_score = _OF_CHECKPOINT if least_score is None else least_score
        found, names, complete = _from_checkpoint(Path(model), dataset, size, least_score, check)
    else:
        network = open_detector(model, runtime=runtime, size=size, tiling=parse_tiles(tiles or "auto"))
        least_score = _given_from(network, model, least_score)
        network.least_score = least_score
        found, names, complete = _from_onnx(network, dataset, check)
    judged = bring_together(dataset, found, names, mapping, complete=complete)
    judgement = judge(judged.dataset, judged.found, threshold=threshold)
    title = str(detections or model)
    if report is not None:
        from shelfvision.learn.detection_report import write_report

        write_report(report, judgement, judged, title=title, worst=worst)
    if as_json:
        facts = {"model": title, "data": str(data), "least_score": least_score}
        sides = {"not_judged": judged.not_judged, "left_out": judged.left_out}
        print(json.dumps(facts | judgement.score.to_json() | sides))
        return
    print("\n".join(table(judgement.score, judged)))
    if report is not None:
        print(f"\nreport: {report}")


def table(score: DetectionScore, judged: Judged) -> list[str]:
    """The score for a person, as lines."""
    wide = max([7, *(len(part.name) for part in score.classes)]) + 1
    head = f"{'class':<{wide}} {'boxes':>7} {'mAP50-95':>8} {'mAP50':>6} {'mAP75':>6} {'AR300':>6} {'AR1000':>6}"
    lines = [f"{head} {'best F1':>7} {'at':>5} {'count error':>11}"]
    for part in score.classes:
        best = part.best
        lines.append(
            f"{part.name:<{wide}} {part.boxes:>7} {_share(part.ap50_95):>8} {_share(part.ap50):>6} "
            f"{_share(part.ap75):>6} {_share(part.ar300):>6} {_share(part.ar1000):>6} "
            f"{_share(best.f1 if best else None):>7} {_share(best.threshold if best else None, 2):>5} "
            f"{part.count.mean_absolute:>11.2f}"
        )
    lines.append(
        f"{'all':<{wide}} {score.boxes:>7} {_share(score.map50_95):>8} {_share(score.map50):>6} "
        f"{_share(score.map75):>6} {_share(score.ar300):>6} {_share(score.ar1000):>6} "
        f"{_share(score.operating.f1):>7} {score.operating.threshold:>5.2f} {score.count.mean_absolute:>11.2f}"
    )
    if score.threshold_chosen:
        chosen = "the best one for these pictures" if score.found and score.boxes else "nothing to choose one by"
    else:
        chosen = "given"
    sizes = [f"{name} {_share(part.map50_95)} ({part.boxes} boxes)" for name, part in score.sizes.items() if part.boxes]
    errors = [f"{count} {_REASONS[reason]}" for reason, count in score.errors.items() if count]
    facts = {
        "pictures": f"{score.pictures}, the densest with {score.densest} boxes; no box was cut off",
        "mAP50-95 by size": ", ".join(sizes) or "-",
        "threshold": f"{score.operating.threshold:.3f} ({chosen})",
        "  there": _point(score.operating),
        "  count error": _count(score.count),
        "  errors": "; ".join(errors) or "none",
        "calibration error": f"{_share(score.calibration.error)} (scores from {score.calibration.floor:g})",
    }
    if score.ignored:
        facts["ignore regions"] = f"{score.ignored}; what is found in them does not count"
    if judged.not_judged:
        facts["not judged"] = f"{_counts(judged.not_judged)} (the data does not label them)"
    if judged.left_out:
        facts["left out"] = f"{_counts(judged.left_out)} (as asked)"
    return [*lines, "", *(f"{name:<18} {value}" for name, value in facts.items())]


def _operands(words: Sequence[str], detections: Path | None) -> tuple[str, str]:
    """Model (empty with a detections file) and data."""
    expected = 2 if detections is None else 1
    if len(words) != expected:
        wanted = "MODEL DATA" if detections is None else "DATA alone with --detections"
        raise UsageError(f"evaluate detector: expected {wanted}, found {len(words)} words: {' '.join(words)}")
    return ("" if detections is not None else words[0]), words[-1]


def _from_file(path: Path, dataset: Dataset, least_score: float) -> Found:
    from shelfvision.learn.detections_file import read_detections

    read = read_detections(path, dataset)
    if read.other_pictures:
        typer.echo(f"note: {path} has {read.other_pictures} pictures that are not in {dataset.source}", err=True)
    return [one[one.score >= least_score] for one in read.found], read.labels, read.complete


def _given_from(network: OnnxDetector, model: str, asked: float | None) -> float:
    """The lowest score that a file gives, not below what is asked for."""
    least = network.model.sidecar.thresholds.least
    if asked is not None and asked < least:
        typer.echo(f"note: {model} gives no box below a score of {least:g}", err=True)
    return max(asked or 0.0, least)


def _from_onnx(network: OnnxDetector, dataset: Dataset, check: Check) -> Found:
    from shelfvision.data.images import read_image

    check(network.labels)
    found: list[Detections] = []
    progress = _Progress(len(dataset))
    try:
        for start in range(0, len(dataset), _BATCH):
            some = dataset.pictures[start : start + _BATCH]
            found += network.detect_all([read_image(picture.path) for picture in some])
            progress.tell(len(found))
    finally:
        progress.close()
    return found, network.labels, True


def _from_checkpoint(folder: Path, dataset: Dataset, size: int | None, least_score: float, check: Check) -> Found:
    from shelfvision.learn.export import find_checkpoint, trained_size
    from shelfvision.learn.predict import predict
    from shelfvision.models.checkpoint import load_checkpoint

    folder = find_checkpoint(folder)
    network = load_checkpoint(folder)
    check(network.config.labels)
    progress = _Progress(len(dataset))
    try:
        found = predict(
            network,
            dataset,
            size=size or trained_size(folder),
            batch=_BATCH,
            least_score=least_score,
            on_progress=progress.tell,
        )
    finally:
        progress.close()
    return found, network.config.labels, True


class _Progress:
    """How many pictures are done."""

    def __init__(self, pictures: int) -> None:
        self._pictures = pictures
        self._line = ProgressLine("detecting")

    def tell(self, done: int) -> None:
        self._line.update(done / max(self._pictures, 1), f"{done} of {self._pictures} pictures")

    def close(self) -> None:
        self._line.close()


def _point(point: OperatingPoint) -> str:
    return (
        f"precision {_share(point.precision)}, recall {_share(point.recall)}: "
        f"{point.right} right, {point.false} false, {point.missed} missed"
    )


def _count(count: CountError) -> str:
    relative = "" if count.mean_relative is None else f" ({count.mean_relative:.1%} of what is there)"
    return f"{count.mean_absolute:.2f} boxes a picture{relative}, on average {count.bias:+.2f}"


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items())


def _share(value: float | None, digits: int = 3) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
