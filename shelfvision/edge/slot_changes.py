"""Which slot states are worth a message."""

from __future__ import annotations

from collections.abc import Iterable

from shelfvision.core.messages import SlotState

_CALM_SECONDS = 1.0
_FULLNESS_STEP = 0.05


class SlotChanges:
    """Passes on a slot's state when it changes, and every so often anyway.

    A change of the condition goes out at once; a change of fullness, facings or of something in front at most once a
    second, since a hand makes them flicker.

    Args:
        every: seconds after which an unchanged state goes out again.
    """

    def __init__(self, every: float = 60.0) -> None:
        self._every = every
        self._sent: dict[str, tuple[float, SlotState]] = {}

    def pick(self, states: Iterable[SlotState], now: float) -> tuple[SlotState, ...]:
        """Those of the current states that are to be sent at ``now``."""
        chosen = tuple(state for state in states if self._due(state, now))
        for state in chosen:
            self._sent[state.slot] = now, state
        return chosen

    def _due(self, state: SlotState, now: float) -> bool:
        if state.slot not in self._sent:
            return True
        when, last = self._sent[state.slot]
        if (state.state, state.since, state.last_known) != (last.state, last.since, last.last_known):
            return True
        age = now - when
        return age >= self._every or (age >= _CALM_SECONDS and _differs(state, last))


def _differs(state: SlotState, last: SlotState) -> bool:
    if (state.facings, state.obstructed) != (last.facings, last.obstructed):
        return True
    if state.fullness is None or last.fullness is None:
        return state.fullness is not last.fullness
    return abs(state.fullness - last.fullness) >= _FULLNESS_STEP
