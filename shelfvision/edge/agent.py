"""The edge agent: one process a camera, one outbox, one link to the broker."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from contextlib import suppress

import structlog

from shelfvision.config import CameraSection, Site
from shelfvision.core.events import to_utc
from shelfvision.core.messages import CameraStatus, Health
from shelfvision.edge.chosen_models import check_models
from shelfvision.edge.detector_service import DetectorService
from shelfvision.edge.reports import CameraReport
from shelfvision.edge.vitals import Vitals
from shelfvision.edge.worker import CameraWorker
from shelfvision.transport.edge_link import EdgeLink
from shelfvision.transport.outbox import Outbox
from shelfvision.transport.outbox_writer import OutboxWriter

HEALTH_SECONDS = 10.0
DRAIN_SECONDS = 30.0
_REMINDER_SECONDS = (30.0, 600.0)  # first and longest pause between two lines about the same broker fault
_log = structlog.get_logger(__name__)


class Agent:
    """Watches cameras of a site until they have all ended or it is told to stop.

    Events go to the outbox as soon as a pipeline decides them, so that the end of any process loses none that was
    reported. A broker that cannot be reached is normal operation: events wait in the outbox.

    Args:
        site: store, broker and device.
        cameras: those of the site to watch.

    Raises:
        OutboxError: the outbox cannot be opened.
        ModelError: the detector that the site asks for cannot be used.
    """

    def __init__(self, site: Site, cameras: Sequence[CameraSection]) -> None:
        device = site.device
        self._site = site
        wanted = check_models(site.models)
        self._outbox = Outbox(
            device.outbox, store=site.store.id, device=device.id, max_bytes=device.outbox_max_mb * 1_000_000
        )
        try:
            self._writer = OutboxWriter(self._outbox)
            self._link = EdgeLink(
                site.broker,
                store=site.store.id,
                device=device.id,
                outbox=self._outbox,
                delivery=device.delivery,
                cameras=[camera.id for camera in cameras],
            )
        except BaseException:
            self._outbox.close()
            raise
        self._vitals = Vitals(device.outbox)
        window = device.presence_window_seconds
        self._detector = None if wanted is None else DetectorService(site.models)
        address = None if self._detector is None else self._detector.address
        self.workers = [
            CameraWorker(camera, presence_window_seconds=window, deliver=self._deliver, detector=address)
            for camera in cameras
        ]
        self._logged: dict[str, tuple[str, str | None]] = {}
        self._health_at = 0.0
        self._connected = False
        self._remind_at, self._remind_after = 0.0, _REMINDER_SECONDS[0]

    def startup(self) -> None:
        """Connect in the background and start the cameras' processes; returns at once."""
        self._link.start()
        if self._detector is not None:
            self._detector.start()
        moment = to_utc(time.time())
        for worker in self.workers:
            self._link.publish_camera_status(CameraStatus(camera=worker.camera.id, status="starting", since=moment))
            worker.start()
        self._health_at = time.monotonic() + 1.0
        self._remind_at = time.monotonic() + _REMINDER_SECONDS[0]

    @property
    def finished(self) -> bool:
        """Whether all cameras have ended for good."""
        return all(worker.finished for worker in self.workers)

    @property
    def faults(self) -> list[str]:
        """Why cameras ended that should not have, a line each."""
        return [worker.fault for worker in self.workers if worker.fault is not None]

    @property
    def waiting(self) -> int:
        """Events that the service (or broker) has not acknowledged."""
        return self._outbox.backlog + self._writer.waiting

    def step(self, now: float) -> None:
        """Look after everything; ``now`` is monotonic seconds. Called a few times a second."""
        for worker in self.workers:
            worker.step(now)
        if self._detector is not None:
            self._detector.step(now)
        if now >= self._health_at:
            self._health_at = now + HEALTH_SECONDS
            self._link.publish_health(self._health())
        self._say_connection(now)

    def shutdown(self, deadline: float) -> None:
        """End the cameras, store what they said, deliver what can be delivered; ``deadline`` is monotonic seconds."""
        for worker in self.workers:
            worker.stop()
        until = min(time.monotonic() + 5.0, deadline)
        for worker in self.workers:
            worker.join(until)
        if self._detector is not None:
            self._detector.stop(until)
        self._say_offline()
        self._writer.stop(deadline)
        self._link.stop(deadline)
        with suppress(OSError):
            self._outbox.close()

    def abort(self) -> None:
        """End the cameras' processes at once; what the outbox holds stays there."""
        for worker in self.workers:
            worker.kill()
        if self._detector is not None:
            self._detector.kill()

    def _deliver(self, report: CameraReport) -> None:
        """Take a report; called from the workers' threads."""
        for event in report.events:
            self._writer.submit(event)
        for state in report.slots:
            self._link.publish_slot_state(state)
        if report.status is not None:
            self._link.publish_camera_status(report.status)
            self._say_camera(report.status)

    def _health(self) -> Health:
        children = [worker.pid for worker in self.workers]
        if self._detector is not None:
            children.append(self._detector.pid)
        processes = [os.getpid(), *(pid for pid in children if pid is not None)]
        return Health(
            device=self._site.device.id,
            at=to_utc(time.time()),
            cpu_percent=self._vitals.cpu_percent(processes),
            rss_mb=self._vitals.rss_mb(processes),
            disk_free_mb=self._vitals.disk_free_mb(),
            backlog=self.waiting,
            outbox_mb=round(self._outbox.bytes_used / 1e6, 3),
            cameras={
                worker.camera.id: worker.status.fps or 0.0 for worker in self.workers if worker.status is not None
            },
            detector=None if self._detector is None else self._detector.state,
            detector_restarts=None if self._detector is None else self._detector.restarts,
            detector_problem=None if self._detector is None else (self._detector.problem or "")[:500] or None,
        )

    def _say_camera(self, status: CameraStatus) -> None:
        said = (status.status, status.error)
        if self._logged.get(status.camera) == said:
            return
        self._logged[status.camera] = said
        if status.error is None:
            _log.info("camera", camera=status.camera, status=status.status)
        else:
            _log.warning("camera", camera=status.camera, status=status.status, problem=status.error)

    def _say_connection(self, now: float) -> None:
        """Log that the broker has us, and remind of a lasting fault ever more seldom; the link logs new faults."""
        if self._link.connected:
            if not self._connected:
                _log.info("broker connected", broker=self._site.broker.url, backlog=self.waiting)
            self._connected, self._remind_after = True, _REMINDER_SECONDS[0]
            self._remind_at = now + self._remind_after
            return
        self._connected = False
        if now >= self._remind_at:
            self._remind_after = min(self._remind_after * 2, _REMINDER_SECONDS[1])
            self._remind_at = now + self._remind_after
            problem = self._link.last_error or "no answer yet"
            _log.warning("still without the broker; events wait in the outbox", problem=problem, backlog=self.waiting)

    def _say_offline(self) -> None:
        """Leave no camera standing as online when the agent has gone."""
        moment = to_utc(time.time())
        for worker in self.workers:
            if worker.status is None or worker.status.status not in {"ended", "offline"}:
                restarts = worker.restarts
                self._link.publish_camera_status(
                    CameraStatus(
                        camera=worker.camera.id,
                        status="offline",
                        since=moment,
                        restarts=restarts,
                        error="the agent was stopped",
                    )
                )


def drain(agent: Agent, stop: threading.Event, seconds: float = DRAIN_SECONDS) -> bool:
    """Wait until everything is acknowledged; False when it is not within ``seconds``, or told to stop."""
    deadline = time.monotonic() + seconds
    while agent.waiting:
        now = time.monotonic()
        if now >= deadline or stop.wait(0.1):
            return False
        agent.step(now)
    return True
