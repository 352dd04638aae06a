"""What befalls a fixed camera: light that drifts and jumps, automatic exposure, knocks, nudges, noise, a soft lens."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from shelfvision.sim.compositing import Image, Mask, Region

_FIELDS = 3  # noise pictures that take turns
_BORDER = 48


@dataclass(frozen=True, slots=True)
class SensorOptions:
    """How good camera and light are; rates are events a minute."""

    noise: float = 2.2  # standard deviation of a pixel, of 255
    soft_px: float = 0.55
    drift: float = 0.05  # slow changes of the light
    light_steps: float = 0.4  # lamps switched, a minute
    knocks: float = 0.3  # somebody bumps the shelf, a minute
    nudge_at: float | None = None  # seconds: the camera is moved for good
    nudge_px: tuple[float, float] = (9.0, 5.0)
    exposure: float = 0.12  # how far a dark or bright thing in front changes the exposure


class Sensor:
    """Turns composed pictures into what the camera delivers. A function of seed, frame and what is in front.

    Args:
        size: width and height of the picture.
        seed: of drift, steps, knocks and noise.
        options: how good it is.
    """

    def __init__(self, size: tuple[int, int], seed: int, options: SensorOptions) -> None:
        self._size = size
        self._options = options
        self._seed = seed
        rng = np.random.default_rng([seed, *b"sensor"])
        self._phase = rng.uniform(0, 2 * np.pi, 6)
        self._period = rng.uniform(25, 140, 6)
        self._fields = [self._noise_field(rng) for _ in range(_FIELDS)] if options.noise > 0 else []
        self._step_times, self._step_gains = self._steps(rng)
        self._knock_times = (
            np.cumsum(60 / max(options.knocks, 1e-9) * rng.exponential(size=400)) if options.knocks else np.zeros(0)
        )
        self._out: Image = np.zeros((size[1], size[0], 3), np.uint8)

    def _noise_field(self, rng: np.random.Generator) -> Image:
        shape = (self._size[1] + _BORDER, self._size[0] + _BORDER)
        grey = rng.standard_normal(shape, np.float32)
        colour = rng.standard_normal((*shape, 3), np.float32)
        field = 0.75 * grey[..., None] + 0.65 * colour
        field = cv2.GaussianBlur(field, (3, 3), 0.55)
        field = field * np.float32(self._options.noise / float(field.std()))
        return np.asarray(np.clip(field + 128, 0, 255).round(), np.uint8)

    def _steps(self, rng: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Times at which lamps are switched, and the gain from then on."""
        if not self._options.light_steps:
            return np.zeros(0), np.ones(1)
        times = np.cumsum(60 / self._options.light_steps * (0.3 + rng.exponential(size=400)))
        gains = np.concatenate([[1.0], np.clip(1 + rng.normal(0, 0.09, 400), 0.78, 1.2)])
        return times, gains

    def soften(self, into: Image, sharp: Image, region: Region | None) -> None:
        """Copy a rectangle of a sharp picture, blurred as the lens does."""
        height, width = sharp.shape[:2]
        if region is None:
            region = Region(0, 0, width, height)
        x1, y1 = max(0, region.x1 - 4), max(0, region.y1 - 4)
        x2, y2 = min(width, region.x2 + 4), min(height, region.y2 + 4)
        if x1 >= x2 or y1 >= y2:
            return
        gx1, gy1, gx2, gy2 = max(0, x1 - 4), max(0, y1 - 4), min(width, x2 + 4), min(height, y2 + 4)
        part = sharp[gy1:gy2, gx1:gx2]
        if self._options.soft_px > 0:
            part = np.asarray(cv2.GaussianBlur(part, (0, 0), self._options.soft_px), np.uint8)
        into[y1:y2, x1:x2] = part[y1 - gy1 : y2 - gy1, x1 - gx1 : x2 - gx1]

    def expose(self, picture: Image, cover: Mask, index: int, time: float) -> Image:
        """The delivered frame, in a buffer that the next call overwrites."""
        gains = self._gains(cover, time)
        table = np.clip(np.arange(256)[:, None] * gains, 0, 255).round().astype(np.uint8)[None]
        cv2.LUT(picture, table, self._out)
        shift = self._shift(time)
        if shift is not None:
            moved = cv2.warpAffine(
                self._out, shift, self._size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
            )
            np.copyto(self._out, moved)
        if self._fields:
            # where the field is cut from depends on the frame only, so that skipped frames change nothing
            spot = np.random.default_rng([self._seed, index])
            number, dx, dy = int(spot.integers(_FIELDS)), *(int(v) for v in spot.integers(0, _BORDER, 2))
            field = self._fields[number][dy : dy + self._size[1], dx : dx + self._size[0]]
            cv2.addWeighted(self._out, 1.0, field, 1.0, -128.0, dst=self._out)
        return self._out

    def _gains(self, cover: Mask, time: float) -> NDArray[np.float64]:
        slow = np.sin(2 * np.pi * time / self._period + self._phase)
        level = 1 + self._options.drift * (0.6 * slow[0] + 0.4 * slow[1])
        white = 1 + 0.25 * self._options.drift * slow[2:5]
        place = int(np.searchsorted(self._step_times, time, side="right"))
        gain = self._step_gains[place]
        if place and (since := time - self._step_times[place - 1]) < 0.6:
            gain = self._step_gains[place - 1] + (gain - self._step_gains[place - 1]) * since / 0.6
        in_front = float(np.mean(cover[::24, ::24] > 100))
        return np.asarray(level * white * gain * (1 + self._options.exposure * in_front))

    def _shift(self, time: float) -> NDArray[np.float64] | None:
        x = y = 0.0
        place = int(np.searchsorted(self._knock_times, time, side="right"))
        if place and (since := time - self._knock_times[place - 1]) < 0.8:
            swing = 2.4 * np.exp(-since / 0.2) * np.sin(2 * np.pi * 7 * since)
            x, y = x + swing, y + 0.5 * swing
        if self._options.nudge_at is not None and time >= self._options.nudge_at:
            x, y = x + self._options.nudge_px[0], y + self._options.nudge_px[1]
        return None if abs(x) + abs(y) < 0.05 else np.array([[1, 0, x], [0, 1, y]])
