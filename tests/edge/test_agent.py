"""``shelfvision watch`` as real processes with a real broker: nothing is lost, whatever dies."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from shelfvision.edge.video_writer import VideoWriter
from shelfvision.sim.camera import SimulatedShelf, parse_address
from shelfvision.sim.stores import store_plan
from shelfvision.transport.mosquitto import Mosquitto, free_port
from shelfvision.transport.outbox_file import TIERS
from tests.acceptance.processes import Running, running, shelfvision
from tests.edge.footage import busy, cut, numbered, write_video
from tests.edge.http_camera import HttpCamera
from tests.edge.marker_model import write_model
from tests.edge.observer import Observer
from tests.edge.sites import camera, write_site
from tests.edge.sites import shelfvision as run_command
from tests.waiting import wait_until

Watch = Callable[[Path], contextlib.AbstractContextManager[Running]]


@pytest.fixture
def observer(mosquitto: Mosquitto) -> Iterator[Observer]:
    seen = Observer(mosquitto.port)
    yield seen
    seen.close()


@contextlib.contextmanager
def watching(site: Path, name: str = "watch") -> Iterator[Running]:
    with running(name, shelfvision("watch", str(site)), site.parent) as agent:
        agent.wait_for_line("ready: ")
        yield agent


def simulated(name: str = "table", **options: Any) -> dict[str, Any]:
    """A camera section of the simulated table."""
    size, slots, _ = store_plan(name)
    query = "&".join(f"{key}={value}" for key, value in {"seed": 1, **options}.items())
    section = camera(f"sim:{name}?{query}", name=name, size=size, fps=10)
    section["slots"] = [
        {"id": slot.id, "sku": "A", "facings": slot.facings, "polygon": [list(corner) for corner in slot.polygon]}
        for slot in slots
    ]
    return section


def url(port: int) -> str:
    return f"mqtt://127.0.0.1:{port}"


def camera_processes(agent: Running) -> list[int]:
    """The agent's children that run cameras."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == agent.process.pid and b"spawn_main" in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
    return found


def listens(process: int) -> bool:
    """Whether it is the one that answers the others."""
    sockets = {line.split()[6] for line in Path("/proc/net/unix").read_text().splitlines() if "/detector" in line}
    with contextlib.suppress(OSError):
        for handle in Path(f"/proc/{process}/fd").iterdir():
            with contextlib.suppress(OSError):
                if str(handle.readlink()).removeprefix("socket:[").removesuffix("]") in sockets:
                    return True
    return False


def stored(site: Path) -> int:
    """Events in the outbox, seen from outside."""
    path = site.parent / "outbox.sqlite"
    if not path.exists():
        return 0
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as file:
        return sum(file.execute(f"SELECT count(*) FROM {tier}").fetchone()[0] for tier in TIERS)  # noqa: S608 - ours


def film(path: Path, seconds: float) -> Path:
    """A video of the simulated table."""
    writer = VideoWriter(path, store_plan("table")[0], 10)
    shelf = SimulatedShelf(parse_address("table?seed=1&fps=10"))
    for index in range(int(seconds * 10)):
        writer.write(shelf.picture(), index / 10)
    writer.close()
    return path


def first_taken() -> str:
    """The slot of the first pick-up before the simulated table."""
    footage = SimulatedShelf(parse_address("table?seed=1&fps=10")).footage
    while not footage.changes:
        footage.step(draw=False)
    return footage.changes[0].slot


def test_a_file_plays_in_real_time_to_its_end_and_everything_is_delivered(
    mosquitto: Mosquitto, observer: Observer, tmp_path: Path
) -> None:
    section = simulated() | {"source": str(film(tmp_path / "table.mp4", 7))}
    site = write_site(tmp_path, section, broker=url(mosquitto.port), delivery="broker")
    began = time.monotonic()
    with watching(site) as agent:
        assert agent.process.wait(60) == 0, agent.lines
    assert time.monotonic() - began >= 7
    assert any("every event is acknowledged" in line for line in agent.lines)
    assert observer.statuses("table")[-2:] == ["online", "ended"]
    pick_up = observer.events("pick_up")[0]
    assert pick_up["data"]["slot"] == first_taken()
    assert pick_up["source"] == "shop/edge/table"
    states = observer.seen(f"slot/{first_taken()}/state")
    assert states[-1]["camera"] == "table"
    assert [body["status"] for body in observer.seen("status")][-1] == "offline"
    health = observer.seen("health")
    assert health
    assert health[-1]["rss_mb"] > 10
    assert not observer.events("camera")


def test_a_killed_camera_process_is_reported_and_started_again(
    mosquitto: Mosquitto, observer: Observer, tmp_path: Path
) -> None:
    site = write_site(tmp_path, simulated(), broker=url(mosquitto.port), delivery="broker")
    with watching(site) as agent:
        wait_until(lambda: observer.statuses("table")[-1:] == ["online"], 60)
        (victim,) = camera_processes(agent)
        os.kill(victim, signal.SIGKILL)
        wait_until(lambda: "offline" in observer.statuses("table"), 30)
        wait_until(lambda: observer.statuses("table")[-1] == "online", 60)
        assert victim not in camera_processes(agent)
        wait_until(lambda: len(observer.events("camera")) == 2, 30)
    bodies = observer.seen("camera/table/status")
    lost = next(body for body in bodies if body["status"] == "offline")
    assert "signal 9" in lost["error"]
    assert [body["restarts"] for body in bodies if body["status"] == "online"][-1] == 1
    assert [event["data"]["status"] for event in observer.events("camera")] == ["offline", "online"]
    assert camera_processes(agent) == []


def test_one_detector_serves_all_cameras_and_its_death_stops_none(
    mosquitto: Mosquitto, observer: Observer, tmp_path: Path
) -> None:
    second = simulated() | {"id": "second", "slots": []}
    models = {"detector": write_model(tmp_path).name, "runtime": "onnxruntime", "threads": 1}
    site = write_site(tmp_path, simulated(), second, broker=url(mosquitto.port), models=models)
    with watching(site) as agent:
        wait_until(lambda: any("detector ready" in line for line in agent.lines), 60)
        wait_until(lambda: observer.statuses("table")[-1:] == ["online"], 60)
        (detector,) = [process for process in camera_processes(agent) if listens(process)]
        assert len(camera_processes(agent)) == 3
        os.kill(detector, signal.SIGKILL)
        wait_until(lambda: sum("detector ready" in line for line in agent.lines) == 2, 60)
        assert observer.statuses("table")[-1] == "online"
        assert "offline" not in observer.statuses("table")
        wait_until(lambda: observer.seen("health")[-1].get("detector_restarts") == 1, 30)
        wait_until(lambda: observer.seen("health")[-1]["detector"] == "ready", 30)
    assert camera_processes(agent) == []
    assert not any("Traceback" in line for line in agent.lines)


def test_a_model_that_cannot_be_used_stops_the_start_with_one_line(tmp_path: Path) -> None:
    site = write_site(tmp_path, simulated(), models={"detector": "mine.onnx"})
    result = run_command("watch", site)
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert "mine.onnx: no such model file" in line


def test_events_survive_the_death_of_the_agent_while_there_is_no_broker(
    mosquitto_factory: Callable[..., Mosquitto], tmp_path: Path
) -> None:
    port = free_port()
    site = write_site(tmp_path, simulated(), broker=url(port))
    with watching(site, "first") as agent:
        wait_until(lambda: stored(site) >= 1, 40, what="an event in the outbox")
        children = camera_processes(agent)
        agent.process.kill()
        agent.process.wait()
        wait_until(lambda: not any(Path(f"/proc/{child}").exists() for child in children), 10, what="orphans end")
    kept = stored(site)
    assert kept >= 1
    broker = mosquitto_factory(port=port)
    seen = Observer(broker.port)
    with watching(site, "second"):
        wait_until(lambda: seen.events("pick_up"), 30, what="the stored pick-up")
    assert sorted({event["epoch"] for event in seen.events()}) == [seen.events()[0]["epoch"]]
    assert [event["seq"] for event in seen.events()][:kept] == list(range(1, kept + 1))
    seen.close()


def test_a_broker_that_cannot_be_reached_is_normal_and_a_signal_ends_cleanly(tmp_path: Path) -> None:
    site = write_site(tmp_path, simulated(), broker=url(free_port()))
    with watching(site) as agent:
        wait_until(lambda: any("cannot be reached" in line for line in agent.lines), 20)
        wait_until(lambda: len(camera_processes(agent)) == 1)
        agent.process.send_signal(signal.SIGTERM)
        assert agent.process.wait(20) == 0
    assert not any("Traceback" in line for line in agent.lines)


def test_ctrl_c_at_a_terminal_ends_the_whole_group_without_a_traceback(tmp_path: Path) -> None:
    site = write_site(tmp_path, simulated(), broker=url(free_port()))
    with watching(site) as agent:
        for process in [agent.process.pid, *camera_processes(agent)]:  # as a terminal does, at the worst moment
            os.kill(process, signal.SIGINT)
        assert agent.process.wait(20) == 130
    assert not any("Traceback" in line or "KeyboardInterrupt" in line for line in agent.lines)


def test_a_second_signal_forces(tmp_path: Path) -> None:
    site = write_site(tmp_path, simulated(), broker=url(free_port()))
    with watching(site) as agent:
        wait_until(lambda: len(camera_processes(agent)) == 1)
        children = camera_processes(agent)
        for child in children:  # they cannot follow the first one
            os.kill(child, signal.SIGSTOP)
        agent.process.send_signal(signal.SIGTERM)
        agent.wait_for_line("stopping: ")
        agent.process.send_signal(signal.SIGTERM)
        assert agent.process.wait(3) == 128 + signal.SIGTERM
        wait_until(lambda: not any(Path(f"/proc/{child}").exists() for child in children), 5)


def test_an_http_camera_that_dies_comes_back_and_its_password_is_never_seen(
    mosquitto: Mosquitto, observer: Observer, tmp_path: Path
) -> None:
    served = HttpCamera()
    source = camera(served.url("/mjpeg?pwd=hunter2", "admin:hunter2@"))
    site = write_site(tmp_path, source, broker=url(mosquitto.port), delivery="broker")
    try:
        with watching(site) as agent:
            wait_until(lambda: observer.statuses("cam")[-1:] == ["online"], 60)
            served.close()
            wait_until(lambda: observer.statuses("cam")[-1] == "offline", 20)
            served.start()
            wait_until(lambda: observer.statuses("cam")[-1] == "online", 60)
            wait_until(lambda: len(observer.events("camera")) == 2, 30)
    finally:
        served.close()
    assert [event["data"]["status"] for event in observer.events("camera")] == ["offline", "online"]
    assert observer.seen("camera/cam/status")[-1]["restarts"] == 0
    assert "hunter2" not in str(observer._messages) + "\n".join(agent.lines)


def test_pictures_of_another_size_suspend_the_slots(mosquitto: Mosquitto, observer: Observer, tmp_path: Path) -> None:
    video = write_video(tmp_path / "v.mp4", numbered(20, (96, 64)))
    site = write_site(tmp_path, camera(str(video)), broker=url(mosquitto.port))
    with watching(site):
        wait_until(lambda: "resized" in observer.statuses("cam"), 30)
        resized = next(body for body in observer.seen("camera/cam/status") if body["status"] == "resized")
        assert "96x64" in resized["error"]
        wait_until(lambda: observer.seen("slot/left/state"), 10)
    assert {body["state"] for body in observer.seen("slot/left/state")} == {"unknown"}


def test_of_two_files_the_damaged_one_fails_the_run_at_its_end(tmp_path: Path) -> None:
    good = write_video(tmp_path / "good.mp4", numbered(10))
    bad = cut(write_video(tmp_path / "bad.mkv", busy(30, (64, 48))), 0.5)
    slots = [{"id": f"{slot}-2", "sku": "A", "polygon": [[4, 4], [28, 4], [28, 44]]} for slot in ("left", "right")]
    site = write_site(tmp_path, camera(str(good)), camera(str(bad), name="two", slots=slots), broker=url(free_port()))
    with watching(site) as agent:
        assert agent.process.wait(60) == 1
    errors = [line for line in agent.lines if line.startswith("error: ")]
    assert len(errors) == 1
    assert "camera two: " in errors[0]
    assert "truncated" in errors[0]


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ("none.mp4", "no such file"),
        ("sim:kiosk", "no simulated store"),
        ("ftp://x/y", "not read"),
        (".", "is a folder"),
    ],
)
def test_sources_that_can_never_work_end_the_start_in_one_line(tmp_path: Path, source: str, fault: str) -> None:
    run = run_command("watch", write_site(tmp_path, camera(source)))
    assert run.returncode == 1
    (line,) = run.stderr.strip().splitlines()
    assert line.startswith("error: camera cam: ")
    assert fault in line


def test_an_unknown_camera_names_the_known_ones(tmp_path: Path) -> None:
    run = run_command("watch", write_site(tmp_path, camera("sim:table")), "--camera", "nope")
    assert run.returncode == 2
    assert "cam" in run.stderr


def test_a_second_agent_of_the_same_outbox_is_refused(tmp_path: Path) -> None:
    site = write_site(tmp_path, simulated(), broker=url(free_port()))
    with watching(site):
        run = run_command("watch", site)
    assert run.returncode == 1
    assert "outbox" in run.stderr
    assert len(run.stderr.strip().splitlines()) == 1
