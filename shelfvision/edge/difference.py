"""Where two pictures of one place show different things, not only different light."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from shelfvision.edge.light import DARK_OFFSET, FloatMap, Mask, Planes


@dataclass(frozen=True, slots=True)
class DifferenceSettings:
    """Bounds above which a pixel counts as showing something else. Units: natural-log light unless said."""

    window: int = 5  # pixels, side of the neighbourhood in which structure is compared
    chroma: float = 0.15  # change of the colour ratios; shadows and dimmed lamps keep them
    structure: float = 0.085  # standard deviation of the light ratio within the window; soft shadows stay below
    structure_share: float = 0.35  # of the structure's own energy: 0 same pattern, 1 unrelated; forgives tiny shifts
    darker: float = -0.95  # a shadow leaves more light than this (39 %)
    outlined: float = 0.12  # a sharply outlined area counts although it is only so much darker or lighter ...
    enclosed: float = 0.6  # ... when this share of its border is such an outline
    brighter: float = 0.6  # a shadow that leaves makes less of a difference (182 %)


LIVE = DifferenceSettings()
"""For a single frame against the background: blind to soft shadows."""
SETTLED = DifferenceSettings(chroma=0.06, structure=0.035, structure_share=0.35, darker=-0.7, brighter=0.6)
"""For two settled pictures, averaged over time: little noise, and moving shadows are gone."""


def local_mean(values: FloatMap, window: int) -> FloatMap:
    """Mean within a square window around each pixel."""
    return np.asarray(cv2.blur(values, (window, window), borderType=cv2.BORDER_REFLECT_101))


def local_variance(values: FloatMap, window: int) -> FloatMap:
    """Variance within a square window around each pixel."""
    mean = local_mean(values, window)
    return np.maximum(local_mean(values * values, window) - mean * mean, np.float32(0))


@dataclass(frozen=True, slots=True, eq=False)
class Bounds:
    """The bounds for each pixel of one reference picture: what is dark is noisy, so more must change there."""

    variance: FloatMap  # of the reference's light within the window
    structure: FloatMap  # squared, log units
    chroma: FloatMap  # squared, log units
    darker: FloatMap  # log units
    brighter: FloatMap  # log units


def bounds_of(reference: Planes, settings: DifferenceSettings, noise: float) -> Bounds:
    """Bounds for pictures compared with ``reference``.

    Args:
        reference: planes.
        settings: the bounds in good light.
        noise: standard deviation of a working pixel in grey levels.
    """
    # Light is the logarithm of a grey level (plus the dark offset), so noise over level is its standard deviation.
    spread = np.float32(noise) * np.exp(-reference[0])
    # The dark offset makes colours paler in the dark: halved light L leaves (L + offset) / (L + 2 offset) of them.
    paler = np.square(reference[1:]).sum(axis=0) * np.square(DARK_OFFSET / (np.exp(reference[0]) + DARK_OFFSET))
    return Bounds(
        local_variance(reference[0], settings.window),
        np.square(np.maximum(settings.structure, 3.0 * spread)),
        # The difference of two channels has 1.4 times the noise of the light, and is averaged over 3x3.
        settings.chroma**2 + np.square(3.0 * spread) + paler,
        settings.darker - 2.0 * spread,
        settings.brighter + 2.0 * spread,
    )


def fill_outlined(mask: Mask, level: FloatMap, least: float, enclosed: float) -> Mask:
    """Add what is evenly darker or lighter and sharply outlined: a thing, where a shadow would have a soft outline.

    Args:
        mask: pixels known to have changed, outlines among them.
        level: light ratio, log units.
        least: log units by which the inside must differ.
        enclosed: share of an area's border that must lie on the mask.

    Returns:
        (h, w) the mask and the areas.
    """
    weak = ((np.abs(level) > least) & ~mask).astype(np.uint8)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(weak, connectivity=4)
    kernel = np.ones((3, 3), np.uint8)
    result = mask
    order = np.argsort(stats[1:, cv2.CC_STAT_AREA])[::-1][:24] + 1
    for label in order:
        x, y, width, height, size = (int(v) for v in stats[label])
        if size < 20:
            break
        top, left = max(0, y - 1), max(0, x - 1)
        window = (slice(top, y + height + 1), slice(left, x + width + 1))
        area = labels[window] == label
        ring = (cv2.dilate(area.astype(np.uint8), kernel) > 0) & ~area
        if np.count_nonzero(ring & mask[window]) >= enclosed * np.count_nonzero(ring):
            if result is mask:
                result = mask.copy()
            result[window] |= area
    return result


def changed(picture: Planes, reference: Planes, clipped: Mask, settings: DifferenceSettings, bounds: Bounds) -> Mask:
    """Pixels whose surface differs between two equally lit pictures.

    Structure is compared as the variance of the light *ratio* in a small window, relative to the variance of both
    pictures there (one minus a normalised cross-correlation, with a floor): a locally constant ratio, as in a shadow,
    is no change.

    Args:
        picture: planes brought to the reference's light.
        reference: planes.
        clipped: pixels that are saturated in either picture; there only structure counts.
        settings: window and share of the structure.
        bounds: ``bounds_of(reference, settings, noise)``.
    """
    window = settings.window
    light = picture[0] - reference[0]
    blue = local_mean(picture[1] - reference[1], 3)
    red = local_mean(picture[2] - reference[2], 3)
    colour = blue * blue + red * red > bounds.chroma
    energy = local_variance(picture[0], window) + bounds.variance
    difference = local_variance(light, window)
    structure = difference > np.maximum(bounds.structure, settings.structure_share * (energy + bounds.structure))
    level = local_mean(light, 3)
    shaded = (level < bounds.darker) | (level > bounds.brighter)
    mask = np.asarray(structure | ((colour | shaded) & ~clipped))
    return fill_outlined(mask, level, settings.outlined, settings.enclosed)
