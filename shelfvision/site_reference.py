"""Prints the reference page of the site file from the models themselves: ``make docs`` writes ``docs/site-file.md``."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import annotated_types
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from shelfvision.config import Site
from shelfvision.core.catalogue import Product

_HEAD = """\
# Every key of a site file

Made by `make docs` from the models; do not edit by hand. `configs/` holds complete examples.

One YAML file describes one store: its broker, its products, its cameras and their slots. A faulty file is refused with
one line a fault: file, key path, what was found and what was expected, all at once. Unknown keys and keys that stand
twice are faults too.

- `${NAME}` stands for an environment variable, `${NAME:-default}` for one that may be absent. Passwords belong there
  or into files.
- Relative paths of the catalogue, models, certificates, keys, password files and videos are taken from the site file's
  folder.
- Ids are letters, digits, `_`, `.` and `-`, at most 64, the first a letter or digit. Camera and slot ids are unique on
  a device.
- A polygon has 3 to 64 corners inside `size`, and its edges do not cross.
- The catalogue may be a CSV file: a header line with the keys of `catalogue` below as columns, and one line a product.
"""
_NAMES = {str: "text", int: "whole number", float: "number", bool: "true or false", Path: "path", SecretStr: "text"}


def reference() -> str:
    """The whole page as Markdown."""
    return "\n".join([_HEAD, *tables(Site, "")])


def tables(model: type[BaseModel], path: str) -> Iterator[str]:
    """The lines of a table for a section at this key path, then those of the sections in it."""
    yield f"## `{path}`" if path else "## The top"
    first = (model.__doc__ or "").strip().splitlines()[0]
    yield f"\n{first}\n\n| key | what | kind | default |\n|---|---|---|---|"
    inner: list[tuple[type[BaseModel], str]] = []
    for name, field in model.model_fields.items():
        section = _section(field.annotation)
        if section is not None:
            listed = get_origin(field.annotation) is list
            inner.append((section, f"{path}.{name}".lstrip(".") + ("[]" if listed else "")))
        what = field.description or (section.__doc__ or "").strip().splitlines()[0]
        yield f"| `{name}` | {what} | {_kind(field.annotation)}{_bounds(field)} | {_default(field)} |"
    yield ""
    for section, place in inner:
        yield from tables(section, place)


def _section(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    found = (_section(inner) for inner in get_args(annotation))
    return next((section for section in found if section is not None), None)


def _kind(annotation: Any) -> str:
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return " or ".join(f"`{value}`" for value in inner)
    if origin in {Annotated, Union, types.UnionType}:
        return _kind(next(part for part in inner if part is not types.NoneType))
    if origin is list:
        return "list or path of a CSV file" if inner[0] is Product else "list"
    if origin is dict:
        return "mapping"
    if origin is tuple:
        return f"list of {len(inner)} {_kind(inner[0])}s"
    return _NAMES.get(annotation, "section")


def _bounds(field: FieldInfo) -> str:
    words = []
    for rule in field.metadata:
        match rule:
            case annotated_types.Gt(gt=bound):
                words.append(f"over {bound}")
            case annotated_types.Ge(ge=bound):
                words.append(f"at least {bound}")
            case annotated_types.Le(le=bound):
                words.append(f"at most {bound}")
    return f", {', '.join(words)}" if words else ""


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True, validated_data={})
    if value is None or value in ([], {}) or value is PydanticUndefined or isinstance(value, BaseModel):
        return ""
    return f"`{value}`" if value != "" else "empty"


if __name__ == "__main__":
    sys.stdout.write(reference())
