"""A first guess whether a slot that was never watched before is stocked, from one settled picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shelfvision.edge.change import FloatVector, gradient, surroundings
from shelfvision.edge.light import Planes
from shelfvision.edge.slot_view import SlotView


@dataclass(frozen=True, slots=True)
class ColdStartSettings:
    """Bounds between an empty and a stocked look; log units."""

    misfit: float = 0.07  # an empty place goes on like its surroundings, closer than this
    texture: float = 0.015  # edges a pixel; an empty place is plainer than this
    steepness: float = 3.0  # log-odds per unit of ln(value / bound)
    surest: float = 3.0  # bound of the log-odds: a guess, which later evidence may turn round
    doubt: float = -1.0  # a guess of "empty" must be at least this sure; else the shelf is thought to be stocked
    usual: float = 1.0  # log-odds that a facing is stocked when the picture does not tell


def guess_occupied(planes: Planes, view: SlotView, noise: float, settings: ColdStartSettings) -> FloatVector:
    """Log-odds that each facing holds a product.

    Args:
        planes: (3, h, w) the slot's view.
        view: the slot.
        noise: standard deviation of its pixels in grey levels.
        settings: see ``ColdStartSettings``.

    Returns:
        (facings,) log-odds.
    """
    gap = np.abs(planes - surroundings(planes, view.inside))
    misfit = gap[0] + 0.7 * (gap[1] + gap[2])
    spread = noise * np.exp(-planes[0])  # log units
    misfit = np.sqrt(np.maximum(misfit**2 - (2.0 * spread) ** 2, 0))
    edges = np.sqrt(np.maximum(gradient(planes) ** 2 - (0.6 * spread) ** 2, 0))
    odds = np.zeros(view.facings)
    for facing in range(view.facings):
        where = view.inside & (view.column == facing)[None, :]
        if not where.any():
            odds[facing] = settings.usual
            continue
        cues = (
            np.log(max(float(misfit[where].mean()), 1e-4) / settings.misfit),
            np.log(max(float(edges[where].mean()), 1e-4) / settings.texture),
        )
        guess = settings.steepness * float(min(cues))
        odds[facing] = min(guess, settings.surest) if guess > 0 else max(guess, -settings.surest)
        if settings.doubt < odds[facing] < settings.usual:
            odds[facing] = settings.usual
    return odds
