"""Which tasks a look at the slots changes, closes and makes. Pure: rows in, rows out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from shelfvision.core.messages import TaskState
from shelfvision.core.ranking import Ranked
from shelfvision.core.tasks import Task, TaskTimes, apply_time, confirm, update_facts, withdraw
from shelfvision.service.plan_rows import PlannedSlot
from shelfvision.transport.ids import event_id

Place = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Change:
    """A task before (None: new) and after a review; they differ."""

    before: Task | None
    after: Task


def review(
    tasks: Iterable[Task],
    slots: Mapping[Place, PlannedSlot],
    ranked: Sequence[Ranked],
    times: TaskTimes,
    now: float,
) -> list[Change]:
    """Changes that bring the tasks in line with the slots, closing ones first.

    Args:
        tasks: every task that is not closed, at most one a slot.
        slots: every slot that may have a task, by place.
        ranked: the same slots in their order.
        times: limits of the task states.
        now: POSIX seconds.
    """
    closed: list[Change] = []
    current: dict[Place, Change] = {}
    for task in tasks:
        place = (task.device, task.slot)
        after = _judge(task, slots.get(place), times, now)
        if after.final:
            closed.append(Change(task, after))
        else:
            current[place] = Change(task, after)
    changes = []
    place_in_line = 0
    for line in ranked:
        slot = slots[line.candidate.device, line.candidate.slot]
        change = current.get(slot.place)
        if change is None:
            if not line.candidate.needs_refill or slot.muted:
                continue
            change = Change(None, _new_task(slot, now))
        waiting = change.after.state is TaskState.OPEN and change.after.workable
        place_in_line += waiting
        after = replace(change.after, rank=place_in_line if waiting else None, value=line.value, reasons=line.reasons)
        if after != change.before:
            changes.append(Change(change.before, after))
    return [*closed, *changes]


def _judge(task: Task, slot: PlannedSlot | None, times: TaskTimes, now: float) -> Task:
    """A task in the light of its slot and the time."""
    if slot is None:
        return withdraw(task, now, "the slot is no longer in the site file")
    candidate = slot.candidate
    if candidate.sku != task.sku:
        return withdraw(task, now, f"the slot is now planned for {candidate.sku}")
    if slot.refills > task.slot_refills:
        return confirm(task, now)
    if candidate.needs_refill:
        task = update_facts(
            task,
            now,
            condition=candidate.condition,
            units=candidate.units_to_bring,
            workable=candidate.workable,
            onset_at=candidate.since,
            slot_changes=slot.changes,
        )
    return apply_time(task, now, times, in_view=slot.in_view)


def _new_task(slot: PlannedSlot, now: float) -> Task:
    candidate = slot.candidate
    return Task(
        id=event_id(now, candidate.device, candidate.slot, str(slot.changes)),
        device=candidate.device,
        slot=candidate.slot,
        sku=candidate.sku,
        name=candidate.name,
        units=candidate.units_to_bring,
        condition=candidate.condition,
        created_at=now,
        updated_at=now,
        opened_at=now,
        onset_at=candidate.since,
        slot_changes=slot.changes,
        slot_refills=slot.refills,
        workable=candidate.workable,
    )
