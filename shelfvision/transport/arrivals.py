"""Turns raw MQTT messages into deliveries and messages, whatever their bytes hold. Never raises."""

from __future__ import annotations

import re

from pydantic import BaseModel, ValidationError

from shelfvision.core import strict_json
from shelfvision.core.events import Event
from shelfvision.core.messages import CameraStatus, DeviceStatus, Health, SlotState, TaskCommand
from shelfvision.errors import MalformedMessageError
from shelfvision.transport.inbox import Delivery, IncomingMessage
from shelfvision.transport.mqtt import Incoming
from shelfvision.transport.topics import Address, TopicKind

_EPOCH = re.compile(r"[0-9a-f]{16,32}")
_SEQ = re.compile(r"[1-9][0-9]{0,15}")
_MAX_SEQ = 2**53
_MODELS: dict[TopicKind, type[SlotState | CameraStatus | DeviceStatus | Health | TaskCommand]] = {
    TopicKind.SLOT_STATE: SlotState,
    TopicKind.CAMERA_STATUS: CameraStatus,
    TopicKind.DEVICE_STATUS: DeviceStatus,
    TopicKind.HEALTH: Health,
    TopicKind.TASK_COMMAND: TaskCommand,
}


def read_delivery(message: Incoming, device: str, store: str) -> Delivery:
    """The delivery that a message on a device's ``/events`` topic is."""
    place = _place(message.properties)
    event: Event | None = None
    fault: str | None = None
    try:
        content = strict_json.loads(message.payload)
        if place is None:
            place = _place(content if isinstance(content, dict) else {})
        event = Event.model_validate_json(message.payload, strict=True)
        fault = _misfit(event, place, device, store)
    except MalformedMessageError as error:
        fault = str(error)
    except ValidationError as error:
        fault = describe(error)
    epoch, seq = place or (None, None)
    return Delivery(
        device=device,
        epoch=epoch,
        seq=seq,
        event=None if fault else event,
        raw=message.payload,
        topic=message.topic,
        received_at=message.received_at,
        fault=fault,
    )


def base_of(message: Incoming) -> int | None:
    """The lowest seq that the device still had when it sent this, if it said so."""
    base = message.properties.get("base", "")
    return int(base) if _SEQ.fullmatch(base) and int(base) <= _MAX_SEQ else None


def read_message(message: Incoming, address: Address) -> IncomingMessage:
    """The message on any other topic that the service listens to."""
    model = None
    fault: str | None = None
    if message.payload:
        try:
            strict_json.loads(message.payload)
            model = _MODELS[address.kind].model_validate_json(message.payload, strict=True)
            fault = _other_subject(model, address)
        except MalformedMessageError as error:
            fault = str(error)
        except ValidationError as error:
            fault = describe(error)
    elif address.kind is TopicKind.TASK_COMMAND:
        fault = "empty payload"
    return IncomingMessage(
        kind=address.kind,
        topic=message.topic,
        device=address.device,
        name=address.name,
        payload=message.payload,
        model=None if fault else model,
        fault=fault,
        retained=message.retain,
        received_at=message.received_at,
    )


def describe(error: ValidationError) -> str:
    """The first fault of a document, in one line without its values."""
    faults = error.errors(include_url=False, include_input=False)
    first = faults[0]
    where = ".".join(str(part) for part in first["loc"]) or "document"
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    return f"{where}: {first['msg']}{more}"


def _place(values: dict[str, object] | dict[str, str]) -> tuple[str, int] | None:
    """Epoch and seq when both are there and possible."""
    epoch, seq = values.get("epoch"), values.get("seq")
    if isinstance(seq, int) and not isinstance(seq, bool):
        seq = str(seq)
    if not isinstance(epoch, str) or not isinstance(seq, str):
        return None
    if not _EPOCH.fullmatch(epoch) or not _SEQ.fullmatch(seq) or int(seq) > _MAX_SEQ:
        return None
    return epoch, int(seq)


def _misfit(event: Event, place: tuple[str, int] | None, device: str, store: str) -> str | None:
    """Why a readable event cannot be taken."""
    if place is not None and place != (event.epoch, event.seq):
        return f"payload says epoch {event.epoch} seq {event.seq}, message properties {place[0]} {place[1]}"
    if event.source.split("/")[:2] != [store, device]:
        return f"source {event.source} does not belong to the topic of device {device}"
    if event.kind is None:
        return f"unknown type {event.type}"
    if event.data.first_seq is not None and event.data.first_seq > event.seq:
        return f"gap begins at {event.data.first_seq}, above its own seq {event.seq}"
    return None


def _other_subject(model: BaseModel, address: Address) -> str | None:
    for field, expected in (("device", address.device), ("camera", address.name), ("slot", address.name)):
        if field == "camera" and address.kind is not TopicKind.CAMERA_STATUS:
            continue
        found = getattr(model, field, None)
        if found is not None and expected is not None and found != expected:
            return f"{field} {found} does not belong to its topic"
    return None
