"""Simulated footage: the same for everyone with the same seed, lively, honest about what happened, and quick."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest

from shelfvision.core.catalogue import Catalogue
from shelfvision.core.planogram import check_polygon
from shelfvision.errors import ConfigError
from shelfvision.learn.event_truth import read_truth
from shelfvision.sim.camera import SimulatedShelf, parse_address
from shelfvision.sim.clips import LABELS, ClipOptions, write_clips
from shelfvision.sim.footage import Footage
from shelfvision.sim.script import Order
from shelfvision.sim.sensor import SensorOptions
from shelfvision.sim.shoppers import Deed, Visit
from shelfvision.sim.stores import STORES, build_store, store_plan
from shelfvision.sim.truth import TruthRecorder
from shelfvision.sim.video import VideoOptions, record, record_all
from shelfvision.sim.visits import ScriptOptions
from shelfvision.sim.wardrobe import place_arm
from shelfvision.site_file import load_site

NAMES = list(STORES)
DIGEST = """
import hashlib, json, sys
from shelfvision.sim.footage import Footage
from shelfvision.sim.stores import build_store
from shelfvision.sim.truth import TruthRecorder
footage = Footage(build_store(sys.argv[1], 5), 5, fps=5)
recorder, digest = TruthRecorder(footage), hashlib.sha256()
for _ in range(25):
    frame = footage.step(boxes=True)
    recorder.see(frame)
    digest.update(frame.image.tobytes() + repr(frame.boxes).encode())
digest.update(json.dumps(recorder.document()).encode())
print(digest.hexdigest())
"""


def film(name: str, seed: int, *, fps: float = 10.0, options: ScriptOptions | None = None) -> Footage:
    return Footage(build_store(name, seed), seed, fps=fps, script=options)


def run_undrawn(footage: Footage, seconds: float) -> None:
    for _ in range(round(seconds * footage.fps)):
        footage.step(draw=False)


@pytest.mark.parametrize("name", NAMES)
def test_a_plan_is_a_valid_part_of_a_site_file(name: str) -> None:
    size, slots, products = store_plan(name, 3)
    catalogue = Catalogue(products)
    for slot in slots:
        check_polygon(slot.polygon, size)
        assert slot.sku in catalogue
        assert slot.capacity >= slot.facings
    assert len({slot.id for slot in slots}) == len(slots)


def test_stores_have_the_slots_that_they_promise_whatever_the_seed() -> None:
    for name, count in {"corner": 6, "aisle": 40, "chiller": 15, "table": 4}.items():
        plans = [store_plan(name, seed)[1] for seed in (1, 8)]
        assert [len(plan) for plan in plans] == [count, count]
        assert [slot.id for slot in plans[0]] == [slot.id for slot in plans[1]]


def test_slots_of_all_stores_can_live_on_one_device() -> None:
    ids = [slot.id for name in NAMES for slot in store_plan(name)[1]]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("name", ["table", "chiller"])
def test_frames_and_truth_are_the_same_bytes_in_two_processes(name: str) -> None:
    digests = [
        subprocess.run([sys.executable, "-c", DIGEST, name], capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    ]
    assert digests[0] == digests[1]
    assert len(digests[0].strip()) == 64


def test_frames_passed_over_undrawn_do_not_change_the_later_ones() -> None:
    whole, thinned = (SimulatedShelf(parse_address("table?seed=3&fps=10")) for _ in range(2))
    pictures = [whole.picture() for _ in range(60)]
    for index in range(4, 60, 5):
        assert np.array_equal(thinned.picture(skip=4), pictures[index])


def test_seeds_differ() -> None:
    stories = set()
    for seed in range(5):
        footage = film("table", seed)
        run_undrawn(footage, 40)
        stories.add(str([(reach.deed, reach.slot, reach.start) for reach in footage.script.reaches]))
    assert len(stories) == 5


@pytest.mark.parametrize("name", ["corner", "table"])
@pytest.mark.parametrize("seed", range(5))
def test_a_minute_before_a_close_camera_holds_what_a_demonstration_needs(name: str, seed: int) -> None:
    footage = film(name, seed)
    run_undrawn(footage, 60)
    deeds = [reach.deed for reach in footage.script.reaches]
    assert deeds.count(Deed.PICK_UP) >= 3
    assert Deed.PUT_BACK in deeds
    assert Deed.TOUCH in deeds
    assert min(change.time for change in footage.changes if change.count == 0) < 8


@pytest.mark.parametrize("name", NAMES)
def test_units_are_neither_made_nor_lost(name: str) -> None:
    """What stands on the shelf is what was there, less what was taken, plus what was brought."""
    footage = film(name, 4)
    counts = dict(footage.start_stock)
    run_undrawn(footage, 240)
    now = footage.index / footage.fps
    for reach in footage.script.reaches:
        if reach.change <= now:
            counts[reach.slot] += reach.count if reach.brings else -reach.count
    assert footage.script.stock == counts
    capacity = {slot.id: slot.capacity for slot in footage.store.slots}
    assert all(0 <= change.count <= capacity[change.slot] for change in footage.changes)


def test_two_hands_never_work_at_one_slot_at_once() -> None:
    footage = film("corner", 2, options=ScriptOptions(busy=3))
    run_undrawn(footage, 300)
    for slot in footage.script.stock:
        reaches = sorted(
            (reach for reach in footage.script.reaches if reach.slot == slot), key=lambda reach: reach.start
        )
        assert all(a.end <= b.start for a, b in pairwise(reaches))


def test_without_orders_an_empty_slot_is_refilled_after_a_while() -> None:
    footage = film("table", 1)
    run_undrawn(footage, 150)
    refills = [reach for reach in footage.script.reaches if reach.deed is Deed.RESTOCK]
    emptied = [change for change in footage.changes if change.count == 0]
    assert refills
    for refill in refills:
        before = [change.time for change in emptied if change.slot == refill.slot and change.time < refill.start]
        assert refill.start - max(before) >= 14


def test_attended_slots_stay_empty_until_a_refill_is_asked_for() -> None:
    footage = film("table", 1, options=ScriptOptions(attended=True))
    run_undrawn(footage, 60)
    assert all(reach.deed is not Deed.RESTOCK for reach in footage.script.reaches)
    slot = next(slot for slot, units in footage.script.stock.items() if not units)
    asked = footage.index / footage.fps
    footage.order(Order(slot, "k1"))
    footage.order(Order(slot, "k1"))
    while not footage.script.done:
        assert footage.step(draw=False).time < asked + 15, "the refill takes too long"
    assert footage.script.done == [Order(slot, "k1")]
    refills = [reach for reach in footage.script.reaches if reach.deed is Deed.RESTOCK]
    assert len(refills) == next(s.capacity for s in footage.store.slots if s.id == slot)


def test_an_order_for_a_full_slot_is_done_at_once_and_for_an_unknown_one_refused() -> None:
    footage = film("table", 1, options=ScriptOptions(attended=True, start_stock=False))
    slot = footage.store.slots[0].id
    footage.order(Order(slot, "k"))
    footage.step(draw=False)
    assert footage.script.done == [Order(slot, "k")]
    with pytest.raises(KeyError):
        footage.order(Order("nowhere", "k"))


@pytest.mark.parametrize("name", ["corner", "table"])
def test_no_arm_ends_in_mid_air(name: str) -> None:
    """Wherever a hand reaches, the far end of its arm lies outside the picture."""
    for seed in (1, 2):
        footage = film(name, seed, fps=5)
        run_undrawn(footage, 60)
        width, height = footage.store.size
        for reach in footage.script.reaches:
            hand = reach.hand(reach.contact)
            visit = Visit(0, "shop", 0, 1, None, None)
            act = footage._actors._act(visit, reach, hand, reach.contact, footage._base)
            arm = footage.wardrobe.arm(0, reach.approach)
            y, x = np.nonzero(arm.whole.pixels[..., 3] > 200)
            end = x > x.max() - 6 * arm.pixels_per_cm  # it lies to the right
            for side in act.sides:
                placed = footage._actors._place_hand(act, side)
                wrist = placed.matrix @ np.array([*placed.stamps.wrist, 1.0])
                matrix = place_arm(
                    arm, (wrist[0], wrist[1]), scale=act.scale, degrees=placed.degrees, mirrored=placed.mirrored
                )
                at_x, at_y = matrix[:, :2] @ np.stack([x[end], y[end]]) + matrix[:, 2:]
                assert not ((at_x > 0) & (at_x < width) & (at_y > 0) & (at_y < height)).any()


def test_a_unit_put_into_another_slot_is_misplaced_until_it_is_taken() -> None:
    """It is told with its own SKU, and the picture shows that product there."""
    footage = film("corner", 5, fps=5, options=ScriptOptions(strays=0.9, busy=2))
    recorder = TruthRecorder(footage)
    for _ in range(5 * 150):
        recorder.see(footage.step(draw=footage.index % 5 == 0))
        own = {slot.id: slot.sku for slot in footage.store.slots}
        if footage.index % 5 == 1:
            standing = {slot.id: {place.pack.sku for place in slot.present} for slot in footage.store.slots}
            now = footage.index
            told = recorder.document()["misplaced_intervals"]
            for slot, skus in standing.items():
                wrong = any(a <= now and (b is None or now < b) for a, b in told.get(slot, []))
                turned = any(reach.slot == slot and reach.turns(now / 5) for reach in footage.script.reaches)
                assert turned or (skus - {own[slot]} != set()) == wrong
    strays = [one for one in recorder.document()["interactions"] if one["sku"] != own[one["slot"]]]
    assert any(one["type"] == "put_back" for one in strays)


@pytest.mark.parametrize("name", ["table", "corner"])
def test_the_truth_is_what_the_pictures_show(name: str) -> None:
    """Without hands in front a slot's picture depends on its units alone, and changes when the truth says so."""
    quiet = SensorOptions(noise=0, drift=0, light_steps=0, knocks=0, exposure=0)
    footage = Footage(build_store(name, 2), 2, fps=8, script=ScriptOptions(stands=False), sensor=quiet)
    recorder = TruthRecorder(footage)
    boxes = {slot.id: slot.bounds for slot in footage.store.plan()}
    seen: dict[str, dict[int, np.ndarray]] = {slot: {} for slot in boxes}
    for _ in range(8 * 40):
        frame = footage.step()
        recorder.see(frame)
        for slot, (x1, y1, x2, y2) in boxes.items():
            if slot not in frame.hidden:
                seen[slot][frame.index] = frame.image[y1:y2, x1:x2].copy()
    units = recorder.document()["units"]
    empties = recorder.document()["empty_facing_intervals"]
    same, changed = 0, 0
    for slot, frames in seen.items():
        kept: dict[int, np.ndarray] = {}

        def count_at(index: int, slot: str = slot) -> int:
            return [count for frame, count in units[slot] if frame <= index][-1]

        for index, picture in frames.items():
            count = count_at(index)
            empty = any(a <= index and (b is None or index < b) for a, b in empties[slot])
            assert empty == (count == 0)
            for other, reference in kept.items():
                difference = float(np.abs(reference.astype(int) - picture).mean())
                if other == count:
                    assert difference < 2.0  # shadows of hands beside the slot
                    same += 1
                elif abs(other - count) == 1:
                    changed += difference > 1.0
            kept.setdefault(count, picture)
    assert same > 300
    assert changed > 20


def test_boxes_fit_what_is_drawn() -> None:
    """Every box is inside the frame, holds pixels of its product, and a hand's box moves with the hand."""
    footage = film("corner", 1, fps=8)
    width, height = footage.store.size
    hands = products = 0
    for _ in range(8 * 9):
        frame = footage.step(boxes=True)
        for box in frame.boxes:
            x1, y1, x2, y2 = box.xyxy
            assert 0 <= x1 < x2 <= width
            assert 0 <= y1 < y2 <= height
            assert 0 < box.visibility <= 1
            hands += box.label == "hand"
            products += box.label == "product"
    assert hands > 10
    assert products > 8 * 9 * 10


def test_a_recording_is_whole_and_its_files_are_read_by_those_who_need_them(tmp_path: Path) -> None:
    video = record(VideoOptions(store="table", seed=2, seconds=6, fps=10, boxes=True), tmp_path)
    stem = video.with_suffix("")
    capture = cv2.VideoCapture(str(video))
    frames = 0
    while capture.read()[0]:
        frames += 1
    assert frames == 60
    truth = read_truth(Path(f"{stem}.truth.json"))
    assert truth.interactions
    site = load_site(Path(f"{stem}.yaml"))
    assert {slot.id for slot in site.cameras[0].slots} == set(truth.capacities)
    lines = Path(f"{stem}.boxes.jsonl").read_text().splitlines()
    assert [json.loads(line)["frame"] for line in lines] == list(range(60))
    assert not list(tmp_path.glob("*.part"))


def test_recordings_are_the_same_bytes_whoever_makes_them(tmp_path: Path) -> None:
    """Two processes side by side, or this one alone; what is there already is left as it is."""
    two = [VideoOptions(store="table", seed=seed, seconds=1.5, fps=10) for seed in (2, 3)]
    both = record_all(two, tmp_path / "both", workers=2)
    made = [path.stat().st_mtime_ns for path in both]
    assert record_all(two, tmp_path / "both") == both
    assert [path.stat().st_mtime_ns for path in both] == made
    alone = [record(options, tmp_path / "alone") for options in two]
    digests = [[hashlib.sha256(path.read_bytes()).hexdigest() for path in paths] for paths in (both, alone)]
    assert digests[0] == digests[1]
    assert digests[0][0] != digests[0][1]


def test_clips_carry_their_label_and_a_second_run_adds_nothing(tmp_path: Path) -> None:
    options = ClipOptions(count=6, seed=1, stores=("table",), size=64, footage_seconds=30)
    index = write_clips(options, tmp_path)
    lines = [json.loads(line) for line in index.read_text().splitlines()][1:]
    assert len(lines) >= 6
    assert {line["label"] for line in lines} <= set(LABELS)
    for line in lines:
        picture = cv2.imread(str(tmp_path / line["file"]))
        assert picture.shape == (16 * 64, 64, 3)
    before = index.read_bytes()
    write_clips(options, tmp_path)
    side_by_side = write_clips(options, tmp_path / "two", workers=2)
    assert side_by_side.read_bytes() == before
    assert sorted(path.name for path in (tmp_path / "two").rglob("*.jpg")) == sorted(
        Path(line["file"]).name for line in lines
    )
    assert index.read_bytes() == before
    with pytest.raises(ConfigError, match="other options"):
        write_clips(ClipOptions(count=6, seed=2, stores=("table",), size=64, footage_seconds=30), tmp_path)


def test_a_live_camera_stays_small() -> None:
    """The whole process under 300 MB at its peak."""
    code = (
        "from shelfvision.sim.camera import *\n"
        "shelf = SimulatedShelf(parse_address('corner?seed=1&fps=5'))\n"
        "for _ in range(250): shelf.picture()\n"
        "print(next(line for line in open('/proc/self/status') if line.startswith('VmHWM')).split()[1])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(run.stdout) / 1024 < 300


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"store": "kiosk"}, "no store 'kiosk', choose from corner, aisle, chiller, table"),
        ({"seconds": 0}, "seconds: expected over 0"),
        ({"fps": 0.5}, "fps: expected 1 to 60"),
        ({"seed": -1}, "seed: expected 0 or more"),
    ],
)
def test_impossible_recordings_get_one_clear_line(options: dict[str, object], fault: str) -> None:
    with pytest.raises(ConfigError, match=fault):
        VideoOptions(**options)
