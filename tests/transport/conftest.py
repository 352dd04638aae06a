"""Outboxes, inboxes and links over the real broker, closed in order at the end of each test."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import pytest

from shelfvision.config import BrokerSection
from shelfvision.transport.edge_link import EdgeLink
from shelfvision.transport.mqtt import Connection, Wakeup
from shelfvision.transport.outbox import Outbox
from shelfvision.transport.service_link import ServiceLink
from tests.transport.inbox_file import InboxFile

STORE, DEVICE = "shop", "edge-1"


class Rig:
    """Builds the parts of a delivery path for one broker."""

    def __init__(self, folder, stack: ExitStack) -> None:
        self._folder = folder
        self._stack = stack
        self._inboxes: dict[str, InboxFile] = {}

    def outbox(self, name: str = "outbox", *, device: str = DEVICE, max_bytes: int = 100_000_000) -> Outbox:
        outbox = Outbox(self._folder / f"{name}.sqlite", store=STORE, device=device, max_bytes=max_bytes)
        self._stack.callback(outbox.close)
        return outbox

    def inbox(self, name: str = "inbox") -> InboxFile:
        if name not in self._inboxes:
            self._inboxes[name] = InboxFile(self._folder / f"{name}.sqlite")
        return self._inboxes[name]

    def edge(self, broker: BrokerSection, outbox: Outbox, **settings: Any) -> EdgeLink:
        given = {"store": STORE, "device": DEVICE, "delivery": "watermark", "cameras": ["cam"], **settings}
        link = EdgeLink(broker, outbox=outbox, **given)
        link.start()
        self._stack.callback(lambda: link.stop(time.monotonic()))
        return link

    def service(
        self, broker: BrokerSection, inbox: Any = None, on_message: Callable[[Any], None] = lambda _: None, **settings
    ) -> ServiceLink:
        link = ServiceLink(
            broker, store=STORE, inbox=self.inbox() if inbox is None else inbox, on_message=on_message, **settings
        )
        link.start()
        self._stack.callback(lambda: link.stop(time.monotonic()))
        return link

    def client(self, broker: BrokerSection, name: str, **settings: Any) -> Connection:
        connection = Connection(broker, name, wakeup=Wakeup(), **settings)
        connection.open()
        self._stack.callback(connection.close)
        return connection


@pytest.fixture
def rig(tmp_path):
    with ExitStack() as stack:
        yield Rig(tmp_path, stack)


@pytest.fixture(autouse=True)
def quick_reconnects(monkeypatch):
    """The pauses of a fleet are too long for tests; their growth has tests of its own."""
    from shelfvision.transport import edge_link, reconnects, service_link

    for module in (edge_link, service_link):
        monkeypatch.setattr(module, "Reconnects", lambda client_id: reconnects.Reconnects(client_id, 0.1, 0.5))
