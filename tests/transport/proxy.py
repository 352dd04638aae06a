"""A TCP proxy on loopback that can stop forwarding without closing anything: a half-open connection."""

from __future__ import annotations

import selectors
import socket
import threading
from typing import Self


class Proxy:
    """Forwards to a port; ``freeze`` swallows bytes in both directions, connections stay open."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.frozen = False
        self.accepted = 0
        self._stop = False
        self._pairs: dict[socket.socket, socket.socket] = {}
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        while not self._stop:
            for key, _ in self._selector.select(0.05):
                if key.fileobj is self._listener:
                    self._accept()
                else:
                    self._forward(key.fileobj)

    def _accept(self) -> None:
        client, _ = self._listener.accept()
        self.accepted += 1
        if self.frozen:
            self._pairs[client] = client  # accepted, never answered
            self._selector.register(client, selectors.EVENT_READ)
            return
        server = socket.create_connection(("127.0.0.1", self._target))
        for one, other in ((client, server), (server, client)):
            self._pairs[one] = other
            self._selector.register(one, selectors.EVENT_READ)

    def _forward(self, source) -> None:
        try:
            data = source.recv(65_536)
            if self.frozen:
                if not data:
                    self._drop(source)
                return
            if data:
                self._pairs[source].sendall(data)
                return
        except OSError:
            pass
        self._drop(source)

    def _drop(self, source: socket.socket) -> None:
        for end in (source, self._pairs.get(source)):
            if end in self._pairs:
                self._selector.unregister(end)
                del self._pairs[end]
                end.close()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop = True
        self._thread.join()
        for end in (*self._pairs, self._listener):
            end.close()
        self._selector.close()
