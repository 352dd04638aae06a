"""Where two pictures of one place show different things, not only different light."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from shelfvision.edge.light import FloatMap, Mask, Planes


@dataclass(frozen=True, slots=True)
class DifferenceSettings:
    """Bounds above which a pixel counts as showing something else. Units: natural-log light unless said."""

    window: int = 5  # pixels, side of the neighbourhood in which structure is compared
    chroma: float = 0.15  # change of the colour ratios; shadows and dimmed lamps keep them
    structure: float = 0.085  # standard deviation of the light ratio within the window; soft shadows stay below
    structure_share: float = 0.35  # of the structure's own energy: 0 same pattern, 1 unrelated; forgives tiny shifts
    darker: float = -0.95  # a shadow leaves more light than this (39 %)
    brighter: float = 0.33  # nothing but another surface gets this much brighter than the rest of the picture (139 %)


LIVE = DifferenceSettings()
"""For a single frame against the background: blind to soft shadows."""
SETTLED = DifferenceSettings(chroma=0.08, structure=0.045, structure_share=0.35, darker=-0.5, brighter=0.2)
"""For two settled pictures, averaged over time: little noise, and moving shadows are gone."""


def local_mean(values: FloatMap, window: int) -> FloatMap:
    """Mean within a square window around each pixel."""
    return np.asarray(cv2.blur(values, (window, window), borderType=cv2.BORDER_REFLECT_101))


def local_variance(values: FloatMap, window: int) -> FloatMap:
    """Variance within a square window around each pixel."""
    mean = local_mean(values, window)
    return np.maximum(local_mean(values * values, window) - mean * mean, np.float32(0))


def changed(
    picture: Planes,
    reference: Planes,
    clipped: Mask,
    settings: DifferenceSettings,
    reference_variance: FloatMap | None = None,
) -> Mask:
    """Pixels whose surface differs between two equally lit pictures.

    Structure is compared as the variance of the light *ratio* in a small window, relative to the variance of both
    pictures there (one minus a normalised cross-correlation, with a floor): a locally constant ratio, as in a shadow,
    is no change.

    Args:
        picture: planes brought to the reference's light.
        reference: planes.
        clipped: pixels that are saturated in either picture; there only structure counts.
        settings: the bounds.
        reference_variance: ``local_variance(reference[0], settings.window)`` where it is already known.
    """
    window = settings.window
    light = picture[0] - reference[0]
    blue = local_mean(picture[1] - reference[1], 3)
    red = local_mean(picture[2] - reference[2], 3)
    colour = blue * blue + red * red > settings.chroma**2
    if reference_variance is None:
        reference_variance = local_variance(reference[0], window)
    energy = local_variance(picture[0], window) + reference_variance
    difference = local_variance(light, window)
    floor = settings.structure**2
    structure = difference > np.maximum(floor, settings.structure_share * (energy + floor))
    level = local_mean(light, 3)
    shaded = (level < settings.darker) | (level > settings.brighter)
    return np.asarray(structure | ((colour | shaded) & ~clipped))
