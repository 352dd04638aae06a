"""`shelfvision doctor` against real brokers, files and pictures."""

import json
import os
import re
import sqlite3
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import av
import numpy as np
import pytest

from shelfvision.cli.main import main
from shelfvision.core.events import EventData, EventDraft, EventKind
from shelfvision.edge import default_models
from shelfvision.transport.edge_link import EdgeLink
from shelfvision.transport.outbox import Outbox
from shelfvision.transport.service_link import ServiceLink
from tests.edge.marker_model import write_model
from tests.transport.inbox_file import InboxFile
from tests.waiting import wait_until

MODELS = "models: {{detector: {detector}, runtime: onnxruntime, threads: 1}}\n"
SITE = """\
store: {{id: shop}}
broker: {{url: "{url}"{login}}}
device: {{outbox: "{folder}/outbox.sqlite", outbox_max_mb: 1, delivery: {delivery}}}
catalogue: [{{sku: TEA, name: Tea}}]
cameras:
  - id: aisle
    source: "{source}"
    size: [64, 48]
    slots: [{{id: a1, sku: TEA, polygon: [[0, 0], [20, 0], [20, 20], [0, 20]]}}]
"""


def video(path, size=(64, 48), *, black=False):
    noise = np.random.default_rng(0).integers(0, 255, (size[1], size[0], 3), np.uint8)
    picture = np.zeros_like(noise) if black else noise
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        for _ in range(5):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
        container.mux(stream.encode())
    return path


@pytest.fixture
def examined(tmp_path, capsys):
    """Runs the doctor on a site; returns exit code and part -> [(verdict, text)]."""

    def run(url="mqtt://127.0.0.1:9", *, source=None, delivery="watermark", login="", seconds=15, detector="none"):
        path = tmp_path / "site.yaml"
        source = source or video(tmp_path / "good.mp4")
        text = SITE.format(url=url, login=login, folder=tmp_path, source=source, delivery=delivery)
        path.write_text(text + MODELS.format(detector=detector))
        code = main(["doctor", str(path), "--json", "--seconds", str(seconds)])
        found = json.loads(capsys.readouterr().out)
        assert found["ok"] is (code == 0)
        parts = {}
        for finding in found["findings"]:
            assert (finding["fix"] == "") is (finding["verdict"] == "ok"), "what is wrong says what to do"
            assert "\n" not in finding["text"]
            parts.setdefault(finding["part"], []).append((finding["verdict"], finding["text"]))
        return code, parts

    return run


def test_a_healthy_site_is_all_ok_with_a_service_that_has_acknowledged(examined, mosquitto, tmp_path, capsys):
    inbox = InboxFile(tmp_path / "inbox.sqlite")
    outbox = Outbox(tmp_path / "outbox.sqlite", store="shop", device="edge-1", max_bytes=1_000_000)
    link = EdgeLink(
        mosquitto.section(), store="shop", device="edge-1", outbox=outbox, delivery="watermark", cameras=["aisle"]
    )
    messages = []
    service = ServiceLink(mosquitto.section(), store="shop", inbox=inbox, on_message=messages.append)
    service.start()
    link.start()
    try:
        wait_until(lambda: service.connected and link.connected)
        outbox.append([EventDraft(EventKind.TOUCH, time.time(), "aisle", EventData(slot="a1", sku="TEA"), "k")])
        wait_until(lambda: outbox.backlog == 0)
        before, seen = inbox.applies, len([message for message in messages if message.kind == "health"])
        code, parts = examined(mosquitto.url)
        assert code == 0, parts
        assert {verdict for findings in parts.values() for verdict, _ in findings} == {"ok"}, parts
        assert "up to 1 of epoch" in parts["delivery"][0][1]
        assert "is running, version" in parts["agent"][0][1]
        assert "sound, 0 events wait" in parts["outbox"][0][1]
        assert inbox.applies == before, "probes are no events"
        assert len([message for message in messages if message.kind == "health"]) == seen, "nor health reports"
        assert main(["doctor", str(tmp_path / "site.yaml")]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert all(line.startswith("ok    ") for line in lines)
        assert len(lines) == sum(map(len, parts.values()))
    finally:
        link.stop(time.monotonic() + 2)
        service.stop(time.monotonic() + 2)
        outbox.close()


def test_it_leaves_nothing_on_the_broker(examined, mosquitto):
    examined(mosquitto.url)
    mosquitto.restart()  # it writes what it keeps
    assert b"shelfvision/v1/shop" not in (mosquitto.folder / "mosquitto.db").read_bytes()


def test_no_service_means_that_events_wait(examined, mosquitto):
    code, parts = examined(mosquitto.url)
    assert code == 0, "a warning is no failure"
    verdict, text = parts["delivery"][0]
    assert verdict == "warn"
    assert "no replenishment service has ever listened" in text


def test_the_weaker_promise_is_named(examined, mosquitto):
    verdict, text = examined(mosquitto.url, delivery="broker")[1]["delivery"][0]
    assert verdict == "warn"
    assert "the broker may still lose it" in text


def test_a_broker_that_is_not_there_fails_and_the_rest_is_still_examined(examined):
    code, parts = examined()
    assert code == 1
    assert parts["broker"] == [("FAIL", "127.0.0.1:9: cannot be reached: Connection refused; is it running?")]
    assert parts["camera aisle"][0][0] == parts["outbox"][0][0] == "ok"


def test_a_wrong_password_fails_without_being_shown(examined, mosquitto_factory):
    broker = mosquitto_factory(passwords={"edge-1": "right"})
    code, parts = examined(broker.url, login=', username: edge-1, password: "open sesame"')
    assert code == 1
    assert "sesame" not in str(parts)
    assert "not authorised" in parts["broker"][0][1] or "wrong user name or password" in parts["broker"][0][1]


@pytest.mark.parametrize(
    ("acl", "refused"),
    [
        ("user edge-1\ntopic read #\n", "edge-1/health is refused: not authorised (0x87)"),
        ("user edge-1\ntopic read #\ntopic write shelfvision/v1/shop/edge-1/health\n", "edge-1/events is refused"),
    ],
)
def test_missing_rights_are_named_by_topic(examined, mosquitto_factory, acl, refused):
    broker = mosquitto_factory(passwords={"edge-1": "right"}, acl=acl)
    code, parts = examined(broker.url, login=", username: edge-1, password: right")
    assert code == 1
    assert any(refused in text for verdict, text in parts["broker"] if verdict == "FAIL"), parts


def test_a_device_that_may_only_write_is_warned_since_it_needs_its_acknowledgements(examined, mosquitto_factory):
    acl = "user edge-1\ntopic write shelfvision/v1/shop/edge-1/#\n"
    broker = mosquitto_factory(passwords={"edge-1": "right"}, acl=acl)
    code, parts = examined(broker.url, login=", username: edge-1, password: right")
    assert code == 0, parts
    assert any("must be able to read at least its ack topic" in text for verdict, text in parts["broker"]), parts


class TestCameras:
    def test_another_size_fails(self, examined, tmp_path):
        _, parts = examined(source=video(tmp_path / "x.mp4", (96, 64)))
        assert parts["camera aisle"] == [("FAIL", "sends 96x64, its slots are drawn on 64x48")]

    def test_a_black_picture_is_a_warning(self, examined, tmp_path):
        verdict, text = examined(source=video(tmp_path / "x.mp4", black=True))[1]["camera aisle"][0]
        assert verdict == "warn"
        assert "dark or empty" in text

    @pytest.mark.parametrize("source", ["no.mp4", "gopher://x/1", "usb:99", "sim:nosuch"])
    def test_a_source_that_cannot_be_opened_fails(self, examined, source):
        assert examined(source=source)[1]["camera aisle"][0][0] == "FAIL"

    def test_a_password_in_the_address_is_not_shown(self, examined):
        _, parts = examined(source="rtsp://joe:sesame@127.0.0.1:9/1?password=sesame", seconds=12)
        assert parts["camera aisle"][0][0] == "FAIL"
        assert "sesame" not in str(parts)

    def test_a_camera_that_never_answers_does_not_hold_up_the_rest(self, examined):
        release = threading.Event()

        class Silent(BaseHTTPRequestHandler):
            def do_GET(self):
                release.wait(30)

        server = ThreadingHTTPServer(("127.0.0.1", 0), Silent)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            _, parts = examined(source=f"http://127.0.0.1:{server.server_port}/x.mjpg", seconds=1)
            assert parts["camera aisle"] == [("FAIL", "no picture within 1 s")]
            assert parts["outbox"]
        finally:
            release.set()
            server.shutdown()
            server.server_close()


class TestDisk:
    def test_a_damaged_outbox_is_a_warning_since_the_agent_mends_it(self, examined, tmp_path):
        (tmp_path / "outbox.sqlite").write_bytes(b"nonsense" * 1000)
        verdict, text = examined()[1]["outbox"][0]
        assert verdict == "warn"
        assert "is damaged" in text

    def test_another_programs_database_fails(self, examined, tmp_path):
        with sqlite3.connect(tmp_path / "outbox.sqlite") as other:
            other.execute("CREATE TABLE x (y)")
        other.close()
        assert examined()[1]["outbox"][0][0] == "FAIL"

    def test_waiting_events_are_counted_while_an_agent_has_the_file_open(self, examined, tmp_path):
        outbox = Outbox(tmp_path / "outbox.sqlite", store="shop", device="edge-1", max_bytes=1_000_000)
        outbox.append([EventDraft(EventKind.TOUCH, 1.0, "aisle", EventData(), f"k{n}") for n in range(3)])
        try:
            assert "sound, 3 events wait" in examined()[1]["outbox"][0][1]
        finally:
            outbox.close()

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
    def test_a_folder_that_cannot_be_written_fails(self, examined, tmp_path):
        video(tmp_path / "good.mp4")
        (tmp_path / "site.yaml").touch()
        tmp_path.chmod(0o500)
        try:
            assert examined(source=tmp_path / "good.mp4")[1]["disk"][0][0] == "FAIL"
        finally:
            tmp_path.chmod(0o700)


def test_a_faulty_site_file_is_a_failure_for_each_fault(tmp_path, capsys):
    path = tmp_path / "site.yaml"
    path.write_text("store: {id: a b}\ncameras: []\n")
    assert main(["doctor", str(path)]) == 1
    out = capsys.readouterr().out.splitlines()
    assert len(out) == 3
    assert all(line.startswith("FAIL  site file") for line in out)


def test_a_clock_in_the_past_fails(monkeypatch):
    from datetime import UTC, datetime

    from shelfvision.edge import doctor

    class Clock(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime(2000, 1, 1, tzinfo=tz or UTC)

    monkeypatch.setattr(doctor, "datetime", Clock)
    assert doctor.clock().verdict == "FAIL"


class TestModels:
    def test_a_detector_is_loaded_and_timed(self, examined, tmp_path):
        ((verdict, text),) = examined(detector=write_model(tmp_path).name)[1]["models"]
        assert verdict == "ok"
        assert re.search(
            r"detector marker\.onnx [0-9a-f]{8} \(product, gap\) on onnxruntime: \d+ ms at 256 pixels", text
        )

    def test_without_one_slots_are_judged_by_likeness(self, examined):
        assert examined()[1]["models"] == [("ok", "none asked for: slots are judged by likeness to their own pictures")]

    def test_without_default_weights_too(self, examined, tmp_path, monkeypatch):
        monkeypatch.setattr(default_models, "FOLDER", tmp_path)
        ((verdict, text),) = examined(detector="default")[1]["models"]
        assert verdict == "ok"
        assert "no default detector" in text

    def test_a_damaged_model_fails(self, examined, tmp_path):
        path = write_model(tmp_path)
        path.write_bytes(path.read_bytes()[:-9])
        ((verdict, text),) = examined(detector=path.name)[1]["models"]
        assert verdict == "FAIL"
        assert "marker.onnx" in text
