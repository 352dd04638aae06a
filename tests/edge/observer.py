"""Sees everything that a store publishes."""

from __future__ import annotations

import json
import threading
from typing import Any

import paho.mqtt.client as mqtt

from tests.waiting import wait_until

ROOT = "shelfvision/v1/shop/edge/"


class Observer:
    """A subscriber to all topics of the test store."""

    def __init__(self, port: int) -> None:
        self._lock = threading.Lock()
        self._messages: list[tuple[str, Any]] = []
        self._client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
        self._ready = threading.Event()
        self._client.on_connect = lambda client, *_: client.subscribe("shelfvision/v1/shop/#", qos=1)
        self._client.on_subscribe = lambda *_: self._ready.set()
        self._client.on_message = self._take
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        wait_until(self._ready.is_set, what="subscription")

    def _take(self, _client: Any, _data: Any, message: mqtt.MQTTMessage) -> None:
        body = json.loads(message.payload) if message.payload else None
        with self._lock:
            self._messages.append((message.topic, body))

    def seen(self, topic: str) -> list[Any]:
        """Bodies that came on a topic of the device, in order."""
        with self._lock:
            return [body for name, body in self._messages if name == ROOT + topic]

    def statuses(self, camera: str) -> list[str]:
        """The statuses of a camera, in order, without repeats."""
        found = [body["status"] for body in self.seen(f"camera/{camera}/status")]
        return [status for number, status in enumerate(found) if number == 0 or status != found[number - 1]]

    def events(self, kind: str | None = None) -> list[Any]:
        """The events, or those of one kind; each once, by id."""
        found = {body["id"]: body for body in self.seen("events")}
        return [body for body in found.values() if kind is None or body["type"] == f"shelfvision.{kind}.v1"]

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()
