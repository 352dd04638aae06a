"""What the pages say, as HTML: sections, words, times in the store's zone, escaping, warnings."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from zoneinfo import ZoneInfo

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shelfvision.core.messages import DeviceStatus
from shelfvision.service.app_icon import icon_png
from shelfvision.service.slot_drawing import inner_point, place_marks
from shelfvision.service.time_words import clock_words, span_words
from tests.web_store import StoreScene


@pytest.fixture
def shop(tmp_path):
    scene = StoreScene(tmp_path)
    server = scene.serve()
    scene.url = server.url
    yield scene
    server.stop(3)
    scene.close()


class Text(HTMLParser):
    """Visible words of an element's subtree, by id."""

    def __init__(self, wanted):
        super().__init__()
        self.wanted, self.depth, self.words = wanted, 0, []

    def handle_starttag(self, tag, attributes):
        if tag in {"input", "meta", "link", "img", "br"}:
            return
        if self.depth or dict(attributes).get("id") == self.wanted:
            self.depth += 1

    def handle_endtag(self, tag):
        self.depth -= self.depth > 0

    def handle_data(self, data):
        if self.depth:
            self.words.append(data)


def words_of(html, element):
    text = Text(element)
    text.feed(html)
    return " ".join(" ".join(text.words).split())


def test_an_empty_store_says_that_there_is_nothing_to_refill(shop):
    page = httpx.get(shop.url).text
    assert "Nothing to refill" in words_of(page, "nothing")
    for slot in shop.skus:
        shop.see(slot, "in_stock")
    assert "Every slot that the cameras see is filled" in httpx.get(shop.url).text


def test_tasks_stand_in_their_sections(shop):
    for slot in ("A1", "A2", "A3", "A4", "A5", "A10"):
        shop.see(slot, "in_stock")
        shop.see(slot, "out", ago=720)
    shop.command("A2", "claim", "Anna")
    shop.command("A3", "claim", "Ben")
    shop.command("A4", "claim", "Ben")
    shop.command("A4", "complete", "Ben")
    shop.command("A5", "reject", "Ben", "the shelf is full")
    page = httpx.get(shop.url, cookies={"sv_actor": "Anna"}).text
    assert "Whole milk" in words_of(page, "mine")
    assert "Empty for 12 min" in words_of(page, f"task-{shop.task('A1').id}")
    assert "12 units" in words_of(page, f"task-{shop.task('A1').id}")
    assert "Ben is on it" in words_of(page, "todo")
    assert "Greek yoghurt" in words_of(page, "todo")
    assert "waiting for the camera to see it" in words_of(page, "waiting")
    assert "Nothing of these is left in the backroom" in words_of(page, "order")
    assert "Spaghetti" in words_of(page, "order")
    assert "Rejected: the shelf is full · Ben" in words_of(page, "closed")


def test_a_task_that_opened_again_says_why(shop):
    shop.see("A1", "in_stock")
    shop.see("A1", "out")
    shop.command("A1", "claim", "Ben")
    task = shop.task("A1")
    with shop.store.database.write() as connection:
        connection.exec_driver_sql("UPDATE tasks SET claimed_at = 0")
    shop.plan()
    words = words_of(httpx.get(shop.url).text, f"task-{task.id}")
    assert "open again: Ben claimed it and did not finish within 30 min" in words


def test_the_shelf_shows_every_slot_with_state_since_fullness_and_pick_ups(shop):
    shop.see("B1", "in_stock", ago=3600, fullness=0.8)
    shop.pick_up("B1", 4)
    shop.see("B2", "out", ago=720)
    shop.see("B3", "unknown", ago=60)
    page = httpx.get(f"{shop.url}/shelf").text
    assert page.count('<g class="slot ') == 46
    assert 'viewBox="0 0 1280 720"' in page
    assert "out of stock for 12 min, 0 percent full, task to refill" in page
    first = words_of(page, "s:edge-1:B1")
    assert "In stock for 1 h" in first
    assert "80 %" in first
    assert "Picked up today 4" in first
    assert "Last seen: in stock" in words_of(page, "s:edge-1:B3")
    never = words_of(page, "s:edge-1:C1")
    assert "Not in view" in never
    assert "1970" not in never


def test_camera_trouble_is_said_in_words(shop):
    shop.camera("cooler", "frozen", error="no new picture for 12 s")
    shop.camera("aisle-3", "online", fps=4.96)
    page = httpx.get(f"{shop.url}/shelf").text
    assert "Picture frozen" in words_of(page, "camera-s:edge-1:cooler")
    assert "No new picture for 12 s. Its slots count as not in view" in words_of(page, "camera-s:edge-1:cooler")
    assert "Online · 5.0 fps" in words_of(page, "camera-s:edge-1:aisle-3")


def test_both_pages_warn_of_a_lost_broker_and_device(shop):
    shop.broker_fault = "connection refused"
    shop.live(DeviceStatus(status="offline", device="edge-1"))
    for path in ("/", "/shelf", "/fragments/tasks", "/fragments/shelf"):
        page = httpx.get(shop.url + path).text
        assert "The message broker is not connected" in page
        assert "Device edge-1 is offline since" in page
        assert "connection refused" not in page


def test_names_from_outside_are_escaped(shop):
    shop.see("A1", "in_stock")
    shop.see("A1", "out")
    shop.command("A1", "claim", "<img src=x onerror=alert(1)>")
    page = httpx.get(shop.url, cookies={"sv_actor": "%22%3E%3Cscript%3E"}).text
    assert "<img src=x" not in page
    assert "&lt;img src=x onerror=alert(1)&gt;" in page
    assert '"><script>' not in page


def test_pages_hold_no_inline_script_or_style_and_nothing_from_outside(shop):
    shop.fill()
    for path in ("/", "/shelf"):
        page = httpx.get(shop.url + path).text
        assert not re.search(r"<script(?![^>]*\ssrc=)", page)
        assert not re.search(r'\s(?:style|on[a-z]+)="', page)
        assert not re.search(r'(?:src|href)="(?!/|#)', page)


def test_static_files_may_be_kept_for_ever_under_their_build(shop):
    page = httpx.get(shop.url).text
    for address in re.findall(r'(?:src|href)="(/static/[^"]+)"', page):
        answer = httpx.get(shop.url + address)
        assert (answer.status_code, "immutable" in answer.headers["cache-control"]) == (200, True)
    assert httpx.get(f"{shop.url}/static/000000000000/app.js").status_code == 404
    assert httpx.get(f"{shop.url}/static/../pages.py").status_code == 404
    manifest = httpx.get(f"{shop.url}/manifest.webmanifest").json()
    assert manifest["name"] == "Corner market shelves"
    for icon in manifest["icons"]:
        assert httpx.get(shop.url + icon["src"]).headers["content-type"] == icon["type"]


def test_a_person_gets_a_page_and_a_program_problem_json(shop):
    person = httpx.get(f"{shop.url}/nothing", headers={"Accept": "text/html"})
    assert (person.status_code, "There is nothing at this address." in person.text) == (404, True)
    assert httpx.get(f"{shop.url}/nothing").headers["content-type"] == "application/problem+json"


def test_the_icon_is_a_png_that_others_can_read():
    import cv2
    import numpy as np

    picture = cv2.imdecode(np.frombuffer(icon_png(192), np.uint8), cv2.IMREAD_COLOR)
    assert picture.shape == (192, 192, 3)
    assert picture[2, 2].tolist() == [0x4D, 0x5D, 0x0B]  # BGR of the background
    assert picture[60, 55].tolist() == [255, 255, 255]  # a product


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-5, "under a minute"),
        (59, "under a minute"),
        (60, "1 min"),
        (3599, "59 min"),
        (3600, "1 h"),
        (7500, "2 h 5 min"),
        (13 * 3600 + 60, "13 h"),
        (48 * 3600, "2 days"),
    ],
)
def test_durations_in_words(seconds, words):
    assert span_words(seconds) == words


def test_moments_are_in_the_stores_time_zone():
    zone = ZoneInfo("Europe/Berlin")
    now = datetime(2026, 3, 10, 23, 30, tzinfo=UTC)  # 11 March 00:30 in Berlin
    assert clock_words(now - timedelta(minutes=10), now, zone) == "00:20"
    assert clock_words(now - timedelta(hours=1), now, zone) == "yesterday 23:30"
    assert clock_words(now - timedelta(days=3), now, zone) == "Sun 00:30"
    assert clock_words(now - timedelta(days=40), now, zone) == "30 Jan 00:30"
    assert clock_words(now - timedelta(days=400), now, zone) == "4 Feb 2025"


@given(
    st.tuples(st.floats(0, 1000), st.floats(0, 600), st.floats(4, 400), st.floats(4, 400)),
    st.one_of(st.none(), st.floats(0, 1)),
    st.text("ABC-1", min_size=1, max_size=20),
)
def test_marks_lie_inside_their_slot(box, fullness, name):
    x, y, width, height = box
    corners = [(x, y), (x + width, y), (x + width, y + height), (x, y + height)]
    centre = inner_point(corners)
    assert abs(centre[0] - (x + width / 2)) < 1e-3 * max(width, 1)
    assert abs(centre[1] - (y + height / 2)) < 1e-3 * max(height, 1)
    glyph, level, label = place_marks(corners, 1280, name, fullness)
    assert x - 1 <= glyph.x
    assert glyph.x + glyph.side <= x + width + 1
    assert glyph.y + glyph.side <= y + height + 1
    if level is not None:
        assert level.filled <= level.width + 0.2
        assert level.y + level.height <= y + height + 0.2
    if label is not None:
        assert y <= label.y - label.size
        assert label.y <= glyph.y
