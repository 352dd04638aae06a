"""Draws small footage of a shelf with hands, shadows and lamps, and knows what truly happened in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import cv2
import numpy as np

from shelfvision.core.planogram import CameraPlan, Slot
from shelfvision.edge.frame import Frame

SKIN = ((120, 150, 205), (80, 110, 165), (50, 75, 115))
SLEEVES = ((60, 40, 140), (90, 90, 90), (140, 80, 40), (40, 40, 40), (70, 130, 60))


@dataclass(frozen=True)
class Reach:
    """One hand's visit to one facing."""

    action: str  # pick, put, touch
    slot: str
    facing: int
    start: float  # the hand enters the picture
    contact: float
    leave: float  # the hand begins to draw back
    end: float  # it has left the picture
    entry: tuple[float, float]


@dataclass(frozen=True)
class Passing:
    """A hand that crosses the picture in front of the shelf without stopping."""

    start: float
    end: float
    source: tuple[float, float]
    path: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Person:
    """Somebody who walks in, stands in front and walks out."""

    start: float
    end: float
    x: float
    width: float


def _mix(a: tuple[float, float], b: tuple[float, float], share: float) -> tuple[float, float]:
    share = float(np.clip(share, 0, 1))
    smooth = share * share * (3 - 2 * share)
    return a[0] + (b[0] - a[0]) * smooth, a[1] + (b[1] - a[1]) * smooth


@dataclass
class ShelfFootage:
    """A shelf of one or two boards, with one slot beside the other.

    Args:
        facings: facings of each slot, from left to right, top board first.
        per_board: slots a board.
        seed: decides colours, textures and noise.
        empty: (slot index, facing) pairs that are empty at the start.
        style: "colourful", "dark" (dark products, dark back panel) or "alike" (products in the panel's colour).
        fps: frames a second.
        noise: standard deviation of the sensor noise in grey levels.
        quality: JPEG quality as a stand-in for a coded stream, None for none.
        light: gain of the lamp over time.
    """

    facings: tuple[int, ...] = (1, 1, 1, 1)
    per_board: int = 4
    seed: int = 0
    empty: tuple[tuple[int, int], ...] = ()
    style: str = "colourful"
    fps: float = 10
    noise: float = 2.0
    quality: int | None = None
    light: Callable[[float], float] = lambda _: 1.0
    size: tuple[int, int] = (640, 360)
    reaches: list[Reach] = field(default_factory=list)
    passings: list[Passing] = field(default_factory=list)
    people: list[Person] = field(default_factory=list)
    shadow: Callable[[float], tuple[float, float] | None] = lambda _: None  # centre x and depth (gain) of a soft band
    nudge: Callable[[float], tuple[float, float]] = lambda _: (0.0, 0.0)  # camera displacement in pixels

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)
        self._grain: np.ndarray | None = None
        boards = -(-len(self.facings) // self.per_board)
        width, height = self.size
        self.cells: list[list[tuple[int, int, int, int]]] = []  # product box of each facing, by slot
        self.slots: list[Slot] = []
        board_height = (height - 30) // boards
        for index, count in enumerate(self.facings):
            row, place = divmod(index, self.per_board)
            row_facings = self.facings[row * self.per_board : (row + 1) * self.per_board]
            unit = (width - 60) / sum(row_facings)
            left = 30 + unit * sum(row_facings[:place])
            bottom = 30 + (row + 1) * board_height - 18
            top = bottom - board_height + 45
            cells = []
            for facing in range(count):
                x1, x2 = left + unit * facing + 0.08 * unit, left + unit * (facing + 1) - 0.08 * unit
                cells.append((round(x1), round(top + 8), round(x2), round(bottom)))
            self.cells.append(cells)
            corners = (
                (left + 2, top),
                (left + unit * count - 2, top),
                (left + unit * count - 2, bottom + 2),
                (left + 2, bottom + 2),
            )
            name = f"s{index}"
            self.slots.append(
                Slot(name, tuple((float(round(x)), float(round(y))) for x, y in corners), name, count, count)
            )
        self.products = [self._product(cells[0]) for cells in self.cells]
        self.back = self._draw_back(boards, board_height)
        self.skin, self.sleeve = SKIN[self.seed % len(SKIN)], SLEEVES[self.seed % len(SLEEVES)]

    @property
    def plan(self) -> CameraPlan:
        return CameraPlan("cam", self.size, tuple(self.slots))

    def _draw_back(self, boards: int, board_height: int) -> np.ndarray:
        width, height = self.size
        base = {"dark": 34, "alike": 165}.get(self.style, int(self.rng.integers(120, 190)))
        tint = np.array([1.0, 1.0, 1.0]) + self.rng.uniform(-0.06, 0.06, 3)
        shade = 1 - 0.18 * np.abs(np.linspace(-1, 1, width))[None, :, None] ** 2
        picture = np.ones((height, width, 3)) * base * tint * shade
        grain = cv2.GaussianBlur(self.rng.normal(0, 1, (height, width)), (0, 0), 2)
        picture += (grain * base * 0.03)[..., None]
        for row in range(boards):
            bottom = 30 + (row + 1) * board_height - 18
            picture[bottom : bottom + 12] = base * 1.25 * tint if self.style != "dark" else 60
            picture[bottom + 12 : bottom + 16] *= 0.6
        return picture

    def _product(self, cell: tuple[int, int, int, int]) -> tuple[np.ndarray, np.ndarray]:
        """Picture and mask of one product."""
        width, height = cell[2] - cell[0], cell[3] - cell[1]
        rng = self.rng
        if self.style == "dark":
            body = rng.integers(14, 40, 3)
        elif self.style == "alike":
            body = np.array([165, 165, 165]) + rng.integers(-14, 14, 3)
        else:
            body = rng.integers(30, 230, 3)
        picture = np.ones((height, width, 3)) * body
        picture *= (1 - 0.25 * np.abs(np.linspace(-1, 1, width)) ** 3)[None, :, None]
        picture = picture.astype(np.uint8)
        low, high = {"dark": (20, 90), "alike": (130, 200)}.get(self.style, (10, 245))
        for _ in range(int(rng.integers(3, 7))):
            colour = rng.integers(low, high, 3).tolist()
            x, y = int(rng.integers(0, width)), int(rng.integers(0, height))
            w, h = int(rng.integers(3, max(4, width))), int(rng.integers(3, max(4, height // 3)))
            if rng.random() < 0.6:
                cv2.rectangle(picture, (x - w // 2, y - h // 2), (x + w // 2, y + h // 2), colour, cv2.FILLED)
            else:
                cv2.circle(picture, (x, y), max(2, min(w, h) // 2), colour, cv2.FILLED)
        cv2.putText(
            picture, "ABC"[: max(1, width // 16)], (2, height // 2), 0, width / 90, (low, low, low), 1, cv2.LINE_AA
        )
        mask = np.zeros((height, width), np.uint8)
        if rng.random() < 0.5:
            neck = max(3, width // 4)
            cv2.rectangle(mask, (0, height // 3), (width - 1, height - 1), 255, cv2.FILLED)
            cv2.rectangle(mask, (width // 2 - neck // 2, 0), (width // 2 + neck // 2, height // 3), 255, cv2.FILLED)
        else:
            mask[:] = 255
        return picture, mask

    def reach(
        self,
        action: str,
        slot: int,
        start: float,
        *,
        facing: int = 0,
        side: str = "bottom",
        hold: float = 0.6,
        approach: float = 0.6,
    ) -> ShelfFootage:
        """Script a hand that picks, puts or touches; ``contact`` is ``approach`` seconds after ``start``."""
        width, height = self.size
        x1, y1, x2, y2 = self.cells[slot][facing]
        middle = ((x1 + x2) / 2, (y1 + y2) / 2)
        entry = {
            "bottom": (middle[0] + 40, height + 60),
            "top": (middle[0] - 30, -60),
            "left": (-60, middle[1] - 20),
            "right": (width + 60, middle[1] + 30),
        }[side]
        contact = start + approach
        self.reaches.append(
            Reach(action, f"s{slot}", facing, start, contact, contact + hold, contact + hold + approach, entry)
        )
        return self

    def _stocked(self, slot: int, facing: int, time: float) -> bool:
        there = (slot, facing) not in self.empty
        for act in sorted(self.reaches, key=lambda act: act.contact):
            if act.slot == f"s{slot}" and act.facing == facing:
                if act.action == "pick" and time >= act.leave:
                    there = False
                if act.action == "put" and time >= act.contact:
                    there = True
        return there

    def _stamp(self, canvas: np.ndarray, slot: int, x: float, y: float) -> None:
        """Draw a product with its top left corner at (x, y), cut at the picture's borders."""
        picture, mask = self.products[slot]
        height, width = mask.shape
        x, y = round(x), round(y)
        left, top = max(0, -x), max(0, -y)
        right, bottom = min(width, canvas.shape[1] - x), min(height, canvas.shape[0] - y)
        if left >= right or top >= bottom:
            return
        part = canvas[y + top : y + bottom, x + left : x + right]
        inside = mask[top:bottom, left:right] > 0
        part[inside] = picture[top:bottom, left:right][inside]

    def _hand(self, canvas: np.ndarray, source: tuple[float, float], tip: tuple[float, float], scale: float) -> None:
        direction = np.array(tip) - np.array(source)
        length = float(np.hypot(*direction)) or 1.0
        unit = direction / length
        wrist = np.array(tip) - unit * 46 * scale
        start = np.array(tip) - unit * (length + 200)
        cv2.line(canvas, tuple(map(int, start)), tuple(map(int, wrist)), self.sleeve, int(44 * scale), cv2.LINE_AA)
        palm = np.array(tip) - unit * 26 * scale
        angle = float(np.degrees(np.arctan2(unit[1], unit[0])))
        axes = (int(28 * scale), int(20 * scale))
        cv2.ellipse(
            canvas, (tuple(map(float, palm)), (2 * axes[0], 2 * axes[1]), angle), self.skin, cv2.FILLED, cv2.LINE_AA
        )
        side = np.array([-unit[1], unit[0]])
        for finger in (-1.2, -0.4, 0.4, 1.2):
            root = palm + side * 11 * finger * scale
            end = root + unit * (26 - 4 * abs(finger)) * scale
            shade = tuple(0.93 * c for c in self.skin)
            cv2.line(canvas, tuple(map(int, root)), tuple(map(int, end)), shade, int(9 * scale), cv2.LINE_AA)

    def _draw_reach(self, canvas: np.ndarray, act: Reach, time: float) -> None:
        if not act.start <= time <= act.end:
            return
        slot = int(act.slot[1:])
        x1, y1, x2, y2 = self.cells[slot][act.facing]
        grip = ((x1 + x2) / 2, y1 + (y2 - y1) * 0.45)
        if time < act.contact:
            tip = _mix(act.entry, grip, (time - act.start) / (act.contact - act.start))
        elif time < act.leave:
            tip = (grip[0] + 1.5 * np.sin(7 * time), grip[1] + 1.5 * np.cos(5 * time))
        else:
            tip = _mix(grip, act.entry, (time - act.leave) / (act.end - act.leave))
        carrying = (act.action == "pick" and time >= act.leave) or (act.action == "put" and time < act.contact)
        if carrying:
            self._stamp(canvas, slot, tip[0] - (x2 - x1) / 2, tip[1] - (y2 - y1) * 0.45)
        self._hand(canvas, act.entry, tip, 0.9)

    def _draw_person(self, canvas: np.ndarray, person: Person, time: float) -> None:
        if not person.start <= time <= person.end:
            return
        width, height = self.size
        walk = 1.2
        x = person.x
        if time < person.start + walk:
            x = _mix((-person.width, 0), (person.x, 0), (time - person.start) / walk)[0]
        elif time > person.end - walk:
            x = _mix((person.x, 0), (width + person.width, 0), (time - person.end + walk) / walk)[0]
        half = person.width / 2
        cv2.rectangle(canvas, (int(x - half), 90), (int(x + half), height), self.sleeve, cv2.FILLED)
        cv2.circle(canvas, (int(x), 62), int(half * 0.55), self.skin, cv2.FILLED, cv2.LINE_AA)

    def _shelf(self, time: float) -> np.ndarray:
        """The shelf with its products and a shadow on it."""
        canvas = np.clip(self.back, 0, 255).astype(np.uint8)
        for slot, cells in enumerate(self.cells):
            for facing, cell in enumerate(cells):
                if self._stocked(slot, facing, time):
                    self._stamp(canvas, slot, cell[0], cell[1])
        band = self.shadow(time)
        if band is not None:
            x = np.arange(self.size[0])
            shade = 1 - (1 - band[1]) * np.exp(-(((x - band[0]) / 70.0) ** 2))
            canvas = (canvas * shade[None, :, None]).astype(np.uint8)
        return canvas

    def _draw_passing(self, canvas: np.ndarray, passing: Passing, time: float) -> None:
        if not passing.start <= time <= passing.end:
            return
        along = (time - passing.start) / (passing.end - passing.start) * (len(passing.path) - 1)
        step = min(int(along), len(passing.path) - 2)
        first, second = passing.path[step], passing.path[step + 1]
        share = along - step
        tip = (first[0] + (second[0] - first[0]) * share, first[1] + (second[1] - first[1]) * share)
        self._hand(canvas, passing.source, tip, 0.9)

    def frame(self, index: int, time: float) -> Frame:
        """One frame; noise depends on seed and index only."""
        width, height = self.size
        canvas = self._shelf(time)
        for act in self.reaches:
            self._draw_reach(canvas, act, time)
        for passing in self.passings:
            self._draw_passing(canvas, passing, time)
        for person in self.people:
            self._draw_person(canvas, person, time)
        dx, dy = self.nudge(time)
        if dx or dy:
            matrix = np.array([[1, 0, dx], [0, 1, dy]], np.float64)
            canvas = cv2.warpAffine(canvas, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)
        canvas = cv2.GaussianBlur(canvas.astype(np.float32), (3, 3), 0.7) * np.float32(self.light(time))
        image = np.clip(canvas + self._noise(index), 0, 255).astype(np.uint8)
        if self.quality is not None:
            coded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, self.quality])[1]
            image = cv2.imdecode(coded, cv2.IMREAD_COLOR)
        return Frame(image, time, index)

    def _noise(self, index: int) -> np.ndarray:
        """One large field of noise, displaced by chance for every frame: quick, and never the same."""
        if self._grain is None:
            width, height = self.size
            shape = (height + 64, width + 64, 3)
            self._grain = np.random.default_rng(self.seed).normal(0, self.noise, shape).astype(np.float32)
        y, x = np.random.default_rng((self.seed, index)).integers(0, 64, 2)
        return self._grain[y : y + self.size[1], x : x + self.size[0]]

    def frames(self, seconds: float) -> Iterator[Frame]:
        """All frames of the footage."""
        for index in range(round(seconds * self.fps)):
            yield self.frame(index, index / self.fps)
