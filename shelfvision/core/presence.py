"""Counts who comes near a shelf without knowing who: passes, stops, touches, and each slot's time on offer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class PresenceSettings:
    """Durations in seconds."""

    stop_seconds: float = 3.0  # in view for so long is a stop, not a pass
    least_seconds: float = 0.3  # shorter is noise
    rejoin_seconds: float = 2.0  # a gap in following that is bridged: the same person reached out again


@dataclass(frozen=True, slots=True)
class SlotPresence:
    """One slot in one window."""

    slot: str
    available_seconds: float  # in stock and in view
    touches: int  # touches, pick-ups and put-backs


@dataclass(frozen=True, slots=True)
class PresenceWindow:
    """One complete window of one camera."""

    started_at: float
    ended_at: float
    passes: int  # people that came by; one that stopped is counted too
    stops: int  # of these, who stayed
    slots: tuple[SlotPresence, ...]


@dataclass(slots=True)
class _Stay:
    """Something in view, over gaps in its tracks."""

    born_at: float
    seen_at: float
    counted_pass: bool = False
    counted_stop: bool = False


@dataclass(slots=True)
class PresenceCounter:
    """Fills windows that are aligned to the first frame and yields each one when it is complete.

    Args:
        slots: ids of the camera's slots.
        window_seconds: length of a window.
        settings: see ``PresenceSettings``.
        started_at: time of the first frame.
    """

    slots: Sequence[str]
    window_seconds: float
    settings: PresenceSettings
    started_at: float
    _seen_at: float = field(init=False)
    _stays: dict[int, _Stay] = field(init=False, default_factory=dict)
    _passes: int = field(init=False, default=0)
    _stops: int = field(init=False, default=0)
    _available: dict[str, float] = field(init=False)
    _touches: dict[str, int] = field(init=False)

    def __post_init__(self) -> None:
        self._seen_at = self.started_at
        self._clear()

    def touched(self, slot: str) -> None:
        """A hand acted at a slot."""
        self._touches[slot] += 1

    def update(
        self, tracks: Sequence[tuple[int, float]], available: Sequence[bool], now: float
    ) -> list[PresenceWindow]:
        """Take in one frame.

        Args:
            tracks: id and time of birth of each thing in view.
            available: whether each slot is in stock and in view, in the slots' order.
            now: time in seconds.

        Returns:
            The windows that ended before this frame, empty ones too.
        """
        done = []
        while now >= self.started_at + self.window_seconds:
            end = self.started_at + self.window_seconds
            self._spend(available, end)
            done.append(self._window(end))
            self.started_at = end
            self._clear()
        self._spend(available, now)
        self._follow(tracks, now)
        return done

    def skip(self, now: float) -> None:
        """Nothing was seen until ``now``: no slot was in view."""
        self._seen_at = max(self._seen_at, now)

    def _clear(self) -> None:
        self._passes = self._stops = 0
        self._available = dict.fromkeys(self.slots, 0.0)
        self._touches = dict.fromkeys(self.slots, 0)

    def _spend(self, available: Sequence[bool], until: float) -> None:
        elapsed = max(0.0, until - self._seen_at)
        self._seen_at = max(self._seen_at, until)
        for slot, there in zip(self.slots, available, strict=True):
            if there:
                self._available[slot] += elapsed

    def _follow(self, tracks: Sequence[tuple[int, float]], now: float) -> None:
        settings = self.settings
        fresh = {key: stay for key, stay in self._stays.items() if now - stay.seen_at <= settings.rejoin_seconds}
        present = {key for key, _ in tracks}
        for key, born_at in tracks:
            if key not in fresh:
                # A new track soon after one that was lost is most likely the same person.
                lost = [other for other in fresh if other not in present]
                fresh[key] = fresh.pop(lost[-1]) if lost else _Stay(born_at, now)
            stay = fresh[key]
            stay.seen_at = now
            seconds = now - stay.born_at
            if seconds >= settings.least_seconds and not stay.counted_pass:
                stay.counted_pass, self._passes = True, self._passes + 1
            if seconds >= settings.stop_seconds and not stay.counted_stop:
                stay.counted_stop, self._stops = True, self._stops + 1
        self._stays = fresh

    def _window(self, end: float) -> PresenceWindow:
        slots = tuple(
            SlotPresence(slot, min(self._available[slot], self.window_seconds), self._touches[slot])
            for slot in self.slots
        )
        return PresenceWindow(self.started_at, end, self._passes, self._stops, slots)
