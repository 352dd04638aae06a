"""``shelfvision simulate demand``: what shoppers want, take and miss, as events with the true rates beside them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from shelfvision.errors import ConfigError, UsageError

_STORE, _DEVICE = "simulated", "edge-1"


def demand(
    out: Annotated[Path, typer.Option(help="Folder for events, truth, site file and catalogue.")],
    skus: Annotated[int, typer.Option(help="SKUs of the store, each in one slot.")] = 200,
    days: Annotated[int, typer.Option(help="Days from a Monday on.")] = 14,
    seed: Annotated[int, typer.Option(help="Decides everything; the same seed gives the same bytes.")] = 0,
    picks: Annotated[float, typer.Option(help="Units of the average SKU that shoppers want a day.")] = 8.0,
    staff: Annotated[float, typer.Option(help="People who refill during opening hours.")] = 0.3,
    seen: Annotated[float, typer.Option(help="Share of interactions that the cameras report, 0 to 1.")] = 1.0,
    refill: Annotated[
        str, typer.Option(help="What staff fill first: emptiness, pickups, observed-rate or nothing.")
    ] = "emptiness",
    window: Annotated[float, typer.Option(min=60, help="Seconds of a presence window.")] = 3600.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> int:
    """Simulate the demand of a store: OUT/demand.events.jsonl, .truth.json, .yaml and .csv."""
    from shelfvision.cli.progress import ProgressLine
    from shelfvision.sim.demand import simulate_demand
    from shelfvision.sim.demand_events import event_drafts, write_store
    from shelfvision.sim.demand_settings import MONDAY, DemandSettings
    from shelfvision.sim.refill_rules import by_emptiness, by_observed_rate, by_pickups, nothing
    from shelfvision.transport.ids import to_event

    rules = {
        "emptiness": by_emptiness, "pickups": by_pickups, "observed-rate": by_observed_rate, "nothing": nothing,
    }  # fmt: skip
    if refill not in rules:
        raise UsageError(f"--refill {refill!r}: choose from {', '.join(rules)}")
    settings = DemandSettings(skus=skus, days=days, seed=seed, picks_per_sku_day=picks, staff=staff, seen_share=seen)
    run = simulate_demand(settings, rules[refill])
    site = write_store(run, out)
    epoch = f"{round(MONDAY * 1000):012x}{seed % 16**12:012x}"
    links: dict[str, str] = {}
    events, partial, count = out / "demand.events.jsonl", out / "demand.events.jsonl.part", 0
    progress = ProgressLine("simulate demand")
    try:
        with partial.open("w", encoding="utf-8") as file:
            for count, draft in enumerate(event_drafts(run, window_seconds=window), start=1):
                event = to_event(draft, store=_STORE, device=_DEVICE, epoch=epoch, seq=count, links=links)
                file.write(event.to_json() + "\n")
                progress.update((draft.time - MONDAY) / (days * 86_400), f"{count} events")
        partial.replace(events)
    except OSError as error:
        raise ConfigError(f"{events}: cannot be written: {error.strerror}") from None
    finally:
        progress.close()
    summary = {
        "events": str(events), "count": count, "site": str(site), "wanted": int(run.wanted.sum()),
        "sold": int(run.sold.sum()), "lost": int(run.lost.sum()), "lost_value": round(run.lost_value, 2),
    }  # fmt: skip
    if as_json:
        print(json.dumps(summary))
    else:
        print(
            f"{events}: {count} events of {skus} SKUs in {days} days; {summary['wanted']} units wanted, "
            f"{summary['lost']} not found"
        )
    return 0
