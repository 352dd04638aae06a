"""Sites, deliveries and publishers for the tests of the service."""

from __future__ import annotations

import time

from shelfvision.config import Site
from shelfvision.core.events import EventData, EventDraft, EventKind
from shelfvision.core.messages import SlotCondition, SlotState
from shelfvision.transport.ids import to_event
from shelfvision.transport.inbox import Delivery

DEVICE = "edge-1"
EPOCH = "0198f000000000000000000a"
NEXT_EPOCH = "0198f111111111111111111b"


def build_site(slots=("left", "mid", "right"), **replenishment) -> Site:
    """A store with one camera and one product a slot, SKU = slot id in capitals."""
    products = [
        {"sku": slot.upper(), "name": slot.title(), "category": "drinks", "price": 1.0 + place, "backroom_units": 5}
        for place, slot in enumerate(slots)
    ]
    polygons = [
        {"id": slot, "sku": slot.upper(), "capacity": 4, "polygon": [(10, 10), (90, 10), (90, 90)]} for slot in slots
    ]
    camera = {"id": "cam", "source": "sim:shelf", "size": (640, 480), "slots": polygons}
    return Site.model_validate(
        {"store": {"id": "demo"}, "catalogue": products, "cameras": [camera], "replenishment": replenishment}
    )


class Sender:
    """A device that counts its events."""

    def __init__(self, epoch=EPOCH, device=DEVICE):
        self.epoch = epoch
        self.device = device
        self.seq = 0

    def send(self, kind, slot=None, *, at=None, received_at=None, **data) -> Delivery:
        """The delivery of the next event; ``data`` are fields of EventData."""
        self.seq += 1
        at = time.time() if at is None else at
        if slot is not None:
            data = {"slot": slot, "sku": slot.upper(), **data}
        draft = EventDraft(kind, at, "cam", EventData.model_validate(data), f"key-{self.seq}")
        event = to_event(draft, store="demo", device=self.device, epoch=self.epoch, seq=self.seq)
        return self._wrap(event, at if received_at is None else received_at)

    def gap(self, first, last, **data) -> Delivery:
        """A gap that stands for first..last."""
        draft = EventDraft(EventKind.GAP, 1.0, "outbox", EventData(first_seq=first, **data), f"gap-{first}-{last}")
        event = to_event(draft, store="demo", device=self.device, epoch=self.epoch, seq=last)
        self.seq = max(self.seq, last)
        return self._wrap(event, 1.0)

    def unreadable(self, *, placed=True) -> Delivery:
        """A message that nobody can read; without its place in the sequence if not ``placed``."""
        self.seq += placed
        seq, epoch = (self.seq, self.epoch) if placed else (None, None)
        return Delivery(self.device, epoch, seq, None, b"\xff{", "t/events", 1.0, "not UTF-8")

    def _wrap(self, event, received_at) -> Delivery:
        raw = event.to_json().encode()
        return Delivery(self.device, event.epoch, event.seq, event, raw, "t/events", received_at)


def slot_state(slot, state, *, at, since=None, **changes) -> SlotState:
    """A live state of a slot."""
    facts = {"camera": "cam", "sku": slot.upper(), "confidence": 0.9, "fullness": None if state == "unknown" else 1.0}
    times = {"since": at if since is None else since, "updated_at": at}
    return SlotState.model_validate({"slot": slot, "state": SlotCondition(state), **facts, **times, **changes})


class Board:
    """Collects what is published, as a broker would keep it."""

    def __init__(self):
        self.tasks = {}
        self.log = []
        self.ranking = None

    def publish_task(self, task):
        self.tasks[task.id] = task
        self.log.append((task.id, task.version, task.state.value))

    def clear_task(self, task_id):
        self.tasks.pop(task_id, None)
        self.log.append((task_id, None, "cleared"))

    def publish_ranking(self, ranking):
        self.ranking = ranking
