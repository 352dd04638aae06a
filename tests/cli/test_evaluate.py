"""`shelfvision evaluate events` on files, as a person calls it."""

import json
import os
from pathlib import Path

import pytest

from shelfvision.cli.main import main

DATA = Path(os.environ.get("SHELFVISION_DATA", Path(__file__).parents[2] / "../shared/data"))
SITE = Path(__file__).parents[2] / "configs/bottles.yaml"
TRUTH = {
    "fps": 10,
    "frames": 600,
    "interactions": [{"type": "pick_up", "slot": "left", "hand_in": 98, "contact": 100, "end": 110}],
    "empty_facing_intervals": {"left": [[105, None]]},
}


def line(kind="pick_up", seconds=10.0, slot="left", **changes):
    stamp = f"1970-01-01T00:00:{seconds:06.3f}Z"
    event = {
        "specversion": "1.0",
        "id": f"{kind}-{seconds}-{slot}",
        "source": "demo-real/edge-1/table",
        "type": f"shelfvision.{kind}.v1",
        "subject": slot,
        "time": stamp,
        "epoch": "0" * 16,
        "seq": 1,
        "data": {"slot": slot},
    }
    return json.dumps(event | changes)


@pytest.fixture
def files(tmp_path):
    """Writes events and truth; returns the command's words."""

    def write(*lines, truth=TRUTH):
        (tmp_path / "events.jsonl").write_text("\n".join(lines) + "\n")
        (tmp_path / "truth.json").write_text(truth if isinstance(truth, str) else json.dumps(truth))
        return ["evaluate", "events", str(tmp_path / "events.jsonl"), str(tmp_path / "truth.json")]

    return write


def test_a_perfect_file_says_so_in_the_table(files, capsys):
    assert main(files(line(), line("stockout", 14))) == 0
    out = capsys.readouterr().out
    assert "pick_up        1     1     1     1.000   1.000   1.000   1.000" in out
    assert "every event is there once" in out


def test_json_holds_every_figure_and_every_fault(files, capsys):
    assert main([*files(line(), line("stockout", 14), line("stockout", 20, "mid")), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["perfect"] is False
    assert found["macro_f1"] == found["stockout_recall"] == found["right_slot_rate"] == 1
    assert found["false_alerts"] == 1
    assert found["false_alerts_a_shelf_day"] == pytest.approx(86_400 / 60)
    assert found["seconds_to_alert"]["median"] == pytest.approx(3.5)
    assert found["false"] == [{"type": "stockout", "time": "1970-01-01T00:00:20+00:00", "slot": "mid"}]


def test_the_real_clip_is_readable_as_it_is_and_no_events_are_all_missed(files, capsys):
    """The labels of the real clip: three pick-ups, a put-back, three stockouts and one refill follow from them."""
    truth = DATA / "bottles/truth.json"
    if not truth.exists():
        pytest.skip(f"no {truth}")
    assert main([*files(truth=truth.read_text()), "--json", "--site", str(SITE)]) == 0
    found = json.loads(capsys.readouterr().out)
    wanted = {"pick_up": 3, "put_back": 1, "touch": 0, "stockout": 3, "low_stock": 0, "misplaced": 0, "restocked": 1}
    assert {name: part["true"] for name, part in found["types"].items()} == wanted
    assert len(found["missed"]) == 8
    assert found["stockout_recall"] == 0


@pytest.mark.parametrize(
    ("lines", "fault"),
    [
        (["{"], "events.jsonl line 1: no JSON"),
        ([line(), "", "[]"], "events.jsonl line 3: expected a JSON object"),
        ([line(type="shelfvision.pickup.v1")], "line 1: type: 'shelfvision.pickup.v1' is unknown (did you mean"),
        ([line(type="pick_up")], "events.jsonl line 1: type: expected it to match pattern"),
        ([line(seq=0)], "line 1: seq: expected greater than or equal to 1, found 0"),
        ([line(time="yesterday")], "line 1: time: "),
        ([line(data={"slot": "left", "confidence": 7})], "line 1: data.confidence: expected less than or equal to 1"),
        (['{"id": NaN}'], "events.jsonl line 1: "),
    ],
)
def test_a_bad_event_is_one_line_with_its_number(files, capsys, lines, fault):
    assert main(files(*lines)) == 1
    err = capsys.readouterr().err
    assert fault in err
    assert err.count("\n") == 1
    assert err.startswith("error: ")


def test_many_bad_events_are_cut_short(files, capsys):
    assert main(files(*["x"] * 500)) == 1
    err = capsys.readouterr().err.splitlines()
    assert len(err) == 21
    assert "480 more faults" in err[-1]


@pytest.mark.parametrize(
    ("truth", "fault"),
    [
        ("nonsense", "truth.json: no JSON"),
        ("[]", "expected an object with interactions and empty_facing_intervals, found a list of 0"),
        ({k: v for k, v in TRUTH.items() if k != "fps"}, "fps is missing: times in frames need it"),
        ({k: v for k, v in TRUTH.items() if k != "interactions"}, "interactions: missing; add it"),
        (TRUTH | {"fps": 0}, "fps: expected greater than 0, found 0"),
        (TRUTH | {"version": 2}, "version: expected 1, found 2"),
        (TRUTH | {"interactions": [{"type": "pickup", "slot": "a", "contact": 1}]}, "interactions[0].type: expected"),
        (TRUTH | {"interactions": [{"type": "touch", "slot": "a"}]}, "interactions[0].contact: missing"),
        (TRUTH | {"interactions": [{"type": "touch", "slot": "a", "contact": 9999}]}, "after the end of the footage"),
        (TRUTH | {"empty_facing_intervals": {"a": [[9, 5]]}}, "empty_facing_intervals.a: intervals must be in order"),
        (TRUTH | {"empty_facing_intervals": {"a": [[1, 5], [4, 8]]}}, "intervals must be in order"),
        (TRUTH | {"empty_facing_intervals": {"a": [[1, None], [4, 8]]}}, "intervals must be in order"),
        (TRUTH | {"empty_facing_intervals": {"a": [[-1, 8]]}}, "empty_facing_intervals.a[0][0]: expected greater"),
    ],
)
def test_a_bad_truth_is_one_line_with_its_key(files, capsys, truth, fault):
    assert main(files(line(), truth=truth)) == 1
    err = capsys.readouterr().err
    assert fault in err
    assert err.count("\n") == 1


def test_files_that_are_not_there_are_named(tmp_path, files, capsys):
    words = files(line())
    assert main([*words[:2], str(tmp_path / "no.jsonl"), words[3]]) == 1
    assert "no.jsonl: cannot be read: No such file" in capsys.readouterr().err
    assert main([*words[:3], str(tmp_path / "no.json")]) == 1
    assert "no.json: cannot be read: No such file" in capsys.readouterr().err
    assert main([*words[:3], str(tmp_path)]) == 1
    assert "cannot be read: Is a directory" in capsys.readouterr().err


def test_a_site_file_catches_slots_that_it_does_not_know(files, capsys):
    assert main([*files(line(slot="lift")), "--site", str(SITE)]) == 1
    assert "events.jsonl: slot 'lift' is not in" in (err := capsys.readouterr().err)
    assert "did you mean 'left'?" in err


@pytest.mark.parametrize("start", ["noon", "2026-01-31T08:00:00"])
def test_a_start_without_an_offset_is_wrong_usage(files, capsys, start):
    assert main([*files(line()), "--start", start]) == 2
    assert "expected a time with its UTC offset" in capsys.readouterr().err
