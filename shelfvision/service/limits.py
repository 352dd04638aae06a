"""Keeps what comes from outside within the columns that hold it; PostgreSQL refuses where SQLite shrugs."""

from __future__ import annotations

import re
from typing import overload

_IDENTIFIER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
MOST = 2**31 - 1  # of an Integer column
MOST_BIG = 2**53


def is_identifier(text: str) -> bool:
    """Whether a text can be a device, camera or slot id (see ``core.events.Identifier``)."""
    return _IDENTIFIER.fullmatch(text) is not None


@overload
def short(text: str, length: int) -> str: ...
@overload
def short(text: None, length: int) -> None: ...
def short(text: str | None, length: int) -> str | None:
    """A text without NUL, cut to a column's length."""
    return None if text is None else text.replace("\0", "")[:length]


def whole(value: int | None, most: int = MOST) -> int | None:
    """A count that is not negative, cut to what a column holds."""
    return None if value is None else min(max(value, 0), most)
