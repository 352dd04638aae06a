"""Restock tasks as rows: compare-and-set on the version, and commands that are remembered by their key."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, Row, bindparam, delete, insert, select, update

from shelfvision.core.messages import SlotCondition, TaskCommand, TaskState
from shelfvision.core.tasks import FINAL_STATES, Task
from shelfvision.service.schema import slots, stockouts, task_commands, tasks
from shelfvision.service.task_review import Change

_FINAL = [state.value for state in FINAL_STATES]


def load_task(connection: Connection, task_id: str) -> Task | None:
    """The task with this id."""
    row = connection.execute(select(tasks).where(tasks.c.id == task_id)).one_or_none()
    return None if row is None else to_task(row)


def live_tasks(connection: Connection) -> list[Task]:
    """Every task that is not closed."""
    return [to_task(row) for row in connection.execute(select(tasks).where(tasks.c.place.is_not(None)))]


def worked_places(connection: Connection) -> frozenset[tuple[str, str]]:
    """The (device, slot) at which somebody is refilling, or has just done so."""
    working = (TaskState.CLAIMED.value, TaskState.DONE.value)
    query = select(tasks.c.device, tasks.c.slot).where(tasks.c.state.in_(working))
    return frozenset((row.device, row.slot) for row in connection.execute(query))


def closed_tasks(connection: Connection, limit: int, since: float = 0.0) -> list[Task]:
    """Closed tasks, newest first."""
    query = select(tasks).where(tasks.c.state.in_(_FINAL), tasks.c.updated_at >= since)
    return [to_task(row) for row in connection.execute(query.order_by(tasks.c.updated_at.desc()).limit(limit))]


def save_changes(connection: Connection, changes: Sequence[Change]) -> tuple[list[Task], list[Task]]:
    """Store what a review changed.

    Returns:
        Tasks that are new or at a new version, and those that only drifted. A task that somebody else changed
        meanwhile is left as it is and in neither.
    """
    changed: list[Task] = []
    drifted: list[Task] = []
    for change in changes:
        if change.before is None:
            continue
        if change.before.version == change.after.version:
            drifted.append(change.after)
        elif replace_task(connection, change.before, change.after):
            changed.append(change.after)
    # after the closed ones have left their places: a slot has at most one task that is not closed
    new = [change.after for change in changes if change.before is None]
    if new:
        connection.execute(insert(tasks), [_row(task) for task in new])
    if drifted:
        where = (tasks.c.id == bindparam("key_id"), tasks.c.version == bindparam("key_version"))
        connection.execute(update(tasks).where(*where), [_drift(task) for task in drifted])
    return [*changed, *new], drifted


def replace_task(connection: Connection, before: Task, after: Task) -> bool:
    """Store a changed task if its row is still at ``before.version``; whether it was."""
    changed = connection.execute(
        update(tasks).where(tasks.c.id == before.id, tasks.c.version == before.version).values(**_row(after))
    )
    return changed.rowcount == 1


def delete_old(connection: Connection, before: float) -> None:
    """Forget commands, and closed tasks, from before a time."""
    connection.execute(delete(task_commands).where(task_commands.c.at < before))
    connection.execute(delete(tasks).where(tasks.c.place.is_(None), tasks.c.updated_at < before))


def mark_false_alarm(connection: Connection, task: Task) -> None:
    """Note at the stockout behind a rejected task that there was none; the slot is left alone until it changes."""
    place = (slots.c.device == task.device, slots.c.slot == task.slot)
    connection.execute(update(slots).where(*place).values(muted_change=task.slot_changes))
    connection.execute(
        update(stockouts)
        .where(
            stockouts.c.device == task.device,
            stockouts.c.slot == task.slot,
            stockouts.c.change == task.slot_changes,
        )
        .values(false_alarm=True, note=task.closed_reason)
    )


def find_command(connection: Connection, key: str) -> Row[Any] | None:
    """The remembered command with this key."""
    return connection.execute(select(task_commands).where(task_commands.c.key == key)).one_or_none()


def remember_command(
    connection: Connection,
    task_id: str,
    command: TaskCommand,
    now: float,
    *,
    result: str | None,
    conflict: str | None,
) -> None:
    """Keep what a command came to, for its repeats."""
    row = {"key": command.key, "task": task_id, "content": content_of(task_id, command), "at": now}
    row |= {"result": result, "conflict": None if conflict is None else conflict[:500]}
    connection.execute(insert(task_commands), [row])


def content_of(task_id: str, command: TaskCommand) -> str:
    """What makes two commands the same."""
    return json.dumps({"task": task_id, **command.model_dump(exclude={"key"})}, sort_keys=True)


def to_task(row: Row[Any]) -> Task:
    """The task in a row."""
    values = dict(row._mapping)  # noqa: SLF001 - the public name of a row as a mapping
    values.pop("place")
    values["state"] = TaskState(values["state"])
    values["condition"] = SlotCondition(values["condition"])
    values["reasons"] = tuple(json.loads(values["reasons"]))
    return Task(**values)


def _drift(task: Task) -> dict[str, Any]:
    row = {"key_id": task.id, "key_version": task.version, "rank": task.rank, "value": task.value}
    return {**row, "reasons": json.dumps(task.reasons, ensure_ascii=False), "slot_changes": task.slot_changes}


def _row(task: Task) -> dict[str, Any]:
    names: Iterable[str] = (column.name for column in tasks.columns if column.name != "place")
    row = {name: getattr(task, name) for name in names}
    row["state"] = task.state.value
    row["condition"] = task.condition.value
    row["reasons"] = json.dumps(task.reasons, ensure_ascii=False)
    row["place"] = None if task.final else f"{task.device}/{task.slot}"
    return row
