"""Addresses of simulated cameras, the spool of orders, and the camera that runs in real time."""

from __future__ import annotations

import time
from itertools import pairwise
from pathlib import Path

import pytest

from shelfvision.edge.simulated import SimulatedCamera
from shelfvision.errors import CameraError
from shelfvision.sim.camera import SimulatedShelf, parse_address
from shelfvision.sim.commands import Spool
from shelfvision.sim.script import Order
from tests.waiting import wait_until


def test_an_address_is_taken_apart() -> None:
    address = parse_address("corner?seed=7&fps=5&control=/x/y")
    assert (address.store, address.seed, address.fps, address.control) == ("corner", 7, 5.0, Path("/x/y"))
    assert parse_address("table").control is None


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("kiosk", "there are corner, aisle, chiller, table"),
        ("", "no simulated store"),
        ("table?sed=1", "unknown option 'sed'"),
        ("table?seed=x", "must be numbers"),
        ("table?seed=-1", "seed must be"),
        ("table?fps=0", "fps must be"),
        ("table?fps=nan", "fps must be"),
        ("table?fps=1000", "fps must be"),
    ],
)
def test_a_wrong_address_says_what_is_wrong(text: str, fault: str) -> None:
    with pytest.raises(CameraError, match=fault):
        parse_address(text)


def test_orders_are_read_from_file_names_and_other_files_are_left_alone(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool", ["a", "a-1"])
    folder = tmp_path / "spool"
    for name in (
        "refill-a-k1.json",
        "refill-a-1-k2.json",
        "refill-b-k.json",
        "refill-a.json",
        ".refill-a-k.json.tmp",
        "x",
    ):
        (folder / name).touch()
    assert set(spool.orders()) == {Order("a", "k1"), Order("a-1", "k2")}
    for order in spool.orders():
        spool.finish(order)
        spool.finish(order)
    assert sorted(path.name for path in folder.iterdir()) == [
        ".refill-a-k.json.tmp",
        "refill-a.json",
        "refill-b-k.json",
        "x",
    ]


def test_an_order_file_brings_the_products_back_and_is_removed_then(tmp_path: Path) -> None:
    shelf = SimulatedShelf(parse_address(f"table?seed=1&fps=5&control={tmp_path}"))
    while not (empty := [slot for slot, units in shelf.footage.script.stock.items() if not units]):
        shelf.picture()
    order = tmp_path / f"refill-{empty[0]}-0123abcd.json"
    order.write_text("{}")
    for _ in range(5 * 20):
        shelf.picture()
        if not order.exists():
            break
    assert not order.exists()
    assert shelf.footage.script.stock[empty[0]] > 0


def test_the_camera_runs_in_real_time_and_within_the_limit() -> None:
    camera = SimulatedCamera("table?seed=1&fps=20", fps=10)
    began = time.monotonic()
    frames = [frame for frame, _ in zip(camera, range(6), strict=False)]
    assert time.monotonic() - began >= 0.45
    assert [frame.index for frame in frames] == sorted({frame.index for frame in frames})
    assert all(later.time > earlier.time for earlier, later in pairwise(frames))
    assert frames[0].size == (1280, 720)
    camera.close()


def test_a_slow_reader_of_the_camera_misses_frames_and_not_time() -> None:
    camera = SimulatedCamera("table?seed=1&fps=20", fps=20)
    frames = iter(camera)
    first = next(frames)
    wait_until(lambda: time.time() >= first.time + 0.6, what="a slow reader")
    second = next(frames)
    assert second.index - first.index >= 9
    assert camera.dropped >= 8
    camera.close()
    assert list(frames) == []
