"""Event ids, epochs, and how a draft becomes an event."""

from __future__ import annotations

import hashlib
import secrets
import struct
import uuid
from collections.abc import MutableMapping

from shelfvision.core.events import Event, EventDraft, to_utc

_MAX_MILLISECONDS = 2**48 - 1


def event_id(time: float, *parts: str) -> str:
    """A UUIDv7 (RFC 9562, section 5.7) whose random bits are a hash: the same arguments give the same id.

    Args:
        time: POSIX seconds of the event; its milliseconds lead the id, so ids sort by event time.
        parts: what makes the event the one it is, such as source, epoch and key.
    """
    milliseconds = min(max(round(time * 1000), 0), _MAX_MILLISECONDS)
    # lengths keep ("ab", "c") apart from ("a", "bc"); the exact time keeps two times of one millisecond apart
    text = "".join(f"{len(part)}:{part}" for part in parts).encode()
    digest = hashlib.sha256(struct.pack(">d", time) + text).digest()
    random = int.from_bytes(digest[:10], "big")
    value = milliseconds << 80 | 0x7 << 76 | (random >> 64 & 0xFFF) << 64 | 0b10 << 62 | random & (2**62 - 1)
    return str(uuid.UUID(int=value))


def new_epoch(now: float) -> str:
    """The name of a new outbox life: 24 lowercase hex digits, rising with ``now`` (POSIX seconds)."""
    milliseconds = min(max(round(now * 1000), 0), _MAX_MILLISECONDS)
    return f"{milliseconds:012x}{secrets.token_hex(6)}"


def to_event(
    draft: EventDraft,
    *,
    store: str,
    device: str,
    epoch: str,
    seq: int,
    links: MutableMapping[str, str] | None = None,
) -> Event:
    """The event that a draft becomes at place ``seq`` of ``epoch``.

    Args:
        draft: what the pipeline reported.
        store: store id.
        device: device id.
        epoch: life of the outbox.
        seq: place in the epoch, from 1.
        links: remembers which id each draft got (``camera/key`` to event id) and turns ``data.linked_event`` from a
            key into that id. Keep one dict for a run and give it to every call; without it, or for a key that it
            does not hold, the event carries no link rather than a wrong one.
    """
    source = f"{store}/{device}/{draft.camera}"
    identity = event_id(draft.time, source, epoch, draft.key)
    data = draft.data
    if data.linked_event is not None:
        linked = None if links is None else links.get(f"{draft.camera}/{data.linked_event}")
        data = data.model_copy(update={"linked_event": linked})
    if links is not None:
        links[f"{draft.camera}/{draft.key}"] = identity
    return Event(
        id=identity,
        source=source,
        type=draft.kind.type,
        subject=data.slot,
        time=to_utc(draft.time),
        epoch=epoch,
        seq=seq,
        data=data,
    )
