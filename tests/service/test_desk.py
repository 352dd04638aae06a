"""Commands: one winner, repeats that change nothing, false alarms, change notices."""

from __future__ import annotations

import threading

import pytest

from shelfvision.core.events import EventKind
from shelfvision.core.messages import TaskCommand, TaskState
from shelfvision.errors import TaskConflictError
from shelfvision.service import queries
from shelfvision.service.desk import Desk
from shelfvision.service.planner import Planner
from shelfvision.service.schema import slots, stockouts
from tests.service.builders import Board, Sender, build_site

NOW = 1_700_000_000.0


def command(action, version=1, actor="ana", key="key-00000001", reason=None):
    return TaskCommand(action=action, version=version, actor=actor, key=key, reason=reason)


@pytest.fixture
def desk(store):
    return Desk(store, "demo")


@pytest.fixture
def task_id(store, desk):
    site = build_site()
    store.adopt_site(site)
    store.apply([Sender().send(EventKind.STOCKOUT, "left", at=NOW)])
    Planner(site, store, desk, Board()).plan(NOW)
    (task,) = queries.tasks(store, NOW)
    return task.id


def test_a_claim_is_stored_and_told(store, desk, task_id):
    told = []
    desk.on_task(told.append)
    with desk.subscribe() as changes:
        document = desk.command(task_id, command("claim"), NOW + 5)
        assert changes.take(1) == ("tasks",)
    assert (document.state, document.version, document.claimed_by) == (TaskState.CLAIMED, 2, "ana")
    assert queries.task(store, task_id) == document
    assert [task.version for task in told] == [2]


def test_a_repeat_with_the_same_key_gives_the_same_and_changes_nothing(store, desk, task_id):
    first = desk.command(task_id, command("claim"), NOW + 5)
    assert desk.command(task_id, command("claim"), NOW + 500) == first
    desk.command(task_id, command("release", 2, key="key-00000002"), NOW + 600)
    assert desk.command(task_id, command("claim"), NOW + 700) == first
    assert queries.task(store, task_id).version == 3


def test_a_repeat_of_a_command_that_lost_loses_again(store, desk, task_id):
    desk.command(task_id, command("claim"), NOW)
    lost = command("claim", 1, "ben", "key-00000002")
    for _ in range(2):
        with pytest.raises(TaskConflictError, match="claimed by ana"):
            desk.command(task_id, lost, NOW)
    assert queries.task(store, task_id).claimed_by == "ana"


def test_a_key_used_for_something_else_is_a_conflict(store, desk, task_id):
    desk.command(task_id, command("claim"), NOW)
    with pytest.raises(TaskConflictError, match="make a new key"):
        desk.command(task_id, command("complete", 2), NOW)
    assert queries.task(store, task_id).state is TaskState.CLAIMED


def test_commands_survive_a_restart_of_the_service(store, desk, task_id):
    first = desk.command(task_id, command("claim"), NOW)
    assert Desk(store, "demo").command(task_id, command("claim"), NOW + 9) == first


def test_an_unknown_task_is_a_conflict_that_may_be_tried_again(desk):
    for _ in range(2):
        with pytest.raises(TaskConflictError, match="does not exist"):
            desk.command("nope", command("claim"), NOW)


def test_of_many_claims_at_once_one_wins(store, desk, task_id):
    start = threading.Barrier(8)
    won, lost = [], []

    def claim(name):
        start.wait()
        try:
            won.append(desk.command(task_id, command("claim", 1, name, f"key-of-{name}"), NOW))
        except TaskConflictError:
            lost.append(name)

    threads = [threading.Thread(target=claim, args=(f"worker{i}",)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert len(lost) == 7
    assert queries.task(store, task_id).claimed_by == won[0].claimed_by


def test_of_two_services_on_one_database_one_wins(store_url, store, task_id):
    from shelfvision.service.store import open_store

    other = open_store(store_url, "demo")
    Desk(other, "demo").command(task_id, command("claim", 1, "ben", "key-of-ben"), NOW)
    with pytest.raises(TaskConflictError, match="ben"):
        Desk(store, "demo").command(task_id, command("claim", 1, "ana", "key-of-ana"), NOW)
    other.close()


def test_a_rejection_marks_the_stockout_as_a_false_alarm(store, desk, task_id):
    desk.command(task_id, command("reject", reason="the shelf is full"), NOW + 60)
    with store.database.read() as connection:
        stockout = connection.execute(stockouts.select()).one()
        slot = connection.execute(slots.select().where(slots.c.slot == "left")).one()
    assert (stockout.false_alarm, stockout.note) == (True, "the shelf is full")
    assert slot.muted_change == slot.changes


def test_a_slow_subscriber_finds_each_kind_once(desk):
    woken = []
    with desk.subscribe(wake=lambda: woken.append(1)) as changes:
        for _ in range(100):
            desk.notify("tasks")
        desk.notify("shelf", "tasks")
        assert changes.take(0) == ("tasks", "shelf")
        assert changes.take(0) == ()
        assert woken
    desk.notify("tasks")
    assert changes.take(0) == ()
