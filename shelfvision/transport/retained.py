"""Retained documents of one connection's owner: the last payload of each topic, sent again after each reconnect."""

from __future__ import annotations

import threading
from collections.abc import Callable

from shelfvision.transport.mqtt import Connection
from shelfvision.transport.reasons import reason_text

_MOST_WAITING = 8  # payloads of one topic
_REFUSED = 0x80  # MQTT reason codes from here are failures


class RetainedDocuments:
    """Remembers what each topic should hold; any thread may change it, the connection's thread sends it.

    Args:
        wake: called when there is something new to send.

    Attributes:
        problem: why the broker did not take a document; None when it took the last one.
    """

    def __init__(self, wake: Callable[[], None]) -> None:
        self.problem: str | None = None
        self._wake = wake
        self._mutex = threading.Lock()
        self._documents: dict[str, str] = {}  # "" clears the topic; forgotten once the broker has taken it
        self._unsent: dict[str, list[str]] = {}  # topic to payloads, both in order
        self._on_their_way: dict[int, tuple[str, str]] = {}  # packet id to topic and payload

    def keep(self, topic: str, payload: str, *, each: bool = False, again: bool = False) -> None:
        """The topic should hold ``payload``; an empty one clears it. Returns at once.

        Args:
            topic: where.
            payload: what.
            each: readers see every payload in order even when they come faster than they are sent (the oldest go when
                many wait); without, only the last.
            again: send it even if the topic holds it already.
        """
        with self._mutex:
            if not again and self._documents.get(topic) == payload:
                return
            self._documents[topic] = payload
            waiting = self._unsent.setdefault(topic, [])
            if not each:
                waiting.clear()
            waiting.append(payload)
            del waiting[:-_MOST_WAITING]
        self._wake()

    def renew(self, first: str | None = None) -> None:
        """A new connection: everything has to be sent again, beginning with the topic ``first``."""
        with self._mutex:
            lost: dict[str, list[str]] = {}
            for topic, payload in self._on_their_way.values():
                lost.setdefault(topic, []).append(payload)
            self._on_their_way.clear()
            before, self._unsent = self._unsent, {}
            for topic in sorted(self._documents, key=lambda name: name != first):
                waiting = lost.get(topic, []) + before.get(topic, [])
                self._unsent[topic] = waiting[-_MOST_WAITING:] or [self._documents[topic]]

    def send(self, connection: Connection) -> bool:
        """Send what is new, as far as the broker takes it; True when something went out."""
        sent = False
        while connection.room > 0:
            with self._mutex:
                topic = next(iter(self._unsent), None)
                if topic is None:
                    break
                waiting = self._unsent[topic]
                payload = waiting.pop(0)
                if not waiting:
                    del self._unsent[topic]
                self._on_their_way[connection.publish(topic, payload, retain=True)] = (topic, payload)
            sent = True
        return sent

    def answered(self, packet: int, code: int) -> bool:
        """Take the broker's answer; False when the packet is none of ours."""
        with self._mutex:
            topic, payload = self._on_their_way.pop(packet, ("", ""))
            if not topic:
                return False
            if code >= _REFUSED:
                self.problem = f"the broker does not take {topic}: {reason_text(code)}"
            else:
                self.problem = None
                if not payload and self._documents.get(topic) == "" and topic not in self._unsent:
                    del self._documents[topic]
        return True

    @property
    def settled(self) -> bool:
        """Whether the broker has answered everything."""
        with self._mutex:
            return not self._unsent and not self._on_their_way

    def holds(self, topic: str) -> bool:
        """Whether the topic should hold a document."""
        with self._mutex:
            return bool(self._documents.get(topic))
