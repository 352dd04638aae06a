"""Fixtures that several parts of the suite share."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from shelfvision.transport.mosquitto import Mosquitto, find_mosquitto

# The same examples on every machine and day, so that a change is judged by what it changes; to look for new ones:
# make test TEST_ARGS="--hypothesis-profile=explore"
settings.register_profile("repeatable", derandomize=True)
settings.register_profile("explore", derandomize=False, max_examples=500)
settings.load_profile("repeatable")


def pytest_configure() -> None:
    """A shell starts its background jobs with SIGINT ignored; children inherit that, and no Ctrl-C would reach them."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def mosquitto_factory(tmp_path: Path) -> Iterator[Callable[..., Mosquitto]]:
    """Starts real brokers: ``mosquitto_factory(extra=[...], acl=..., passwords=...)``; see ``Mosquitto``."""
    if find_mosquitto() is None:
        pytest.skip("the program mosquitto is not installed; on Debian: apt-get install mosquitto")
    started: list[Mosquitto] = []

    def start(**settings: Any) -> Mosquitto:
        broker = Mosquitto(tmp_path / f"mosquitto-{len(started)}", **settings)
        started.append(broker)
        broker.start()
        return broker

    yield start
    for broker in started:
        broker.kill()


@pytest.fixture
def mosquitto(mosquitto_factory: Callable[..., Mosquitto]) -> Mosquitto:
    """A running broker on a free loopback port; ``section()`` is its part of a site file."""
    return mosquitto_factory()
