"""A checkpoint becomes a model that devices run: one ONNX file and its sidecar, refused when it lost anything."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from pydantic import JsonValue

from shelfvision import __version__
from shelfvision.core.detections import Detections, FloatArray
from shelfvision.core.sidecar import InputSpec, Sidecar
from shelfvision.data.dataset import Dataset
from shelfvision.data.images import Image, read_image
from shelfvision.errors import ModelError, UsageError
from shelfvision.learn.accuracy_gate import (
    Accuracy,
    check_cap,
    compare,
    find_with_graph,
    find_with_torch,
    inputs,
    judge,
)
from shelfvision.learn.export_settings import MULTIPLE, USUAL_SIZE, ExportSettings
from shelfvision.learn.int8 import quantise
from shelfvision.learn.onnx_graph import network_graph, with_suppression
from shelfvision.learn.parity import Parity, check_parity, sample_pictures
from shelfvision.learn.score_calibration import RAW_FLOOR, ScoreScaling, fit_scores, fold_scores
from shelfvision.models.checkpoint import load_checkpoint, read_description
from shelfvision.models.detector import Detector

PARITY_PICTURES = 50
CALIBRATION_PICTURES = 64

OnProgress = Callable[[float | None, str], None]


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written and how it compares."""

    model: Path
    sidecar: Path
    bytes: int
    parity: Parity
    accuracy: Accuracy | None
    scaling: ScoreScaling | None  # None: scores are as the network was trained to give them


def export_detector(
    checkpoint: Path,
    out: Path,
    settings: ExportSettings,
    *,
    data: Dataset | None = None,
    command: str = "",
    name: str = "detector",
    on_progress: OnProgress = lambda _, __: None,
) -> Exported:
    """Write ``out/NAME.onnx`` and ``out/NAME.json``, both or neither.

    Args:
        checkpoint: folder of a trained detector.
        out: folder; made when absent.
        settings: see ``ExportSettings``.
        data: labelled pictures for the accuracy gate, to calibrate scores on and to measure the ranges of eight bits.
        command: how this was called, for the provenance.
        name: of the files.
        on_progress: told how far it is.

    Raises:
        ModelError: no such checkpoint, torch and ONNX disagree, or accuracy falls by more than the bound.
        UsageError: eight bits without data, or a box cap below the data's densest picture.
        DataError: a picture cannot be read.
    """
    if settings.int8 and data is None:
        raise UsageError("--int8 needs labelled pictures to calibrate and measure on: give --data")
    if data is not None:
        check_cap(data, settings.most)
    on_progress(None, "loading the checkpoint")
    about = read_description(checkpoint)
    detector = load_checkpoint(checkpoint)
    labels = detector.config.labels
    settings.check_classes(labels)
    before: list[Detections] = []
    scaling = None
    if data is not None:
        before, scaling = _look_with_torch(detector, data, settings, on_progress)
    chosen = settings.suppression(labels, calibrated=scaling is not None)
    on_progress(None, "tracing the network")
    network = network_graph(detector)
    whole = with_suppression(network, chosen)
    on_progress(None, "comparing with torch")
    pictures = list(sample_pictures(PARITY_PICTURES, pictures=_some_pictures(data)))
    parity = check_parity(detector, network.SerializeToString(), whole.SerializeToString(), pictures, chosen)
    if settings.int8 and data is not None:
        on_progress(None, "measuring ranges for eight bits")
        whole = with_suppression(quantise(network, _calibration(data, settings.size)), chosen)
    file = whole.SerializeToString()
    accuracy = None
    if data is not None:
        after = find_with_graph(file, data, size=settings.size, on_picture=_count(data, "exported", on_progress))
        accuracy = compare(data, labels, before, after)
        judge(accuracy, settings.most_drop)
    provenance: dict[str, JsonValue] = {
        "exported": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": command,
        "program": f"shelfvision {__version__}",
        "checkpoint": {"config": about["config"], "provenance": about.get("provenance", {})},
        "parity": dict(parity.to_json()),
        "accuracy": None if accuracy is None else _accuracy_json(accuracy, data),
        "calibration": None if scaling is None else scaling.to_json(labels),
    }
    sidecar = Sidecar(
        sha256=hashlib.sha256(file).hexdigest(),
        bytes=len(file),
        opset=_opset(whole),
        precision="int8" if settings.int8 else "float32",
        input=InputSpec(size=settings.size, multiple=MULTIPLE),
        labels=list(labels),
        thresholds=settings.thresholds(calibrated=scaling is not None),
        most=settings.most,
        provenance=provenance,
    )
    model_path, sidecar_path = out / f"{name}.onnx", out / f"{name}.json"
    _write({model_path: file, sidecar_path: sidecar.to_json().encode()})
    return Exported(model_path, sidecar_path, len(file), parity, accuracy, scaling)


def find_checkpoint(folder: Path) -> Path:
    """The checkpoint itself, or the best one of a training's folder."""
    best = folder / "best"
    return best if best.is_dir() and not (folder / "model.json").is_file() else folder


def trained_size(checkpoint: Path) -> int:
    """Longer side of the input that a checkpoint was trained at, by its provenance; 640 where that does not say.

    Raises:
        ModelError: no such checkpoint.
    """
    provenance = read_description(checkpoint).get("provenance")
    for place in (provenance, provenance.get("settings") if isinstance(provenance, dict) else None):
        size = place.get("size") if isinstance(place, dict) else None
        if isinstance(size, int) and size >= MULTIPLE and size % MULTIPLE == 0:
            return size
    return USUAL_SIZE


def _look_with_torch(
    detector: Detector, data: Dataset, settings: ExportSettings, on_progress: OnProgress
) -> tuple[list[Detections], ScoreScaling | None]:
    """What torch finds in every picture, and how its scores were calibrated by that, which ``detector`` then is.

    Calibrated scores are cut elsewhere than the network's own. What torch finds is the more accurate of both: boxes
    that calibration cuts off count as lost, and boxes that it gains do not hide what the file loses.
    """
    labels = detector.config.labels
    chosen = settings.suppression(labels, calibrated=False)
    low = replace(chosen, least_score=min(chosen.least_score, RAW_FLOOR)) if settings.calibrate else chosen
    told = _count(data, "by torch", on_progress)
    found = find_with_torch(detector, data, size=settings.size, chosen=low, on_picture=told)
    scaling = fit_scores(data, found, labels) if settings.calibrate else None
    own = [one[one.score >= chosen.least_score] for one in found]
    if scaling is None:
        return own, None
    fold_scores(detector, scaling)
    chosen = settings.suppression(labels, calibrated=True)
    told = _count(data, "by torch, calibrated", on_progress)
    calibrated = find_with_torch(detector, data, size=settings.size, chosen=chosen, on_picture=told)
    gained = compare(data, labels, own, calibrated).drop < 0
    return calibrated if gained else own, scaling


def _count(data: Dataset, by: str, on_progress: OnProgress) -> Callable[[int], None]:
    return lambda done: on_progress(done / len(data), f"{done} of {len(data)} pictures {by}")


def _some_pictures(data: Dataset | None) -> list[Image]:
    """Up to fifty pictures, evenly over the dataset."""
    if data is None or not len(data):
        return []
    chosen = np.unique(np.linspace(0, len(data) - 1, PARITY_PICTURES).astype(int))
    return [read_image(data.pictures[index].path) for index in chosen]


def _calibration(data: Dataset, size: int) -> Iterator[FloatArray]:
    chosen = np.unique(np.linspace(0, len(data) - 1, CALIBRATION_PICTURES).astype(int))
    return (image for image, _ in inputs(data.take(chosen.tolist()), size))


def _accuracy_json(accuracy: Accuracy, data: Dataset | None) -> dict[str, JsonValue]:
    return {
        "data": "" if data is None else data.source.name,
        "pictures": accuracy.pictures,
        "map50_95_torch": round(accuracy.torch, 5),
        "map50_95_onnx": round(accuracy.onnx, 5),
    }


def _opset(model: onnx.ModelProto) -> int:
    return next(int(each.version) for each in model.opset_import if each.domain in {"", "ai.onnx"})


def _write(files: dict[Path, bytes]) -> None:
    """Write all files beside their names, then move them there, the sidecar last: a half-done pair is refused by hash.

    Raises:
        ModelError: the folder cannot be made or written to.
    """
    parts: list[tuple[Path, Path]] = []
    folder = next(iter(files)).parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, data in files.items():
            with tempfile.NamedTemporaryFile(dir=folder, prefix=f".{path.name}-", delete=False) as part:
                parts.append((Path(part.name), path))
                part.write(data)
                part.flush()
                os.fsync(part.fileno())
            Path(part.name).chmod(0o644)
        for part_path, path in parts:
            os.replace(part_path, path)  # noqa: PTH105 - the rule for files that must be whole
    except OSError as error:
        fault: Any = error.strerror or error
        raise ModelError(
            f"{folder}: the model cannot be written ({fault}); make room or choose another --out"
        ) from None
    finally:
        for part_path, _ in parts:
            with suppress(OSError):
                part_path.unlink(missing_ok=True)
