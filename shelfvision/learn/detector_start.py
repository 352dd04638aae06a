"""The detector that a training begins with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

import shelfvision.weights
from shelfvision.errors import ModelError, TrainingError
from shelfvision.learn.train_settings import ModelSection
from shelfvision.models.checkpoint import load_checkpoint, read_description
from shelfvision.models.detector import Detector, DetectorConfig
from shelfvision.models.yolox_weights import load_yolox_nano

DEFAULT = Path(next(iter(shelfvision.weights.__path__))) / "detector"  # checkpoint of the package's own detector


@dataclass(frozen=True, slots=True)
class Start:
    """A network and what it brings along."""

    model: Detector
    trained: Literal["nothing", "backbone", "everything"]
    notes: tuple[str, ...]  # for the log: what was taken over
    fresh: tuple[str, ...]  # classes whose rows of the class layer begin at random
    provenance: dict[str, Any] | None = None  # of the checkpoint that it starts from


def known_classes(start: str) -> tuple[str, ...]:
    """Class names of the checkpoint that a training starts from; none when it starts from no detector.

    Raises:
        ModelError: no checkpoint there.
        TrainingError: this installation has no default weights.
    """
    if start in {"imagenet", "none"} or Path(start).suffix == ".onnx":
        return ()
    return DetectorConfig.from_json(read_description(_folder(start))["config"]).labels


def make_start(wanted: ModelSection, classes: Sequence[str], *, seed: int, typical: Callable[[int], Tensor]) -> Start:
    """Build the network and fill in the weights that it begins with.

    Args:
        wanted: layout and start.
        classes: to be found.
        seed: of what begins at random.
        typical: gives (n, 3, h, w) pictures like those that will be trained on, float, blue first, 0 to 255.

    Raises:
        ModelError: the weights are missing, damaged or of another layout.
        TrainingError: settings that do not go together.
    """
    torch.manual_seed(seed)
    layout = {
        name: value
        for name in ("backbone", "neck", "head", "activation")
        if (value := getattr(wanted, name)) is not None
    }
    if wanted.start in {"imagenet", "none"} or Path(wanted.start).suffix == ".onnx":
        return _fresh(wanted.start, DetectorConfig(labels=tuple(classes), **layout), typical)
    folder = _folder(wanted.start)
    source = load_checkpoint(folder)
    activation = layout.pop("activation", source.config.activation)
    for name, value in layout.items():
        there: Any = getattr(source.config, name)
        if value != there:
            raise TrainingError(
                f"model.{name}: the start {folder} has {there}, found {value}; leave model.{name} out, or start from "
                "imagenet or none"
            )
    model = Detector(replace(source.config, labels=tuple(classes), activation=activation))
    notes = take_over(model, source)
    if activation != source.config.activation:  # it has no weights; those around it adapt soon to a like one
        notes = (*notes, f"its activation {source.config.activation} becomes {activation}")
    provenance = read_description(folder).get("provenance")
    return Start(
        model,
        "everything",
        (f"starts from {folder.name} with all its weights", *notes),
        tuple(name for name in classes if name not in source.config.labels),
        provenance,
    )


def take_over(model: Detector, source: Detector) -> tuple[str, ...]:
    """Give a detector the weights of one of the same layout; of its classes those that have the same name.

    Returns:
        What was done about the classes, for the log; nothing when they are the same.
    """
    old, new = source.config.labels, model.config.labels
    state, trained = model.state_dict(), source.state_dict()
    pairs = [(new.index(name), old.index(name)) for name in new if name in old]
    for name, tensor in state.items():
        if ".class_layer." not in name:
            tensor.copy_(trained[name])
            continue
        for row, its_row in pairs:
            tensor[row] = trained[name][its_row]
    if old == new:
        return ()
    fresh = [name for name in new if name not in old]
    lost = [name for name in old if name not in new]
    notes = [f"classes kept: {', '.join(name for name in new if name in old) or 'none'}"]
    if fresh:
        notes.append(f"classes new, their rows of the class layer begin at random: {', '.join(fresh)}")
    if lost:
        notes.append(f"classes left out: {', '.join(lost)}")
    return tuple(notes)


def _fresh(start: str, config: DetectorConfig, typical: Callable[[int], Tensor]) -> Start:
    if start == "none":
        return Start(Detector(config), "nothing", (f"{config.backbone} starts at random",), config.labels)
    if start == "imagenet":
        if config.backbone == "csp_nano":
            raise TrainingError(
                "model.start: csp_nano has no ImageNet weights; choose efficientnet_lite0, or the start default or none"
            )
        model = Detector(config, pretrained=True)
        note = f"{config.backbone} starts with ImageNet weights, neck and head at random"
        return Start(model, "backbone", (note,), config.labels)
    model = Detector(config)
    load_yolox_nano(model, Path(start), typical(32))
    return Start(
        model, "everything", (f"starts from {Path(start).name} (COCO), but for the class layer",), config.labels
    )


def _folder(start: str) -> Path:
    if start != "default":
        return Path(start)
    try:
        read_description(DEFAULT)
    except ModelError:
        raise TrainingError(
            "model.start: this installation has no default detector to start from; set it to imagenet, none, or the "
            "folder of a checkpoint"
        ) from None
    return DEFAULT
