"""The models that a site file asks for."""

from __future__ import annotations

from pathlib import Path

from shelfvision.config import ModelsSection
from shelfvision.edge.default_models import default_model, has_default
from shelfvision.edge.detector import OnnxDetector, open_detector
from shelfvision.edge.model import ModelFile, read_model
from shelfvision.edge.runtimes import RuntimeName, installed_runtimes
from shelfvision.errors import ModelError


def detector_path(models: ModelsSection) -> Path | None:
    """The detector's file; None when the site wants none, or the default one of a package that has none."""
    if models.detector == "none":
        return None
    if models.detector == "default":
        return default_model("detector") if has_default("detector") else None
    return Path(models.detector)


def check_models(models: ModelsSection) -> ModelFile | None:
    """Read and check the detector's file, if one is to be used; nothing is loaded into a runtime.

    Raises:
        ModelError: it is missing or damaged, or the runtime asked for is not installed.
    """
    path = detector_path(models)
    if path is None:
        return None
    there = installed_runtimes()
    if models.runtime != "auto" and models.runtime not in there:
        raise ModelError(f"models.runtime: {models.runtime} is not installed here; there is {', '.join(there)}")
    return read_model(path)


def open_site_detector(models: ModelsSection, *, repeatable: bool = False) -> OnnxDetector:
    """Load the detector that a site file asks for; there is one.

    Args:
        models: the section.
        repeatable: the same runtime every time: not the one that happens to be quicker today.

    Raises:
        ModelError: it cannot be loaded.
    """
    path = detector_path(models)
    if path is None:
        raise ModelError("the site wants no detector")
    runtime: RuntimeName = models.runtime
    if runtime == "auto" and repeatable:
        runtime = "onnxruntime"
    return open_detector(path, runtime=runtime, threads=models.threads)
