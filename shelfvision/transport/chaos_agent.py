"""An edge agent without cameras, to be killed: seeded events through the real outbox and link.

It keeps a ledger of its own, forced to the disk, of every event whose storage was promised to it; whatever stands there
must reach the service exactly once. Run as ``python -m shelfvision.transport.chaos_agent SETTINGS.json``.
"""

from __future__ import annotations

import json
import os
import random
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import structlog

from shelfvision.config import BrokerSection
from shelfvision.core.events import Event, EventData, EventDraft, EventKind, to_utc
from shelfvision.transport.edge_link import EdgeLink
from shelfvision.transport.outbox import Outbox
from shelfvision.transport.outbox_writer import OutboxWriter

_TICK_SECONDS = 0.02
_SLOTS = ("left", "mid", "right")
_KINDS = (EventKind.PICK_UP, EventKind.PUT_BACK, EventKind.TOUCH, EventKind.PRESENCE, EventKind.STOCKOUT)
_WEIGHTS = (8, 3, 6, 2, 1)


@dataclass(frozen=True, slots=True)
class AgentSettings:
    """What the agent process needs; written as JSON by whoever starts it."""

    broker: str  # url
    store: str
    device: str
    folder: str  # outbox, ledger and signal files
    seed: int
    rate: float  # events a second, on average

    def write(self, path: Path) -> None:
        """Write them where the process reads them."""
        path.write_text(json.dumps(asdict(self)))

    @property
    def outbox(self) -> Path:
        """The outbox file."""
        return Path(self.folder) / "outbox.sqlite"

    @property
    def ledger(self) -> Path:
        """A line for each promised event: id, kind."""
        return Path(self.folder) / "ledger"

    @property
    def quiet(self) -> Path:
        """When this file appears, no more events are made."""
        return Path(self.folder) / "quiet"

    @property
    def drained(self) -> Path:
        """Appears when the agent is quiet and its outbox is empty."""
        return Path(self.folder) / "drained"


def random_drafts(seed: str, rate: float) -> Iterator[list[EventDraft]]:
    """Batches of events, one a tick; the same seed gives the same events apart from their times."""
    draw = random.Random(seed)
    number = 0
    while True:
        now = time.time()
        count = sum(draw.random() < rate * _TICK_SECONDS / 10 for _ in range(10))
        batch = []
        for _ in range(count):
            number += 1
            kind = draw.choices(_KINDS, _WEIGHTS)[0]
            slot = draw.choice(_SLOTS)
            if kind is EventKind.STOCKOUT and number % 2:
                kind = EventKind.RESTOCKED
            data = EventData(
                slot=slot,
                sku=f"SKU-{slot}",
                count=1,
                confidence=0.9,
                started_at=to_utc(now),
                contact_at=to_utc(now),
                ended_at=to_utc(now),
                available_seconds=1.0 if kind is EventKind.PRESENCE else None,
            )
            batch.append(EventDraft(kind, now, "cam", data, f"{seed}-{number}"))
        yield batch


def run(settings: AgentSettings) -> None:
    """Make events until told to be quiet, deliver until the outbox is empty."""
    ledger = settings.ledger.open("a")

    def promised(events: Sequence[Event]) -> None:
        for event in events:
            ledger.write(f"{event.id} {event.type}\n")
        ledger.flush()
        os.fsync(ledger.fileno())

    outbox = Outbox(settings.outbox, store=settings.store, device=settings.device, max_bytes=256_000_000)
    writer = OutboxWriter(outbox, on_stored=promised)
    link = EdgeLink(
        BrokerSection(url=settings.broker),
        store=settings.store,
        device=settings.device,
        outbox=outbox,
        delivery="watermark",
        cameras=["cam"],
    )
    link.start()
    print("ready: agent", flush=True)  # noqa: T201 - whoever started us waits for it
    life = f"{settings.seed}-{time.time_ns()}"  # another life makes other events
    for batch in random_drafts(life, settings.rate):
        if settings.quiet.exists():
            break
        for draft in batch:
            writer.submit(draft)
        time.sleep(_TICK_SECONDS)
    writer.stop(time.monotonic() + 10)
    while outbox.backlog:
        time.sleep(_TICK_SECONDS)
    link.stop(time.monotonic() + 5)
    outbox.close()
    settings.drained.touch()


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    run(AgentSettings(**json.loads(Path(sys.argv[1]).read_text())))
