"""What `shelfvision train detector` can be told: a YAML file and single values on top of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, ValidationError, field_validator, model_validator

from shelfvision.config import Section
from shelfvision.core.faults import fault_lines, shown
from shelfvision.data.augment_settings import AugmentSettings
from shelfvision.errors import ConfigError
from shelfvision.learn.loop_settings import LoopSettings
from shelfvision.site_file import fill_variables
from shelfvision.yaml_file import read_yaml

MULTIPLE = 32  # the network's coarsest stride
Side = Annotated[int, Field(ge=64, le=4096, multiple_of=MULTIPLE, description="pixels, a multiple of 32")]
_STARTS = ("imagenet", "none", "default")


class PictureSource(Section):
    """One labelled dataset."""

    path: Path = Field(description="file or folder of the dataset; relative to this file")
    images: Path | None = Field(default=None, description="folder of its pictures, if they are elsewhere")
    format: Literal["coco", "yolo", "voc", "sku110k"] | None = Field(
        default=None, description="format of its labels; found out when absent"
    )
    split: str | None = Field(default=None, description="such as train or val, where it has several")
    labels: dict[str, str | None] = Field(
        default_factory=dict,
        description="new name of each class, such as {cola: product, '*': null}; null leaves its boxes out",
    )


class TrainingSource(PictureSource):
    """One labelled dataset to train on."""

    repeat: float = Field(
        default=1.0, gt=0, le=10_000, allow_inf_nan=False, description="how often each picture is seen in an epoch"
    )


class DataSection(Section):
    """What to train on and what to judge by."""

    train: list[TrainingSource] = Field(min_length=1, description="datasets to train on")
    val: list[PictureSource] = Field(default_factory=list, description="datasets to judge by")
    hold_out: int | None = Field(
        default=None, ge=2, le=1000, description="instead of val: each n-th training picture of each class, by name"
    )
    pictures_per_epoch: int | None = Field(
        default=None,
        ge=1,
        le=10_000_000,
        description="pictures an epoch; of few, each is seen several times, of many, others every epoch",
    )

    @model_validator(mode="after")
    def _one_way(self) -> DataSection:
        if self.val and self.hold_out is not None:
            raise ValueError("give val or hold_out, not both")
        return self


class ModelSection(Section):
    """Which network, and what it begins with."""

    backbone: str | None = Field(
        default=None,
        description="efficientnet_lite0, mobilenetv4_conv_small, csp_nano, timm:NAME or torchvision:NAME; "
        "that of the start when absent",
    )
    start: str = Field(
        default="default",
        min_length=1,
        description="default (the weights of this package), imagenet (backbone only), none, the folder of a "
        "checkpoint, or a published yolox_nano.onnx",
    )
    neck: tuple[int, int, int] | None = Field(
        default=None, description="channels at strides 8, 16, 32; that of the start when absent"
    )
    head: int | None = Field(
        default=None, ge=8, le=1024, description="channels of the head; that of the start if absent"
    )
    activation: str | None = Field(
        default=None,
        description="silu, hardswish (nearly silu, quicker at the edge), relu or relu6; that of the start when absent",
    )
    freeze: int | Literal["auto"] = Field(
        default="auto",
        description="early stages of the backbone that are not trained; auto: half of them for fewer than 200 pictures",
    )
    statistics: Literal["auto", "free", "frozen"] = Field(
        default="auto",
        description="means and variances of normalisation: free follow the pictures, frozen stay as they came; auto: "
        "frozen for fewer than 200 pictures when everything comes trained",
    )

    start_share: float | Literal["auto"] = Field(
        default="auto",
        description="share of the start's weights in those that are judged and saved, 0 to 1, so that few pictures do "
        "not unlearn what many have taught; auto: 0.5 for fewer than 200 pictures when everything comes trained and no "
        "class is new, else 0",
    )

    @field_validator("start_share")
    @classmethod
    def _a_share(cls, value: float | Literal["auto"]) -> float | Literal["auto"]:
        if isinstance(value, float) and not 0 <= value < 1:
            raise ValueError("expected auto or a number from 0 on that is less than 1")
        return value

    @field_validator("freeze")
    @classmethod
    def _not_negative(cls, value: int | Literal["auto"]) -> int | Literal["auto"]:
        if isinstance(value, int) and value < 0:
            raise ValueError("expected auto or a number of stages from 0 on")
        return value


class DetectorSettings(LoopSettings):
    """Everything about one training of a detector."""

    data: DataSection
    labels: list[str] | None = Field(
        default=None, min_length=1, description="class names in the network's order; those of the data when absent"
    )
    model: ModelSection = ModelSection()
    size: Side = Field(default=640, description="side of the square input in pixels, a multiple of 32")
    multi_scale: list[Side] = Field(
        default_factory=list, max_length=64, description="sides of which each training batch has one, instead of size"
    )
    augment: AugmentSettings = Field(default_factory=AugmentSettings, description="how strongly pictures are changed")
    settle: int = Field(
        default=10,
        ge=0,
        description="last epochs without mosaic and pasting, so that it ends on pictures as they are; a fifth at most",
    )

    @field_validator("labels")
    @classmethod
    def _different(cls, value: list[str] | None) -> list[str] | None:
        twice = sorted({name for name in value or [] if (value or []).count(name) > 1})
        if twice:
            raise ValueError(f"{twice[0]!r} stands there twice; keep one")
        return value


def load_settings(path: Path, changes: Sequence[str] = ()) -> DetectorSettings:
    """The settings of a YAML file with single values put in their place.

    ``${NAME}`` and ``${NAME:-default}`` stand for environment variables. Relative paths of data and start are taken
    from the file's folder, those in ``changes`` from the working folder.

    Args:
        path: the file.
        changes: ``key.path=value`` each, the value in YAML; list items by number, such as ``data.train.0.path=stills``.

    Raises:
        ConfigError: one line a fault: where it stands, what was expected and found.
    """
    raw = read_yaml(path)
    if not isinstance(raw, dict):
        raise ConfigError(f"{path}: expected a mapping with data, model, epochs and so on, found {shown(raw)}")
    faults: list[str] = []
    raw = fill_variables(raw, "", {}, faults)
    _resolve_paths(raw, path.resolve().parent)
    faults = [f"{path}: {fault}" for fault in faults]
    changed: dict[str, str] = {}
    for change in changes:
        try:
            changed[_apply(raw, change)] = change
        except ValueError as error:
            faults.append(f"--set {change}: {error}")
    try:
        settings = DetectorSettings.model_validate(raw)
    except ValidationError as error:
        faults += [f"{_origin(line, changed, path)}: {line}" for line in fault_lines(error, DetectorSettings)]
        raise ConfigError("\n".join(faults)) from None
    if faults:
        raise ConfigError("\n".join(faults))
    return settings


def shaping_values(settings: DetectorSettings) -> dict[str, Any]:
    """What a resumed training must have in common with its beginning, by key path, as JSON values.

    Where data lies and results go, what prepares pictures and when it is judged or stopped may change.
    """
    free = {"out", "workers", "threads", "device", "patience", "evaluate_every", "evaluate_first"}
    values = settings.model_dump(mode="json", exclude=free)
    for source in (*values["data"]["train"], *values["data"]["val"]):
        del source["path"], source["images"]
    return dict(_flat(values))


def _flat(value: Any, where: str = "") -> list[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        return [pair for key, inner in value.items() for pair in _flat(inner, f"{where}.{key}".lstrip("."))]
    if isinstance(value, list) and any(isinstance(item, dict) for item in value):
        return [pair for index, inner in enumerate(value) for pair in _flat(inner, f"{where}[{index}]")]
    return [(where, value)]


def _apply(raw: dict[str, Any], change: str) -> str:
    """Put one value in its place; the key path as messages write it."""
    key, equals, text = change.partition("=")
    parts = key.replace("[", ".").replace("]", "").split(".")
    if not equals or not all(parts):
        raise ValueError("expected key=value, such as lr=0.001 or data.train.0.path=stills")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        raise ValueError(f"{text!r} is no YAML value; put text with special signs in quotes") from None
    place: Any = raw
    written = ""
    for index, part in enumerate(parts):
        last = index == len(parts) - 1
        if isinstance(place, list):
            if not part.isdigit() or int(part) > len(place) - (0 if last else 1):
                raise ValueError(f"{written} has the items 0 to {len(place) - 1}, found {part!r}")
            number = int(part)
            written += f"[{number}]"
            if last:
                place[number : number + 1] = [value]
            place = None if last else place[number]
        elif isinstance(place, dict):
            written = f"{written}.{part}".lstrip(".")
            if last:
                place[part] = value
            else:
                place = place.setdefault(part, {})
        else:
            raise ValueError(f"{written or 'the file'} is {shown(place)}, nothing can be put into it")  # noqa: TRY004
    return written


def _origin(line: str, changed: dict[str, str], path: Path) -> str:
    """Where the value that a fault is about came from."""
    where = line.split(": ", maxsplit=1)[0]
    for key, change in reversed(changed.items()):
        if where == key or where.startswith((f"{key}.", f"{key}[")) or key.startswith((f"{where}.", f"{where}[")):
            return f"--set {change}"
    return str(path)


def _resolve_paths(raw: dict[str, Any], folder: Path) -> None:
    def absolute(section: Any, key: str) -> None:
        if isinstance(section, dict) and isinstance(section.get(key), str) and section[key]:
            section[key] = str(folder / section[key])

    data = raw.get("data")
    for part in ("train", "val"):
        sources = data.get(part) if isinstance(data, dict) else None
        for source in sources if isinstance(sources, list) else []:
            absolute(source, "path")
            absolute(source, "images")
    model = raw.get("model")
    if isinstance(model, dict) and model.get("start") not in _STARTS:
        absolute(model, "start")
