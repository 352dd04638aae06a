"""Publishes task documents and the ranking: in order of version, drift seldom, closed ones taken away."""

from __future__ import annotations

import threading
from typing import Protocol

from shelfvision.core.messages import Ranking, TaskDocument
from shelfvision.core.tasks import Task

DRIFT_SECONDS = 30.0  # rank, value and words of a task at the same version are published again at most this often
_REMEMBERED = 20_000


class Publisher(Protocol):
    """The retained documents on the broker; ``transport.service_link.ServiceLink`` is one."""

    def publish_task(self, task: TaskDocument) -> None:
        """Publish a task document."""

    def clear_task(self, task_id: str) -> None:
        """Take a task document away."""

    def publish_ranking(self, ranking: Ranking) -> None:
        """Publish the ranking."""


class Announcer:
    """Keeps commands and plans, which run in different threads, from publishing an older version over a newer.

    Args:
        publisher: where documents go.
        store_id: the store's id, as documents carry it.
    """

    def __init__(self, publisher: Publisher, store_id: str) -> None:
        self._publisher = publisher
        self._store_id = store_id
        self._lock = threading.Lock()
        self._shown: dict[str, tuple[int, float]] = {}  # task id to version and time published
        self._ranking: tuple[object, ...] = ()
        self._ranking_at = float("-inf")

    def task(self, task: Task, now: float) -> None:
        """Publish a task if it is newer than what was published, or has drifted for long enough.

        A closed one is published in its final state and then cleared, for good.
        """
        with self._lock:
            version, at = self._shown.get(task.id, (0, float("-inf")))
            if task.version < version or (task.version == version and (task.final or now - at < DRIFT_SECONDS)):
                return
            self._shown[task.id] = (task.version, now)
            self._publisher.publish_task(task.document(self._store_id))
            if task.final:
                self._publisher.clear_task(task.id)
            while len(self._shown) > _REMEMBERED:
                del self._shown[next(iter(self._shown))]

    def clear(self, task: Task, now: float) -> None:
        """Clear a closed task again, in case that we were stopped before it was cleared."""
        with self._lock:
            self._shown[task.id] = (task.version, now)
            self._publisher.clear_task(task.id)

    def ranking(self, ranking: Ranking, now: float) -> bool:
        """Publish the ranking if it says something new, or the same in newer words; whether it was published."""
        key = tuple((line.device, line.slot, line.condition, line.task) for line in ranking.items)
        key += tuple((line.device, line.slot, line.condition, line.task) for line in ranking.not_workable)
        if key == self._ranking and now - self._ranking_at < DRIFT_SECONDS:
            return False
        self._ranking, self._ranking_at = key, now
        self._publisher.publish_ranking(ranking)
        return True
