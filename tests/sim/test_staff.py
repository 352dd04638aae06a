from datetime import UTC, datetime

from shelfvision.core.messages import SlotCondition, TaskDocument, TaskState
from shelfvision.sim.staff import Bring, Claim, Complete, SimulatedStaff

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def task(
    name: str, state: TaskState = TaskState.OPEN, *, version: int = 1, rank: int | None = 1, by: str | None = None
):
    return TaskDocument(
        id=name,
        version=version,
        state=state,
        store="s",
        device="d",
        slot=f"slot-{name}",
        sku="A",
        name="A",
        units=1,
        rank=rank,
        value=1.0,
        reasons=[],
        condition=SlotCondition.OUT,
        created_at=NOON,
        updated_at=NOON,
        claimed_by=by,
    )


def test_the_best_ranked_task_is_claimed_after_patience_and_only_one_at_a_time():
    staff = SimulatedStaff("Robin", patience=2, walk=3)
    tasks = [task("b", rank=2), task("a", rank=1)]
    assert staff.decide(tasks, 0.0) == []
    assert staff.decide(tasks, 2.0) == [Claim(tasks[1])]
    claimed = task("a", TaskState.CLAIMED, version=2, by="Robin")
    assert staff.decide([tasks[0], claimed], 2.5) == []


def test_a_claimed_task_is_completed_after_the_walk_and_goods_are_brought_once():
    staff = SimulatedStaff("Robin", patience=0, walk=3)
    claimed = task("a", TaskState.CLAIMED, version=2, by="Robin")
    assert staff.decide([claimed], 10.0) == []
    assert staff.decide([claimed], 13.0) == [Complete(claimed)]
    done = task("a", TaskState.DONE, version=3, by="Robin")
    assert staff.decide([done], 13.5) == [Bring(done)]
    assert staff.decide([done], 14.0) == []


def test_tasks_of_others_are_left_alone_but_their_goods_are_brought():
    staff = SimulatedStaff("Robin", patience=0, walk=1)
    theirs = task("a", TaskState.CLAIMED, version=2, by="Anna")
    assert staff.decide([theirs], 100.0) == []
    assert staff.decide([task("a", TaskState.DONE, version=3, by="Anna")], 101.0) == [
        Bring(task("a", TaskState.DONE, version=3, by="Anna"))
    ]


def test_a_task_without_goods_in_the_backroom_is_not_claimed():
    staff = SimulatedStaff("Robin", patience=0, walk=0)
    assert staff.decide([task("a", rank=None).model_copy(update={"workable": False})], 5.0) == []
