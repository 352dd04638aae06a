"""Our own commands and Debian's MQTT clients as processes, for tests of the whole."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("SHELFVISION_DATA", ROOT / "../shared/data")).resolve()


def clip() -> Path:
    """The real clip, or a skip that says why."""
    video = DATA / "bottles" / "bottles.mp4"
    if not video.is_file():
        pytest.skip(f"the real clip is not at {video}; set SHELFVISION_DATA")
    return video


class Running:
    """A command whose output grows in a file."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process = process
        self.log = log

    @property
    def lines(self) -> list[str]:
        return self.log.read_text(encoding="utf-8", errors="replace").splitlines()

    def wait_for_line(self, beginning: str, seconds: float = 30) -> str:
        def found() -> str | None:
            return next((line for line in self.lines if line.startswith(beginning)), None)

        wait_until(lambda: found() or self.process.poll() is not None, seconds, what=f"a line {beginning!r}")
        line = found()
        assert line is not None, f"ended with {self.process.returncode} before {beginning!r}: {self.lines[-5:]}"
        return line


@contextlib.contextmanager
def running(name: str, command: Sequence[str], folder: Path, **environment: str) -> Iterator[Running]:
    """Start a command in ``folder``; it is asked to stop at the end, and killed when it does not."""
    log = folder / f"{name}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            list(command), stdout=output, stderr=subprocess.STDOUT, cwd=folder, env={**os.environ, **environment}
        )
    try:
        yield Running(process, log)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def shelfvision(*words: str) -> list[str]:
    """The command line of one of our commands."""
    return [sys.executable, "-m", "shelfvision", *words]


def mosquitto_client(name: str) -> str:
    """Path of mosquitto_sub or mosquitto_pub, or a skip that says why."""
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not installed; on Debian: apt-get install mosquitto-clients")
    return path
