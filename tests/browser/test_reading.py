"""Both pages can be read: on a narrow phone, in light and dark, by a screen reader, installed, and behind a login."""

from __future__ import annotations

import pytest

from shelfvision.service.passwords import hash_password
from tests.browser.conftest import DESK, PHONE, People
from tests.web_store import StoreScene

# WCAG 2.2: relative luminance and contrast of every visible text against what is painted behind it.
CONTRASTS = """
() => {
  const parse = (text) => {
    const [r, g, b, a = 1] = text.match(/[\\d.]+/g).map(Number);
    return { rgb: [r, g, b], a };
  };
  const luminance = (rgb) => {
    const [r, g, b] = rgb.map((v) => v / 255).map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (node) => {
    for (let each = node; each; each = each.parentElement) {
      const { rgb, a } = parse(getComputedStyle(each).backgroundColor);
      if (a === 1) return rgb;
    }
    return [255, 255, 255];
  };
  const found = [];
  for (const node of document.querySelectorAll("body *")) {
    const own = [...node.childNodes].some((child) => child.nodeType === 3 && child.data.trim());
    if (!own || node.closest("svg, noscript, .unseen, .skip, [hidden]") || !node.getClientRects().length) continue;
    const [one, two] = [luminance(parse(getComputedStyle(node).color).rgb), luminance(behind(node))];
    const ratio = (Math.max(one, two) + 0.05) / (Math.min(one, two) + 0.05);
    found.push([ratio, `${node.className || node.nodeName}: ${node.textContent.trim().slice(0, 40)}`]);
  }
  return found.sort((a, b) => a[0] - b[0]);
}
"""
PAGES = [("/", "tasks"), ("/shelf", "shelf")]


@pytest.fixture
def filled(shop):
    shop.fill()
    shop.command("A3", "claim", "Ben")
    shop.command("B5", "claim", "Anna")
    shop.command("C3", "claim", "Ben")
    shop.command("C3", "complete", "Ben")
    shop.command("D4", "reject", "Ben", "the shelf is full")
    shop.broker_fault = "connection refused"
    return shop


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_no_page_scrolls_sideways(filled, people, width):
    for path, _ in PAGES:
        page = people.open(path=path, viewport={"width": width, "height": 800})
        for fold in page.locator("summary").all():
            fold.click()
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_has_the_contrast_of_wcag_aa(filled, people, scheme):
    for path, _ in PAGES:
        page = people.open(path=path, scheme=scheme)
        for fold in page.locator("summary").all():
            fold.click()
        found = page.evaluate(CONTRASTS)
        assert len(found) > 40
        assert found[0][0] >= 4.5, found[:5]
        if path == "/":
            page.locator("button[data-do=reject]:visible").first.click()
        else:
            page.locator("g.slot.out").first.click()
        assert page.evaluate(CONTRASTS)[0][0] >= 4.5


def test_dark_and_light_really_differ(filled, people):
    colours = {
        people.open(scheme=s).evaluate("getComputedStyle(document.body).backgroundColor") for s in ("light", "dark")
    }
    assert len(colours) == 2


def test_buttons_are_large_enough_for_a_thumb(filled, people):
    for path, _ in PAGES:
        page = people.open(path=path)
        sizes = page.evaluate(
            "[...document.querySelectorAll('button, summary, nav a')].filter(n => n.getClientRects().length)"
            ".map(n => [n.offsetHeight, n.offsetWidth, n.textContent.trim()])"
        )
        assert len(sizes) > 8
        assert [size for size in sizes if size[0] < 44 or size[1] < 44] == []


def test_the_structure_makes_sense_without_eyes(filled, people):
    for path, name in PAGES:
        page = people.open(path=path, viewport=DESK)
        assert page.locator("main").count() == page.locator("h1").count() == 1
        assert page.locator("nav[aria-label]").count() == 1
        assert page.locator("nav a[aria-current=page]").inner_text().strip().casefold() == name
        assert page.locator("html").get_attribute("lang") == "en"
        assert page.locator("[role=status][aria-live=polite]").count() == 1
        unnamed = page.evaluate(
            "[...document.querySelectorAll('button, a, input')].filter(n => !(n.textContent.trim() || n.ariaLabel || "
            "n.labels?.length || n.type === 'hidden')).map(n => n.outerHTML)"
        )
        assert unnamed == []
        repeated = page.evaluate(
            "[...document.querySelectorAll('[id]')].map(n => n.id).filter((id, at, all) => all.indexOf(id) !== at)"
        )
        assert repeated == []
    claims = people.open().get_by_role("button", name="Claim")
    names = [button.inner_text() for button in claims.all()]
    assert len(set(names)) == len(names), "each button says which product it is for"


def test_the_application_can_be_installed_and_opens_without_a_network(filled, people):
    page = people.open(path="/shelf")
    page.evaluate("navigator.serviceWorker.ready")
    page.wait_for_function("caches.match('/fragments/tasks').then(Boolean)")
    page.reload()
    people.expected = ("ERR_INTERNET_DISCONNECTED", "Failed to load resource")
    page.context.set_offline(True)
    page.goto(filled.url + "/")
    page.wait_for_selector(".task")
    page.wait_for_selector("#connection-banner:not([hidden])")
    assert page.locator("#todo .task").count() > 3


def test_login_on_a_phone_then_logout(chromium, tmp_path):
    web = {"users": [{"name": "Anna", "password_hash": hash_password("correct horse")}]}
    scene = StoreScene(tmp_path, web)
    server = scene.serve(beat_seconds=0.5)
    scene.see("A1", "in_stock")
    scene.see("A1", "out")
    people = People(chromium, server.url)
    people.expected = ("401",)
    try:
        page = people.open(None, "/shelf", viewport=PHONE, live=False)
        page.wait_for_url("**/login?next=%2Fshelf")
        page.get_by_label("Name").fill("Anna")
        page.get_by_label("Password").fill("wrong")
        page.keyboard.press("Enter")
        page.wait_for_selector(".fault")
        page.get_by_label("Password").fill("correct horse")
        page.keyboard.press("Enter")
        page.wait_for_url("**/shelf")
        page.goto(server.url + "/")
        page.wait_for_selector("#link-state[data-state=live]")
        page.locator("button[data-do=claim]").click()
        page.wait_for_selector("#mine .task")
        assert scene.task("A1").claimed_by == "Anna"
        page.locator("#person-button").click()
        page.get_by_role("button", name="Log out").click()
        page.wait_for_url("**/login")
        page.goto(server.url + "/")
        page.wait_for_url("**/login?next=%2F")
        page.wait_for_function("caches.keys().then(names => !names.some(name => name.startsWith('pages-')))")
    finally:
        people.close()
        server.stop(3)
        scene.close()
    assert people.faults == []
