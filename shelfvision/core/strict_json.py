"""JSON from outside, read strictly: what two readers could understand differently, or what exhausts us, is refused.

``json`` of the standard library takes NaN, Infinity, 1e999, repeated keys and lone surrogates, recurses as deep as the
sender likes, and builds integers of any length. Here each is a ``MalformedMessageError`` (RFC 8259 and the
interoperable subset of RFC 7493, I-JSON).
"""

from __future__ import annotations

import json
import re
from typing import Any

from shelfvision.errors import MalformedMessageError

_MAX_INTEGER = 2**63 - 1
_MAX_DIGITS = 20
# the closing quote is optional so that a string without end is passed over once, not searched again from each quote
_STRING_OR_BRACKET = re.compile(r'"(?:[^"\\]+|\\.)*"?|[\[{]|[\]}]', re.DOTALL)


def loads(data: bytes | str, *, max_bytes: int = 65_536, max_depth: int = 32) -> object:
    """The value that a JSON text describes.

    Args:
        data: UTF-8 bytes, or text.
        max_bytes: longest text accepted, in bytes of UTF-8.
        max_depth: deepest nesting of arrays and objects accepted; a plain value has depth 0.

    Raises:
        MalformedMessageError: too long or too deep, not UTF-8, not JSON, a key that stands twice in an object,
            NaN or Infinity in any spelling, a number beyond a double or a 64-bit integer, a lone surrogate, or a
            NUL character.
    """
    text = _decode(data, max_bytes)
    _check_depth(text, max_depth)
    try:
        value = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise MalformedMessageError(f"no JSON: {error.msg} at character {error.pos}") from None
    except RecursionError:  # only for a max_depth beyond the interpreter's own
        raise MalformedMessageError("nested too deep for this interpreter") from None
    if "\\u" in text:  # raw NUL is refused by the decoder, raw surrogates by UTF-8; escapes are left
        _check_characters(value)
    return value


def _decode(data: bytes | str, max_bytes: int) -> str:
    if len(data) > max_bytes:
        raise MalformedMessageError(f"longer than {max_bytes} bytes")
    try:
        if isinstance(data, str):
            if len(data.encode()) > max_bytes:
                raise MalformedMessageError(f"longer than {max_bytes} bytes")
            return data
        return bytes(data).decode()
    except UnicodeDecodeError as error:
        raise MalformedMessageError(f"not UTF-8 (byte {error.start})") from None
    except UnicodeEncodeError as error:
        raise MalformedMessageError(f"lone surrogate at character {error.start}") from None


def _check_depth(text: str, max_depth: int) -> None:
    if text.count("[") + text.count("{") <= max_depth:
        return  # cannot be deeper than it has brackets; spares nearly every message the scan
    depth = 0
    for match in _STRING_OR_BRACKET.finditer(text):
        first = text[match.start()]
        if first in "[{":
            depth += 1
            if depth > max_depth:
                raise MalformedMessageError(f"nested deeper than {max_depth}")
        elif first != '"':
            depth -= 1


def _check_characters(value: Any) -> None:
    pending = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, str):
            if "\x00" in item:
                raise MalformedMessageError("NUL character in a string")
            if not item.isascii() and any("\ud800" <= character <= "\udfff" for character in item):
                raise MalformedMessageError("lone surrogate in a string")
        elif isinstance(item, dict):
            pending.extend(item.keys())
            pending.extend(item.values())
        elif isinstance(item, list):
            pending.extend(item)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise MalformedMessageError(f"key {key[:40]!r} stands twice in an object")
            seen.add(key)
    return value


def _float(text: str) -> float:
    value = float(text)
    if value in {float("inf"), float("-inf")}:
        raise MalformedMessageError(f"number {text[:40]} is beyond a double")
    return value


def _integer(text: str) -> int:
    if len(text) > _MAX_DIGITS or abs(value := int(text)) > _MAX_INTEGER:
        raise MalformedMessageError(f"integer {text[:40]} is beyond 64 bits")
    return value


def _constant(name: str) -> float:
    raise MalformedMessageError(f"{name} is no JSON number")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object, parse_float=_float, parse_int=_integer, parse_constant=_constant, strict=True
)
