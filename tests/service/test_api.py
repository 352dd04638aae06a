"""The REST API as programs use it: over HTTP, against a real server and database."""

from __future__ import annotations

import http.client
import json
import threading

import httpx
import jsonschema
import pytest

from tests.waiting import wait_until
from tests.web_store import StoreScene


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    scene = StoreScene(tmp_path_factory.mktemp("api"))
    yield scene
    scene.close()


@pytest.fixture(scope="module")
def server(shop):
    running = shop.serve(beat_seconds=0.3, most_streams=3)
    yield running
    running.stop(3)


@pytest.fixture
def client(server):
    with httpx.Client(base_url=server.url, timeout=20) as made:
        yield made


def command(task, action="claim", actor="Anna", key="key-00000001", **changes):
    return {"action": action, "version": task["version"], "actor": actor, "key": key, **changes}


def task_at(client, slot):
    return next(task for task in client.get("/api/v1/tasks").json()["items"] if task["slot"] == slot)


def test_a_task_is_claimed_done_and_confirmed_by_the_camera(shop, client):
    shop.see("A1", "in_stock")
    shop.see("A1", "out", ago=60)
    task = task_at(client, "A1")
    assert (task["state"], task["rank"], task["name"]) == ("open", 1, "Oat drink barista 1 l")
    path = f"/api/v1/tasks/{task['id']}"
    claimed = client.post(f"{path}/commands", json=command(task, key="a1-claim-1")).json()
    assert (claimed["state"], claimed["claimed_by"]) == ("claimed", "Anna")
    done = client.post(f"{path}/commands", json=command(claimed, "complete", key="a1-done-01"))
    assert (done.status_code, done.json()["state"]) == (200, "done")
    shop.see("A1", "in_stock")
    assert client.get(path).json()["state"] == "confirmed"


def test_two_claims_give_one_winner_and_the_loser_learns_who(shop, client):
    shop.see("A2", "in_stock")
    shop.see("A2", "out")
    task = task_at(client, "A2")
    path = f"/api/v1/tasks/{task['id']}/commands"
    first = client.post(path, json=command(task, actor="Anna", key="two-claims-anna"))
    second = client.post(path, json=command(task, actor="Ben", key="two-claims-ben"))
    assert (first.status_code, second.status_code) == (200, 409)
    problem = second.json()
    assert second.headers["content-type"] == "application/problem+json"
    assert problem["detail"] == "Anna has already claimed it"
    assert (problem["task"]["state"], problem["task"]["claimed_by"]) == ("claimed", "Anna")


def test_many_claims_at_once_give_one_winner(shop, server, client):
    shop.see("A3", "in_stock")
    shop.see("A3", "out")
    task = task_at(client, "A3")
    start = threading.Barrier(8)
    codes = []

    def claim(number):
        start.wait()
        body = command(task, actor=f"person {number}", key=f"at-once-{number:04d}")
        codes.append(httpx.post(f"{server.url}/api/v1/tasks/{task['id']}/commands", json=body).status_code)

    threads = [threading.Thread(target=claim, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(codes) == [200, *[409] * 7]
    assert task_at(client, "A3")["version"] == task["version"] + 1


def test_a_repeat_with_the_same_key_gives_the_same_answer_and_changes_nothing(shop, client):
    shop.see("A4", "in_stock")
    shop.see("A4", "out")
    task = task_at(client, "A4")
    path = f"/api/v1/tasks/{task['id']}/commands"
    answers = [client.post(path, json=command(task, key="the-same-key")) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert len({answer.text for answer in answers}) == 1
    assert task_at(client, "A4")["version"] == task["version"] + 1


@pytest.mark.parametrize(
    ("body", "kind", "status", "words"),
    [
        (b'{"action": "claim", "action": "reject"}', "application/json", 400, "twice"),
        (b'{"version": NaN}', "application/json", 400, ""),
        (b"[" * 10_000, "application/json", 400, "deep"),
        (b"\xff\xfe", "application/json", 400, "UTF-8"),
        (b"", "application/json", 400, ""),
        (b"[]", "application/json", 422, ""),
        (b'{"action": "fly", "version": 1, "actor": "A", "key": "12345678"}', "application/json", 422, "action"),
        (b'{"action": "claim", "version": 1, "actor": "A"}', "application/json", 422, "key"),
        (
            b'{"action": "claim", "version": 1, "actor": "A", "key": "12345678", "x": 1}',
            "application/json",
            422,
            "x:",
        ),
        (b'{"action": "claim"}', "text/plain", 415, "application/json"),
    ],
)
def test_a_body_that_is_no_command_is_refused_in_one_sentence(client, body, kind, status, words):
    answer = client.post("/api/v1/tasks/t/commands", content=body, headers={"Content-Type": kind})
    assert (answer.status_code, answer.json()["status"]) == (status, status)
    assert answer.headers["content-type"] == "application/problem+json"
    assert words in answer.json()["detail"]


def test_an_unknown_task_is_a_404(client):
    body = {"action": "claim", "version": 1, "actor": "A", "key": "12345678"}
    assert client.post("/api/v1/tasks/nobody/commands", json=body).status_code == 404
    assert client.get("/api/v1/tasks/nobody").status_code == 404
    answer = client.get("/api/v1/nothing")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")


@pytest.mark.parametrize("declared", [True, False])
def test_a_large_body_is_refused_before_it_is_read(server, declared):
    """With its length declared at once, in chunks as soon as it is too long."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    body = b'"' + b"x" * 70_000 + b'"'
    content = body if declared else iter([body[:40_000], body[40_000:]])
    headers = {"Content-Type": "application/json"}
    connection.request("POST", "/api/v1/tasks/t/commands", content, headers, encode_chunked=not declared)
    answer = connection.getresponse()
    assert (answer.status, json.loads(answer.read())["status"]) == (413, 413)
    connection.close()


def test_shelf_ranking_products_and_status_tell_the_same_story(shop, client):
    shop.see("D1", "in_stock")
    shop.pick_up("D1", 3)
    shop.see("D1", "out", ago=30)
    cameras = client.get("/api/v1/shelf").json()["cameras"]
    assert [(camera["camera"], len(camera["slots"])) for camera in cameras] == [("aisle-3", 40), ("cooler", 6)]
    slot = next(slot for slot in cameras[0]["slots"] if slot["state"]["slot"] == "D1")
    assert (slot["state"]["state"], slot["pick_ups"]) == ("out", 3)
    assert slot["polygon"][0] == [24, 545]
    line = next(item for item in client.get("/api/v1/ranking").json()["items"] if item["slot"] == "D1")
    assert line["task"] == slot["task"] == task_at(client, "D1")["id"]
    product = next(p for p in client.get("/api/v1/products").json()["items"] if p["sku"] == shop.skus["D1"])
    assert (product["pick_ups"], product["slots_out"]) == (3, 1)
    status = client.get("/api/v1/status").json()
    assert (status["store"], status["broker_fault"], status["summary"]["slots"]) == ("demo", None, 46)
    assert status["summary"]["out"] >= 1


def test_health_needs_the_database_and_tells_of_the_broker(shop, client):
    assert client.get("/healthz").json() == {"status": "ok", "broker": "connected"}
    shop.broker_fault = "refused"
    try:
        assert client.get("/healthz").json()["broker"] == "not connected"
        assert client.get("/api/v1/status").json()["broker_fault"] == "refused"
    finally:
        shop.broker_fault = None


def test_the_openapi_description_is_whole_and_true(shop, client):
    api = client.get("/openapi.json").json()
    text = json.dumps(api)
    for name in {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}:
        assert name in api["components"]["schemas"]
    assert "/api/v1/tasks/{task_id}/commands" in api["paths"]
    for path, name in (("/api/v1/tasks", "TaskList"), ("/api/v1/shelf", "Shelf"), ("/api/v1/status", "Status")):
        schema = {"$ref": f"#/components/schemas/{name}", "components": api["components"]}
        jsonschema.Draft202012Validator(schema).validate(client.get(path).json())


def test_the_api_page_loads_nothing_from_outside(client):
    page = client.get("/docs").text
    assert "/api/v1/tasks" in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "https://" not in page


def test_changes_are_told_live_with_a_heartbeat(shop, client):
    with client.stream("GET", "/api/v1/live") as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        lines = stream.iter_lines()
        assert next(line for line in lines if line.startswith("event")) == "event: hello"
        shop.see("D2", "out")
        told = set()
        beats = 0
        for line in lines:
            if line.startswith('data: {"kinds"'):
                told |= set(json.loads(line.removeprefix("data: "))["kinds"])
            beats += line == "event: beat"
            if {"tasks", "shelf"} <= told and beats:
                break
        assert beats


def test_open_streams_are_bounded_and_leave_when_closed(server, client):
    live = server._live
    wait_until(lambda: live.clients == 0, 10, what="earlier streams to end")
    streams = [httpx.Client(base_url=server.url) for _ in range(3)]
    opened = [each.send(each.build_request("GET", "/api/v1/live"), stream=True) for each in streams]
    assert [answer.status_code for answer in opened] == [200, 200, 200]
    refused = client.get("/api/v1/live")
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "10")
    for answer, each in zip(opened, streams, strict=True):
        answer.close()
        each.close()
    wait_until(lambda: live.clients == 0, 10, what="closed streams to leave")


def test_the_server_stops_with_streams_open(tmp_path):
    scene = StoreScene(tmp_path)
    server = scene.serve()
    with httpx.Client(base_url=server.url) as client, client.stream("GET", "/api/v1/live") as stream:
        lines = stream.iter_lines()
        next(lines)
        server.stop(5)
        assert not server.alive
        assert "event: beat" not in list(lines)  # it ended at once, not at the next beat
    scene.close()


def test_a_database_that_fails_is_a_503_without_its_path(tmp_path):
    scene = StoreScene(tmp_path)
    server = scene.serve()
    scene.store.database._engine.dispose()
    (tmp_path / "store.sqlite").unlink()
    (tmp_path / "store.sqlite").mkdir()
    for name in ("store.sqlite-wal", "store.sqlite-shm"):
        (tmp_path / name).unlink(missing_ok=True)
    for path in ("/api/v1/tasks", "/healthz", "/"):
        answer = httpx.get(server.url + path)
        assert answer.status_code == 503, path
        assert str(tmp_path) not in answer.text
    server.stop(3)
