"""Turns beliefs about slots into ranked tasks and keeps them true."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import structlog

from shelfvision.config import Site
from shelfvision.core.demand import DemandModel, Observation
from shelfvision.core.events import to_utc
from shelfvision.core.messages import RankedProduct, Ranking
from shelfvision.core.ranking import Ranked, RankingRules, rank
from shelfvision.core.tasks import Task, TaskTimes
from shelfvision.service import live_state, plan_rows
from shelfvision.service.announcer import Announcer, Publisher
from shelfvision.service.desk import Desk
from shelfvision.service.ingest import Taken
from shelfvision.service.store import Store
from shelfvision.service.task_review import review
from shelfvision.service.task_rows import closed_tasks, live_tasks, save_changes

_log = structlog.get_logger(__name__)

_TIMER_SECONDS = 5.0  # a plan at least this often, for time-outs
_REST = 4.0  # after a plan that took t seconds the next one waits t times this
_RECONCILE_SECONDS = 30.0
_SAVED_LINES = 1000  # of the ranking, for the web page
_PUBLISHED_LINES = 100  # over MQTT; a message of some 40 kB
_CLEAR_AGAIN = 500
_A_DAY = 86_400.0


@dataclass(slots=True)
class Plan:
    """What a plan did."""

    ranking: Ranking
    changed: list[Task] = field(default_factory=list)  # new, or at a new version; closed ones come first
    drifted: list[Task] = field(default_factory=list)  # another rank, value or reasons


class Planner:
    """Ranks and makes tasks whenever something changed.

    Args:
        site: the store's settings.
        store: the database; ``adopt_site`` has been called.
        desk: where commands change tasks; their changes are published from here too.
        publisher: where documents go.
        on_wake: told, from any thread, that a step is due.
    """

    def __init__(
        self,
        site: Site,
        store: Store,
        desk: Desk,
        publisher: Publisher,
        *,
        on_wake: Callable[[], None] = lambda: None,
    ) -> None:
        settings = site.replenishment
        self._store = store
        self._desk = desk
        self._announcer = Announcer(publisher, site.store.id)
        self._half_life = settings.half_life_days * _A_DAY
        self._rules = RankingRules(
            settings.horizon_hours, settings.task_minutes, settings.rank_by, settings.half_life_days
        )
        self._times = TaskTimes(
            claim=settings.claim_minutes * 60,
            confirm=settings.confirm_minutes * 60,
            expire=settings.expire_hours * 3600,
        )
        self._demand = DemandModel(self._half_life)
        self._observations: queue.SimpleQueue[Observation] = queue.SimpleQueue()
        self._due = threading.Event()
        self._on_wake = on_wake
        self._not_before = float("-inf")
        self._timer = float("-inf")

    def startup(self, now: float) -> None:
        """Load what demand is known, and publish every task again: the broker may have forgotten them.

        Call it before deliveries are applied.
        """
        with self._store.database.read() as connection:
            self._demand = plan_rows.load_demand(connection, self._half_life, now)
            closed = closed_tasks(connection, _CLEAR_AGAIN, now - _A_DAY)
            current = live_tasks(connection)
        for task in closed:
            self._announcer.clear(task, now)
        for task in current:
            self._announcer.task(task, now)
        self._store.on_applied(self._take)
        self._desk.on_task(self._commanded)
        self.wake()

    def wake(self) -> None:
        """Something changed: plan again soon. From any thread."""
        self._due.set()
        self._on_wake()

    def step(self, now: float, elapsed: float) -> Plan | None:
        """Plan when something changed or the timer is over, and publish what is new.

        Args:
            now: POSIX seconds.
            elapsed: seconds of a clock that never jumps, for pacing.

        Raises:
            StoreError: the database failed; nothing changed, the next step tries again.
        """
        if elapsed < self._not_before or not (self._due.is_set() or elapsed >= self._timer):
            return None
        self._due.clear()
        try:
            plan = self.plan(now)
        except BaseException:
            self._due.set()
            self._not_before = elapsed + 1
            raise
        for task in (*plan.changed, *plan.drifted):
            self._announcer.task(task, now)
        published = plan.ranking.model_copy(
            update={
                "items": plan.ranking.items[:_PUBLISHED_LINES],
                "not_workable": plan.ranking.not_workable[: _PUBLISHED_LINES // 2],
            }
        )
        news = self._announcer.ranking(published, now)
        if plan.changed:
            self._desk.notify("tasks", "shelf")
        if news:
            self._desk.notify("ranking")
        return plan

    def rest(self, elapsed: float, took: float) -> None:
        """Space plans by how long they take, so that planning never takes the whole machine."""
        self._not_before = elapsed + _REST * took
        self._timer = elapsed + _TIMER_SECONDS

    def plan(self, now: float) -> Plan:
        """Bring tasks and ranks in line with what is believed of the slots, in one transaction."""
        self._learn(now)
        with self._store.database.write() as connection:
            live_state.reconcile(connection, now, _RECONCILE_SECONDS)
            picked = {}
            if self._rules.rank_by == "pickups":
                picked = plan_rows.count_pick_ups(connection, now - self._rules.count_days * _A_DAY)
            slots = {slot.place: slot for slot in plan_rows.load_slots(connection, picked)}
            workable, apart = rank((slot.candidate for slot in slots.values()), self._demand, now, self._rules)
            changes = review(live_tasks(connection), slots, (*workable, *apart), self._times, now)
            changed, drifted = save_changes(connection, changes)
            current = {(task.device, task.slot): task.id for task in live_tasks(connection)}
            ranking = Ranking(
                at=to_utc(now),
                rank_by=self._rules.rank_by,
                items=[_line(ranked, current) for ranked in workable[:_SAVED_LINES]],
                not_workable=[_line(ranked, current) for ranked in apart[:_SAVED_LINES]],
            )
            rates = {ranked.candidate.sku: ranked.rate_per_hour for ranked in (*workable, *apart)}
            plan_rows.save_ranking(connection, now, ranking, rates)
        for task in changed:
            _log.info("task", task=task.id, slot=task.slot, state=task.state.value, version=task.version)
        return Plan(ranking, changed, drifted)

    def _take(self, taken: Taken) -> None:
        """What the store has just applied, told from its thread."""
        for observation in taken.observations:
            self._observations.put(observation)
        if taken.applied:
            self._desk.notify("shelf")
            self.wake()

    def _commanded(self, task: Task) -> None:
        """A task that a command changed, told from the desk's thread."""
        self._announcer.task(task, task.updated_at)
        self.wake()

    def _learn(self, now: float) -> None:
        while True:
            try:
                seen = self._observations.get_nowait()
            except queue.Empty:
                return
            # a device whose clock is ahead must not outweigh the others
            self._demand.observe(replace(seen, at=min(seen.at, now)))


def _line(ranked: Ranked, tasks: Mapping[tuple[str, str], str]) -> RankedProduct:
    candidate = ranked.candidate
    return RankedProduct(
        rank=ranked.rank,
        slot=candidate.slot,
        device=candidate.device,
        sku=candidate.sku,
        name=candidate.name,
        condition=candidate.condition,
        value=ranked.value,
        rate_per_hour=ranked.rate_per_hour,
        reasons=list(ranked.reasons),
        task=tasks.get((candidate.device, candidate.slot)),
    )
