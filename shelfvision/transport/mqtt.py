"""One MQTT 5 connection, used by one thread: paho's packets and sessions, our own loop and our own errors.

A connection lives once. Whoever wants to stay connected makes a new one with ``Reconnects`` in between; nothing of a
broken connection (queues, packet ids, half-read packets) reaches the next one.
"""

from __future__ import annotations

import contextlib
import select
import socket
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from shelfvision.config import BrokerSection
from shelfvision.errors import BrokerError
from shelfvision.transport.login import connect_fault, set_credentials
from shelfvision.transport.quick_client import QuickClient, UserProperties
from shelfvision.transport.reasons import SESSION_TAKEN_OVER, SUCCESS, reason_text

KEEPALIVE_SECONDS = 8  # paho gives up after two of them: a half-open connection is noticed within 16 s
CONNECT_SECONDS = 5.0
_MAX_PACKET_BYTES = 262_144
_MOST_UNANSWERED = 200  # QoS 1 publishes; fewer where the broker says so
_BURST = 64
_UNSPECIFIED = 0x80  # so paho calls a connection that ended without a word
_KEEPALIVE_TIMEOUT = 0x8D


@dataclass(slots=True)
class Incoming:
    """A message as it came."""

    topic: str
    payload: bytes
    qos: int
    retain: bool
    mid: int
    received_at: float  # POSIX seconds
    properties: dict[str, str] = field(default_factory=dict)  # user properties


@dataclass(frozen=True, slots=True)
class Will:
    """What the broker publishes for us when we vanish."""

    topic: str
    payload: str


class Wakeup:
    """Lets other threads end the wait of the one that owns the connection."""

    def __init__(self) -> None:
        self._receiver, self._sender = socket.socketpair()
        self._receiver.setblocking(False)
        self._sender.setblocking(False)

    def fileno(self) -> int:
        """For select."""
        return self._receiver.fileno()

    def set(self) -> None:
        """End the wait; safe from any thread, never blocks."""
        with contextlib.suppress(BlockingIOError, OSError):  # full: a wake-up is on its way; closed: nobody waits
            self._sender.send(b"x")

    def clear(self) -> None:
        """Forget the wake-ups so far."""
        with contextlib.suppress(BlockingIOError):
            while self._receiver.recv(4096):
                pass

    def wait(self, seconds: float) -> None:
        """Wait until set, or for ``seconds``."""
        select.select([self], [], [], max(seconds, 0))
        self.clear()

    def close(self) -> None:
        """Free both ends."""
        self._receiver.close()
        self._sender.close()


class Connection:
    """A single MQTT 5 connection. All calls come from the thread that made it; paho's callbacks only note.

    Attributes:
        published: (packet id, reason code) of each PUBACK, in order of arrival.
        received: messages, in order of arrival; QoS 1 ones wait for ``acknowledge``.
        lost: why the connection ended; None while it lives.
        taken_over: it ended because another client came with our client id, says the broker.
        closed_by_broker: it ended from the other side, without a reason.
    """

    def __init__(
        self,
        broker: BrokerSection,
        client_id: str,
        *,
        wakeup: Wakeup,
        will: Will | None = None,
        session_seconds: int = 0,
        receive_maximum: int = 200,
        keepalive: int = KEEPALIVE_SECONDS,
    ) -> None:
        self.published: deque[tuple[int, int]] = deque()
        self.received: deque[Incoming] = deque()
        self._receive_maximum = _MOST_UNANSWERED
        self._unanswered: set[int] = set()
        self.lost: str | None = None
        self.taken_over = False
        self.closed_by_broker = False
        self.session_present = False
        self._broker = broker
        self._wakeup = wakeup
        self._keepalive = keepalive
        self._connected: int | None = None  # CONNACK reason
        self._subscribed: list[tuple[int, list[int]]] = []
        client = QuickClient(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            protocol=paho.MQTTv5,
            manual_ack=True,
            reconnect_on_failure=False,
        )
        client.connect_timeout = CONNECT_SECONDS
        client.max_inflight_messages_set(0)  # ours to count: room
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        client.take_message = self._take_message
        client.take_answer = self._take_answer
        if will is not None:
            client.will_set(will.topic, will.payload, qos=1, retain=True)
        self._properties = _properties(PacketTypes.CONNECT)
        self._properties.ReceiveMaximum = receive_maximum
        self._properties.MaximumPacketSize = _MAX_PACKET_BYTES
        if session_seconds:
            self._properties.SessionExpiryInterval = session_seconds
        self._clean = session_seconds == 0
        self._client = client

    @property
    def address(self) -> str:
        """Host and port, for messages."""
        return f"{self._broker.host}:{self._broker.port}"

    def open(self) -> None:
        """Connect and wait for the broker's answer.

        Raises:
            BrokerError: one clear line without the password.
        """
        set_credentials(self._client, self._broker)
        try:
            self._client.connect(
                self._broker.host,
                self._broker.port,
                self._keepalive,
                clean_start=self._clean,
                properties=self._properties,
            )
        except OSError as error:
            self._drop()
            raise BrokerError(f"broker {self.address}: {connect_fault(error, CONNECT_SECONDS)}") from None
        except ValueError as error:
            self._drop()
            raise BrokerError(f"broker {self.address}: {error}") from None
        deadline = time.monotonic() + CONNECT_SECONDS
        while self._connected is None and self.lost is None and time.monotonic() < deadline:
            self.wait(0.1)
        if self._connected == SUCCESS and self.lost is None:
            return
        fault = "no answer to our connection; does an MQTT broker listen there?"
        if self.lost is not None:
            fault = f"{self.lost} before it let us in; {self._closing_hint()}"
        if self._connected not in {None, SUCCESS}:
            fault = reason_text(self._connected or 0)
        self._drop()
        raise BrokerError(f"broker {self.address}: {fault}")

    def _closing_hint(self) -> str:
        if not self._broker.tls:
            return "does it want TLS (mqtts://)?"
        return "does it want a client certificate (broker.cert_file)?"

    def subscribe(self, filters: list[str], *, no_local: bool = False) -> None:
        """Subscribe with QoS 1 and wait for the answer.

        Raises:
            BrokerError: refused, or the connection is lost.
        """
        options = SubscribeOptions(qos=1, noLocal=no_local)
        _, mid = self._client.subscribe([(topic, options) for topic in filters])
        deadline = time.monotonic() + CONNECT_SECONDS
        while self.lost is None and time.monotonic() < deadline:
            self.wait(0.1)
            codes = next((codes for known, codes in self._subscribed if known == mid), None)
            if codes is not None:
                refused = [topic for topic, code in zip(filters, codes, strict=False) if code >= 0x80]
                if refused:
                    worst = max(codes)
                    raise BrokerError(
                        f"broker {self.address}: subscribing to {refused[0]} refused: {reason_text(worst)}"
                    )
                return
        raise BrokerError(f"broker {self.address}: {self.lost or 'no answer to our subscription'}")

    def publish(
        self,
        topic: str,
        payload: str | bytes,
        *,
        qos: int = 1,
        retain: bool = False,
        user: list[tuple[str, str]] = [],  # noqa: B006 - read only
    ) -> int:
        """Send a message; returns its packet id, which ``published`` names when the broker has answered."""
        properties: Any = UserProperties(user) if user else None
        mid = self._client.publish(topic, payload, qos=qos, retain=retain, properties=properties).mid
        if qos:
            self._unanswered.add(mid)
        return mid

    @property
    def room(self) -> int:
        """How many more QoS 1 messages the broker takes before it has answered some."""
        return self._receive_maximum - len(self._unanswered)

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """Messages and acknowledgements within the block go out in few large writes."""
        self._client.cork()
        try:
            yield
        finally:
            try:
                self._client.uncork()
            except OSError as error:
                self.lost = self.lost or f"connection lost: {error.strerror or error}"

    def acknowledge(self, mid: int) -> None:
        """Tell the broker that a received QoS 1 message is safe with us."""
        self._client.ack(mid, 1)

    def wait(self, seconds: float) -> None:
        """Send and receive until something happened, another thread wakes us, or ``seconds`` passed."""
        sock: Any = self._client.socket()
        if sock is None:
            self.lost = self.lost or "connection lost"
            return
        timeout = 0.0 if self._holds_bytes(sock) else max(seconds, 0.0)
        writers = [sock] if self._client.want_write() else []
        try:
            readable, writable, _ = select.select([sock, self._wakeup], writers, [], timeout)
            if self._wakeup in readable:
                self._wakeup.clear()
            if writable:
                self._client.push()
                self._note(self._client.loop_write())
            if sock in readable or self._holds_bytes(sock):
                self._read(sock)
            if self.lost is None:
                self._note(self._client.loop_misc())
        except (OSError, ValueError) as error:  # the socket broke, or was closed under us
            self.lost = self.lost or f"connection lost: {error}"
        except Exception as error:  # noqa: BLE001 - paho's packet reader on a broken packet; the connection is given up
            self.lost = self.lost or f"unreadable packet from the broker: {type(error).__name__}: {error}"

    def _read(self, sock: Any) -> None:
        for _ in range(_BURST):
            self._note(self._client.loop_read())
            if self.lost is not None or self._client.socket() is None:
                return
            if not self._holds_bytes(sock):
                return

    def _holds_bytes(self, sock: Any) -> bool:
        """Whether bytes have been received that a select on the socket does not see: read ahead, or within TLS."""
        return self._client.read_ahead or bool(getattr(sock, "pending", int)())

    def _note(self, code: MQTTErrorCode) -> None:
        if code not in {MQTTErrorCode.MQTT_ERR_SUCCESS, MQTTErrorCode.MQTT_ERR_AGAIN} and self.lost is None:
            self.lost = f"connection lost: {paho.error_string(code).rstrip('.').lower()}"

    def flush(self, deadline: float) -> None:
        """Wait until everything is written and answered, or until ``deadline`` (monotonic)."""
        while self.lost is None and time.monotonic() < deadline and (self._client.want_write() or self._unanswered):
            self.wait(0.05)

    def close(self) -> None:
        """Say goodbye, so that the broker does not publish our will, and free the socket."""
        if self.lost is None:
            with contextlib.suppress(OSError, ValueError):
                self._client.disconnect()
                deadline = time.monotonic() + 1
                while self._client.want_write() and time.monotonic() < deadline:
                    self.wait(0.05)
        self.lost = self.lost or "closed"
        self._drop()

    def _drop(self) -> None:
        """Free the socket whatever state paho is in."""
        sock = self._client.socket()
        if sock is not None:
            with contextlib.suppress(OSError):
                sock.close()

    # paho's callbacks: they only note, and never raise

    def _on_connect(self, _client: Any, _data: Any, flags: Any, reason: ReasonCode, properties: Any) -> None:
        self.session_present = bool(flags.session_present)
        self._receive_maximum = min(getattr(properties, "ReceiveMaximum", _MOST_UNANSWERED), _MOST_UNANSWERED)
        self._connected = reason.value

    def _on_disconnect(self, _client: Any, _data: Any, flags: Any, reason: ReasonCode, _properties: Any) -> None:
        if flags.is_disconnect_packet_from_server:
            self.taken_over = reason.value == SESSION_TAKEN_OVER
            self.lost = reason_text(reason.value)
        elif self.lost is None:
            self.closed_by_broker = reason.value == _UNSPECIFIED
            self.lost = "the broker has gone silent" if reason.value == _KEEPALIVE_TIMEOUT else "connection lost"

    def _on_publish(self, _client: Any, _data: Any, mid: int, reason: ReasonCode, _properties: Any) -> None:
        self._take_answer(mid, reason.value)

    def _take_answer(self, mid: int, code: int) -> None:
        if mid in self._unanswered:  # paho also reports QoS 0 here, as soon as it is written
            self._unanswered.discard(mid)
            self.published.append((mid, code))

    def _on_subscribe(self, _client: Any, _data: Any, mid: int, reasons: list[ReasonCode], _properties: Any) -> None:
        self._subscribed.append((mid, [reason.value for reason in reasons]))

    def _on_message(self, _client: Any, _data: Any, message: paho.MQTTMessage) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError:
            topic = ""
        user = list(getattr(message.properties, "UserProperty", ()))
        self._take_message(topic, bytes(message.payload), message.qos, message.retain, message.mid, user)

    def _take_message(  # noqa: PLR0917 - a packet's parts, on the hot path
        self, topic: str, payload: bytes, qos: int, retain: bool, mid: int, user: list[tuple[str, str]]
    ) -> None:
        self.received.append(Incoming(topic, payload, qos, retain, mid, time.time(), dict(user)))


def _properties(kind: int) -> Properties:
    return Properties(kind)  # type: ignore[no-untyped-call]
