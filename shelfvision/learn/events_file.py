"""Reads a file of events, one CloudEvent a line, as `replay` and `mosquitto_sub` write them."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from shelfvision.core import strict_json
from shelfvision.core.events import Event, EventKind
from shelfvision.core.faults import fault_lines, suggestion
from shelfvision.errors import ConfigError, MalformedMessageError

_MOST_FAULTS = 20


def read_events(path: Path) -> list[Event]:
    """All events of a file in its order; empty lines are skipped.

    Raises:
        ConfigError: the file cannot be read, or a line is no event of a known type; one line a fault, each with its
            line number, at most 20.
    """
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}; check the path") from None
    events: list[Event] = []
    faults: list[str] = []
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                events.append(_event(line))
            except MalformedMessageError as error:
                faults.extend(f"{path} line {number}: {fault}" for fault in str(error).splitlines())
    if len(faults) > _MOST_FAULTS:
        faults = [*faults[:_MOST_FAULTS], f"{path}: {len(faults) - _MOST_FAULTS} more faults"]
    if faults:
        raise ConfigError("\n".join(faults))
    return events


def _event(line: bytes) -> Event:
    raw = strict_json.loads(line)
    if not isinstance(raw, dict):
        raise MalformedMessageError("expected a JSON object, one event a line")
    try:
        event = Event.model_validate(raw)
    except ValidationError as error:
        raise MalformedMessageError("\n".join(fault_lines(error))) from None
    if event.kind is None:
        known = [kind.type for kind in EventKind]
        raise MalformedMessageError(f"type: {event.type!r} is unknown{suggestion(event.type, known)}")
    return event
