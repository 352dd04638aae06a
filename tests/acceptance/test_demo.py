"""The demo: a whole store on one machine within a minute, and clear words when it cannot run."""

from __future__ import annotations

import re
import socket
import subprocess

import pytest

from tests.acceptance.processes import shelfvision


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_minute_of_demo_shows_a_task_from_stockout_to_confirmation():
    """It exits 0 only when a stockout, three pick-ups and a task claimed, done and confirmed were seen."""
    result = subprocess.run(
        shelfvision("demo", "--seconds", "60", "--no-browser", "--port", "0"),
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-2000:]
    summary = result.stdout.partition("demo summary")[2]
    counts = {what: int(count) for count, what in re.findall(r"^ +(\d+) (.+)$", summary, re.MULTILINE)}
    assert counts["stockouts"] >= 1
    assert counts["pick-ups"] >= 3
    assert counts["tasks claimed"] >= 1
    assert counts["tasks done"] >= 1
    assert counts["tasks confirmed by the camera"] >= 1


def test_a_page_port_in_use_is_one_clear_line():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = subprocess.run(
            shelfvision("demo", "--seconds", "5", "--no-browser", "--port", str(port)),
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
    assert result.returncode == 1
    assert result.stderr.startswith("error: demo: replenish has ended:"), result.stderr
    assert str(port) in result.stderr
    assert "Traceback" not in result.stdout + result.stderr
