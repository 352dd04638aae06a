"""``shelfvision watch``: the edge agent."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from shelfvision.errors import CameraError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from shelfvision.config import CameraSection
    from shelfvision.edge.agent import Agent

_STEP_SECONDS = 0.2
_GRACE_SECONDS = 10.0


def watch(
    site_file: Annotated[Path, typer.Argument(metavar="SITE.yaml", help="The store's site file.")],
    camera: Annotated[str | None, typer.Option(help="Id of the one camera to watch; all when absent.")] = None,
) -> int:
    """Run the edge agent: cameras in, events out over MQTT.

    It runs until it is stopped (Ctrl-C, SIGTERM) or all its cameras are files that have ended. Events wait in the
    outbox while the broker or the service cannot be reached.
    """
    from shelfvision.edge.agent import Agent
    from shelfvision.edge.camera import find_camera
    from shelfvision.site_file import load_site

    site = load_site(site_file)
    cameras = list(site.cameras) if camera is None else [find_camera(site, camera)]
    _check_sources(cameras)
    stop = _Stop()
    agent = Agent(site, cameras)
    stop.force = agent.abort
    try:
        agent.startup()
        many = f"{len(cameras)} cameras" if len(cameras) > 1 else f"camera {cameras[0].id}"
        print(
            f"ready: device {site.device.id} watches {many}, broker {site.broker.host}:{site.broker.port}", flush=True
        )
        return _run(agent, stop)
    finally:
        agent.shutdown(time.monotonic() + _GRACE_SECONDS)


def _run(agent: Agent, stop: _Stop) -> int:
    from shelfvision.edge.agent import drain

    while not agent.finished:
        if stop.event.wait(_STEP_SECONDS):
            print("stopping: cameras end and events are stored; a second signal forces", flush=True)
            return stop.code
        agent.step(time.monotonic())
    if drain(agent, stop.event):
        print("all cameras ended; every event is acknowledged", flush=True)
    else:
        print(f"all cameras ended; {agent.waiting} events wait in the outbox for the next start", flush=True)
    if agent.faults:
        raise CameraError("\n".join(agent.faults))
    return stop.code


def _check_sources(cameras: list[CameraSection]) -> None:
    """Refuse to start when not one of the cameras can ever work."""
    from shelfvision.edge.camera import check_source

    faults = []
    for camera in cameras:
        try:
            check_source(camera)
        except CameraError as error:
            faults.append(str(error))
    if len(faults) == len(cameras):
        raise CameraError("\n".join(faults))


def _nothing() -> None:
    """What forcing ends before there is an agent."""


class _Stop:
    """SIGINT and SIGTERM set a flag; a second one forces the end."""

    def __init__(self) -> None:
        self.event = threading.Event()
        self.code = 0
        self.force: Callable[[], None] = _nothing
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        code = 130 if number == signal.SIGINT else 0
        if self.event.is_set():
            self.force()
            print("forced to stop; events that were stored go out at the next start", file=sys.stderr, flush=True)
            os._exit(128 + number)
        self.code = code
        self.event.set()
