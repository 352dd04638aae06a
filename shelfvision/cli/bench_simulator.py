"""``shelfvision bench simulator``: how fast one core makes stills, footage and demand, and what a live camera needs."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from shelfvision.errors import ShelfvisionError, UsageError

_PEOPLE = (0.0, 0.3)  # shares of stills with people
_FPS = 25.0
_DAYS = 14
# its own process: the greatest memory of this one would be that of the stills
_LIVE = """
import sys
from shelfvision.sim.camera import SimulatedShelf, parse_address
shelf = SimulatedShelf(parse_address(sys.argv[1]))
for _ in range(int(sys.argv[2])):
    shelf.picture()
try:
    lines = open("/proc/self/status").readlines()
except OSError:
    lines = []
print(next((line.split()[1] for line in lines if line.startswith("VmHWM")), ""))
"""


def simulator(
    stills: Annotated[int, typer.Option(min=1, help="Stills of each kind.")] = 240,
    frames: Annotated[int, typer.Option(min=1, help="Frames of each store.")] = 300,
    store: Annotated[str, typer.Option(help="Stores, separated by commas; all when absent.")] = "",
    size: Annotated[str, typer.Option(help="Width x height of the stills in pixels.")] = "1280x960",
    skus: Annotated[int, typer.Option(min=1, help="SKUs of the store whose demand is simulated for two weeks.")] = 200,
    seed: Annotated[int, typer.Option(min=0, help="Decides what is rendered.")] = 5,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a table.")] = False,
) -> None:
    """Measure the simulator on one core: stills with and without people, footage of the named stores, memory, demand.

    Rates are told by processor time, which other work on the machine changes little, and by the clock. Stills are
    written as `simulate images` writes them; frames are drawn as a live camera draws them.
    """
    import cv2

    from shelfvision.cli.progress import ProgressLine
    from shelfvision.cli.simulate import parse_size
    from shelfvision.sim.stores import STORES

    names = [name.strip() for name in store.split(",")] if store else list(STORES)
    if unknown := [name for name in names if name not in STORES]:
        raise UsageError(f"--store {', '.join(unknown)}: choose from {', '.join(STORES)}")
    width, height = parse_size(size)
    cv2.setNumThreads(1)
    progress = ProgressLine("bench simulator")
    try:
        result = _measure(names, stills, frames, (width, height), seed, progress.update)
        result["demand"] = _demand(skus, seed)
    finally:
        progress.close()
    print(json.dumps(result) if as_json else _table(result))


def _measure(
    names: list[str],
    stills: int,
    frames: int,
    size: tuple[int, int],
    seed: int,
    on_progress: Callable[[float, str], None],
) -> dict[str, Any]:
    steps = len(_PEOPLE) + 2 * len(names)
    result: dict[str, Any] = {"size": list(size), "seed": seed, "stills": [], "footage": [], "live_camera": []}
    done = 0
    for number, people in enumerate(_PEOPLE):
        on_progress(done / steps, f"stills, people {people:g}")
        # another seed each, so that the second kind does not find the first one's prints
        result["stills"].append({"people": people, **_stills(stills, size, seed + number, people)})
        done += 1
    for name in names:
        on_progress(done / steps, f"footage of {name}")
        result["footage"].append({"store": name, **_footage(name, seed, frames)})
        on_progress((done + 1) / steps, f"memory of {name}")
        result["live_camera"].append({"store": name, "peak_mb": _live_camera(name, seed, frames)})
        done += 2
    return result


def _stills(count: int, size: tuple[int, int], seed: int, people: float) -> dict[str, Any]:
    from shelfvision.sim.stills import Recipe, make_stills

    with tempfile.TemporaryDirectory(prefix="shelfvision-bench-") as folder:
        clock = _Clock()
        annotations = make_stills(Path(folder), count, Recipe(seed=seed, size=size, people=people))
        rates = clock.rates("stills", count)
        boxes = len(json.loads(annotations.read_bytes())["annotations"])
    return rates | {"boxes_per_still": round(boxes / count, 1)}


def _footage(name: str, seed: int, frames: int) -> dict[str, Any]:
    from shelfvision.sim.footage import Footage
    from shelfvision.sim.stores import build_store

    footage = Footage(build_store(name, seed), seed, fps=_FPS)
    clock = _Clock()
    for _ in range(frames):
        footage.step()
    return clock.rates("frames", frames)


def _live_camera(name: str, seed: int, frames: int) -> float | None:
    """Greatest memory in MB of a process that only draws a live camera; None where the system does not tell it."""
    words = [sys.executable, "-c", _LIVE, f"{name}?seed={seed}&fps=5", str(frames)]
    run = subprocess.run(words, capture_output=True, text=True, check=False)
    if run.returncode:
        raise ShelfvisionError(
            f"live camera {name}: its process ended with {run.returncode}: {run.stderr.strip()[-300:]}"
        )
    told = run.stdout.strip()
    return round(int(told) / 1024, 1) if told else None


def _demand(skus: int, seed: int) -> dict[str, Any]:
    from shelfvision.sim.demand import simulate_demand
    from shelfvision.sim.demand_events import event_drafts
    from shelfvision.sim.demand_settings import DemandSettings

    clock = _Clock()
    events = sum(1 for _ in event_drafts(simulate_demand(DemandSettings(skus=skus, days=_DAYS, seed=seed))))
    return {"skus": skus, "days": _DAYS, **clock.rates("events", events)}


class _Clock:
    """Time since it was made, of this process's work and on the wall."""

    def __init__(self) -> None:
        self._worked, self._began = time.process_time(), time.perf_counter()

    def rates(self, things: str, count: int) -> dict[str, Any]:
        worked, wall = time.process_time() - self._worked, time.perf_counter() - self._began
        return {
            things: count,
            "process_seconds": round(worked, 6),
            "wall_seconds": round(wall, 6),
            f"{things}_per_second": round(count / max(worked, 1e-9), 2),
            f"{things}_per_wall_second": round(count / max(wall, 1e-9), 2),
        }


def _table(result: dict[str, Any]) -> str:
    width, height = result["size"]
    lines = [f"{'one core':<40}{'per second of work':>20}{'by the clock':>16}"]
    for row in result["stills"]:
        words = f"stills {width}x{height}, people {row['people']:g}, {row['boxes_per_still']:g} boxes"
        lines.append(f"{words:<40}{row['stills_per_second']:>20}{row['stills_per_wall_second']:>16}")
    for row in result["footage"]:
        words = f"frames of {row['store']}"
        lines.append(f"{words:<40}{row['frames_per_second']:>20}{row['frames_per_wall_second']:>16}")
    for row in result["live_camera"]:
        peak = f"{row['peak_mb']} MB" if row["peak_mb"] is not None else "not told by this system"
        lines.append(f"{'live camera ' + row['store'] + ', greatest memory':<40}{peak:>20}")
    demand = result["demand"]
    words = f"demand of {demand['skus']} SKUs, {demand['days']} days, {demand['events']:,} events"
    lines.append(f"{words:<52}{demand['process_seconds']:>6.2f} s{demand['wall_seconds']:>14.2f} s")
    return "\n".join(lines)
