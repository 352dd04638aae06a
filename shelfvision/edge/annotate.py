"""Draws what the system believes over what the camera saw."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from shelfvision.core.events import EventDraft, EventKind, to_utc
from shelfvision.core.messages import SlotCondition, SlotState
from shelfvision.core.planogram import CameraPlan, Slot
from shelfvision.edge.frame import Frame, Image
from shelfvision.edge.lettering import INK, PAPER, Box, Colour, FreePlaces, Letters, fade, plate
from shelfvision.edge.pipeline import StepResult

# Okabe and Ito's palette (2008), told apart with every kind of colour vision; words stand beside every colour
STATE_COLOURS: dict[SlotCondition, Colour] = {
    SlotCondition.IN_STOCK: (115, 158, 0),
    SlotCondition.LOW: (0, 159, 230),
    SlotCondition.OUT: (0, 94, 213),
    SlotCondition.UNKNOWN: (150, 150, 150),
}
STATE_WORDS = {
    SlotCondition.IN_STOCK: "in stock",
    SlotCondition.LOW: "low",
    SlotCondition.OUT: "OUT",
    SlotCondition.UNKNOWN: "unknown",
}
FOREGROUND: Colour = (233, 180, 86)
EVENT_COLOURS: dict[EventKind, Colour] = {
    EventKind.PICK_UP: (178, 114, 0),
    EventKind.PUT_BACK: (167, 121, 204),
    EventKind.TOUCH: (66, 228, 240),
    EventKind.STOCKOUT: STATE_COLOURS[SlotCondition.OUT],
    EventKind.LOW_STOCK: STATE_COLOURS[SlotCondition.LOW],
    EventKind.RESTOCKED: STATE_COLOURS[SlotCondition.IN_STOCK],
    EventKind.MISPLACED: STATE_COLOURS[SlotCondition.LOW],
    EventKind.CAMERA: STATE_COLOURS[SlotCondition.UNKNOWN],
}
BANNER_SECONDS = 2.0
_SHOWN = frozenset(EVENT_COLOURS)  # presence windows are bookkeeping
_SMALL_WIDTH = 960  # narrower pictures are enlarged, or no text would fit
_DARK: Colour = (38, 32, 28)
_FAINT: Colour = (190, 190, 186)


@dataclass(frozen=True, slots=True)
class _Said:
    time: float
    event: EventDraft


class Annotator:
    """Draws one camera's frames; remembers what was reported shortly before.

    Args:
        plan: the camera's slots.
        start: time at which the video begins; the footer counts from there.
    """

    def __init__(self, plan: CameraPlan, *, start: float = 0.0) -> None:
        self._plan = plan
        self._start = start
        width, height = plan.frame_size
        self._zoom = 2 if width < _SMALL_WIDTH else 1
        self._width, self._height = width * self._zoom, height * self._zoom
        unit = min(max(self._width / 1280, 0.6), 2.0)
        self._large, self._small = Letters(0.62 * unit), Letters(0.5 * unit)
        self._pad = round(8 * unit)
        self._row = self._large.height + 2 * self._pad
        self._strip = (self._row * 2 + self._pad) // 2 * 2
        self._line = max(2, round(2 * unit))
        self._said: deque[_Said] = deque(maxlen=12)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the drawn pictures: the camera's, enlarged when small, and a strip below."""
        return self._width, self._height + self._strip

    def draw(self, frame: Frame, result: StepResult) -> Image:
        """The frame with slots, what stands in front of them, interactions, and a strip with time and events."""
        for event in result.events:
            if event.kind in _SHOWN:
                self._said.append(_Said(frame.time, event))
        picture = np.full((self._height + self._strip, self._width, 3), _DARK, np.uint8)
        view = picture[: self._height]
        # a frame of another size than the plan's is shown all the same; the pipeline reports the fault
        view[:] = cv2.resize(frame.image, (self._width, self._height), interpolation=cv2.INTER_CUBIC)
        states = {state.slot: state for state in result.slots}
        for slot in self._plan.slots:
            self._draw_slot(view, slot, states.get(slot.id))
        for box in result.foreground:
            self._draw_foreground(view, box)
        places = FreePlaces((self._width, self._height))
        if result.camera_fault:
            self._draw_fault(view, result.camera_fault, places)
        for slot in self._plan.slots:  # labels before banners: what stays keeps its place, what passes gives way
            if slot.id in states:
                lines = _label(slot, states[slot.id], result.notes.get(slot.id), frame.time)
                self._draw_label(view, slot, states[slot.id], lines, places)
        self._draw_banners(view, frame.time, places)
        self._draw_strip(picture[self._height :], frame)
        return picture

    def _corners(self, slot: Slot) -> NDArray[np.int32]:
        return np.round(np.asarray(slot.polygon) * self._zoom).astype(np.int32)

    def _draw_slot(self, view: Image, slot: Slot, state: SlotState | None) -> None:
        condition = state.state if state is not None else SlotCondition.UNKNOWN
        colour, corners = STATE_COLOURS[condition], self._corners(slot)
        if condition in {SlotCondition.OUT, SlotCondition.LOW}:
            x, y, wide, high = cv2.boundingRect(corners)
            mask = np.zeros((high, wide), np.uint8)
            cv2.fillPoly(mask, [corners - (x, y)], 255)
            if condition is SlotCondition.OUT:  # hatching tells it apart without any colour
                lines = np.zeros_like(mask)
                for offset in range(-high, wide, 14 * self._line // 2):
                    cv2.line(lines, (offset, high), (offset + high, 0), 255, self._line, cv2.LINE_AA)
                mask &= lines
            part = view[y : y + high, x : x + wide]
            share = mask[: part.shape[0], : part.shape[1], None].astype(np.float32) / 255
            share = share * (0.42 if condition is SlotCondition.OUT else 0.16)
            part[:] = (part * (1 - share) + np.asarray(colour, np.float32) * share).astype(np.uint8)
        cv2.polylines(view, [corners], True, INK, self._line + 2, cv2.LINE_AA)
        cv2.polylines(view, [corners], True, colour, self._line, cv2.LINE_AA)

    def _draw_foreground(self, view: Image, box: tuple[float, float, float, float]) -> None:
        x1, y1, x2, y2 = (round(side * self._zoom) for side in box)
        arm = max(6, min(x2 - x1, y2 - y1) // 5)
        for x, dx in ((x1, arm), (x2, -arm)):
            for y, dy in ((y1, arm), (y2, -arm)):
                for colour, width in ((INK, self._line + 2), (FOREGROUND, self._line)):
                    cv2.line(view, (x, y), (x + dx, y), colour, width, cv2.LINE_AA)
                    cv2.line(view, (x, y), (x, y + dy), colour, width, cv2.LINE_AA)

    def _draw_fault(self, view: Image, fault: str, places: FreePlaces) -> None:
        fade(view, (0, 0, self._width, self._height), STATE_COLOURS[SlotCondition.UNKNOWN], 0.35)
        text = f"camera {fault}: slots are unknown"
        width = self._large.width(text) + 4 * self._pad
        box = places.take([((self._width - width) // 2, self._pad)], (width, self._row + self._pad))
        plate(view, box, STATE_COLOURS[SlotCondition.OUT])
        self._large.write(view, text, box[0] + 2 * self._pad, (box[1] + box[3]) // 2, PAPER)

    def _draw_banners(self, view: Image, now: float, places: FreePlaces) -> None:
        slots = {slot.id: slot for slot in self._plan.slots}
        for said in self._said:
            age = now - said.time
            slot = slots.get(said.event.data.slot or "")
            if slot is None or not 0 <= age <= BANNER_SECONDS:
                continue
            colour, text = EVENT_COLOURS[said.event.kind], _headline(said.event)
            size = (self._large.width(text) + 3 * self._pad, self._row + self._pad // 2)
            corners = self._corners(slot)
            middle = corners.mean(axis=0)
            x, y = round(float(middle[0]) - size[0] / 2), round(float(middle[1]) - size[1] / 2)
            box = places.take([(x, y), (x, y + size[1] + 6), (x, y - size[1] - 6)], size)
            strength = min(1.0, (BANNER_SECONDS - age) / 0.4)
            frame = _grown(box, self._line)
            part = view[max(frame[1], 0) : frame[3], max(frame[0], 0) : frame[2]]
            before = part.copy()
            plate(view, frame, PAPER, radius=9)
            plate(view, box, colour, radius=7)
            ink = PAPER if _dark(colour) else INK
            self._large.write(view, text, box[0] + round(1.5 * self._pad), (box[1] + box[3]) // 2, ink)
            if strength < 1:
                part[:] = cv2.addWeighted(part, strength, before, 1 - strength, 0)

    def _draw_label(self, view: Image, slot: Slot, state: SlotState, lines: list[str], places: FreePlaces) -> None:
        inner = max(self._large.width(lines[0]), *(self._small.width(line) for line in lines[1:]))
        row = self._small.height + self._pad
        width = inner + 3 * self._pad
        bar = 0 if state.fullness is None else self._pad // 2 + 2 * self._line
        height = self._row + row * (len(lines) - 1) + self._pad // 2 + bar
        corners = self._corners(slot)
        (left, top), (_, bottom) = corners.min(axis=0).tolist(), corners.max(axis=0).tolist()
        above, below = top - height - 4, bottom + 4
        box = places.take([(left, above), (left, below), (left, top + 4)], (width, height))
        colour = STATE_COLOURS[state.state]
        plate(view, box, _DARK, strength=0.86, radius=6)
        plate(view, (box[0], box[1], box[0] + self._pad, box[3]), colour, radius=3)
        x, y = box[0] + 2 * self._pad, box[1] + self._row // 2 + self._pad // 4
        self._large.write(view, lines[0], x, y, PAPER)
        for number, line in enumerate(lines[1:]):
            middle = box[1] + self._row + number * row + row // 2 - self._pad // 4
            self._small.write(view, line, x, middle, _lighter(colour) if number == 0 else _FAINT)
        if state.fullness is not None:
            self._draw_fullness(view, box, state.fullness, colour)

    def _draw_fullness(self, view: Image, box: Box, fullness: float, colour: Colour) -> None:
        x1, x2 = box[0] + 2 * self._pad, box[2] - self._pad
        y2 = box[3] - self._pad // 2
        y1 = y2 - 2 * self._line
        cv2.rectangle(view, (x1, y1), (x2, y2), (92, 86, 82), -1)
        if fullness > 0:
            cv2.rectangle(view, (x1, y1), (x1 + round((x2 - x1) * fullness), y2), colour, -1)

    def _draw_strip(self, strip: Image, frame: Frame) -> None:
        """Time and camera on the left, the latest events beside them."""
        clock, camera = _clock(frame.time - self._start), self._plan.camera
        if self._start > 0:
            camera += f"  {to_utc(frame.time):%Y-%m-%d %H:%M:%S} UTC"
        rows = (self._pad // 2 + self._row // 2, self._pad // 2 + self._row // 2 + self._row)
        self._large.write(strip, clock, 2 * self._pad, rows[0], PAPER)
        self._small.write(strip, camera, 2 * self._pad, rows[1], _FAINT)
        x = 3 * self._pad + max(self._large.width("0:00:00.0"), self._small.width(camera))
        cv2.line(strip, (x, self._pad), (x, strip.shape[0] - self._pad), (92, 86, 82), 1)
        self._draw_ticker(strip, x + 2 * self._pad, rows)

    def _draw_ticker(self, strip: Image, left: int, rows: tuple[int, int]) -> None:
        """The latest events, newest first, in two rows."""
        waiting = list(self._said)
        ink: Colour = PAPER
        for middle in rows:
            x = left
            while waiting:
                event = waiting[-1].event
                text = f"{_clock(waiting[-1].time - self._start)}  {_headline(event)}"
                width = self._small.width(text) + 5 * self._pad
                if x + width > strip.shape[1] - self._pad:
                    break
                centre, radius = (x + self._pad // 2, middle), max(4, self._pad // 2)
                cv2.circle(strip, centre, radius, EVENT_COLOURS[event.kind], -1, cv2.LINE_AA)
                self._small.write(strip, text, x + 2 * self._pad, middle, ink)
                waiting.pop()
                ink = _FAINT
                x += width


def _label(slot: Slot, state: SlotState, note: str | None, now: float) -> list[str]:
    """What the plate of a slot says, a line each."""
    since = f"{STATE_WORDS[state.state]} {_span(now - state.since.timestamp())}"
    if state.fullness is not None and slot.capacity > 1:
        since += f"  {state.fullness:.0%}"
    hidden = note or ("hidden" if state.obstructed else None)
    return [slot.id, since, *([hidden] if hidden else [])]


def _headline(event: EventDraft) -> str:
    """What happened, in a few words."""
    data = event.data
    words = [event.kind.value.replace("_", " ")]
    if data.slot is not None:
        words.append(data.slot)
    if data.count is not None and data.count > 1:
        words.append(f"x{data.count}")
    if event.kind is EventKind.CAMERA and data.status is not None:
        words.append(data.status)
    if data.confidence is not None:
        words.append(f"{data.confidence:.0%}")
    return " ".join(words)


def _clock(seconds: float) -> str:
    """Time since the start of the video, ``m:ss.s``."""
    tenths = round(max(seconds, 0.0) * 10)
    minutes, rest = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    front = f"{hours}:{minutes:02d}" if hours else f"{minutes}"
    return f"{front}:{rest // 10:02d}.{rest % 10}"


def _span(seconds: float) -> str:
    """A duration in one unit."""
    seconds = max(seconds, 0.0)
    for unit, length in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


def _dark(colour: Colour) -> bool:
    """Whether light letters read better on it than dark ones (luma of ITU-R BT.601)."""
    blue, green, red = colour
    return 0.114 * blue + 0.587 * green + 0.299 * red < 140


def _lighter(colour: Colour) -> Colour:
    blue, green, red = (round(part + (255 - part) * 0.45) for part in colour)
    return blue, green, red


def _grown(box: Box, by: int) -> Box:
    x1, y1, x2, y2 = box
    return x1 - by, y1 - by, x2 + by, y2 + by
