"""The command ``bench simulator``: its figures belong together, and what it cannot measure is told."""

from __future__ import annotations

import json

import pytest

from shelfvision.cli.main import main

TINY = ["bench", "simulator", "--stills", "2", "--frames", "3", "--size", "96x64", "--store", "table", "--skus", "3"]


def test_figures_of_stills_footage_and_memory(capsys: pytest.CaptureFixture[str]) -> None:
    """One row a kind of stills, one a store; rates are counts over the seconds told beside them."""
    assert main([*TINY, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert [row["people"] for row in result["stills"]] == [0.0, 0.3]
    assert [row["store"] for row in result["footage"]] == ["table"]
    rows = [("stills", row) for row in result["stills"]]
    for things, row in [*rows, ("frames", result["footage"][0]), ("events", result["demand"])]:
        assert row[f"{things}_per_second"] == pytest.approx(row[things] / row["process_seconds"], rel=0.05)
        assert row[f"{things}_per_wall_second"] == pytest.approx(row[things] / row["wall_seconds"], rel=0.05)
    assert (result["demand"]["skus"], result["demand"]["days"]) == (3, 14)
    assert (result["size"], result["footage"][0]["frames"]) == ([96, 64], 3)
    peak = result["live_camera"][0]["peak_mb"]
    assert peak is None or 20 < peak < 300


def test_an_unknown_store_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "simulator", "--store", "kiosk"]) == 2
    assert "choose from corner, aisle, chiller, table" in capsys.readouterr().err
