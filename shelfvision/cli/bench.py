"""``shelfvision bench``: how fast the parts are. ``events`` measures the way of an event to the service's database."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shelfvision.errors import ShelfvisionError

if TYPE_CHECKING:
    from shelfvision.core.events import Event, EventDraft
    from shelfvision.transport.mqtt import Connection
    from shelfvision.transport.outbox_writer import OutboxWriter

_STORE, _DEVICE = "bench", "edge-1"
_SLOTS = 24
_BROKER_LINES = ("max_inflight_messages 200",)  # as in edge/; Mosquitto alone takes 20 unanswered events at once
_LIVE_PAUSE_SECONDS = 0.05
_LIVE_EVENTS = 200
_PATIENCE_SECONDS = 300.0


def events(
    count: Annotated[int, typer.Option(min=100, max=5_000_000, help="events in the backlog")] = 30_000,
    as_json: Annotated[bool, typer.Option("--json", help="print the result alone, as one line of JSON")] = False,
) -> None:
    """Drain a backlog from the outbox through Mosquitto into the service's database, every commit durable.

    Live events are added meanwhile, twenty a second; the delay until each is durable on the device is measured, and
    afterwards the delay until the service has it.
    """
    with tempfile.TemporaryDirectory(prefix="shelfvision-bench-") as name:
        result = _bench_events(Path(name), count)
    if as_json:
        print(json.dumps(result))
        return
    print(f"{'events in the backlog':<48}{result['events']:>12,}")
    print(f"{'stored on the device, events/s (groups of 50)':<48}{result['append_per_second']:>12,}")
    print(f"{'drained into the service, events/s':<48}{result['drained_per_second']:>12,}")
    for key, words in (
        ("live_append_ms", "live event durable on the device while draining, ms"),
        ("live_during_drain_ms", "live event safe in the service while draining, ms"),
        ("live_end_to_end_ms", "live event safe in the service afterwards, ms"),
    ):
        row = result[key]
        print(f"{words:<52}p50 {row['p50']:>8,}   p99 {row['p99']:>8,}")


def _bench_events(folder: Path, count: int) -> dict[str, Any]:
    from shelfvision.transport.edge_link import EdgeLink
    from shelfvision.transport.mosquitto import Mosquitto
    from shelfvision.transport.mqtt import Connection, Wakeup
    from shelfvision.transport.outbox import Outbox
    from shelfvision.transport.outbox_writer import OutboxWriter
    from shelfvision.transport.topics import Topics

    outbox = Outbox(folder / "outbox.sqlite", store=_STORE, device=_DEVICE, max_bytes=4_000_000_000)
    started = time.perf_counter()
    for first in range(0, count, 50):
        outbox.append([_draft(number) for number in range(first, min(first + 50, count))])
    append_seconds = time.perf_counter() - started

    times = _LiveTimes()
    writer = OutboxWriter(outbox, on_stored=times.stored)
    with Mosquitto(folder / "broker", extra=_BROKER_LINES) as broker, _service(folder, broker.url) as service:
        try:
            _wait_ready(service, folder / "service.log")
            reader = Connection(broker.section(), "bench-reader", wakeup=Wakeup())
            reader.open()
            reader.subscribe([Topics(_STORE).ack(_DEVICE)])
            link = EdgeLink(
                broker.section(),
                store=_STORE,
                device=_DEVICE,
                outbox=outbox,
                delivery="watermark",
                cameras=["cam"],
            )
            started = time.perf_counter()
            link.start()
            follower = _Follower(reader, writer, times)
            follower.run(until_seq=count)
            drain_seconds = time.perf_counter() - started
            follower.settle()
            during = times.take()
            follower.run(until_events=_LIVE_EVENTS)
            after = times.take()
            link.stop(time.monotonic() + 10)
            reader.close()
        finally:
            writer.stop(time.monotonic() + 5)
            service.terminate()
            service.wait(20)
    outbox.close()
    return {
        "events": count,
        "append_per_second": round(count / append_seconds),
        "drained_per_second": round(count / drain_seconds),
        "drain_seconds": round(drain_seconds, 2),
        "live_append_ms": _spread([stored - submitted for submitted, stored, _ in during]),
        "live_during_drain_ms": _spread([safe - submitted for submitted, _, safe in during if safe]),
        "live_end_to_end_ms": _spread([safe - submitted for submitted, _, safe in after if safe]),
    }


class _LiveTimes:
    """When each live event was submitted, stored and safe."""

    def __init__(self) -> None:
        self._submitted: dict[str, float] = {}  # event key, which is the number in its sku
        self._rows: dict[int, list[float]] = {}  # seq to submitted, stored, safe (0 until then)
        self._open: list[int] = []

    def submitted(self, sku: str) -> None:
        """It goes to the writer now."""
        self._submitted[sku] = time.perf_counter()

    def stored(self, events: Sequence[Event]) -> None:
        """They are durable on the device; called in the writer's thread."""
        now = time.perf_counter()
        for event in events:
            self._rows[event.seq] = [self._submitted.pop(event.data.reason or "", now), now, 0.0]
            self._open.append(event.seq)

    def safe(self, seq: int) -> None:
        """The service has everything up to ``seq``."""
        now = time.perf_counter()
        while self._open and self._open[0] <= seq:
            self._rows[self._open.pop(0)][2] = now

    def take(self) -> list[list[float]]:
        """The finished rows so far; the rest stays."""
        done = [seq for seq, row in list(self._rows.items()) if row[2]]
        return [self._rows.pop(seq) for seq in done]

    @property
    def safe_count(self) -> int:
        """Finished rows that were not taken yet."""
        return sum(1 for row in list(self._rows.values()) if row[2])

    @property
    def open_count(self) -> int:
        """Events submitted that the service does not have."""
        return len(self._submitted) + len(self._open)


class _Follower:
    """Submits live events and follows the service's acknowledgements."""

    def __init__(self, reader: Connection, writer: OutboxWriter, times: _LiveTimes) -> None:
        self._reader = reader
        self._writer = writer
        self._times = times
        self._number = 0
        self._next = 0.0
        self._seq = 0

    def run(self, *, until_seq: int | None = None, until_events: int = 0) -> None:
        """Make live events until the service has ``until_seq``, or ``until_events`` of them more.

        Raises:
            ShelfvisionError: it takes too long, or the broker is gone.
        """
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while self._seq < until_seq if until_seq is not None else self._times.safe_count < until_events:
            now = time.monotonic()
            if now >= self._next:
                self._submit()
                self._next = now + _LIVE_PAUSE_SECONDS
            self._follow(max(self._next - time.monotonic(), 0), deadline)

    def settle(self) -> None:
        """Wait until the service has every live event made so far."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while self._times.open_count:
            self._follow(0.1, deadline)

    def _follow(self, seconds: float, deadline: float) -> None:
        self._reader.wait(seconds)
        while self._reader.received:
            message = self._reader.received.popleft()
            self._reader.acknowledge(message.mid)
            self._seq = json.loads(message.payload)["seq"]
            self._times.safe(self._seq)
        if self._reader.lost is not None or time.monotonic() > deadline:
            raise ShelfvisionError(f"bench: events do not get through: {self._reader.lost or 'too slow'}")

    def _submit(self) -> None:
        self._number += 1
        name = f"live-{self._number}"
        self._times.submitted(name)
        self._writer.submit(_draft(self._number, name))


def _draft(number: int, reason: str | None = None) -> EventDraft:
    from shelfvision.core.events import EventData, EventDraft, EventKind, to_utc

    now = time.time()
    moment = to_utc(now)
    slot = f"slot-{number % _SLOTS}"
    kind = (EventKind.PICK_UP, EventKind.TOUCH, EventKind.PUT_BACK, EventKind.PICK_UP)[number % 4]
    data = EventData(
        slot=slot,
        sku=f"SKU-{slot}",
        count=1,
        confidence=0.93,
        started_at=moment,
        contact_at=moment,
        ended_at=moment,
        reason=reason,
    )
    return EventDraft(kind, now, "cam", data, f"{reason or 'backlog'}-{number}")


def _service(folder: Path, url: str) -> subprocess.Popen[bytes]:
    import yaml

    site = {
        "store": {"id": _STORE},
        "broker": {"url": url},
        "device": {"id": _DEVICE},
        "catalogue": [
            {"sku": f"SKU-slot-{index}", "name": f"Product {index}", "price": 2.5} for index in range(_SLOTS)
        ],
        "cameras": [
            {
                "id": "cam",
                "source": "sim:corner?seed=1",
                "size": [2560, 480],
                "slots": [
                    {
                        "id": f"slot-{index}",
                        "sku": f"SKU-slot-{index}",
                        "polygon": [[x, 10], [x + 90, 10], [x + 90, 90], [x, 90]],
                    }
                    for index, x in enumerate(range(10, 10 + 100 * _SLOTS, 100))
                ],
            }
        ],
    }
    path = folder / "site.yaml"
    path.write_text(yaml.safe_dump(site))
    with (folder / "service.log").open("wb") as output:
        return subprocess.Popen(
            [
                sys.executable,
                "-m",
                "shelfvision",
                "replenish",
                str(path),
                "--db",
                str(folder / "service.sqlite"),
                "--no-web",
            ],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=folder,
        )


def _wait_ready(service: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 30
    while "ready:" not in log.read_text(errors="replace"):
        if service.poll() is not None or time.monotonic() > deadline:
            raise ShelfvisionError(
                f"bench: the service does not start: {log.read_text(errors='replace').strip()[-300:]}"
            )
        time.sleep(0.05)


def _spread(seconds: Sequence[float]) -> dict[str, float]:
    """Median and 99th percentile in milliseconds."""
    if not seconds:
        return {"p50": 0.0, "p99": 0.0}
    ordered = sorted(seconds)
    last = ordered[min(len(ordered) - 1, round(0.99 * (len(ordered) - 1)))]
    return {"p50": round(statistics.median(ordered) * 1000, 1), "p99": round(last * 1000, 1)}
