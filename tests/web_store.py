"""A small supermarket for the tests of the web: a real database, desk and planner behind the real web server."""

from __future__ import annotations

import time
from pathlib import Path

from shelfvision.config import Site
from shelfvision.core.events import EventKind, to_utc
from shelfvision.core.messages import CameraStatus, DeviceStatus, SlotState, TaskCommand, TaskDocument
from shelfvision.service import queries
from shelfvision.service.app import create_app
from shelfvision.service.desk import Desk
from shelfvision.service.live_state import LiveMessage
from shelfvision.service.planner import Planner
from shelfvision.service.store import open_store
from shelfvision.service.web_server import WebServer
from tests.service.builders import DEVICE, Board, Sender

NAMES = [
    "Oat drink barista 1 l",
    "Whole milk 3.8 % 1 l",
    "Greek yoghurt with honey and roasted almonds, 4 x 125 g family pack",
    "Free-range eggs size L, 10 pieces",
    "Salted butter 250 g",
    "Sparkling mineral water classic 6 x 1.5 l",
    "Orange juice not from concentrate, with pulp 1 l",
    "Gluten-free wholegrain sandwich bread with sunflower and pumpkin seeds 400 g",
    "Basmati rice 1 kg",
    "Spaghetti no. 5 500 g",
    "Chopped tomatoes 400 g",
    "Extra virgin olive oil 750 ml",
    "Dark chocolate 70 % 100 g",
    "Ground coffee medium roast 500 g",
    "Strawberry jam extra 340 g",
    "Washing-up liquid lemon 500 ml",
]
STATES = {"in_stock": EventKind.RESTOCKED, "low": EventKind.LOW_STOCK, "out": EventKind.STOCKOUT}


def build_store_site(web: dict | None = None) -> Site:
    """Two cameras: four boards of ten slots, and a cooler of six slots seen at an angle."""
    cameras = [
        {"id": "aisle-3", "source": "sim:aisle", "size": (1280, 720), "slots": _boards()},
        {"id": "cooler", "source": "sim:cooler", "size": (960, 720), "slots": _cooler()},
    ]
    slots = [slot for camera in cameras for slot in camera["slots"]]
    catalogue = [
        {
            "sku": slot["sku"],
            "name": NAMES[place % len(NAMES)] + ("" if place < len(NAMES) else f", variety {place // len(NAMES) + 1}"),
            "category": "food",
            "price": 1.29 + place % 7,
            "backroom_units": 0 if place in {9, 18} else 24,
        }
        for place, slot in enumerate(slots)
    ]
    store = {"id": "demo", "name": "Corner market", "timezone": "Europe/Berlin"}
    return Site.model_validate({"store": store, "catalogue": catalogue, "cameras": cameras, "web": web or {}})


def _boards() -> list[dict]:
    slots = []
    for board in range(4):
        for place in range(10):
            x, y = 24 + place * 124, 20 + board * 175
            corners = [(x, y), (x + 114, y), (x + 114, y + 155), (x, y + 155)]
            name = f"{'ABCD'[board]}{place + 1}"
            slots.append({"id": name, "sku": f"10{len(slots):03d}", "facings": 3, "capacity": 12, "polygon": corners})
    return slots


def _cooler() -> list[dict]:
    slots = []
    for board in range(2):
        for place in range(3):
            x, y = 60 + place * 290, 60 + board * 330
            lean = 24 * (place - 1)
            corners = [(x + lean, y), (x + 250 + lean, y + 8), (x + 250, y + 280), (x, y + 272)]
            name = f"cooler-{board + 1}{'abc'[place]}"
            slots.append({"id": name, "sku": f"20{len(slots):03d}", "facings": 4, "capacity": 8, "polygon": corners})
    return slots


class StoreScene:
    """A store that tests change as cameras and people would."""

    def __init__(self, folder: Path, web: dict | None = None) -> None:
        self.site = build_store_site(web)
        self.store = open_store(f"sqlite:///{folder}/store.sqlite", "demo")
        self.store.adopt_site(self.site)
        self.desk = Desk(self.store, "demo")
        self.planner = Planner(self.site, self.store, self.desk, Board())
        self.planner.startup(time.time())
        self.sender = Sender()
        self.broker_fault: str | None = None
        self.elapsed = 0.0
        self.keys = 0
        self.skus = {slot.id: slot.sku for camera in self.site.cameras for slot in camera.slots}
        self.camera_of = {slot.id: camera.id for camera in self.site.cameras for slot in camera.slots}

    def app(self, **settings):
        return create_app(self.site, self.store, self.desk, broker_fault=lambda: self.broker_fault, **settings)

    def serve(self, port: int = 0, **settings) -> WebServer:
        """The real web server on a loopback port."""
        server = WebServer(self.app(**settings), host="127.0.0.1", port=port, web=self.site.web)
        server.start()
        return server

    def see(self, slot: str, state: str, *, ago: float = 0, fullness: float | None = None) -> None:
        """The camera reports a slot's state, as event and as live state, and the planner acts."""
        self.see_all([(slot, state, ago, fullness)])

    def see_all(self, seen: list[tuple[str, str, float, float | None]]) -> None:
        """Several reports at once: slot, state, seconds since onset, fullness."""
        at = time.time()
        deliveries, states = [], []
        for slot, state, ago, fullness in seen:
            share = {"in_stock": 1.0, "low": 0.25, "out": 0.0, "unknown": None}[state] if fullness is None else fullness
            data = {"onset_at": at - ago, "fullness": share, "confidence": 0.93, "sku": self.skus[slot]}
            if state in STATES:
                deliveries.append(self.sender.send(STATES[state], slot, at=at, **data))
            live = SlotState(
                slot=slot,
                camera=self.camera_of[slot],
                sku=self.skus[slot],
                state=state,
                since=to_utc(at - ago),
                updated_at=to_utc(at),
                fullness=share,
                facings=None if share is None else round(share * 3),
                confidence=0.93,
                last_known="in_stock" if state == "unknown" else None,
            )
            states.append(LiveMessage(DEVICE, live, at, retained=False))
        self.store.apply(deliveries)
        self.store.keep_live(states)
        self.desk.notify("shelf")
        self.plan()

    def pick_up(self, slot: str, count: int = 1) -> None:
        """A shopper takes something."""
        data = {"count": count, "confidence": 0.9, "sku": self.skus[slot]}
        self.store.apply([self.sender.send(EventKind.PICK_UP, slot, **data)])

    def live(self, model: SlotState | CameraStatus | DeviceStatus) -> None:
        """A live message of the device."""
        self.store.keep_live([LiveMessage(DEVICE, model, time.time(), retained=False)])
        self.desk.notify("shelf", "status")

    def camera(self, camera: str, status: str, **facts) -> None:
        """A camera's status message."""
        self.live(CameraStatus(camera=camera, status=status, since=to_utc(time.time()), **facts))

    def plan(self) -> None:
        self.elapsed += 100
        self.planner.wake()
        self.planner.step(time.time(), self.elapsed)

    def task(self, slot: str) -> TaskDocument:
        """The newest task of a slot."""
        found = [task for task in queries.tasks(self.store, time.time()) if task.slot == slot]
        return max(found, key=lambda task: task.created_at)

    def command(self, slot: str, action: str, actor: str = "Anna", reason: str | None = None) -> TaskDocument:
        """A colleague does something elsewhere."""
        self.keys += 1
        task = self.task(slot)
        command = TaskCommand(
            action=action, version=task.version, actor=actor, key=f"test-key-{self.keys:04d}", reason=reason
        )
        return self.desk.command(task.id, command, time.time())

    def fill(self) -> None:
        """A store in the middle of a day: everything seen, some of it empty, people at work."""
        self.see_all(
            [(slot, "in_stock", 5400, 0.45 + 0.05 * ((ord(slot[0]) + 3 * ord(slot[-1])) % 12)) for slot in self.skus]
        )
        for slot in ("A1", "A4", "B7", "C3", "cooler-1b", "A10", "B9", "D2"):
            self.pick_up(slot, 1 + ord(slot[0]) % 5)
        empty = ("A1", "A3", "A8", "B5", "C3", "cooler-1b", "A10", "B9")
        low = (("B2", 300), ("C7", 4000), ("D4", 1500), ("cooler-2c", 90))
        self.see_all(
            [
                *((slot, "out", 420 * (place + 1) ** 1.5, None) for place, slot in enumerate(empty)),
                *((slot, "low", ago, None) for slot, ago in low),
                ("D9", "unknown", 200, None),
            ]
        )
        self.camera("aisle-3", "online", fps=5.0)
        self.camera("cooler", "online", fps=4.8)

    def close(self) -> None:
        self.store.close()
