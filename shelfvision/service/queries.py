"""What the web page and API read: documents made from rows. Nothing here writes."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, func, select

from shelfvision.core.events import to_utc
from shelfvision.core.messages import Ranking, SlotCondition, SlotState, TaskDocument, TaskState
from shelfvision.service import schema
from shelfvision.service.schema import (
    activity,
    cameras,
    dead_letters,
    devices,
    documents,
    inbox,
    meta,
    slots,
    watermarks,
)
from shelfvision.service.slot_states import away_since, slot_state, states
from shelfvision.service.store import Store
from shelfvision.service.task_rows import closed_tasks, live_tasks, load_task

CLOCK_TOLERANCE = 300.0  # seconds between event time and receipt that are worth a flag
_RECENTLY_CLOSED = 20


@dataclass(frozen=True, slots=True)
class ShelfSlot:
    """A slot as the Shelf page draws it."""

    state: SlotState
    name: str
    polygon: tuple[tuple[float, float], ...]  # pixels of the camera's frame_size; empty when not in the site file
    capacity: int
    pick_ups: int  # units picked up today (the store's day), by shoppers
    task: str | None  # id of its task that is not closed
    stale_since: datetime | None  # the device or camera is away since then, so ``state`` is unknown


@dataclass(frozen=True, slots=True)
class ShelfCamera:
    """A camera with its slots, in the order of the site file."""

    camera: str
    device: str
    status: str  # a CameraStatus status, or "unknown" before the first message; "offline" when the device is
    since: datetime | None
    error: str | None
    frame_size: tuple[int, int] | None  # width, height
    fps: float | None
    slots: tuple[ShelfSlot, ...]


@dataclass(frozen=True, slots=True)
class ProductSummary:
    """How popular a SKU is."""

    sku: str
    name: str
    category: str
    rate_per_hour: float | None  # net takes an hour while in stock and in view; None before the first estimate
    pick_ups: int  # today
    put_backs: int
    touches: int
    pick_ups_week: int  # last 7 days
    put_backs_week: int
    hold_seconds: float | None  # mean of the last 7 days' returned units
    available_hours_week: float  # slot-hours in stock and in view
    slots: int
    slots_out: int
    backroom_units: int | None


@dataclass(frozen=True, slots=True)
class DeviceSummary:
    """A device's connection and delivery."""

    device: str
    status: str | None
    since: datetime | None
    version: str | None
    backlog: int | None
    dropped: int | None
    epoch: str | None
    seq: int
    waiting: int  # events that came but wait for a hole in the sequence to fill
    last_received_at: datetime | None
    clock_lag_seconds: float | None  # flagged: receipt minus event time, when over CLOCK_TOLERANCE


@dataclass(frozen=True, slots=True)
class Summary:
    """The store at a glance."""

    slots: int
    in_stock: int
    low: int
    out: int
    unknown: int
    availability: float | None  # (in stock + low) over slots whose state is known
    open_tasks: int  # open and workable
    claimed_tasks: int
    done_tasks: int  # reported done, not yet confirmed
    not_workable_tasks: int
    events: int  # events stored
    dead_letters: int
    devices: tuple[DeviceSummary, ...]


@dataclass(frozen=True, slots=True)
class Applied:
    """What has been applied, counted from the effects themselves; for checks of exactly-once delivery."""

    events: int  # rows of the inbox up to the watermarks
    waiting: int  # rows above them
    units: int  # pick-ups, put-backs, touches and staff units counted by hour
    changes: int  # slot state changes
    dead_letters: int


def tasks(store: Store, now: float) -> list[TaskDocument]:
    """Tasks to do by rank, then not workable ones, then the 20 that were closed last."""
    del now
    with store.database.read() as connection:
        store_id = _store_id(connection)
        todo = live_tasks(connection)
        closed = closed_tasks(connection, _RECENTLY_CLOSED)
    todo.sort(key=lambda task: (not task.workable, task.rank is None, task.rank or 0, task.created_at, task.id))
    return [task.document(store_id) for task in (*todo, *closed)]


def task(store: Store, task_id: str) -> TaskDocument | None:
    """One task, open or closed."""
    with store.database.read() as connection:
        found = load_task(connection, task_id)
        return None if found is None else found.document(_store_id(connection))


def shelf(store: Store, now: float, *, timezone: str = "UTC") -> list[ShelfCamera]:
    """Cameras of the site file with their slots; ``pick_ups`` counts since midnight in ``timezone``."""
    with store.database.read() as connection:
        camera_list = connection.execute(select(cameras).where(cameras.c.planned).order_by(cameras.c.position)).all()
        slot_list = connection.execute(select(slots).where(slots.c.planned).order_by(slots.c.position)).all()
        device_rows = {row.device: row for row in connection.execute(select(devices))}
        names = {row.sku: row.name for row in connection.execute(select(schema.products.c.sku, schema.products.c.name))}
        today = _picked(connection, _midnight(now, timezone))
        open_tasks = {
            row.place: row.id
            for row in connection.execute(
                select(schema.tasks.c.place, schema.tasks.c.id).where(schema.tasks.c.place.is_not(None))
            )
        }
    by_camera: dict[tuple[str, str], list[ShelfSlot]] = defaultdict(list)
    status = {(row.device, row.camera): row for row in camera_list}
    for row in slot_list:
        away = away_since(device_rows.get(row.device), status.get((row.device, row.camera)))
        by_camera[row.device, row.camera].append(
            ShelfSlot(
                state=slot_state(row, away),
                name=names.get(row.sku, row.sku),
                polygon=tuple((x, y) for x, y in json.loads(row.polygon)) if row.polygon else (),
                capacity=row.capacity,
                pick_ups=today.get((row.device, row.slot), 0),
                task=open_tasks.get(f"{row.device}/{row.slot}"),
                stale_since=None if away is None else to_utc(away),
            )
        )
    found = []
    for row in camera_list:
        device = device_rows.get(row.device)
        away_device = device is not None and device.status == "offline"
        since = device.status_since if device is not None and away_device else row.status_since
        found.append(
            ShelfCamera(
                camera=row.camera,
                device=row.device,
                status="offline" if away_device else row.status or "unknown",
                since=None if since is None else to_utc(since),
                error=f"device {row.device} is offline" if away_device else row.error,
                frame_size=None if row.width is None else (row.width, row.height),
                fps=None if away_device else row.fps,
                slots=tuple(by_camera[row.device, row.camera]),
            )
        )
    return found


def ranking(store: Store, now: float) -> Ranking:
    """The newest ranking; empty before the first."""
    body = _document(store, "ranking")
    return (
        Ranking(at=to_utc(now), rank_by="lost_value", items=[]) if body is None else Ranking.model_validate_json(body)
    )


def products(store: Store, now: float, *, timezone: str = "UTC") -> list[ProductSummary]:
    """Every SKU of the site file in the catalogue's order, with today's and the last 7 days' counts."""
    rates: dict[str, float] = json.loads(_document(store, "rates") or "{}")
    with store.database.read() as connection:
        found = connection.execute(
            select(schema.products).where(schema.products.c.planned).order_by(schema.products.c.position)
        ).all()
        today = _counts_by_sku(connection, _midnight(now, timezone))
        week = _counts_by_sku(connection, now - 7 * 86_400)
        places: dict[str, list[str | None]] = defaultdict(list)
        for row in connection.execute(select(slots.c.sku, slots.c.condition).where(slots.c.planned)):
            places[row.sku].append(row.condition)
    nothing = {"pick_ups": 0, "put_backs": 0, "touches": 0, "holds": 0, "hold_seconds": 0.0, "available_seconds": 0.0}
    summaries = []
    for row in found:
        day, seven = today.get(row.sku, nothing), week.get(row.sku, nothing)
        summaries.append(
            ProductSummary(
                sku=row.sku,
                name=row.name,
                category=row.category,
                rate_per_hour=rates.get(row.sku),
                pick_ups=day["pick_ups"],
                put_backs=day["put_backs"],
                touches=day["touches"],
                pick_ups_week=seven["pick_ups"],
                put_backs_week=seven["put_backs"],
                hold_seconds=seven["hold_seconds"] / seven["holds"] if seven["holds"] else None,
                available_hours_week=seven["available_seconds"] / 3600,
                slots=len(places[row.sku]),
                slots_out=sum(condition == SlotCondition.OUT for condition in places[row.sku]),
                backroom_units=row.backroom_units,
            )
        )
    return summaries


def summary(store: Store, now: float) -> Summary:
    """Counts of slots, tasks and deliveries."""
    del now
    with store.database.read() as connection:
        found_states = states(connection)
        todo = live_tasks(connection)
        device_list = _devices(connection)
        dead = connection.scalar(select(func.count()).select_from(dead_letters)) or 0
        events = connection.scalar(select(func.sum(watermarks.c.seq))) or 0
    count = {condition: found_states.count(condition) for condition in SlotCondition}
    known = len(found_states) - count[SlotCondition.UNKNOWN]
    return Summary(
        slots=len(found_states),
        in_stock=count[SlotCondition.IN_STOCK],
        low=count[SlotCondition.LOW],
        out=count[SlotCondition.OUT],
        unknown=count[SlotCondition.UNKNOWN],
        availability=(count[SlotCondition.IN_STOCK] + count[SlotCondition.LOW]) / known if known else None,
        open_tasks=sum(task.state is TaskState.OPEN and task.workable for task in todo),
        claimed_tasks=sum(task.state is TaskState.CLAIMED for task in todo),
        done_tasks=sum(task.state is TaskState.DONE for task in todo),
        not_workable_tasks=sum(task.state is TaskState.OPEN and not task.workable for task in todo),
        events=int(events),
        dead_letters=dead,
        devices=tuple(device_list),
    )


def applied(store: Store) -> Applied:
    """Counts for checks that nothing was lost or applied twice."""
    with store.database.read() as connection:
        joined = inbox.join(watermarks, (watermarks.c.device == inbox.c.device) & (watermarks.c.epoch == inbox.c.epoch))
        below = connection.scalar(select(func.count()).select_from(joined).where(inbox.c.seq <= watermarks.c.seq)) or 0
        all_rows = connection.scalar(select(func.count()).select_from(inbox)) or 0
        counted = activity.c.pick_ups + activity.c.put_backs + activity.c.touches + activity.c.staff_units
        return Applied(
            events=below,
            waiting=all_rows - below,
            units=int(connection.scalar(select(func.sum(counted))) or 0),
            changes=int(connection.scalar(select(func.sum(slots.c.changes))) or 0),
            dead_letters=connection.scalar(select(func.count()).select_from(dead_letters)) or 0,
        )


def _devices(connection: Connection) -> list[DeviceSummary]:
    progress = {(row.device, row.epoch): row for row in connection.execute(select(watermarks))}
    found = []
    for row in connection.execute(select(devices).order_by(devices.c.device)):
        mark = progress.get((row.device, row.epoch))
        waiting = 0
        if mark is not None and mark.highest > mark.seq:
            above = (inbox.c.device == row.device, inbox.c.epoch == row.epoch, inbox.c.seq > mark.seq)
            waiting = connection.scalar(select(func.count()).select_from(inbox).where(*above)) or 0
        off = row.clock_lag is not None and abs(row.clock_lag) > CLOCK_TOLERANCE
        found.append(
            DeviceSummary(
                device=row.device,
                status=row.status,
                since=None if row.status_since is None else to_utc(row.status_since),
                version=row.version,
                backlog=row.backlog,
                dropped=row.dropped,
                epoch=row.epoch,
                seq=0 if mark is None else mark.seq,
                waiting=waiting,
                last_received_at=None if row.last_received_at is None else to_utc(row.last_received_at),
                clock_lag_seconds=row.clock_lag if off else None,
            )
        )
    return found


def _picked(connection: Connection, since: float) -> dict[tuple[str, str], int]:
    query = (
        select(activity.c.device, activity.c.slot, func.sum(activity.c.pick_ups).label("units"))
        .where(activity.c.hour >= int(since // 3600))
        .group_by(activity.c.device, activity.c.slot)
    )
    return {(row.device, row.slot): int(row.units) for row in connection.execute(query)}


def _counts_by_sku(connection: Connection, since: float) -> dict[str, dict[str, Any]]:
    names = ("pick_ups", "put_backs", "touches", "holds", "hold_seconds", "available_seconds")
    query = (
        select(activity.c.sku, *(func.sum(activity.c[name]).label(name) for name in names))
        .where(activity.c.hour >= int(since // 3600))
        .group_by(activity.c.sku)
    )
    return {row["sku"]: dict(row) for row in connection.execute(query).mappings()}


def _midnight(now: float, timezone: str) -> float:
    local = datetime.fromtimestamp(now, ZoneInfo(timezone))
    return local.replace(hour=0, minute=0, second=0, microsecond=0).timestamp()


def _store_id(connection: Connection) -> str:
    return connection.scalar(select(meta.c.value).where(meta.c.name == "store")) or "store"


def _document(store: Store, name: str) -> str | None:
    with store.database.read() as connection:
        return connection.scalar(select(documents.c.body).where(documents.c.name == name))
