"""A simulated member of staff: takes restock tasks, brings the goods, says so. Pure: time is an argument."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from shelfvision.core.messages import TaskDocument, TaskState


@dataclass(frozen=True, slots=True)
class Claim:
    """Take this task."""

    task: TaskDocument


@dataclass(frozen=True, slots=True)
class Complete:
    """Say that this task is done."""

    task: TaskDocument


@dataclass(frozen=True, slots=True)
class Bring:
    """Put the goods of this task on the shelf."""

    task: TaskDocument


Action = Claim | Complete | Bring


class SimulatedStaff:
    """One pair of hands, one task at a time, the best-ranked first.

    Goods are brought for every task that is reported done, also when a person did so on the page: the shelf is
    simulated, so somebody has to fill it.

    Args:
        actor: name on the task.
        patience: seconds for which an open task is left to others.
        walk: seconds from claim to done.
    """

    def __init__(self, actor: str, *, patience: float = 2.0, walk: float = 3.0) -> None:
        self.actor = actor
        self._patience = patience
        self._walk = walk
        self._seen: dict[str, float] = {}  # open task -> since when
        self._asked: dict[tuple[str, int], float] = {}  # (task, version) -> when a command was sent for it
        self._brought: set[str] = set()

    def decide(self, tasks: Iterable[TaskDocument], now: float) -> list[Action]:
        """What to do now, with all tasks as they are known and ``now`` in seconds of any steady clock."""
        tasks = list(tasks)
        actions: list[Action] = [
            Bring(task) for task in tasks if task.state is TaskState.DONE and task.id not in self._brought
        ]
        self._brought |= {action.task.id for action in actions}
        for task in tasks:
            if task.state is TaskState.OPEN:
                self._seen.setdefault(task.id, now)
            else:
                self._seen.pop(task.id, None)
        mine = [task for task in tasks if task.state is TaskState.CLAIMED and task.claimed_by == self.actor]
        for task in mine:
            since = self._asked.setdefault((task.id, task.version), now)
            if now - since >= self._walk:
                self._asked[task.id, task.version] = now  # asked again only when nothing comes of it
                actions.append(Complete(task))
        if not mine:
            waiting = [
                task
                for task in tasks
                if task.state is TaskState.OPEN
                and task.workable
                and now - self._seen[task.id] >= self._patience
                and now - self._asked.get((task.id, task.version), -self._walk) >= self._walk
            ]
            if waiting:
                task = min(waiting, key=lambda open_task: (open_task.rank or 10**9, open_task.id))
                self._asked[task.id, task.version] = now
                actions.append(Claim(task))
        return actions
