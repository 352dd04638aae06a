"""The process that detects for all cameras: asked by several, killed, started again, ended."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from shelfvision.config import ModelsSection
from shelfvision.edge import default_models
from shelfvision.edge.chosen_models import check_models, detector_path
from shelfvision.edge.detector_client import DetectorAddress, RemoteDetector
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
        remote = RemoteDetector(service.address)
        picture = paint((256, 192), (4, row, 30, 40, 0.8))
        for _ in range(5):
            found = remote.detect(picture)
            if found.xyxy.tolist() != [painted_box(4, row, 30, 40)] or remote.labels != ("product", "gap"):
                faults.append(row)
        remote.close()

    threads = [threading.Thread(target=ask, args=(row,)) for row in range(4, 12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    assert service.ready.runtime == "onnxruntime"
    assert service.ready.milliseconds > 0


def test_a_killed_process_starts_again_and_cameras_find_it(service):
    remote = RemoteDetector(service.address)
    picture = paint((256, 192), (4, 5, 30, 40, 0.8))
    assert len(remote.detect(picture)) == 1
    first = service.pid
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: service.pid is None, 10)
    with pytest.raises(DetectorAwayError, match="does not answer"):
        remote.detect(picture)

    def answers():
        service.step(time.monotonic())
        try:
            return len(remote.detect(picture)) == 1
        except DetectorAwayError:
            return False

    wait_until(answers, 30)
    assert service.pid != first


def test_nobody_without_the_key_is_answered(service):
    stranger = RemoteDetector(DetectorAddress(service.address.path, b"guess"))
    with pytest.raises(DetectorAwayError, match="digest"):
        stranger.detect(np.zeros((32, 32, 3), np.uint8))
    assert len(RemoteDetector(service.address).detect(paint((256, 192), (4, 5, 30, 40, 0.8)))) == 1


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
