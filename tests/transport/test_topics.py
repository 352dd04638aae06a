"""Topics are written and read by the same table."""

from __future__ import annotations

import pytest

from shelfvision.transport.topics import Address, TopicKind, Topics

T = Topics("shop")


@pytest.mark.parametrize(
    ("topic", "address"),
    [
        (T.events("d"), Address(TopicKind.EVENTS, "d")),
        (T.ack("d"), Address(TopicKind.ACK, "d")),
        (T.device_status("d"), Address(TopicKind.DEVICE_STATUS, "d")),
        (T.camera_status("d", "c"), Address(TopicKind.CAMERA_STATUS, "d", "c")),
        (T.slot_state("d", "s"), Address(TopicKind.SLOT_STATE, "d", "s")),
        (T.health("d"), Address(TopicKind.HEALTH, "d")),
        (T.task("t"), Address(TopicKind.TASK, None, "t")),
        (T.task_command("t"), Address(TopicKind.TASK_COMMAND, None, "t")),
        (T.ranking, Address(TopicKind.RANKING)),
    ],
)
def test_a_topic_reads_back_as_what_it_was_written_for(topic, address):
    assert topic.startswith("shelfvision/v1/shop/")
    assert T.read(topic) == address


@pytest.mark.parametrize("topic", ["", "x", "shelfvision/v1/other/d/events", "shelfvision/v1/shop/d/nothing/else"])
def test_a_foreign_topic_reads_as_none(topic):
    assert T.read(topic) is None
