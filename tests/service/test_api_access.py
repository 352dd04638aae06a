"""Who may use the page and API: login, roles, sessions, other sites' requests, and where it may listen."""

from __future__ import annotations

import re
import ssl
import subprocess

import httpx
import pytest
from pydantic import ValidationError

from shelfvision.config import WebSection
from shelfvision.errors import ConfigError, ShelfvisionError
from shelfvision.service.access import check_binding
from shelfvision.service.passwords import GuessLimit, hash_password, password_fits
from shelfvision.service.sessions import Sessions
from shelfvision.service.web_server import WebServer
from tests.web_store import StoreScene

ANNA = {"name": "Anna", "role": "staff", "password_hash": hash_password("correct horse")}
MONA = {"name": "Mona", "role": "manager", "password_hash": hash_password("battery staple")}


@pytest.fixture(scope="module")
def open_shop(tmp_path_factory):
    scene = StoreScene(tmp_path_factory.mktemp("open"))
    server = scene.serve()
    yield scene, server
    server.stop(3)
    scene.close()


@pytest.fixture
def shop(tmp_path):
    scene = StoreScene(tmp_path, {"users": [ANNA, MONA]})
    server = scene.serve(beat_seconds=0.2)
    yield scene, server
    server.stop(3)
    scene.close()


def log_in(server, name="Anna", password=None):
    client = httpx.Client(base_url=server.url, timeout=20)
    answer = client.post("/login", data={"name": name, "password": password or "correct horse", "next": "/shelf"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/shelf")
    csrf = re.search(r'data-csrf="([^"]+)"', client.get("/").text)[1]
    return client, csrf


def claim(task, actor, key="access-key-1"):
    return {"action": "claim", "version": task.version, "actor": actor, "key": key}


# --- without users: this machine only ---


@pytest.mark.parametrize("host", ["evil.example", "192.168.1.5:8080", "localhost.evil.example", ""])
def test_without_login_only_loopback_names_are_answered(open_shop, host):
    """A foreign name that resolves to 127.0.0.1 is DNS rebinding."""
    _, server = open_shop
    for path in ("/", "/api/v1/tasks", "/healthz"):
        assert httpx.get(server.url + path, headers={"Host": host}).status_code in {400, 421}


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:8080", "[::1]:8080"])
def test_loopback_names_are_answered(open_shop, host):
    _, server = open_shop
    assert httpx.get(server.url + "/api/v1/tasks", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_another_sites_request_changes_nothing(open_shop, headers):
    scene, server = open_shop
    scene.see("A1", "in_stock")
    scene.see("A1", "out")
    task = scene.task("A1")
    answer = httpx.post(f"{server.url}/api/v1/tasks/{task.id}/commands", json=claim(task, "Eve"), headers=headers)
    assert answer.status_code == 403
    assert scene.task("A1").state == "open"


def test_our_own_page_may_send_commands(open_shop):
    scene, server = open_shop
    scene.see("A2", "in_stock")
    scene.see("A2", "out")
    task = scene.task("A2")
    headers = {"Origin": server.url, "Sec-Fetch-Site": "same-origin"}
    answer = httpx.post(f"{server.url}/api/v1/tasks/{task.id}/commands", json=claim(task, "Anna"), headers=headers)
    assert answer.status_code == 200


def test_every_answer_carries_the_security_headers(open_shop):
    _, server = open_shop
    for path in ("/", "/shelf", "/api/v1/tasks", "/nothing", "/manifest.webmanifest"):
        headers = httpx.get(server.url + path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert "server" not in headers
    assert httpx.get(server.url + "/").headers["cache-control"] == "no-store"


# --- with users ---


def test_without_login_nothing_is_shown(shop):
    _, server = shop
    page = httpx.get(f"{server.url}/shelf")
    assert (page.status_code, page.headers["location"]) == (303, "/login?next=%2Fshelf")
    for path in ("/api/v1/tasks", "/api/v1/shelf", "/api/v1/status", "/api/v1/live", "/fragments/tasks"):
        answer = httpx.get(server.url + path)
        assert (answer.status_code, answer.headers["content-type"]) == (401, "application/problem+json")
        assert "basic" not in answer.headers["www-authenticate"].casefold()
    assert httpx.get(f"{server.url}/healthz").status_code == 200


def test_the_login_cookie_is_for_the_browser_only(shop):
    _, server = shop
    answer = httpx.post(f"{server.url}/login", data={"name": "anna", "password": "correct horse"})
    cookie = answer.headers["set-cookie"].casefold()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert "path=/" in cookie


@pytest.mark.parametrize(("name", "password"), [("Anna", "wrong"), ("Nobody", "correct horse"), ("", "")])
def test_a_wrong_name_or_password_is_refused_in_the_same_words(shop, name, password):
    _, server = shop
    answer = httpx.post(f"{server.url}/login", data={"name": name, "password": password})
    assert answer.status_code == 401
    assert "Name or password is wrong." in answer.text
    assert "set-cookie" not in answer.headers


def test_the_login_leads_only_to_our_own_pages(shop):
    _, server = shop
    data = {"name": "Anna", "password": "correct horse", "next": "https://evil.example/"}
    assert httpx.post(f"{server.url}/login", data=data).headers["location"] == "/"


def test_guessing_is_slowed_down(shop):
    _, server = shop
    codes = [
        httpx.post(f"{server.url}/login", data={"name": "Anna", "password": f"guess {n}"}).status_code for n in range(6)
    ]
    assert codes == [401] * 5 + [429]
    right = httpx.post(f"{server.url}/login", data={"name": "Anna", "password": "correct horse"})
    assert (right.status_code, int(right.headers["retry-after"]) > 800) == (429, True)
    log_in(server, "Mona", "battery staple")


def test_commands_of_a_session_need_its_token_and_its_name(shop):
    scene, server = shop
    scene.see("A1", "in_stock")
    scene.see("A1", "out")
    task = scene.task("A1")
    client, csrf = log_in(server)
    path = f"/api/v1/tasks/{task.id}/commands"
    assert client.post(path, json=claim(task, "Anna")).status_code == 403
    assert client.post(path, json=claim(task, "Anna"), headers={"X-CSRF-Token": "x" * 43}).status_code == 403
    other = client.post(path, json=claim(task, "Ben"), headers={"X-CSRF-Token": csrf})
    assert (other.status_code, "Ben" in other.json()["detail"]) == (403, True)
    assert scene.task("A1").state == "open"
    right = client.post(path, json=claim(task, "Anna"), headers={"X-CSRF-Token": csrf})
    assert (right.status_code, right.json()["claimed_by"]) == (200, "Anna")


def test_a_manager_may_give_back_what_a_colleague_holds_and_staff_may_not(shop):
    scene, server = shop
    scene.see("A1", "in_stock")
    scene.see("A1", "out")
    held = scene.command("A1", "claim", "Ben")
    release = {"action": "release", "version": held.version, "key": "give-back-01"}
    path = f"/api/v1/tasks/{held.id}/commands"
    client, csrf = log_in(server)
    refused = client.post(path, json=release | {"actor": "Anna"}, headers={"X-CSRF-Token": csrf})
    assert (refused.status_code, refused.json()["detail"]) == (409, "Ben has already claimed it")
    client, csrf = log_in(server, "Mona", "battery staple")
    allowed = client.post(path, json=release | {"actor": "Mona", "key": "give-back-02"}, headers={"X-CSRF-Token": csrf})
    assert (allowed.status_code, allowed.json()["state"]) == (200, "open")


def test_programs_log_in_with_each_request(shop):
    scene, server = shop
    scene.see("A1", "in_stock")
    scene.see("A1", "out")
    task = scene.task("A1")
    with httpx.Client(base_url=server.url, auth=("Anna", "correct horse")) as client:
        assert client.get("/api/v1/tasks").status_code == 200
        assert client.get("/").status_code == 303  # pages want the form
        assert client.post(f"/api/v1/tasks/{task.id}/commands", json=claim(task, "Anna")).status_code == 200
    assert httpx.get(f"{server.url}/api/v1/tasks", auth=("Anna", "wrong")).status_code == 401


def test_logging_out_ends_the_session_and_its_stream(shop):
    _, server = shop
    client, csrf = log_in(server)
    with httpx.Client(base_url=server.url, cookies=client.cookies) as listener:
        with listener.stream("GET", "/api/v1/live") as stream:
            assert client.post("/logout", data={"csrf": "wrong"}).status_code == 403
            assert client.get("/api/v1/tasks").status_code == 200
            assert client.post("/logout", data={"csrf": csrf}).status_code == 303
            assert "event: login" in list(stream.iter_lines())
        assert listener.get("/api/v1/tasks").status_code == 401


def test_a_session_lasts_over_a_restart_until_its_time_or_a_new_password(tmp_path):
    scene = StoreScene(tmp_path)
    token, _ = Sessions(scene.store.database).begin("Anna", "hash-1", now=1000.0, hours=1)
    again = Sessions(scene.store.database)
    assert again.find(token, {"Anna": "hash-1"}, 4599.0).user_name == "Anna"
    assert again.find(token, {"Anna": "hash-1"}, 4600.0) is None
    assert again.find(token, {"Anna": "hash-2"}, 1001.0) is None
    assert again.find(token, {}, 1001.0) is None
    assert again.find("other", {"Anna": "hash-1"}, 1001.0) is None
    assert token.encode() not in (tmp_path / "store.sqlite-wal").read_bytes()
    scene.close()


def test_a_password_fits_only_its_own_hash():
    assert password_fits("correct horse", ANNA["password_hash"])
    assert not password_fits("correct horse", MONA["password_hash"])
    assert not password_fits("correct horse", None)
    assert not password_fits("correct horse", "$argon2id$damaged")


def test_the_guess_limit_counts_addresses_too_and_forgets_with_time():
    limit = GuessLimit(per_name=2, per_address=3, window=100)
    for place, name in enumerate("abc"):
        assert limit.wait_seconds("here", name, place) == 0
        limit.failed("here", name, place)
    assert limit.wait_seconds("here", "d", 3) == 97
    assert limit.wait_seconds("there", "a", 3) == 0
    assert limit.wait_seconds("here", "d", 100) == 0
    for _ in range(2):
        limit.failed("there", "Anna", 200)
    assert limit.wait_seconds("there", "anna", 200) == 100
    limit.succeeded("there", "ANNA")
    assert limit.wait_seconds("there", "anna", 200) == 0


# --- where it may listen ---


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "shop.example"])  # noqa: S104 - refused
def test_beyond_this_machine_it_needs_login_and_tls(host):
    with pytest.raises(ConfigError, match=r"web\.users and web\.cert_file"):
        check_binding(host, WebSection())
    with pytest.raises(ConfigError, match=r"add web\.cert_file"):
        check_binding(host, WebSection(users=[ANNA]))
    check_binding(host, WebSection(users=[ANNA], cert_file="c.pem", key_file="k.pem"))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "localhost", "::1"])
def test_loopback_needs_neither(host):
    check_binding(host, WebSection())


@pytest.mark.parametrize(
    ("web", "words"),
    [
        ({"cert_file": "c.pem"}, "belong together"),
        ({"users": [ANNA, ANNA | {"name": "anna"}]}, "twice"),
        ({"users": [ANNA | {"password_hash": "correct horse"}]}, "shelfvision password"),
        ({"public_url": "https://shop.example"}, "needs users"),
        ({"users": [ANNA], "public_url": "http://shop.example"}, "https"),
    ],
)
def test_a_wrong_web_section_says_what_is_wrong(web, words):
    with pytest.raises(ValidationError, match=words):
        WebSection.model_validate(web)


def test_a_port_in_use_and_a_bad_certificate_are_one_line(open_shop, tmp_path):
    scene, server = open_shop
    with pytest.raises(ShelfvisionError, match="in use; give another one with --port"):
        scene.serve(port=server.port)
    (tmp_path / "bad.pem").write_text("no certificate")
    web = WebSection(users=[ANNA], cert_file=tmp_path / "bad.pem", key_file=tmp_path / "bad.pem")
    with pytest.raises(ConfigError, match=r"web\.cert_file .*bad\.pem"):
        WebServer(scene.app(), host="127.0.0.1", port=0, web=web).start()


def test_with_tls_the_cookie_is_bound_to_this_host(tmp_path):
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-keyout", key, "-out", certificate, "-days", "2", "-subj", "/CN=localhost"),
            *("-addext", "subjectAltName=IP:127.0.0.1"),
        ],
        check=True,
        capture_output=True,
    )
    scene = StoreScene(tmp_path, {"users": [ANNA], "cert_file": str(certificate), "key_file": str(key)})
    server = scene.serve()
    assert server.url.startswith("https://")
    with httpx.Client(base_url=server.url, verify=ssl.create_default_context(cafile=str(certificate))) as client:
        answer = client.post("/login", data={"name": "Anna", "password": "correct horse"})
        assert answer.headers["set-cookie"].startswith("__Host-sv_session=")
        assert "Secure" in answer.headers["set-cookie"]
        assert answer.headers["strict-transport-security"]
        assert client.get("/api/v1/tasks").status_code == 200
    server.stop(3)
    scene.close()
