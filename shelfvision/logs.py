"""How the processes log: one line a record on stderr, so that stdout stays free for results."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from typing import TextIO, cast

import structlog

from shelfvision.errors import UsageError

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
VARIABLE = "SHELFVISION_LOG"


class _CurrentStderr:
    """Whatever ``sys.stderr`` is when a record comes; a log that cannot be written (disk full) stops nobody."""

    def write(self, text: str) -> None:
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.write(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.flush()


def configure_logs() -> None:
    """Set up structlog for this process; every process calls it once, children too.

    On a terminal records are for eyes, elsewhere they are JSON lines. ``SHELFVISION_LOG`` names the lowest level.

    Raises:
        UsageError: the variable names no level.
    """
    name = os.environ.get(VARIABLE, "info").lower()
    if name not in LEVELS:
        raise UsageError(f"{VARIABLE}={name!r} is no level; expected one of {', '.join(LEVELS)}")
    terminal = sys.stderr.isatty()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *([] if terminal else [structlog.processors.format_exc_info]),
            structlog.dev.ConsoleRenderer() if terminal else structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[name]),
        logger_factory=structlog.WriteLoggerFactory(file=cast("TextIO", _CurrentStderr())),
        cache_logger_on_first_use=True,
    )
