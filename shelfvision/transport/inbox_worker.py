"""The service's worker thread: batches of deliveries into the database, other messages to their handler."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import structlog

from shelfvision.core.events import Event, EventData, EventDraft, EventKind
from shelfvision.core.messages import Ack
from shelfvision.errors import StoreError
from shelfvision.transport.arrivals import base_of, read_delivery, read_message
from shelfvision.transport.ids import to_event
from shelfvision.transport.inbox import Delivery, InboxStore, IncomingMessage
from shelfvision.transport.mqtt import Incoming
from shelfvision.transport.topics import TopicKind, Topics

BATCH = 500
_LINGER_SECONDS = 0.005  # a few more messages for one commit
_SMALL_BATCH = 100
_RETRY_SECONDS = (0.1, 5.0)
_TRIES_ALONE = 3
_MOST_WAITING = 5_000  # QoS 0 messages are not held back by the broker: the oldest of them go
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Received:
    """A message and the connection that it came over; only that one can acknowledge it."""

    message: Incoming
    connection: int


class InboxWorker:
    """Reads, stores and applies what the link received; everything here happens off the network thread.

    A database that fails is tried again, without end and with growing pauses; nothing is acknowledged meanwhile. An
    event on which the database's own code breaks again and again, while it works for others, becomes a dead letter.

    Args:
        topics: the store's topics.
        inbox: the service's database.
        on_message: handler of messages that are no events.
        on_done: called when there are results to fetch.

    Attributes:
        problem: why nothing is stored at present; None when all is well.
        dead_lettered: unusable messages on event topics so far.
    """

    def __init__(
        self,
        topics: Topics,
        inbox: InboxStore,
        on_message: Callable[[IncomingMessage], None],
        on_done: Callable[[], None],
    ) -> None:
        self.problem: str | None = None
        self.dead_lettered = 0
        self._topics = topics
        self._inbox = inbox
        self._on_message = on_message
        self._on_done = on_done
        self._changed = threading.Condition()
        self._waiting: deque[_Received] = deque()
        self._busy = False
        self._stopping = False
        self._connection = 0
        self._greet = False  # a new connection wants the watermarks of all devices
        self._packets: list[int] = []  # to acknowledge over the present connection
        self._acks: dict[str, Ack] = {}
        self._bases: dict[tuple[str, str], int] = {}  # device, epoch: lowest seq that the device still has
        self._thread = threading.Thread(target=self._run, name="inbox-worker", daemon=True)

    # ------------------------------------------------------------------ called by the link

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self, deadline: float) -> None:
        """End the thread by ``deadline`` (monotonic); what is not stored yet was not acknowledged and comes again."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join(max(deadline - time.monotonic(), 0) + 5)

    def new_connection(self) -> None:
        """A connection has begun: results go to it, beginning with all watermarks."""
        with self._changed:
            self._greet = True
            self._changed.notify_all()

    def forget_connection(self) -> None:
        """The connection is gone: what it brought and is not acknowledged will come again."""
        with self._changed:
            self._connection += 1
            self._packets.clear()
            self._waiting.clear()

    def take(self, messages: Sequence[Incoming]) -> None:
        """Messages have come, in this order."""
        with self._changed:
            self._waiting.extend(_Received(message, self._connection) for message in messages)
            while len(self._waiting) > _MOST_WAITING and self._drop_unconfirmed():
                pass
            self._changed.notify_all()

    def results(self) -> tuple[list[int], dict[str, Ack]]:
        """Packets to acknowledge to the broker, and watermarks to publish before that."""
        with self._changed:
            packets, acks = self._packets, self._acks
            self._packets, self._acks = [], {}
        return packets, acks

    @property
    def idle(self) -> bool:
        """Whether everything taken is done and fetched."""
        with self._changed:
            return not (self._waiting or self._busy or self._packets or self._acks or self._greet)

    def _drop_unconfirmed(self) -> bool:
        for index, received in enumerate(self._waiting):
            if received.message.qos == 0:
                del self._waiting[index]
                return True
        return False

    # ------------------------------------------------------------------ the worker's thread

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._greet or self._stopping)
                if self._stopping:
                    return
                if len(self._waiting) < _SMALL_BATCH and not self._greet:
                    self._changed.wait_for(
                        lambda: len(self._waiting) >= _SMALL_BATCH or self._stopping, _LINGER_SECONDS
                    )
                greet, self._greet = self._greet, False
                batch = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
                self._busy = True
            acks: Mapping[str, Ack] = {}
            done = True
            if greet:
                acks = self._persist(self._inbox.watermarks) or {}
            if batch:
                done, more = self._work([received.message for received in batch])
                acks = {**acks, **more}
            with self._changed:
                self._busy = False
                self._acks.update(acks)
                if done:
                    self._packets += [
                        received.message.mid
                        for received in batch
                        if received.message.qos and received.connection == self._connection
                    ]
            self._on_done()

    def _work(self, messages: Sequence[Incoming]) -> tuple[bool, Mapping[str, Ack]]:
        """Store the events and hand over the rest; False when we were stopped before it was done."""
        deliveries = []
        others = []
        for message in messages:
            address = self._topics.read(message.topic)
            if address is None:
                _log.warning("message on an unexpected topic ignored", topic=message.topic[:200])
            elif address.kind is TopicKind.EVENTS and address.device is not None:
                delivery = read_delivery(message, address.device, self._topics.store)
                base = base_of(message)
                if delivery.epoch is not None and base is not None:
                    key = (delivery.device, delivery.epoch)
                    self._bases[key] = max(base, self._bases.get(key, 1))
                if delivery.fault is not None:
                    self._dead_letter(delivery)
                deliveries.append(delivery)
            else:
                others.append(read_message(message, address))
        acks: Mapping[str, Ack] = {}
        if deliveries:
            stored = self._store(deliveries)
            if stored is None:
                return False, {}
            acks = {**stored, **self._pass_over_holes(stored)}
        for message_read in others:
            self._handle(message_read)
        return True, acks

    def _dead_letter(self, delivery: Delivery) -> None:
        self.dead_lettered += 1
        _log.warning(
            "unusable event goes to the dead letters",
            device=delivery.device,
            epoch=delivery.epoch,
            seq=delivery.seq,
            fault=delivery.fault,
        )

    def _handle(self, message: IncomingMessage) -> None:
        try:
            self._on_message(message)
        except Exception as error:  # noqa: BLE001 - one message's handler must not stop the others: told and logged
            self.problem = f"handling of {message.topic} failed: {type(error).__name__}: {error}"
            _log.exception("handler failed; the message is skipped", topic=message.topic)

    def _pass_over_holes(self, acks: Mapping[str, Ack]) -> Mapping[str, Ack]:
        """Where the device no longer has what the watermark waits for (this database is younger, or was restored)."""
        gaps = []
        for device, ack in acks.items():
            base = self._bases.get((device, ack.epoch), 1)
            if ack.seq < base - 1:
                gaps.append(_gap(self._topics, device, ack, base - 1))
                _log.error(
                    "events are missing here that the device no longer has",
                    device=device,
                    epoch=ack.epoch,
                    first=ack.seq + 1,
                    last=base - 1,
                )
        return (self._store(gaps) or {}) if gaps else {}

    # ------------------------------------------------------------------ storing

    def _store(self, deliveries: Sequence[Delivery]) -> Mapping[str, Ack] | None:
        """Apply the batch; None when we were stopped before it worked."""
        pause = _RETRY_SECONDS[0]
        faults = 0
        while not self._stopping:
            try:
                acks = self._inbox.apply(deliveries)
            except StoreError as error:  # locked, full, unreachable: nothing is wrong with the events
                self._say(str(error))
            except Exception as error:  # noqa: BLE001 - a bug on the other side: told, tried again, then isolated
                faults += 1
                self._say(f"storing events failed: {type(error).__name__}: {error}")
                if faults >= _TRIES_ALONE:
                    return self._store_one_by_one(deliveries)
            else:
                self.problem = None
                return acks
            self._rest(pause)
            pause = min(pause * 2, _RETRY_SECONDS[1])
        return None

    def _store_one_by_one(self, deliveries: Sequence[Delivery]) -> Mapping[str, Ack] | None:
        """Find the event that breaks the database's code and make it a dead letter; the others go through."""
        acks: dict[str, Ack] = {}
        for delivery in deliveries:
            faults = 0
            attempt = delivery
            while True:
                if self._stopping:
                    return None
                try:
                    acks.update(self._inbox.apply([attempt]))
                except Exception as error:  # noqa: BLE001 - as above
                    self._say(f"storing one event failed: {type(error).__name__}: {error}")
                    faults += not isinstance(error, StoreError)
                    if faults == _TRIES_ALONE:
                        fault = f"could not be applied: {type(error).__name__}: {error}"[:500]
                        attempt = replace(delivery, event=None, fault=fault)
                        self._dead_letter(attempt)
                    self._rest(min(_RETRY_SECONDS[0] * 2**faults, _RETRY_SECONDS[1]))
                else:
                    self.problem = None
                    break
        return acks

    def _persist(self, ask: Callable[[], Mapping[str, Ack]]) -> Mapping[str, Ack] | None:
        pause = _RETRY_SECONDS[0]
        while not self._stopping:
            try:
                return ask()
            except Exception as error:  # noqa: BLE001 - as above
                self._say(f"reading watermarks failed: {type(error).__name__}: {error}")
            self._rest(pause)
            pause = min(pause * 2, _RETRY_SECONDS[1])
        return None

    def _say(self, problem: str) -> None:
        if problem != self.problem:
            _log.error("events are not stored; they wait at the broker and on the device", problem=problem)
        self.problem = problem

    def _rest(self, seconds: float) -> None:
        with self._changed, contextlib.suppress(RuntimeError):
            self._changed.wait_for(lambda: self._stopping, seconds)


def _gap(topics: Topics, device: str, ack: Ack, last: int) -> Delivery:
    """A gap that we make ourselves: everything above the watermark up to ``last``."""
    now = time.time()
    reason = "the device had these acknowledged by another or an older database of the service"
    draft = EventDraft(EventKind.GAP, now, "-", EventData(first_seq=ack.seq + 1, reason=reason), f"gap-{ack.seq + 1}")
    event: Event = to_event(draft, store=topics.store, device=device, epoch=ack.epoch, seq=last)
    return Delivery(
        device=device,
        epoch=ack.epoch,
        seq=last,
        event=event,
        raw=event.to_json().encode(),
        topic=topics.events(device),
        received_at=now,
    )
