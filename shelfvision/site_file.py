"""Reads a site file and its catalogue; every fault is reported at once, with file, key path, found and expected."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from shelfvision.catalogue_file import read_catalogue
from shelfvision.config import Site
from shelfvision.core.faults import fault_lines, shown, suggestion
from shelfvision.errors import ConfigError
from shelfvision.yaml_file import read_yaml

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")
# keys whose relative values are taken from the site file's folder
_PATH_KEYS = {
    ("broker", "password_file"),
    ("broker", "ca_file"),
    ("broker", "cert_file"),
    ("broker", "key_file"),
    ("web", "cert_file"),
    ("web", "key_file"),
}


def load_site(path: Path | str) -> Site:
    """The site described by a YAML file, with variables filled in and paths made absolute.

    ``${NAME}`` stands for an environment variable, ``${NAME:-default}`` for one that may be absent.
    Relative paths of the catalogue, TLS files and video files are taken from the file's folder.

    Raises:
        ConfigError: one line a fault; all faults of the file are listed.
    """
    path = Path(path)
    raw = read_yaml(path)
    if not isinstance(raw, dict):
        raise ConfigError(f"{path}: expected a mapping with store, catalogue and cameras, found {shown(raw)}")
    faults: list[str] = []
    written: dict[str, str] = {}
    raw = fill_variables(raw, "", written, faults)
    _resolve_paths(raw, path.resolve().parent)
    catalogue_faults: list[str] = []
    if isinstance(raw.get("catalogue"), str):
        try:
            raw["catalogue"] = read_catalogue(Path(raw["catalogue"]))
        except ConfigError as error:
            catalogue_faults = str(error).splitlines()
            raw["catalogue"] = None
    site: Site | None = None
    try:
        site = Site.model_validate(raw)
    except ValidationError as error:
        # a variable's value is not shown: it may be a password that landed at the wrong key
        faults += [
            line
            for line in fault_lines(error, Site, written=written)
            if not (catalogue_faults and line.startswith("catalogue:"))
            and not any(fault.startswith(line.split(": ")[0] + ": ") for fault in faults)
        ]
    faults += _cross_check(raw, skus_known=not catalogue_faults)
    if faults or catalogue_faults or site is None:
        raise ConfigError("\n".join([*(f"{path}: {fault}" for fault in faults), *catalogue_faults]))
    return site


def fill_variables(value: Any, where: str, written: dict[str, str], faults: list[str]) -> Any:
    """The value with variables filled in.

    Args:
        value: of a YAML file; ``${NAME}`` stands for an environment variable, ``${NAME:-default}`` has a default.
        where: key path of the value.
        written: remembers what stood at the paths that held some.
        faults: gets a line for each variable that is not set.
    """
    if isinstance(value, dict):
        return {key: fill_variables(item, f"{where}.{key}".lstrip("."), written, faults) for key, item in value.items()}
    if isinstance(value, list):
        return [fill_variables(item, f"{where}[{index}]", written, faults) for index, item in enumerate(value)]
    if not isinstance(value, str) or not _VARIABLE.search(value):
        return value
    written[where] = value

    def fill(match: re.Match[str]) -> str:
        name, default = match.groups()
        found = os.environ.get(name, default)
        if found is None:
            faults.append(f"{where}: environment variable {name} is not set; set it or write ${{{name}:-default}}")
            return ""
        return found

    return _VARIABLE.sub(fill, value)


def is_file_source(source: str) -> bool:
    """Whether a camera source names a video file rather than a stream, device or simulator."""
    return not re.match(r"^([a-z][a-z0-9+.-]*://|usb:|sim:|/dev/)", source, re.IGNORECASE)


def _resolve_paths(raw: dict[str, Any], folder: Path) -> None:
    def absolute(section: Any, key: str) -> None:
        if isinstance(section, dict) and isinstance(section.get(key), str) and section[key]:
            section[key] = str(folder / section[key])

    absolute(raw, "catalogue")
    models = raw.get("models")
    if isinstance(models, dict) and models.get("detector") not in {"default", "none"}:
        absolute(models, "detector")
    for section, key in _PATH_KEYS:
        absolute(raw.get(section), key)
    for _, camera in _mappings(raw.get("cameras")):
        if isinstance(camera.get("source"), str) and is_file_source(camera["source"]):
            absolute(camera, "source")


def _cross_check(raw: dict[str, Any], *, skus_known: bool) -> list[str]:
    """What one section says against another; works on the raw file so that other faults do not hide these."""
    faults: list[str] = []
    skus: dict[str, str] = {}
    for sku, where in _products(raw.get("catalogue")):
        if sku in skus:
            faults.append(f"{where}.sku: {shown(sku)} is also at {skus[sku]}; keep one")
        skus.setdefault(sku, where)
    for index, product in _mappings(raw.get("catalogue")):
        booleans = [key for key, value in product.items() if isinstance(value, bool)]
        faults += [f"catalogue[{index}].{key}: true and false mean nothing here; quote text" for key in booleans]
    cameras: dict[str, str] = {}
    slots: dict[str, str] = {}
    for index, camera in _mappings(raw.get("cameras")):
        where = f"cameras[{index}]"
        faults += _repeated(camera, where, "camera", cameras)
        for place, slot in _mappings(camera.get("slots")):
            at = f"{where}.slots[{place}]"
            faults += _repeated(slot, at, "slot", slots)
            wanted = slot.get("sku")
            if skus_known and skus and isinstance(wanted, str) and wanted and wanted not in skus:
                faults.append(f"{at}.sku: {shown(wanted)} is not in the catalogue{suggestion(wanted, skus)}")
    return faults


def _products(catalogue: Any) -> Iterator[tuple[str, str]]:
    for index, product in enumerate(catalogue if isinstance(catalogue, list) else []):
        sku = product.get("sku") if isinstance(product, dict) else getattr(product, "sku", None)
        if isinstance(sku, str):
            yield sku.strip(), f"catalogue[{index}]"


def _repeated(section: dict[str, Any], where: str, what: str, seen: dict[str, str]) -> list[str]:
    name = section.get("id")
    if not isinstance(name, str):
        return []
    if name in seen:
        return [f"{where}.id: {what} {shown(name)} is also at {seen[name]}; ids are unique on a device"]
    seen[name] = where
    return []


def _mappings(items: Any) -> Iterator[tuple[int, dict[str, Any]]]:
    for index, item in enumerate(items if isinstance(items, list) else []):
        if isinstance(item, dict):
            yield index, item
