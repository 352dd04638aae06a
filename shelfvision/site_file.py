"""Reads a site file and its catalogue; every fault is reported at once, with file, key path, found and expected."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from shelfvision.config import Site
from shelfvision.errors import ConfigError

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")
_MAX_BYTES = 10_000_000
# keys whose relative values are taken from the site file's folder
_PATH_KEYS = {
    ("broker", "password_file"),
    ("broker", "ca_file"),
    ("broker", "cert_file"),
    ("broker", "key_file"),
    ("web", "cert_file"),
    ("web", "key_file"),
}


class _UniqueKeyLoader(yaml.SafeLoader):
    """Safe YAML in which a key that stands twice is a fault."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=deep)
            if isinstance(key, Hashable):
                if key in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"key {key!r} stands there twice", key_node.start_mark
                    )
                seen.add(key)
        return super().construct_mapping(node, deep=deep)


def load_site(path: Path | str) -> Site:
    """The site described by a YAML file, with variables filled in and paths made absolute.

    ``${NAME}`` stands for an environment variable, ``${NAME:-default}`` for one that may be absent.
    Relative paths of the catalogue, TLS files and video files are taken from the file's folder.

    Raises:
        ConfigError: one line a fault; all faults of the file are listed.
    """
    path = Path(path)
    text = _read_text(path)
    try:
        raw = yaml.load(text, Loader=_UniqueKeyLoader)  # noqa: S506 - a SafeLoader
    except (yaml.YAMLError, RecursionError) as error:
        raise ConfigError(f"{path}: not valid YAML: {_one_line(error)}") from None
    if not isinstance(raw, dict):
        raise ConfigError(f"{path}: expected a mapping with store, catalogue and cameras, found {_kind(raw)}")
    faults: list[str] = []
    raw = _fill_variables(raw, "", faults)
    _resolve_paths(raw, path.resolve().parent)
    if isinstance(raw.get("catalogue"), str):
        raw["catalogue"] = _read_catalogue(Path(raw["catalogue"]), faults)
    site: Site | None = None
    try:
        site = Site.model_validate(raw)
    except ValidationError as error:
        faults.extend(_describe(error))
    if site is not None:
        faults.extend(_cross_check(site))
    if faults or site is None:
        raise ConfigError("\n".join(f"{path}: {fault}" for fault in faults))
    return site


def _read_text(path: Path) -> str:
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise ConfigError(f"{path}: larger than 10 MB; this is no site file or catalogue")
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file; check the path") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 text (byte {error.start}); save it as UTF-8") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None


def _fill_variables(value: Any, where: str, faults: list[str]) -> Any:
    if isinstance(value, dict):
        return {key: _fill_variables(item, f"{where}.{key}".lstrip("."), faults) for key, item in value.items()}
    if isinstance(value, list):
        return [_fill_variables(item, f"{where}[{index}]", faults) for index, item in enumerate(value)]
    if not isinstance(value, str):
        return value

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
    return not re.match(r"^([a-z][a-z0-9+.-]*://|usb:|sim:|/dev/)", source)


def _resolve_paths(raw: dict[str, Any], folder: Path) -> None:
    def absolute(section: Any, key: str) -> None:
        if isinstance(section, dict) and isinstance(section.get(key), str) and section[key]:
            section[key] = str(folder / section[key])

    absolute(raw, "catalogue")
    for section, key in _PATH_KEYS:
        absolute(raw.get(section), key)
    for camera in raw.get("cameras") or []:
        if isinstance(camera, dict) and isinstance(camera.get("source"), str) and is_file_source(camera["source"]):
            absolute(camera, "source")


def _read_catalogue(path: Path, faults: list[str]) -> list[dict[str, Any]]:
    try:
        text = _read_text(path)
    except ConfigError as error:
        faults.append(f"catalogue: {error}")
        return []
    rows = csv.DictReader(text.splitlines(), strict=True)
    try:
        products = [{key: value for key, value in row.items() if value not in {None, ""}} for row in rows]
    except csv.Error as error:
        faults.append(f"catalogue: {path}, line {rows.line_num}: {error}")
        return []
    if not products:
        faults.append(f"catalogue: {path} holds no products; expected a header line and one line a product")
    return products


def _describe(error: ValidationError) -> list[str]:
    lines = []
    for fault in error.errors(include_url=False):
        where = ""
        for part in fault["loc"]:
            where += f"[{part}]" if isinstance(part, int) else f".{part}"
        found = fault["input"]
        secret = "password" in where or "username" in where
        shown = "" if secret or isinstance(found, dict | list) else f" (found {str(found)[:80]!r})"
        message = fault["msg"].removeprefix("Value error, ")
        if fault["type"] == "extra_forbidden":
            message, shown = "unknown key; remove it or check its spelling", ""
        elif fault["type"] == "missing":
            message, shown = "missing; add it", ""
        lines.append(f"{where.lstrip('.') or 'file'}: {message}{shown}")
    return lines


def _cross_check(site: Site) -> list[str]:
    faults = []
    skus: set[str] = set()
    for index, product in enumerate(site.catalogue):
        if product.sku in skus:
            faults.append(f"catalogue[{index}].sku: {product.sku!r} stands there twice; keep one")
        skus.add(product.sku)
    cameras: set[str] = set()
    slots: dict[str, str] = {}
    for index, camera in enumerate(site.cameras):
        where = f"cameras[{index}]"
        if camera.id in cameras:
            faults.append(f"{where}.id: camera {camera.id!r} stands there twice; ids are unique on a device")
        cameras.add(camera.id)
        for place, slot in enumerate(camera.slots):
            if slot.id in slots:
                faults.append(
                    f"{where}.slots[{place}].id: slot {slot.id!r} is also at {slots[slot.id]}; ids are unique on a device"
                )
            slots.setdefault(slot.id, f"{where}.slots[{place}]")
            if slot.sku not in skus:
                faults.append(f"{where}.slots[{place}].sku: {slot.sku!r} is not in the catalogue ({len(skus)} SKUs)")
    return faults


def _kind(value: Any) -> str:
    return {type(None): "an empty file", list: "a list", str: "plain text"}.get(
        type(value), f"a {type(value).__name__}"
    )


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
