"""What really happened in simulated footage, in the truth format of ``docs/truth-format.md``."""

from __future__ import annotations

from typing import Any

from shelfvision.sim.shoppers import STAFF, Deed, Reach
from shelfvision.sim.sprites import GRIP_Y
from shelfvision.sim.stores import ShelfSlot
from shelfvision.sim.world import World

_HALF_ARM = 26.0  # half the width of a hand and of the arm below it, layout pixels


def truth(world: World, *, camera: str | None = None, video: str = "") -> dict[str, Any]:
    """The truth about all frames up to the world's latest, as JSON-ready values; times are frame numbers from 0.

    A reach that is not over yet is left out. Refills by staff are put-backs with ``by_staff``.
    """
    interactions: list[dict[str, Any]] = []
    hidden: dict[str, list[list[int]]] = {slot.id: [] for slot in world.store.slots}
    refills: dict[str, list[int]] = {}
    for reach in world.reaches:
        if world.frame_at(reach.end) > world.index:
            continue
        brings = reach.deed in {Deed.PUT_BACK, Deed.RESTOCK}
        begin, end = _before(reach, reach.slot, world) or (world.frame_at(reach.contact), world.frame_at(reach.end))
        interaction: dict[str, Any] = {
            "type": "put_back" if brings else reach.deed.value,
            "slot": reach.slot.id,
            "sku": reach.slot.product.sku,
            "hand_in": begin,
            "contact": world.frame_at(reach.contact),
            "end": end,
        }
        if reach.deed is not Deed.TOUCH:
            interaction["release" if brings else "lift"] = world.frame_at(reach.change)
        if reach.person == STAFF:
            interaction["by_staff"] = True
        interactions.append(interaction)
        for slot in world.store.slots:
            if slot is not reach.slot and (interval := _before(reach, slot, world)):
                hidden[slot.id].append(list(interval))
    for slot_id, times in world.partial_refills.items():
        refills[slot_id] = [world.frame_at(time) for time in times]
    width, height = world.store.size
    return {
        "version": 1,
        "video": video,
        "fps": world.fps,
        "frames": world.index + 1,
        "width": width,
        "height": height,
        **({} if camera is None else {"cameras": [camera]}),
        "slots": {
            slot.id: {
                "sku": slot.product.sku,
                "capacity": slot.facings,
                **({} if camera is None else {"camera": camera}),
            }
            for slot in world.store.slots
        },
        "interactions": interactions,
        "empty_facing_intervals": {
            slot: [[world.frame_at(begin), None if end is None else world.frame_at(end)] for begin, end in intervals]
            for slot, intervals in world.empty.items()
        },
        "occluded_intervals": {slot: intervals for slot, intervals in hidden.items() if intervals},
        "refills": {slot: times for slot, times in refills.items() if times},
    }


def _before(reach: Reach, slot: ShelfSlot, world: World) -> tuple[int, int] | None:
    """First and last frame in which the hand, its arm or what it carries is before a slot."""
    x1, y1, x2, y2 = slot.box
    frames = [
        frame
        for frame in range(world.frame_at(reach.start), world.frame_at(reach.end) + 1)
        if _covers(reach, frame / world.fps, (x1, y1, x2, y2))
    ]
    return (frames[0], frames[-1]) if frames else None


def _covers(reach: Reach, time: float, box: tuple[float, float, float, float]) -> bool:
    hand = reach.hand(min(time, reach.end))
    x1, y1, x2, y2 = box
    top, half = hand.y - GRIP_Y, _HALF_ARM
    if hand.carries is not None:
        top = min(top, hand.y - reach.slot.look.height * 0.42)
        half = max(half, reach.slot.look.width / 2)
    if top >= y2:
        return False
    # the arm leans from the hand to where it came in; only its part above the slot's lower edge counts
    slope = (reach.entry - hand.x) / 420.0
    foot = hand.x + slope * max(y2 - hand.y, 0.0)
    return min(hand.x, foot) - half < x2 and max(hand.x, foot) + half > x1 and y1 < 360
