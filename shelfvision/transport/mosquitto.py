"""Debian's Mosquitto as a child process on loopback: for chaos, bench, tests and, where it is installed, the demo."""

from __future__ import annotations

import getpass
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from shelfvision.config import BrokerSection
from shelfvision.errors import BrokerError

_POLL_SECONDS = 0.02


def find_mosquitto() -> str | None:
    """Path of the mosquitto program, or None; Debian puts it where an ordinary user's PATH does not look."""
    return shutil.which("mosquitto", path=os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin")))


def free_port() -> int:
    """A TCP port on loopback that nothing listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def _in_use(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


def wait_for_port(port: int, deadline: float, process: subprocess.Popen[bytes] | None = None) -> bool:
    """Whether a connection to loopback succeeds before ``deadline`` (monotonic) and before ``process`` ends."""
    while time.monotonic() < deadline:
        if process is not None and process.poll() is not None:
            return False
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1):
                return True
        except OSError:
            time.sleep(_POLL_SECONDS)
    return False


class Mosquitto:
    """One broker in its own folder; a restart keeps port, folder and whatever it had persisted.

    Args:
        folder: its configuration, log and persisted state go there.
        port: loopback port; a free one when None.
        extra: further lines of ``mosquitto.conf``.
        acl: text of an access control list.
        passwords: user to password; when given, nobody else gets in.
        persistence: keep sessions and messages in ``mosquitto.db`` as Debian's default configuration does
            (written every 30 minutes and at an orderly end, so a kill loses them).
        fixed: never change the port, even before the first start.
    """

    def __init__(
        self,
        folder: Path,
        *,
        port: int | None = None,
        extra: Sequence[str] = (),
        acl: str | None = None,
        passwords: Mapping[str, str] | None = None,
        persistence: bool = True,
        fixed: bool = False,
    ) -> None:
        program = find_mosquitto()
        if program is None:
            raise BrokerError("the program mosquitto is not installed; on Debian: apt-get install mosquitto")
        self._program = program
        self.folder = folder
        self._fixed = fixed or port is not None
        self.port = port or free_port()
        self._extra = tuple(extra)
        self._acl = acl
        self._passwords = dict(passwords) if passwords is not None else None
        self._persistence = persistence
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Address for a site file."""
        return f"mqtt://127.0.0.1:{self.port}"

    def section(self, username: str | None = None) -> BrokerSection:
        """The broker section of a site file for this broker."""
        password = (self._passwords or {}).get(username or "")
        return BrokerSection.model_validate({"url": self.url, "username": username, "password": password})

    @property
    def pid(self) -> int | None:
        """Process id while it runs."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    @property
    def log(self) -> str:
        """Everything that it logged since the first start."""
        path = self.folder / "mosquitto.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def start(self, seconds: float = 10) -> None:
        """Start it and wait until it takes connections.

        Raises:
            BrokerError: it ended at once or did not listen in time; the message ends with its last log lines.
        """
        if self._fixed and _in_use(self.port):
            raise BrokerError(f"port {self.port} is in use; free it or choose another one")
        for attempt in range(3):
            self._write_configuration()
            with (self.folder / "mosquitto.log").open("ab") as log:
                self._process = subprocess.Popen(
                    [self._program, "-c", str(self.folder / "mosquitto.conf")],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,  # a Ctrl-C in the terminal is ours to handle
                )
            if wait_for_port(self.port, time.monotonic() + seconds, self._process):
                return
            self.kill()
            if self._fixed or attempt == 2 or "already in use" not in self.log:
                break
            self.port = free_port()
        tail = " | ".join(self.log.splitlines()[-3:])
        raise BrokerError(f"mosquitto does not start on port {self.port}: {tail}")

    def stop(self, seconds: float = 10) -> None:
        """End it in order: it persists its state and says goodbye to its clients."""
        self._signal(signal.SIGTERM, seconds)

    def kill(self) -> None:
        """End it at once, as a power cut would."""
        self._signal(signal.SIGKILL, 10)

    def restart(self, *, kill: bool = False) -> None:
        """End it and start it again on the same port."""
        self._fixed = True  # clients know the port
        if kill:
            self.kill()
        else:
            self.stop()
        self.start()

    def allow(self, acl: str) -> None:
        """Put another access list in force while it runs."""
        self._acl = acl
        (self.folder / "acl").write_text(acl)
        if self._process is not None:
            self._process.send_signal(signal.SIGHUP)

    def _signal(self, number: signal.Signals, seconds: float) -> None:
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.send_signal(number)
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(10)
        self._process = None

    def _write_configuration(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        lines = [
            "per_listener_settings false",
            f"listener {self.port} 127.0.0.1",
            f"user {getpass.getuser()}",  # started as root it would change to a user that cannot write our folder
            f"allow_anonymous {'true' if self._passwords is None else 'false'}",
            f"persistence {'true' if self._persistence else 'false'}",
            f"persistence_location {self.folder}/",
        ]
        if self._acl is not None:
            (self.folder / "acl").write_text(self._acl)
            lines.append(f"acl_file {self.folder / 'acl'}")
        if self._passwords is not None:
            path = self.folder / "passwords"
            path.write_text("")
            path.chmod(0o600)
            for user, password in self._passwords.items():
                subprocess.run(
                    ["mosquitto_passwd", "-b", str(path), user, password], check=True, stdin=subprocess.DEVNULL
                )
            lines.append(f"password_file {path}")
        lines.extend(self._extra)
        (self.folder / "mosquitto.conf").write_text("\n".join(lines) + "\n")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
