"""When to connect again, and why a connection ended."""

from __future__ import annotations

import random

from shelfvision.transport.mqtt import Connection

_RIVAL_CLOSINGS = 2


class Reconnects:
    """Pauses between connections: 1 to 30 s, doubling, with jitter so that a fleet does not come at once.

    They begin small again after a connection that was useful. It also notices a rival with our client id: brokers
    then close our connection, Mosquitto 2.0 without a reason, and take us again at once.

    Args:
        client_id: ours, for the message.
        first: first pause, seconds.
        longest: longest pause, seconds.
    """

    def __init__(self, client_id: str, first: float = 1.0, longest: float = 30.0) -> None:
        self._client_id = client_id
        self._first = first
        self._longest = longest
        self._next = first
        self._closed = 0  # times in a row that a broker closed a working connection and took us again at once

    def pause(self) -> float:
        """Seconds to wait before the next connection."""
        base, self._next = self._next, min(self._next * 2, self._longest)
        return base * random.uniform(0.75, 1.25)

    def refused(self) -> None:
        """No connection came about: the broker is away, or refuses us."""
        self._closed = 0

    def lost(self, connection: Connection, *, useful: bool) -> str:
        """A working connection has ended; returns why, in words."""
        self._closed = self._closed + 1 if connection.closed_by_broker else 0
        rival = connection.taken_over or self._closed >= _RIVAL_CLOSINGS
        if useful and not rival:
            self._next = self._first
        if rival and not connection.taken_over:
            return (
                f"broker {connection.address}: it closes our connection again and again; "
                f"is another client connected with our client id {self._client_id}?"
            )
        return f"broker {connection.address}: {connection.lost}"
