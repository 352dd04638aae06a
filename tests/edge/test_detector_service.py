"""The process that detects for all cameras: asked by several, killed, started again, ended."""

from __future__ import annotations

import os
import signal
import threading
import time
from multiprocessing import Pipe
from pathlib import Path

import numpy as np
import pytest

from shelfvision.config import ModelsSection
from shelfvision.core.detections import Detections
from shelfvision.edge import default_models, detector_process, detector_service
from shelfvision.edge.chosen_models import check_models, detector_path
from shelfvision.edge.detector_client import GOOD, SIZE, DetectorAddress, DetectorLine, RemoteDetector
from shelfvision.edge.detector_service import DetectorService
from shelfvision.edge.inference import DetectorAwayError
from shelfvision.errors import ModelError
from tests.edge.marker_model import paint, painted_box, write_model
from tests.waiting import wait_until


@pytest.fixture
def service(tmp_path):
    models = ModelsSection(detector=str(write_model(tmp_path)), runtime="onnxruntime", threads=1)
    running = DetectorService(models)
    running.start()

    def ready():
        running.step(time.monotonic())
        return running.ready is not None

    wait_until(ready, 30)
    yield running
    running.stop(time.monotonic() + 5)


def test_several_cameras_ask_at_once_and_each_gets_its_own_answer(service):
    faults = []

    def ask(row):
        line = DetectorLine(service.address)
        picture = paint((256, 192), (4, row, 30, 40, 0.8))
        for _ in range(5):
            found = line.detect(picture)
            if found.xyxy.tolist() != [painted_box(4, row, 30, 40)] or line.labels != ("product", "gap"):
                faults.append(row)
        line.close()

    threads = [threading.Thread(target=ask, args=(row,)) for row in range(4, 12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    assert service.ready.runtime == "onnxruntime"
    assert service.ready.milliseconds > 0


def test_a_killed_process_starts_again_and_cameras_find_it(service):
    line = DetectorLine(service.address)
    picture = paint((256, 192), (4, 5, 30, 40, 0.8))
    assert len(line.detect(picture)) == 1
    first = service.pid
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: service.pid is None, 10)
    with pytest.raises(DetectorAwayError, match="does not answer"):
        line.detect(picture)

    def answers():
        service.step(time.monotonic())
        try:
            return len(line.detect(picture)) == 1
        except DetectorAwayError:
            return False

    wait_until(answers, 30)
    assert service.pid != first


def test_a_stopped_process_holds_no_camera_and_is_replaced(service, monkeypatch):
    monkeypatch.setattr(detector_service, "_SILENCE", 5.0)
    picture = paint((256, 192), (4, 5, 30, 40, 0.8))
    impatient = DetectorLine(service.address, seconds=0.5)
    first = service.pid
    os.kill(first, signal.SIGSTOP)
    with pytest.raises(DetectorAwayError, match=r"does not answer: nothing within 0\.5 s"):
        impatient.detect(picture)
    patient = RemoteDetector(DetectorLine(service.address))
    patient.ask(picture)
    assert patient.answer() is None, "the camera's frames go on"

    def replaced():
        service.step(time.monotonic())
        return service.pid not in {None, first} and service.state == "ready"

    wait_until(lambda: service.step(time.monotonic()) or service.state == "away", 30)
    assert "its process ended with code -9" in service.problem
    wait_until(replaced, 30)
    assert service.restarts == 1
    with pytest.raises(DetectorAwayError):
        wait_until(patient.answer, 30)
    patient.ask(picture)
    found = []
    wait_until(lambda: found.append(patient.answer()) or found[-1] is not None, 30)
    assert found[-1].xyxy.tolist() == [painted_box(4, 5, 30, 40)]
    assert patient.labels == ("product", "gap")


def test_a_process_that_dies_again_and_again_is_started_ever_more_seldom(service, monkeypatch):
    now, pauses = time.monotonic(), []
    for _ in range(3):
        process = service._process
        process.kill()
        process.join(10)
        service.step(now)
        pauses.append(service._start_at - now)
        now = service._start_at
        service.step(now)
        wait_until(lambda at=now: service.step(at) or service.state == "ready", 30)
    assert pauses == [1.0, 2.0, 4.0]


def test_a_camera_that_gave_up_is_not_worked_for():
    looks, gate = [], threading.Event()

    class Slow:
        labels = ("product",)

        def detect(self, image):
            looks.append(int(image[0, 0, 0]))
            gate.wait(10)
            return Detections.empty()

    desk = detector_process.Desk(Slow())
    ends = [Pipe() for _ in range(3)]
    threads = [threading.Thread(target=desk.answer, args=(theirs,)) for _, theirs in ends]
    for number, ((ours, _), thread) in enumerate(zip(ends, threads, strict=True)):
        thread.start()
        ours.recv_bytes()
        ours.send_bytes(SIZE.pack(2, 2) + bytes([number] * 12))
        wait_until(lambda: looks, 10)
    ends[1][0].close()
    gate.set()
    assert ends[2][0].recv_bytes() == GOOD
    ends[2][0].close()
    ends[0][0].close()
    for thread in threads:
        thread.join(10)
    assert sorted(looks) == [0, 2]


def test_a_bug_in_the_line_is_raised_where_the_answer_is_taken():
    """Not lost in a thread, where the camera would wait for its answer for ever."""

    class Broken:
        labels = ()

        def detect(self, image):
            raise KeyError("bug")

    remote = RemoteDetector(Broken())
    remote.ask(np.zeros((2, 2, 3), np.uint8))
    with pytest.raises(KeyError, match="bug"):
        wait_until(lambda: remote.answer() is not None, 10)


def test_a_look_without_end_ends_the_signs_of_life(monkeypatch):
    desk = detector_process.Desk(None)
    assert desk.is_well
    desk._since = time.monotonic() - 1
    assert desk.is_well
    monkeypatch.setattr(detector_process, "_LONGEST_LOOK", 0.5)
    assert not desk.is_well


def test_nobody_without_the_key_is_answered(service):
    stranger = DetectorLine(DetectorAddress(service.address.path, b"guess"))
    with pytest.raises(DetectorAwayError, match="digest"):
        stranger.detect(np.zeros((32, 32, 3), np.uint8))
    assert len(DetectorLine(service.address).detect(paint((256, 192), (4, 5, 30, 40, 0.8)))) == 1


def test_stopping_leaves_no_process_and_no_file(service):
    pid, path = service.pid, Path(service.address.path)
    assert path.exists()
    service.stop(time.monotonic() + 10)
    assert not path.parent.exists()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_detector_that_cannot_be_loaded_is_told_once_and_not_tried_over_and_over(tmp_path, capfd):
    path = write_model(tmp_path)
    broken = DetectorService(ModelsSection(detector=str(path), runtime="onnxruntime"))
    path.write_bytes(b"x")  # after it was checked
    broken.start()
    try:
        first = broken.pid
        wait_until(broken._pipe.poll, 30)
        broken.step(time.monotonic())
        assert "cannot be loaded" in "".join(capfd.readouterr())
        assert broken.pid == first
    finally:
        broken.stop(time.monotonic() + 5)


def test_the_site_file_chooses_the_detector(tmp_path, monkeypatch):
    monkeypatch.setattr(default_models, "FOLDER", tmp_path)
    assert detector_path(ModelsSection()) is None, "no default weights in this folder"
    assert check_models(ModelsSection()) is None
    path = write_model(tmp_path, name="detector")
    assert detector_path(ModelsSection()) == path
    assert detector_path(ModelsSection(detector="none")) is None
    assert check_models(ModelsSection(detector=str(path))).sidecar.most == 1000
    with pytest.raises(ModelError, match="no such model file"):
        check_models(ModelsSection(detector=str(tmp_path / "other.onnx")))
