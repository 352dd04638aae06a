"""Pictures in logarithmic light, where lamps, shadows and exposure are sums that can be taken away."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from shelfvision.edge.frame import Image

Planes = NDArray[np.float32]
"""(3, h, w): log light, and how far blue and red exceed green in shares of the light (see ``Darkroom.develop``)."""
FloatMap = NDArray[np.float32]
"""(h, w) at working resolution."""
Mask = NDArray[np.bool_]
"""(h, w) at working resolution."""

DARK_OFFSET = 8.0
"""Grey levels added before logarithm and division: keeps them finite in the dark."""


@dataclass(frozen=True, slots=True)
class LightSettings:
    """How light is measured and compared."""

    clipped: int = 244  # grey levels; from here a channel no longer follows the light
    sample_step: int = 3  # working pixels between the samples of the tone fit
    inlier: float = 0.12  # log units from the fit within which a sample is believed to show the same surface
    colour_inlier: float = 0.2  # likewise of the colours
    colour_weight: float = 4.0  # of the colours against the light when the contrast is fitted
    max_slope: float = 0.4  # bound of the contrast (gamma) change; a wilder fit is a changed scene, not light


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """One frame at working resolution."""

    planes: Planes
    clipped: Mask  # a channel is saturated: neither colour nor level can be compared there


class Darkroom:
    """Brings frames to working resolution and logarithmic light.

    The reduction is a whole number, so that area averaging is exact and quick.

    Args:
        frame_size: width and height of the frames in pixels.
        reduction: frame pixels per working pixel and side.
        settings: see ``LightSettings``.
    """

    def __init__(self, frame_size: tuple[int, int], reduction: int, settings: LightSettings) -> None:
        self.reduction = reduction
        self.width, self.height = frame_size[0] // reduction, frame_size[1] // reduction
        self.clip = settings.clipped
        mean = np.arange(766) / 3 + DARK_OFFSET  # by the sum of three channels
        self.log_table = np.log(mean).astype(np.float32)
        self.share_table = (1 / mean).astype(np.float32)

    def develop(self, image: Image) -> Picture:
        """The frame as logarithm of light and two colour planes that light does not change.

        For a grey surface a colour plane equals the logarithm of the two channels' ratio; unlike that ratio it stays
        bounded, and its noise small, where a saturated colour leaves one channel dark.
        """
        step = self.reduction
        whole = image[: self.height * step, : self.width * step]
        small = cv2.resize(whole, (self.width, self.height), interpolation=cv2.INTER_AREA)
        channels = cv2.split(small)
        blue, green, red = (channel.astype(np.int16) for channel in channels)
        light = blue + green + red
        planes = np.empty((3, self.height, self.width), np.float32)
        np.take(self.log_table, light, out=planes[0])
        share = np.take(self.share_table, light)
        np.multiply(blue - green, share, out=planes[1])
        np.multiply(red - green, share, out=planes[2])
        top = cv2.max(cv2.max(channels[0], channels[1]), channels[2])
        return Picture(planes, np.asarray(top >= self.clip))


def local_light(picture: Planes, reference: Planes, usable: Mask, inlier: float = 0.1) -> FloatMap:
    """The smooth part of the light ratio between two pictures of one place: a shadow's edge, a lamp's corner.

    A plane is fitted to the ratio, twice: over all usable pixels, then over those near the first fit.

    Args:
        picture: (3, h, w).
        reference: (3, h, w).
        usable: pixels that show the same surface in both.
        inlier: log units from the first fit that the second one keeps.

    Returns:
        (h, w) log units; 0 everywhere when too few pixels are usable.
    """
    height, width = usable.shape
    rows, columns = np.nonzero(usable)
    if len(rows) < 40:
        return np.zeros((height, width), np.float32)
    ratio = (picture[0] - reference[0])[rows, columns]
    where = np.stack([np.ones(len(rows)), columns / width - 0.5, rows / height - 0.5], axis=1)
    keep = np.abs(ratio - np.median(ratio)) < 3 * inlier
    plane = np.zeros(3)
    for _ in range(2):
        if np.count_nonzero(keep) < 40:
            break
        # The ridge keeps the slopes at 0 where the pixels lie in one line.
        a = where[keep]
        plane = np.linalg.solve(a.T @ a + np.diag([1e-6, 1.0, 1.0]), a.T @ ratio[keep])
        keep = np.abs(ratio - where @ plane) < inlier
    y, x = np.mgrid[0:height, 0:width]
    light = plane[0] + plane[1] * (x / width - 0.5) + plane[2] * (y / height - 0.5)
    return np.asarray(np.clip(light, -0.8, 0.8), np.float32)


@dataclass(frozen=True, slots=True)
class Tone:
    """Light of one picture relative to another: ``offset + slope * (reference - pivot)`` on the light plane."""

    offset: NDArray[np.float32]  # (3,) log units: light, blue over green, red over green
    slope: float = 0.0
    pivot: float = 4.5

    def relight(self, reference: Planes) -> Planes:
        """The reference as it would look in the other picture's light."""
        scale = np.float32(1 + self.slope)
        shift = self.offset.copy()
        shift[0] -= np.float32(self.slope * self.pivot)
        return np.asarray(reference * scale + shift[:, None, None])

    def unlight(self, picture: Planes) -> Planes:
        """The other picture as it would look in the reference's light."""
        scale = np.float32(1 / (1 + self.slope))
        shift = self.offset.copy()
        shift[0] -= np.float32(self.slope * self.pivot)
        return np.asarray((picture - shift[:, None, None]) * scale)


def fit_tone(picture: Planes, reference: Planes, usable: Mask, settings: LightSettings) -> Tone:
    """Fit gain, white balance and one contrast between two pictures of (mostly) the same scene.

    Robust by medians and one trimmed least-squares step: nearly half of the samples may show something else.

    Args:
        picture: the newer picture.
        reference: the picture to explain it by.
        usable: pixels that are not clipped and likely to show the same surface in both.
        settings: bounds of the fit.
    """
    step = settings.sample_step
    chosen = usable[::step, ::step]
    then = reference[:, ::step, ::step][:, chosen]  # (3, n)
    if then.shape[1] < 64:
        return Tone(np.zeros(3, np.float32))
    change = picture[:, ::step, ::step][:, chosen] - then
    offset = np.median(change, axis=1).astype(np.float32)
    residual = change[0] - offset[0]
    tinted = change[1:] - offset[1:, None]
    inlier = (np.abs(residual) < settings.inlier) & (np.abs(tinted) < settings.colour_inlier).all(axis=0)
    if np.count_nonzero(inlier) < 64:
        return Tone(offset)
    pivot = float(then[0][inlier].mean())
    x = then[0][inlier] - pivot
    # Contrast stretches light and colours alike; a shadow only seems to, on the light, so colours count for more.
    colour = then[1:, inlier] - then[1:, inlier].mean(axis=1, keepdims=True)
    weight = settings.colour_weight
    told = np.dot(x, residual[inlier]) + weight * np.vdot(colour, tinted[:, inlier])
    # The ridge term keeps the slope at 0 where the scene has too little contrast to tell.
    slope = float(told / (np.dot(x, x) + weight * np.vdot(colour, colour) + 0.01 * len(x)))
    slope = float(np.clip(slope, -settings.max_slope, settings.max_slope))
    explained = change[0] - slope * (then[0] - pivot)
    offset[0] = np.median(explained)
    close = np.abs(explained - offset[0]) < settings.inlier
    if np.count_nonzero(close) >= 64:
        offset[0] = explained[close].mean()
        offset[1:] = np.median(change[1:, close], axis=1)
    return Tone(offset, slope, pivot)
