"""The Shelf page: drawn from the polygons, live, usable by tap and by keyboard."""

from __future__ import annotations

import pytest

from tests.browser.conftest import DESK
from tests.waiting import wait_until


@pytest.fixture
def filled(shop):
    shop.fill()
    return shop


def slot(page, name):
    return page.locator(f"[id='plan-s:edge-1:{name}']")


def test_a_slots_state_changes_live_and_is_announced(filled, people):
    page = people.open(path="/shelf")
    assert slot(page, "A2").get_attribute("data-condition") == "in_stock"
    filled.see("A2", "out")
    page.wait_for_selector("[id='plan-s:edge-1:A2'][data-condition=out]")
    assert slot(page, "A2").locator("polygon").get_attribute("fill").startswith("url(#out-")
    wait_until(lambda: "Whole milk 3.8 % 1 l, slot A2, out of stock" in page.locator("#announcer").inner_text())


def test_states_differ_by_symbol_and_pattern_not_only_by_colour(filled, people):
    page = people.open(path="/shelf")
    marks = {
        name: (
            slot(page, name).locator(".glyph path").get_attribute("d"),
            slot(page, name).locator("polygon").get_attribute("fill"),
        )
        for name in ("A1", "B2", "D9", "A2")
    }
    assert len({glyph for glyph, _ in marks.values()}) == 4
    assert len({fill for _, fill in marks.values()}) == 4


def test_a_tap_opens_the_slot_and_the_panel_stays_up_to_date(filled, people):
    page = people.open(path="/shelf")
    slot(page, "A2").click()
    panel = page.locator("#slot-dialog")
    assert "In stock for 1 h 30 min" in panel.inner_text()
    filled.see("A2", "out")
    wait_until(lambda: "Out of stock" in panel.inner_text())
    panel.get_by_role("link", name="Open the task").click()
    page.wait_for_url("**/#task-*")
    page.wait_for_selector(f"#task-{filled.task('A2').id}:target")


def test_the_panel_closes_by_key_button_and_backdrop_and_gives_the_focus_back(filled, people):
    page = people.open(path="/shelf", viewport=DESK)
    row = page.locator("button.row[data-slot='s:edge-1:A1']")
    for close in (
        lambda: page.keyboard.press("Escape"),
        lambda: page.locator("#slot-dialog [data-close]").click(),
        lambda: page.mouse.click(20, 500),
    ):
        row.click()
        page.wait_for_selector("#slot-dialog[open]")
        close()
        page.wait_for_selector("#slot-dialog:not([open])", state="attached")
        assert row.evaluate("node => node === document.activeElement")


def test_arrow_keys_walk_over_the_drawing(filled, people):
    page = people.open(path="/shelf", viewport=DESK)
    assert page.locator("svg.plan").first.locator("g.slot[tabindex='0']").count() == 1
    slot(page, "A1").focus()
    for key, name in (("ArrowRight", "A2"), ("ArrowDown", "B2"), ("ArrowLeft", "B1"), ("ArrowUp", "A1")):
        page.keyboard.press(key)
        assert page.evaluate("document.activeElement.id") == f"plan-s:edge-1:{name}"
    page.keyboard.press("Enter")
    page.wait_for_selector("#slot-dialog[open]")
    page.keyboard.press("Escape")
    filled.see("D1", "out")
    page.wait_for_selector("[id='plan-s:edge-1:D1'][data-condition=out]")
    assert page.evaluate("document.activeElement.id") == "plan-s:edge-1:A1"


def test_every_slot_can_be_hit_with_a_finger_on_a_phone(filled, people):
    """WCAG 2.2, 2.5.8: targets of at least 24 x 24 CSS pixels."""
    page = people.open(path="/shelf")
    sizes = page.evaluate(
        "[...document.querySelectorAll('g.slot polygon')].map(n => n.getBoundingClientRect())"
        ".map(box => [box.width, box.height])"
    )
    assert len(sizes) == 46
    assert min(min(size) for size in sizes) >= 24


def test_a_camera_that_goes_away_takes_its_slots_out_of_view(filled, people):
    page = people.open(path="/shelf")
    filled.camera("cooler", "offline", error="no answer for 20 s")
    page.wait_for_selector("[id='plan-s:edge-1:cooler-1b'][data-condition=unknown]")
    words = page.locator("[id='camera-s:edge-1:cooler']").inner_text()
    assert "Offline" in words
    assert "No answer for 20 s" in words
