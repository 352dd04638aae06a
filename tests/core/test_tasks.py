"""A task's life: versions, winners, time-outs, final states."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shelfvision.core.messages import SlotCondition, TaskCommand, TaskState
from shelfvision.core.tasks import Task, TaskTimes, apply_command, apply_time, confirm, update_facts, withdraw
from shelfvision.errors import TaskConflictError

TIMES = TaskTimes(claim=1800, confirm=600, expire=86_400)


def open_task(**changes):
    facts = {"units": 4, "condition": SlotCondition.OUT, "created_at": 0.0, "updated_at": 0.0, "opened_at": 0.0}
    return Task(**{"id": "t1", "device": "edge-1", "slot": "left", "sku": "COLA", "name": "Cola", **facts, **changes})


def command(action, version, actor="ana", reason=None):
    return TaskCommand(action=action, version=version, actor=actor, key="key-12345", reason=reason)


def test_a_task_goes_from_open_over_claimed_and_done_to_confirmed():
    claimed = apply_command(open_task(), command("claim", 1), 10)
    assert (claimed.state, claimed.version, claimed.claimed_by) == (TaskState.CLAIMED, 2, "ana")
    done = apply_command(claimed, command("complete", 2), 20)
    assert (done.state, done.version, done.done_at) == (TaskState.DONE, 3, 20)
    closed = confirm(done, 30)
    assert (closed.state, closed.version) == (TaskState.CONFIRMED, 4)
    assert "camera" in closed.closed_reason


@pytest.mark.parametrize("state", [TaskState.OPEN, TaskState.CLAIMED, TaskState.DONE])
def test_the_camera_confirms_from_every_state_that_is_not_final(state):
    assert confirm(open_task(state=state), 5).state is TaskState.CONFIRMED


def test_of_two_claims_for_the_same_version_one_wins():
    first = apply_command(open_task(), command("claim", 1, "ana"), 10)
    with pytest.raises(TaskConflictError, match="version 2, claimed by ana"):
        apply_command(first, command("claim", 1, "ben"), 11)
    with pytest.raises(TaskConflictError, match="cannot be claimed"):
        apply_command(first, command("claim", 2, "ben"), 11)


@pytest.mark.parametrize("action", ["release", "complete", "reject"])
def test_only_the_claimer_or_a_manager_acts_on_a_claimed_task(action):
    claimed = apply_command(open_task(), command("claim", 1, "ana"), 10)
    with pytest.raises(TaskConflictError, match="ana"):
        apply_command(claimed, command(action, 2, "ben"), 11)
    assert apply_command(claimed, command(action, 2, "ben"), 11, manager=True).version == 3


@pytest.mark.parametrize("action", ["release", "complete"])
def test_an_open_task_must_be_claimed_first(action):
    with pytest.raises(TaskConflictError, match="claim it before"):
        apply_command(open_task(), command(action, 1), 10)


def test_a_rejection_keeps_its_reason_and_is_final():
    rejected = apply_command(open_task(), command("reject", 1, reason="the shelf is full"), 10)
    assert (rejected.state, rejected.closed_reason) == (TaskState.REJECTED, "the shelf is full")
    assert confirm(rejected, 20) is rejected
    with pytest.raises(TaskConflictError, match="closed"):
        apply_command(rejected, command("claim", 2), 20)


def test_a_claim_that_runs_out_opens_the_task_again_and_says_why():
    claimed = apply_command(open_task(), command("claim", 1), 100)
    assert apply_time(claimed, 100 + 1799, TIMES, in_view=True) is claimed
    opened = apply_time(claimed, 100 + 1800, TIMES, in_view=True)
    assert (opened.state, opened.claimed_by, opened.version) == (TaskState.OPEN, None, 3)
    assert "ana" in opened.document("demo").reasons[0]


def test_done_without_a_refill_in_view_opens_again_but_not_while_the_camera_is_blind():
    done = apply_command(apply_command(open_task(), command("claim", 1), 0), command("complete", 2), 0)
    assert apply_time(done, 599, TIMES, in_view=True) is done
    assert apply_time(done, 5000, TIMES, in_view=False) is done
    opened = apply_time(done, 600, TIMES, in_view=True)
    assert (opened.state, opened.done_at) == (TaskState.OPEN, None)
    assert "no refill" in opened.note
    assert apply_time(done, 86_400, TIMES, in_view=False).state is TaskState.EXPIRED


def test_an_open_task_that_nobody_takes_expires_counted_from_when_it_was_last_open():
    assert apply_time(open_task(), 86_400, TIMES, in_view=True).state is TaskState.EXPIRED
    assert apply_time(open_task(opened_at=10), 86_400, TIMES, in_view=True).state is TaskState.OPEN


def test_unknown_changes_nothing_and_equal_facts_leave_the_version():
    task = open_task()
    facts = {"units": 4, "workable": True, "onset_at": None, "slot_changes": 0}
    assert update_facts(task, 5, condition=SlotCondition.UNKNOWN, **{**facts, "units": 9}) is task
    assert update_facts(task, 5, condition=SlotCondition.OUT, **facts).version == 1
    assert update_facts(task, 5, condition=SlotCondition.LOW, **facts).version == 2


def test_a_document_shows_a_rank_only_while_the_task_waits_and_can_be_done():
    assert open_task(rank=2).document("demo").rank == 2
    assert open_task(rank=2, workable=False).document("demo").rank is None
    assert open_task(rank=2, state=TaskState.CLAIMED, claimed_by="ana").document("demo").rank is None


ACTIONS = get_args(TaskCommand.model_fields["action"].annotation)
steps = st.one_of(
    st.tuples(st.just("command"), st.sampled_from(ACTIONS), st.integers(-1, 1), st.sampled_from(["ana", "ben"])),
    st.tuples(st.just("wait"), st.sampled_from([1.0, 700.0, 2000.0, 90_000.0]), st.booleans(), st.none()),
    st.tuples(st.just("fact"), st.sampled_from(list(SlotCondition)), st.integers(0, 9), st.none()),
    st.tuples(st.sampled_from(["confirm", "withdraw"]), st.none(), st.none(), st.none()),
)
PATHS = {
    TaskState.OPEN: {TaskState.CLAIMED, TaskState.CONFIRMED, TaskState.REJECTED, TaskState.EXPIRED},
    TaskState.CLAIMED: {TaskState.OPEN, TaskState.DONE, TaskState.CONFIRMED, TaskState.REJECTED, TaskState.EXPIRED},
    TaskState.DONE: {TaskState.OPEN, TaskState.CONFIRMED, TaskState.EXPIRED},
}


@given(st.lists(steps, max_size=30))
def test_whatever_happens_versions_rise_by_one_and_final_states_stay(story):
    task, now = open_task(), 0.0
    for kind, first, second, third in story:
        before = task
        if kind == "command":
            try:
                task = apply_command(task, command(first, max(task.version + second, 1), third), now)
            except TaskConflictError:
                assert task is before
            else:
                assert second == 0 or before.version + second < 1
        elif kind == "wait":
            now += first
            task = apply_time(task, now, TIMES, in_view=second)
        elif kind == "fact":
            task = update_facts(
                task, now, condition=first, units=second, workable=second > 0, onset_at=None, slot_changes=second
            )
        else:
            task = confirm(task, now) if kind == "confirm" else withdraw(task, now, "gone")
        if before.final:
            assert task is before
        if task.state is not before.state:
            assert task.state in PATHS[before.state]
            assert task.version == before.version + 1
        assert task.version - before.version in {0, 1}
        assert task.updated_at >= before.updated_at
        assert (task.claimed_by is not None) or task.state not in {TaskState.CLAIMED, TaskState.DONE}
        task.document("demo")
