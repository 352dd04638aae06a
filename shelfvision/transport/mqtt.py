"""One MQTT 5 connection, used by one thread: paho's packets and sessions, our own loop and our own errors.

A connection lives once. Whoever wants to stay connected makes a new one with ``Backoff`` in between; nothing of a
broken connection (queues, packet ids, half-read packets) reaches the next one.
"""

from __future__ import annotations

import contextlib
import random
import select
import socket
import ssl
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
from shelfvision.transport.quick_client import QuickClient, UserProperties

KEEPALIVE_SECONDS = 8  # paho gives up after two of them: a half-open connection is noticed within 16 s
CONNECT_SECONDS = 5.0
_MAX_PACKET_BYTES = 262_144
_MOST_UNANSWERED = 200  # QoS 1 publishes; fewer where the broker says so
_BURST = 64

SUCCESS = 0x00
NO_MATCHING_SUBSCRIBERS = 0x10
_REASONS = {
    0x10: "nobody subscribes to it (0x10); is the replenishment service set up?",
    0x84: "the broker does not speak MQTT 5 (0x84); use Mosquitto 2 or another MQTT 5 broker",
    0x85: "the broker does not accept our client id (0x85)",
    0x86: "wrong user name or password (0x86); check broker.username and broker.password",
    0x87: "not authorised (0x87); check user name, password and the broker's access list",
    0x88: "the broker is unavailable (0x88)",
    0x8A: "the broker has banned us (0x8A)",
    0x8B: "the broker is shutting down (0x8B)",
    0x8D: "the broker heard nothing from us for too long (0x8D)",
    0x8E: "another client connected with our client id (0x8E); is a second one running with the same ids?",
    0x95: "a packet was larger than the broker takes (0x95)",
    0x97: "the broker's quota is used up (0x97)",
}
SESSION_TAKEN_OVER = 0x8E
_UNSPECIFIED = 0x80  # so paho calls a connection that ended without a word
_KEEPALIVE_TIMEOUT = 0x8D
_RIVAL_CLOSINGS = 2


def reason_text(code: int) -> str:
    """What an MQTT reason code means for the person who has to act."""
    known = _REASONS.get(code)
    if known is None:
        known = f"reason code 0x{code:02X}"
    return known


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


class Reconnects:
    """Pauses between connections: 1 to 30 s, doubling, with jitter so that a fleet does not come at once.

    They begin small again after a connection that was useful. It also notices a rival with our client id: brokers
    then close our connection, Mosquitto 2.0 without a reason, and take us again at once.

    Args:
        client_id: ours, for the message.
        first: first pause, seconds.
        longest: longest pause, seconds.
    """

    def __init__(self, client_id: str, first: float = 1.0, longest: float = 30.0) -> None:
        self._client_id = client_id
        self._first = first
        self._longest = longest
        self._next = first
        self._closed = 0  # times in a row that a broker closed a working connection and took us again at once

    def pause(self) -> float:
        """Seconds to wait before the next connection."""
        base, self._next = self._next, min(self._next * 2, self._longest)
        return base * random.uniform(0.75, 1.25)

    def refused(self) -> None:
        """No connection came about: the broker is away, or refuses us."""
        self._closed = 0

    def lost(self, connection: Connection, *, useful: bool) -> str:
        """A working connection has ended; returns why, in words."""
        self._closed = self._closed + 1 if connection.closed_by_broker else 0
        rival = connection.taken_over or self._closed >= _RIVAL_CLOSINGS
        if useful and not rival:
            self._next = self._first
        if rival and not connection.taken_over:
            return (
                f"broker {connection.address}: it closes our connection again and again; "
                f"is another client connected with our client id {self._client_id}?"
            )
        return f"broker {connection.address}: {connection.lost}"


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
        _set_credentials(self._client, self._broker)
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
            raise BrokerError(f"broker {self.address}: {_connect_fault(error)}") from None
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


def _set_credentials(client: paho.Client, broker: BrokerSection) -> None:
    password = broker.password.get_secret_value() if broker.password is not None else None
    if broker.password_file is not None:
        try:
            password = broker.password_file.read_text(encoding="utf-8").partition("\n")[0].rstrip("\r")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "not UTF-8 text"
            raise BrokerError(f"broker.password_file {broker.password_file}: cannot be read: {reason}") from None
    if broker.username is not None or password is not None:
        client.username_pw_set(broker.username or "", password)
    if broker.tls:
        client.tls_set_context(_tls_context(broker))


def _tls_context(broker: BrokerSection) -> ssl.SSLContext:
    for name in ("ca_file", "cert_file", "key_file"):
        path = getattr(broker, name)
        if path is not None and not path.is_file():
            raise BrokerError(f"broker.{name} {path}: no such file")
    try:
        context = ssl.create_default_context(cafile=str(broker.ca_file) if broker.ca_file else None)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if broker.cert_file is not None:
            context.load_cert_chain(broker.cert_file, broker.key_file)
    except (ssl.SSLError, OSError) as error:
        raise BrokerError(f"broker TLS files: {error.strerror or error}; check ca_file, cert_file, key_file") from None
    return context


def _connect_fault(error: OSError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}; check broker.ca_file and the host name"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed: {error.reason or error}; check url and client certificate"
    if isinstance(error, socket.gaierror):
        return "no such host; check broker.url"
    if isinstance(error, TimeoutError):
        return f"no answer within {CONNECT_SECONDS:.0f} s; check broker.url and the network"
    return f"cannot be reached: {error.strerror or error}; is it running?"
