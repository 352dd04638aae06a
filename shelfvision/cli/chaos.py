"""``shelfvision chaos``: kills broker, agent and service at random and counts what is lost or applied twice."""

from __future__ import annotations

import json
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shelfvision.errors import ShelfvisionError

if TYPE_CHECKING:
    from shelfvision.transport.chaos_agent import AgentSettings
    from shelfvision.transport.mosquitto import Mosquitto

_STORE, _DEVICE = "chaos", "edge-1"
_MEAN_PAUSE_SECONDS = 3.0  # between kills
_DOWN_SECONDS = (0.1, 4.0)
_HOW_MANY = ((1, 2, 3), (6, 3, 1))  # victims of one blow, and how often
_DRAIN_SECONDS = 120.0


def chaos(
    seed: Annotated[int, typer.Option(min=0, help="same seed, same kills")] = 1,
    seconds: Annotated[float, typer.Option(min=1, max=86_400, help="how long to kill; draining comes after it")] = 60,
    naive: Annotated[bool, typer.Option("--naive", help="run plain paho QoS 1 without outbox beside it")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print the result alone, as one line of JSON")] = False,
) -> None:
    """Kill broker, agent and service at random with SIGKILL; no event may be lost or applied twice."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that our children end with us
    with tempfile.TemporaryDirectory(prefix="shelfvision-chaos-") as name:
        result = _Chaos(Path(name), seed, naive, quiet=as_json).run(seconds)
    print(json.dumps(result))
    if not naive and (result["lost"] or result["duplicates"]):
        raise ShelfvisionError(f"chaos: {result['lost']} events lost, {result['duplicates']} applied twice")


@dataclass
class _Process:
    """One victim; ``restart_at`` is when it comes back (monotonic), None while it should run."""

    name: str
    command: Sequence[str]
    folder: Path
    kills: int = 0
    restart_at: float | None = None
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def start(self) -> None:
        """Start it; its output is added to its log."""
        self.restart_at = None
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *self.command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=self.folder,
                start_new_session=True,
            )

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def stop(self, seconds: float) -> None:
        """Ask it to end."""
        if self.process is not None:
            self.process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(seconds)
            self.kill()

    def check(self) -> None:
        """Raise ShelfvisionError when it has ended by itself."""
        if self.process is not None and (self.process.poll() or 0) != 0:
            tail = " | ".join(self.log.read_text(errors="replace").splitlines()[-3:])
            raise ShelfvisionError(f"chaos: {self.name} ended by itself: {tail}")

    @property
    def log(self) -> Path:
        return self.folder / f"{self.name}.log"


class _Broker(_Process):
    """Mosquitto as a victim."""

    def __init__(self, broker: Mosquitto) -> None:
        super().__init__("broker", (), broker.folder)
        self._broker = broker

    def start(self) -> None:
        self.restart_at = None
        self._broker.start()

    def kill(self) -> None:
        self._broker.kill()

    def check(self) -> None:
        if self.restart_at is None and self._broker.pid is None:
            raise ShelfvisionError(f"chaos: broker ended by itself: {self._broker.log[-300:]}")


class _Chaos:
    """One run in a folder of its own."""

    def __init__(self, folder: Path, seed: int, naive: bool, *, quiet: bool) -> None:
        from shelfvision.transport.chaos_agent import AgentSettings
        from shelfvision.transport.mosquitto import Mosquitto

        self._draw = random.Random(seed)
        self._say: Callable[[str], None] = (lambda _: None) if quiet else print
        # a default installation: sessions and messages are kept, but written only every 30 minutes
        broker = Mosquitto(folder / "broker", persistence=True, fixed=True)
        self._broker = _Broker(broker)
        self.database = folder / "service.sqlite"
        site = _write_site(folder, broker.url)
        rate = self._draw.uniform(50, 200)
        self.agent_settings = AgentSettings(broker.url, _STORE, _DEVICE, str(folder), seed, rate)
        self.agent_settings.write(folder / "agent.json")
        self._agent = _Process("agent", ("shelfvision.transport.chaos_agent", str(folder / "agent.json")), folder)
        service = ("shelfvision", "replenish", str(site), "--db", str(self.database), "--no-web")
        self._service = _Process("service", service, folder)
        self._naive: list[_Process] = []
        self.naive_settings: AgentSettings | None = None
        if naive:
            naive_folder = folder / "naive"
            naive_folder.mkdir()
            self.naive_settings = AgentSettings(broker.url, _STORE, _DEVICE, str(naive_folder), seed, rate)
            self.naive_settings.write(naive_folder / "naive.json")
            path = str(naive_folder / "naive.json")
            self._naive = [
                _Process("naive-agent", ("shelfvision.transport.naive", "publish", path), naive_folder),
                _Process("naive-service", ("shelfvision.transport.naive", "subscribe", path), naive_folder),
            ]
        # killing the agent (or service) kills its naive counterpart in the same moment
        self._victims: list[list[_Process]] = [
            [self._broker],
            [self._agent, *self._naive[:1]],
            [self._service, *self._naive[1:]],
        ]

    @property
    def _all(self) -> list[_Process]:
        return [process for group in self._victims for process in group]

    def run(self, seconds: float) -> dict[str, Any]:
        """Start, kill, let drain, compare."""
        started = time.monotonic()
        try:
            for process in self._all:
                process.start()
            self._say(f"chaos: broker, agent and service run; killing for {seconds:g} s")
            self._kill_until(time.monotonic() + seconds)
            for process in self._all:
                if process.restart_at is not None:
                    process.start()
            self._drain()
        finally:
            self._service.stop(15)
            for process in reversed(self._all):
                process.kill()
        result = self._compare()
        result["seconds"] = round(time.monotonic() - started, 1)
        return result

    def _kill_until(self, end: float) -> None:
        next_blow = time.monotonic() + self._draw.expovariate(1 / _MEAN_PAUSE_SECONDS)
        while (now := time.monotonic()) < end:
            for process in self._all:
                process.check()
                if process.restart_at is not None and now >= process.restart_at:
                    process.start()
            if now >= next_blow:
                count = self._draw.choices(*_HOW_MANY)[0]
                for group in self._draw.sample(self._victims, count):
                    back = now + self._draw.uniform(*_DOWN_SECONDS)
                    for process in group:
                        if process.restart_at is None:
                            process.kill()
                            process.kills += 1
                        process.restart_at = back
                next_blow = now + self._draw.expovariate(1 / _MEAN_PAUSE_SECONDS)
            time.sleep(0.02)

    def _drain(self) -> None:
        self._say("chaos: no more kills; draining")
        self.agent_settings.quiet.touch()
        waiting = [self.agent_settings.drained]
        if self.naive_settings is not None:
            self.naive_settings.quiet.touch()
            waiting.append(self.naive_settings.drained)
        deadline = time.monotonic() + _DRAIN_SECONDS
        while not all(path.exists() for path in waiting):
            for process in self._all:
                process.check()
            if time.monotonic() > deadline:
                break  # what has not come by now is lost, and counted so
            time.sleep(0.05)
        for process in self._naive[1:]:
            if process.process is not None:
                process.process.wait(30)

    def _compare(self) -> dict[str, Any]:
        promised = _ledger(self.agent_settings)
        stored, twice, unapplied = _stored(self.database)
        lost = sum(identity not in stored for identity in promised)
        result: dict[str, Any] = {
            "events": len(promised),
            "lost": lost + unapplied,
            "duplicates": sum(count - 1 for count in stored.values()) + twice,
            "kills": sum(process.kills for process in (self._broker, self._agent, self._service)),
            "broker_kills": self._broker.kills,
            "agent_kills": self._agent.kills,
            "service_kills": self._service.kills,
        }
        self._say(
            f"chaos: {result['events']} events promised, {result['lost']} lost, {result['duplicates']} applied twice, "
            f"{result['kills']} kills"
        )
        if self.naive_settings is not None:
            with closing(sqlite3.connect(Path(self.naive_settings.folder) / "naive.sqlite")) as database:
                received = Counter(identity for (identity,) in database.execute("SELECT id FROM received"))
            sent = _ledger(self.naive_settings)
            result["naive"] = {
                "events": len(sent),
                "lost": sum(identity not in received for identity in sent),
                "duplicates": sum(count - 1 for count in received.values()),
            }
            self._say(
                f"chaos: naive: {len(sent)} events published, {result['naive']['lost']} lost, "
                f"{result['naive']['duplicates']} received twice"
            )
        return result


def _ledger(settings: AgentSettings) -> dict[str, str]:
    """Event id to type; a last line that a kill cut short promised nothing."""
    lines = settings.ledger.read_text().split("\n")[:-1] if settings.ledger.exists() else []
    return dict(line.split(" ", 1) for line in lines)


def _stored(path: Path) -> tuple[Counter[str], int, int]:
    """What the service has: how often each event id, effects beyond its events, events without their effect."""
    with closing(sqlite3.connect(path)) as database:
        rows = database.execute("SELECT event_id, type FROM inbox WHERE event_id IS NOT NULL").fetchall()
        counted = database.execute(
            "SELECT coalesce(sum(pick_ups), 0), coalesce(sum(put_backs), 0), coalesce(sum(touches), 0), "
            "coalesce(sum(available_seconds), 0) FROM activity"
        ).fetchone()
        letters = database.execute("SELECT count(*) FROM dead_letters").fetchone()[0]
    kinds = Counter(kind for _, kind in rows)
    # each event of these kinds counts one unit (one second for presence): sums show what was applied how often
    expected = [kinds[f"shelfvision.{kind}.v1"] for kind in ("pick_up", "put_back", "touch", "presence")]
    differences = [round(found) - wanted for found, wanted in zip(counted, expected, strict=True)]
    twice = sum(difference for difference in differences if difference > 0)
    unapplied = -sum(difference for difference in differences if difference < 0) + letters
    return Counter(identity for identity, _ in rows), twice, unapplied


def _write_site(folder: Path, url: str) -> Path:
    import yaml

    slots = ("left", "mid", "right")
    site = {
        "store": {"id": _STORE},
        "broker": {"url": url},
        "device": {"id": _DEVICE},
        "catalogue": [{"sku": f"SKU-{slot}", "name": slot, "price": 1.0} for slot in slots],
        "cameras": [
            {
                "id": "cam",
                "source": "sim:corner?seed=1",
                "size": [640, 480],
                "slots": [
                    {
                        "id": slot,
                        "sku": f"SKU-{slot}",
                        "polygon": [[x, 10], [x + 90, 10], [x + 90, 90], [x, 90]],
                    }
                    for x, slot in zip((10, 110, 210), slots, strict=True)
                ],
            }
        ],
    }
    path = folder / "site.yaml"
    path.write_text(yaml.safe_dump(site))
    return path
