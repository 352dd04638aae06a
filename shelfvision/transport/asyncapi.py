"""The AsyncAPI 3 document of everything on MQTT, generated from the models.

``python -m shelfvision.transport.asyncapi [FILE]`` writes it (``docs/asyncapi.yaml`` of the repository by default).
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from shelfvision import __version__
from shelfvision.core.events import Event, EventKind
from shelfvision.core.messages import (
    Ack,
    CameraStatus,
    DeviceStatus,
    Health,
    Ranking,
    SlotState,
    TaskCommand,
    TaskDocument,
)
from shelfvision.transport.topics import Topics

_ID = {"description": "letters, digits, dot, dash and underscore; at most 64"}
# channel: topic, message model, what a reader should know, QoS, retained, who writes
_CHANNELS: dict[str, tuple[str, type[BaseModel], str, int, bool, str]] = {
    "events": (
        Topics("{store}").events("{device}"),
        Event,
        (
            "Events in order of seq. User properties `epoch`, `seq` and `base` (lowest seq that the device still has) "
            "repeat the event's place. At least once: dedupe by (device, epoch, seq) or by id."
        ),
        1,
        False,
        "agent",
    ),
    "ack": (
        Topics("{store}").ack("{device}"),
        Ack,
        "Every event of the epoch up to seq is safe in the service's database; the device deletes them.",
        1,
        True,
        "service",
    ),
    "deviceStatus": (
        Topics("{store}").device_status("{device}"),
        DeviceStatus,
        "Birth when the device comes, will when it vanishes.",
        1,
        True,
        "agent",
    ),
    "cameraStatus": (
        Topics("{store}").camera_status("{device}", "{camera}"),
        CameraStatus,
        "How a camera is doing.",
        1,
        True,
        "agent",
    ),
    "slotState": (
        Topics("{store}").slot_state("{device}", "{slot}"),
        SlotState,
        "What is believed of a slot now.",
        1,
        True,
        "agent",
    ),
    "health": (Topics("{store}").health("{device}"), Health, "Load and space of a device.", 0, False, "agent"),
    "task": (
        Topics("{store}").task("{task}"),
        TaskDocument,
        "A restock task; its version rises with every change. An empty payload clears it when it is closed.",
        1,
        True,
        "service",
    ),
    "taskCommand": (
        Topics("{store}").task_command("{task}"),
        TaskCommand,
        "Claim, release, complete or reject a task. A repeat with the same key changes nothing.",
        1,
        False,
        "staff apps",
    ),
    "ranking": (Topics("{store}").ranking, Ranking, "What to refill next, and why.", 1, True, "service"),
}


def document() -> dict[str, Any]:
    """The document as plain values.

    Schemas describe what is written (serialization); readers ignore fields that they do not know.
    """
    models: list[type[BaseModel]] = [entry[1] for entry in _CHANNELS.values()]
    names, definitions = models_json_schema(
        [(model, "serialization") for model in models], ref_template="#/components/schemas/{model}"
    )
    schemas = dict(sorted(definitions["$defs"].items()))
    schemas["Event"]["properties"]["type"]["examples"] = [kind.type for kind in EventKind]
    channels: dict[str, Any] = {}
    operations: dict[str, Any] = {}
    messages: dict[str, Any] = {}
    for channel, (topic, model, words, qos, retained, writer) in _CHANNELS.items():
        parameters = [part[1:-1] for part in topic.split("/") if part.startswith("{")]
        channels[channel] = {
            "address": topic,
            "description": words,
            "parameters": dict.fromkeys(parameters, _ID),
            "messages": {model.__name__: {"$ref": f"#/components/messages/{model.__name__}"}},
        }
        messages[model.__name__] = {
            "name": model.__name__,
            "contentType": "application/cloudevents+json" if model is Event else "application/json",
            "payload": names[model, "serialization"],
        }
        operations[f"{'send' if writer != 'staff apps' else 'receive'}{channel[0].upper()}{channel[1:]}"] = {
            "action": "receive" if writer == "staff apps" else "send",
            "channel": {"$ref": f"#/channels/{channel}"},
            "summary": f"written by: {writer}",
            "bindings": {"mqtt": {"qos": qos, "retain": retained, "bindingVersion": "0.2.0"}},
        }
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "shelfvision",
            "version": __version__,
            "license": {"name": "Apache-2.0"},
            "description": "What shelfvision's edge devices, replenishment service and staff apps say over MQTT 5. "
            "Readers ignore fields that they do not know; a new major version of an event is a new type.",
        },
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": operations,
        "components": {"messages": messages, "schemas": schemas},
    }


def text() -> str:
    """The document as YAML."""
    head = "# Generated by `python -m shelfvision.transport.asyncapi` from the models; do not edit.\n"
    return head + yaml.dump(document(), sort_keys=False, allow_unicode=True, width=120, Dumper=_PlainDumper)


class _PlainDumper(yaml.SafeDumper):
    """No anchors: the same value twice is written twice."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 - the signature is yaml's
        return True


if __name__ == "__main__":
    target = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parents[2] / "docs" / "asyncapi.yaml")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text(), encoding="utf-8")
