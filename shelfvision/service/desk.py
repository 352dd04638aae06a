"""Where staff commands are decided, whether they come from the web page or over MQTT, and who hears of changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import structlog
from sqlalchemy import Connection, Row

from shelfvision.core.messages import TaskCommand, TaskDocument, TaskState
from shelfvision.core.tasks import Task, apply_command
from shelfvision.errors import TaskConflictError
from shelfvision.service.changes import ChangeFeed, Changes
from shelfvision.service.store import Store
from shelfvision.service.task_rows import (
    content_of,
    find_command,
    load_task,
    mark_false_alarm,
    remember_command,
    replace_task,
)

_log = structlog.get_logger(__name__)


class Desk:
    """Takes task commands, one at a time, and tells who listens what changed. Thread-safe.

    Args:
        store: the database.
        store_id: the store's id, as task documents carry it.
    """

    def __init__(self, store: Store, store_id: str) -> None:
        self.store = store
        self.store_id = store_id
        self._feed = ChangeFeed()
        self._listeners: list[Callable[[Task], None]] = []

    def on_task(self, listener: Callable[[Task], None]) -> None:
        """Call ``listener`` with every task that a command changed."""
        self._listeners.append(listener)

    def command(self, task_id: str, command: TaskCommand, now: float, *, manager: bool = False) -> TaskDocument:
        """Carry a command out, once: a repeat with the same key gives the first result and changes nothing.

        Args:
            task_id: which task.
            command: what a person wants.
            now: POSIX seconds.
            manager: the actor may also release, complete or reject what another person has claimed.

        Raises:
            TaskConflictError: it lost against another command, does not fit the task's state, names no task, or its
                key was used for something else. The message says how the task stands.
            StoreError: the database failed; nothing changed.
        """
        with self.store.database.write() as connection:
            known = find_command(connection, command.key)
            if known is None:
                outcome = self._decide(connection, task_id, command, now, manager=manager)
        if known is not None:
            return _repeat(known, task_id, command)
        if isinstance(outcome, TaskConflictError):
            _log.info("command_lost", task=task_id, action=command.action, actor=command.actor, why=str(outcome))
            raise outcome
        _log.info("command", task=task_id, action=command.action, actor=command.actor, state=outcome.state.value)
        for listener in self._listeners:
            listener(outcome)
        self.notify("tasks")
        return outcome.document(self.store_id)

    def subscribe(self, wake: Callable[[], None] | None = None) -> Changes:
        """A feed of change notices: "tasks", "shelf", "ranking", "status".

        Args:
            wake: called (from any thread, must not block) when there is something to take; for event loops.
        """
        return self._feed.subscribe(wake)

    def notify(self, *kinds: str) -> None:
        """Tell every subscriber that something of these kinds changed."""
        self._feed.notify(*kinds)

    def _decide(
        self, connection: Connection, task_id: str, command: TaskCommand, now: float, *, manager: bool
    ) -> Task | TaskConflictError:
        """The changed task, or why the command lost; either is remembered under the command's key."""
        task = load_task(connection, task_id)
        if task is None:
            return TaskConflictError(f"task {task_id} does not exist; it may be closed long ago")
        outcome: Task | TaskConflictError
        try:
            outcome = apply_command(task, command, now, manager=manager)
        except TaskConflictError as error:
            outcome = error
        if isinstance(outcome, Task) and not replace_task(connection, task, outcome):
            outcome = TaskConflictError(f"task {task_id} was changed by somebody else just now; look again")
        if isinstance(outcome, Task):
            if outcome.state is TaskState.REJECTED:
                mark_false_alarm(connection, outcome)
            result = outcome.document(self.store_id).to_json()
            remember_command(connection, task_id, command, now, result=result, conflict=None)
        else:
            remember_command(connection, task_id, command, now, result=None, conflict=str(outcome))
        return outcome


def _repeat(known: Row[Any], task_id: str, command: TaskCommand) -> TaskDocument:
    if known.content != content_of(task_id, command):
        raise TaskConflictError(f"key {command.key!r} was used for another command; make a new key")
    if known.conflict is not None:
        raise TaskConflictError(known.conflict)
    return TaskDocument.model_validate_json(known.result)
