"""The settled shelf as a background, and what stands or moves in front of it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from shelfvision.edge.difference import LIVE, DifferenceSettings, bounds_of, changed, local_mean
from shelfvision.edge.light import FloatMap, LightSettings, Mask, Picture, Planes, Tone, fit_tone


@dataclass(frozen=True, slots=True)
class ForegroundSettings:
    """How the background follows the shelf and how differing pixels become blobs."""

    recent_seconds: float = 0.25  # time constant of the picture that single frames are averaged into
    motion_light: float = 0.07  # log units; a pixel that differs that much from the recent picture moves
    motion_chroma: float = 0.10  # log units
    usual_noise: float = 2.0  # grey levels of a working pixel, until measured
    noise_range: tuple[float, float] = (1.0, 12.0)  # grey levels
    drift_seconds: float = 8.0  # time constant with which unchanged places follow slow light
    drift_light: float = 0.12  # log units; what is darker or lighter by more is a shadow, and only slowly the new light
    drift_slower: float = 12.0  # times slower for that
    drift_every: float = 0.5  # seconds between two steps of that
    relight_every: float = 2.0  # seconds between two steps that bring the background into the present light
    relight_above: float = 0.04  # log units of difference that are worth it
    join: int = 5  # working pixels that are closed between parts of one blob
    smallest: float = 0.0004  # of the picture; smaller blobs are noise
    stray_seconds: float = 4.0  # a still change away from every slot joins the background after this


@dataclass(frozen=True, slots=True, eq=False)
class Maps:
    """What one frame says about each working pixel."""

    lit: Planes  # the frame in the background's light
    clipped: Mask  # saturated in the frame or the background: nothing but structure can be compared
    changed: Mask  # differs from the background
    moving: Mask  # differs from the picture of a moment ago
    still_since: NDArray[np.float64]  # time since when each pixel has not moved
    tone: Tone
    changed_share: float  # of all pixels


@dataclass(frozen=True, slots=True, eq=False)
class Blob:
    """A connected piece of what differs from the background."""

    label: int  # in the label map
    box: tuple[int, int, int, int]  # working pixels, ends exclusive
    area: int  # working pixels


class Background:
    """Believes what the settled shelf looks like and compares every frame with it.

    Args:
        first: the first picture; it is the background until told better.
        now: its time in seconds.
        light: bounds of the tone fit.
        settings: see ``ForegroundSettings``.
        live: bounds for a single frame against the background.
    """

    def __init__(
        self,
        first: Picture,
        now: float,
        light: LightSettings,
        settings: ForegroundSettings,
        live: DifferenceSettings = LIVE,
    ) -> None:
        self.light, self.settings, self.live = light, settings, live
        self.planes = first.planes.copy()
        self.clipped = first.clipped.copy()
        self.recent = first.planes.copy()
        self.still_since = np.full(first.clipped.shape, now, np.float64)
        self._changed = np.zeros(first.clipped.shape, bool)
        self.noise = settings.usual_noise
        self._bounds = bounds_of(self.planes, live, self.noise)
        self._seen_at = now
        self.drifted_at = now
        self._relit_at = now

    def compare(self, picture: Picture, now: float) -> Maps:
        """Compare a frame with the background and with the moment before."""
        clipped = picture.clipped | self.clipped
        tone = fit_tone(picture.planes, self.planes, ~(clipped | self._changed), self.light)
        lit = tone.unlight(picture.planes)
        differs = changed(lit, self.planes, clipped, self.live, self._bounds)
        self._measure_noise(lit)
        moving = self._moving(lit, clipped)
        elapsed = max(now - self._seen_at, 0.0)
        keep = np.float32(np.exp(-elapsed / self.settings.recent_seconds))
        self.recent += (lit - self.recent) * (1 - keep)
        self.recent[:, moving] = lit[:, moving]
        self.still_since[moving] = now
        self._seen_at = now
        self._changed = differs
        return Maps(
            lit, clipped, differs, moving, self.still_since, tone, float(np.count_nonzero(differs)) / differs.size
        )

    def _measure_noise(self, lit: Planes) -> None:
        """Follow the camera's noise: the median deviation from the recent picture, which has little of it left."""
        step = (slice(1, None, 4), slice(1, None, 4))
        deviation = np.abs(lit[0][step] - self.recent[0][step]) * np.exp(self.recent[0][step])
        low, high = self.settings.noise_range
        measured = float(np.clip(1.48 * np.median(deviation), low, high))
        self.noise += 0.05 * (measured - self.noise)

    def _moving(self, lit: Planes, clipped: Mask) -> Mask:
        """Pixels that differ from the recent picture; a jump of the whole picture's light is no motion."""
        light = lit[0] - self.recent[0]
        light = light - np.float32(np.median(light[::4, ::4]))
        blue, red = lit[1] - self.recent[1], lit[2] - self.recent[2]
        spread = np.float32(self.noise) * np.exp(-self.recent[0])
        moved = np.abs(local_mean(light, 3)) > self.settings.motion_light + 1.5 * spread
        colour = np.maximum(np.abs(local_mean(blue, 3)), np.abs(local_mean(red, 3)))
        moved |= colour > self.settings.motion_chroma + 2.0 * spread
        return np.asarray(moved & ~clipped)

    def adopt(self, where: Mask, light: FloatMap | None = None) -> None:
        """What is seen now at these pixels is the settled shelf from here on.

        Args:
            where: (h, w) pixels.
            light: (h, w) local light that lies on them now (a shadow), to be left out.
        """
        self.planes[:, where] = self.recent[:, where]
        if light is not None:
            self.planes[0, where] -= light[where]
        self._changed = self._changed & ~where
        self._bounds = bounds_of(self.planes, self.live, self.noise)

    def follow(self, maps: Maps, clear: Mask, quiet: bool, now: float) -> Tone | None:
        """Follow slow changes of light where the shelf is settled.

        Args:
            maps: the comparison of this frame.
            clear: pixels with nothing in front of them or near.
            quiet: no slot is visited, so that the whole background may be relit.
            now: time in seconds.

        Returns:
            The tone by which the whole background was relit, or None: pictures kept elsewhere need it too.
        """
        elapsed = now - self.drifted_at
        if elapsed >= self.settings.drift_every:
            self.drifted_at = now
            share = np.float32(1 - np.exp(-elapsed / self.settings.drift_seconds))
            fine = clear & ~maps.changed
            shaded = np.abs(self.recent[0] - self.planes[0]) > self.settings.drift_light
            speed = np.where(shaded, share / np.float32(self.settings.drift_slower), share) * fine
            self.planes += (self.recent - self.planes) * speed
            self.clipped = np.where(fine, maps.clipped, self.clipped)
            self._bounds = bounds_of(self.planes, self.live, self.noise)
        if not quiet or now - self._relit_at < self.settings.relight_every:
            return None
        self._relit_at = now
        tone = maps.tone
        if max(float(np.abs(tone.offset).max()), abs(tone.slope)) < self.settings.relight_above:
            return None
        part = Tone(tone.offset * np.float32(0.5), tone.slope * 0.5, tone.pivot)
        self.planes = part.relight(self.planes)
        self.recent = part.relight(self.recent)
        self._bounds = bounds_of(self.planes, self.live, self.noise)
        return part

    def restart(self, picture: Picture, now: float) -> None:
        """Frames come again after a pause: nothing is known to have moved or stood still."""
        tone = fit_tone(picture.planes, self.planes, ~(picture.clipped | self.clipped), self.light)
        self.recent = tone.unlight(picture.planes)
        self.still_since[:] = now
        self._seen_at = now
        self._changed[:] = False


def find_blobs(mask: Mask, settings: ForegroundSettings) -> tuple[NDArray[np.int32], list[Blob]]:
    """Connected pieces of a mask.

    Returns:
        Label map (h, w), 0 where there is none or the piece is too small, and one ``Blob`` a piece.
    """
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (settings.join, settings.join))
    joined = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_CLOSE, kernel)
    count, found, stats, _ = cv2.connectedComponentsWithStats(joined, connectivity=8)
    labels = np.asarray(found, np.int32)
    smallest = max(12.0, settings.smallest * mask.size)
    large = [i for i in range(1, count) if stats[i, cv2.CC_STAT_AREA] >= smallest]
    if len(large) < count - 1:
        known = np.zeros(count, np.int32)
        known[large] = large
        labels = known[labels]
    blobs = []
    for i in large:
        x, y, width, height, size = (int(v) for v in stats[i])
        blobs.append(Blob(i, (x, y, x + width, y + height), size))
    return labels, blobs
