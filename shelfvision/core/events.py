"""What a camera reports: CloudEvents 1.0 in structured mode, type ``shelfvision.<kind>.v1``."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainSerializer

EPOCH_START = datetime(1970, 1, 1, tzinfo=UTC)


class EventKind(StrEnum):
    """The kinds of event; the value is the middle part of the CloudEvents type."""

    STOCKOUT = "stockout"
    LOW_STOCK = "low_stock"
    RESTOCKED = "restocked"
    MISPLACED = "misplaced"
    PICK_UP = "pick_up"
    PUT_BACK = "put_back"
    TOUCH = "touch"
    PRESENCE = "presence"
    CAMERA = "camera"
    GAP = "gap"  # made by the outbox alone: its disk was full and it gave up low-priority events

    @property
    def type(self) -> str:
        """The CloudEvents type, ``shelfvision.<kind>.v1``."""
        return f"shelfvision.{self.value}.v1"


KIND_OF_TYPE = {kind.type: kind for kind in EventKind}


def to_utc(seconds: float) -> datetime:
    """POSIX seconds as a UTC time with millisecond resolution."""
    return EPOCH_START + timedelta(milliseconds=round(seconds * 1000))


def _with_timezone(value: datetime) -> datetime:
    if value.tzinfo is None:
        raise ValueError("time needs a UTC offset, such as a trailing Z")
    return value.astimezone(UTC)


def _iso(value: datetime) -> str:
    return value.strftime("%Y-%m-%dT%H:%M:%S.") + f"{value.microsecond // 1000:03d}Z"


UtcTime = Annotated[
    datetime,
    AfterValidator(_with_timezone),
    PlainSerializer(_iso, return_type=str, when_used="json"),
]
"""A time in UTC, written as RFC 3339 with milliseconds and ``Z``."""

Identifier = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
"""Store, device, camera and slot ids: safe as MQTT topic levels and file names."""


class EventData(BaseModel):
    """What happened. Fields that do not apply are absent; readers ignore fields that they do not know."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    slot: Identifier | None = Field(default=None, description="slot id; absent for camera-wide kinds")
    sku: str | None = Field(
        default=None, max_length=64, description="SKU that the slot is planned for, or that was seen"
    )
    count: int | None = Field(default=None, ge=0, le=100_000, description="units moved, or people counted for presence")
    confidence: float | None = Field(default=None, ge=0, le=1, allow_inf_nan=False)
    started_at: UtcTime | None = Field(default=None, description="interaction or window begins")
    contact_at: UtcTime | None = Field(default=None, description="the hand reaches the product")
    ended_at: UtcTime | None = Field(default=None, description="the hand has left the slot; window ends")
    onset_at: UtcTime | None = Field(default=None, description="when the slot's state really changed, before the alert")
    hold_seconds: float | None = Field(
        default=None, ge=0, allow_inf_nan=False, description="put_back: time since the linked pick-up"
    )
    linked_event: str | None = Field(default=None, max_length=64, description="put_back: id of its pick-up")
    facings: int | None = Field(default=None, ge=0, le=10_000, description="facings visible after the change")
    fullness: float | None = Field(default=None, ge=0, le=1, allow_inf_nan=False, description="units over capacity")
    seen_sku: str | None = Field(default=None, max_length=64, description="misplaced: the SKU that stands there")
    by_staff: bool | None = Field(default=None, description="interaction belongs to restocking, not to shopping")
    passes: int | None = Field(default=None, ge=0, description="presence: people that went past in the window")
    stops: int | None = Field(default=None, ge=0, description="presence: of these, who stopped")
    available_seconds: float | None = Field(
        default=None,
        ge=0,
        allow_inf_nan=False,
        description="presence per slot: seconds of the window in which it was in stock and in view",
    )
    status: str | None = Field(
        default=None, max_length=32, description="camera: online, offline, frozen, moved, resized, ended"
    )
    reason: str | None = Field(default=None, max_length=500, description="camera, gap: why, in words")
    first_seq: int | None = Field(
        default=None, ge=1, le=2**53, description="gap: it stands for every missing seq from here to its own"
    )
    dropped: dict[str, int] | None = Field(default=None, description="gap: kind to number of events given up")


@dataclass(frozen=True, slots=True)
class EventDraft:
    """An event before the outbox gives it its place in the device's sequence."""

    kind: EventKind
    time: float  # POSIX seconds: event time
    camera: str
    data: EventData
    key: str  # unique in the camera's run; the event id derives from it, and links refer to it


class Event(BaseModel):
    """One CloudEvent as it travels and as it stands in the outbox."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    specversion: Literal["1.0"] = "1.0"
    id: str = Field(min_length=1, max_length=64, description="UUIDv7; readers dedupe by it")
    source: str = Field(pattern=r"^[^/]+/[^/]+/[^/]+$", max_length=200, description="store/device/camera")
    type: str = Field(pattern=r"^shelfvision\.[a-z_]+\.v[0-9]+$", max_length=64)
    subject: str | None = Field(default=None, max_length=64, description="slot id")
    time: UtcTime
    datacontenttype: Literal["application/json"] = "application/json"
    epoch: str = Field(pattern=r"^[0-9a-f]{16,32}$", description="life of the outbox file, rising over time")
    seq: int = Field(ge=1, le=2**53, description="place in the epoch, from 1, without holes")
    data: EventData

    @property
    def kind(self) -> EventKind | None:
        """The event's kind, or None for a type that this version does not know."""
        return KIND_OF_TYPE.get(self.type)

    def to_json(self) -> str:
        """Compact JSON without absent fields."""
        return self.model_dump_json(exclude_none=True)
