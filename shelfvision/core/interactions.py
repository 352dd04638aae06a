"""From what reaches into a slot and what it leaves behind to pick-ups, put-backs and touches."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class InteractionSettings:
    """Durations in seconds of frame time; shares of a slot's area."""

    reach_share: float = 0.015  # of the slot covered by something in front: it has been reached
    gone_seconds: float = 0.25  # nothing in front for so long: it has left
    settle_seconds: float = 0.8  # what remains must stand still for so long to count as the slot's new picture
    touch_seconds: float = 0.35  # a tip that rests in the slot for so long touched something; less is passing by
    touch_radius: float = 0.3  # of the slot's shorter side: what counts as resting
    link_seconds: float = 900.0  # a put-back later than this after a pick-up is not the same hand's
    restock_count: int = 3  # put-backs without a pick-up before them ...
    restock_seconds: float = 90.0  # ... within so long are restocking by staff


class Action(StrEnum):
    """What a hand did at a slot."""

    TOUCH = "touch"
    PICK_UP = "pick_up"
    PUT_BACK = "put_back"


@dataclass(frozen=True, slots=True)
class SlotReading:
    """What one frame says about the space in front of one slot."""

    covered: float  # share of the slot behind something that reaches in from outside or does not belong to it
    changed: float  # share of the slot that differs from the settled picture, with nothing reaching in from outside
    restless: bool = False  # what changed moves by itself: a product that falls over, flicker
    resting: float = 0.0  # seconds that the tip of something has rested in the slot, 0 when no tip is there


@dataclass(frozen=True, slots=True)
class Visit:
    """Something came in front of a slot and left, or left something behind that stands still."""

    started_at: float  # it reached the slot
    ended_at: float  # it was last in front of the slot
    resting: float  # longest rest of a tip in the slot, seconds
    rested_at: float  # when that rest began; ``started_at`` when there was none
    left_change: bool  # the slot looks different at first sight


@dataclass(slots=True)
class VisitWatch:
    """Follows one slot from reading to reading and says when a visit is over."""

    settings: InteractionSettings
    started_at: float | None = None
    covered_at: float = 0.0  # last time something was in front
    quiet_since: float | None = None
    resting: float = 0.0
    rested_at: float = 0.0

    @property
    def visiting(self) -> bool:
        """Whether a visit has begun and is not yet judged."""
        return self.started_at is not None

    def update(self, reading: SlotReading, now: float) -> Visit | None:
        """Take in one frame; returns the visit when it is over and the slot has settled."""
        reach = self.settings.reach_share
        if reading.covered >= reach:
            if self.started_at is None:
                self.started_at, self.rested_at, self.resting = now, now, 0.0
            self.covered_at, self.quiet_since = now, None
            # The tip may have rested nearby before it came into the slot.
            resting = min(reading.resting, now - self.started_at)
            if resting > self.resting:
                self.resting, self.rested_at = resting, now - resting
            return None
        if self.started_at is None and reading.changed >= reach:
            # A change without anything seen in front: it happened between two frames.
            self.started_at, self.rested_at, self.resting, self.covered_at = now, now, 0.0, now
        if self.started_at is None:
            return None
        if self.quiet_since is None or reading.restless:
            self.quiet_since = now
        wait = self.settings.settle_seconds if reading.changed >= reach else self.settings.gone_seconds
        if now - self.quiet_since < wait:
            return None
        visit = Visit(self.started_at, self.covered_at, self.resting, self.rested_at, reading.changed >= reach)
        self.forget()
        return visit

    def cleared(self, since: float) -> None:
        """What seemed to be in front since then was nothing, as was found out only now."""
        if self.started_at is not None:
            self.covered_at = max(self.started_at, min(self.covered_at, since))
            self.quiet_since = self.covered_at

    def forget(self) -> None:
        """Drop the visit: what was seen of it cannot be believed."""
        self.started_at, self.quiet_since, self.resting = None, None, 0.0


@dataclass(frozen=True, slots=True)
class Deed:
    """What a visit did, with its times in seconds."""

    action: Action
    count: int
    confidence: float
    started_at: float
    contact_at: float
    ended_at: float


@dataclass(frozen=True, slots=True)
class Interaction:
    """One hand's act at one slot."""

    action: Action
    slot: str
    sku: str
    key: str  # unique in the camera's run
    count: int
    confidence: float
    started_at: float
    contact_at: float
    ended_at: float
    hold_seconds: float | None = None  # put_back: since the linked pick-up's contact
    linked: str | None = None  # put_back: key of that pick-up
    by_staff: bool | None = None


@dataclass(frozen=True, slots=True)
class _OpenPick:
    slot: str
    sku: str
    key: str
    contact_at: float


@dataclass(slots=True)
class InteractionLog:
    """Gives interactions their keys and links what belongs together, over all slots of one camera."""

    settings: InteractionSettings
    _open: list[_OpenPick] = field(default_factory=list)  # one a unit in a hand, oldest first
    _unlinked_puts: deque[float] = field(default_factory=deque)
    _numbers: dict[str, int] = field(default_factory=dict)

    def add(self, deed: Deed, *, slot: str, sku: str) -> Interaction:
        """Register one act; units put back are taken off the latest open pick-ups of the SKU, own slot first."""
        contact_at, count = deed.contact_at, deed.count
        number = self._numbers[slot] = self._numbers.get(slot, 0) + 1
        key = f"{slot}:interaction:{number}"
        hold, linked, staff = None, None, None
        self._open = [pick for pick in self._open if contact_at - pick.contact_at <= self.settings.link_seconds]
        if deed.action is Action.PICK_UP:
            self._open += [_OpenPick(slot, sku, key, contact_at)] * count
        elif deed.action is Action.PUT_BACK:
            pick = self._take(slot, sku, count, contact_at)
            if pick is not None:
                hold, linked = max(0.0, contact_at - pick.contact_at), pick.key
            else:
                self._unlinked_puts.extend([contact_at] * count)
                while self._unlinked_puts and contact_at - self._unlinked_puts[0] > self.settings.restock_seconds:
                    self._unlinked_puts.popleft()
                staff = len(self._unlinked_puts) >= self.settings.restock_count or None
        return Interaction(
            deed.action,
            slot,
            sku,
            key,
            count,
            deed.confidence,
            deed.started_at,
            contact_at,
            deed.ended_at,
            hold,
            linked,
            staff,
        )

    def _take(self, slot: str, sku: str, count: int, now: float) -> _OpenPick | None:
        first = None
        for _ in range(count):
            candidates = [pick for pick in self._open if pick.sku == sku and pick.contact_at <= now]
            if not candidates:
                break
            own = [pick for pick in candidates if pick.slot == slot]
            pick = (own or candidates)[-1]
            self._open.remove(pick)
            first = first or pick
        return first
