"""Compares reported events with the truth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from shelfvision.core.events import Event, EventKind
from shelfvision.learn.event_score import (
    ALERT_KINDS,
    INTERACTION_KINDS,
    SHELF_DAY_SECONDS,
    Fault,
    KindScore,
    Score,
    Spread,
)
from shelfvision.learn.event_truth import Alert, Interaction, Truth
from shelfvision.learn.matching import match_in_time


def score_events(events: Iterable[Event], truth: Truth, *, tolerance: float = 0.5, same_slot: bool = False) -> Score:
    """Compare events with the truth.

    Args:
        events: in any order; repeats of an id count once.
        truth: what happened.
        tolerance: largest difference between a reported and a true contact, seconds.
        same_slot: an interaction at another slot is no match, rather than a match with a wrong slot.
    """
    unique: dict[str, Event] = {}
    repeats = others = 0
    for event in events:
        if event.id in unique:
            repeats += 1
        elif truth.cameras and camera_of(event) not in truth.cameras:
            others += 1
        else:
            unique[event.id] = event
    kinds = {kind: KindScore() for kind in (*INTERACTION_KINDS, *ALERT_KINDS, EventKind.RESTOCKED)}
    not_judged: Counter[str] = Counter()
    by_kind: dict[EventKind, list[Event]] = {kind: [] for kind in kinds}
    for event in unique.values():
        kind = event.kind
        if kind is not None and kind in by_kind and _known(kind, event, truth):
            by_kind[kind].append(event)
        else:
            not_judged[kind.value if kind else event.type] += 1
    judge = _Judge(tolerance, same_slot, [hand for hand in truth.interactions if hand.ignore])
    for kind in INTERACTION_KINDS:
        true = [hand for hand in truth.interactions if hand.kind is kind and not hand.ignore]
        judge.interactions(kinds[kind], by_kind[kind], true)
    for kind in (*ALERT_KINDS, EventKind.RESTOCKED):
        judge.alerts(kinds[kind], by_kind[kind], [alert for alert in truth.alerts if alert.kind is kind])
    return Score(
        kinds,
        tuple(sorted(judge.missed, key=lambda fault: fault.time)),
        tuple(sorted(judge.false, key=lambda fault: fault.time)),
        Spread.of(judge.waits),
        Spread.of(judge.waits_in_view),
        None if truth.footage_seconds is None else truth.footage_seconds / SHELF_DAY_SECONDS,
        repeats,
        dict(not_judged),
        others,
    )


def camera_of(event: Event) -> str:
    """The camera's id, the third part of the source."""
    return event.source.rsplit("/", 1)[1]


def contact_time(event: Event) -> float:
    """POSIX seconds at which the hand reached the product; the event's own time when it does not say."""
    return (event.data.contact_at or event.time).timestamp()


def _known(kind: EventKind, event: Event, truth: Truth) -> bool:
    """Whether the truth can say if the event is right."""
    slot = event.data.slot
    if kind is EventKind.LOW_STOCK:  # where one unit fits there is no low stock, so that the truth knows
        return slot in truth.low_known or truth.capacities.get(slot or "", 1) == 1
    return kind is not EventKind.MISPLACED or truth.misplaced_known


class _Judge:
    """Collects, over all kinds, what was missed, what was false and how long alerts took."""

    def __init__(self, tolerance: float, same_slot: bool, unclear: Sequence[Interaction]) -> None:
        self._tolerance = tolerance
        self._same_slot = same_slot
        self._unclear = unclear
        self.missed: list[Fault] = []
        self.false: list[Fault] = []
        self.waits: list[float] = []
        self.waits_in_view: list[float] = []

    def interactions(self, score: KindScore, events: list[Event], true: list[Interaction]) -> None:
        # cameras are judged apart; where the truth names no camera, all events belong together
        apart = all(hand.camera is not None for hand in true)
        cameras: set[str | None] = {hand.camera for hand in true} | {camera_of(e) for e in events} if apart else {None}
        for camera in sorted(cameras, key=str):
            self._one_view(
                score,
                [event for event in events if camera is None or camera_of(event) == camera],
                [hand for hand in true if camera is None or hand.camera == camera],
            )

    def _one_view(self, score: KindScore, events: list[Event], true: list[Interaction]) -> None:
        pairs = match_in_time(
            [(contact_time(event), event.data.slot or "") for event in events],
            [(hand.contact, hand.slot) for hand in true],
            self._tolerance,
            same_slot=self._same_slot,
        )
        for found, real in pairs:
            data, hand = events[found].data, true[real]
            score.right_slot += data.slot == hand.slot
            score.count_known += 1
            score.right_count += (data.count or 1) == hand.count
            if hand.sku is not None:
                score.sku_known += 1
                score.right_sku += data.sku == hand.sku
            if hand.by_staff is not None:
                score.staff_known += 1
                score.right_staff += bool(data.by_staff) == hand.by_staff
            score.time_errors.append(abs(contact_time(events[found]) - hand.contact))
        score.matched += len(pairs)
        score.true += len(true)
        score.found += len(pairs)
        missed = set(range(len(true))) - {real for _, real in pairs}
        self.missed.extend(Fault(true[i].kind, true[i].contact, true[i].slot) for i in missed)
        for index in set(range(len(events))) - {found for found, _ in pairs}:
            if self._is_unclear(events[index]):
                score.optional += 1
            else:
                score.found += 1
                self._false(events[index], contact_time(events[index]))

    def _is_unclear(self, event: Event) -> bool:
        return any(
            hand.slot == event.data.slot and abs(hand.contact - contact_time(event)) <= self._tolerance
            for hand in self._unclear
        )

    def alerts(self, score: KindScore, events: list[Event], true: list[Alert]) -> None:
        events = sorted(events, key=lambda event: event.time)
        required = [alert for alert in true if alert.required]
        matched = self._in_windows(events, required)
        for alert, event in matched:
            score.right_slot += 1
            if not alert.at_start:
                onset = event.data.onset_at or event.time
                score.time_errors.append(abs(onset.timestamp() - alert.onset))
            if alert.kind is EventKind.STOCKOUT:
                self._wait(alert, event.time.timestamp())
        score.matched += len(matched)
        score.true += len(required)
        used = {event.id for _, event in matched}
        left = [event for event in events if event.id not in used]
        allowed = {event.id for _, event in self._in_windows(left, [alert for alert in true if not alert.required])}
        score.optional += len(allowed)
        score.found += len(events) - len(allowed)
        for event in left:
            if event.id not in allowed:
                self._false(event, event.time.timestamp())
        noticed = {id(alert) for alert, _ in matched}
        self.missed.extend(Fault(a.kind, a.onset, a.slot) for a in required if id(a) not in noticed)

    def _in_windows(self, events: list[Event], alerts: list[Alert]) -> list[tuple[Alert, Event]]:
        """Each event takes, of the alerts in whose time it lies, the one that ends first, which pairs the most."""
        open_alerts = sorted(alerts, key=lambda alert: alert.until)
        pairs = []
        for event in events:
            time = event.time.timestamp()
            for alert in open_alerts:
                here = alert.slot == event.data.slot and alert.camera in {None, camera_of(event)}
                if here and alert.onset - self._tolerance <= time <= alert.until:
                    pairs.append((alert, event))
                    open_alerts.remove(alert)
                    break
        return pairs

    def _wait(self, alert: Alert, time: float) -> None:
        self.waits.append(time - alert.onset)
        self.waits_in_view.append(sum(max(0.0, min(end, time) - begin) for begin, end in alert.views))

    def _false(self, event: Event, time: float) -> None:
        assert event.kind is not None
        self.false.append(Fault(event.kind, time, event.data.slot))
