"""The process around the replenishment service: database, broker link and web page, started and stopped in order."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from types import FrameType

from shelfvision.config import Site
from shelfvision.errors import ShelfvisionError
from shelfvision.service.access import check_binding
from shelfvision.service.app import create_app
from shelfvision.service.consumer import ReplenishmentService
from shelfvision.service.desk import Desk
from shelfvision.service.store import open_store
from shelfvision.service.web_server import WebServer

_FIRST_CONNECT_SECONDS = 3.0
_STEP_SECONDS = 0.2
_STOP_SECONDS = 8.0


class ReplenishProcess:
    """Everything that ``shelfvision replenish`` runs.

    Args:
        site: the store.
        db: database path or URL.
        host: address of the web page.
        port: its port; None serves none.

    Raises:
        StoreError: the database cannot be used.
        ConfigError: the web page may not listen on this address, or its TLS files cannot be used.
    """

    def __init__(self, site: Site, *, db: str, host: str = "127.0.0.1", port: int | None = 8080) -> None:
        if port is not None:
            check_binding(host, site.web)
        self._site = site
        self._stop = threading.Event()
        self.store = open_store(db, site.store.id)
        self.desk = Desk(self.store, site.store.id)
        self.service = ReplenishmentService(site, self.store, self.desk)
        self.web: WebServer | None = None
        if port is not None:
            app = create_app(site, self.store, self.desk, broker_fault=lambda: self.service.status.broker_fault)
            self.web = WebServer(app, host=host, port=port, web=site.web)

    def startup(self) -> None:
        """Serve the web page and connect to the broker; a broker that is away is tried again and again.

        Raises:
            ShelfvisionError: the web page's port is in use.
            StoreError: the database cannot be used.
        """
        if self.web is not None:
            self.web.start()
        self.service.startup()
        deadline = time.monotonic() + _FIRST_CONNECT_SECONDS
        while not (self.service.link.connected or self.service.link.last_error or self._stop.is_set()):
            self.step()
            if time.monotonic() > deadline:
                break

    def step(self) -> None:
        """One round of work, then a wait for more.

        Raises:
            ShelfvisionError: the web page has ended by itself.
        """
        self.service.step()
        if self.web is not None and not self.web.alive:
            raise ShelfvisionError("the web page ended unexpectedly; see the log above and start the service again")
        self.service.wait(_STEP_SECONDS)

    def shutdown(self, deadline: float = _STOP_SECONDS) -> None:
        """Close the page, the link and the database, within about ``deadline`` seconds."""
        if self.web is not None:
            self.web.stop(deadline / 2)
        self.service.shutdown(deadline / 2)
        self.store.close()

    def stop(self) -> None:
        """Ask ``run`` to end; from any thread or signal handler."""
        self._stop.set()

    def run(self) -> None:
        """Run until a signal asks for the end; a second signal forces it."""
        before = {number: signal.signal(number, self._on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            self.startup()
            if not self._stop.is_set():
                _say(f"ready: {self._describe()}")
            while not self._stop.is_set():
                self.step()
        finally:
            self.shutdown()
            for number, handler in before.items():
                signal.signal(number, handler)

    def _describe(self) -> str:
        page = "no web page" if self.web is None else self.web.url
        fault = self.service.status.broker_fault
        broker = f"broker {self._site.broker.host}:{self._site.broker.port} connected"
        if fault is not None:
            broker = f"not connected yet, trying on: {fault}"
        return f"store {self._site.store.id}, {page}, {broker}, database {self.store.database.name}"

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if self._stop.is_set():
            os._exit(128 + number)
        self._stop.set()


def _say(line: str) -> None:
    """Print a line for whoever started us; scripts wait for it."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
