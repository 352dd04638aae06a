"""Live messages of devices as rows: slot states, camera and device status."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, insert, select, update

from shelfvision.core.messages import CameraStatus, DeviceStatus, Health, SlotCondition, SlotState
from shelfvision.service.effects import Effects, unplanned_slot
from shelfvision.service.limits import MOST_BIG, is_identifier, short, whole
from shelfvision.service.schema import cameras, devices, slots
from shelfvision.service.upsert import upsert


@dataclass(frozen=True, slots=True)
class LiveMessage:
    """A state or status that a device published."""

    device: str
    model: SlotState | CameraStatus | DeviceStatus | Health
    received_at: float  # POSIX seconds of our clock
    retained: bool  # the broker had kept it while we were away


def keep(connection: Connection, messages: Sequence[LiveMessage]) -> None:
    """Keep messages, in the order in which they came."""
    messages = [message for message in messages if is_identifier(message.device)]
    states = [message for message in messages if isinstance(message.model, SlotState)]
    _keep_slot_states(connection, states)
    for message in messages:
        if isinstance(message.model, CameraStatus):
            _keep_camera(connection, message.device, message.model, message.received_at)
        elif isinstance(message.model, DeviceStatus):
            _keep_device(connection, message.device, message.model, message.received_at)
        elif isinstance(message.model, Health):
            lag = message.received_at - message.model.at.timestamp()
            row = {"device": message.device, "clock_lag": lag, "backlog": whole(message.model.backlog)}
            upsert(connection, devices, [row], replace=("clock_lag", "backlog"))


def _keep_slot_states(connection: Connection, messages: Sequence[LiveMessage]) -> None:
    """Keep live slot states.

    A live message is newer than the one before it, whatever the device's clock says. A retained one, which the
    broker kept while we were away, counts only if it is not older than what is known.
    """
    places = {(message.device, message.model.slot) for message in messages if isinstance(message.model, SlotState)}
    known: dict[tuple[str, str], dict[str, Any]] = {}
    columns = (slots.c.device, slots.c.slot, slots.c.live_state, slots.c.live_at, slots.c.live_from)
    for device in {device for device, _ in places}:
        for row in connection.execute(select(*columns).where(slots.c.device == device)).mappings():
            known[device, row["slot"]] = dict(row)
    new: list[dict[str, Any]] = []
    changed: dict[tuple[str, str], dict[str, Any]] = {}
    for message in messages:
        state = message.model
        if not isinstance(state, SlotState):
            continue
        place = (message.device, state.slot)
        before = known.get(place)
        if before is None:
            new.append(unplanned_slot(message.device, state.slot, state.camera, short(state.sku, 64)))
            before = {"live_state": None, "live_at": None, "live_from": None}
        at = state.updated_at.timestamp()
        if message.retained and before["live_at"] is not None and at < before["live_at"]:
            continue
        same = before["live_state"] == state.state.value
        known[place] = changed[place] = {
            "live_state": state.state.value,
            "live_since": state.since.timestamp(),
            "live_at": at,
            "live_from": before["live_from"] if same else message.received_at,
            "live_fullness": state.fullness,
            "live_facings": whole(state.facings),
            "live_confidence": state.confidence,
            "live_obstructed": state.obstructed,
            "live_last_known": None if state.last_known is None else state.last_known.value,
        }
    if new:
        connection.execute(insert(slots), new)
    if changed:
        rows = [{"key_device": device, "key_slot": slot, **values} for (device, slot), values in changed.items()]
        where = (slots.c.device == bindparam("key_device"), slots.c.slot == bindparam("key_slot"))
        connection.execute(update(slots).where(*where), rows)


def _keep_camera(connection: Connection, device: str, status: CameraStatus, received_at: float) -> None:
    row: dict[str, Any] = {"device": device, "camera": status.camera, "position": 1_000_000, "planned": False}
    row |= {"status": status.status, "status_since": status.since.timestamp(), "fps": status.fps}
    row |= {"error": short(status.error, 500), "updated_at": received_at}
    upsert(connection, cameras, [row], replace=("status", "status_since", "fps", "error", "updated_at"))


def _keep_device(connection: Connection, device: str, status: DeviceStatus, received_at: float) -> None:
    """Keep a birth or will; "since" is by our clock, for a will carries the time at which it was made."""
    known = connection.execute(select(devices).where(devices.c.device == device)).one_or_none()
    row: dict[str, Any] = {"device": device, "status": status.status, "status_since": received_at}
    if known is not None and known.status == status.status:
        row["status_since"] = known.status_since
    told = {
        "version": short(status.version, 64),
        "backlog": whole(status.backlog),
        "dropped": whole(status.dropped, MOST_BIG),
    }
    row |= {name: value for name, value in told.items() if value is not None}
    upsert(connection, devices, [row], replace=tuple(row)[1:])


def reconcile(connection: Connection, now: float, grace: float) -> int:
    """Believe live states whose stock event never came; how many slots that changed.

    A device whose outbox file was lost may never report a change that its retained state shows. A live state that
    has contradicted the believed condition for ``grace`` seconds is taken over as if its event had come, once the
    device's events are past it or have been silent for as long.
    """
    shown = [SlotCondition.IN_STOCK.value, SlotCondition.LOW.value, SlotCondition.OUT.value]
    heard = {row.device: row for row in connection.execute(select(devices))}
    columns = (slots.c.device, slots.c.slot, slots.c.live_since, slots.c.condition, slots.c.live_state)
    query = select(*columns).where(
        slots.c.planned,
        slots.c.live_state.in_(shown),
        slots.c.live_from <= now - grace,
        slots.c.condition.is_(None) | (slots.c.condition != slots.c.live_state),
        slots.c.condition_at.is_(None) | (slots.c.condition_at < slots.c.live_at),
    )
    waiting = [row for row in connection.execute(query).all() if _settled(heard.get(row.device), row, now, grace)]
    # in stock is what everybody takes for granted: no belief means the same until a stock event
    waiting = [row for row in waiting if not (row.condition is None and row.live_state == SlotCondition.IN_STOCK.value)]
    effects = Effects(connection)
    effects.load((row.device, row.slot) for row in waiting)
    for row in waiting:
        found = effects.find(row.device, row.slot)
        if found is None:
            continue
        live = found.row
        effects.believe(
            found,
            SlotCondition(live["live_state"]),
            since=live["live_since"],
            at=live["live_at"],
            fullness=live["live_fullness"],
            facings=live["live_facings"],
            confidence=live["live_confidence"],
        )
    effects.flush()
    return len(waiting)


def _settled(device: Any, row: Any, now: float, grace: float) -> bool:
    if device is None or device.status == "offline":
        return False
    past = device.last_event_at is not None and device.last_event_at > row.live_since + grace
    silent = device.last_received_at is None or device.last_received_at < now - grace
    return past or silent
