"""The outbox keeps every promise: durable, in order, bounded, and hard to destroy."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from shelfvision.core.events import Event, EventKind
from shelfvision.errors import OutboxError
from shelfvision.transport.outbox import MAX_EVENT_BYTES, Outbox, OversizeEventError
from tests.transport.builders import draft, drafts

ROOM = 10_000_000


@pytest.fixture
def open_outbox(tmp_path):
    opened = []

    def start(name: str = "outbox.sqlite", max_bytes: int = ROOM, **settings) -> Outbox:
        outbox = Outbox(tmp_path / name, store="shop", device="edge-1", max_bytes=max_bytes, **settings)
        opened.append(outbox)
        return outbox

    yield start
    for outbox in opened:
        outbox.close()


def events(outbox: Outbox) -> list[Event]:
    found, after = [], 0
    while rows := outbox.read(after, 100):
        after = rows[-1].position
        found += [Event.model_validate_json(row.payload) for row in rows]
    return found


def covered(found: list[Event]) -> list[int]:
    """Every seq that a reader can pass over, with gap records opened up."""
    seqs: set[int] = set()
    for event in found:
        seqs |= set(range(event.data.first_seq or event.seq, event.seq + 1))
    return sorted(seqs)


def test_events_get_places_without_holes_and_survive_reopening(open_outbox):
    outbox = open_outbox()
    stored = outbox.append(drafts(3)) + outbox.append(drafts(2, EventKind.TOUCH, start=3))
    assert [event.seq for event in stored] == [1, 2, 3, 4, 5]
    epoch = outbox.epoch
    outbox.close()
    again = open_outbox()
    assert again.epoch == epoch
    assert again.backlog == 5
    assert events(again) == stored
    assert [event.seq for event in again.append(drafts(1, start=5))] == [6]


def test_seqs_are_never_given_out_twice_even_when_everything_was_acknowledged(open_outbox):
    outbox = open_outbox()
    outbox.append(drafts(5))
    assert outbox.acknowledge(outbox.epoch, 5) == 5
    outbox.close()
    assert open_outbox().append(drafts(1, start=5))[0].seq == 6


def test_an_acknowledgement_deletes_up_to_its_seq_and_only_in_its_epoch(open_outbox):
    outbox = open_outbox()
    outbox.append(drafts(10))
    assert outbox.acknowledge("f" * 24, 5) == 0
    assert outbox.acknowledge(outbox.epoch, 11) == 0, "never given out"
    assert outbox.acknowledge(outbox.epoch, 4) == 4
    assert outbox.acknowledge(outbox.epoch, 3) == 0
    assert [event.seq for event in events(outbox)] == [5, 6, 7, 8, 9, 10]
    assert outbox.backlog == 6


def test_a_put_back_points_at_its_pick_up(open_outbox):
    outbox = open_outbox()
    pick = outbox.append([draft(1)])[0]
    back = draft(2, EventKind.PUT_BACK)
    linked = back.data.model_copy(update={"linked_event": draft(1).key})
    stored = outbox.append([type(back)(back.kind, back.time, back.camera, linked, back.key)])[0]
    assert stored.data.linked_event == pick.id


def test_an_event_beyond_64_kib_is_refused_before_anything_is_stored(open_outbox):
    outbox = open_outbox()
    big = draft(1)
    data = big.data.model_copy(update={"reason": "x" * MAX_EVENT_BYTES})
    with pytest.raises(OversizeEventError, match="at most 65536"):
        outbox.append([draft(0), type(big)(big.kind, big.time, big.camera, data, big.key)])
    assert outbox.backlog == 0
    assert outbox.append([draft(2)])[0].seq == 1


def test_every_promised_event_survives_kill_9(tmp_path):
    """A child appends and prints each seq once it is promised; it is killed in the middle, many times."""
    script = (
        "import sys\nsys.path.insert(0, '.')\n"
        "from shelfvision.transport.outbox import Outbox\nfrom tests.transport.builders import drafts\n"
        f"outbox = Outbox({str(tmp_path / 'o.sqlite')!r}, store='shop', device='edge-1', max_bytes=10**8)\n"
        "while True:\n    print(outbox.append(drafts(7))[-1].seq, flush=True)\n"
    )
    promised = 0
    draw = random.Random(4)
    for _ in range(5):
        child = subprocess.Popen(
            [sys.executable, "-c", script],
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        )
        for _ in range(draw.randint(1, 60)):
            promised = int(child.stdout.readline())
        child.send_signal(signal.SIGKILL)
        promised = max([promised, *(int(line) for line in child.stdout.read().split("\n")[:-1])])
        child.wait()
        child.stdout.close()
        outbox = Outbox(tmp_path / "o.sqlite", store="shop", device="edge-1", max_bytes=10**8)
        assert [event.seq for event in events(outbox)] == list(range(1, outbox.last_seq + 1))
        assert outbox.last_seq >= promised
        outbox.close()


def test_a_second_agent_on_the_same_file_is_refused_with_one_clear_line(open_outbox):
    first = open_outbox()
    with pytest.raises(OutboxError, match=rf"another agent has it open \(process {os.getpid()}\)"):
        open_outbox()
    first.close()
    open_outbox().append([draft(1)])


def test_a_folder_that_cannot_be_written_is_one_clear_line(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(OutboxError, match="folder cannot be made"):
        Outbox(tmp_path / "file" / "outbox.sqlite", store="s", device="d", max_bytes=ROOM)


def test_another_programs_database_is_not_touched(tmp_path, open_outbox):
    path = tmp_path / "outbox.sqlite"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE precious (x)")
    database.close()
    with pytest.raises(OutboxError, match="another program's database"):
        open_outbox()
    assert path.exists()
    assert not list(tmp_path.glob("*.corrupt-*"))


def test_a_file_of_a_newer_version_is_refused_and_kept(tmp_path, open_outbox):
    outbox = open_outbox()
    outbox.append([draft(1)])
    outbox.close()
    with sqlite3.connect(tmp_path / "outbox.sqlite") as database:
        database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(OutboxError, match="newer shelfvision"):
        open_outbox()


class TestFullDisk:
    """``max_bytes`` becomes ``max_page_count``: SQLite then fails as it does on a full disk."""

    def test_minor_events_give_way_first_and_gap_records_leave_no_hole(self, open_outbox):
        outbox = open_outbox(max_bytes=400_000)
        vital = 0
        for number in range(0, 3_000, 10):
            batch = [*drafts(9, EventKind.TOUCH, start=number), draft(number + 9, EventKind.STOCKOUT)]
            outbox.append(batch)
            vital += 1
        found = events(outbox)
        kinds = [event.kind for event in found]
        assert kinds.count(EventKind.STOCKOUT) == vital, "no stockout was given up while there were touches"
        assert covered(found) == list(range(1, 3_001))
        gaps = [event for event in found if event.kind is EventKind.GAP]
        given_up = sum(sum(event.data.dropped.values()) for event in gaps)
        assert given_up == outbox.dropped == 3_000 - sum(kind is not EventKind.GAP for kind in kinds)
        assert {kind for event in gaps for kind in event.data.dropped} == {"touch"}
        oldest_touch = next(event.seq for event in found if event.kind is EventKind.TOUCH)
        assert all(event.seq < oldest_touch for event in gaps), "the oldest went"
        assert outbox.backlog == len(found)
        assert "gave way" in outbox.notice or "given up" in outbox.notice
        assert outbox.path.stat().st_size <= 400_000

    def test_a_file_full_of_vital_events_gives_up_new_minor_ones_at_once_and_then_the_oldest(self, open_outbox):
        outbox = open_outbox(max_bytes=200_000)
        for number in range(0, 2_000, 20):
            outbox.append(drafts(20, EventKind.PICK_UP, start=number))
        before = [event.seq for event in events(outbox) if event.kind is EventKind.PICK_UP]
        assert before[-1] == 2_000
        outbox.append(drafts(10, EventKind.TOUCH, start=2_000))
        found = events(outbox)
        after = [event.seq for event in found if event.kind is EventKind.PICK_UP]
        assert after == before, "touches do not displace pick-ups"
        assert covered(found) == list(range(1, 2_011))

    def test_gap_records_survive_reopening_and_are_acknowledged_like_events(self, open_outbox):
        outbox = open_outbox(max_bytes=200_000)
        for number in range(0, 2_000, 20):
            outbox.append(drafts(20, EventKind.TOUCH, start=number))
        outbox.close()
        again = open_outbox(max_bytes=200_000)
        found = events(again)
        assert found[0].kind is EventKind.GAP
        assert found[0].data.first_seq == 1
        assert again.dropped == sum(found[0].data.dropped.values())
        again.acknowledge(again.epoch, found[0].seq - 1)
        assert events(again)[0] == found[0], "a gap goes when all of it is acknowledged"
        again.acknowledge(again.epoch, 2_000)
        assert again.backlog == 0
        again.append(drafts(20, start=2_000))
        assert [event.seq for event in events(again)] == list(range(2_001, 2_021))

    def test_room_comes_back_after_acknowledgement(self, open_outbox):
        outbox = open_outbox(max_bytes=300_000)
        for number in range(0, 4_000, 20):
            outbox.append(drafts(20, start=number))
            outbox.acknowledge(outbox.epoch, outbox.last_seq - 100)
        assert outbox.dropped == 0


def overwrite(path: Path, start: int, count: int) -> None:
    with path.open("r+b") as file:
        file.seek(start)
        file.write(random.Random(1).randbytes(count))


class TestDamage:
    """A damaged file is moved aside, what is readable is kept, and a new epoch begins."""

    def fill(self, open_outbox) -> tuple[str, list[Event]]:
        outbox = open_outbox()
        stored = [event for number in range(0, 400, 20) for event in outbox.append(drafts(20, start=number))]
        outbox.acknowledge(outbox.epoch, 50)
        outbox.close()
        return outbox.epoch, stored[50:]

    def test_a_clean_file_has_nothing_to_say(self, open_outbox):
        self.fill(open_outbox)
        assert open_outbox().notice is None

    @pytest.mark.parametrize("page", [0, 1, 3, 10, 20])
    def test_a_page_of_garbage_loses_at_most_what_stood_on_it(self, tmp_path, open_outbox, page):
        old_epoch, stored = self.fill(open_outbox)
        overwrite(tmp_path / "outbox.sqlite", page * 4096, 4096)
        outbox = open_outbox()
        found = {(event.epoch, event.seq): event for event in events(outbox) if event.kind is not EventKind.GAP}
        if outbox.notice is None:
            return  # an unused page
        saved = [event for event in stored if (event.epoch, event.seq) in found]
        assert len(saved) >= len(stored) - 12, "a page holds some eight events"
        assert all(found[event.epoch, event.seq] == event for event in saved)
        assert list(tmp_path.glob("outbox.sqlite.corrupt-*"))
        assert "damaged" in outbox.notice
        assert outbox.epoch > old_epoch
        assert outbox.append([draft(1)])[0].seq == 1

    def test_holes_that_damage_left_are_filled_with_gap_records(self, tmp_path, open_outbox):
        old_epoch, _ = self.fill(open_outbox)
        overwrite(tmp_path / "outbox.sqlite", 12 * 4096, 8192)
        outbox = open_outbox()
        old = [event for event in events(outbox) if event.epoch == old_epoch]
        assert covered(old)[-300:] == list(range(101, 401))

    @pytest.mark.parametrize("content", [b"", b"garbage", b"SQLite format 3\x00" + b"\x00" * 4000, b"x" * 100_000])
    def test_a_file_that_is_no_database_is_replaced(self, tmp_path, open_outbox, content):
        (tmp_path / "outbox.sqlite").write_bytes(content)
        outbox = open_outbox()
        assert outbox.append([draft(1)])[0].seq == 1
        assert bool(list(tmp_path.glob("*.corrupt-*"))) == bool(content)

    def test_a_truncated_file_gives_what_is_left(self, tmp_path, open_outbox):
        _, stored = self.fill(open_outbox)
        path = tmp_path / "outbox.sqlite"
        with path.open("r+b") as file:
            file.truncate(path.stat().st_size * 2 // 3)
        outbox = open_outbox()
        found = {event.id for event in events(outbox)}
        assert sum(event.id in found for event in stored) > len(stored) // 3

    def test_a_file_deleted_while_running_is_made_anew_with_all_waiting_events(self, tmp_path, open_outbox):
        outbox = open_outbox()
        before = outbox.append(drafts(30))
        old_epoch = outbox.epoch
        for path in tmp_path.glob("outbox.sqlite*"):
            path.unlink()
        after = outbox.append(drafts(5, start=30))
        assert outbox.epoch > old_epoch
        assert [event.seq for event in after] == [1, 2, 3, 4, 5]
        assert "deleted" in outbox.notice
        outbox.close()
        assert events(open_outbox()) == before + after

    def test_a_file_damaged_while_running_is_made_anew(self, tmp_path, open_outbox):
        outbox = open_outbox()
        for number in range(0, 2_000, 20):
            outbox.append(drafts(20, start=number))
        (tmp_path / "outbox.sqlite").write_bytes(b"\xff" * (tmp_path / "outbox.sqlite").stat().st_size)
        outbox._connection.execute("PRAGMA cache_size = 1")
        stored = [outbox.append(drafts(20, start=2_000 + 20 * number)) for number in range(50)]
        rows = outbox.read(0, 10)
        outbox.close()
        assert stored[-1][-1].seq > 0
        assert rows
        assert events(open_outbox())[-1] == stored[-1][-1]

    def test_a_place_taken_by_another_agent_is_told_and_nothing_is_lost_meanwhile(self, tmp_path, open_outbox):
        """Everything is deleted, lock included, and a second agent starts before the first one notices."""
        outbox = open_outbox()
        before = outbox.append(drafts(10))
        for path in tmp_path.glob("outbox.sqlite*"):
            path.unlink()
        rival = open_outbox()
        for _ in range(2):
            with pytest.raises(OutboxError, match="another agent"):
                outbox.append(drafts(1, start=10))
        assert [event.seq for event in events(outbox)] == list(range(1, 11))
        rival.close()
        for path in tmp_path.glob("outbox.sqlite*"):
            path.unlink()
        after = outbox.append(drafts(1, start=10))
        assert events(outbox)[:10] == before
        assert outbox.read(outbox.lowest().position + 9, 1)[0].seq == after[0].seq

    def test_a_file_that_cannot_be_made_anew_now_is_tried_again_later(self, tmp_path, open_outbox, monkeypatch):
        from shelfvision.transport import outbox as module

        outbox = open_outbox()
        before = outbox.append(drafts(10))
        (tmp_path / "outbox.sqlite").unlink()
        real = module.fill_fresh

        def full(*_args, **_settings):
            raise sqlite3.OperationalError("database or disk is full")

        monkeypatch.setattr(module, "fill_fresh", full)
        with pytest.raises(OutboxError, match="cannot be made anew"):
            outbox.append(drafts(1, start=10))
        monkeypatch.setattr(module, "fill_fresh", real)
        outbox.append(drafts(1, start=10))
        assert outbox.backlog == 11
        assert events(outbox)[:10] == before

    def test_the_new_epoch_sorts_above_the_old_one_even_when_the_clock_went_back(self, tmp_path, open_outbox):
        outbox = open_outbox(clock=lambda: 2_000_000_000.0)
        outbox.append(drafts(3))
        old_epoch = outbox.epoch
        for path in tmp_path.glob("outbox.sqlite*"):
            path.unlink()
        outbox._clock = lambda: 1_000_000_000.0
        outbox.append(drafts(1, start=3))
        assert outbox.epoch > old_epoch
