"""A small RTSP camera on the loopback: H.264 in RTP over the same TCP connection, with Basic authentication."""

from __future__ import annotations

import base64
import socketserver
import struct
import threading
from fractions import Fraction
from typing import Any

import av
import cv2
import numpy as np

USER, PASSWORD = "admin", "hunter2"
_SDP = """v=0\r
o=- 0 0 IN IP4 127.0.0.1\r
s=test camera\r
c=IN IP4 0.0.0.0\r
t=0 0\r
m=video 0 RTP/AVP 96\r
a=rtpmap:96 H264/90000\r
a=fmtp:96 packetization-mode=1\r
a=control:track1\r
"""


class RtspCamera:
    """Streams small moving pictures to any number of viewers; ``stalled`` keeps connections open and sends nothing."""

    def __init__(self, *, fps: int = 20, size: tuple[int, int] = (64, 48)) -> None:
        self.stalled = False
        self.fps, self.size = fps, size
        self.stop = threading.Event()
        self.port = 0
        self._server: socketserver.ThreadingTCPServer | None = None
        self.start()

    def start(self) -> None:
        """Listen; on the same port as before, if there was one."""
        camera = self
        self.stop.clear()

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                with_suppressed(lambda: _Session(camera, self).run())

        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address = True
            daemon_threads = True

        self._server = Server(("127.0.0.1", self.port), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def url(self, user: str = USER, password: str = PASSWORD) -> str:
        return f"rtsp://{user}:{password}@127.0.0.1:{self.port}/live"

    def close(self) -> None:
        """Be gone."""
        self.stop.set()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None


def with_suppressed(work: Any) -> None:
    try:
        work()
    except OSError:
        return  # the viewer has gone


class _Session:
    """One viewer: requests are answered until PLAY, then packets flow."""

    def __init__(self, camera: RtspCamera, handler: socketserver.StreamRequestHandler) -> None:
        self._camera = camera
        self._input, self._output = handler.rfile, handler.wfile
        self._sequence = 0

    def run(self) -> None:
        while (request := self._input.readline().decode()) != "":
            headers = {}
            while (line := self._input.readline().decode().strip()) != "":
                name, _, value = line.partition(":")
                headers[name.lower()] = value.strip()
            method = request.split()[0]
            if method != "OPTIONS" and not self._allowed(headers):
                self._answer(headers, "401 Unauthorized", 'WWW-Authenticate: Basic realm="camera"')
            elif method == "OPTIONS":
                self._answer(headers, "200 OK", "Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN")
            elif method == "DESCRIBE":
                self._answer(headers, "200 OK", "Content-Type: application/sdp", body=_SDP)
            elif method == "SETUP":
                self._answer(headers, "200 OK", f"Transport: {headers['transport']}", "Session: 1")
            elif method == "PLAY":
                self._answer(headers, "200 OK", "Session: 1", "RTP-Info: url=track1;seq=0;rtptime=0")
                self._play()
                return
            else:
                self._answer(headers, "200 OK", "Session: 1")

    def _allowed(self, headers: dict[str, str]) -> bool:
        expected = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        return headers.get("authorization") == f"Basic {expected}"

    def _answer(self, request: dict[str, str], status: str, *headers: str, body: str = "") -> None:
        lines = [f"RTSP/1.0 {status}", f"CSeq: {request.get('cseq', '0')}", *headers, f"Content-Length: {len(body)}"]
        self._output.write(("\r\n".join(lines) + "\r\n\r\n" + body).encode())

    def _play(self) -> None:
        camera = self._camera
        encoder = av.CodecContext.create("libx264", "w")
        encoder.width, encoder.height = camera.size
        encoder.pix_fmt, encoder.time_base = "yuv420p", Fraction(1, camera.fps)
        encoder.options = {"tune": "zerolatency", "preset": "ultrafast", "g": "10"}
        index = 0
        while not camera.stop.wait(1 / camera.fps):
            if camera.stalled:
                continue
            picture = np.full((camera.size[1], camera.size[0], 3), 90, np.uint8)
            cv2.circle(picture, (index * 3 % camera.size[0], 20), 8, (0, 200, 255), -1)
            for packet in encoder.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")):
                self._send(bytes(packet), round(index * 90_000 / camera.fps))
            index += 1

    def _send(self, data: bytes, timestamp: int) -> None:
        """One picture as RTP packets of one NAL unit each (RFC 6184, 5.6), interleaved (RFC 2326, 10.12)."""
        units = [unit.strip(b"\x00") for unit in data.split(b"\x00\x00\x01") if unit.strip(b"\x00")]
        for number, unit in enumerate(units):
            marker = 0x80 if number == len(units) - 1 else 0
            header = struct.pack(">BBHII", 0x80, marker | 96, self._sequence & 0xFFFF, timestamp & 0xFFFFFFFF, 7)
            self._sequence += 1
            self._output.write(b"$\x00" + struct.pack(">H", len(header) + len(unit)) + header + unit)
