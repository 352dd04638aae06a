"""What a camera does to a picture, in the order in which it does it: blur, curve, noise, sharpening, compression."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from shelfvision.sim.scene_settings import SceneSettings

Image = NDArray[np.uint8]
_TILE = (1408, 1088)  # width, height


@lru_cache(maxsize=1)
def _noise_tile() -> NDArray[np.uint8]:
    """Sensor noise around 128, 20 levels deep: mostly per pixel, a part in blotches of colour as after denoising."""
    rng = np.random.default_rng(900)
    shape = _TILE[1], _TILE[0]

    def white(channels: int) -> NDArray[np.float32]:
        return rng.standard_normal((*shape, channels), np.float32)

    blotches = cv2.GaussianBlur(white(3), (0, 0), 1.8) * 4.0
    field = 0.8 * white(1) + 0.36 * white(3) + 0.5 * blotches
    return np.asarray(np.clip(128.5 + 20 * field, 0, 255), np.uint8)


def add_noise(image: Image, strength: float, rng: np.random.Generator) -> Image:
    """Sensor noise; at ``strength`` 1 about 13 grey levels in the middle tones."""
    if strength <= 0:
        return image
    tile = _noise_tile()
    if rng.random() < 0.5:
        tile = tile[::-1]
    height, width = image.shape[:2]
    top, left = int(rng.integers(_TILE[1])), int(rng.integers(_TILE[0]))
    if height <= _TILE[1] - 64 and width <= _TILE[0] - 64:
        top, left = top % (_TILE[1] - height), left % (_TILE[0] - width)
        field = tile[top : top + height, left : left + width]
    else:
        rows = np.take(tile, np.arange(top, top + height) % _TILE[1], axis=0)
        field = np.take(rows, np.arange(left, left + width) % _TILE[0], axis=1)
    share = strength * 12 / 20
    return np.asarray(cv2.addWeighted(image, 1.0, field, share, -128.0 * share), np.uint8)


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
    decoded = np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), np.uint8)
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
