"""The MQTT topics of a store, written and read in one place (root ``shelfvision/v1/{store}``)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

ROOT = "shelfvision/v1"
PROBE = "probe"
"""User property of a message that only asks whether it would get through (`shelfvision doctor`); readers drop it."""


class TopicKind(StrEnum):
    """What a topic carries."""

    EVENTS = "events"
    ACK = "ack"
    DEVICE_STATUS = "device_status"
    CAMERA_STATUS = "camera_status"
    SLOT_STATE = "slot_state"
    HEALTH = "health"
    TASK = "task"
    TASK_COMMAND = "task_command"
    RANKING = "ranking"


_OF_DEVICE = {
    "events": TopicKind.EVENTS,
    "ack": TopicKind.ACK,
    "status": TopicKind.DEVICE_STATUS,
    "health": TopicKind.HEALTH,
}
_OF_PART = {("camera", "status"): TopicKind.CAMERA_STATUS, ("slot", "state"): TopicKind.SLOT_STATE}


@dataclass(frozen=True, slots=True)
class Address:
    """A topic taken apart."""

    kind: TopicKind
    device: str | None = None
    name: str | None = None  # camera, slot or task id


@dataclass(frozen=True, slots=True)
class Topics:
    """The topics of one store; ``+`` as an id gives the filter for all."""

    store: str

    @property
    def root(self) -> str:
        """Where all topics of the store begin."""
        return f"{ROOT}/{self.store}"

    def events(self, device: str) -> str:
        """Events of a device, in order of seq."""
        return f"{self.root}/{device}/events"

    def ack(self, device: str) -> str:
        """The service's watermark for a device."""
        return f"{self.root}/{device}/ack"

    def device_status(self, device: str) -> str:
        """Birth and will of a device."""
        return f"{self.root}/{device}/status"

    def camera_status(self, device: str, camera: str) -> str:
        """State of one camera."""
        return f"{self.root}/{device}/camera/{camera}/status"

    def slot_state(self, device: str, slot: str) -> str:
        """What is believed of one slot."""
        return f"{self.root}/{device}/slot/{slot}/state"

    def health(self, device: str) -> str:
        """Load and disk space of a device."""
        return f"{self.root}/{device}/health"

    def task(self, task: str) -> str:
        """A restock task's document."""
        return f"{self.root}/tasks/{task}"

    def task_command(self, task: str) -> str:
        """What staff apps want done with a task."""
        return f"{self.root}/tasks/{task}/set"

    @property
    def ranking(self) -> str:
        """What to refill next."""
        return f"{self.root}/ranking"

    def read(self, topic: str) -> Address | None:
        """The address that a topic of this store names; None for any other topic."""
        if not topic.startswith(self.root + "/"):
            return None
        address: Address | None = None
        match topic[len(self.root) + 1 :].split("/"):
            case ["ranking"]:
                address = Address(TopicKind.RANKING)
            case ["tasks", task]:
                address = Address(TopicKind.TASK, name=task)
            case ["tasks", task, "set"]:
                address = Address(TopicKind.TASK_COMMAND, name=task)
            case [device, leaf] if leaf in _OF_DEVICE:
                address = Address(_OF_DEVICE[leaf], device)
            case [device, group, name, leaf] if (group, leaf) in _OF_PART:
                address = Address(_OF_PART[group, leaf], device, name)
        return address
