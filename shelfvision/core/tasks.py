"""The life of a restock task: pure transitions, versions that rise by one, one winner of two claims.

open -> claimed -> done -> confirmed        the camera sees the slot refilled, from open, claimed or done
                -> rejected (reason)        from open or claimed: there is nothing to do
open -> expired                             nobody took it in time
claimed -> open, done -> open               the claim ran out; no refill was seen after "done"
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from shelfvision.core.events import to_utc
from shelfvision.core.messages import SlotCondition, TaskCommand, TaskDocument, TaskState
from shelfvision.errors import TaskConflictError

FINAL_STATES = frozenset({TaskState.CONFIRMED, TaskState.REJECTED, TaskState.EXPIRED})


@dataclass(frozen=True, slots=True)
class TaskTimes:
    """How long a task may stay in a state, in seconds."""

    claim: float = 1800
    confirm: float = 600
    expire: float = 86_400


@dataclass(frozen=True, slots=True)
class Task:
    """One restock task as the service knows it. Times are POSIX seconds.

    ``version`` rises by one with every change of what a reader acts on: state, claim, condition, units,
    SKU, workability and note. Rank, value and reasons drift with time and do not touch it.
    """

    id: str
    device: str
    slot: str
    sku: str
    name: str
    units: int
    condition: SlotCondition
    created_at: float
    updated_at: float
    opened_at: float  # when it last became open
    version: int = 1
    state: TaskState = TaskState.OPEN
    onset_at: float | None = None
    claimed_by: str | None = None
    claimed_at: float | None = None
    done_at: float | None = None
    note: str | None = None  # what a reader should know first, such as why it is open again
    closed_reason: str | None = None
    slot_changes: int = 0
    slot_refills: int = 0
    rank: int | None = None
    value: float = 0.0
    reasons: tuple[str, ...] = ()
    workable: bool = True

    @property
    def final(self) -> bool:
        """Whether nothing can change it any more."""
        return self.state in FINAL_STATES

    def document(self, store: str) -> TaskDocument:
        """The task as it is published."""
        return TaskDocument(
            id=self.id,
            version=self.version,
            state=self.state,
            store=store,
            device=self.device,
            slot=self.slot,
            sku=self.sku,
            name=self.name,
            units=self.units,
            rank=self.rank if self.state is TaskState.OPEN and self.workable else None,
            value=self.value,
            reasons=[*([self.note] if self.note else []), *self.reasons],
            workable=self.workable,
            condition=self.condition,
            onset_at=None if self.onset_at is None else to_utc(self.onset_at),
            created_at=to_utc(self.created_at),
            updated_at=to_utc(self.updated_at),
            claimed_by=self.claimed_by,
            closed_reason=self.closed_reason,
        )


def _changed(task: Task, now: float, **changes: object) -> Task:
    return replace(task, version=task.version + 1, updated_at=max(now, task.updated_at), **changes)  # type: ignore[arg-type]


def apply_command(task: Task, command: TaskCommand, now: float, *, manager: bool = False) -> Task:
    """The task after a person's command.

    Args:
        task: as it stands.
        command: what the person wants.
        now: POSIX seconds.
        manager: the person may also release, complete or reject what another one has claimed.

    Raises:
        TaskConflictError: the command was made for another version, or does not fit the task's state or claimer.
    """
    if task.final:
        raise TaskConflictError(f"task {task.id} is closed ({task.state.value}); nothing to {command.action}")
    holder = task.claimed_by
    theirs = manager or holder == command.actor
    if command.version != task.version:
        who = f", {task.state.value} by {holder}" if holder else f", {task.state.value}"
        raise TaskConflictError(
            f"task {task.id} is at version {task.version}{who}; the {command.action} was for version {command.version}"
        )
    if command.action == "claim":
        if task.state is not TaskState.OPEN:
            raise TaskConflictError(f"task {task.id} is {task.state.value} by {holder}; it cannot be claimed")
        return _changed(task, now, state=TaskState.CLAIMED, claimed_by=command.actor, claimed_at=now, note=None)
    if command.action == "reject":
        if task.state is TaskState.DONE or (task.state is TaskState.CLAIMED and not theirs):
            raise TaskConflictError(f"task {task.id} is {task.state.value} by {holder}; only they can reject it")
        reason = (command.reason or "").strip() or "no reason given"
        return _changed(task, now, state=TaskState.REJECTED, closed_reason=reason, claimed_by=command.actor, rank=None)
    if task.state is not TaskState.CLAIMED:
        raise TaskConflictError(f"task {task.id} is {task.state.value}; claim it before you {command.action} it")
    if not theirs:
        raise TaskConflictError(f"task {task.id} is claimed by {holder}; only they can {command.action} it")
    if command.action == "release":
        return _changed(task, now, state=TaskState.OPEN, claimed_by=None, claimed_at=None, opened_at=now)
    return _changed(task, now, state=TaskState.DONE, done_at=now)


def confirm(task: Task, now: float) -> Task:
    """The camera saw the slot refilled."""
    if task.final:
        return task
    reason = "the camera sees the slot refilled"
    return _changed(task, now, state=TaskState.CONFIRMED, closed_reason=reason, note=None, rank=None)


def withdraw(task: Task, now: float, reason: str) -> Task:
    """The task has lost its ground, such as a slot taken out of the planogram."""
    if task.final:
        return task
    return _changed(task, now, state=TaskState.EXPIRED, closed_reason=reason, rank=None)


def update_facts(
    task: Task,
    now: float,
    *,
    condition: SlotCondition,
    units: int,
    workable: bool,
    onset_at: float | None,
    slot_changes: int,
) -> Task:
    """Take over what the camera and catalogue say now; unchanged facts leave the version alone."""
    if task.final or condition is SlotCondition.UNKNOWN:
        return task
    after = replace(
        task, condition=condition, units=units, workable=workable, onset_at=onset_at, slot_changes=slot_changes
    )
    facts = (after.condition, after.units, after.workable, after.onset_at)
    if facts == (task.condition, task.units, task.workable, task.onset_at):
        return after
    return _changed(after, now)


def apply_time(task: Task, now: float, times: TaskTimes, *, in_view: bool) -> Task:
    """What the passing of time does.

    Args:
        task: as it stands.
        now: POSIX seconds.
        times: limits of the states.
        in_view: whether the camera can judge the slot now; a task reported done is not reopened while it cannot.
    """
    if task.state is TaskState.CLAIMED and task.claimed_at is not None and now - task.claimed_at >= times.claim:
        note = f"open again: {task.claimed_by} claimed it and did not finish within {_minutes(times.claim)}"
        return _changed(
            task, now, state=TaskState.OPEN, claimed_by=None, claimed_at=None, opened_at=now, note=note[:300]
        )
    if task.state is TaskState.DONE and task.done_at is not None:
        waited = now - task.done_at
        if waited >= times.expire:
            reason = f"reported done by {task.claimed_by}; the camera could not confirm it"
            return _changed(task, now, state=TaskState.EXPIRED, closed_reason=reason[:200], rank=None)
        if waited >= times.confirm and in_view:
            note = f"open again: {task.claimed_by} reported it done, but the camera saw no refill within "
            note += _minutes(times.confirm)
            return _changed(
                task,
                now,
                state=TaskState.OPEN,
                claimed_by=None,
                claimed_at=None,
                done_at=None,
                opened_at=now,
                note=note[:300],
            )
    if task.state is TaskState.OPEN and now - task.opened_at >= times.expire:
        reason = f"nobody took it within {_hours(times.expire)}"
        return _changed(task, now, state=TaskState.EXPIRED, closed_reason=reason, rank=None)
    return task


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 60 else f"{seconds:.0f} s"


def _hours(seconds: float) -> str:
    return f"{seconds / 3600:.0f} h" if seconds >= 3600 else _minutes(seconds)
