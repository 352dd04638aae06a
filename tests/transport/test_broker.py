"""The demo's broker does what our links need of MQTT 5, and ends with us."""

from __future__ import annotations

import importlib.util
import socket
import subprocess
import sys
import time

import pytest

from shelfvision.errors import BrokerError
from shelfvision.transport.broker import EmbeddedBroker
from shelfvision.transport.edge_link import EdgeLink
from shelfvision.transport.mosquitto import find_mosquitto, wait_for_port
from shelfvision.transport.mqtt import Connection, Wakeup
from shelfvision.transport.outbox import Outbox
from shelfvision.transport.service_link import ServiceLink
from shelfvision.transport.topics import Topics
from tests.transport.builders import drafts
from tests.transport.inbox_file import InboxFile
from tests.waiting import wait_until

_PARENT = """
import signal
from shelfvision.transport.broker import EmbeddedBroker
broker = EmbeddedBroker(kind="iotcore")
broker.start()
print(broker.port, flush=True)
signal.pause()
"""


@pytest.fixture(params=["iotcore", "mosquitto"])
def kind(request):
    if request.param == "iotcore" and importlib.util.find_spec("iotcore") is None:
        pytest.skip("the demo extra is not installed: no iotcore")
    if request.param == "mosquitto" and find_mosquitto() is None:
        pytest.skip("the program mosquitto is not installed")
    return request.param


def test_events_states_and_acknowledgements_go_through_it(kind, tmp_path):
    inbox = InboxFile(tmp_path / "inbox.sqlite")
    with EmbeddedBroker(kind=kind) as broker:
        outbox = Outbox(tmp_path / "outbox.sqlite", store="shop", device="edge-1", max_bytes=10_000_000)
        service = ServiceLink(broker.section(), store="shop", inbox=inbox, on_message=lambda _: None)
        edge = EdgeLink(
            broker.section(), store="shop", device="edge-1", outbox=outbox, delivery="watermark", cameras=["cam"]
        )
        outbox.append(drafts(300))
        service.start()
        edge.start()
        for start in (300, 600):
            wait_until(lambda: outbox.backlog == 0, 20, what="the outbox empty")
            outbox.append(drafts(300, start=start))
        wait_until(lambda: outbox.backlog == 0, 20, what="the outbox empty")
        edge.stop(time.monotonic() + 5)
        assert inbox.seqs() == [(outbox.epoch, seq) for seq in range(1, 901)]
        assert len(set(inbox.ids())) == 900
        reader = Connection(broker.section(), "reader", wakeup=Wakeup())
        reader.open()
        reader.subscribe([Topics("shop").device_status("edge-1"), Topics("shop").ack("edge-1")])
        wait_until(lambda: reader.wait(0.05) or len(reader.received) == 2, what="retained status and acknowledgement")
        assert all(message.retain for message in reader.received)
        assert any(b'"offline"' in message.payload for message in reader.received)
        reader.close()
        service.stop(time.monotonic() + 5)
        outbox.close()


def test_it_takes_a_given_port_and_frees_it(kind):
    with EmbeddedBroker(kind=kind) as broker:
        port = broker.port
        with pytest.raises(BrokerError, match=f"port {port} is in use"):
            EmbeddedBroker(port, kind=kind).start()
    with EmbeddedBroker(port, kind=kind) as again, socket.create_connection(("127.0.0.1", port), timeout=5):
        assert again.port == port


def test_the_pip_installed_broker_ends_when_its_parent_is_killed(tmp_path):
    if importlib.util.find_spec("iotcore") is None:
        pytest.skip("the demo extra is not installed: no iotcore")
    parent = subprocess.Popen(
        [
            sys.executable,
            "-c",
            _PARENT,
        ],
        stdout=subprocess.PIPE,
    )
    port = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    wait_until(lambda: not wait_for_port(port, time.monotonic() + 0.1), what="the broker gone")
