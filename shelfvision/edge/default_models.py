"""The models that come with the package."""

from __future__ import annotations

from pathlib import Path

import shelfvision.weights
from shelfvision.errors import ModelError

FOLDER = Path(next(iter(shelfvision.weights.__path__)))


def has_default(kind: str) -> bool:
    """Whether the package holds weights of this kind, such as ``detector``."""
    return (FOLDER / f"{kind}.onnx").is_file()


def default_model(kind: str) -> Path:
    """The path of the package's own model.

    Raises:
        ModelError: this installation has none.
    """
    if not has_default(kind):
        raise ModelError(f"this installation has no default {kind}; give the path of an ONNX file instead of 'default'")
    return FOLDER / f"{kind}.onnx"
