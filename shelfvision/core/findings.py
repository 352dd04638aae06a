"""What `shelfvision doctor` finds: one verdict and one line a thing that it looked at."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """How bad it is; the value is the word that people read."""

    OK = "ok"
    WARN = "warn"
    FAIL = "FAIL"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    part: str  # site file, camera aisle, broker, delivery, clock, disk, ...
    verdict: Verdict
    text: str  # what was found, in one line without any password
    fix: str = ""  # what to do about it; empty for ok

    @staticmethod
    def ok(part: str, text: str) -> Finding:
        """All is well."""
        return Finding(part, Verdict.OK, text)

    @staticmethod
    def warn(part: str, text: str, fix: str) -> Finding:
        """It works, but less well than it could, or not for long."""
        return Finding(part, Verdict.WARN, text, fix)

    @staticmethod
    def fail(part: str, text: str, fix: str) -> Finding:
        """It does not work."""
        return Finding(part, Verdict.FAIL, text, fix)
