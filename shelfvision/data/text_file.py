"""Annotation files as text: read with a bound and one clear error, written whole or not at all."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from shelfvision.errors import DataError

_MOST_BYTES = 4_000_000_000


def read_annotations(path: Path, *, most_bytes: int = _MOST_BYTES) -> str:
    """A UTF-8 text file, with or without byte order mark.

    Raises:
        DataError: missing, unreadable, too large or not UTF-8.
    """
    try:
        if path.exists() and not path.is_file():  # a named pipe would wait for a writer for ever
            raise DataError(f"{path}: not a file")
        with path.open("rb") as file:
            data = file.read(most_bytes + 1)
        if len(data) > most_bytes:
            raise DataError(f"{path}: larger than {most_bytes / 1e6:.0f} MB; this is no annotation file")
        return data.decode("utf-8-sig")
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; check the path") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text (byte {error.start}); save it as UTF-8") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError:  # a NUL character in the name
        raise DataError(f"{str(path)!r}: not a file name") from None


def read_json(path: Path) -> Any:
    """The value that a JSON file describes.

    Raises:
        DataError: not readable or not JSON; NaN and Infinity are no JSON.
    """
    text = read_annotations(path)
    try:
        return json.loads(text, parse_constant=_no_number)
    except json.JSONDecodeError as error:
        raise DataError(f"{path} line {error.lineno}, column {error.colno}: not JSON: {error.msg}") from None
    except RecursionError:
        raise DataError(f"{path}: not JSON that we read: nested too deep") from None
    except ValueError as error:  # NaN, or an integer of thousands of digits
        raise DataError(f"{path}: not JSON that we read: {error}") from None


def write_whole(path: Path, text: str) -> None:
    """Write a text file; a reader sees the old one or the new one, never half.

    Raises:
        DataError: the folder is not writable or the disk is full.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            beside.write_text(text, encoding="utf-8")
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)
    except UnicodeEncodeError as error:  # a name that came undecoded from the file system
        around = text[max(0, error.start - 30) : error.end + 30]
        raise DataError(f"{path}: a file name that is not UTF-8, near {around!a}; rename that file") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be written: {error.strerror}") from None


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no JSON number")
