"""The Tasks page as people use it, on a phone, in a real browser."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from shelfvision.service.schema import task_commands
from tests.waiting import wait_until


@pytest.fixture
def stockouts(shop):
    """Three empty slots: ids of their tasks."""
    for slot in ("A1", "A2", "A3"):
        shop.see(slot, "in_stock")
        shop.see(slot, "out", ago=720)
    return {slot: shop.task(slot).id for slot in ("A1", "A2", "A3")}


def card(page, task):
    return page.locator(f"#task-{task}")


def act(page, task, action):
    card(page, task).locator(f"button[data-do={action}]").click()


def commands(shop):
    with shop.store.database.read() as connection:
        return connection.execute(select(task_commands)).all()


def go_offline(people, page):
    people.expected = ("ERR_INTERNET_DISCONNECTED", "Failed to load resource")
    page.context.set_offline(True)
    page.wait_for_selector("#connection-banner:not([hidden])")


def test_a_claim_in_one_page_appears_in_another(shop, people, stockouts):
    anna, ben = people.open("Anna"), people.open("Ben")
    act(anna, stockouts["A1"], "claim")
    anna.wait_for_selector(f"#mine #task-{stockouts['A1']}")
    ben.wait_for_selector(f"#task-{stockouts['A1']}[data-shown=theirs]")
    assert "Anna is on it" in card(ben, stockouts["A1"]).inner_text()
    assert card(ben, stockouts["A1"]).locator("button:visible").count() == 0
    act(anna, stockouts["A1"], "release")
    ben.wait_for_selector(f"#task-{stockouts['A1']}[data-shown=open]")


def test_two_claims_give_one_winner_and_the_other_sees_who(shop, people, stockouts):
    ben = people.open("Ben")
    people.expected = ("409", "ERR_FAILED")
    # Ben's page has not heard of Anna's claim when he taps: its notices and refreshes are held back
    ben.context.route("**/fragments/**", lambda route: route.abort())
    shop.command("A1", "claim", "Anna")
    act(ben, stockouts["A1"], "claim")
    ben.wait_for_selector(".toast.conflict")
    assert "Oat drink barista 1 l: Anna has already claimed it." in ben.locator("#toasts").inner_text()
    ben.context.unroute("**/fragments/**")
    shop.desk.notify("tasks")
    ben.wait_for_selector(f"#task-{stockouts['A1']}[data-now=theirs]")
    task = shop.task("A1")
    assert (task.state, task.claimed_by) == ("claimed", "Anna")


def test_a_new_task_appears_and_is_announced(shop, people, stockouts):
    page = people.open()
    shop.see("B1", "out")
    page.wait_for_selector(f"#task-{shop.task('B1').id}")
    wait_until(lambda: "New task: Chopped tomatoes" in page.locator("#announcer").inner_text())
    assert page.title().startswith("(4) Tasks")


def test_done_waits_for_the_camera_and_closes_when_it_sees_the_refill(shop, people, stockouts):
    page = people.open()
    act(page, stockouts["A1"], "claim")
    page.wait_for_selector(f"#mine #task-{stockouts['A1']}")
    act(page, stockouts["A1"], "complete")
    page.wait_for_selector(f"#waiting #task-{stockouts['A1']}")
    assert "waiting for the camera to see it" in card(page, stockouts["A1"]).inner_text()
    shop.see("A1", "in_stock")
    page.wait_for_selector(f"#closed #task-{stockouts['A1']}[data-state=confirmed]", state="attached")
    page.locator("#closed summary").click()
    assert "Refilled, the camera saw it" in card(page, stockouts["A1"]).inner_text()


def test_a_rejection_carries_its_reason(shop, people, stockouts):
    page = people.open()
    act(page, stockouts["A1"], "reject")
    page.get_by_label("The shelf is full").check()
    page.get_by_role("button", name="Reject the task").click()
    wait_until(lambda: shop.task("A1").state == "rejected")
    assert (shop.task("A1").closed_reason, shop.task("A1").claimed_by) == ("the shelf is full", "Anna")
    act(page, stockouts["A2"], "reject")
    page.get_by_label("Something else").check()
    page.get_by_label("What is it?").fill("the board is broken")
    page.keyboard.press("Enter")
    wait_until(lambda: shop.task("A2").closed_reason == "the board is broken")
    act(page, stockouts["A3"], "reject")
    page.keyboard.press("Escape")
    assert shop.task("A3").state == "open"


def test_a_claim_made_offline_is_sent_once(shop, people, stockouts):
    page = people.open()
    page.evaluate("navigator.serviceWorker.ready")
    go_offline(people, page)
    act(page, stockouts["A1"], "claim")
    page.wait_for_selector(f"#task-{stockouts['A1']}.waits[data-now=mine]")
    assert "Saved on this device" in card(page, stockouts["A1"]).inner_text()
    assert "One action waits to be sent" in page.locator("#connection-banner").inner_text()
    assert shop.task("A1").state == "open"
    page.context.set_offline(False)
    wait_until(lambda: shop.task("A1").state == "claimed", 20)
    page.wait_for_selector("#connection-banner", state="hidden")
    page.wait_for_selector(f"#mine #task-{stockouts['A1']}:not(.waits)")
    assert len(commands(shop)) == 1
    assert shop.task("A1").version == 2


def test_what_was_done_offline_survives_a_reload_and_syncs_in_order(shop, people, stockouts):
    """Claim and done without a network, reload without a network: the page opens, and both are sent later."""
    page = people.open()
    page.evaluate("navigator.serviceWorker.ready")
    wait_until(lambda: page.evaluate("caches.keys().then(k => k.some(n => n.startsWith('pages-')))"))
    page.reload()
    page.wait_for_selector("#link-state[data-state=live]")
    go_offline(people, page)
    act(page, stockouts["A1"], "claim")
    page.wait_for_selector(f"#task-{stockouts['A1']}[data-now=mine]")
    act(page, stockouts["A1"], "complete")
    page.wait_for_selector(f"#task-{stockouts['A1']}[data-now=done]")
    page.reload()
    page.wait_for_selector(f"#task-{stockouts['A1']}.waits[data-now=done]")
    page.wait_for_selector("#connection-banner:not([hidden])")
    page.context.set_offline(False)
    wait_until(lambda: shop.task("A1").state == "done", 20)
    page.wait_for_selector(f"#waiting #task-{stockouts['A1']}")
    assert [(row.task, row.conflict) for row in commands(shop)] == [(stockouts["A1"], None)] * 2


def test_an_answer_that_got_lost_is_asked_again_with_the_same_key(shop, people, stockouts):
    """The service carried the claim out, but the phone never heard: the repeat changes nothing."""
    people.expected = ("ERR_FAILED",)
    page = people.open()
    keys = []

    def lose_first_answer(route):
        keys.append(route.request.post_data_json["key"])
        if len(keys) == 1:
            route.fetch()
            route.abort()
        else:
            route.continue_()

    page.context.route("**/commands", lose_first_answer)
    act(page, stockouts["A1"], "claim")
    page.wait_for_selector(f"#mine #task-{stockouts['A1']}:not(.waits)", timeout=20_000)
    assert len(keys) >= 2
    assert len(set(keys)) == 1
    assert shop.task("A1").version == 2


def test_an_offline_claim_that_lost_says_so_and_takes_its_next_steps_along(shop, people, stockouts):
    page = people.open("Ben")
    go_offline(people, page)
    act(page, stockouts["A1"], "claim")
    page.wait_for_selector(f"#task-{stockouts['A1']}[data-now=mine]")
    act(page, stockouts["A1"], "complete")
    page.wait_for_selector(f"#task-{stockouts['A1']}[data-now=done]")
    shop.command("A1", "claim", "Anna")
    people.expected = (*people.expected, "409")
    page.context.set_offline(False)
    page.wait_for_selector(".toast.conflict", timeout=20_000)
    words = page.locator("#toasts").inner_text()
    assert "Anna has already claimed it. What you did with it after that was not sent." in words
    page.wait_for_selector(f"#task-{stockouts['A1']}[data-now=theirs]:not(.waits)")
    assert shop.task("A1").claimed_by == "Anna"


def test_a_changed_fact_does_not_stand_in_the_way_of_done(shop, people, stockouts):
    """The camera saw one unit more while the page was offline: the task has a new version, the work is done."""
    page = people.open()
    shop.see("B1", "in_stock")
    shop.see("B1", "low", fullness=0.3)
    task = shop.task("B1").id
    page.wait_for_selector(f"#task-{task}")
    act(page, task, "claim")
    page.wait_for_selector(f"#mine #task-{task}")
    go_offline(people, page)
    act(page, task, "complete")
    page.wait_for_selector(f"#task-{task}[data-now=done]")
    before = shop.task("B1").version
    shop.see("B1", "out")
    assert shop.task("B1").version > before
    people.expected = (*people.expected, "409")
    page.context.set_offline(False)
    wait_until(lambda: shop.task("B1").state == "done", 20)
    assert page.locator(".toast").count() == 0


def test_the_page_finds_back_after_the_service_was_away(shop, people, stockouts):
    people.expected = ("ERR_CONNECTION_REFUSED", "Failed to load resource", "ERR_INCOMPLETE_CHUNKED_ENCODING")
    page = people.open()
    port = shop.server.port
    shop.server.stop(3)
    page.wait_for_selector("#connection-banner:not([hidden])")
    assert page.locator("#link-state").inner_text() == "Offline"
    shop.see("B1", "out")
    shop.server = shop.serve(port=port, beat_seconds=1.0)
    page.wait_for_selector("#link-state[data-state=live]", timeout=40_000)
    page.wait_for_selector(f"#task-{shop.task('B1').id}")
    assert page.locator("#connection-banner").is_hidden()


def test_a_lost_broker_is_visible(shop, people, stockouts):
    page = people.open()
    shop.broker_fault = "connection refused"
    shop.desk.notify("status")
    page.wait_for_selector(".banner.warn")
    assert "message broker is not connected" in page.locator(".banner.warn").inner_text()
    shop.broker_fault = None
    shop.desk.notify("status")
    page.wait_for_selector(".banner.warn", state="detached")


def test_the_name_is_asked_once_with_the_first_claim_and_kept(shop, people, stockouts):
    page = people.open(None)
    assert not page.locator("#person-dialog").is_visible(), "reading needs no name"
    act(page, stockouts["A1"], "claim")
    page.wait_for_selector("#person-dialog[open]")
    page.get_by_label("Name", exact=True).fill("  Zoë  Ünal ")
    page.keyboard.press("Enter")
    wait_until(lambda: shop.task("A1").claimed_by == "Zoë Ünal")
    page.wait_for_selector(f"#mine #task-{stockouts['A1']}")
    page.reload()
    page.wait_for_selector(f"#mine #task-{stockouts['A1']}")
    assert not page.locator("#person-dialog").is_visible()
    assert page.locator("#person-button").inner_text() == "Zoë Ünal"


def test_a_task_is_claimed_and_done_with_the_keyboard_alone(shop, people, stockouts):
    page = people.open()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    focused = "document.activeElement.dataset.do + ' ' + document.activeElement.closest('.task')?.dataset.task"
    top = (
        shop.task("A1").id if page.locator("#todo .task").first.get_attribute("data-task") == stockouts["A1"] else None
    )
    task = top or page.locator("#todo .task").first.get_attribute("data-task")
    assert page.evaluate(focused) == f"claim {task}"
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineWidth")
    assert outline == "3px"
    page.keyboard.press("Enter")
    page.wait_for_selector(f"#mine #task-{task}")
    # the card moved to another section; the focus went along, to the next thing to do
    wait_until(lambda: page.evaluate(focused) == f"complete {task}")
    page.keyboard.press("Enter")
    page.wait_for_selector(f"#waiting #task-{task}")
    wait_until(lambda: page.evaluate("document.activeElement.closest('.task')?.dataset.task") == task)


def test_focus_and_scroll_stay_when_the_list_changes_around_them(shop, people, stockouts):
    page = people.open()
    button = card(page, stockouts["A3"]).locator("button[data-do=claim]")
    button.focus()
    node = button.element_handle()
    for slot in ("B1", "B2", "B3"):
        shop.see(slot, "out", ago=9000)
    page.wait_for_selector(f"#task-{shop.task('B3').id}")
    assert node.evaluate("node => node === document.activeElement")
    shop.see("A1", "in_stock")
    page.wait_for_selector(f"#todo #task-{stockouts['A1']}", state="detached")
    assert node.evaluate("node => node === document.activeElement")
