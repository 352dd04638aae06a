"""What planning reads from the database, and what it leaves there for the web page."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from shelfvision.core.demand import DemandModel
from shelfvision.core.messages import Ranking, SlotCondition
from shelfvision.core.ranking import Candidate
from shelfvision.service.schema import activity, cameras, devices, documents, products, slots
from shelfvision.service.upsert import upsert

_SEEING = {None, "starting", "online"}


@dataclass(frozen=True, slots=True)
class PlannedSlot:
    """A slot with all that planning wants to know of it."""

    candidate: Candidate
    changes: int
    refills: int
    muted: bool  # staff said that there is nothing to refill, and its state has not changed since
    in_view: bool  # its camera can judge it now

    @property
    def place(self) -> tuple[str, str]:
        """Device and slot id."""
        return self.candidate.device, self.candidate.slot


def load_slots(connection: Connection, picked: Mapping[tuple[str, str], int]) -> list[PlannedSlot]:
    """Slots of the site file, and those of devices that it does not name if their SKU is in the catalogue.

    Args:
        connection: for reading.
        picked: plain counts of pick-ups by (device, slot).
    """
    away = {row.device for row in connection.execute(select(devices.c.device).where(devices.c.status == "offline"))}
    blind = {
        (row.device, row.camera)
        for row in connection.execute(select(cameras.c.device, cameras.c.camera, cameras.c.status))
        if row.status not in _SEEING
    }
    ours = select(slots.c.device).where(slots.c.planned).distinct()
    query = (
        select(
            slots,
            products.c.name,
            products.c.unit_value,
            products.c.backroom_units,
        )
        .join(products, products.c.sku == slots.c.sku)
        .where(slots.c.planned | (products.c.planned & slots.c.device.not_in(ours)))
    )
    found = []
    for row in connection.execute(query).mappings():
        visible = row["live_state"] not in {None, SlotCondition.UNKNOWN.value} and not row["live_obstructed"]
        here = row["device"] not in away and (row["device"], row["camera"]) not in blind
        candidate = Candidate(
            device=row["device"],
            slot=row["slot"],
            sku=row["sku"],
            name=row["name"],
            condition=_condition(row["condition"], row["live_state"]),
            since=row["condition_since"],
            fullness=row["fullness"],
            capacity=row["capacity"],
            priority=row["priority"],
            unit_value=row["unit_value"],
            backroom_units=row["backroom_units"],
            position=row["position"],
            pick_ups=picked.get((row["device"], row["slot"]), 0),
        )
        muted = row["muted_change"] == row["changes"]
        found.append(PlannedSlot(candidate, row["changes"], row["refills"], muted, visible and here))
    return found


def _condition(believed: str | None, live: str | None) -> SlotCondition:
    """The last known condition. Without any stock event a live "in stock" will do; an alarm needs its event."""
    if believed is not None:
        return SlotCondition(believed)
    return SlotCondition.IN_STOCK if live == SlotCondition.IN_STOCK.value else SlotCondition.UNKNOWN


def count_pick_ups(connection: Connection, since: float) -> dict[tuple[str, str], int]:
    """Units picked up in each slot since a time, by the hour."""
    query = (
        select(activity.c.device, activity.c.slot, func.sum(activity.c.pick_ups).label("units"))
        .where(activity.c.hour >= int(since // 3600))
        .group_by(activity.c.device, activity.c.slot)
    )
    return {(row.device, row.slot): int(row.units) for row in connection.execute(query)}


def load_demand(connection: Connection, half_life: float, now: float) -> DemandModel:
    """The demand model as the counts by hour make it.

    Counts are taken together over a fourteenth of the half-life and placed in its middle: less than 3 % off in
    weight, and a month of 5,000 SKUs loads in about a second. What is older than eight half-lives weighs under
    0.4 % and is left out.
    """
    categories = {row.sku: row.category for row in connection.execute(select(products.c.sku, products.c.category))}
    model = DemandModel(half_life, categories)
    span = max(1, math.floor(half_life / 14 / 3600))  # hours
    bucket = (activity.c.hour - activity.c.hour % span).label("start")
    query = (
        select(
            activity.c.sku,
            bucket,
            func.sum(activity.c.pick_ups).label("takes"),
            func.sum(activity.c.put_backs).label("puts"),
            func.sum(activity.c.available_seconds).label("seconds"),
        )
        .where(activity.c.hour >= int((now - 8 * half_life) // 3600))
        .group_by(activity.c.sku, bucket)
    )
    for row in connection.execute(query):
        at = min((row.start + span / 2) * 3600, now)
        model.observe_take(row.sku, row.takes, at)
        model.observe_put(row.sku, row.puts, at)
        model.observe_exposure(row.sku, row.seconds, at)
    return model


def save_ranking(connection: Connection, now: float, ranking: Ranking, rates: Mapping[str, float]) -> None:
    """Leave the ranking and the rate of every SKU for ``queries``."""
    rows = [
        {"name": "ranking", "at": now, "body": ranking.to_json()},
        {"name": "rates", "at": now, "body": json.dumps(rates)},
    ]
    upsert(connection, documents, rows, replace=("at", "body"))
