"""The command line as files that travel tell it."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import PurePath

_ABSOLUTE = re.compile(r"(^|=)(/[^=]+)$")


def told_command(words: Sequence[str] | None = None) -> str:
    """The command with absolute paths cut to their last part, for they would tell of this machine.

    Args:
        words: after ``shelfvision``; those of the process when absent.
    """
    words = sys.argv[1:] if words is None else words
    cut = (_ABSOLUTE.sub(lambda found: found[1] + PurePath(found[2]).name, word) for word in words)
    return shlex.join(["shelfvision", *cut])
