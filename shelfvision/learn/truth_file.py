"""A truth file as it stands on the disk; ``docs/truth-format.md`` explains it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from shelfvision.core import strict_json
from shelfvision.core.events import Identifier, UtcTime
from shelfvision.core.faults import fault_lines, shown
from shelfvision.errors import ConfigError, MalformedMessageError

_MAX_BYTES = 200_000_000

Moment = Annotated[float, Field(ge=0, le=1e10, allow_inf_nan=False)]
Span = tuple[Moment, Moment | None]
"""Begin and end; None is the end of the footage."""


class TruthInteraction(BaseModel):
    """A hand at a slot."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    type: Literal["pick_up", "put_back", "touch"]
    slot: Identifier
    contact: Moment = Field(description="the hand reaches the product")
    hand_in: Moment | None = Field(default=None, description="the hand comes before the slot")
    end: Moment | None = Field(default=None, description="the hand has left the slot")
    sku: str | None = None
    count: int = Field(default=1, ge=1, description="units moved")
    by_staff: bool | None = Field(default=None, description="restocking rather than shopping; unknown when absent")
    ignore: bool = Field(default=False, description="unclear to the labeller: neither a miss nor a false event")


class TruthSlot(BaseModel):
    """Where a slot is and what it holds."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    camera: Identifier | None = None
    sku: str | None = None
    capacity: int = Field(default=1, ge=1)


class TruthFile(BaseModel):
    """The whole file; fields that are not listed are notes."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    version: Literal[1] = 1
    unit: Literal["frames", "seconds"] = "frames"
    fps: float | None = Field(default=None, gt=0, le=1000, allow_inf_nan=False)
    start: UtcTime | None = Field(default=None, description="time of frame 0; 1970-01-01T00:00:00Z when absent")
    frames: int | None = Field(default=None, ge=1, description="length of the footage")
    duration: float | None = Field(default=None, gt=0, allow_inf_nan=False, description="likewise, in seconds")
    cameras: list[Identifier] = Field(default_factory=list)
    slots: dict[Identifier, TruthSlot] = Field(default_factory=dict)
    interactions: list[TruthInteraction]
    empty_facing_intervals: dict[Identifier, list[Span]]
    low_intervals: dict[Identifier, list[Span]] = Field(default_factory=dict)
    misplaced_intervals: dict[Identifier, list[Span]] = Field(default_factory=dict)
    occluded_intervals: dict[Identifier, list[Span]] = Field(default_factory=dict)
    refills: dict[Identifier, list[Moment]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _scale(self) -> TruthFile:
        if self.unit == "frames" and self.fps is None:
            raise ValueError("fps is missing: times in frames need it (or write unit: seconds)")
        return self

    @model_validator(mode="after")
    def _ordered(self) -> TruthFile:
        for name in ("empty_facing_intervals", "low_intervals", "misplaced_intervals", "occluded_intervals"):
            for slot, spans in getattr(self, name).items():
                before = -math.inf
                for begin, end in spans:
                    if begin < before or (end is not None and end <= begin):
                        raise ValueError(f"{name}.{slot}: intervals must be in order, apart, and end after they begin")
                    before = math.inf if end is None else end
        return self


def read_truth_file(path: Path) -> TruthFile:
    """Read and check a truth file.

    Raises:
        ConfigError: it cannot be read or is no truth file; one line a fault.
    """
    try:
        raw = strict_json.loads(path.read_bytes(), max_bytes=_MAX_BYTES)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}; check the path") from None
    except MalformedMessageError as error:
        raise ConfigError(f"{path}: {error}") from None
    if not isinstance(raw, dict):
        raise ConfigError(
            f"{path}: expected an object with interactions and empty_facing_intervals, found {shown(raw)}"
        )
    try:
        return TruthFile.model_validate(raw)
    except ValidationError as error:
        raise ConfigError("\n".join(f"{path}: {line}" for line in fault_lines(error))) from None
