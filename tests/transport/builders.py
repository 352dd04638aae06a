"""Builders of events for the tests of the transport."""

from __future__ import annotations

from shelfvision.core.events import EventData, EventDraft, EventKind, to_utc


def draft(number: int, kind: EventKind = EventKind.PICK_UP, *, words: str | None = None) -> EventDraft:
    """One event as a pipeline reports it."""
    when = 1_000.0 + number
    data = EventData(
        slot="left",
        sku="SKU-1",
        count=1,
        confidence=0.9,
        started_at=to_utc(when - 1),
        contact_at=to_utc(when),
        ended_at=to_utc(when + 1),
    )
    # not validated: tests also make what no pipeline may make
    return EventDraft(kind, when, "cam", data.model_copy(update={"reason": words}), f"{kind}-{number}")


def drafts(count: int, kind: EventKind = EventKind.PICK_UP, *, start: int = 0) -> list[EventDraft]:
    """Several of them."""
    return [draft(start + index, kind) for index in range(count)]
