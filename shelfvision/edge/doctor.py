"""Looks at everything that a device needs and says in one line each whether it will work."""

from __future__ import annotations

import queue
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime

from shelfvision.config import CameraSection, ModelsSection, Site
from shelfvision.core.findings import Finding
from shelfvision.edge.address import redact_url
from shelfvision.edge.camera import check_source, open_camera
from shelfvision.edge.chosen_models import check_models, open_site_detector
from shelfvision.edge.frame import Frame
from shelfvision.errors import CameraError, ShelfvisionError
from shelfvision.transport.broker_check import check_broker
from shelfvision.transport.outbox_check import check_outbox

_OLDEST_YEAR = 2025  # before this release: a device without a battery-backed clock wakes up in 1970 or 2000
_DARK = 8.0  # mean brightness of 255 below which a picture shows nothing
_FLAT = 2.0  # likewise its standard deviation


def examine(site: Site, *, camera_seconds: float = 15.0) -> Iterator[Finding]:
    """All findings of a site, as they come.

    Args:
        site: what to look at.
        camera_seconds: wait for a camera's first picture for so long.
    """
    slots = sum(len(camera.slots) for camera in site.cameras)
    text = f"store {site.store.id}, device {site.device.id}; cameras: {len(site.cameras)}, slots: {slots}"
    yield Finding.ok("site file", f"{text}, products: {len(site.catalogue)}")
    yield from _cameras(site, camera_seconds)
    yield detector(site.models)
    yield from check_broker(site.broker, store=site.store.id, device=site.device.id, delivery=site.device.delivery)
    yield clock()
    yield from check_outbox(site.device.outbox, site.device.outbox_max_mb * 1_000_000)


def detector(models: ModelsSection) -> Finding:
    """Which detector runs here, on what, and how long it takes."""
    likeness = "slots are judged by likeness to their own pictures"
    try:
        file = check_models(models)
        if file is None:
            why = "none asked for" if models.detector == "none" else "this installation has no default detector"
            return Finding.ok("models", f"{why}: {likeness}")
        loaded = open_site_detector(models)
        took = loaded.measure()
    except ShelfvisionError as error:
        return Finding.fail("models", str(error), "correct `models` in the site file, or copy the model again")
    name = "default detector" if models.detector == "default" else f"detector {file.path.name}"
    size, labels = loaded.size, ", ".join(loaded.labels[:6])
    text = f"{name} {file.sidecar.sha256[:8]} ({labels}) on {loaded.model.runtime}: {took:.0f} ms at {size} pixels"
    return Finding.ok("models", text)


def clock() -> Finding:
    """Whether the time of day can be trusted: events carry it."""
    now = datetime.now(UTC)
    text = f"{now:%Y-%m-%d %H:%M:%S} UTC"
    if now.year < _OLDEST_YEAR:
        return Finding.fail("clock", f"{text}: long past", "set the clock and switch on time synchronisation (NTP)")
    synchronised = _synchronised()
    if synchronised is False:
        return Finding.warn("clock", f"{text}, not synchronised", "switch it on: timedatectl set-ntp true")
    return Finding.ok("clock", f"{text}, {'synchronised' if synchronised else 'whether synchronised is not known'}")


def _synchronised() -> bool | None:
    """Whether the system keeps its clock by NTP; None where it does not say."""
    program = shutil.which("timedatectl")
    if program is None:
        return None
    try:
        command = [program, "show", "--property=NTPSynchronized", "--value"]
        answer = subprocess.run(command, capture_output=True, text=True, timeout=5, check=False).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return None
    return {"yes": True, "no": False}.get(answer)


def _cameras(site: Site, seconds: float) -> Iterator[Finding]:
    """All cameras at once, so that several dead ones cost one wait."""
    found: queue.SimpleQueue[Finding] = queue.SimpleQueue()
    for camera in site.cameras:
        # daemon: a driver that hangs must not keep the doctor from ending
        threading.Thread(target=lambda c=camera: found.put(_camera(c)), daemon=True).start()
    deadline = time.monotonic() + seconds
    silent = {f"camera {camera.id}" for camera in site.cameras}
    for _ in site.cameras:
        try:
            finding = found.get(timeout=max(deadline - time.monotonic(), 0.001))
        except queue.Empty:
            break
        silent.discard(finding.part)
        yield finding
    for part in sorted(silent):
        yield Finding.fail(part, f"no picture within {seconds:g} s", "check the camera, its address and the network")


def _camera(camera: CameraSection) -> Finding:
    part = f"camera {camera.id}"
    started = time.monotonic()
    try:
        check_source(camera)
        source = open_camera(camera)
        try:
            frame = next(iter(source), None)
        finally:
            source.close()
    except CameraError as error:
        text = redact_url(str(error)).removeprefix(f"camera {camera.id}: ")
        return Finding.fail(part, text, "check its power, its address and its password")
    if frame is None:
        return Finding.fail(part, f"{redact_url(camera.source)}: holds no picture", "check the file or stream")
    return _picture(camera, frame, time.monotonic() - started)


def _picture(camera: CameraSection, frame: Frame, seconds: float) -> Finding:
    part = f"camera {camera.id}"
    size = f"{frame.size[0]}x{frame.size[1]}"
    if frame.size != camera.size:
        text = f"sends {size}, its slots are drawn on {camera.size[0]}x{camera.size[1]}"
        return Finding.fail(part, text, "set the camera to that size, or draw the slots anew on the new one")
    text = f"{size}, first picture after {seconds:.1f} s, slots: {len(camera.slots)}"
    if frame.image.mean() < _DARK or frame.image.std() < _FLAT:
        return Finding.warn(part, f"{text}; the picture is dark or empty", "look at it: lens cap, light, cable")
    if not camera.slots:
        return Finding.warn(part, text, "draw slots, or nothing will be reported")
    return Finding.ok(part, text)
