"""A real browser before the real service."""

from __future__ import annotations

import shutil
from urllib.parse import urlsplit

import pytest

from tests.web_store import StoreScene

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PHONE = {"width": 390, "height": 844}
DESK = {"width": 1280, "height": 900}


@pytest.fixture(scope="session")
def chromium():
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("no chromium on this machine; on Debian: apt-get install chromium")
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install playwright")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def shop(tmp_path):
    """A store with a page, ``shop.url``, and everything in stock."""
    scene = StoreScene(tmp_path)
    server = scene.serve(beat_seconds=1.0)
    scene.server, scene.url = server, server.url
    yield scene
    scene.server.stop(3)
    scene.close()


class People:
    """Opens pages as different people, and watches over what the pages do."""

    def __init__(self, browser, url):
        self._browser, self._url = browser, url
        self._contexts = []
        self.faults = []
        self.expected = ()  # parts of console messages that a test causes on purpose

    def open(self, name="Anna", path="/", *, viewport=PHONE, scheme="light", live=True):
        context = self._browser.new_context(viewport=viewport, color_scheme=scheme)
        context.set_default_timeout(15_000)
        self._contexts.append(context)
        if name:
            context.add_cookies([{"name": "sv_actor", "value": name, "url": self._url}])
        context.on("request", self._check_request)
        page = context.new_page()
        page.on("console", self._check_console)
        page.on("pageerror", lambda error: self.faults.append(f"error: {error}"))
        page.goto(self._url + path)
        if live:
            page.wait_for_selector("#link-state[data-state=live]")
        return page

    def _check_request(self, request):
        if urlsplit(request.url).netloc != urlsplit(self._url).netloc:
            self.faults.append(f"outside request: {request.url}")

    def _check_console(self, message):
        if message.type in {"error", "warning"} and not any(part in message.text for part in self.expected):
            self.faults.append(f"console: {message.text}")

    def close(self):
        for context in self._contexts:
            context.close()


@pytest.fixture
def people(chromium, shop):
    """Pages of this test; at its end none may have logged an error or asked another host."""
    opened = People(chromium, shop.url)
    yield opened
    opened.close()
    assert opened.faults == []
