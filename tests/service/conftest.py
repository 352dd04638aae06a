"""Databases for the tests of the service: an SQLite file always, a PostgreSQL server where one is installed."""

from __future__ import annotations

import getpass
import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from shelfvision.service.store import Store, open_store
from shelfvision.transport.mosquitto import free_port


def find_postgres() -> Path | None:
    """The folder of initdb and postgres; Debian keeps it off the PATH."""
    found = shutil.which("initdb")
    folders = [Path(found).resolve().parent] if found else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((folder for folder in folders if (folder / "postgres").exists()), None)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """URL of a PostgreSQL server of our own on loopback."""
    programs = find_postgres()
    if programs is None:
        pytest.skip("PostgreSQL is not installed; on Debian: apt-get install postgresql")
    user = getpass.getuser()
    if os.geteuid() == 0:  # PostgreSQL refuses to run as root
        known = {entry.pw_name for entry in pwd.getpwall()}
        user = next((name for name in ("postgres", "nobody") if name in known), "")
        if not user:
            pytest.skip("PostgreSQL does not run as root and there is no user postgres or nobody")
    as_user = {"user": user} if os.geteuid() == 0 else {}
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="shelfvision-postgres-") as folder:
        if as_user:
            shutil.chown(folder, user)
        data = Path(folder) / "data"
        subprocess.run(
            [programs / "initdb", "-D", data, "-U", "shelf", "-A", "trust", "-E", "UTF8", "--no-sync"],
            check=True,
            capture_output=True,
            cwd=folder,
            **as_user,
        )
        server = subprocess.Popen(
            [
                *(programs / "postgres", "-D", data, "-p", str(port), "-h", "127.0.0.1"),
                *("-c", f"unix_socket_directories={folder}", "-c", "fsync=off", "-c", "max_connections=50"),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=folder,
            **as_user,
        )
        try:
            deadline = time.monotonic() + 30
            ready = [programs / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port)]
            while subprocess.run(ready, check=False).returncode != 0:
                assert server.poll() is None, "PostgreSQL ended at its start"
                assert time.monotonic() < deadline, "PostgreSQL did not start within 30 s"
            yield f"postgresql://shelf@127.0.0.1:{port}/postgres"
        finally:
            server.terminate()
            server.wait(30)


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a new, empty database can be; each test runs with both kinds."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/replenish.sqlite"
    server: str = request.getfixturevalue("postgres_server")
    import psycopg

    name = f"test_{os.getpid()}_{time.monotonic_ns()}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    return server.rsplit("/", 1)[0] + "/" + name


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    """An open, empty store."""
    opened = open_store(store_url, "demo")
    yield opened
    opened.close()
