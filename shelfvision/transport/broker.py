"""A broker for the demo, on loopback: Mosquitto where it is installed, else one that installs with pip.

The latter is rumqttd (MQTT 5) inside the package ``iotcore``. Checked with our links: user properties, retained
documents and clearing them, wills, receive maximum, session takeover, persistent sessions with redelivery. Its limits
(0.4.0): it never answers 0x10 (no matching subscribers), and it now and then hangs for good when a persistent session
comes back within moments; that does not happen in a demo, where every client stays connected, but it is no broker for
a store. ``amqtt`` (0.12) speaks MQTT 3.1.1 only and cannot serve us.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from shelfvision.config import BrokerSection
from shelfvision.errors import BrokerError
from shelfvision.transport.mosquitto import Mosquitto, find_mosquitto, free_port, wait_for_port

_CONFIGURATION = """\
id = 0
[router]
id = 0
max_connections = 100
max_outgoing_packet_count = 200
max_segment_size = 10485760
max_segment_count = 10
[v5.1]
name = "demo"
listen = "127.0.0.1:{port}"
next_connection_delay_ms = 1
[v5.1.connections]
connection_timeout_ms = 5000
max_payload_size = 262144
max_inflight_count = 200
"""
_START_SECONDS = 15.0


class EmbeddedBroker:
    """An MQTT 5 broker in a process of its own, for as long as the ``with`` block lasts.

    It listens on loopback only, lets anybody in and keeps nothing when it ends.

    Args:
        port: TCP port; 0 takes a free one.
        kind: ``mosquitto`` or ``iotcore``; None takes the first of them that is installed.
    """

    def __init__(self, port: int = 0, *, kind: str | None = None) -> None:
        self.port = port
        self._kind = kind
        self._fixed = port != 0
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._mosquitto: Mosquitto | None = None

    @property
    def url(self) -> str:
        """Address for a site file."""
        return f"mqtt://127.0.0.1:{self.port}"

    def section(self) -> BrokerSection:
        """The broker section of a site file for this broker."""
        return BrokerSection(url=self.url)

    def start(self) -> None:
        """Start it and wait until it takes connections.

        Raises:
            BrokerError: no broker is installed, the port is in use, or it does not start.
        """
        if self._fixed and wait_for_port(self.port, time.monotonic() + 0.2):
            raise BrokerError(f"port {self.port} is in use; free it or choose another one")
        self._folder = tempfile.TemporaryDirectory(prefix="shelfvision-broker-")
        folder = Path(self._folder.name)
        if self._kind != "iotcore" and find_mosquitto() is not None:
            self._mosquitto = Mosquitto(folder, port=self.port or None, persistence=False)
            self._mosquitto.start()
            self.port = self._mosquitto.port
        elif self._kind != "mosquitto" and importlib.util.find_spec("iotcore") is not None:
            self._start_embedded(folder)
        else:
            self.stop()
            raise BrokerError("no broker for the demo: pip install 'shelfvision[demo]', or apt-get install mosquitto")

    def _start_embedded(self, folder: Path) -> None:
        self.port = self.port or free_port()
        configuration = folder / "rumqttd.toml"
        configuration.write_text(_CONFIGURATION.format(port=self.port), encoding="utf-8")
        log = folder / "broker.log"
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "shelfvision.transport.broker", str(configuration)],
                stdin=subprocess.PIPE,  # it ends when this closes, so also when we are killed
                stdout=output,
                stderr=output,
                start_new_session=True,  # a Ctrl-C in the terminal is ours to handle, the broker goes last
            )
        if not wait_for_port(self.port, time.monotonic() + _START_SECONDS, self._process):
            tail = " | ".join(log.read_text(errors="replace").splitlines()[-3:])
            self.stop()
            raise BrokerError(f"the embedded broker does not start on port {self.port}: {tail or 'no answer'}")

    def stop(self) -> None:
        """End it; safe to call twice."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(5)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            if self._process.stdin is not None:
                self._process.stdin.close()
            self._process = None
        if self._mosquitto is not None:
            self._mosquitto.kill()
            self._mosquitto = None
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _serve(configuration: str) -> None:
    """The broker's own process: serve until our standard input closes."""
    from iotcore import Broker  # noqa: PLC0415 - in this process only

    def end_with_parent() -> None:
        sys.stdin.buffer.read()
        os._exit(0)

    threading.Thread(target=end_with_parent, daemon=True).start()
    Broker(config_path=configuration).run_forever()


if __name__ == "__main__":
    _serve(sys.argv[1])
