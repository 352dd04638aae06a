"""The device's MQTT: publishes the outbox in order until the service has it, and keeps the retained states fresh."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence

import structlog
from pydantic import ValidationError

from shelfvision import __version__
from shelfvision.config import BrokerSection
from shelfvision.core import strict_json
from shelfvision.core.events import to_utc
from shelfvision.core.messages import Ack, CameraStatus, DeviceStatus, Health, SlotState
from shelfvision.errors import BrokerError, MalformedMessageError, OutboxError
from shelfvision.transport.event_sender import EventSender
from shelfvision.transport.mqtt import Connection, Wakeup, Will
from shelfvision.transport.outbox import Outbox
from shelfvision.transport.reconnects import Reconnects
from shelfvision.transport.retained import RetainedDocuments
from shelfvision.transport.topics import Topics

_STATUS_SECONDS = 30.0
_USEFUL_SECONDS = 10.0  # a connection that lived this long was worth having: back to short pauses
_IDLE_SECONDS = 1.0
_DRAIN_SECONDS = 1.5  # at the end, wait this long for the next sign of progress
_GOODBYE_SECONDS = 1.0
_log = structlog.get_logger(__name__)


class EdgeLink:
    """Keeps a device connected: events out of its outbox, birth, will, status, slot and camera states.

    Everything that others call returns at once; one thread owns the connection.

    Args:
        broker: where and how to connect.
        store: store id.
        device: device id.
        outbox: what to publish.
        delivery: ``watermark`` deletes events when the service has stored them, ``broker`` when the broker has taken
            them for at least one subscriber.
        cameras: camera ids, for the status.
        models: model names and versions, for the status.
        client_id: MQTT client id; one per device.

    Attributes:
        connected: the broker has us.
    """

    def __init__(
        self,
        broker: BrokerSection,
        *,
        store: str,
        device: str,
        outbox: Outbox,
        delivery: str,
        cameras: Sequence[str],
        models: Mapping[str, str] | None = None,
        client_id: str | None = None,
    ) -> None:
        self.connected = False
        self._broker = broker
        self._topics = Topics(store)
        self._device = device
        self._outbox = outbox
        self._by_broker = delivery == "broker"
        self._cameras = list(cameras)
        self._models = dict(models or {})
        self._client_id = client_id or f"shelfvision-edge-{store}-{device}"
        self._wakeup = Wakeup()
        self._states = RetainedDocuments(self._wakeup.set)
        self._sender = EventSender(outbox, self._topics.events(device), by_broker=self._by_broker)
        self._health: str | None = None
        self._fault: str | None = None
        self._stopping = False
        self._deadline = 0.0
        self._thread = threading.Thread(target=self._run, name="edge-link", daemon=True)
        outbox.on_append(self._wakeup.set)

    # ------------------------------------------------------------------ called by others

    @property
    def last_error(self) -> str | None:
        """Why something does not get through, in one line; None when all is well."""
        return self._fault or self._sender.problem or self._states.problem

    def start(self) -> None:
        """Begin to connect; returns at once."""
        self._thread.start()

    def stop(self, deadline: float) -> None:
        """Deliver what can be delivered, leave an ``offline`` status behind and disconnect.

        Args:
            deadline: monotonic seconds (``time.monotonic() + grace``). It returns earlier when nothing is left or
                nobody takes anything.
        """
        self._deadline = deadline
        self._stopping = True
        self._wakeup.set()
        if self._thread.is_alive():
            self._thread.join(max(deadline - time.monotonic(), 0) + 8)

    def publish_slot_state(self, state: SlotState) -> None:
        """Retained; the last one of each slot is sent again after each reconnect."""
        self._states.keep(self._topics.slot_state(self._device, state.slot), state.to_json())

    def publish_camera_status(self, status: CameraStatus) -> None:
        """Retained, likewise."""
        self._states.keep(self._topics.camera_status(self._device, status.camera), status.to_json())

    def publish_health(self, health: Health) -> None:
        """Sent once if connected; the next one replaces it."""
        self._health = health.to_json()
        self._wakeup.set()

    # ------------------------------------------------------------------ the link's thread

    def _run(self) -> None:
        reconnects = Reconnects(self._client_id)
        while not self._stopping:
            started, progress = time.monotonic(), self._sender.progress
            connection = Connection(self._broker, self._client_id, wakeup=self._wakeup, will=self._will())
            try:
                connection.open()
                self._serve(connection)
                useful = self._sender.progress > progress or time.monotonic() - started > _USEFUL_SECONDS
                self._report(reconnects.lost(connection, useful=useful))
            except (BrokerError, OutboxError) as error:
                reconnects.refused()
                self._report(str(error))
            except Exception as error:  # noqa: BLE001 - a bug must not end the link silently: told, logged, tried anew
                self._report(f"fault in the device's link: {type(error).__name__}: {error}")
                _log.exception("fault in the device's link; it connects anew")
            finally:
                self.connected = False
                connection.close()
            until = time.monotonic() + reconnects.pause()
            while not self._stopping and (left := until - time.monotonic()) > 0:
                self._wakeup.wait(left)
        self._wakeup.close()

    def _serve(self, connection: Connection) -> None:
        if not self._by_broker:
            connection.subscribe([self._topics.ack(self._device)])
        self._sender.connected(time.monotonic())
        self._keep_status("online")
        self._states.renew(first=self._topics.device_status(self._device))
        self.connected = True
        self._fault = None
        status_at = time.monotonic() + _STATUS_SECONDS
        told = self._outbox.notice
        while connection.lost is None:
            now = time.monotonic()
            self._take_answers(connection, now)
            busy = self._sender.send(connection, now)
            busy |= self._states.send(connection)
            self._send_health(connection)
            if now >= status_at or self._outbox.notice != told:
                self._keep_status("online")
                status_at, told = now + _STATUS_SECONDS, self._outbox.notice
            if self._stopping:
                self._finish(connection)
                return
            connection.wait(
                0.0 if busy else max(min(self._sender.next_change(now), status_at - now, _IDLE_SECONDS), 0.0)
            )

    def _take_answers(self, connection: Connection, now: float) -> None:
        while connection.published:
            packet, code = connection.published.popleft()
            if not self._sender.answered(packet, code, now):
                self._states.answered(packet, code)
        acks = []
        while connection.received:
            message = connection.received.popleft()
            if message.qos:
                connection.acknowledge(message.mid)
            try:
                strict_json.loads(message.payload, max_bytes=1024)
                acks.append(Ack.model_validate_json(message.payload, strict=True))
            except (MalformedMessageError, ValidationError) as error:
                _log.warning("unreadable acknowledgement ignored", topic=message.topic, fault=str(error)[:200])
        self._sender.settle(acks, now)

    def _send_health(self, connection: Connection) -> None:
        health, self._health = self._health, None
        if health is not None:
            connection.publish(self._topics.health(self._device), health, qos=0)

    def _finish(self, connection: Connection) -> None:
        """Go on while there is progress and time, then say goodbye."""
        moved, progress = time.monotonic(), self._sender.progress
        while connection.lost is None:
            now = time.monotonic()
            self._take_answers(connection, now)
            self._sender.send(connection, now)
            self._states.send(connection)
            if self._sender.progress > progress:
                moved, progress = now, self._sender.progress
            done = self._outbox.backlog == 0 and self._states.settled
            if done or now >= min(self._deadline, moved + _DRAIN_SECONDS):
                break
            connection.wait(max(min(0.1, self._deadline - now), 0))
        self._keep_status("offline")
        self._say_goodbye(connection)

    def _say_goodbye(self, connection: Connection) -> None:
        until = time.monotonic() + _GOODBYE_SECONDS
        while connection.lost is None and not self._states.settled and time.monotonic() < until:
            self._states.send(connection)
            connection.wait(0.05)
            while connection.published:
                self._states.answered(*connection.published.popleft())

    def _keep_status(self, status: str) -> None:
        document = DeviceStatus.model_validate(
            {
                "status": status,
                "device": self._device,
                "epoch": self._outbox.epoch,
                "version": __version__,
                "models": self._models,
                "backlog": self._outbox.backlog,
                "dropped": self._outbox.dropped,
                "cameras": self._cameras,
                "at": to_utc(time.time()),
                "problem": self._outbox.notice,
            }
        )
        self._states.keep(self._topics.device_status(self._device), document.to_json())

    def _will(self) -> Will:
        offline = DeviceStatus(status="offline", device=self._device, epoch=self._outbox.epoch, version=__version__)
        return Will(self._topics.device_status(self._device), offline.to_json())

    def _report(self, fault: str) -> None:
        if self._stopping:
            return
        if fault != self._fault:
            _log.warning("the device's link to the broker", problem=fault)
        self._fault = fault
