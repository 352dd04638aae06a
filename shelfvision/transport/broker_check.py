"""Tries out a broker for `shelfvision doctor`: connection, access rights, retained messages, who listens."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from typing import TypeVar

from pydantic import ValidationError

from shelfvision.config import BrokerSection
from shelfvision.core.events import to_utc
from shelfvision.core.findings import Finding
from shelfvision.core.messages import Ack, DeviceStatus, Health
from shelfvision.errors import BrokerError
from shelfvision.transport.mqtt import Connection, Incoming, Wakeup
from shelfvision.transport.reasons import NO_MATCHING_SUBSCRIBERS, reason_text
from shelfvision.transport.topics import PROBE, Topics

Document = TypeVar("Document", Ack, DeviceStatus)
_ANSWER_SECONDS = 5.0
_RETAINED_SECONDS = 1.0  # retained messages come right after the subscription


def check_broker(broker: BrokerSection, *, store: str, device: str, delivery: str) -> Iterator[Finding]:
    """Findings about the broker and the delivery promise, as they come.

    What it publishes is marked as a probe, which readers drop, and what it leaves on the broker it clears.
    """
    wakeup = Wakeup()
    connection = Connection(broker, f"shelfvision-doctor-{store}-{device}-{secrets.token_hex(4)}", wakeup=wakeup)
    try:
        started = time.monotonic()
        connection.open()
        yield Finding.ok("broker", f"{connection.address}: connected in {_ms(started)}{', TLS' if broker.tls else ''}")
        if not broker.tls and broker.host not in {"127.0.0.1", "::1", "localhost"}:
            text = "the connection is not encrypted"
            yield Finding.warn("broker", text, "use mqtts:// and the certificates of edge/README.md")
        yield from _try_out(connection, Topics(store), device, delivery)
    except BrokerError as error:
        yield Finding.fail(
            "broker",
            str(error).removeprefix("broker "),
            "start it, or correct the broker section; until then events wait in the outbox",
        )
    finally:
        connection.close()
        wakeup.close()


def _try_out(connection: Connection, topics: Topics, device: str, delivery: str) -> Iterator[Finding]:
    yield _round_trip(connection, topics.health(device), device)
    events = _publish(connection, topics.events(device), b"")
    if events >= 0x80:
        text = f"publishing to {topics.events(device)} is refused: {reason_text(events)}"
        yield Finding.fail("broker", text, "let the device write it in the broker's access list (edge/mosquitto/acl)")
    listened = events < 0x80 and events != NO_MATCHING_SUBSCRIBERS
    documents = _retained(connection, [topics.ack(device), topics.device_status(device)])
    yield _agent(documents.get(topics.device_status(device)))
    ack = _read(Ack, documents.get(topics.ack(device)))
    yield _promise(delivery, listened=listened, ack=ack)


def _round_trip(connection: Connection, topic: str, device: str) -> Finding:
    """Publish on the device's health topic, retained, and see it come back; then clear it."""
    document = Health(device=device, at=to_utc(time.time()), backlog=0).to_json().encode()
    try:
        connection.subscribe([topic])
        readable = True
    except BrokerError:
        if connection.lost is not None:
            raise
        readable = False  # an access list that lets devices only write is no fault
    started = time.monotonic()
    code = _publish(connection, topic, document, retain=True)
    if code >= 0x80:
        fix = "let the device write its topics in the broker's access list (edge/mosquitto/acl)"
        return Finding.fail("broker", f"publishing to {topic} is refused: {reason_text(code)}", fix)
    came_back = readable and _wait_for(connection, topic, document, _ANSWER_SECONDS)
    took = _ms(started)
    kept = _retained(connection, [topic]).get(topic) if readable else None
    _publish(connection, topic, b"", retain=True)
    if not came_back:  # Mosquitto refuses no subscription that may not be read, it just sends nothing
        text = f"{topic}: may be written, but is not read back; the device must be able to read at least its ack topic"
        return Finding.warn("broker", text, "let the device read its own topics (edge/mosquitto/acl)")
    if kept is None:
        return Finding.fail("broker", "it does not keep retained messages", "set `retain_available true` on it")
    return Finding.ok("broker", f"{topic}: written and read back in {took}, retained messages are kept")


def _agent(payload: bytes | None) -> Finding:
    status = _read(DeviceStatus, payload)
    if status is None:
        return Finding.ok("agent", "has not been seen on this broker yet")
    if status.status == "offline":
        return Finding.ok("agent", "was here, is not running now")
    running = "is running" + (f", version {status.version}" if status.version else "")
    backlog = f", {status.backlog} events wait for the service" if status.backlog else ""
    if status.dropped:
        text = f"{running}{backlog}; {status.dropped} events were given up for lack of space"
        return Finding.warn("agent", text, "give the outbox more room (device.outbox_max_mb) and run the service")
    return Finding.ok("agent", running + backlog)


def _promise(delivery: str, *, listened: bool, ack: Ack | None) -> Finding:
    if delivery == "broker":
        text = "broker: an event goes once the broker has taken it; the broker may still lose it"
        fix = "for no loss run `shelfvision replenish` and set device.delivery to watermark"
        if not listened:
            return Finding.warn("delivery", f"{text}; nobody subscribes now, so that events wait", fix)
        return Finding.warn("delivery", text, fix)
    if ack is not None:
        text = f"watermark: the service has stored events up to {ack.seq} of epoch {ack.epoch}"
        if listened:
            return Finding.ok("delivery", text)
        fix = "start `shelfvision replenish` with the same store and broker"
        return Finding.warn("delivery", f"{text}, but does not listen any more; events wait in the outbox", fix)
    if listened:
        return Finding.ok("delivery", "watermark: somebody listens, no event of this device has been acknowledged yet")
    text = "watermark: no replenishment service has ever listened; events wait in the outbox until one does"
    return Finding.warn("delivery", text, "start `shelfvision replenish`, or set device.delivery to broker (weaker)")


def _publish(connection: Connection, topic: str, payload: bytes, *, retain: bool = False) -> int:
    """Publish a probe with QoS 1; the reason code of the broker's answer.

    Raises:
        BrokerError: no answer, or the connection is lost.
    """
    mid = connection.publish(topic, payload, retain=retain, user=[(PROBE, "1")])
    deadline = time.monotonic() + _ANSWER_SECONDS
    while connection.lost is None and time.monotonic() < deadline:
        connection.wait(0.1)
        while connection.published:
            answered, code = connection.published.popleft()
            if answered == mid:
                return code
    raise BrokerError(f"broker {connection.address}: {connection.lost or f'no answer to a message on {topic}'}")


def _wait_for(connection: Connection, topic: str, payload: bytes, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while connection.lost is None and time.monotonic() < deadline:
        if any(message.topic == topic and message.payload == payload for message in _take(connection)):
            return True
        connection.wait(0.1)
    return False


def _retained(connection: Connection, topics: list[str]) -> dict[str, bytes]:
    """What the broker keeps on those topics that we may read."""
    kept: dict[str, bytes] = {}
    for topic in topics:
        try:
            connection.subscribe([topic])
        except BrokerError:
            if connection.lost is not None:
                raise
    deadline = time.monotonic() + _RETAINED_SECONDS
    while connection.lost is None and time.monotonic() < deadline and len(kept) < len(topics):
        kept.update({message.topic: message.payload for message in _take(connection) if message.retain})
        connection.wait(0.05)
    return kept


def _take(connection: Connection) -> Iterator[Incoming]:
    while connection.received:
        message = connection.received.popleft()
        if message.qos:
            connection.acknowledge(message.mid)
        yield message


def _read(model: type[Document], payload: bytes | None) -> Document | None:
    """The document, or None when there is none or it is unreadable."""
    if not payload:
        return None
    try:
        return model.model_validate_json(payload)
    except ValidationError:
        return None


def _ms(started: float) -> str:
    return f"{(time.monotonic() - started) * 1000:.0f} ms"
