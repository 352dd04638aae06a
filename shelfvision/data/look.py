"""Changes of how a picture looks, boxes untouched: light, colour, blur, noise, compression (albumentations)."""

from __future__ import annotations

import os
from typing import Any

import cv2
import numpy as np

from shelfvision.data.augment_settings import AugmentSettings
from shelfvision.data.images import Image

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # it would ask the internet for a newer version when imported
import albumentations

_MOST_SEED = 2**31


class Look:
    """Applies the photometric part of ``AugmentSettings`` to BGR pictures of any size."""

    def __init__(self, settings: AugmentSettings) -> None:
        steps = _steps(settings)
        self._compose = albumentations.Compose(steps, seed=0) if steps else None

    def __call__(self, rng: np.random.Generator, image: Image) -> Image:
        """The changed picture, (h, w, 3) BGR; the same generator state gives the same pixels."""
        if self._compose is None:
            return image
        self._compose.set_random_seed(int(rng.integers(_MOST_SEED)))
        # albumentations thinks in RGB, which matters for colour temperature, grey and JPEG's chroma
        changed = self._compose(image=cv2.cvtColor(image, cv2.COLOR_BGR2RGB))["image"]
        return np.asarray(cv2.cvtColor(changed, cv2.COLOR_RGB2BGR), np.uint8)


def _steps(settings: AugmentSettings) -> list[Any]:
    """Transforms in the order in which light, lens, sensor and encoder act on a real picture."""
    a = albumentations
    steps: list[Any] = []
    if settings.light:
        limit = 0.6 * settings.light
        steps += [
            a.RandomBrightnessContrast(limit, limit, brightness_by_max=True, p=0.7),
            a.RandomGamma((100 - 70 * settings.light, 100 + 120 * settings.light), p=0.3),
        ]
    if settings.colour:
        steps += [
            a.HueSaturationValue(round(36 * settings.colour), round(100 * settings.colour), 0, p=0.5),
            a.PlanckianJitter(
                # kelvin; 6,000 is white to albumentations, 3,000 and 15,000 are its ends
                temperature_limit=(round(6000 - 3000 * settings.colour), round(6000 + 9000 * settings.colour)),
                p=0.3,
            ),
        ]
    if settings.grey:
        steps.append(a.ToGray(p=settings.grey))
    if settings.blur:
        widest = 3 + 2 * round(6 * settings.blur)
        linear = {"downscale": cv2.INTER_AREA, "upscale": cv2.INTER_LINEAR}
        kinds = [
            a.MotionBlur((3, widest), p=1),
            a.GaussianBlur(0, (0.3, 0.5 + 2.5 * settings.blur), p=1),
            a.Downscale((1 - 0.7 * settings.blur, 1 - 0.2 * settings.blur), linear, p=1),
        ]
        steps.append(a.OneOf(kinds, p=min(1.0, settings.blur)))
    if settings.noise:
        spread = (0.005, 0.005 + 0.12 * settings.noise)
        fine, coarse = (a.GaussNoise(spread, noise_scale_factor=grain, p=1) for grain in (1, 0.5))
        steps.append(a.OneOf([fine, coarse, coarse], p=min(1.0, settings.noise)))
    if settings.compression:
        worst = round(95 - 80 * settings.compression)
        steps.append(a.ImageCompression("jpeg", (worst, 95), p=min(1.0, 1.5 * settings.compression)))
    return steps
