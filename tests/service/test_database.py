"""A database that cannot be used is refused in one clear line."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest
from sqlalchemy import select, text, update

from shelfvision.core.events import EventKind
from shelfvision.errors import StoreError
from shelfvision.service import database as database_module
from shelfvision.service import queries
from shelfvision.service.database import Database
from shelfvision.service.schema import meta
from shelfvision.service.store import open_store
from tests.service.builders import Sender


def refused(url, store="demo") -> str:
    with pytest.raises(StoreError) as error:
        Database(str(url), store)
    line = str(error.value)
    assert "\n" not in line
    return line


def test_a_file_is_made_with_its_folders_and_opened_again(tmp_path: Path):
    path = tmp_path / "var" / "deep" / "x.sqlite"
    Database(str(path), "demo").close()
    Database(f"sqlite:///{path}", "demo").close()
    Database(str(path)).close()


def test_sqlite_commits_reach_the_disk(tmp_path: Path):
    database = Database(str(tmp_path / "x.sqlite"), "demo")
    with database.read() as connection:
        assert connection.execute(text("PRAGMA journal_mode")).scalar() == "wal"
        assert connection.execute(text("PRAGMA synchronous")).scalar() == 2
    database.close()


def test_a_newer_version_is_refused(store_url):
    database = Database(store_url, "demo")
    with database.write() as connection:
        connection.execute(update(meta).where(meta.c.name == "schema_version").values(value="99"))
    database.close()
    line = refused(store_url)
    assert "version 99" in line
    assert "upgrade shelfvision" in line


def test_another_stores_database_is_refused(tmp_path: Path):
    path = tmp_path / "x.sqlite"
    Database(str(path), "north").close()
    assert "belongs to store 'north'" in refused(path, "south")


def test_stores_share_a_postgresql_server_without_meeting(postgres_server):
    north, south = (open_store(postgres_server, name) for name in ("north-1", "south.1"))
    north.apply([Sender().send(EventKind.PICK_UP, "left")])
    assert queries.applied(north).events == 1
    assert queries.applied(south).events == 0
    north.close()
    south.close()


def test_a_folder_is_refused(tmp_path: Path):
    assert "is a folder" in refused(tmp_path)


def test_a_file_of_another_kind_is_refused(tmp_path: Path):
    path = tmp_path / "notes.txt"
    path.write_text("milk, bread, and a good many other things")
    assert "not an SQLite database" in refused(path)
    assert path.read_text().startswith("milk")


def test_a_database_of_another_program_is_refused(tmp_path: Path):
    path = tmp_path / "other.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE invoices (id INTEGER)")
    assert "another program" in refused(path)


def test_a_read_only_file_is_refused_for_root_too(tmp_path: Path):
    path = tmp_path / "x.sqlite"
    Database(str(path), "demo").close()
    path.chmod(0o444)
    assert "read-only" in refused(path)


def test_a_read_only_folder_is_refused(tmp_path: Path):
    folder = tmp_path / "locked"
    folder.mkdir()
    folder.chmod(0o555)
    try:
        assert "read-only" in refused(folder / "x.sqlite")
    finally:
        folder.chmod(0o755)


def test_a_damaged_file_is_refused(tmp_path: Path):
    path = tmp_path / "x.sqlite"
    Database(str(path), "demo").close()
    whole = path.read_bytes()
    path.write_bytes(whole[:100] + bytes(4096) + whole[4196:])
    for extra in ("-wal", "-shm"):
        path.with_name(path.name + extra).unlink(missing_ok=True)
    line = refused(path)
    assert "damaged" in line or "not an SQLite database" in line


def test_a_file_that_another_program_keeps_locked_is_refused_after_a_wait(tmp_path: Path, monkeypatch):
    path = tmp_path / "x.sqlite"
    Database(str(path), "demo").close()
    monkeypatch.setattr(database_module, "_BUSY_SECONDS", 0.2)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    try:
        assert "locked by another program" in refused(path)
    finally:
        other.close()


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "mysql://x/y", "oracle+what://x", "://"])
def test_other_urls_are_refused(url):
    refused(url)


def test_an_unreachable_server_is_refused_without_its_password():
    line = refused("postgresql://shelf:s3cret@127.0.0.1:1/x")
    assert "no server answers" in line
    assert "s3cret" not in line


def test_a_failing_block_leaves_nothing(store):
    def fail():
        with store.database.write() as connection:
            connection.execute(update(meta).values(value="broken"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    with store.database.read() as connection:
        assert "broken" not in connection.scalars(select(meta.c.value)).all()


def test_writers_in_many_threads_take_turns(store):
    def add():
        for _ in range(10):
            with store.database.write() as connection:
                found = int(connection.scalar(select(meta.c.value).where(meta.c.name == "schema_version")))
                connection.execute(update(meta).where(meta.c.name == "schema_version").values(value=str(found + 1)))

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with store.database.read() as connection:
        assert connection.scalar(select(meta.c.value).where(meta.c.name == "schema_version")) == "41"
