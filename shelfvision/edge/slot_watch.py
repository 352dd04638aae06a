"""One slot as the camera sees it: its settled looks, who visits it, and what the visits leave behind."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from shelfvision.core.interactions import Action, Deed, InteractionSettings, SlotReading, Visit, VisitWatch
from shelfvision.core.shelf import ShelfSettings, SlotEvidence, SlotFilter
from shelfvision.edge.change import ChangeJudge, FloatVector, Pair, References, SlotChange
from shelfvision.edge.cold_start import ColdStartSettings, guess_occupied
from shelfvision.edge.film import Film, FilmSettings
from shelfvision.edge.foreground import Background, Maps
from shelfvision.edge.inference import ActionScores
from shelfvision.edge.light import FloatMap, Mask, Planes, Tone, local_light
from shelfvision.edge.slot_view import SlotView


@dataclass(frozen=True, slots=True)
class SlotWatchSettings:
    """Durations in seconds."""

    known_seconds: float = 0.7  # a still, clear slot is known after that
    resume_seconds: float = 0.4  # a visit that begins so soon after a pause was not seen from its start
    unseen_sure: float = 2.0  # log-odds needed when a change is too faint to stand out in single frames
    sure: float = 0.4  # log-odds needed otherwise
    touch_confidence: float = 0.8  # of a touch that only the resting hand tells
    touch_doubt: float = 0.2  # action score below which a resting hand did not touch anything
    touch_sure: float = 0.4  # action score from which a hand that did not rest touched something
    certain: float = 6.0  # log-odds of a facing whose change was seen


class SlotDefaults(Protocol):
    """The part of all settings that one slot needs; ``PipelineSettings`` has it."""

    @property
    def cold_start(self) -> ColdStartSettings:
        """Bounds of the first guess."""

    @property
    def interactions(self) -> InteractionSettings:
        """Durations of visits."""

    @property
    def shelf(self) -> ShelfSettings:
        """Settings of the state filter."""

    @property
    def film(self) -> FilmSettings:
        """How visits are filmed."""

    @property
    def slot(self) -> SlotWatchSettings:
        """What is believed when."""


@dataclass(slots=True, eq=False)
class SlotWatch:
    """Everything that is remembered of one slot.

    Args:
        view: where it lies.
        judge: compares before and after.
        defaults: settings of everything that a slot is judged by.
        now: time of the first frame.
    """

    view: SlotView
    judge: ChangeJudge
    defaults: SlotDefaults
    now: float
    settings: SlotWatchSettings = field(init=False)
    filter: SlotFilter = field(init=False)
    visit: VisitWatch = field(init=False)
    film: Film = field(init=False)
    references: References = field(init=False, default_factory=References)
    occupied: FloatVector = field(init=False)
    known: bool = field(init=False, default=False)
    clear_since: float = field(init=False)
    changed_at: float | None = field(init=False, default=None)
    reading: SlotReading = field(init=False, default_factory=lambda: SlotReading(0.0, 0.0))
    last_change: SlotChange | None = field(init=False, default=None)
    _resumed_at: float = field(init=False)

    def __post_init__(self) -> None:
        slot = self.view.slot
        self.settings = self.defaults.slot
        self.filter = SlotFilter(slot.facings, slot.sku, self.defaults.shelf, self.now)
        self.visit = VisitWatch(self.defaults.interactions)
        self.film = Film(self.defaults.film)
        self.occupied = np.zeros(slot.facings)
        self.clear_since = self._resumed_at = self.now

    @property
    def clear(self) -> bool:
        """Whether the slot itself is seen, settled and known."""
        return self.known and not self.visit.visiting

    @property
    def obstructed(self) -> bool:
        """Whether something is in front right now."""
        return self.reading.covered >= self.defaults.interactions.reach_share

    def watch(self, reading: SlotReading, maps: Maps, background: Background, front: Mask, now: float) -> Visit | None:
        """Take in one frame; returns the visit that has just ended, if one has."""
        self.reading = reading
        visit = self.visit.update(reading, now)
        if self.visit.visiting:
            if self.visit.started_at == now:
                self.film = Film(self.defaults.film)
            if self.film.wants(now):
                # Hands throw shadows; without them the film tells the product's look from the place's.
                planes, usable = self.view.cut(maps.lit).copy(), ~self.view.cut(maps.changed | maps.clipped)
                planes[0] -= local_light(planes, self.view.cut(background.planes), usable)
                self.film.take(now, planes, self.view.cut(front))
        if visit is not None:
            self.clear_since = visit.ended_at
        elif reading.covered >= self.defaults.interactions.reach_share:
            self.clear_since = now
        return visit

    def get_to_know(self, background: Background, now: float) -> None:
        """Guess the state from the first settled picture."""
        if self.known or self.visit.visiting or now - self.clear_since < self.settings.known_seconds:
            return
        self.known = True
        where = np.zeros(background.clipped.shape, bool)
        self.view.cut(where)[self.view.near] = True
        background.adopt(where)
        self.occupied = guess_occupied(
            self.view.cut(background.planes), self.view, background.noise / 2, self.defaults.cold_start
        )

    def doubt(self, *, rebuilt: bool) -> None:
        """What was taken for the slot's picture was somebody in front, or the shelf was rebuilt.

        A slot whose looks are known from changes that were seen is only doubted when the shelf was rebuilt.
        """
        if rebuilt:
            self.references = References()
        if self.references.seen is None:
            self.known = False

    def close(
        self,
        visit: Visit,
        background: Background,
        *,
        clipped: Mask,
        light: FloatMap,
        scores: ActionScores | None = None,
        hint: float = 0.0,
    ) -> Deed | None:
        """Judge an ended visit by the pictures before and after it. The caller adopts the new picture afterwards.

        Args:
            visit: the visit.
            background: the settled shelf as it was before it, with the recent picture.
            clipped: (H, W) saturated pixels.
            light: (H, W) shadow that lies on the slot now.
            scores: what an action classifier says of the visit.
            hint: its log-odds that something went rather than came.
        """
        if not self.known:
            return None
        view = self.view
        before, after = view.cut(background.planes).copy(), view.cut(background.recent).copy()
        after[0] -= view.cut(light)
        change = self.judge.judge(
            Pair(before, after, view.cut(clipped), background.noise / 2),
            view,
            self.references,
            self.occupied,
            hint=hint,
        )
        self.last_change = change
        witnessed = visit.started_at - self._resumed_at > self.settings.resume_seconds
        bound = self.settings.sure if visit.left_change else self.settings.unseen_sure
        if change.units == 0 or abs(change.log_odds) < bound or change.mask is None:
            return self._touch(visit, scores) if witnessed else None
        moments = self.film.moments(before, after, change.mask, visit.started_at, visit.ended_at)
        self._learn(change, before, after)
        turned = moments.lifted_at if change.units < 0 else moments.placed_at
        self.changed_at = turned if witnessed else visit.ended_at
        if not witnessed:
            return None
        confidence = float(1 / (1 + np.exp(-abs(change.log_odds))))
        if change.units < 0:
            action, contact = Action.PICK_UP, moments.contact_at
        else:
            action, contact = Action.PUT_BACK, moments.placed_at
        return Deed(action, abs(change.units), confidence, visit.started_at, contact, max(visit.ended_at, contact))

    def _touch(self, visit: Visit, scores: ActionScores | None) -> Deed | None:
        """A visit that changed nothing is a touch when the hand rested in the slot, or was seen to touch."""
        touched, confidence = visit.resting >= self.defaults.interactions.touch_seconds, self.settings.touch_confidence
        if scores is not None:
            handled = scores.touch + scores.pick_up + scores.put_back
            touched = handled >= (self.settings.touch_doubt if touched else self.settings.touch_sure)
            confidence = float(np.clip(handled, 0, 1))
        if not touched:
            return None
        return Deed(Action.TOUCH, 1, confidence, visit.started_at, visit.rested_at, visit.ended_at)

    def _learn(self, change: SlotChange, before: Planes, after: Planes) -> None:
        """Take the change into the belief and keep the looks of both states."""
        certain = min(self.settings.certain, max(2.0, 2 * abs(change.log_odds)))
        share = np.clip(change.facings, -1, 1)
        level = np.clip(self.occupied / self.settings.certain, -1, 1) / 2 + 0.5
        level = np.clip(level + share, 0, 1)
        touched = np.abs(share) > 0.15
        self.occupied = np.where(touched, (2 * level - 1) * certain, self.occupied)
        # The net change holds even where the first guess of a facing was wrong.
        turned = (np.abs(share) >= 0.6) & touched
        self.occupied = np.where(turned, np.sign(share) * np.maximum(np.abs(self.occupied), 2.0), self.occupied)
        columns = turned[self.view.column]
        if columns.any():
            going = (share < 0)[self.view.column]
            stocked, empty = np.where(going, before, after), np.where(going, after, before)
            self.references = self.references.learn(stocked, empty, columns)

    def evidence(self) -> SlotEvidence:
        """What this frame tells the state filter from the slot's own picture."""
        if not self.clear:
            return SlotEvidence(clear=False)
        return SlotEvidence(
            clear=True,
            clear_since=self.clear_since,
            occupied=tuple(float(odds) for odds in self.occupied),
            changed_at=self.changed_at,
        )

    def relight(self, tone: Tone) -> None:
        """The background was relit: the kept looks follow."""
        self.references = self.references.relight(tone)

    def lose(self, now: float) -> None:
        """The camera cannot be believed from here on."""
        self.filter.forget(now)
        self.visit.forget()

    def resume(self, now: float) -> None:
        """Frames come again after a pause."""
        self.visit.forget()
        self.clear_since = self._resumed_at = now
        self.filter.forget(now)
