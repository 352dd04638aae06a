"""A camera that streams over HTTP on the loopback, and can stall, hang up and be gone."""

from __future__ import annotations

import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal

import av
import cv2
import numpy as np

from tests.edge.footage import numbered, write_video

BOUNDARY = "shelfvision-frame"


class HttpCamera:
    """Serves ``/mjpeg`` (multipart JPEG), ``/ts`` (MPEG transport stream) and ``/clip.mp4`` (a recording).

    Its mood says what it does with a viewer: ``stream``, ``stall`` (connection open, nothing comes), ``hang_up``.
    """

    def __init__(self, *, fps: float = 20, size: tuple[int, int] = (64, 48)) -> None:
        self.mood: Literal["stream", "stall", "hang_up"] = "stream"
        self.fps, self.size = fps, size
        self.sent = 0
        self._stop = threading.Event()
        camera = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                try:
                    camera._serve(self)
                except (BrokenPipeError, ConnectionResetError):
                    self.close_connection = True

            def log_message(self, *_: Any) -> None:
                """Quiet."""

        self._handler = Handler
        self._server: ThreadingHTTPServer | None = None
        self.port = 0
        self.start()

    def start(self) -> None:
        """Listen; on the same port as before, if there was one."""
        self._stop.clear()
        ThreadingHTTPServer.allow_reuse_address = True
        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), self._handler)
        self._server.daemon_threads = True
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def url(self, path: str, user: str = "") -> str:
        return f"http://{user}127.0.0.1:{self.port}{path}"

    def close(self) -> None:
        """Be gone: no port, no connection."""
        self._stop.set()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def _serve(self, request: BaseHTTPRequestHandler) -> None:
        path = request.path.partition("?")[0]
        if path == "/clip.mp4":
            body = recording()
            request.send_response(200)
            request.send_header("Content-Type", "video/mp4")
            request.send_header("Content-Length", str(len(body)))
            request.end_headers()
            request.wfile.write(body)
            return
        if path == "/locked":
            request.send_error(401)
            return
        request.send_response(200)
        if path == "/mjpeg":
            request.send_header("Content-Type", f"multipart/x-mixed-replace; boundary={BOUNDARY}")
            request.end_headers()
            self._mjpeg(request)
        else:
            request.send_header("Content-Type", "video/mp2t")
            request.end_headers()
            self._transport_stream(request)

    def _moving(self) -> Any:
        """Pictures at the camera's pace while its mood lasts."""
        index = 0
        while not self._stop.wait(1 / self.fps):
            while self.mood == "stall" and not self._stop.wait(0.05):
                pass
            if self.mood == "hang_up" or self._stop.is_set():
                return
            picture = np.full((self.size[1], self.size[0], 3), 60 + index % 100, np.uint8)
            cv2.circle(picture, (index * 3 % self.size[0], 20), 8, (0, 200, 255), -1)
            self.sent += 1
            index += 1
            yield picture

    def _mjpeg(self, request: BaseHTTPRequestHandler) -> None:
        for picture in self._moving():
            data = cv2.imencode(".jpg", picture)[1].tobytes()
            head = f"--{BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
            request.wfile.write(head.encode() + data + b"\r\n")

    def _transport_stream(self, request: BaseHTTPRequestHandler) -> None:
        out = _Unseekable(request.wfile)
        container = av.open(out, "w", format="mpegts", options={"flush_packets": "1", "muxdelay": "0"})
        stream = container.add_stream("libx264", rate=round(self.fps), options={"tune": "zerolatency", "g": "10"})
        stream.width, stream.height, stream.pix_fmt = *self.size, "yuv420p"
        for picture in self._moving():
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))


class _Unseekable:
    """What PyAV needs of an output that only goes forward."""

    def __init__(self, target: Any) -> None:
        self._target = target

    def write(self, data: bytes) -> int:
        self._target.write(data)
        return len(data)


def recording() -> bytes:
    """An MP4 of ten pictures in one second, with its index first."""
    with tempfile.TemporaryDirectory() as folder:
        path = write_video(Path(folder) / "clip.mp4", numbered(10), options={"movflags": "+faststart"})
        return path.read_bytes()
