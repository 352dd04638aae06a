"""The real clip of issue 2: offline it gives exactly the truth, and through real processes it becomes tasks."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from shelfvision.transport.mosquitto import Mosquitto
from tests.acceptance.processes import ROOT, Running, clip, mosquitto_client, running, shelfvision
from tests.waiting import wait_until

TOPIC = "shelfvision/v1/demo-real"


def test_replay_of_the_real_clip_gives_exactly_the_truth(tmp_path):
    video = clip()
    events = tmp_path / "out.jsonl"
    site = ROOT / "configs" / "bottles.yaml"
    subprocess.run(
        shelfvision("replay", str(site), "--camera", "table", "--video", str(video), "--events", str(events)),
        check=True,
        capture_output=True,
        timeout=110,
    )
    found = [json.loads(line) for line in events.read_text().splitlines()]
    assert sorted((event["type"].split(".")[1], event["subject"]) for event in found) == [
        ("pick_up", "left"),
        ("pick_up", "left"),
        ("pick_up", "mid"),
        ("put_back", "left"),
        ("restocked", "left"),
        ("stockout", "left"),
        ("stockout", "left"),
        ("stockout", "mid"),
    ]
    report = subprocess.run(
        shelfvision("evaluate", "events", str(events), str(video.with_name("truth.json")), "--json"),
        check=True,
        capture_output=True,
        timeout=60,
    )
    scores = json.loads(report.stdout)
    assert scores["macro_f1"] == 1
    assert scores["stockout_recall"] == 1
    assert scores["false_alerts"] == 0
    assert scores["right_slot_rate"] == 1


@pytest.fixture
def clip_site(tmp_path: Path, mosquitto: Mosquitto) -> Path:
    """configs/bottles.yaml as it is, but with the test's broker and an outbox of its own."""
    clip()
    site = yaml.safe_load((ROOT / "configs" / "bottles.yaml").read_text())
    site["broker"] = {"url": mosquitto.section().url}
    site["device"] = {"outbox": str(tmp_path / "outbox.sqlite")}
    site["catalogue"] = str(ROOT / "configs" / "bottles.csv")
    site["cameras"][0]["source"] = str(clip())
    path = tmp_path / "site.yaml"
    path.write_text(yaml.safe_dump(site))
    return path


class Seen:
    """What mosquitto_sub has written: topic, retain flag, QoS and payload of each message."""

    def __init__(self, running_sub: Running) -> None:
        self._running = running_sub

    def messages(self, wanted: Callable[[str], bool]) -> list[dict[str, object]]:
        rows = [json.loads(line) for line in self._running.lines if line.startswith("{")]
        return [row for row in rows if wanted(str(row["topic"]).removeprefix(TOPIC))]

    def tasks(self) -> list[dict[str, object]]:
        found = self.messages(lambda topic: topic.startswith("/tasks/") and not topic.endswith("/set"))
        return [json.loads(str(row["payload"])) for row in found if row["payload"]]

    def events(self) -> list[dict[str, object]]:
        return [json.loads(str(row["payload"])) for row in self.messages(lambda topic: topic.endswith("/events"))]


def command(port: int, task: dict[str, object], **fields: object) -> list[str]:
    payload = json.dumps({"version": task["version"], **fields})
    topic = f"{TOPIC}/tasks/{task['id']}/set"
    return [mosquitto_client("mosquitto_pub"), "-V", "5", "-p", str(port), "-q", "1", "-t", topic, "-m", payload]


@pytest.mark.timeout(180)
def test_the_clip_in_real_time_becomes_tasks_that_the_camera_closes(tmp_path, mosquitto, clip_site):
    """watch, Mosquitto and replenish as processes; the bottle that comes back confirms its task."""
    port = mosquitto.port
    listen = [mosquitto_client("mosquitto_sub"), "-V", "5", "-p", str(port), "-q", "1", "-t", f"{TOPIC}/#", "-F", "%j"]
    database = tmp_path / "replenish.sqlite"
    with (
        running("sub", listen, tmp_path) as sub,
        running(
            "replenish", shelfvision("replenish", str(clip_site), "--db", str(database), "--port", "0"), tmp_path
        ) as service,
    ):
        service.wait_for_line("ready:")
        seen = Seen(sub)
        with running("watch", shelfvision("watch", str(clip_site)), tmp_path) as agent:
            agent.wait_for_line("ready:")
            wait_until(
                lambda: any(task["state"] == "confirmed" and task["slot"] == "left" for task in seen.tasks()),
                60,
                what="the task for left confirmed by the camera",
            )

            def open_slots() -> dict[str, dict[str, object]]:
                latest = {str(task["id"]): task for task in seen.tasks()}
                return {str(task["slot"]): task for task in latest.values() if task["state"] == "open"}

            wait_until(lambda: set(open_slots()) == {"left", "mid"}, 40, what="open tasks for left and mid")
            wait_until(lambda: agent.process.poll() is not None, 40, what="the end of the clip")
            assert agent.process.returncode == 0, agent.lines[-5:]
        tasks = open_slots()
        assert sorted(int(str(task["rank"])) for task in tasks.values()) == [1, 2]
        assert all(task["reasons"] for task in tasks.values())
        kinds = sorted((str(event["type"]).split(".")[1], event["subject"]) for event in seen.events())
        assert kinds.count(("stockout", "left")) == 2
        assert kinds.count(("pick_up", "mid")) == 1
        assert kinds.count(("put_back", "left")) == 1
        check_topics(seen)
        check_claims(seen, port, tasks["mid"])


def check_topics(seen: Seen) -> None:
    """The topics of the design's section 8 are all there, with their QoS."""
    for ending, qos in (
        ("/edge-1/events", 1),
        ("/edge-1/ack", 1),
        ("/edge-1/status", 1),
        ("/edge-1/camera/table/status", 1),
        ("/edge-1/slot/left/state", 1),
        ("/edge-1/health", 0),
        ("/ranking", 1),
    ):
        found = seen.messages(lambda topic, ending=ending: topic == ending)
        assert found, ending
        assert {row["qos"] for row in found} == {qos}, ending


def check_claims(seen: Seen, port: int, task: dict[str, object]) -> None:
    """Two claims at once have one winner; a repeated key changes nothing."""
    first = command(port, task, action="claim", actor="Anna", key="anna-key-0001")
    second = command(port, task, action="claim", actor="Boris", key="boris-key-0001")
    processes = [subprocess.Popen(words) for words in (first, second)]
    assert [process.wait(10) for process in processes] == [0, 0]

    def latest() -> dict[str, object]:
        return next(row for row in reversed(seen.tasks()) if row["id"] == task["id"])

    wait_until(lambda: latest()["state"] == "claimed", 15, what="a claim")
    claimed = latest()
    winner = str(claimed["claimed_by"])
    assert winner in {"Anna", "Boris"}
    subprocess.run(first if winner == "Anna" else second, check=True, timeout=10)
    done = command(port, claimed, action="complete", actor=winner, key="winner-key-0002")
    subprocess.run(done, check=True, timeout=10)
    wait_until(lambda: latest()["state"] == "done", 15, what="the completed task")
    assert latest()["claimed_by"] == winner
    versions = [int(str(row["version"])) for row in seen.tasks() if row["id"] == task["id"]]
    states = [row["state"] for row in seen.tasks() if row["id"] == task["id"]]
    assert versions == sorted(versions)
    assert states.count("claimed") == 1
