"""``shelfvision demo``: a whole store on one machine, with simulated cameras, shoppers and staff."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
import time
import webbrowser
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated
from uuid import uuid4

import typer

from shelfvision.errors import ShelfvisionError

if TYPE_CHECKING:
    from shelfvision.config import BrokerSection
    from shelfvision.core.events import Event
    from shelfvision.core.messages import TaskDocument
    from shelfvision.sim.staff import Action
    from shelfvision.transport.mqtt import Connection, Incoming

_STORE = "demo"
_CAMERA = "table"
_STAFF = "Robin (simulated)"
_READY_SECONDS = 30.0
_STOP_SECONDS = 12.0
_COUNTED = {
    "stockout": "stockouts",
    "low_stock": "low-stock warnings",
    "restocked": "slots restocked",
    "misplaced": "products misplaced",
    "pick_up": "pick-ups",
    "put_back": "put-backs",
    "touch": "touches",
    "camera": "camera faults and recoveries",
}  # presence and gap records are for the service
_NEEDED = {"stockouts": 1, "pick-ups": 3, "tasks claimed": 1, "tasks done": 1, "tasks confirmed by the camera": 1}


def demo(
    port: Annotated[int, typer.Option(min=0, max=65_535, help="port of the web page; 0 takes a free one")] = 8080,
    seconds: Annotated[float | None, typer.Option(min=1, help="stop after this; runs until Ctrl-C without")] = None,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="open the web page")] = True,
    seed: Annotated[int, typer.Option(min=0, help="another seed, other shoppers")] = 1,
) -> None:
    """Show everything on this machine: simulated cameras, embedded broker, agent, service, web page."""
    from shelfvision.transport.broker import EmbeddedBroker

    show = _Show(patience=2.0 if seconds else 15.0, browser=browser, seed=seed)
    stop = _StopFlag()
    with tempfile.TemporaryDirectory(prefix="shelfvision-demo-") as name, EmbeddedBroker() as broker:
        folder = Path(name)
        site_file = _write_site(folder, broker.port, seed)
        service = _Child(
            "replenish", folder, [str(site_file), "--port", str(port), "--db", str(folder / "demo.sqlite")]
        )
        agent = _Child("watch", folder, [str(site_file)])
        try:
            show.run(_broker_section(broker.port), folder / "orders", stop, seconds, service=service, agent=agent)
        finally:
            agent.end()
            service.end()
    print(show.summary())
    if seconds is not None and seconds >= 60 and (missing := show.missing()):
        raise ShelfvisionError(f"demo: not seen within {seconds:g} s: {', '.join(missing)}")


class _StopFlag:
    """Set by Ctrl-C or SIGTERM; a second one forces the end."""

    def __init__(self) -> None:
        self.set = False
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._on_signal)

    def _on_signal(self, _number: int, _frame: object) -> None:
        if self.set:
            raise KeyboardInterrupt
        self.set = True


class _Child:
    """One of our own commands as a process; its output goes to a file."""

    def __init__(self, command: str, folder: Path, arguments: list[str]) -> None:
        self.command = command
        self._began = time.monotonic()
        self._ready: str | None = None
        self._log = folder / f"{command}.log"
        self._output: IO[bytes] = self._log.open("wb")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "shelfvision", command, *arguments],
            stdout=self._output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            cwd=folder,
            start_new_session=True,  # Ctrl-C reaches us alone; we end our children in order
        )

    def ready(self) -> str | None:
        """What its ``ready:`` line says, once it is there.

        Raises:
            ShelfvisionError: the process has ended, or takes too long to be ready.
        """
        self.check()
        if self._ready is None:
            said = (line for line in self._lines() if line.startswith("ready: "))
            self._ready = next((line.removeprefix("ready: ") for line in said), None)
            if self._ready is None and time.monotonic() - self._began > _READY_SECONDS:
                raise ShelfvisionError(f"demo: {self.command} was not ready within {_READY_SECONDS:g} s")
        return self._ready

    def check(self) -> None:
        """Raise ShelfvisionError with the process's own words when it has ended."""
        if self._process.poll() is not None:
            lines = self._lines()
            errors = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
            words = "; ".join(errors) or (lines[-1] if lines else f"exit code {self._process.returncode}")
            raise ShelfvisionError(f"demo: {self.command} has ended: {words}")

    def end(self) -> None:
        """Ask it to stop, and make it when it does not."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._output.close()

    def _lines(self) -> list[str]:
        return self._log.read_text(encoding="utf-8", errors="replace").splitlines()


@dataclass
class _Show:
    """Follows the store over MQTT, prints what happens, and plays the staff; its clock starts with it."""

    patience: float
    seed: int
    browser: bool
    counts: Counter[str] = field(default_factory=Counter)
    first_event: float | None = None

    def __post_init__(self) -> None:
        from shelfvision.sim.staff import SimulatedStaff
        from shelfvision.sim.stores import store_plan
        from shelfvision.transport.topics import Topics

        self._began = time.monotonic()
        self._topics = Topics(_STORE)
        self._staff = SimulatedStaff(_STAFF, patience=self.patience)
        self._tasks: dict[str, TaskDocument] = {}
        self._states: dict[str, str] = {}
        _, slots, products = store_plan(_CAMERA, self.seed)
        names = {product.sku: product.name for product in products}
        self._names = {slot.id: names[slot.sku] for slot in slots}

    def run(
        self,
        broker: BrokerSection,
        orders: Path,
        stop: _StopFlag,
        seconds: float | None,
        *,
        service: _Child,
        agent: _Child,
    ) -> None:
        """Until ``seconds`` after all is ready, or until somebody stops us.

        Raises:
            ShelfvisionError: a part of the demo does not start, or has ended by itself.
        """
        from shelfvision.transport.mqtt import Connection, Wakeup

        connection = Connection(broker, f"demo-{uuid4().hex[:8]}", wakeup=Wakeup())
        connection.open()
        connection.subscribe([self._topics.events("+"), self._topics.task("+")])
        ready_at: float | None = None
        try:
            while not stop.set and (seconds is None or ready_at is None or time.monotonic() - ready_at < seconds):
                connection.wait(0.2)
                while connection.received:
                    message = connection.received.popleft()
                    self._take(message)
                    connection.acknowledge(message.mid)
                for action in self._staff.decide(list(self._tasks.values()), time.monotonic()):
                    self._act(action, orders, connection)
                page, watching = service.ready(), agent.ready()
                if ready_at is None and page is not None and watching is not None:
                    ready_at = time.monotonic()
                    self._open(page)
                if connection.lost is not None:
                    raise ShelfvisionError(f"demo: connection to the broker lost: {connection.lost}")
        finally:
            connection.close()

    def _open(self, page: str) -> None:
        self._say(f"ready: {page}")
        url = next((word.strip(",") for word in page.split() if word.startswith("http")), None)
        if self.browser and url is not None:
            webbrowser.open(url)

    def missing(self) -> list[str]:
        """What a full minute should have shown and did not."""
        return [
            f"{what} ({self.counts[what]} of {least})" for what, least in _NEEDED.items() if self.counts[what] < least
        ]

    def summary(self) -> str:
        """What was seen, a line each."""
        lines = [f"demo summary after {time.monotonic() - self._began:.0f} s"]
        lines += [f"  {count:4d} {what}" for what, count in sorted(self.counts.items())]
        if self.first_event is not None:
            lines.append(f"  first event {self.first_event:.1f} s after the start")
        return "\n".join(lines)

    def _say(self, words: str) -> None:
        print(f"{time.monotonic() - self._began:6.1f} s  {words}", flush=True)

    def _take(self, message: Incoming) -> None:
        from shelfvision.core.events import Event
        from shelfvision.core.messages import TaskDocument
        from shelfvision.transport.topics import TopicKind

        address = self._topics.read(message.topic)
        if address is None or (address.name is None and address.kind is not TopicKind.EVENTS):
            return
        if address.kind is TopicKind.EVENTS:
            self._take_event(Event.model_validate_json(message.payload))
        elif not message.payload:
            self._tasks.pop(address.name or "", None)
        else:
            self._take_task(TaskDocument.model_validate_json(message.payload))

    def _take_event(self, event: Event) -> None:
        kind = event.type.split(".")[1]
        if kind not in _COUNTED:
            return
        if self.first_event is None:
            self.first_event = time.monotonic() - self._began
        words = kind.replace("_", "-")
        self.counts[_COUNTED[kind]] += 1
        name = self._names.get(event.data.slot or "", event.data.reason or "")
        held = f", held for {event.data.hold_seconds:.0f} s" if event.data.hold_seconds is not None else ""
        self._say(f"{words:<9}  {event.data.slot or ''} {name}{held}")

    def _take_task(self, task: TaskDocument) -> None:
        self._tasks[task.id] = task
        if self._states.get(task.id) == task.state:
            return
        self._states[task.id] = task.state
        by_camera = " by the camera" if task.state == "confirmed" else ""
        self.counts[f"tasks {task.state}{by_camera}"] += 1
        who = f" by {task.claimed_by}" if task.claimed_by and task.state in {"claimed", "done"} else ""
        why = f" - {'; '.join(task.reasons)}" if task.state == "open" else ""
        self._say(f"task       {task.state}{by_camera}{who}: {task.units} x {task.name} to {task.slot}{why}")

    def _act(self, action: Action, orders: Path, connection: Connection) -> None:
        from shelfvision.core.messages import TaskCommand
        from shelfvision.sim.staff import Bring, Claim

        task = action.task
        if isinstance(action, Bring):
            orders.mkdir(exist_ok=True)
            (orders / f"refill-{task.slot}-{uuid4().hex[:12]}.json").touch()
            return
        verb = "claim" if isinstance(action, Claim) else "complete"
        command = TaskCommand(action=verb, version=task.version, actor=_STAFF, key=uuid4().hex)
        connection.publish(self._topics.task_command(task.id), command.to_json())


def _broker_section(port: int) -> BrokerSection:
    from shelfvision.config import BrokerSection

    return BrokerSection(url=f"mqtt://127.0.0.1:{port}")


def _write_site(folder: Path, broker_port: int, seed: int) -> Path:
    import yaml

    from shelfvision.sim.stores import store_plan

    size, slots, products = store_plan(_CAMERA, seed)
    orders = folder / "orders"
    site = {
        "store": {"id": _STORE, "name": "Demo store"},
        "broker": {"url": f"mqtt://127.0.0.1:{broker_port}"},
        "device": {"id": "edge-1", "outbox": str(folder / "outbox.sqlite"), "presence_window_seconds": 10},
        "catalogue": [product.model_dump(exclude_none=True) for product in products],
        "cameras": [
            {
                "id": _CAMERA,
                "source": f"sim:{_CAMERA}?seed={seed}&fps=10&control={orders}",
                "size": list(size),
                "fps": 10,
                "slots": [
                    {
                        "id": slot.id,
                        "sku": slot.sku,
                        "facings": slot.facings,
                        "capacity": slot.capacity,
                        "polygon": [list(corner) for corner in slot.polygon],
                    }
                    for slot in slots
                ],
            }
        ],
    }
    path = folder / "site.yaml"
    path.write_text(yaml.safe_dump(site, sort_keys=False), encoding="utf-8")
    return path
