"""Short clips around hands at slots, for training the action classifier."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from shelfvision.errors import ConfigError
from shelfvision.sim.footage import Footage
from shelfvision.sim.pools import single_threaded_pool
from shelfvision.sim.shoppers import Deed, Reach
from shelfvision.sim.site_files import write_whole
from shelfvision.sim.stores import STORES, SimulatedStore, build_store
from shelfvision.sim.visits import ScriptOptions

LABELS = ("background", "touch", "pick_up", "put_back")
_FPS = 20.0  # of the footage that clips are cut from
_BACKGROUND_SHARE = 0.3  # of the clips


@dataclass(frozen=True, slots=True)
class ClipOptions:
    """A set of clips.

    Raises:
        ConfigError: a value outside its range.
    """

    count: int = 1000
    seed: int = 0
    frames: int = 16
    seconds: float = 1.6  # that the frames span
    size: int = 112  # pixels of a side
    stores: tuple[str, ...] = tuple(STORES)
    quality: int = 90  # JPEG
    footage_seconds: float = 120.0  # of each footage that clips are cut from

    def __post_init__(self) -> None:
        unknown = [name for name in self.stores if name not in STORES]
        checks = {
            f"count: expected 1 or more, found {self.count}": self.count >= 1,
            f"seed: expected 0 or more, found {self.seed}": self.seed >= 0,
            f"frames: expected 2 to 64, found {self.frames}": 2 <= self.frames <= 64,
            f"seconds: expected 0.2 to 10, found {self.seconds:g}": 0.2 <= self.seconds <= 10,
            f"size: expected 16 to 512, found {self.size}": 16 <= self.size <= 512,
            f"stores: no store {', '.join(unknown)}, choose from {', '.join(STORES)}": not unknown
            and bool(self.stores),
            f"quality: expected 10 to 100, found {self.quality}": 10 <= self.quality <= 100,
            f"footage_seconds: expected 10 to 3600, found {self.footage_seconds:g}": 10 <= self.footage_seconds <= 3600,
        }
        faults = [fault for fault, right in checks.items() if not right]
        if faults:
            raise ConfigError("\n".join(f"clips {fault}" for fault in faults))


@dataclass(frozen=True, slots=True)
class _Wish:
    """A clip to be cut: a slot and a window of time."""

    label: str
    slot: str
    begin: float
    end: float
    reach: Reach | None


def write_clips(
    options: ClipOptions,
    folder: Path,
    *,
    workers: int = 1,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Path:
    """Cut clips from as many seeded footages as are needed.

    Each clip is one JPEG, its frames stacked from top to bottom (``frames * size`` high), under ``LABEL/``;
    ``clips.jsonl`` tells file, label, store, seed, slot, SKU and times of each. A folder that holds whole footages of
    an earlier run with the same options goes on after them. What is written does not depend on ``workers``.

    Returns:
        The path of ``clips.jsonl``.

    Raises:
        ConfigError: the folder cannot be written, or holds clips of other options.
    """
    try:
        for label in LABELS:
            (folder / label).mkdir(parents=True, exist_ok=True)
        return _write(options, folder, workers, progress)
    except OSError as error:
        raise ConfigError(f"{folder}: cannot write clips: {error.strerror}") from None


def _write(options: ClipOptions, folder: Path, workers: int, progress: Callable[[int, int], None]) -> Path:
    index = folder / "clips.jsonl"
    settings = {
        key: getattr(options, key) for key in ("seed", "frames", "seconds", "size", "quality", "footage_seconds")
    }
    head = {"version": 1, "labels": list(LABELS), **settings, "stores": list(options.stores)}
    lines: list[dict[str, Any]] = []
    if index.exists():
        try:
            found, *lines = (json.loads(line) for line in index.read_text(encoding="utf-8").splitlines())
        except ValueError:
            raise ConfigError(f"{index}: damaged; remove the folder or choose another") from None
        if found != head:
            raise ConfigError(f"{index}: made with other options; remove the folder or choose another")
    number = 1 + max((int(line["footage"]) for line in lines), default=-1)
    while len(lines) < options.count:
        batch = [(options, number + place, folder) for place in range(max(1, workers))]
        number += len(batch)
        for found in _cut_all(batch):
            if len(lines) >= options.count:  # the batch went further than one process would have
                for line in found:
                    (folder / line["file"]).unlink()
                continue
            lines += found
            write_whole(index, "".join(json.dumps(line) + "\n" for line in [head, *lines]))
            progress(min(len(lines), options.count), options.count)
    return index


def _cut_all(batch: list[tuple[ClipOptions, int, Path]]) -> Iterator[list[dict[str, Any]]]:
    if len(batch) == 1:
        yield _cut(*batch[0])
        return
    with single_threaded_pool(len(batch)) as pool:
        yield from pool.map(_cut, *zip(*batch, strict=True))


def _cut(options: ClipOptions, number: int, folder: Path) -> list[dict[str, Any]]:
    """Clips of one footage of two minutes: the script runs ahead undrawn, then only what is needed is drawn."""
    name = options.stores[number % len(options.stores)]
    seed = options.seed * 1_000_003 + number
    rng = np.random.default_rng([seed, *b"clips"])
    script = ScriptOptions(busy=1.6, touches=0.3, hovers=0.1)
    store = build_store(name, seed)
    ahead = Footage(store, seed, fps=_FPS, script=script)
    for _ in range(round(options.footage_seconds * _FPS)):
        ahead.step(draw=False)
    wishes = _wishes(store, ahead.script.reaches, options, rng)
    footage = Footage(build_store(name, seed), seed, fps=_FPS, script=script)
    windows = {slot.id: _window(store, place, rng) for place, slot in enumerate(store.slots)}
    needed: dict[int, set[int]] = {}  # frame -> the wishes that it belongs to
    frames_of = [
        np.round(np.linspace(wish.begin, wish.end, options.frames) * _FPS).astype(int).tolist() for wish in wishes
    ]
    for index, frames in enumerate(frames_of):
        for frame in frames:
            needed.setdefault(frame, set()).add(index)
    crops: dict[tuple[int, int], NDArray[np.uint8]] = {}
    lines: list[dict[str, Any]] = []
    for at in range(max(needed, default=-1) + 1):
        shown = footage.step(draw=at in needed)
        if shown.image is None:
            continue
        for index in sorted(needed[at]):
            crops[index, at] = _crop(shown.image, windows[wishes[index].slot], options.size)
            if at == frames_of[index][-1]:
                stack = np.vstack([crops[index, frame] for frame in frames_of[index]])
                crops = {key: crop for key, crop in crops.items() if key[0] != index}
                lines.append(_save(stack, wishes[index], f"{name}-{number:05d}-{len(lines):03d}", folder, options))
                lines[-1] |= {"footage": number, "store": name, "seed": seed}
    return lines


def _save(stack: NDArray[np.uint8], wish: _Wish, name: str, folder: Path, options: ClipOptions) -> dict[str, Any]:
    file = f"{wish.label}/{name}.jpg"
    if not cv2.imwrite(str(folder / file), stack, [cv2.IMWRITE_JPEG_QUALITY, options.quality]):
        raise OSError(5, "the picture could not be written", str(folder / file))
    line: dict[str, Any] = {
        "file": file, "label": wish.label, "slot": wish.slot, "begin": round(wish.begin, 3), "end": round(wish.end, 3),
    }  # fmt: skip
    if wish.reach is not None:
        line |= {
            "deed": wish.reach.deed.value, "sku": wish.reach.sku, "count": wish.reach.count,
            "contact": round(wish.reach.contact, 3),
        }  # fmt: skip
    return line


def _wishes(store: SimulatedStore, reaches: list[Reach], options: ClipOptions, rng: np.random.Generator) -> list[_Wish]:
    """A clip of each reach, and background at slots where nothing is done: idle ones, and beside people at work."""
    last = options.footage_seconds - 1.0
    wishes = [_wish(reach, options, rng) for reach in reaches]
    wishes = [wish for wish in wishes if wish.begin > 0 and wish.end < last]
    wanted = round(len(wishes) * _BACKGROUND_SHARE / (1 - _BACKGROUND_SHARE))
    for _ in range(wanted * 20):
        if wanted <= 0:
            break
        slot = store.slots[int(rng.integers(len(store.slots)))].id
        if wishes and rng.random() < 0.6:  # while somebody is near
            end = wishes[int(rng.integers(len(wishes)))].end + float(rng.normal(0, 1))
        else:
            end = float(rng.uniform(options.seconds, last))
        begin = end - options.seconds
        if (
            begin > 0
            and end < last
            and not any(reach.slot == slot and reach.start < end and begin < reach.end for reach in reaches)
        ):
            wishes.append(_Wish("background", slot, begin, end, None))
            wanted -= 1
    return sorted(wishes, key=lambda wish: (wish.end, wish.slot))


def _wish(reach: Reach, options: ClipOptions, rng: np.random.Generator) -> _Wish:
    """A window around the moment that decides what was done, jittered."""
    label = {Deed.HOVER: "background", Deed.RESTOCK: "put_back"}.get(reach.deed, reach.deed.value)
    middle = (reach.contact + reach.change) / 2 + float(rng.normal(0, 0.12))
    return _Wish(label, reach.slot, middle - options.seconds / 2, middle + options.seconds / 2, reach)


def _window(store: SimulatedStore, number: int, rng: np.random.Generator) -> tuple[int, int, int, int]:
    """A square around a slot with some room, a little off as an agent's own would be."""
    x1, y1, x2, y2 = store.plan()[number].bounds
    side = max(x2 - x1, y2 - y1) * float(rng.uniform(1.15, 1.6))
    middle = np.array([(x1 + x2) / 2, (y1 + y2) / 2]) + rng.normal(0, 0.04 * side, 2)
    left, top = np.round(middle - side / 2).astype(int)
    return int(left), int(top), int(left + side), int(top + side)


def _crop(image: NDArray[np.uint8], window: tuple[int, int, int, int], size: int) -> NDArray[np.uint8]:
    x1, y1, x2, y2 = window
    height, width = image.shape[:2]
    part = image[max(0, y1) : min(height, y2), max(0, x1) : min(width, x2)]
    borders = max(0, -y1), max(0, y2 - height), max(0, -x1), max(0, x2 - width)
    if any(borders):
        part = np.asarray(cv2.copyMakeBorder(part, *borders, cv2.BORDER_CONSTANT, value=(114, 114, 114)), np.uint8)
    return np.asarray(cv2.resize(part, (size, size), interpolation=cv2.INTER_AREA), np.uint8)
