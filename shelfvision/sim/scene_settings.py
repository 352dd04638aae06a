"""What a scene is: fixture, stock, camera, light and picture faults, with the range that each can take."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np

from shelfvision.errors import ConfigError

FIXTURES = ("gondola", "chiller", "endcap", "table")
BACKS = ("plain", "perforated", "dark", "slats")
FRONTS = ("none", "wire", "glass", "door")

# setting -> least and greatest value
RANGES: dict[str, tuple[float, float]] = {
    "boards": (1, 7),
    "bays": (1, 10),
    "products": (1, 2000),
    "fill": (0.0, 1.0),
    "rows": (1, 6),
    "stacked": (0.0, 1.0),
    "misplaced": (0.0, 1.0),
    "fallen": (0.0, 1.0),
    "leaning": (0.0, 1.0),
    "turned": (0.0, 1.0),
    "loose": (0.0, 1.0),
    "faced_up": (0.0, 1.0),
    "trays": (0.0, 1.0),
    "promotions": (0.0, 1.0),
    "distance_cm": (25, 900),
    "height_cm": (5, 290),
    "offset_cm": (-400, 400),
    "yaw": (-55, 55),
    "pitch": (-40, 75),
    "roll": (-20, 20),
    "field_of_view": (20, 110),
    "distortion": (-0.12, 0.3),
    "brightness": (0.2, 1.8),
    "temperature": (-1.0, 1.0),
    "unevenness": (0.0, 1.0),
    "shadows": (0.0, 1.0),
    "spots": (0, 6),
    "window": (0.0, 1.0),
    "contrast": (0.5, 1.6),
    "haze": (0.0, 0.5),
    "noise": (0.0, 1.0),
    "blur_px": (0.0, 6.0),
    "motion_px": (0.0, 24.0),
    "sharpening": (0.0, 1.5),
    "jpeg_quality": (10, 100),
    "video": (0.0, 1.0),
}
MIN_SIZE, MAX_SIZE = 64, 4096


@dataclass(frozen=True, slots=True)
class SceneSettings:
    """One scene; every number is checked against ``RANGES``.

    Raises:
        ConfigError: naming every setting that is out of range or does not exist.
    """

    size: tuple[int, int] = (1280, 960)  # width, height of the picture
    fixture: str = "gondola"
    back: str = "plain"
    front: str = "none"
    boards: int = 5
    bays: int = 3  # of about a metre
    products: int = 60  # SKUs of the assortment that is made when none is given
    fill: float = 0.9  # share of places that are stocked
    rows: int = 3  # units behind each other
    stacked: float = 0.4  # share of low products that are stacked
    misplaced: float = 0.02  # share of units that are of another SKU
    fallen: float = 0.01
    leaning: float = 0.05
    turned: float = 0.05  # share of units that show their back or stand askew
    loose: float = 0.3  # disorder of the rows
    faced_up: float = 0.5  # share of slots whose rows are pulled to the front
    trays: float = 0.1  # share of slots in shelf-ready trays
    promotions: float = 0.2  # how many tags beyond the price
    distance_cm: float = 160.0
    height_cm: float = 140.0
    offset_cm: float = 0.0  # camera to the right of the fixture's middle
    yaw: float = 0.0
    pitch: float = 5.0
    roll: float = 0.0
    field_of_view: float = 60.0
    distortion: float = 0.03
    brightness: float = 1.0
    temperature: float = 0.0  # -1 warm, 1 cold
    unevenness: float = 0.3
    shadows: float = 0.6
    spots: int = 0
    window: float = 0.0
    contrast: float = 1.0
    haze: float = 0.0
    noise: float = 0.2
    blur_px: float = 0.4
    motion_px: float = 0.0
    sharpening: float = 0.2
    jpeg_quality: int = 90
    video: float = 0.0  # traces of H.264 at a low rate

    def __post_init__(self) -> None:
        faults = []
        if len(self.size) != 2 or not all(MIN_SIZE <= side <= MAX_SIZE for side in self.size):
            faults.append(f"size: {'x'.join(map(str, self.size))}, each side must be {MIN_SIZE} to {MAX_SIZE} pixels")
        for name, choices in (("fixture", FIXTURES), ("back", BACKS), ("front", FRONTS)):
            if getattr(self, name) not in choices:
                faults.append(f"{name}: {getattr(self, name)!r}, choose from {', '.join(choices)}")
        for name, (low, high) in RANGES.items():
            value = getattr(self, name)
            if not np.isfinite(value) or not low <= value <= high:
                faults.append(f"{name}: {value:g}, must be {low:g} to {high:g}")
        if faults:
            raise ConfigError("\n".join(f"scene: {fault}" for fault in faults))


def changed(settings: SceneSettings, **values: object) -> SceneSettings:
    """Settings with some values replaced.

    Raises:
        ConfigError: for a setting that does not exist or is out of range.
    """
    known = {field.name for field in fields(SceneSettings)}
    unknown = sorted(set(values) - known)
    if unknown:
        raise ConfigError(f"scene: no setting named {', '.join(unknown)}")
    return replace(settings, **values)  # type: ignore[arg-type]


def _skewed(rng: np.random.Generator, low: float, high: float, power: float) -> float:
    return float(low + (high - low) * rng.random() ** power)


def random_settings(rng: np.random.Generator, size: tuple[int, int] = (1280, 960)) -> SceneSettings:
    """A scene as one may meet it: from two products close up to five hundred from afar, in any light."""
    kind = rng.random()
    fixture = str(rng.choice(FIXTURES, p=(0.64, 0.16, 0.09, 0.11)))
    view = "close" if kind < 0.22 else ("shelf" if kind < 0.7 else "overview")
    fov = float(rng.uniform(48, 75))
    boards = int(rng.integers(3, 8))
    if view == "close":
        distance = _skewed(rng, 28, 80, 0.8)
        height = float(rng.uniform(45, 165))
        pitch = float(rng.normal(7, 10))
    else:
        distance = _skewed(rng, 80, 190, 1.2) if view == "shelf" else float(rng.uniform(170, 340))
        height = float(rng.uniform(80, 190) if view == "shelf" else rng.uniform(110, 240))
        aim = rng.uniform(75, 130) if view == "shelf" else rng.uniform(88, 108)
        pitch = float(np.degrees(np.arctan2(height - aim, distance)))
    yaw = float(rng.normal(0, 12))
    offset = float(rng.normal(0, 30))
    if fixture == "endcap":
        distance, offset, yaw = min(distance, 190.0), float(rng.normal(0, 12)), float(rng.normal(0, 5))
    if fixture == "table":
        boards, height, distance = 1, float(rng.uniform(105, 165)), float(rng.uniform(30, 90))
        if rng.random() < 0.55:  # a camera right above a few things, whose hands fill a good part of the picture
            height, distance = float(rng.uniform(98, 128)), float(rng.uniform(25, 42))
        pitch = float(np.degrees(np.arctan2(height - 84, distance + 22))) + float(rng.normal(0, 3))
        offset, yaw = float(rng.normal(0, 15)), float(rng.normal(0, 8))
    dark = rng.random() < 0.15
    return SceneSettings(
        size=size,
        fixture=fixture,
        back=str(rng.choice(BACKS, p=(0.4, 0.3, 0.2, 0.1))),
        front=str(rng.choice(FRONTS, p=(0.74, 0.12, 0.08, 0.06)))
        if fixture != "chiller"
        else str(rng.choice(FRONTS, p=(0.4, 0.1, 0.2, 0.3))),
        boards=boards,
        bays=int(rng.integers(3, 10)) if fixture != "endcap" else 1,
        fill=_skewed(rng, 0.4, 1.0, 0.28),
        rows=int(rng.integers(1, 5)),
        stacked=float(rng.random()),
        misplaced=_skewed(rng, 0, 0.12, 3),
        fallen=_skewed(rng, 0, 0.08, 3),
        leaning=_skewed(rng, 0, 0.3, 2),
        turned=_skewed(rng, 0, 0.3, 2),
        loose=float(rng.random()),
        faced_up=float(rng.random()),
        trays=_skewed(rng, 0, 0.5, 2.5),
        promotions=float(rng.random()),
        distance_cm=distance,
        height_cm=height,
        offset_cm=offset,
        yaw=float(np.clip(yaw, -40, 40)),
        pitch=float(np.clip(pitch, -30, 70)),
        roll=float(np.clip(rng.normal(0, 2.2), -12, 12)),
        field_of_view=fov,
        distortion=float(np.clip(rng.normal(0.02, 0.05), -0.08, 0.22)) if rng.random() < 0.5 else 0.0,
        brightness=float(rng.uniform(0.38, 0.75)) if dark else float(np.clip(rng.normal(1.02, 0.14), 0.6, 1.45)),
        temperature=float(np.clip(rng.normal(0, 0.35), -1, 1)),
        unevenness=float(rng.random()),
        shadows=float(rng.uniform(0.3, 1.0)),
        spots=int(rng.choice((0, 0, 0, 1, 2, 3))),
        window=float(rng.random()) if rng.random() < 0.12 else 0.0,
        contrast=float(np.clip(rng.normal(1.03, 0.12), 0.7, 1.4)),
        haze=_skewed(rng, 0, 0.22, 3),
        noise=_skewed(rng, 0.02, 0.8, 3.0 if not dark else 1.2),
        blur_px=_skewed(rng, 0.0, 2.2, 2.2),
        motion_px=_skewed(rng, 0, 8, 1) if rng.random() < 0.08 else 0.0,
        sharpening=_skewed(rng, 0, 1.0, 2),
        jpeg_quality=int(rng.integers(55, 97)),
        video=float(rng.random()) if rng.random() < 0.25 else 0.0,
    )
