"""A staff app for tests: reads the retained documents of a store and sends task commands."""

from __future__ import annotations

import json
import threading

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion


class StaffApp:
    """Follows ``shelfvision/v1/{store}/#`` as any foreign MQTT client would."""

    def __init__(self, port, store="demo", name="staff"):
        self.root = f"shelfvision/v1/{store}"
        self.retained = {}  # topic to payload as JSON; cleared topics are gone
        self.seen = []  # (topic, payload) of every task document, in order
        self._ready = threading.Event()
        self._client = paho.Client(CallbackAPIVersion.VERSION2, client_id=name, protocol=paho.MQTTv5)
        self._client.on_connect = lambda client, *_: client.subscribe(f"{self.root}/#", qos=1)
        self._client.on_subscribe = lambda *_: self._ready.set()
        self._client.on_message = self._on_message
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        assert self._ready.wait(10)

    def _on_message(self, _client, _data, message):
        if message.topic.endswith(("/events", "/set")):
            return
        payload = json.loads(message.payload) if message.payload else None
        if payload is None:
            self.retained.pop(message.topic, None)
        else:
            self.retained[message.topic] = payload
        if message.topic.startswith(f"{self.root}/tasks/"):
            self.seen.append((message.topic.rsplit("/", 1)[1], payload))

    def task(self, slot):
        """The retained task document of a slot."""
        found = [doc for topic, doc in self.retained.items() if "/tasks/" in topic and doc["slot"] == slot]
        return found[0] if found else None

    def ack(self, device="edge-1"):
        """The acknowledged seq of a device."""
        return self.retained.get(f"{self.root}/{device}/ack", {}).get("seq", 0)

    def send(self, task_id, action, version, actor, key, **more):
        """Publish a command and wait until the broker has it."""
        body = {"action": action, "version": version, "actor": actor, "key": key, **more}
        self.publish(f"{self.root}/tasks/{task_id}/set", json.dumps(body))

    def publish(self, topic, payload, *, retain=False):
        """Publish anything."""
        self._client.publish(topic, payload, qos=1, retain=retain).wait_for_publish(10)

    def close(self):
        """Disconnect."""
        self._client.disconnect()
        self._client.loop_stop()
