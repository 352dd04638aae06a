"""Everything besides events that crosses a process or machine border over MQTT (topic root ``shelfvision/v1``)."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from shelfvision.core.events import Identifier, UtcTime


class Message(BaseModel):
    """A document on a topic; unknown fields are ignored so that newer writers can add some."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    def to_json(self) -> str:
        """Compact JSON without absent fields."""
        return self.model_dump_json(exclude_none=True)


class SlotCondition(StrEnum):
    """What is believed of a slot."""

    IN_STOCK = "in_stock"
    LOW = "low"
    OUT = "out"
    UNKNOWN = "unknown"


class SlotState(Message):
    """`/{device}/slot/{slot}/state`, retained."""

    slot: Identifier
    camera: Identifier
    sku: str
    state: SlotCondition
    since: UtcTime = Field(description="when this state began")
    updated_at: UtcTime
    fullness: float | None = Field(default=None, ge=0, le=1, allow_inf_nan=False, description="None while unknown")
    facings: int | None = Field(default=None, ge=0)
    confidence: float = Field(ge=0, le=1, allow_inf_nan=False)
    obstructed: bool = Field(default=False, description="something stands in front right now")
    last_known: SlotCondition | None = Field(default=None, description="last state before it became unknown")


class CameraStatus(Message):
    """`/{device}/camera/{camera}/status`, retained."""

    camera: Identifier
    status: Literal["starting", "online", "offline", "frozen", "moved", "resized", "ended"]
    since: UtcTime
    fps: float | None = Field(default=None, ge=0, allow_inf_nan=False, description="frames processed a second")
    dropped: int = Field(default=0, ge=0, description="frames skipped because a newer one had come")
    restarts: int = Field(default=0, ge=0)
    error: str | None = Field(default=None, max_length=500, description="why, without any password")


class DeviceStatus(Message):
    """`/{device}/status`, retained: birth when online, left by the broker as will when the device vanishes."""

    status: Literal["online", "offline"]
    device: Identifier
    epoch: str | None = None
    version: str | None = Field(default=None, description="version of shelfvision")
    models: dict[str, str] = Field(default_factory=dict, description="model name to version or sha256")
    backlog: int | None = Field(default=None, ge=0, description="events not yet acknowledged by the service")
    dropped: int | None = Field(default=None, ge=0, description="events replaced by gap records, ever")
    cameras: list[Identifier] = Field(default_factory=list)
    at: UtcTime | None = None
    problem: str | None = Field(default=None, max_length=500, description="what happened to the outbox, in words")


class Ack(Message):
    """`/{device}/ack`, retained: every event of ``epoch`` up to ``seq`` is safe in the service's database."""

    epoch: str = Field(pattern=r"^[0-9a-f]{16,32}$")
    seq: int = Field(ge=0, le=2**53)


class Health(Message):
    """`/{device}/health`, not retained, QoS 0."""

    device: Identifier
    at: UtcTime
    cpu_percent: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    rss_mb: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    disk_free_mb: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    backlog: int = Field(ge=0)
    outbox_mb: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    cameras: dict[str, float] = Field(default_factory=dict, description="camera id to frames processed a second")
    detector: Literal["starting", "ready", "away"] | None = Field(default=None, description="absent: none is used")
    detector_restarts: int | None = Field(default=None, ge=0)
    detector_problem: str | None = Field(default=None, max_length=500, description="why it is away")


class TaskState(StrEnum):
    """A restock task's life; ``confirmed``, ``rejected`` and ``expired`` are final."""

    OPEN = "open"
    CLAIMED = "claimed"
    DONE = "done"
    CONFIRMED = "confirmed"
    REJECTED = "rejected"
    EXPIRED = "expired"


class TaskDocument(Message):
    """`/tasks/{id}`, retained; an empty payload clears it when the task is closed."""

    id: Identifier
    version: int = Field(ge=1, description="rises by one with every change")
    state: TaskState
    store: Identifier
    device: Identifier
    slot: Identifier
    sku: str
    name: str
    units: int = Field(ge=0, description="units to bring")
    rank: int | None = Field(default=None, ge=1, description="1 is first; None when not workable or not open")
    value: float = Field(
        allow_inf_nan=False, description="expected lost value until the next refill, per minute of effort"
    )
    reasons: list[str] = Field(description="why it stands where it stands, in words")
    workable: bool = Field(default=True, description="False: nothing in the backroom, order it")
    condition: SlotCondition
    onset_at: UtcTime | None = None
    created_at: UtcTime
    updated_at: UtcTime
    claimed_by: str | None = Field(default=None, max_length=100)
    closed_reason: str | None = Field(default=None, max_length=200)


class TaskCommand(Message):
    """`/tasks/{id}/set`, written by staff apps."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    action: Literal["claim", "release", "complete", "reject"]
    version: int = Field(ge=1, description="version of the task that the actor saw; a claim on another one loses")
    actor: str = Field(min_length=1, max_length=100)
    key: str = Field(min_length=8, max_length=64, description="idempotency key: a repeat changes nothing")
    reason: str | None = Field(default=None, max_length=200, description="reject: why")


class RankedProduct(Message):
    """One line of the ranking."""

    rank: int = Field(ge=1)
    slot: Identifier
    device: Identifier
    sku: str
    name: str
    condition: SlotCondition
    value: float = Field(allow_inf_nan=False)
    rate_per_hour: float = Field(ge=0, allow_inf_nan=False, description="net takes an hour while in stock and in view")
    reasons: list[str]
    task: Identifier | None = None


class Ranking(Message):
    """`/ranking`, retained."""

    at: UtcTime
    rank_by: Literal["lost_value", "pickups"]
    items: list[RankedProduct]
    not_workable: list[RankedProduct] = Field(default_factory=list, description="nothing in the backroom: order")
