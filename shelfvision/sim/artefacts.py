"""What a camera does to a picture, in the order in which it does it: blur, curve, noise, sharpening, compression."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from shelfvision.sim.scene_settings import SceneSettings

Image = NDArray[np.uint8]
_TILE = 640


@lru_cache(maxsize=2)
def _noise_tile(seed: int) -> NDArray[np.int16]:
    """Sensor noise of unit strength 16: mostly per pixel, a part in blotches of colour as after a camera's denoising."""
    rng = np.random.default_rng(900 + seed)
    fine = rng.normal(0, 1, (_TILE, _TILE, 1)) + 0.45 * rng.normal(0, 1, (_TILE, _TILE, 3))
    blotches = cv2.GaussianBlur(rng.normal(0, 1, (_TILE, _TILE, 3)), (0, 0), 1.8) * 4.0
    return np.round(16 * (0.8 * fine + 0.5 * blotches)).astype(np.int16)


def add_noise(image: Image, strength: float, rng: np.random.Generator) -> Image:
    """Sensor noise; at ``strength`` 1 about 13 grey levels in the middle tones."""
    if strength <= 0:
        return image
    tile = _noise_tile(int(rng.integers(2)))
    if rng.random() < 0.5:
        tile = tile[::-1]
    if rng.random() < 0.5:
        tile = tile[:, ::-1]
    top, left = rng.integers(0, _TILE // 2, 2)
    height, width = image.shape[:2]
    rows = np.take(tile, np.arange(top, top + height) % _TILE, axis=0)
    field = np.take(rows, np.arange(left, left + width) % _TILE, axis=1)
    scaled = cv2.convertScaleAbs(field, alpha=strength * 12 / 16, beta=128) if strength * 12 * 4 < 110 else None
    if scaled is not None:
        # |alpha * noise + 128| is positive as long as the noise stays under 128
        return np.asarray(cv2.addWeighted(image, 1.0, scaled, 1.0, -128.0), np.uint8)
    return np.clip(image + field * (strength * 12 / 16), 0, 255).astype(np.uint8)


def tone(image: Image, contrast: float, haze: float) -> Image:
    """Contrast around middle grey with soft ends, then a veil of stray light."""
    if contrast == 1.0 and haze == 0.0:
        return image
    x = np.arange(256) / 255.0
    curved = (
        0.5 + np.tanh((x - 0.5) * 2.0 * contrast) / (2 * np.tanh(contrast))
        if contrast > 1
        else 0.5 + (x - 0.5) * contrast
    )
    table = np.clip((curved * (1 - haze) + 0.72 * haze) * 255, 0, 255).astype(np.uint8)
    return np.asarray(cv2.LUT(image, table), np.uint8)


def blur(image: Image, blur_px: float, motion_px: float, rng: np.random.Generator) -> Image:
    """Out of focus by a Gaussian of ``blur_px``, shaken by ``motion_px`` in a random direction."""
    if blur_px >= 0.25:
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), blur_px), np.uint8)
    if motion_px >= 1.5:
        size = int(motion_px) | 1
        kernel = np.zeros((size, size), np.float32)
        angle = rng.uniform(0, np.pi)
        dx, dy = np.cos(angle) * size / 2, np.sin(angle) * size / 2
        middle = size // 2
        cv2.line(kernel, (round(middle - dx), round(middle - dy)), (round(middle + dx), round(middle + dy)), 1.0, 1)
        image = np.asarray(cv2.filter2D(image, -1, kernel / kernel.sum()), np.uint8)
    return image


def video_traces(image: Image, strength: float) -> Image:
    """What a low-rate H.264 stream leaves: coarse colour, lost detail, softened block edges."""
    if strength <= 0:
        return image
    height, width = image.shape[:2]
    quality = int(np.interp(strength, (0, 1), (48, 9)))
    coded = cv2.imencode(
        ".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, 0x221111]
    )[1]
    decoded = cv2.imdecode(coded, cv2.IMREAD_COLOR)
    # the codec's in-loop filter: smooth only across block edges
    smooth = cv2.blur(decoded, (3, 3))
    edge_columns, edge_rows = np.arange(width) % 8, np.arange(height) % 8
    mask = ((edge_columns == 0) | (edge_columns == 7))[None, :] | ((edge_rows == 0) | (edge_rows == 7))[:, None]
    return np.asarray(cv2.copyTo(smooth, mask.astype(np.uint8), decoded), np.uint8)


def finish(image: Image, settings: SceneSettings, rng: np.random.Generator) -> Image:
    """The picture as the camera delivers it, before JPEG."""
    image = blur(image, settings.blur_px, settings.motion_px, rng)
    image = tone(image, settings.contrast, settings.haze)
    image = add_noise(image, settings.noise, rng)
    if settings.sharpening > 0.05:
        soft = cv2.GaussianBlur(image, (5, 5), 1.1)
        image = np.asarray(cv2.addWeighted(image, 1 + settings.sharpening, soft, -settings.sharpening, 0), np.uint8)
    return video_traces(image, settings.video)
