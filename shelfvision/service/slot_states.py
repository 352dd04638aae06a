"""What is believed of slots now: live states, stock events, and cameras that are away, put together."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, select

from shelfvision.core.events import to_utc
from shelfvision.core.messages import SlotCondition, SlotState
from shelfvision.service.schema import cameras, devices, slots


def slot_state(row: Row[Any], away: float | None) -> SlotState:
    """What is believed of a slot now, from its row.

    The live state stands unless a stock event is newer; while device or camera are away it is unknown, with
    what was believed last beside it.
    """
    believed = None if row.condition is None else SlotCondition(row.condition)
    if _live_stands(row):
        state, since, at = SlotCondition(row.live_state), row.live_since, row.live_at
        fullness, facings, confidence = row.live_fullness, row.live_facings, row.live_confidence
        last_known = believed if row.live_last_known is None else SlotCondition(row.live_last_known)
        obstructed = bool(row.live_obstructed)
    else:
        state, since, at = believed or SlotCondition.UNKNOWN, row.condition_since or 0.0, row.condition_at or 0.0
        fullness, facings, confidence = row.fullness, row.seen_facings, row.confidence
        last_known, obstructed = None, False
    if away is not None and state is not SlotCondition.UNKNOWN:
        last_known, state, since = state, SlotCondition.UNKNOWN, max(away, since)
    if state is SlotCondition.UNKNOWN:
        fullness, obstructed = None, obstructed and away is None
    return SlotState(
        slot=row.slot,
        camera=row.camera,
        sku=row.sku,
        state=state,
        since=to_utc(since),
        updated_at=to_utc(at),
        fullness=fullness,
        facings=facings,
        confidence=confidence or 0.0,
        obstructed=obstructed,
        last_known=last_known if state is SlotCondition.UNKNOWN else None,
    )


def states(connection: Connection) -> list[SlotCondition]:
    """The state of every slot of the site file, as ``shelf`` shows it."""
    device_rows = {row.device: row for row in connection.execute(select(devices))}
    camera_rows = {(row.device, row.camera): row for row in connection.execute(select(cameras))}
    columns = (slots.c.device, slots.c.camera, slots.c.condition, slots.c.condition_at)
    live = (slots.c.live_state, slots.c.live_at)
    found = []
    for row in connection.execute(select(*columns, *live).where(slots.c.planned)):
        away = away_since(device_rows.get(row.device), camera_rows.get((row.device, row.camera)))
        state = row.live_state if _live_stands(row) else row.condition
        found.append(SlotCondition.UNKNOWN if away is not None or state is None else SlotCondition(state))
    return found


def _live_stands(row: Any) -> bool:
    """Whether the live state is at least as new as the newest stock event."""
    return row.live_state is not None and (row.condition_at is None or row.live_at >= row.condition_at)


def away_since(device: Row[Any] | None, camera: Row[Any] | None) -> float | None:
    """Since when a slot's device or camera has not been able to judge it (POSIX seconds); None while it can."""
    if device is not None and device.status == "offline":
        return float(device.status_since)
    if camera is not None and camera.status in {"offline", "frozen", "moved", "resized", "ended"}:
        return float(camera.status_since)
    return None
