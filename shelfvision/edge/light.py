"""Pictures in logarithmic light, where lamps, shadows and exposure are sums that can be taken away."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from shelfvision.edge.frame import Image

Planes = NDArray[np.float32]
"""(3, h, w): log light (mean of the channels), log blue over green, log red over green."""
FloatMap = NDArray[np.float32]
"""(h, w) at working resolution."""
Mask = NDArray[np.bool_]
"""(h, w) at working resolution."""


@dataclass(frozen=True, slots=True)
class LightSettings:
    """How light is measured and compared."""

    dark_offset: float = 20.0  # grey levels added before the logarithm: sensor noise in the dark stays small
    clipped: int = 244  # grey levels; from here a channel no longer follows the light
    sample_step: int = 3  # working pixels between the samples of the tone fit
    inlier: float = 0.12  # log units from the fit within which a sample is believed to show the same surface
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
        self.table = np.log(np.arange(256, dtype=np.float64) + settings.dark_offset).astype(np.float32)

    def develop(self, image: Image) -> Picture:
        """The frame in logarithmic light."""
        step = self.reduction
        whole = image[: self.height * step, : self.width * step]
        small = cv2.resize(whole, (self.width, self.height), interpolation=cv2.INTER_AREA)
        channels = cv2.split(small)
        blue, green, red = (cv2.LUT(channel, self.table) for channel in channels)
        planes = np.empty((3, self.height, self.width), np.float32)
        np.multiply(blue + green + red, np.float32(1 / 3), out=planes[0])
        np.subtract(blue, green, out=planes[1])
        np.subtract(red, green, out=planes[2])
        top = cv2.max(cv2.max(channels[0], channels[1]), channels[2])
        return Picture(planes, np.asarray(top >= self.clip))


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
    inlier = np.abs(residual) < settings.inlier
    if np.count_nonzero(inlier) < 64:
        return Tone(offset)
    pivot = float(then[0][inlier].mean())
    x = then[0][inlier] - pivot
    # The ridge term keeps the slope at 0 where the scene has too little contrast to tell.
    slope = float(np.dot(x, residual[inlier]) / (np.dot(x, x) + 0.01 * len(x)))
    slope = float(np.clip(slope, -settings.max_slope, settings.max_slope))
    explained = change[0] - slope * (then[0] - pivot)
    offset[0] = np.median(explained)
    close = np.abs(explained - offset[0]) < settings.inlier
    if np.count_nonzero(close) >= 64:
        offset[0] = explained[close].mean()
        offset[1:] = np.median(change[1:, close], axis=1)
    return Tone(offset, slope, pivot)
