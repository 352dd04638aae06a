"""The replenishment service without its web page: MQTT in, database, tasks out."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from shelfvision.config import Site
from shelfvision.core.messages import CameraStatus, DeviceStatus, Health, SlotState, TaskCommand
from shelfvision.errors import StoreError, TaskConflictError
from shelfvision.service.database import DatabaseGoneError
from shelfvision.service.desk import Desk
from shelfvision.service.live_state import LiveMessage
from shelfvision.service.planner import Planner
from shelfvision.service.store import Store
from shelfvision.transport.inbox import IncomingMessage
from shelfvision.transport.service_link import ServiceLink
from shelfvision.transport.topics import TopicKind

_log = structlog.get_logger(__name__)

_LIVE_SECONDS = 0.1  # live states are stored in groups of this length: each commit waits for the disk
_MOST_LIVE = 5_000
_FORGET_SECONDS = 600.0
_RETRY_SECONDS = 0.5
_NOTICE: dict[type[object], str] = {
    SlotState: "shelf",
    CameraStatus: "shelf",
    DeviceStatus: "shelf",
    Health: "status",
}


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """How the service is doing."""

    connected: bool
    broker_fault: str | None  # why the broker does not have us
    store_fault: str | None  # why the database did not take the last step
    problem: str | None = None  # what else does not get through, though the broker has us


class ReplenishmentService:
    """Wires the link, the store, the desk and the planner together.

    Args:
        site: the store.
        store: its database, open.
        desk: takes commands, from the web page too.
        clock: POSIX seconds.
    """

    def __init__(self, site: Site, store: Store, desk: Desk, *, clock: Callable[[], float] = time.time) -> None:
        self._site = site
        self._store = store
        self._desk = desk
        self._clock = clock
        self._wakeup = threading.Event()
        self._stopping = threading.Event()
        self._live: deque[LiveMessage] = deque()
        self._live_after = 0.0
        self._forget_after = 0.0
        self._store_fault: str | None = None
        self._broker_fault: str | None = None
        self.link = ServiceLink(site.broker, store=site.store.id, inbox=store, on_message=self.take)
        self.planner = Planner(site, store, desk, self.link, on_wake=self._wakeup.set)

    @property
    def status(self) -> ServiceStatus:
        """How it is doing now."""
        connected, error = self.link.connected, self.link.last_error
        fault = None if connected else error or "connecting to the broker"
        return ServiceStatus(connected, fault, self._store_fault, error if connected else None)

    def startup(self) -> None:
        """Take the site file over, load what is known, connect.

        Raises:
            StoreError: the database cannot be used.
        """
        self._store.adopt_site(self._site)
        self.planner.startup(self._clock())
        self.link.start()

    def step(self) -> None:
        """Do what is due: store live states, plan, publish, forget what is old.

        Raises:
            DatabaseGoneError: the database file was deleted or replaced; the service must start anew.
        """
        self._wakeup.clear()
        elapsed = time.monotonic()
        try:
            self._keep_live(elapsed)
            if self.planner.step(self._clock(), elapsed) is not None:
                ended = time.monotonic()
                self.planner.rest(ended, ended - elapsed)
            if elapsed >= self._forget_after:
                self._forget_after = elapsed + _FORGET_SECONDS
                if self._store.forget(self._clock(), self._site.replenishment.retention_days):
                    self._forget_after = elapsed  # there may be more
            self._note_store_fault(None)
        except DatabaseGoneError:
            raise
        except StoreError as error:
            self._note_store_fault(str(error))
        self._note_broker_fault()

    def wait(self, seconds: float) -> None:
        """Wait until there is something to do, at most so long."""
        self._wakeup.wait(seconds)

    def shutdown(self, deadline: float) -> None:
        """Stop taking messages, store what came, close the link within ``deadline`` seconds."""
        self._stopping.set()
        self.link.stop(time.monotonic() + deadline)
        try:
            self._keep_live(float("inf"))
        except StoreError as error:
            self._note_store_fault(str(error))

    def take(self, message: IncomingMessage) -> None:
        """A message that is no event; called by the link's worker thread, which acknowledges it afterwards."""
        model = message.model
        if message.fault is not None:
            _log.warning("message_unreadable", topic=message.topic, fault=message.fault)
        elif isinstance(model, TaskCommand) and message.kind is TopicKind.TASK_COMMAND and message.name is not None:
            self._command(message.name, model)
        elif isinstance(model, SlotState | CameraStatus | DeviceStatus | Health) and message.device is not None:
            self._live.append(LiveMessage(message.device, model, message.received_at, message.retained))
            self._wakeup.set()

    def _command(self, task_id: str, command: TaskCommand) -> None:
        """Carry a command out; while the database fails it is tried again, its key makes that safe."""
        while True:
            try:
                self._desk.command(task_id, command, self._clock())
            except TaskConflictError:
                return  # the desk has logged it; the retained task document shows who won
            except StoreError as error:
                self._note_store_fault(str(error))
                if self._stopping.wait(_RETRY_SECONDS):
                    _log.error("command_not_stored", task=task_id, action=command.action, actor=command.actor)
                    return
            else:
                return

    def _keep_live(self, elapsed: float) -> None:
        if not self._live or elapsed < self._live_after:
            return
        self._live_after = elapsed + _LIVE_SECONDS
        batch = [self._live[place] for place in range(min(len(self._live), _MOST_LIVE))]
        self._store.keep_live(batch)
        for _ in batch:  # only this thread takes away
            self._live.popleft()
        self._desk.notify(*sorted({_NOTICE[type(message.model)] for message in batch}))
        if any(isinstance(message.model, CameraStatus | DeviceStatus) for message in batch):
            self._desk.notify("shelf", "status")
            self.planner.wake()

    def _note_store_fault(self, fault: str | None) -> None:
        if fault != self._store_fault:
            self._store_fault = fault
            self._desk.notify("status")
            if fault is not None:
                _log.error("store_fault", fault=fault)
            else:
                _log.info("store_works_again")

    def _note_broker_fault(self) -> None:
        """Tell the page; the link logs its faults itself."""
        fault = self.status.broker_fault
        if fault != self._broker_fault:
            self._broker_fault = fault
            self._desk.notify("status")
            if fault is None:
                _log.info("broker_connected", broker=self._site.broker.url)
