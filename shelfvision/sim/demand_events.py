"""A demand run as the cameras would report it: event drafts in order of time, and the truth beside them."""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from shelfvision.core.events import EventData, EventDraft, EventKind, to_utc
from shelfvision.core.planogram import CameraPlan, Slot
from shelfvision.errors import ConfigError
from shelfvision.sim.demand import DemandRun
from shelfvision.sim.demand_settings import DAY, HOUR, MONDAY
from shelfvision.sim.site_files import CameraEntry, write_site, write_whole
from shelfvision.sim.trading import Happening, Record

SLOTS_PER_CAMERA = 40
_ROWS, _COLUMNS, _FRAME = 5, 8, (1280, 720)
_KIND = {
    Happening.PICK_UP: EventKind.PICK_UP,
    Happening.PUT_BACK: EventKind.PUT_BACK,
    Happening.TOUCH: EventKind.TOUCH,
    Happening.STOCKOUT: EventKind.STOCKOUT,
    Happening.RESTOCKED: EventKind.RESTOCKED,
}


def camera_of(sku: int) -> str:
    """The camera that sees a SKU's slot."""
    return f"camera-{sku // SLOTS_PER_CAMERA + 1:03d}"


def slot_of(sku: int) -> str:
    """The slot of a SKU; each SKU has one."""
    return f"slot-{sku + 1:05d}"


def camera_plans(run: DemandRun) -> list[CameraPlan]:
    """The store's slots on a grid of 8 x 5 a camera, for a site file."""
    width, height = _FRAME[0] // _COLUMNS, _FRAME[1] // _ROWS
    plans = []
    for first in range(0, len(run.assortment), SLOTS_PER_CAMERA):
        slots = []
        for sku in range(first, min(first + SLOTS_PER_CAMERA, len(run.assortment))):
            row, column = divmod(sku - first, _COLUMNS)
            x, y = column * width + 4.0, row * height + 4.0
            corners = ((x, y), (x + width - 8, y), (x + width - 8, y + height - 8), (x, y + height - 8))
            facings, capacity = int(run.assortment.facings[sku]), int(run.assortment.capacity[sku])
            slots.append(Slot(slot_of(sku), corners, run.assortment.sku(sku), facings, capacity))
        plans.append(CameraPlan(camera_of(first), _FRAME, tuple(slots)))
    return plans


def event_drafts(run: DemandRun, *, window_seconds: float = HOUR, confirm_seconds: float = 3.0) -> Iterator[EventDraft]:
    """What the cameras report, in order of time: interactions, stockouts, refills, presence windows a slot.

    Interactions are missed at random (`seen_share`); stockouts are seen ``confirm_seconds`` after their onset.
    """
    rng = np.random.default_rng(np.random.SeedSequence(run.settings.seed).spawn(4)[3])
    seen = (rng.random(len(run.log)) < run.settings.seen_share).tolist()
    windows = _presence(run, window_seconds)
    upcoming = next(windows, None)
    for index, record in enumerate(run.log):
        while upcoming is not None and upcoming.time <= record.time:
            yield upcoming
            upcoming = next(windows, None)
        if seen[index] or record.what in {Happening.STOCKOUT, Happening.RESTOCKED}:
            linked = record.link >= 0 and seen[record.link]
            yield _draft(run, index, record, run.log[record.link] if linked else None, confirm_seconds)
    if upcoming is not None:
        yield upcoming
        yield from windows


def _draft(run: DemandRun, index: int, record: Record, pick_up: Record | None, confirm_seconds: float) -> EventDraft:
    sku, at = record.sku, to_utc(record.time)
    fullness = min(1.0, record.on_shelf / int(run.assortment.capacity[sku]))
    facings = min(record.on_shelf, int(run.assortment.facings[sku]))
    known: dict[str, Any] = {"slot": slot_of(sku), "sku": run.assortment.sku(sku), "confidence": 1.0}
    time = record.time
    if record.what is Happening.STOCKOUT:
        known |= {"onset_at": at, "fullness": 0.0, "facings": 0}
        time += confirm_seconds
    elif record.what is Happening.RESTOCKED:
        known |= {"onset_at": at, "fullness": fullness, "facings": facings, "by_staff": True}
    else:
        known |= {
            "count": max(1, record.units),
            "started_at": to_utc(time - 0.6),
            "contact_at": at,
            "ended_at": to_utc(time + 0.9),
        }
    if pick_up is not None:
        known |= {"hold_seconds": round(time - pick_up.time, 3), "linked_event": f"demand-{record.link}"}
    return EventDraft(_KIND[record.what], time, camera_of(sku), EventData(**known), f"demand-{index}")


def _presence(run: DemandRun, window: float) -> Iterator[EventDraft]:
    """Per window and slot the seconds in stock and the touches, and per camera the people; opening hours only."""
    settings = run.settings
    count = len(run.assortment)
    hands = [record for record in run.log if record.what <= Happening.TOUCH]
    times = [record.time for record in hands]
    pointers = [0] * count
    for day in range(settings.days):
        midnight = MONDAY + day * DAY
        begin, closing = midnight + settings.opens * HOUR, midnight + settings.closes * HOUR
        while begin < closing - 1e-6:
            end = min(begin + window, closing)
            reached = np.zeros(count, np.int64)
            inside = hands[bisect_left(times, begin) : bisect_left(times, end)]
            np.add.at(reached, [record.sku for record in inside], 1)
            for sku in range(count):
                empty = _overlap(run.empty_spans[sku], pointers, sku, (begin, end))
                yield _window(run, sku, (begin, end), touches=int(reached[sku]), empty=empty)
            for first in range(0, count, SLOTS_PER_CAMERA):
                stops = int(reached[first : first + SLOTS_PER_CAMERA].sum())
                yield EventDraft(
                    EventKind.PRESENCE,
                    end,
                    camera_of(first),
                    EventData(
                        count=stops * 3, passes=stops * 3, stops=stops, started_at=to_utc(begin), ended_at=to_utc(end)
                    ),
                    f"presence-{camera_of(first)}-{round(begin)}",
                )
            begin = end


def _window(run: DemandRun, sku: int, span: tuple[float, float], *, touches: int, empty: float) -> EventDraft:
    begin, end = span
    data = EventData(
        slot=slot_of(sku),
        sku=run.assortment.sku(sku),
        count=touches,
        available_seconds=round(end - begin - empty, 3),
        started_at=to_utc(begin),
        ended_at=to_utc(end),
    )
    return EventDraft(EventKind.PRESENCE, end, camera_of(sku), data, f"presence-{slot_of(sku)}-{round(begin)}")


def _overlap(spans: list[tuple[float, float]], pointers: list[int], sku: int, window: tuple[float, float]) -> float:
    """Seconds of the window inside the spans; windows come in order, so the pointer only goes on."""
    begin, end = window
    while pointers[sku] < len(spans) and spans[pointers[sku]][1] <= begin:
        pointers[sku] += 1
    total, place = 0.0, pointers[sku]
    while place < len(spans) and spans[place][0] < end:
        total += min(end, spans[place][1]) - max(begin, spans[place][0])
        place += 1
    return total


def truth_document(run: DemandRun) -> dict[str, Any]:
    """What no camera can know, for scoring a ranking: per SKU the true rate and the lost units."""
    rates, assortment = run.true_rate, run.assortment
    return {
        "version": 1,
        "seed": run.settings.seed,
        "days": run.settings.days,
        "start": MONDAY,
        "lost_value": round(run.lost_value, 4),
        "skus": {
            assortment.sku(index): {
                "slot": slot_of(index),
                "camera": camera_of(index),
                "rate_per_hour": round(float(rates[index]), 6),
                "unit_value": round(float(assortment.unit_value[index]), 4),
                "capacity": int(assortment.capacity[index]),
                "wanted": int(run.wanted[index]),
                "sold": int(run.sold[index]),
                "lost": int(run.lost[index]),
                "empty_hours": round(float(run.empty_seconds[index]) / HOUR, 4),
            }
            for index in range(len(assortment))
        },
    }


def write_store(run: DemandRun, folder: Path, name: str = "demand") -> Path:
    """Write ``NAME.truth.json``, ``NAME.yaml`` (a site file without pictures behind it) and ``NAME.csv``.

    The events are the caller's to write: they get their ids where the transport is known.

    Returns:
        The site file's path.

    Raises:
        ConfigError: the folder cannot be written.
    """
    cameras = [CameraEntry(plan, f"sim:corner?seed={number + 1}", 5.0) for number, plan in enumerate(camera_plans(run))]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(folder / f"{name}.truth.json", json.dumps(truth_document(run), indent=1) + "\n")
        return write_site(folder, name, cameras, run.assortment.catalogue())
    except OSError as error:
        raise ConfigError(f"{folder}: cannot write the demand trace: {error.strerror}") from None
