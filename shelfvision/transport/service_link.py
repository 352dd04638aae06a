"""The service's MQTT: events into its database, acknowledged only when they are safe there; tasks and ranking out."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import structlog

from shelfvision.config import BrokerSection
from shelfvision.core.messages import Ranking, TaskDocument
from shelfvision.errors import BrokerError
from shelfvision.transport.inbox import InboxStore, IncomingMessage
from shelfvision.transport.inbox_worker import InboxWorker
from shelfvision.transport.mqtt import Connection, Incoming, Wakeup
from shelfvision.transport.reconnects import Reconnects
from shelfvision.transport.retained import RetainedDocuments
from shelfvision.transport.topics import PROBE, Topics

_SESSION_SECONDS = 7 * 86_400  # the broker keeps our subscriptions and queue while we are away
_RECEIVE_MAXIMUM = 500  # events that the broker sends before we acknowledge; bounds our memory
_USEFUL_SECONDS = 10.0
_IDLE_SECONDS = 1.0
_log = structlog.get_logger(__name__)


class ServiceLink:
    """Keeps the service connected with a persistent session.

    Two threads: one owns the connection and only moves messages, one hands them to the database (``inbox``) and to
    ``on_message``. Neither an exception in a handler nor a database that fails ends any of them.

    Args:
        broker: where and how to connect.
        store: store id.
        inbox: the service's database.
        on_message: called in the worker thread with slot states, camera and device status, health and task commands.
        client_id: MQTT client id, the same at every start: the broker keeps the session under it.

    Attributes:
        connected: the broker has us.
    """

    def __init__(
        self,
        broker: BrokerSection,
        *,
        store: str,
        inbox: InboxStore,
        on_message: Callable[[IncomingMessage], None],
        client_id: str | None = None,
        receive_maximum: int = _RECEIVE_MAXIMUM,
    ) -> None:
        self.connected = False
        self._broker = broker
        self._topics = Topics(store)
        self._client_id = client_id or f"shelfvision-service-{store}"
        self._receive_maximum = receive_maximum
        self._wakeup = Wakeup()
        self._documents = RetainedDocuments(self._wakeup.set)
        self._worker = InboxWorker(self._topics, inbox, on_message, on_done=self._wakeup.set)
        self._served = 0  # messages acknowledged to the broker
        self._fault: str | None = None
        self._stopping = False
        self._deadline = 0.0
        self._thread = threading.Thread(target=self._run, name="service-link", daemon=True)

    # ------------------------------------------------------------------ called by others

    @property
    def last_error(self) -> str | None:
        """Why something does not get through, in one line; None when all is well."""
        return self._fault or self._worker.problem or self._documents.problem

    @property
    def dead_lettered(self) -> int:
        """Messages on event topics that could not be used, since the start."""
        return self._worker.dead_lettered

    def start(self) -> None:
        """Begin to connect; returns at once."""
        self._worker.start()
        self._thread.start()

    def stop(self, deadline: float) -> None:
        """Finish what has been received, acknowledge it and disconnect; the broker keeps our session.

        Args:
            deadline: monotonic seconds (``time.monotonic() + grace``).
        """
        self._deadline = deadline
        self._stopping = True
        self._wakeup.set()
        if self._thread.is_alive():
            self._thread.join(max(deadline - time.monotonic(), 0) + 8)
        self._worker.stop(deadline)

    def publish_task(self, task: TaskDocument) -> None:
        """Retained; every version reaches the readers in order; sent again after a reconnect."""
        self._documents.keep(self._topics.task(task.id), task.to_json(), each=True)

    def clear_task(self, task_id: str) -> None:
        """Take a closed task's document away, after the versions published before."""
        self._documents.keep(self._topics.task(task_id), "", each=True)

    def publish_ranking(self, ranking: Ranking) -> None:
        """Retained; only the newest one is sent."""
        self._documents.keep(self._topics.ranking, ranking.to_json())

    # ------------------------------------------------------------------ the link's thread

    def _run(self) -> None:
        reconnects = Reconnects(self._client_id)
        while not self._stopping:
            started, served = time.monotonic(), self._served
            connection = Connection(
                self._broker,
                self._client_id,
                wakeup=self._wakeup,
                session_seconds=_SESSION_SECONDS,
                receive_maximum=self._receive_maximum,
            )
            try:
                connection.open()
                self._serve(connection)
                useful = self._served > served or time.monotonic() - started > _USEFUL_SECONDS
                self._report(reconnects.lost(connection, useful=useful))
            except BrokerError as error:
                reconnects.refused()
                self._report(str(error))
            except Exception as error:  # noqa: BLE001 - a bug must not end the link silently: told, logged, tried anew
                self._report(f"fault in the service's link: {type(error).__name__}: {error}")
                _log.exception("fault in the service's link; it connects anew")
            finally:
                self.connected = False
                self._worker.forget_connection()
                connection.close()
            until = time.monotonic() + reconnects.pause()
            while not self._stopping and (left := until - time.monotonic()) > 0:
                self._wakeup.wait(left)
        self._wakeup.close()

    def _serve(self, connection: Connection) -> None:
        topics = self._topics
        self._worker.new_connection()  # it fetches the watermarks, which are published below
        self._documents.renew()
        connection.subscribe(
            [
                topics.events("+"),
                topics.device_status("+"),
                topics.camera_status("+", "+"),
                topics.slot_state("+", "+"),
                topics.health("+"),
                topics.task_command("+"),
            ]
        )
        self.connected = True
        self._fault = None
        while connection.lost is None:
            busy = self._move(connection)
            if self._stopping and (self._finished(connection) or time.monotonic() >= self._deadline):
                connection.flush(time.monotonic() + 1)
                return
            connection.wait(0.0 if busy else (0.05 if self._stopping else _IDLE_SECONDS))

    def _move(self, connection: Connection) -> bool:
        """Hand over what came, answer what is done, send what is new; True when more may wait."""
        if connection.received:
            self._worker.take(self._drain(connection))
        while connection.published:
            self._documents.answered(*connection.published.popleft())
        packets, acks = self._worker.results()
        for device, ack in acks.items():
            # also when nothing has changed: a device that sends again does not know what we have
            self._documents.keep(self._topics.ack(device), ack.to_json(), again=True)
        with connection.together():
            for packet in packets:
                connection.acknowledge(packet)
            sent = self._documents.send(connection)
        self._served += len(packets)
        return sent

    def _finished(self, connection: Connection) -> bool:
        return self._worker.idle and self._documents.settled and not connection.received

    @staticmethod
    def _drain(connection: Connection) -> list[Incoming]:
        messages = []
        while connection.received:
            message = connection.received.popleft()
            if PROBE not in message.properties:
                messages.append(message)
            elif message.qos:  # `shelfvision doctor` asks whether messages get through; that was the answer
                connection.acknowledge(message.mid)
        return messages

    def _report(self, fault: str) -> None:
        if self._stopping:
            return
        if fault != self._fault:
            _log.warning("the service's link to the broker", problem=fault)
        self._fault = fault
