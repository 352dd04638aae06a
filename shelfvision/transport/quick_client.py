"""paho's client with its hot paths shortened: reading and writing packets, QoS 1 answers, and user properties.

paho 2.1 and 2.2 read a packet byte by byte from the socket, write each one by itself and build a table of all MQTT
properties for each; together that is nine tenths of the cost of an event. Sessions, handshakes, failures and
everything seldom stay paho's. The overridden methods are private to paho: where a release no longer has them, its own
slower ones simply stay in use, and a test compares our reading with paho's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import MQTTErrorCode

_READ_BYTES = 65_536
_USER_PROPERTY = 38
# MQTT 5, table 2-4: sizes of the fixed-size properties of PUBLISH; the others are texts or bytes with their length
_FIXED = {1: 1, 2: 4, 35: 2}
_WITH_LENGTH = {3, 8, 9}
_SUBSCRIPTION_IDENTIFIER = 11


class MalformedPropertiesError(ValueError):
    """The properties of a packet end in the middle or are unknown."""


class UserProperties:
    """User properties of a message to publish; stands in for paho's ``Properties`` where only these are needed."""

    def __init__(self, pairs: Sequence[tuple[str, str]]) -> None:
        self._pairs = pairs

    def pack(self) -> bytes:
        """As they go over the wire, with their length."""
        parts = bytearray()
        for pair in self._pairs:
            parts.append(_USER_PROPERTY)
            for text in pair:
                data = text.encode()
                parts += len(data).to_bytes(2, "big")
                parts += data
        return _variable(len(parts)) + bytes(parts)


def _variable(value: int) -> bytes:
    out = bytearray()
    while True:
        value, byte = divmod(value, 128)
        out.append(byte | 0x80 if value else byte)
        if not value:
            return bytes(out)


def read_variable(data: bytes | bytearray, start: int) -> tuple[int, int]:
    """A variable byte integer and the place after it.

    Raises:
        MalformedPropertiesError: it does not end within four bytes.
    """
    value = 0
    for shift in range(4):
        if start + shift >= len(data):
            break
        byte = data[start + shift]
        value |= (byte & 0x7F) << 7 * shift
        if byte < 0x80:
            return value, start + shift + 1
    raise MalformedPropertiesError("a length does not end")


def read_properties(data: bytes | bytearray, start: int) -> tuple[list[tuple[str, str]], int]:
    """The user properties of a PUBLISH packet and the place after all properties.

    Raises:
        MalformedPropertiesError: they break off, are not UTF-8, or are none of PUBLISH's.
    """
    length, place = read_variable(data, start)
    end = place + length
    pairs: list[tuple[str, str]] = []
    if end > len(data):
        raise MalformedPropertiesError("properties are longer than their packet")
    while place < end:
        kind = data[place]
        place += 1
        if kind == _USER_PROPERTY:
            key, place = _text(data, place)
            value, place = _text(data, place)
            pairs.append((key, value))
        elif kind in _FIXED:
            place += _FIXED[kind]
        elif kind in _WITH_LENGTH:
            place += 2 + int.from_bytes(data[place : place + 2], "big")
        elif kind == _SUBSCRIPTION_IDENTIFIER:
            _, place = read_variable(data, place)
        else:
            raise MalformedPropertiesError(f"property {kind} does not belong to a message")
    if place != end:
        raise MalformedPropertiesError("the last property breaks off")
    return pairs, end


def _text(data: bytes | bytearray, place: int) -> tuple[str, int]:
    end = place + 2 + int.from_bytes(data[place : place + 2], "big")
    try:
        return data[place + 2 : end].decode(), end
    except UnicodeDecodeError:
        raise MalformedPropertiesError("a property is not UTF-8") from None


class QuickClient(paho.Client):
    """See the module; set ``take_message`` and ``take_answer`` before connecting. They must not raise."""

    take_message: Callable[
        [str, bytes, int, bool, int, list[tuple[str, str]]], None
    ]  # topic, payload, qos, retain, mid
    take_answer: Callable[[int, int], None]  # packet id, reason code

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self._read_ahead = b""
        self._read_place = 0
        self._corked = False
        self._write_behind = bytearray()

    def cork(self) -> None:
        """Collect what is written until ``uncork``."""
        self._corked = True

    def uncork(self) -> None:
        """Write what was collected, as far as the socket takes it.

        Raises:
            OSError: the connection is gone.
        """
        self._corked = False
        self.push()

    def push(self) -> None:
        """Write more of what the socket did not take.

        Raises:
            OSError: the connection is gone.
        """
        while self._write_behind:
            try:
                sent = super()._sock_send(self._write_behind)
            except BlockingIOError:
                return
            del self._write_behind[:sent]

    def want_write(self) -> bool:
        """Whether something waits for the socket to take it."""
        return bool(self._write_behind) or super().want_write()

    def _sock_send(self, buf: bytes | bytearray) -> int:
        if not self._corked and not self._write_behind:
            return super()._sock_send(buf)
        self._write_behind += buf
        if not self._corked:
            self.push()
        return len(buf)

    @property
    def read_ahead(self) -> bool:
        """Whether received bytes wait that a select on the socket does not see."""
        return self._read_place < len(self._read_ahead)

    def _sock_recv(self, bufsize: int) -> bytes:
        if self._read_place >= len(self._read_ahead):
            self._read_ahead = super()._sock_recv(max(bufsize, _READ_BYTES))
            self._read_place = 0
        start = self._read_place
        self._read_place = min(start + bufsize, len(self._read_ahead))
        return self._read_ahead[start : self._read_place]

    def _handle_publish(self) -> MQTTErrorCode:
        header = self._in_packet["command"]
        qos = header >> 1 & 0x03
        if qos > 1:
            return super()._handle_publish()
        packet = self._in_packet["packet"]
        try:
            place = 2 + int.from_bytes(packet[:2], "big")
            topic = packet[2:place].decode()
            mid = 0
            if qos:
                mid = int.from_bytes(packet[place : place + 2], "big")
                place += 2
            pairs, place = read_properties(packet, place)
        except (MalformedPropertiesError, UnicodeDecodeError):
            return MQTTErrorCode.MQTT_ERR_PROTOCOL
        self.take_message(topic, bytes(packet[place:]), qos, bool(header & 0x01), mid, pairs)
        return MQTTErrorCode.MQTT_ERR_SUCCESS

    def _handle_pubackcomp(self, cmd: Any) -> MQTTErrorCode:
        packet = self._in_packet["packet"]
        if cmd != "PUBACK" or len(packet) != 2:
            return super()._handle_pubackcomp(cmd)
        mid = int.from_bytes(packet, "big")  # two bytes mean success
        with self._out_message_mutex:
            message = self._out_messages.pop(mid, None)
            if message is not None:
                message.info._set_as_published()  # noqa: SLF001 - as paho's own does
                self._inflight_messages -= 1
        if message is not None:
            self.take_answer(mid, 0)
        return MQTTErrorCode.MQTT_ERR_SUCCESS
