"""Trained networks on disk: a folder with weights (safetensors) and the JSON that builds the network again."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from shelfvision.errors import ModelError
from shelfvision.models.detector import Detector, DetectorConfig

WEIGHTS, DESCRIPTION = "model.safetensors", "model.json"
_VERSION = 1


def save_checkpoint(folder: Path, model: Detector, *, provenance: dict[str, Any]) -> None:
    """Write the folder whole, or leave the one that was there.

    Args:
        folder: it is replaced.
        model: the network.
        provenance: JSON values: data, command, commit, date, scores.

    Raises:
        ModelError: it cannot be written.
    """
    part, old = (folder.with_name(f"{folder.name}.{ending}") for ending in ("part", "old"))
    weights = {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
    about = {"version": _VERSION, "kind": "detector", "config": model.config.to_json(), "provenance": provenance}
    try:
        for leftover in (part, old):
            shutil.rmtree(leftover, ignore_errors=True)
        part.mkdir(parents=True)
        save_file(weights, part / WEIGHTS)
        (part / DESCRIPTION).write_text(json.dumps(about, indent=1), encoding="utf-8")
        if folder.exists():
            folder.replace(old)
        part.replace(folder)
        shutil.rmtree(old, ignore_errors=True)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(part, ignore_errors=True)
        raise ModelError(
            f"{folder}: the checkpoint cannot be written ({error}); make room or choose another folder"
        ) from error


def read_description(folder: Path) -> dict[str, Any]:
    """The checkpoint's JSON.

    Raises:
        ModelError: it is missing, damaged, or of another kind or version.
    """
    path = folder / DESCRIPTION
    if not path.is_file() and folder.with_name(f"{folder.name}.old").joinpath(DESCRIPTION).is_file():
        raise ModelError(f"{folder}: saving was cut short; the one before stands beside it, rename {folder.name}.old")
    try:
        about: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        kind, version = about["kind"], about["version"]
    except OSError as error:
        raise ModelError(f"{folder}: no checkpoint there ({DESCRIPTION} and {WEIGHTS} are expected)") from error
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{path}: damaged; take another checkpoint") from error
    if kind != "detector" or version != _VERSION:
        raise ModelError(f"{path}: a {kind} of version {version}, expected a detector of version {_VERSION}")
    return about


def load_checkpoint(folder: Path) -> Detector:
    """The network, in evaluation mode.

    Raises:
        ModelError: the folder is no checkpoint, is damaged, or its weights do not fit its configuration.
    """
    about = read_description(folder)
    model = Detector(DetectorConfig.from_json(about["config"]))
    try:
        weights = load_file(folder / WEIGHTS)
        model.load_state_dict(weights, strict=True)
    except FileNotFoundError as error:
        raise ModelError(f"{folder}: {WEIGHTS} is missing; take another checkpoint") from error
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{folder / WEIGHTS}: damaged ({error}); take another checkpoint") from error
    except RuntimeError as error:
        first = str(error).splitlines()[1:2] or [str(error)]
        raise ModelError(f"{folder / WEIGHTS}: weights of another network: {first[0].strip()}") from error
    return model.eval()
