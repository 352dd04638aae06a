"""Events, states and acknowledgements over the real broker while all goes well, and while parts come and go."""

from __future__ import annotations

import json
import time

import pytest

from shelfvision.core.events import EventKind, to_utc
from shelfvision.core.messages import (
    CameraStatus,
    Health,
    Ranking,
    SlotCondition,
    SlotState,
    TaskCommand,
    TaskDocument,
    TaskState,
)
from shelfvision.transport.topics import TopicKind, Topics
from tests.transport.builders import drafts
from tests.waiting import wait_until

T = Topics("shop")


def slot_state(condition: SlotCondition = SlotCondition.IN_STOCK, slot: str = "left") -> SlotState:
    moment = to_utc(1_000.0)
    return SlotState(
        slot=slot, camera="cam", sku="SKU-1", state=condition, since=moment, updated_at=moment, confidence=0.9
    )


def task(version: int, state: TaskState = TaskState.OPEN) -> TaskDocument:
    moment = to_utc(1_000.0)
    return TaskDocument(
        id="task-1",
        version=version,
        state=state,
        store="shop",
        device="edge-1",
        slot="left",
        sku="SKU-1",
        name="Bottle",
        units=1,
        value=1.0,
        reasons=["empty"],
        condition=SlotCondition.OUT,
        created_at=moment,
        updated_at=moment,
    )


def listen(rig, broker, filters, name="listener"):
    client = rig.client(broker, name)
    client.subscribe(filters)
    return client


def heard(client, seconds: float = 0.05) -> list[tuple[str, bytes]]:
    client.wait(seconds)
    return [(message.topic, message.payload) for message in client.received]


def test_every_event_arrives_once_in_order_with_its_place_in_the_properties(mosquitto, rig):
    outbox, inbox = rig.outbox(), rig.inbox()
    listener = listen(rig, mosquitto.section(), [T.events("+")])
    rig.service(mosquitto.section())
    rig.edge(mosquitto.section(), outbox)
    outbox.append(drafts(120))
    outbox.append(drafts(80, EventKind.TOUCH, start=120))
    wait_until(lambda: outbox.backlog == 0)
    assert inbox.seqs() == [(outbox.epoch, seq) for seq in range(1, 201)]
    assert inbox.watermarks()["edge-1"].seq == 200
    wait_until(lambda: len(heard(listener)) >= 200)
    for index, message in enumerate(list(listener.received)[:200]):
        content = json.loads(message.payload)
        assert message.properties["epoch"] == content["epoch"] == outbox.epoch
        assert message.properties["seq"] == str(content["seq"]) == str(index + 1)


def test_birth_status_and_will_tell_whether_the_device_is_there(mosquitto, rig):
    listener = listen(rig, mosquitto.section(), [T.device_status("+")])
    outbox = rig.outbox()
    link = rig.edge(mosquitto.section(), outbox, models={"detector": "1"})
    wait_until(lambda: heard(listener))
    birth = json.loads(listener.received.popleft().payload)
    assert birth["status"] == "online"
    assert birth["epoch"] == outbox.epoch
    assert birth["cameras"] == ["cam"]
    assert birth["models"] == {"detector": "1"}
    link.stop(time.monotonic() + 5)
    wait_until(lambda: heard(listener))
    assert json.loads(listener.received[-1].payload)["status"] == "offline"


def test_the_birth_comes_before_any_state(mosquitto, rig):
    listener = listen(rig, mosquitto.section(), ["shelfvision/v1/shop/edge-1/#"])
    link = rig.edge(mosquitto.section(), rig.outbox())
    for slot in ("a", "b", "c"):
        link.publish_slot_state(slot_state(slot=slot))
    wait_until(lambda: len(heard(listener)) >= 4)
    assert listener.received[0].topic == T.device_status("edge-1")


def test_a_device_that_vanishes_leaves_its_will(mosquitto, rig):
    from shelfvision.transport.mqtt import Will

    listener = listen(rig, mosquitto.section(), [T.device_status("+")])
    client = rig.client(mosquitto.section(), "vanishing", will=Will(T.device_status("edge-9"), '{"status":"offline"}'))
    client._drop()  # no goodbye
    wait_until(lambda: heard(listener))
    assert listener.received[0].payload == b'{"status":"offline"}'


def test_states_are_retained_and_sent_again_when_the_broker_lost_them(mosquitto, rig):
    outbox = rig.outbox()
    link = rig.edge(mosquitto.section(), outbox)
    link.publish_slot_state(slot_state(SlotCondition.IN_STOCK))
    link.publish_slot_state(slot_state(SlotCondition.OUT))
    link.publish_camera_status(CameraStatus(camera="cam", status="online", since=to_utc(1_000.0)))
    link.publish_health(Health(device="edge-1", at=to_utc(1_000.0), backlog=0))
    filters = [T.slot_state("+", "+"), T.camera_status("+", "+")]

    def retained(name: str) -> dict[str, str]:
        listener = listen(rig, mosquitto.section(), filters, name)
        found: dict[str, str] = {}

        def complete() -> bool:
            for topic, payload in heard(listener):
                content = json.loads(payload)
                found[topic] = content.get("state") or content["status"]
            return len(found) == 2

        wait_until(complete)
        return found

    expected = {T.slot_state("edge-1", "left"): "out", T.camera_status("edge-1", "cam"): "online"}
    assert retained("first") == expected
    mosquitto.restart(kill=True)  # its default writes nothing within half an hour
    wait_until(lambda: link.connected)
    assert retained("second") == expected


def test_the_broker_killed_again_and_again_loses_and_doubles_nothing(mosquitto, rig):
    outbox, inbox = rig.outbox(), rig.inbox()
    service = rig.service(mosquitto.section())
    link = rig.edge(mosquitto.section(), outbox)
    for round_ in range(4):
        outbox.append(drafts(300, start=300 * round_))
        wait_until(lambda: link.connected and service.connected)
        mosquitto.restart(kill=True)
        outbox.append(drafts(10, EventKind.TOUCH, start=5_000 + 10 * round_))
    wait_until(lambda: outbox.backlog == 0, 30)
    assert inbox.seqs() == [(outbox.epoch, seq) for seq in range(1, 1_241)]
    assert len(set(inbox.ids())) == 1_240


def test_a_service_that_was_away_gets_what_happened_meanwhile(mosquitto, rig):
    outbox, inbox = rig.outbox(), rig.inbox()
    first = rig.service(mosquitto.section())
    wait_until(lambda: first.connected)
    first.stop(time.monotonic() + 5)
    rig.edge(mosquitto.section(), outbox)
    outbox.append(drafts(1_500))
    wait_until(lambda: outbox.backlog == 1_500)
    rig.service(mosquitto.section())
    wait_until(lambda: outbox.backlog == 0, 30)
    assert inbox.seqs() == [(outbox.epoch, seq) for seq in range(1, 1_501)]


def test_a_device_started_again_goes_on_where_the_service_is(mosquitto, rig):
    inbox = rig.inbox()
    rig.service(mosquitto.section())
    outbox = rig.outbox()
    link = rig.edge(mosquitto.section(), outbox)
    outbox.append(drafts(50))
    wait_until(lambda: outbox.backlog == 0)
    link.stop(time.monotonic() + 5)
    outbox.append(drafts(50, start=50))  # the broker is out of reach
    outbox.close()
    again = rig.outbox()
    assert again.backlog == 50
    rig.edge(mosquitto.section(), again)
    wait_until(lambda: again.backlog == 0)
    assert inbox.seqs() == [(again.epoch, seq) for seq in range(1, 101)]


def test_a_service_whose_database_is_younger_passes_over_what_no_longer_exists(mosquitto, rig):
    """Events 1 to 60 were acknowledged by another database; the device does not have them any more."""
    outbox = rig.outbox()
    service = rig.service(mosquitto.section())
    rig.edge(mosquitto.section(), outbox)
    outbox.append(drafts(60))
    wait_until(lambda: outbox.backlog == 0)
    service.stop(time.monotonic() + 5)
    younger = rig.inbox("younger")
    rig.service(mosquitto.section(), younger)
    outbox.append(drafts(40, start=60))
    wait_until(lambda: outbox.backlog == 0)
    assert younger.seqs() == [(outbox.epoch, seq) for seq in range(61, 101)]
    assert younger.watermarks()["edge-1"].seq == 100


def test_several_devices_do_not_mix(mosquitto, rig):
    inbox = rig.inbox()
    rig.service(mosquitto.section())
    outboxes = {name: rig.outbox(name, device=name) for name in ("edge-1", "edge-2", "edge-3")}
    for name, outbox in outboxes.items():
        rig.edge(mosquitto.section(), outbox, device=name)
        outbox.append(drafts(100))
    wait_until(lambda: all(outbox.backlog == 0 for outbox in outboxes.values()))
    for name, outbox in outboxes.items():
        assert inbox.seqs(name) == [(outbox.epoch, seq) for seq in range(1, 101)]


def test_tasks_reach_readers_in_every_version_and_are_cleared(mosquitto, rig):
    listener = listen(rig, mosquitto.section(), [T.task("+"), T.ranking])
    service = rig.service(mosquitto.section())
    for version in (1, 2, 3):
        service.publish_task(task(version))
    service.publish_task(task(4, TaskState.CONFIRMED))
    service.clear_task("task-1")
    service.publish_ranking(Ranking(at=to_utc(1_000.0), rank_by="pickups", items=[]))
    wait_until(lambda: len(heard(listener)) == 6)
    payloads = [message.payload for message in listener.received if message.topic == T.task("task-1")]
    assert [json.loads(payload)["version"] for payload in payloads[:-1]] == [1, 2, 3, 4]
    assert payloads[-1] == b""
    late = listen(rig, mosquitto.section(), [T.task("+"), T.ranking], "late")
    wait_until(lambda: heard(late))
    assert [topic for topic, _ in heard(late, 0.2)] == [T.ranking]


def test_other_messages_come_parsed_or_with_their_fault(mosquitto, rig):
    messages = []
    service = rig.service(mosquitto.section(), on_message=messages.append)
    wait_until(lambda: service.connected)
    client = rig.client(mosquitto.section(), "sender")
    command = TaskCommand(action="claim", version=3, actor="Kim", key="12345678")
    sent = {
        T.task_command("task-1"): command.to_json(),
        T.slot_state("edge-1", "left"): slot_state().to_json(),
        T.slot_state("edge-1", "mid"): slot_state().to_json(),
        T.slot_state("edge-1", "right"): "",
        T.device_status("edge-1"): '{"status": "online", "device": "edge-1", "news": [1]}',
        T.camera_status("edge-1", "cam"): '{"camera": "cam", "status": "asleep", "since": "2026-01-01T00:00:00Z"}',
        T.health("edge-1"): '{"backlog": NaN}',
    }
    for topic, payload in sent.items():
        client.publish(topic, payload)
    wait_until(lambda: client.wait(0.01) or len(messages) == len(sent))
    by_topic = {message.topic: message for message in messages}
    assert by_topic[T.task_command("task-1")].model == command
    assert by_topic[T.task_command("task-1")].name == "task-1"
    state = by_topic[T.slot_state("edge-1", "left")]
    assert (state.kind, state.device, state.name, state.model) == (
        TopicKind.SLOT_STATE,
        "edge-1",
        "left",
        slot_state(),
    )
    assert "does not belong to its topic" in by_topic[T.slot_state("edge-1", "mid")].fault
    cleared = by_topic[T.slot_state("edge-1", "right")]
    assert cleared.model is None
    assert cleared.fault is None
    assert by_topic[T.device_status("edge-1")].model.status == "online"
    assert "status" in by_topic[T.camera_status("edge-1", "cam")].fault
    assert "NaN" in by_topic[T.health("edge-1")].fault


@pytest.mark.parametrize("delivery", ["watermark", "broker"])
def test_stopping_delivers_what_is_left(mosquitto, rig, delivery):
    outbox = rig.outbox()
    service = rig.service(mosquitto.section())
    wait_until(lambda: service.connected)
    link = rig.edge(mosquitto.section(), outbox, delivery=delivery)
    wait_until(lambda: link.connected)
    outbox.append(drafts(400))
    link.stop(time.monotonic() + 20)
    assert outbox.backlog == 0


def test_stopping_without_a_broker_is_quick(rig, mosquitto):
    section = mosquitto.section()
    mosquitto.kill()
    outbox = rig.outbox()
    outbox.append(drafts(5))
    link = rig.edge(section, outbox)
    service = rig.service(section)
    wait_until(lambda: link.last_error and service.last_error)
    assert "cannot be reached" in link.last_error
    started = time.monotonic()
    link.stop(time.monotonic() + 20)
    service.stop(time.monotonic() + 20)
    assert time.monotonic() - started < 3
    assert outbox.backlog == 5
