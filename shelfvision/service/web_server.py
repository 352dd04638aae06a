"""The web server around the application: binds first, says when it is ready, ends open streams when it stops."""

from __future__ import annotations

import errno
import socket
import ssl
import threading
import time

import uvicorn
from fastapi import FastAPI

from shelfvision.config import WebSection
from shelfvision.errors import ConfigError, ShelfvisionError
from shelfvision.service.access import check_binding
from shelfvision.service.live import Live


class WebServer:
    """uvicorn in a thread of its own.

    ``app`` must be one of ``create_app``: its ``state.live`` is told to end the event streams at the stop.
    """

    def __init__(self, app: FastAPI, *, host: str, port: int, web: WebSection) -> None:
        check_binding(host, web)
        self._live: Live = app.state.live
        self._host = host
        self._asked_port = port
        self._web = web
        self._socket: socket.socket | None = None
        self._server = uvicorn.Server(
            uvicorn.Config(
                app,
                log_config=None,
                access_log=False,
                server_header=False,
                ws="none",
                lifespan="on",
                # a reverse proxy on this machine says who asks; nobody else is believed
                proxy_headers=web.public_url is not None,
                forwarded_allow_ips="127.0.0.1",
                ssl_certfile=web.cert_file,
                ssl_keyfile=web.key_file,
                limit_concurrency=1000,
                timeout_graceful_shutdown=3,
            )
        )
        self._thread = threading.Thread(target=self._run, name="web", daemon=True)
        self._failure: BaseException | None = None

    @property
    def port(self) -> int:
        """The port that it listens on; the one asked for, or the one that the system chose for 0."""
        return int(self._socket.getsockname()[1]) if self._socket else self._asked_port

    @property
    def url(self) -> str:
        """Where people open the page."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return self._web.public_url or f"{'https' if self._web.cert_file else 'http'}://{host}:{self.port}"

    @property
    def alive(self) -> bool:
        """Whether it still serves."""
        return self._thread.is_alive()

    def start(self, seconds: float = 20) -> None:
        """Listen and return when requests are answered.

        Raises:
            ConfigError: certificate or key cannot be used, or the host is unknown.
            ShelfvisionError: the port is in use or not allowed.
        """
        self._check_tls()
        self._socket = _listen(self._host, self._asked_port)
        self._thread.start()
        deadline = time.monotonic() + seconds
        while not self._server.started:
            self._thread.join(0.01)
            if not self._thread.is_alive():
                raise ShelfvisionError(f"the web page did not start: {self._failure or 'see the log'}")
            if time.monotonic() > deadline:
                self.stop(1)
                raise ShelfvisionError(f"the web page did not start within {seconds:g} s")

    def stop(self, deadline: float) -> None:
        """End open streams, answer what is in progress and close, within ``deadline`` seconds."""
        self._live.stop()
        self._server.should_exit = True
        if self._thread.ident is not None:
            self._thread.join(deadline)
            if self._thread.is_alive():
                self._server.force_exit = True
                self._thread.join(1)
        if self._socket is not None:
            self._socket.close()

    def _run(self) -> None:
        try:
            self._server.run(sockets=[self._socket] if self._socket else None)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - reported by start(), or by `alive` later
            self._failure = error

    def _check_tls(self) -> None:
        if self._web.cert_file is None:
            return
        try:
            ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(self._web.cert_file, self._web.key_file)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(
                f"web.cert_file {self._web.cert_file} and web.key_file {self._web.key_file} cannot be used: {error}"
            ) from None


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (socket.gaierror, OverflowError) as error:
        raise ConfigError(f"host {host}, port {port}: {error}; use --host 127.0.0.1 for this machine only") from None
    listener = socket.socket(family, kind, protocol)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
        listener.listen(128)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise ShelfvisionError(f"port {port} of {host} is in use; give another one with --port") from None
        raise ShelfvisionError(f"cannot listen on {host} port {port}: {error.strerror}; give another --port") from None
    listener.setblocking(False)
    return listener
