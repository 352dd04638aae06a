"""What most systems do, for comparison: plain paho, QoS 1, no outbox. Only ``chaos --naive`` uses it.

``python -m shelfvision.transport.naive publish SETTINGS.json`` makes the same kind of events as the chaos agent and
notes each one that paho took; ``... subscribe SETTINGS.json`` has a persistent session and stores what it gets.
"""

from __future__ import annotations

import json
import os
import sqlite3
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from shelfvision.transport.chaos_agent import AgentSettings, random_drafts
from shelfvision.transport.ids import event_id

_TOPIC = "naive/events"
_TICK_SECONDS = 0.02


def _client(name: str) -> paho.Client:
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id=f"naive-{name}", protocol=paho.MQTTv5)
    client.reconnect_delay_set(1, 5)
    return client


def _connect(client: paho.Client, settings: AgentSettings) -> None:
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    properties.SessionExpiryInterval = 86_400
    address = urlsplit(settings.broker)
    client.connect_async(
        address.hostname or "", address.port or 1883, keepalive=8, clean_start=False, properties=properties
    )
    client.loop_start()


def publish(settings: AgentSettings) -> None:
    """Publish with QoS 1 and trust the library and the broker."""
    client = _client("publisher")
    _connect(client, settings)
    life = f"{settings.seed}-{time.time_ns()}"
    with settings.ledger.open("a") as ledger:
        for batch in random_drafts(life, settings.rate):
            if settings.quiet.exists():
                break
            for draft in batch:
                identity = event_id(draft.time, life, draft.key)
                client.publish(_TOPIC, json.dumps({"id": identity, "kind": draft.kind}), qos=1)
                ledger.write(f"{identity} {draft.kind}\n")
            ledger.flush()
            os.fsync(ledger.fileno())
            time.sleep(_TICK_SECONDS)
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and (client.want_write() or len(client._out_messages)):  # noqa: SLF001 - no public count
        time.sleep(_TICK_SECONDS)
    client.disconnect()
    client.loop_stop()
    settings.drained.touch()


def subscribe(settings: AgentSettings) -> None:
    """Store what arrives; the library acknowledges by itself."""
    database = sqlite3.connect(Path(settings.folder) / "naive.sqlite", isolation_level=None, check_same_thread=False)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("CREATE TABLE IF NOT EXISTS received (id TEXT)")

    def on_connect(client: paho.Client, *_: Any) -> None:
        client.subscribe(_TOPIC, qos=1)

    def on_message(_client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        database.execute("INSERT INTO received VALUES (?)", (json.loads(message.payload)["id"],))

    client = _client("subscriber")
    client.on_connect = on_connect
    client.on_message = on_message
    _connect(client, settings)
    print("ready: subscriber", flush=True)  # noqa: T201 - whoever started us waits for it
    while not settings.drained.exists():
        time.sleep(_TICK_SECONDS)
    time.sleep(3)  # what the broker still has for us
    client.disconnect()
    client.loop_stop()


if __name__ == "__main__":
    {"publish": publish, "subscribe": subscribe}[sys.argv[1]](
        AgentSettings(**json.loads(Path(sys.argv[2]).read_text()))
    )
