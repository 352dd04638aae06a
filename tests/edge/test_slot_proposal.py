"""Slots proposed from boxes on a drawn shelf: boards, runs of like packages, gaps, stacks."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from shelfvision.core.detections import Detections
from shelfvision.core.planogram import check_polygon, polygon_mask
from shelfvision.edge.slot_proposal import propose_slots

LABELS = ("product", "gap", "hand")
COLOURS = {"red": (40, 40, 200), "blue": (200, 90, 30), "green": (60, 170, 60), "white": (235, 235, 235)}
SIZE = (1280, 720)


class Board:
    """Draws packages and remembers their boxes; ``slope`` tilts the board in the picture."""

    def __init__(self, slope: float = 0.0) -> None:
        self.image = np.full((SIZE[1], SIZE[0], 3), 150, np.uint8)
        self.boxes: list[list[float]] = []
        self.labels: list[int] = []
        self.slope = slope

    def put(self, what: str, x: float, foot: float, width: float, height: float, *, on: float = 0.0) -> None:
        foot = foot + self.slope * x - on
        box = [x, foot - height, x + width, foot]
        x1, y1, x2, y2 = map(round, box)
        if what in COLOURS:
            cv2.rectangle(self.image, (x1, y1), (x2, y2), COLOURS[what], -1)
            middle = (y1 + y2) // 2
            cv2.rectangle(self.image, (x1 + 6, middle), (x2 - 6, middle + 18), (20, 20, 20), -1)
        self.boxes.append(box)
        self.labels.append({"gap": 1, "hand": 2}.get(what, 0))

    def slots(self):
        found = Detections(
            np.array(self.boxes, np.float32).reshape(-1, 4),
            np.full(len(self.boxes), 0.9, np.float32),
            np.array(self.labels, np.int64),
        )
        slots = propose_slots(self.image, found, LABELS)
        for slot in slots:
            check_polygon(slot.polygon, SIZE)
        return slots


def boards_of(slots):
    rows = {}
    for slot in slots:
        rows.setdefault(slot.id.split("-")[0], []).append(slot)
    return list(rows.values())


@pytest.mark.parametrize("slope", [-0.08, 0.0, 0.08])
def test_rows_and_runs_become_slots_with_their_facings(slope):
    board = Board(slope)
    for foot, runs in ((300, [("red", 3), ("blue", 2), ("green", 4)]), (560, [("white", 5), ("red", 1)])):
        x = 120.0
        for colour, count in runs:
            for _ in range(count):
                board.put(colour, x, foot, 70, 150)
                x += 74
    slots = board.slots()
    assert [[slot.facings for slot in row] for row in boards_of(slots)] == [[3, 2, 4], [5, 1]]
    assert [slot.sku for slot in slots] == [f"unknown-{number}" for number in range(1, 6)]
    covered = np.zeros((SIZE[1], SIZE[0]), int)
    for slot in slots:
        covered += polygon_mask(slot.polygon, SIZE)
    for x1, y1, x2, y2 in board.boxes:
        assert covered[round((y1 + y2) / 2), round((x1 + x2) / 2)] == 1, "every package is in one slot"
    assert (covered > 1).mean() < 0.002, "slots lie beside each other"


def test_a_gap_between_two_like_packages_belongs_to_their_slot_and_another_is_one_of_its_own():
    board = Board()
    for x, what in ((100, "red"), (180, "gap"), (260, "red"), (340, "blue"), (420, "blue")):
        board.put(what, x, 400, 74, 150)
    board.put("gap", 500, 400, 150, 150)
    slots = board.slots()
    assert [slot.facings for slot in slots] == [3, 2, 2]


def test_stacked_packages_are_one_facing():
    board = Board()
    for x in (100, 180, 260):
        board.put("green", x, 400, 74, 60)
        board.put("green", x, 400, 74, 60, on=62)
    (slot,) = board.slots()
    assert (slot.facings, slot.capacity) == (3, 6)


def test_packages_of_two_boards_stay_apart_though_they_are_alike():
    board = Board()
    for foot in (250, 430):
        for x in (100, 180, 260):
            board.put("red", x, foot, 74, 140)
    assert [[slot.facings for slot in row] for row in boards_of(board.slots())] == [[3], [3]]


def test_hands_and_repeated_boxes_are_left_out():
    board = Board()
    board.put("red", 100, 400, 74, 150)
    board.put("red", 102, 401, 74, 150)
    board.put("hand", 150, 420, 90, 90)
    (slot,) = board.slots()
    assert slot.facings == 1


def test_a_slot_reaches_up_but_not_into_the_board_above():
    board = Board()
    board.put("red", 100, 250, 74, 140)
    board.put("blue", 100, 420, 74, 150)
    upper, lower = board.slots()
    assert min(y for _, y in lower.polygon) >= 250
    assert min(y for _, y in upper.polygon) < 110


@pytest.mark.parametrize(
    ("large", "small", "kept"),
    [
        pytest.param([(100, 500, 74, 300)] * 3, [(140, 350, 70, 60)], 3, id="more facings"),
        pytest.param([(100, 500, 74, 300)], [(150, 350, 34, 60)], 1, id="as many, the larger"),
        pytest.param([(100, 400, 400, 200)], [(150, 420, 60, 80)] * 3, 3, id="more, though smaller"),
    ],
)
def test_of_a_slot_in_another_one_stays_and_the_others_are_counted_on(large, small, kept):
    board = Board()
    for colour, boxes in (("red", large), ("blue", small)):
        for place, (x, foot, width, height) in enumerate(boxes):
            board.put(colour, x + place * (width + 4), foot, width, height)
    for x in (100, 180):
        board.put("white", x, 700, 74, 150)
    slots = board.slots()
    assert [(slot.id, slot.sku, slot.facings) for slot in slots] == [
        ("row1-1", "unknown-1", kept),
        ("row2-1", "unknown-2", 2),
    ]
    width = max(x for x, _ in slots[0].polygon) - min(x for x, _ in slots[0].polygon)
    assert width > 70, "the larger of two with one facing"


def test_nothing_found_is_no_slot():
    assert Board().slots() == []
