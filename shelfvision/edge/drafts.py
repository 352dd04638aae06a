"""What the core concluded, as events for the outbox."""

from __future__ import annotations

from collections import Counter

from shelfvision.core.events import EventData, EventDraft, EventKind, to_utc
from shelfvision.core.interactions import Interaction
from shelfvision.core.planogram import Slot
from shelfvision.core.presence import PresenceWindow
from shelfvision.core.shelf import StockChange


class Drafter:
    """Writes the events of one camera and gives them keys that repeat when the same frames are replayed.

    Interactions carry the time of contact, stock events the time of the alert, presence the end of its window.

    Args:
        camera: camera id.
    """

    def __init__(self, camera: str) -> None:
        self.camera = camera
        self._numbers: Counter[str] = Counter()

    def interaction(self, act: Interaction) -> EventDraft:
        """A touch, pick-up or put-back."""
        data = EventData(
            slot=act.slot,
            sku=act.sku,
            count=act.count,
            confidence=round(act.confidence, 4),
            started_at=to_utc(act.started_at),
            contact_at=to_utc(act.contact_at),
            ended_at=to_utc(act.ended_at),
            hold_seconds=None if act.hold_seconds is None else round(act.hold_seconds, 3),
            linked_event=act.linked,
            by_staff=act.by_staff,
        )
        return EventDraft(EventKind(act.action.value), act.contact_at, self.camera, data, act.key)

    def stock(self, slot: Slot, change: StockChange) -> EventDraft:
        """A stockout, low stock, refill or misplaced product."""
        data = EventData(
            slot=slot.id,
            sku=slot.sku,
            confidence=round(change.confidence, 4),
            onset_at=to_utc(change.onset_at),
            facings=change.facings,
            fullness=round(change.fullness, 4),
            seen_sku=change.seen_sku,
        )
        return EventDraft(change.kind, change.time, self.camera, data, self._key(slot.id, change.kind))

    def presence(self, window: PresenceWindow) -> list[EventDraft]:
        """One camera-wide event and one a slot."""
        times = {"started_at": to_utc(window.started_at), "ended_at": to_utc(window.ended_at)}
        whole = EventData(count=window.passes, passes=window.passes, stops=window.stops, **times)
        drafts = [
            EventDraft(EventKind.PRESENCE, window.ended_at, self.camera, whole, self._key("", EventKind.PRESENCE))
        ]
        for slot in window.slots:
            data = EventData(
                slot=slot.slot, count=slot.touches, available_seconds=round(slot.available_seconds, 3), **times
            )
            key = self._key(slot.slot, EventKind.PRESENCE)
            drafts.append(EventDraft(EventKind.PRESENCE, window.ended_at, self.camera, data, key))
        return drafts

    def camera_status(self, status: str, reason: str, now: float) -> EventDraft:
        """The camera's picture cannot be used, or can be again."""
        data = EventData(status=status, reason=reason)
        return EventDraft(EventKind.CAMERA, now, self.camera, data, self._key("", EventKind.CAMERA))

    def _key(self, slot: str, kind: EventKind) -> str:
        name = f"{slot}:{kind.value}"
        self._numbers[name] += 1
        return f"{name}:{self._numbers[name]}"
