"""What a camera's process reports, with a pipeline that only notes what it is given."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from shelfvision.config import CameraSection
from shelfvision.core.events import EventData, EventDraft, EventKind, to_utc
from shelfvision.core.messages import SlotCondition, SlotState
from shelfvision.edge import camera_process
from shelfvision.edge.camera_process import CameraProcess
from shelfvision.edge.frame import Frame
from shelfvision.edge.pipeline import CameraPipeline, StepResult
from shelfvision.edge.reports import CameraJob, CameraReport
from tests.edge.footage import busy, cut, numbered, write_video
from tests.edge.http_camera import HttpCamera
from tests.edge.sites import camera
from tests.waiting import wait_until


class Notebook(CameraPipeline):
    """Emits one linked pair of events at the third and fourth frame; reports sizes that do not fit."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self.interruptions: list[float] = []

    def step(self, frame: Frame) -> StepResult:
        self.frames.append(frame)
        events: tuple[EventDraft, ...] = ()
        if len(self.frames) == 3:
            events = (EventDraft(EventKind.PICK_UP, frame.time, "cam", EventData(slot="left"), "p1"),)
        if len(self.frames) == 4:
            data = EventData(slot="left", linked_event="p1")
            events = (EventDraft(EventKind.PUT_BACK, frame.time, "cam", data, "p2"),)
        fault = None if frame.size == (64, 48) else "resized"
        return StepResult(events, self.state(frame.time, SlotCondition.IN_STOCK), fault)

    def interrupted(self, now: float) -> StepResult:
        self.interruptions.append(now)
        offline = EventData(status="offline", reason="no frames come")
        event = EventDraft(EventKind.CAMERA, now, "cam", offline, f"off{len(self.interruptions)}")
        return StepResult((event,), self.state(now, SlotCondition.UNKNOWN))

    @staticmethod
    def state(now: float, condition: SlotCondition) -> tuple[SlotState, ...]:
        return (
            SlotState(
                slot="left",
                camera="cam",
                sku="A",
                state=condition,
                since=to_utc(0),
                updated_at=to_utc(now),
                confidence=1,
            ),
        )


class Run:
    """A camera process in a thread."""

    def __init__(self, source: str, **more: object) -> None:
        section = CameraSection.model_validate(camera(source, **more))
        self.pipeline = Notebook()
        self.reports: list[CameraReport] = []
        job = CameraJob(section, 300, "run1")
        self.process = CameraProcess(job, self.reports.append, pipeline=lambda: self.pipeline)
        self.thread = threading.Thread(target=self.process.run)
        self.thread.start()

    def finish(self, seconds: float = 30) -> None:
        self.thread.join(seconds)
        assert not self.thread.is_alive()

    def stop(self) -> None:
        self.process.stop()
        self.finish(5)

    @property
    def statuses(self) -> list[str]:
        return [report.status.status for report in self.reports if report.status is not None]

    @property
    def events(self) -> list[EventDraft]:
        return [event for report in self.reports for event in report.events]


def test_a_file_goes_from_starting_to_online_to_ended(tmp_path: Path) -> None:
    run = Run(str(write_video(tmp_path / "v.mp4", numbered(6))))
    run.finish()
    assert run.statuses == ["starting", "online", "ended"]
    assert len(run.pipeline.frames) == 6
    assert run.pipeline.interruptions == []
    assert all(report.fault is None for report in run.reports)


def test_event_keys_and_links_carry_the_run(tmp_path: Path) -> None:
    """A process that starts anew counts its keys from the beginning."""
    run = Run(str(write_video(tmp_path / "v.mp4", numbered(6))))
    run.finish()
    assert [event.key for event in run.events] == ["run1-p1", "run1-p2"]
    assert run.events[1].data.linked_event == "run1-p1"


def test_an_event_is_reported_with_its_frame_and_not_later(tmp_path: Path) -> None:
    run = Run(str(write_video(tmp_path / "v.mkv", numbered(4), times=[0, 0.1, 0.2, 30])))
    wait_until(lambda: run.events, 10)
    assert len(run.pipeline.frames) == 3
    run.stop()


def test_a_truncated_file_ends_with_its_fault(tmp_path: Path) -> None:
    path = cut(write_video(tmp_path / "v.mkv", busy(20, (64, 48)), fps=20), 0.5)
    run = Run(str(path))
    run.finish()
    assert run.statuses[-1] == "ended"
    assert "truncated" in (run.reports[-1].fault or "")
    assert len(run.events) == 2


def test_a_missing_file_is_a_fault_for_good(tmp_path: Path) -> None:
    run = Run(str(tmp_path / "none.mp4"))
    run.finish()
    assert run.statuses == ["starting", "offline"]
    assert "camera cam: " in (run.reports[-1].fault or "")


def test_pictures_of_another_size_are_said_to_be_resized(tmp_path: Path) -> None:
    run = Run(str(write_video(tmp_path / "v.mp4", numbered(3, (96, 64)))))
    run.finish()
    assert run.statuses == ["starting", "resized", "ended"]
    errors = [report.status.error for report in run.reports if report.status is not None]
    assert "96x64" in (errors[1] or "")
    assert "64x48" in (errors[1] or "")


def test_a_stream_that_goes_and_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(camera_process, "_RETRY_SECONDS", (0.1, 0.4))
    served = HttpCamera()
    run = Run(served.url("/mjpeg?password=hunter2", "admin:hunter2@"))
    try:
        wait_until(lambda: len(run.pipeline.frames) > 3)
        served.close()
        wait_until(lambda: "offline" in run.statuses)
        wait_until(lambda: any("refused" in (r.status.error or "") for r in run.reports if r.status is not None))
        served.mood = "stream"
        served.start()
        wait_until(lambda: run.statuses[-1] == "online", 20)
    finally:
        run.stop()
        served.close()
    assert [status for number, status in enumerate(run.statuses) if status != run.statuses[number - 1]] == [
        "starting",
        "online",
        "offline",
        "online",
    ]
    assert len(run.pipeline.interruptions) == 1
    assert run.pipeline.interruptions[0] >= run.pipeline.frames[0].time
    offline = next(event for event in run.events if event.kind is EventKind.CAMERA)
    assert offline.data.reason not in {None, "no frames come"}
    assert "hunter2" not in str(run.reports)
    unknown = [state for report in run.reports for state in report.slots if state.state is SlotCondition.UNKNOWN]
    assert unknown


def test_a_camera_that_was_never_there_makes_no_event_but_its_slots_are_unknown() -> None:
    served = HttpCamera()
    served.close()
    run = Run(served.url("/mjpeg"))
    wait_until(lambda: run.statuses[-1] == "offline")
    run.stop()
    assert run.events == []
    assert run.pipeline.interruptions == []
    states = {state.slot: state.state for report in run.reports for state in report.slots}
    assert states == {"left": SlotCondition.UNKNOWN, "right": SlotCondition.UNKNOWN}


def test_stopping_is_prompt_while_a_stream_stalls() -> None:
    served = HttpCamera()
    served.mood = "stall"
    run = Run(served.url("/mjpeg"))
    wait_until(lambda: run.statuses == ["starting"])
    run.stop()
    served.close()
