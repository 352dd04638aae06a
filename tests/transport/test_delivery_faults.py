"""Everything that can go wrong on the way, each with the real broker: nothing is lost, nothing is applied twice."""

from __future__ import annotations

import json
import threading
import time

import pytest

from shelfvision.config import BrokerSection
from shelfvision.core.events import EventKind, to_utc
from shelfvision.core.messages import Ack, SlotCondition, SlotState
from shelfvision.errors import StoreError
from shelfvision.transport.outbox import OversizeEventError
from shelfvision.transport.outbox_writer import OutboxWriter
from shelfvision.transport.topics import Topics
from tests.transport.builders import draft, drafts
from tests.transport.proxy import Proxy
from tests.waiting import wait_until

T = Topics("shop")


def expect_all(inbox, outbox, count: int) -> None:
    assert inbox.seqs() == [(outbox.epoch, seq) for seq in range(1, count + 1)]
    assert len(set(inbox.ids())) == count


def test_without_any_subscriber_events_stay_and_the_link_says_so(mosquitto, rig):
    """PUBACK 0x10: the broker acknowledges, and throws away."""
    outbox = rig.outbox()
    outbox.append(drafts(500))
    link = rig.edge(mosquitto.section(), outbox)
    wait_until(lambda: link.last_error and "0x10" in link.last_error)
    assert outbox.backlog == 500
    rig.service(mosquitto.section())
    wait_until(lambda: outbox.backlog == 0, 20)
    expect_all(rig.inbox(), outbox, 500)
    assert link.last_error is None


def test_with_delivery_by_the_broker_events_go_when_somebody_subscribes_and_not_before(mosquitto, rig):
    outbox = rig.outbox()
    outbox.append(drafts(500))
    link = rig.edge(mosquitto.section(), outbox, delivery="broker")
    wait_until(lambda: link.last_error and "0x10" in link.last_error)
    assert outbox.backlog == 500
    reader = rig.client(mosquitto.section(), "home-assistant")
    reader.subscribe([T.events("+")])
    ids: list[str] = []

    def read() -> bool:
        reader.wait(0.02)
        while reader.received:
            message = reader.received.popleft()
            reader.acknowledge(message.mid)
            identity = json.loads(message.payload)["id"]
            if identity not in ids:
                ids.append(identity)
        return outbox.backlog == 0 and len(ids) == 500

    wait_until(read, 20)
    assert ids == sorted(ids), "in the order of the events' times"


def test_a_broker_that_forbids_publishing_is_visible_and_keeps_nothing_from_us(mosquitto_factory, rig):
    """PUBACK 0x87: the access list forbids it; when it is put right, everything goes through."""
    forbidding = "user edge\ntopic read shelfvision/#\n\nuser service\ntopic readwrite shelfvision/#\n"
    broker = mosquitto_factory(acl=forbidding, passwords={"edge": "e", "service": "s"})
    rig.service(broker.section("service"))
    outbox = rig.outbox()
    outbox.append(drafts(300))
    link = rig.edge(broker.section("edge"), outbox)
    wait_until(lambda: link.last_error and "0x87" in link.last_error)
    assert outbox.backlog == 300
    broker.allow(forbidding.replace("topic read ", "topic readwrite "))
    wait_until(lambda: outbox.backlog == 0, 30)
    expect_all(rig.inbox(), outbox, 300)


@pytest.mark.parametrize("queued", [1_000, 50])
def test_a_broker_whose_queue_overflows_loses_nothing_for_us(mosquitto_factory, rig, queued):
    """The service is away, its queue at the broker full of others' messages: ours are acknowledged and dropped."""
    broker = mosquitto_factory(extra=[f"max_queued_messages {queued}"])
    service = rig.service(broker.section())
    wait_until(lambda: service.connected)
    service.stop(time.monotonic() + 5)
    flood = rig.client(broker.section(), "flood")
    answered = 0
    for number in range(queued + 200):
        flood.publish(T.slot_state("edge-9", f"s{number}"), b"{}")
        while flood.room == 0:
            flood.wait(0.1)
            answered += len(flood.published)
            flood.published.clear()
    flood.flush(time.monotonic() + 10)
    outbox = rig.outbox()
    outbox.append(drafts(3_000))
    link = rig.edge(broker.section(), outbox)
    wait_until(lambda: link.last_error and "no acknowledgement" in link.last_error, 10)
    assert outbox.backlog == 3_000
    rig.service(broker.section())
    wait_until(lambda: outbox.backlog == 0, 60)
    expect_all(rig.inbox(), outbox, 3_000)
    assert link.last_error is None


def test_an_oversize_event_is_refused_before_it_is_stored_and_others_of_its_group_are_not(rig):
    outbox = rig.outbox()
    writer = OutboxWriter(outbox)
    for number in range(10):
        writer.submit(draft(number, words="x" * 70_000 if number == 4 else None))
    writer.stop(time.monotonic() + 5)
    assert outbox.backlog == 9
    assert writer.refused == 1
    with pytest.raises(OversizeEventError):
        outbox.append([draft(99, words="x" * 70_000)])


def test_two_devices_with_one_client_id_are_told_and_nothing_is_lost(mosquitto, rig):
    inbox = rig.inbox()
    rig.service(mosquitto.section())
    first, second = rig.outbox("first"), rig.outbox("second", device="edge-2")
    one = rig.edge(mosquitto.section(), first, client_id="same")
    wait_until(lambda: one.connected)
    other = rig.edge(mosquitto.section(), second, device="edge-2", client_id="same")
    told: list[str] = []

    def said() -> bool:
        told.extend(link.last_error for link in (one, other) if link.last_error)
        return any("another client connected with our client id" in error for error in told)

    wait_until(said)
    first.append(drafts(100))
    second.append(drafts(100))
    wait_until(lambda: first.backlog == 0 and second.backlog == 0, 30)
    assert len(inbox.seqs("edge-1")) == len(inbox.seqs("edge-2")) == 100


def test_an_exception_in_a_message_handler_stops_nothing(mosquitto, rig):
    seen: list[str] = []

    def handler(message):
        seen.append(message.topic)
        raise RuntimeError("boom")

    outbox = rig.outbox()
    service = rig.service(mosquitto.section(), on_message=handler)
    link = rig.edge(mosquitto.section(), outbox)
    moment = to_utc(1_000.0)
    for slot in ("a", "b", "c"):
        link.publish_slot_state(
            SlotState(
                slot=slot,
                camera="cam",
                sku="SKU-1",
                state=SlotCondition.OUT,
                since=moment,
                updated_at=moment,
                confidence=1,
            )
        )
    wait_until(lambda: len([topic for topic in seen if "/slot/" in topic]) >= 3)
    assert "boom" in service.last_error
    outbox.append(drafts(100))
    wait_until(lambda: outbox.backlog == 0)
    expect_all(rig.inbox(), outbox, 100)


class FailingInbox:
    """An inbox whose ``apply`` fails on demand."""

    def __init__(self, inbox, fault) -> None:
        self._inbox = inbox
        self._fault = fault
        self.failures = 0

    def apply(self, deliveries):
        error = self._fault(deliveries)
        if error is not None:
            self.failures += 1
            raise error
        return self._inbox.apply(deliveries)

    def watermarks(self):
        return self._inbox.watermarks()


def test_a_database_that_fails_for_a_while_is_tried_again_and_nothing_is_acknowledged_meanwhile(mosquitto, rig):
    locked = threading.Event()
    locked.set()
    inbox = FailingInbox(rig.inbox(), lambda _: StoreError("database is locked") if locked.is_set() else None)
    service = rig.service(mosquitto.section(), inbox)
    outbox = rig.outbox()
    rig.edge(mosquitto.section(), outbox)
    outbox.append(drafts(400))
    wait_until(lambda: inbox.failures >= 3)
    assert service.last_error == "database is locked"
    assert outbox.backlog == 400
    assert rig.inbox().watermarks() == {}
    locked.clear()
    wait_until(lambda: outbox.backlog == 0, 20)
    expect_all(rig.inbox(), outbox, 400)
    assert service.last_error is None


def test_an_event_that_breaks_the_database_code_becomes_a_dead_letter_and_the_others_go_through(mosquitto, rig):
    def poison(deliveries):
        found = any(delivery.event is not None and delivery.seq == 42 for delivery in deliveries)
        return ZeroDivisionError("a bug") if found else None

    service = rig.service(mosquitto.section(), FailingInbox(rig.inbox(), poison))
    outbox = rig.outbox()
    rig.edge(mosquitto.section(), outbox)
    outbox.append(drafts(100))
    wait_until(lambda: outbox.backlog == 0, 20)
    inbox = rig.inbox()
    assert inbox.seqs() == [(outbox.epoch, seq) for seq in range(1, 101) if seq != 42]
    assert [(seq, "ZeroDivisionError" in fault) for seq, fault in inbox.dead()] == [(42, True)]
    assert service.dead_lettered == 1


def test_gap_records_of_a_full_outbox_let_the_watermark_pass(mosquitto, rig):
    outbox = rig.outbox(max_bytes=200_000)
    for number in range(0, 2_000, 20):
        outbox.append([*drafts(18, EventKind.TOUCH, start=number), *drafts(2, EventKind.PICK_UP, start=number + 18)])
    assert outbox.dropped > 0
    rig.service(mosquitto.section())
    rig.edge(mosquitto.section(), outbox)
    wait_until(lambda: outbox.backlog == 0, 20)
    inbox = rig.inbox()
    assert inbox.watermarks()["edge-1"] == Ack(epoch=outbox.epoch, seq=2_000)
    assert len(inbox.seqs()) == 2_000 - outbox.dropped


def test_a_half_open_connection_is_noticed_within_20_seconds(mosquitto, rig):
    with Proxy(mosquitto.port) as proxy:
        rig.service(mosquitto.section())
        outbox = rig.outbox()
        link = rig.edge(BrokerSection(url=f"mqtt://127.0.0.1:{proxy.port}"), outbox)
        outbox.append(drafts(10))
        wait_until(lambda: outbox.backlog == 0)
        proxy.frozen = True
        outbox.append(drafts(10, start=10))
        started = time.monotonic()
        wait_until(lambda: not link.connected, 20, what="the half-open connection noticed")
        assert time.monotonic() - started <= 20
        proxy.frozen = False
        wait_until(lambda: outbox.backlog == 0, 20)
        expect_all(rig.inbox(), outbox, 20)


GOOD = {
    "specversion": "1.0",
    "id": "01890000-0000-7000-8000-000000000000",
    "source": "shop/edge-1/cam",
    "type": "shelfvision.pick_up.v1",
    "time": "2026-01-01T00:00:00Z",
    "data": {"slot": "left", "count": 1},
}


def poison_payloads(epoch: str) -> list[tuple[str, bytes]]:
    def changed(**values: object) -> bytes:
        return json.dumps({**GOOD, "epoch": epoch, **values}).encode()

    data = GOOD["data"]
    return [
        ("NaN", changed(data={**data, "confidence": float("nan")})),
        ("Infinity", changed(data={**data, "hold_seconds": float("inf")})),
        ("1e999", changed(data={**data, "hold_seconds": 1}).replace(b'"hold_seconds": 1', b'"hold_seconds": 1e999')),
        ("duplicate keys", changed()[:-1] + b', "data": {"count": 2}}'),
        ("depth 10,000", b'{"data": ' + b"[" * 10_000 + b"]" * 10_000 + b"}"),
        ("lone surrogate", changed(data={**data, "sku": "X"}).replace(b'"X"', b'"\\ud800"')),
        ("NUL", changed(data={**data, "sku": "\x00"})),
        ("not UTF-8", changed().replace(b"left", b"le\xfft")),
        ("count is text", changed(data={**data, "count": "1"})),
        ("count is true", changed(data={**data, "count": True})),
        ("count is negative", changed(data={**data, "count": -1})),
        ("count is enormous", changed(data={**data, "count": 10**30})),
        ("time is a number", changed(time=1)),
        ("time without zone", changed(time="2026-01-01T00:00:00")),
        ("data is a list", changed(data=[1, 2])),
        ("no data", json.dumps({key: value for key, value in GOOD.items() if key != "data"}).encode()),
        ("a list", b"[1, 2, 3]"),
        ("a number", b"7"),
        ("empty", b""),
        ("broken off", changed()[:80]),
        ("unknown type", changed(type="shelfvision.dance.v1")),
        ("another device's source", changed(source="shop/edge-2/cam")),
        ("another store's source", changed(source="other/edge-1/cam")),
        ("too large", changed(data={**data, "reason": "x" * 70_000})),
        ("binary", bytes(range(256))),
    ]


def test_poison_payloads_become_dead_letters_and_the_watermark_passes_over_them(mosquitto, rig):
    inbox = rig.inbox()
    service = rig.service(mosquitto.section())
    wait_until(lambda: service.connected)
    client = rig.client(mosquitto.section(), "edge")
    epoch = "0" * 16
    poison = poison_payloads(epoch)
    seq = 0
    for _, payload in poison:
        seq += 1
        place = [("epoch", epoch), ("seq", str(seq))]
        client.publish(T.events("edge-1"), payload, user=place)
        seq += 1
        good = json.dumps({**GOOD, "id": f"event-{seq}", "epoch": epoch, "seq": seq}).encode()
        client.publish(T.events("edge-1"), good)
    wait_until(lambda: client.wait(0.02) or len(inbox.seqs()) + len(inbox.dead()) == 2 * len(poison), 20)
    assert inbox.watermarks()["edge-1"] == Ack(epoch=epoch, seq=seq)
    assert [number for number, _ in inbox.dead()] == list(range(1, seq, 2))
    assert all(fault for _, fault in inbox.dead())
    assert [number for _, number in inbox.seqs()] == list(range(2, seq + 1, 2))
    assert service.dead_lettered == len(poison)


def test_poison_without_any_place_is_kept_apart_and_harms_nothing(mosquitto, rig):
    inbox = rig.inbox()
    service = rig.service(mosquitto.section())
    wait_until(lambda: service.connected)
    client = rig.client(mosquitto.section(), "edge")
    strange = [
        [("epoch", "no hex"), ("seq", "1")],
        [("epoch", "0" * 16), ("seq", "0")],
        [("epoch", "0" * 16), ("seq", "9" * 30)],
        [("epoch", "0" * 16), ("seq", "-4")],
        [("seq", "1")],
        [],
    ]
    for user in strange:
        client.publish(T.events("edge-1"), b"{}", user=user)
    wait_until(lambda: client.wait(0.02) or len(inbox.dead()) == len(strange))
    assert all(seq is None for seq, _ in inbox.dead())
    assert inbox.watermarks() == {}


def test_a_clock_that_is_an_hour_off_changes_neither_order_nor_delivery_but_is_seen(mosquitto, rig):
    """Epochs and seqs order events; the difference of the clocks is there for the store to flag."""
    now = time.time()
    inbox = rig.inbox()
    rig.service(mosquitto.section())
    outbox = rig.outbox()
    rig.edge(mosquitto.section(), outbox)
    kind = EventKind.PICK_UP
    times = [now + 3_600, now - 3_600, now + 3_599, now]
    base = draft(0)
    outbox.append([type(base)(kind, when, "cam", base.data, f"k{index}") for index, when in enumerate(times)])
    wait_until(lambda: outbox.backlog == 0)
    expect_all(inbox, outbox, 4)
    assert [round(lag / 600) * 600 for lag in inbox.lags()] == [-3_600, 3_600, -3_600, 0]


@pytest.mark.parametrize(
    "payload",
    [
        b'{"epoch": "EPOCH", "seq": 5000}',
        b'{"epoch": "ffffffffffffffff", "seq": 100}',
        b'{"epoch": "EPOCH", "seq": NaN}',
        b'{"epoch": "EPOCH", "seq": "100"}',
        b"[" * 500,
        b"",
    ],
)
def test_false_acknowledgements_delete_nothing(mosquitto, rig, payload):
    outbox = rig.outbox()
    outbox.append(drafts(100))
    epoch = outbox.epoch
    link = rig.edge(mosquitto.section(), outbox)
    wait_until(lambda: link.last_error and "0x10" in link.last_error)
    liar = rig.client(mosquitto.section(), "liar")
    liar.publish(T.ack("edge-1"), payload.replace(b"EPOCH", epoch.encode()), retain=True)
    liar.flush(time.monotonic() + 5)
    rig.service(mosquitto.section())
    wait_until(lambda: outbox.backlog == 0, 20)
    assert rig.inbox().seqs() == [(epoch, seq) for seq in range(1, 101)]


def test_an_older_copy_of_the_outbox_does_not_give_numbers_out_twice(mosquitto, rig, tmp_path):
    """A backup of the file is put back: the service has seqs that the file gives out again."""
    inbox = rig.inbox()
    rig.service(mosquitto.section())
    outbox = rig.outbox()
    outbox.append(drafts(10))
    outbox.close()
    copy = (tmp_path / "outbox.sqlite").read_bytes()
    newer = rig.outbox()
    newer.append(drafts(40, start=10))
    link = rig.edge(mosquitto.section(), newer)
    wait_until(lambda: newer.backlog == 0)
    link.stop(time.monotonic() + 5)
    newer.close()
    (tmp_path / "outbox.sqlite").write_bytes(copy)
    older = rig.outbox()
    old_epoch = older.epoch
    link = rig.edge(mosquitto.section(), older)
    wait_until(lambda: older.epoch > old_epoch)
    older.append(drafts(30, start=50))
    wait_until(lambda: older.backlog == 0, 20)
    assert [number for epoch, number in inbox.seqs() if epoch == older.epoch] == list(range(1, 31))
    assert len(set(inbox.ids())) == 80


def test_an_outbox_deleted_under_a_running_device_delivers_both_epochs(mosquitto, rig, tmp_path):
    outbox = rig.outbox()
    link = rig.edge(mosquitto.section(), outbox)
    outbox.append(drafts(100))
    wait_until(lambda: link.last_error and "0x10" in link.last_error)
    old_epoch = outbox.epoch
    for path in tmp_path.glob("outbox.sqlite*"):
        path.unlink()
    outbox.append(drafts(50, start=100))
    rig.service(mosquitto.section())
    wait_until(lambda: outbox.backlog == 0, 30)
    assert rig.inbox().seqs() == [(old_epoch, seq) for seq in range(1, 101)] + [
        (outbox.epoch, seq) for seq in range(1, 51)
    ]


def test_live_events_are_stored_at_once_while_a_backlog_drains(mosquitto, rig):
    outbox = rig.outbox()
    for number in range(0, 6_000, 500):
        outbox.append(drafts(500, start=number))
    rig.service(mosquitto.section())
    rig.edge(mosquitto.section(), outbox)
    slowest = 0.0
    number = 6_000
    while outbox.backlog > 200:
        started = time.monotonic()
        outbox.append([draft(number)])
        slowest = max(slowest, time.monotonic() - started)
        number += 1
        time.sleep(0.01)
    wait_until(lambda: outbox.backlog == 0)
    expect_all(rig.inbox(), outbox, number)
    assert slowest < 2
