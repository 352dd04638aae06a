"""Deliveries become rows: each event exactly once, in order of its device's sequence, in the caller's transaction."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError
from sqlalchemy import Connection, bindparam, insert, select, update

from shelfvision.core.demand import Observation
from shelfvision.core.events import Event, EventKind
from shelfvision.core.messages import Ack
from shelfvision.service.effects import Effects
from shelfvision.service.limits import is_identifier, short
from shelfvision.service.schema import dead_letters, devices, gaps, inbox, watermarks
from shelfvision.service.upsert import upsert
from shelfvision.transport.inbox import Delivery

_EPOCH = re.compile(r"[0-9a-f]{16,32}")
_MAX_SEQ = 2**53
_MAX_RAW = 65_536


@dataclass(slots=True)
class _Sequence:
    """What is known of one epoch of one device while a batch is taken in."""

    device: str
    epoch: str
    seq: int  # everything up to here is applied
    highest: int
    known: bool  # the watermark has a row already
    stored: dict[int, Event | None] = field(default_factory=dict)  # above ``seq``; None: nothing to apply
    gaps: list[tuple[int, int]] = field(default_factory=list)  # first, last; last > ``seq``


@dataclass(slots=True)
class Taken:
    """What a batch did."""

    acks: dict[str, Ack]
    applied: list[Event]  # in order
    observations: list[Observation]  # what demand can learn from them


def ingest(connection: Connection, deliveries: Sequence[Delivery]) -> Taken:
    """Store deliveries, apply what is in sequence, advance the watermarks. The caller commits."""
    batch = _Batch(connection)
    for delivery in deliveries:
        batch.add(delivery)
    return batch.finish()


class _Batch:
    """Rows to insert and sequences to advance."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._sequences: dict[tuple[str, str], _Sequence] = {}
        self._rows: list[dict[str, Any]] = []
        self._letters: list[dict[str, Any]] = []
        self._gaps: list[dict[str, Any]] = []
        self._heard: dict[str, dict[str, Any]] = {}

    def add(self, delivery: Delivery) -> None:
        """Take a delivery in; one that is known already changes nothing."""
        place = _place(delivery)
        if place is None:
            self._letters.append(_letter(delivery))
            return
        epoch, seq = place
        event = delivery.event
        heard = self._heard.setdefault(delivery.device, {"device": delivery.device})
        heard |= {"epoch": epoch, "last_received_at": delivery.received_at}
        if event is not None:
            heard["clock_lag"] = delivery.received_at - event.time.timestamp()
        sequence = self._sequence(delivery.device, epoch)
        is_gap = event is not None and event.kind is EventKind.GAP
        if is_gap and seq > sequence.seq:
            self._add_gap(delivery, sequence, seq)
        if seq <= sequence.seq or seq in sequence.stored:
            return
        sequence.stored[seq] = None if is_gap else event
        sequence.highest = max(sequence.highest, seq)
        self._rows.append(
            {
                "device": delivery.device,
                "epoch": epoch,
                "seq": seq,
                "event_id": event.id if event else None,
                "type": event.type if event else None,
                "time": event.time.timestamp() if event else None,
                "received_at": delivery.received_at,
                "payload": delivery.raw if event else None,
            }
        )
        if event is None:
            self._letters.append(_letter(delivery))

    def finish(self) -> Taken:
        """Write everything and apply what is in sequence."""
        if self._rows:
            self._connection.execute(insert(inbox), self._rows)
        if self._letters:
            self._connection.execute(insert(dead_letters), self._letters)
        upsert(self._connection, gaps, self._gaps)
        sequences = list(self._sequences.values())
        passed = [(sequence.device, _advance(sequence)) for sequence in sequences]
        effects = Effects(self._connection)
        effects.load((device, event.data.slot) for device, events in passed for event in events if event.data.slot)
        for device, events in passed:
            for event in events:
                effects.apply(device, event)
                self._heard[device]["last_event_at"] = event.time.timestamp()
        effects.flush()
        applied = [event for _, events in passed for event in events]
        _save_watermarks(self._connection, sequences, self._heard)
        for row in self._heard.values():
            upsert(self._connection, devices, [row], replace=tuple(name for name in row if name != "device"))
        acks = {
            name: Ack(epoch=row["epoch"], seq=self._sequences[name, row["epoch"]].seq)
            for name, row in self._heard.items()
        }
        return Taken(acks, applied, effects.observations)

    def _sequence(self, device: str, epoch: str) -> _Sequence:
        found = self._sequences.get((device, epoch))
        if found is None:
            found = self._sequences[device, epoch] = _load(self._connection, device, epoch)
        return found

    def _add_gap(self, delivery: Delivery, sequence: _Sequence, last: int) -> None:
        first = delivery.first_seq or last
        sequence.gaps.append((first, last))
        row = {"device": delivery.device, "epoch": sequence.epoch, "first_seq": first, "last_seq": last}
        reason = delivery.event.data.reason if delivery.event else None
        self._gaps.append({**row, "reason": short(reason, 500), "received_at": delivery.received_at})


def _place(delivery: Delivery) -> tuple[str, int] | None:
    if delivery.epoch is None or delivery.seq is None or not _EPOCH.fullmatch(delivery.epoch):
        return None
    if not is_identifier(delivery.device):
        return None
    return (delivery.epoch, delivery.seq) if 1 <= delivery.seq <= _MAX_SEQ else None


def _letter(delivery: Delivery) -> dict[str, Any]:
    return {
        "device": short(delivery.device, 64),
        "epoch": short(delivery.epoch, 32),
        "seq": delivery.seq if delivery.seq is not None and abs(delivery.seq) <= _MAX_SEQ else None,
        "topic": short(delivery.topic, 300),
        "received_at": delivery.received_at,
        "fault": short(delivery.fault or "its place in the sequence is unknown or impossible", 500),
        "raw": delivery.raw[:_MAX_RAW],
    }


def _load(connection: Connection, device: str, epoch: str) -> _Sequence:
    # FOR UPDATE: with PostgreSQL a second service process waits here; SQLite has locked the whole file already
    row = connection.execute(
        select(watermarks.c.seq, watermarks.c.highest)
        .where(watermarks.c.device == device, watermarks.c.epoch == epoch)
        .with_for_update()
    ).one_or_none()
    if row is None:
        return _Sequence(device, epoch, 0, 0, known=False)
    sequence = _Sequence(device, epoch, row.seq, row.highest, known=True)
    if row.highest > row.seq:
        held = select(inbox.c.seq, inbox.c.type, inbox.c.payload).where(
            inbox.c.device == device, inbox.c.epoch == epoch, inbox.c.seq > row.seq
        )
        for stored in connection.execute(held):
            sequence.stored[stored.seq] = _revive(stored.type, stored.payload)
    known_gaps = select(gaps.c.first_seq, gaps.c.last_seq).where(
        gaps.c.device == device, gaps.c.epoch == epoch, gaps.c.last_seq > row.seq
    )
    sequence.gaps.extend((gap.first_seq, gap.last_seq) for gap in connection.execute(known_gaps))
    return sequence


def _revive(type_name: str | None, payload: bytes | None) -> Event | None:
    if payload is None or type_name == EventKind.GAP.type:
        return None
    try:
        return Event.model_validate_json(payload)
    except ValidationError:  # it was readable when it came; a version that cannot read it any more passes over it
        return None


def _advance(sequence: _Sequence) -> list[Event]:
    """Move the watermark over everything without a hole; the events that it passed, in order."""
    applied: list[Event] = []
    while True:
        following = sequence.seq + 1
        if following in sequence.stored:
            event = sequence.stored.pop(following)
            if event is not None:
                applied.append(event)
            sequence.seq = following
            continue
        last = max((last for first, last in sequence.gaps if first <= following <= last), default=0)
        if last == 0:
            break
        inside = [seq for seq in sequence.stored if following < seq <= last]
        sequence.seq = min(inside) - 1 if inside else last
    sequence.highest = max(sequence.highest, sequence.seq)
    return applied


def _save_watermarks(connection: Connection, sequences: Sequence[_Sequence], heard: dict[str, dict[str, Any]]) -> None:
    new, changed = [], []
    for sequence in sequences:
        used_at = heard[sequence.device]["last_received_at"]
        values = {"seq": sequence.seq, "highest": sequence.highest, "used_at": used_at}
        if sequence.known:
            changed.append({"key_device": sequence.device, "key_epoch": sequence.epoch, **values})
        else:
            new.append({"device": sequence.device, "epoch": sequence.epoch, **values})
    if new:
        connection.execute(insert(watermarks), new)
    if changed:
        where = (watermarks.c.device == bindparam("key_device"), watermarks.c.epoch == bindparam("key_epoch"))
        connection.execute(update(watermarks).where(*where), changed)
