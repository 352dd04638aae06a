"""What the service receives, and what its database must do with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from shelfvision.core.events import Event
from shelfvision.core.messages import Ack, CameraStatus, DeviceStatus, Health, SlotState, TaskCommand
from shelfvision.transport.topics import TopicKind


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message from a device's ``/events`` topic, readable or not.

    ``event`` is None when the payload is unreadable or of an unknown type; ``fault`` then says why and the message
    belongs into the dead letters, while the watermark still passes over its seq.

    A **gap** (``event.kind is EventKind.GAP``) says that the device's disk was full and that it gave up every event
    of ``first_seq..seq`` that the service does not have yet. It is no event of the shelf: nothing is applied but the
    watermark may pass over the whole range. It can overlap seqs (its own included) that have arrived before.
    """

    device: str
    epoch: str | None  # MQTT user property, present even when the payload is unreadable, else from the payload
    seq: int | None  # likewise
    event: Event | None
    raw: bytes
    topic: str
    received_at: float  # POSIX seconds of our clock; compare with event.time to see a clock that is off
    fault: str | None = None

    @property
    def first_seq(self) -> int | None:
        """First seq that this delivery settles: ``seq`` itself, but for a gap the start of its range."""
        if self.event is not None and self.event.data.first_seq is not None:
            return self.event.data.first_seq
        return self.seq


class InboxStore(Protocol):
    """The service's database as the link sees it."""

    def apply(self, deliveries: Sequence[Delivery]) -> Mapping[str, Ack]:
        """Store and apply messages in ONE transaction; they are acknowledged to the broker after it returns.

        Inbox rows (unique by device, epoch, seq), state change, dead letters and watermark commit together. Events
        apply in order of seq; a hole holds the watermark, and what lies above it is stored and applied when the hole
        fills. Calling it again with the same deliveries changes nothing.

        Returns:
            For each device named, the epoch of its last delivery with a seq and the cumulative watermark in it.

        Raises:
            StoreError: locked, full, ...: nothing was stored; the link tries again until it works.
        """

    def watermarks(self) -> Mapping[str, Ack]:
        """The watermark of every known device in its newest epoch, published when the link comes up."""


@dataclass(frozen=True, slots=True)
class IncomingMessage:
    """A message on any other topic that the service listens to."""

    kind: TopicKind  # SLOT_STATE, CAMERA_STATUS, DEVICE_STATUS, HEALTH or TASK_COMMAND
    topic: str
    device: str | None  # None for task commands
    name: str | None  # slot, camera or task id
    payload: bytes
    model: SlotState | CameraStatus | DeviceStatus | Health | TaskCommand | None
    fault: str | None  # why model is None; None with no model means: an empty payload, the topic was cleared
    retained: bool  # it had been on the broker before we came
    received_at: float  # POSIX seconds of our clock
