"""The published description of our messages is current, and what we really send fits it."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shelfvision.core.events import EventData, EventKind, to_utc
from shelfvision.core.messages import (
    Ack,
    CameraStatus,
    DeviceStatus,
    Health,
    RankedProduct,
    Ranking,
    SlotCondition,
    SlotState,
    TaskCommand,
    TaskDocument,
    TaskState,
)
from shelfvision.transport import asyncapi
from shelfvision.transport.ids import to_event
from shelfvision.transport.outbox import Outbox
from shelfvision.transport.topics import Topics
from tests.transport.builders import draft, drafts

FILE = Path(__file__).parents[2] / "docs" / "asyncapi.yaml"
NOW = to_utc(1_700_000_000.25)


def check(payload: str, model: str) -> None:
    document = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    schema = {"$ref": f"#/components/schemas/{model}", "components": document["components"]}
    jsonschema.validate(
        json.loads(payload), schema, jsonschema.Draft202012Validator, format_checker=jsonschema.FormatChecker()
    )


def test_the_file_is_current():
    assert FILE.read_text(encoding="utf-8") == asyncapi.text(), "run: python -m shelfvision.transport.asyncapi"


def test_every_reference_in_the_document_leads_somewhere():
    document = asyncapi.document()

    def references(value):
        if isinstance(value, dict):
            for key, item in value.items():
                if key == "$ref":
                    yield item
                else:
                    yield from references(item)
        elif isinstance(value, list):
            for item in value:
                yield from references(item)

    found = set(references(document))
    assert len(found) > 20
    for reference in found:
        place = document
        for part in reference.removeprefix("#/").split("/"):
            place = place[part]


def test_every_topic_of_the_document_is_one_that_we_read_and_write():
    topics = Topics("{store}")
    for channel in asyncapi.document()["channels"].values():
        assert topics.read(channel["address"]) is not None
        assert set(channel["parameters"]) == {
            part[1:-1] for part in channel["address"].split("/") if part.startswith("{")
        }


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(
    kind=st.sampled_from(list(EventKind)),
    count=st.none() | st.integers(0, 100_000),
    confidence=st.none() | st.floats(0, 1),
    hold=st.none() | st.floats(0, 1e6),
    slot=st.none() | st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", fullmatch=True),
)
def test_any_event_fits_its_schema(kind, count, confidence, hold, slot):
    base = draft(1, kind)
    data = EventData(slot=slot, count=count, confidence=confidence, hold_seconds=hold, contact_at=NOW)
    event = to_event(type(base)(kind, 5.0, "cam", data, "key"), store="shop", device="edge-1", epoch="0" * 16, seq=7)
    check(event.to_json(), "Event")


def test_stored_events_and_gap_records_fit_their_schema(tmp_path):
    outbox = Outbox(tmp_path / "o.sqlite", store="shop", device="edge-1", max_bytes=100_000)
    for number in range(0, 600, 20):
        outbox.append(drafts(20, EventKind.TOUCH, start=number))
    rows = outbox.read(0, 1000)
    assert rows[0].kind == EventKind.GAP
    for row in rows[:20]:
        check(row.payload, "Event")
    outbox.close()


MESSAGES = [
    Ack(epoch="0" * 16, seq=5),
    DeviceStatus(status="online", device="edge-1", epoch="0" * 16, backlog=3, cameras=["cam"], at=NOW),
    CameraStatus(camera="cam", status="offline", since=NOW, error="no answer"),
    SlotState(slot="left", camera="cam", sku="S", state=SlotCondition.OUT, since=NOW, updated_at=NOW, confidence=0.5),
    Health(device="edge-1", at=NOW, backlog=0, cameras={"cam": 5.0}),
    TaskCommand(action="claim", version=1, actor="Kim", key="12345678"),
    TaskDocument(
        id="t-1",
        version=1,
        state=TaskState.OPEN,
        store="shop",
        device="edge-1",
        slot="left",
        sku="S",
        name="Bottle",
        units=2,
        rank=1,
        value=0.5,
        reasons=["empty for 5 minutes"],
        condition=SlotCondition.OUT,
        created_at=NOW,
        updated_at=NOW,
    ),
    Ranking(
        at=NOW,
        rank_by="lost_value",
        items=[
            RankedProduct(
                rank=1,
                slot="left",
                device="edge-1",
                sku="S",
                name="Bottle",
                condition=SlotCondition.LOW,
                value=1.5,
                rate_per_hour=2.0,
                reasons=["often taken"],
            )
        ],
    ),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_every_other_message_fits_its_schema(message):
    check(message.to_json(), type(message).__name__)


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_a_schema_refuses_what_is_wrong(message):
    content = json.loads(message.to_json())
    content[next(key for key, value in content.items() if isinstance(value, str))] = [1]
    with pytest.raises(jsonschema.ValidationError):
        check(json.dumps(content), type(message).__name__)
