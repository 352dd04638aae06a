"""What is wrong with a document from outside, in words: one line a fault, with key path, expected and found."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

_IDENTIFIER_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"
_SECRET_KEYS = re.compile(r"password|username|secret|token", re.IGNORECASE)
_USER_INFO = re.compile(r"(://)\S*@")
_IN_YAML = {True: "true", False: "false"}
_PLAIN = {
    "invalid_key": "expected the key to be text",
    "model_type": "expected a mapping",
    "model_attributes_type": "expected a mapping",
    "dict_type": "expected a mapping",
    "tuple_type": "expected a list",
    "list_type": "expected a list",
}


def fault_lines(
    error: ValidationError, model: type[BaseModel] | None = None, *, written: Mapping[str, str] | None = None
) -> list[str]:
    """One line a fault, ``key.path: what is wrong, found ...``; never with a password in it.

    Args:
        error: what validation found.
        model: the model that was validated; its keys are suggested for keys that nobody knows.
        written: key path to the text that the value was made from, shown in place of the value.
    """
    faults = error.errors(include_url=False)
    return list(dict.fromkeys(_line(fault, model, written or {}) for fault in faults))


def key_path(parts: Iterable[int | str]) -> str:
    """``("cameras", 0, "id")`` as ``cameras[0].id``."""
    path = ""
    for part in parts:
        path += f"[{part}]" if isinstance(part, int) else f".{part}"
    return path.removeprefix(".")


def shown(value: Any) -> str:
    """A value as it may stand in an error: short, and user and password of an address starred out."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return _IN_YAML[value]
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}"
    text = repr(_USER_INFO.sub(r"\1***@", value)) if isinstance(value, str) else str(value)
    return text if len(text) <= 80 else f"{text[:76]}..."


def suggestion(word: object, known: Iterable[str]) -> str:
    """`` (did you mean 'x'?)`` when a known word is near, else nothing."""
    near = get_close_matches(str(word), list(known), n=1, cutoff=0.6)
    return f" (did you mean {near[0]!r}?)" if near else ""


def _line(fault: ErrorDetails, model: type[BaseModel] | None, written: Mapping[str, str]) -> str:
    path = key_path(fault["loc"]) or "file"
    if fault["type"] == "extra_forbidden":
        *parents, last = fault["loc"]
        return f"{path}: unknown key; remove it or check its spelling{suggestion(last, _keys(model, parents))}"
    if fault["type"] == "missing":
        return f"{path}: missing; add it"
    expectation = _expectation(fault)
    found = shown(written.get(path, fault["input"]))
    secret = any(_SECRET_KEYS.search(str(part)) for part in fault["loc"])
    own_check = fault["type"] in {"value_error", "geometry"} and isinstance(fault["input"], dict | list | BaseModel)
    said = isinstance(fault["input"], str) and found in expectation
    if secret or own_check or said:
        return f"{path}: {expectation}"
    return f"{path}: {expectation}, found {found}"


def _expectation(fault: ErrorDetails) -> str:
    context = fault.get("ctx", {})
    kind, given = fault["type"], fault["input"]
    if kind == "string_pattern_mismatch" and context.get("pattern") == _IDENTIFIER_PATTERN:
        return "expected an id of letters, digits, '_', '.' and '-', at most 64, the first a letter or digit"
    if kind == "string_type":
        if isinstance(given, bool):
            return "expected text (YAML reads yes, no, on and off as true or false; put it in quotes)"
        return "expected text (put it in quotes)" if isinstance(given, int | float) else "expected text"
    if kind in _PLAIN:
        return _PLAIN[kind]
    message = fault["msg"].removeprefix("Value error, ")
    message = re.sub(r"^(Input|Value) should (be )?", "expected ", message)
    message = re.sub(r"^(String|List|Tuple|Dictionary) should ", "expected it to ", message)
    message = re.sub(r", (unable to parse|got a number).*$", "", message)
    message = re.sub(r" after validation, not .*$", "", message)
    return message.replace("a valid integer", "a whole number").replace("a valid ", "a ")


def _keys(model: type[BaseModel] | None, path: Iterable[int | str]) -> list[str]:
    """The keys that may stand at a path of a model."""
    for part in path:
        if model is None:
            return []
        if isinstance(part, str):
            field = model.model_fields.get(part)
            model = _model_in(field.annotation) if field is not None else None
    return list(model.model_fields) if model is not None else []


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    found = [_model_in(inner) for inner in getattr(annotation, "__args__", ())]
    return next((model for model in found if model is not None), None)
