"""What really happened in simulated footage, in the format of ``docs/truth-format.md``."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import Any

from shelfvision.sim.footage import FilmFrame, Footage
from shelfvision.sim.shoppers import Deed, Reach

IN_FRONT = 0.02  # share of a slot's polygon that is covered when the hand at it "has come"
OCCLUDED = 0.1  # likewise, from which it counts as hidden
_MARGIN_FRAMES = 1


class TruthRecorder:
    """Watches footage frame by frame and writes its truth. Every frame must be drawn and shown to it.

    Args:
        footage: the footage that is watched.
    """

    def __init__(self, footage: Footage) -> None:
        self._footage = footage
        self._covered: dict[str, dict[int, float]] = defaultdict(dict)  # slot -> frame -> share
        self._last = -1

    def see(self, frame: FilmFrame) -> None:
        """Take in the next frame."""
        self._last = frame.index
        for slot, share in frame.hidden.items():
            if share > 0:
                self._covered[slot][frame.index] = share

    def document(self, *, camera: str | None = None, video: str = "") -> dict[str, Any]:
        """The truth of all frames seen, as JSON-ready values; times are frame numbers from 0.

        A reach that is not over yet counts when its product has moved; one that has not come to that is left out.
        """
        footage = self._footage
        store = footage.store
        width, height = store.size
        named = {} if camera is None else {"camera": camera}
        return {
            "version": 1,
            "video": video,
            "simulated": {"store": store.kind.name, "seed": store.seed},
            "fps": footage.fps,
            "frames": self._last + 1,
            "width": width,
            "height": height,
            **({} if camera is None else {"cameras": [camera]}),
            "slots": {
                slot.id: {"sku": slot.sku, "capacity": slot.capacity, "facings": slot.facings, **named}
                for slot in store.slots
            },
            "interactions": self._interactions(),
            "empty_facing_intervals": self._empty(),
            "misplaced_intervals": self._misplaced(),
            "occluded_intervals": {slot.id: spans for slot in store.slots if (spans := self._spans(slot.id, OCCLUDED))},
            "refills": self._refills(),
            "units": self._units(),
        }

    def frame_at(self, seconds: float) -> int:
        """The first frame that shows what happened at a time."""
        return math.ceil(round(seconds * self._footage.fps, 6))

    def _interactions(self) -> list[dict[str, Any]]:
        found = []
        for reach in self._footage.script.reaches:
            if self.frame_at(reach.change) > self._last or self.frame_at(reach.contact) > self._last:
                continue
            found.append(self._interaction(reach))
        return sorted(found, key=lambda entry: entry["contact"])

    def _interaction(self, reach: Reach) -> dict[str, Any]:
        contact = self.frame_at(reach.contact)
        begin, end = self._presence(reach)
        entry: dict[str, Any] = {
            "type": {Deed.HOVER: "touch", Deed.RESTOCK: "put_back"}.get(reach.deed, reach.deed.value),
            "slot": reach.slot,
            "sku": reach.sku,
            "hand_in": min(begin, contact),
            "contact": contact,
            "end": max(end, contact),
        }
        if reach.deed is Deed.HOVER:
            entry["ignore"] = True  # near, but nothing was touched
        if reach.count:
            entry["release" if reach.brings else "lift"] = self.frame_at(reach.change)
            entry["count"] = reach.count
        if reach.deed is Deed.RESTOCK:
            entry["by_staff"] = True
        return entry

    def _presence(self, reach: Reach) -> tuple[int, int]:
        """First and last frame around the contact in which something is before the slot, within the reach."""
        covered = self._covered.get(reach.slot, {})
        first, last = self.frame_at(reach.start), min(self.frame_at(reach.end), self._last)
        contact = self.frame_at(reach.contact)
        begin = end = contact
        while begin > first and covered.get(begin - 1, 0.0) >= IN_FRONT:
            begin -= 1
        while end < last and covered.get(end + 1, 0.0) >= IN_FRONT:
            end += 1
        return begin, end

    def _spans(self, slot: str, least: float) -> list[list[int | None]]:
        spans: list[list[int | None]] = []
        for frame in sorted(frame for frame, share in self._covered.get(slot, {}).items() if share >= least):
            if spans and spans[-1][1] is not None and frame <= spans[-1][1] + _MARGIN_FRAMES:
                spans[-1][1] = frame + 1
            else:
                spans.append([frame, frame + 1])
        if spans and spans[-1][1] is not None and spans[-1][1] > self._last:
            spans[-1][1] = None
        return spans

    def _units(self) -> dict[str, list[list[int]]]:
        """Slot -> [frame, units from then on], the first of them at frame 0."""
        units = {slot: [[0, count]] for slot, count in self._footage.start_stock.items()}
        for change in self._footage.changes:
            frame = self.frame_at(change.time)
            if frame <= self._last:
                units[change.slot].append([frame, change.count])
        return units

    def _empty(self) -> dict[str, list[list[int | None]]]:
        empty: dict[str, list[list[int | None]]] = {}
        for slot, steps in self._units().items():
            spans: list[list[int | None]] = []
            for frame, count in steps:
                if count == 0:
                    spans.append([frame, None])
                elif spans and spans[-1][1] is None:
                    spans[-1][1] = frame
            empty[slot] = [span for span in spans if span[1] is None or span[1] > (span[0] or 0)]
        return empty

    def _misplaced(self) -> dict[str, list[list[int | None]]]:
        """When a unit of another SKU stands in a slot."""
        spans: dict[str, list[list[int | None]]] = {}
        since: dict[str, dict[int, int]] = {}  # slot -> place -> frame
        begins: dict[str, int] = {}
        for change in self._footage.changes:
            frame, reach = self.frame_at(change.time), change.reach
            if frame > self._last:
                continue
            there = since.setdefault(change.slot, {})
            if reach.brings and reach.pack is not None:
                there[reach.order] = frame
                begins.setdefault(change.slot, frame)
            elif not reach.brings and there.pop(reach.order, None) is not None and not there:
                spans.setdefault(change.slot, []).append([begins.pop(change.slot), frame])
        for slot, frame in begins.items():
            spans.setdefault(slot, []).append([frame, None])
        return spans

    def _refills(self) -> dict[str, list[int]]:
        """When staff brought units to a slot that was not empty."""
        refills: dict[str, list[int]] = {}
        for change in self._footage.changes:
            frame = self.frame_at(change.time)
            if change.reach.deed is Deed.RESTOCK and change.count > change.reach.count and frame <= self._last:
                refills.setdefault(change.slot, []).append(frame)
        return refills
