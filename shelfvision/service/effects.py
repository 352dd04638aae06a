"""What an event changes besides the inbox: beliefs about slots, counts by hour, stockouts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, insert, select, update

from shelfvision.core.demand import Observation
from shelfvision.core.events import Event, EventKind
from shelfvision.core.messages import SlotCondition
from shelfvision.service.limits import short
from shelfvision.service.schema import activity, slots, stockouts, traffic
from shelfvision.service.task_rows import worked_places
from shelfvision.service.upsert import upsert

CONDITION_OF_KIND = {
    EventKind.STOCKOUT: SlotCondition.OUT,
    EventKind.LOW_STOCK: SlotCondition.LOW,
    EventKind.RESTOCKED: SlotCondition.IN_STOCK,
}
_LONGEST_WINDOW = 86_400.0  # seconds: the longest presence window that a site file allows
_MOST_PEOPLE = 100_000  # in one window
_IN_LIMIT = 500  # SQLite allows 999 variables in old builds
_COUNTS = (
    "pick_ups",
    "put_backs",
    "touches",
    "staff_units",
    "holds",
    "hold_seconds",
    "available_seconds",
)


@dataclass(slots=True)
class _Slot:
    row: dict[str, Any]
    new: bool
    changed: bool = False


def unplanned_slot(device: str, slot: str, camera: str, sku: str) -> dict[str, Any]:
    """The row of a slot that the site file does not name; it comes last in walking order."""
    row: dict[str, Any] = {column.name: None for column in slots.columns}
    row |= {"device": device, "slot": slot, "camera": camera, "sku": sku, "position": 1_000_000, "planned": False}
    return row | {"capacity": 1, "facings": 1, "priority": 1.0, "changes": 0, "refills": 0}


class Effects:
    """Collects the effects of a batch of events and writes them with few statements.

    Args:
        connection: inside a writing transaction that the caller commits.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._slots: dict[tuple[str, str], _Slot] = {}
        self._activity: dict[tuple[str, str, str, int], dict[str, Any]] = {}
        self._traffic: dict[tuple[str, str, int], dict[str, Any]] = {}
        self._stockouts: dict[tuple[str, str, int], dict[str, Any]] = {}
        self._ended: list[dict[str, Any]] = []
        self._worked: frozenset[tuple[str, str]] | None = None
        self.observations: list[Observation] = []  # what demand can learn from

    def load(self, places: Iterable[tuple[str, str]]) -> None:
        """Fetch the rows of many (device, slot) with few statements, ahead of ``apply``."""
        wanted: dict[str, set[str]] = {}
        for device, slot in places:
            if (device, slot) not in self._slots:
                wanted.setdefault(device, set()).add(slot)
        for device, names in wanted.items():
            ordered = sorted(names)
            for start in range(0, len(ordered), _IN_LIMIT):
                query = select(slots).where(
                    slots.c.device == device, slots.c.slot.in_(ordered[start : start + _IN_LIMIT])
                )
                for found in self._connection.execute(query).mappings():
                    self._slots[device, found["slot"]] = _Slot(dict(found), new=False)

    def find(self, device: str, slot: str) -> _Slot | None:
        """A slot that has been loaded and has a row."""
        return self._slots.get((device, slot))

    def apply(self, device: str, event: Event) -> None:
        """Take one event of a device in, after ``load``; events come in order of their device's sequence."""
        kind = event.kind
        if kind is None or kind in {EventKind.CAMERA, EventKind.GAP}:
            return
        camera = short(event.source.rsplit("/", 1)[-1], 64)
        at = event.time.timestamp()
        data = event.data
        if data.slot is None:
            if kind is EventKind.PRESENCE:
                self._count_traffic(
                    device, camera, at if data.started_at is None else data.started_at.timestamp(), event
                )
            return
        slot = self._slot(device, data.slot, camera, data.sku)
        if kind in CONDITION_OF_KIND:
            self.believe(
                slot,
                CONDITION_OF_KIND[kind],
                since=at if data.onset_at is None else data.onset_at.timestamp(),
                at=at,
                fullness=data.fullness,
                facings=data.facings,
                confidence=data.confidence,
            )
        elif kind is not EventKind.MISPLACED:
            self._count(slot, kind, at, event)

    def believe(
        self,
        slot: _Slot,
        condition: SlotCondition,
        *,
        since: float,
        at: float,
        fullness: float | None,
        facings: int | None,
        confidence: float | None,
    ) -> None:
        """Take over a slot's condition; a change is counted and opens or ends a stockout."""
        row = slot.row
        slot.changed = True
        before = row["condition"]
        row.update(condition_at=at, fullness=fullness, seen_facings=facings, confidence=confidence)
        if condition == before:
            return
        place = (row["device"], row["slot"])
        if before == SlotCondition.OUT:
            opened = self._stockouts.get((*place, row["changes"]))
            if opened is not None:
                opened["ended_at"] = since
            else:
                self._ended.append(
                    {"key_device": place[0], "key_slot": place[1], "key_change": row["changes"], "ended_at": since}
                )
        row["condition"] = condition.value
        row["condition_since"] = since
        row["changes"] += 1
        row["refills"] += condition is SlotCondition.IN_STOCK
        if condition is SlotCondition.OUT:
            self._stockouts[*place, row["changes"]] = {
                "device": place[0],
                "slot": place[1],
                "change": row["changes"],
                "sku": row["sku"],
                "onset_at": since,
                "alerted_at": at,
                "ended_at": None,
                "false_alarm": False,
                "note": None,
            }

    def flush(self) -> None:
        """Write everything collected."""
        new = [slot.row for slot in self._slots.values() if slot.new]
        changed = [
            {f"key_{name}" if name in {"device", "slot"} else name: value for name, value in slot.row.items()}
            for slot in self._slots.values()
            if slot.changed and not slot.new
        ]
        if new:
            self._connection.execute(insert(slots), new)
        if changed:
            where = (slots.c.device == bindparam("key_device"), slots.c.slot == bindparam("key_slot"))
            self._connection.execute(update(slots).where(*where), changed)
        upsert(self._connection, activity, list(self._activity.values()), add=_COUNTS)
        upsert(self._connection, traffic, list(self._traffic.values()), add=("passes", "stops"))
        upsert(self._connection, stockouts, list(self._stockouts.values()), replace=("ended_at",))
        if self._ended:
            which = (
                stockouts.c.device == bindparam("key_device"),
                stockouts.c.slot == bindparam("key_slot"),
                stockouts.c.change == bindparam("key_change"),
            )
            self._connection.execute(update(stockouts).where(*which), self._ended)

    def _slot(self, device: str, slot: str, camera: str, sku: str | None) -> _Slot:
        found = self.find(device, slot)
        if found is None:
            row = unplanned_slot(device, slot, camera, sku or "")
            found = self._slots[device, slot] = _Slot(row, new=True)
        elif sku and not found.row["planned"] and sku != found.row["sku"]:
            found.row["sku"] = sku
            found.changed = True
        return found

    def _count(self, slot: _Slot, kind: EventKind, at: float, event: Event) -> None:
        data = event.data
        sku = data.sku or slot.row["sku"]
        start = data.started_at.timestamp() if kind is EventKind.PRESENCE and data.started_at is not None else at
        key = (sku, slot.row["device"], slot.row["slot"], int(start // 3600))
        row = self._activity.get(key)
        if row is None:
            row = dict(zip(("sku", "device", "slot", "hour"), key, strict=True))
            row |= dict.fromkeys(_COUNTS, 0)
            self._activity[key] = row
        units = data.count or 1
        if kind is EventKind.PRESENCE:
            seconds = min(data.available_seconds or 0.0, _LONGEST_WINDOW)
            row["available_seconds"] += seconds
            self.observations.append(Observation(sku, start, seconds=seconds))
        elif data.by_staff or self._is_refill(slot, kind, event):
            row["staff_units"] += units if kind is not EventKind.TOUCH else 0
        elif kind is EventKind.PICK_UP:
            row["pick_ups"] += units
            self.observations.append(Observation(sku, at, takes=units))
        elif kind is EventKind.PUT_BACK:
            row["put_backs"] += units
            self.observations.append(Observation(sku, at, puts=units))
            if data.hold_seconds is not None:
                row["holds"] += 1
                row["hold_seconds"] += min(data.hold_seconds, _LONGEST_WINDOW)
        elif kind is EventKind.TOUCH:
            row["touches"] += units

    def _is_refill(self, slot: _Slot, kind: EventKind, event: Event) -> bool:
        """Units put where somebody works a task, and that nobody took before, are the refill."""
        if kind is not EventKind.PUT_BACK or event.data.linked_event is not None:
            return False
        if self._worked is None:
            self._worked = worked_places(self._connection)
        return (slot.row["device"], slot.row["slot"]) in self._worked

    def _count_traffic(self, device: str, camera: str, at: float, event: Event) -> None:
        key = (device, camera, int(at // 3600))
        row = self._traffic.setdefault(
            key, {**dict(zip(("device", "camera", "hour"), key, strict=True)), "passes": 0, "stops": 0}
        )
        row["passes"] += min(event.data.passes or 0, _MOST_PEOPLE)
        row["stops"] += min(event.data.stops or 0, _MOST_PEOPLE)
