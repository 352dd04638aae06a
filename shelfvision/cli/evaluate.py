"""``shelfvision evaluate``: how good the results are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shelfvision.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from shelfvision.learn.event_score import Fault, KindScore, Score, Spread

_MOST_LISTED = 20


def events(
    events_file: Annotated[Path, typer.Argument(metavar="EVENTS.jsonl", help="Events, one CloudEvent a line.")],
    truth_file: Annotated[Path, typer.Argument(metavar="TRUTH.json", help="What happened; see docs/truth-format.md.")],
    tolerance: Annotated[float, typer.Option(min=0, max=60, help="Seconds a contact or onset may be off.")] = 0.5,
    confirm: Annotated[float, typer.Option(min=0, help="Seconds in view after which an empty slot is reported.")] = 3.0,
    match_slot: Annotated[bool, typer.Option("--match-slot", help="An event at another slot is no match.")] = False,
    start: Annotated[
        str | None, typer.Option(metavar="TIME", help="Time of the first frame, such as 2026-01-31T08:00:00Z.")
    ] = None,
    site: Annotated[
        Path | None, typer.Option(metavar="SITE.yaml", help="Checks slot ids, and says which camera sees which slot.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of the table.")] = False,
) -> None:
    """Compare an events file with a truth file, in a store's own terms."""
    from shelfvision.learn.event_metrics import score_events
    from shelfvision.learn.event_truth import read_truth
    from shelfvision.learn.events_file import read_events

    camera_of = {} if site is None else _cameras(site)
    truth = read_truth(
        truth_file,
        start=None if start is None else _seconds(start),
        tolerance=tolerance,
        confirm=confirm,
        camera_of=camera_of,
    )
    found = read_events(events_file)
    if site is not None:
        slots = {event.data.slot for event in found if event.data.slot}
        _check_slots(site, camera_of, {truth_file: set(truth.slots), events_file: slots})
    score = score_events(found, truth, tolerance=tolerance, same_slot=match_slot)
    if as_json:
        print(json.dumps(to_json(score) | {"tolerance": tolerance, "match_slot": match_slot}))
    else:
        print("\n".join(table(score)))


def to_json(score: Score) -> dict[str, Any]:
    """The whole score as plain values; null where something is undefined."""
    from shelfvision.core.events import EventKind, to_utc

    def spread(values: Spread | None) -> dict[str, float] | None:
        return None if values is None else {"median": values.median, "p95": values.p95, "max": values.largest}

    def kind(part: KindScore) -> dict[str, Any]:
        return {
            "true": part.true,
            "found": part.found,
            "matched": part.matched,
            "optional": part.optional,
            "precision": part.precision,
            "recall": part.recall,
            "f1": part.f1,
            "right_slot_rate": part.slot_rate,
            "right_sku_rate": part.sku_rate,
            "right_count_rate": part.count_rate,
            "right_staff_rate": part.staff_rate,
            "time_error": spread(part.time_error),
        }

    def faults(listed: tuple[Fault, ...]) -> list[dict[str, Any]]:
        return [{"type": f.kind.value, "time": to_utc(f.time).isoformat(), "slot": f.slot} for f in listed]

    stockout = score.kinds[EventKind.STOCKOUT]
    return {
        "perfect": score.perfect,
        "types": {name.value: kind(part) for name, part in score.kinds.items()},
        "macro_f1": score.macro_f1,
        "right_slot_rate": score.right_slot_rate,
        "contact_error": spread(score.contact_error),
        "stockout_recall": stockout.recall,
        "seconds_to_alert": spread(score.seconds_to_alert),
        "seconds_in_view": spread(score.seconds_in_view),
        "onset_error": spread(stockout.time_error),
        "false_alerts": score.false_alerts,
        "shelf_days": score.shelf_days,
        "false_alerts_a_shelf_day": score.false_alerts_a_shelf_day,
        "false_alerts_a_shelf_day_at_most": score.false_alerts_a_shelf_day_at_most,
        "missed": faults(score.missed),
        "false": faults(score.false),
        "duplicates": score.duplicates,
        "not_judged": score.not_judged,
        "other_cameras": score.other_cameras,
    }


def table(score: Score) -> list[str]:
    """The score for a person, as lines."""
    from shelfvision.core.events import EventKind

    lines = [
        f"{'type':<10} {'true':>5} {'found':>5} {'right':>5} {'precision':>9} {'recall':>7} {'F1':>7}  {'slot':>6}"
    ]
    for kind, part in score.kinds.items():
        if part.true or part.found or part.optional:
            shares = f"{_share(part.precision):>9} {_share(part.recall):>7} {_share(part.f1):>7}"
            shares += f"  {_share(part.slot_rate):>6}"
            optional = f"  ({part.optional} optional)" if part.optional else ""
            lines.append(f"{kind.value:<10} {part.true:>5} {part.found:>5} {part.matched:>5} {shares}{optional}")
    rate, most = score.false_alerts_a_shelf_day, score.false_alerts_a_shelf_day_at_most
    of_footage = "" if score.shelf_days is None else f" in {score.shelf_days:.3g} shelf-days"
    a_day = (
        "" if rate is None or most is None else f", {rate:.2g} a shelf-day (at most {most:.2g} with 95 % confidence)"
    )
    stockout = score.kinds[EventKind.STOCKOUT]
    facts = {
        "interactions, macro F1": _share(score.macro_f1),
        "interactions, right slot": _share(score.right_slot_rate),
        "contact error": _seconds_of(score.contact_error),
        "stockout recall": _share(stockout.recall),
        "seconds to alert": _seconds_of(score.seconds_to_alert),
        "  of these in view": _seconds_of(score.seconds_in_view),
        "onset error": _seconds_of(stockout.time_error),
        "false alerts": f"{score.false_alerts}{of_footage}{a_day}",
    }
    if score.duplicates:
        facts["repeated event ids"] = f"{score.duplicates} (counted once)"
    if score.other_cameras:
        facts["events of other cameras"] = f"{score.other_cameras} (not judged)"
    if score.not_judged:
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(score.not_judged.items()))
        facts["not judged"] = f"{kinds} (the truth says nothing of them)"
    lines += ["", *(f"{name:<26} {value}" for name, value in facts.items())]
    for name, faults in (("missed", score.missed), ("false", score.false)):
        if faults:
            lines += [
                "",
                f"{name}:",
                *(f"  {_moment(f.time)}  {f.kind.value} {f.slot or ''}" for f in faults[:_MOST_LISTED]),
            ]
            if len(faults) > _MOST_LISTED:
                lines.append(f"  and {len(faults) - _MOST_LISTED} more")
    if score.perfect:
        lines += ["", "every event is there once, at its slot, and nothing else"]
    return lines


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _seconds_of(spread: Spread | None) -> str:
    if spread is None:
        return "-"
    return f"median {spread.median:.2f} s, p95 {spread.p95:.2f} s, largest {spread.largest:.2f} s"


def _moment(time: float) -> str:
    from shelfvision.core.events import to_utc

    day = 86_400
    return f"{time:9.2f} s" if 0 <= time < day else to_utc(time).strftime("%Y-%m-%dT%H:%M:%SZ")


def _seconds(text: str) -> float:
    from datetime import datetime

    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise UsageError(f"--start {text!r}: expected a time with its UTC offset, such as 2026-01-31T08:00:00Z")
    return moment.timestamp()


def _cameras(site: Path) -> dict[str, str]:
    from shelfvision.site_file import load_site

    return {slot.id: camera.id for camera in load_site(site).cameras for slot in camera.slots}


def _check_slots(site: Path, known: dict[str, str], named: dict[Path, set[str]]) -> None:
    from shelfvision.core.faults import suggestion

    faults = [
        f"{path}: slot {slot!r} is not in {site}{suggestion(slot, known)}"
        for path, slots in named.items()
        for slot in sorted(slots - known.keys())
    ]
    if faults:
        raise ConfigError("\n".join(faults))
