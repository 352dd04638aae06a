"""YAML from outside, read strictly: no repeated keys, no alias bombs, and errors that never quote the file."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from shelfvision.core.faults import shown
from shelfvision.errors import ConfigError

_MAX_BYTES = 10_000_000
_MAX_NODES = 500_000
_MAX_DEPTH = 50


class _UniqueKeyLoader(yaml.SafeLoader):
    """Safe YAML in which a key that stands twice is a fault."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, Hashable) and key_node.tag != "tag:yaml.org,2002:merge":
                if key in seen:
                    problem = f"key {shown(key)} stands there twice; keep one"
                    raise yaml.constructor.ConstructorError(None, None, problem, key_node.start_mark)
                seen.add(key)
        return super().construct_mapping(node, deep=deep)


def read_text(path: Path) -> str:
    """A small text file, UTF-8 with or without byte order mark.

    Raises:
        ConfigError: it is not there, not readable, over 10 MB or not UTF-8.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file; check the path") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    if len(data) > _MAX_BYTES:
        raise ConfigError(f"{path}: larger than 10 MB; this is no site file or catalogue")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 text (byte {error.start}); save it as UTF-8") from None


def read_yaml(path: Path) -> Any:
    """The value that a YAML file describes.

    Raises:
        ConfigError: not readable, not YAML, a key stands twice, or aliases that expand to far more than the file.
    """
    text = read_text(path)
    try:
        value = yaml.load(text, Loader=_UniqueKeyLoader)  # noqa: S506 - a SafeLoader
        _count(value, {}, 0)
    except yaml.MarkedYAMLError as error:
        # not str(error): it quotes the line, and a password may stand there
        mark = error.problem_mark or error.context_mark
        where = f" line {mark.line + 1}, column {mark.column + 1}" if mark is not None else ""
        raise ConfigError(f"{path}{where}: not valid YAML: {error.problem or error.context}") from None
    except yaml.reader.ReaderError as error:
        raise ConfigError(f"{path}: not valid YAML: {error.reason} at character {error.position}") from None
    except RecursionError:
        raise ConfigError(f"{path}: not valid YAML: nested too deep") from None
    except ValueError as error:
        raise ConfigError(f"{path}: not valid YAML: {error}") from None
    return value


def _count(value: Any, sizes: dict[int, int], depth: int) -> int:
    """How many values there are when every alias is written out.

    Raises:
        ValueError: too many, too deep, or a value that holds itself.
    """
    if not isinstance(value, dict | list):
        return 1
    if depth > _MAX_DEPTH:
        raise ValueError(f"nested deeper than {_MAX_DEPTH}, or a value that holds itself")
    if id(value) not in sizes:
        inner = value.values() if isinstance(value, dict) else value
        sizes[id(value)] = 1 + sum(_count(item, sizes, depth + 1) for item in inner)
        if sizes[id(value)] > _MAX_NODES:
            raise ValueError(f"aliases expand to more than {_MAX_NODES} values")
    return sizes[id(value)]
