"""Opens the service's database: SQLite by default, PostgreSQL by URL; every failure is one clear line."""

from __future__ import annotations

import contextlib
import re
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, insert, inspect, select
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError

from shelfvision.errors import StoreError
from shelfvision.service.schema import SCHEMA_VERSION, meta, metadata

_BUSY_SECONDS = 10
_STORE_SCHEMA = re.compile(r"[^a-z0-9_]")


class DatabaseGoneError(StoreError):
    """The database file was deleted or replaced under the running service; what it writes now would be lost."""


class Database:
    """An open database: one writer at a time, readers beside it.

    Args:
        url: ``sqlite:///path``, the bare path of an SQLite file, or ``postgresql://user@host/name``.
        store: store id. A new database is bound to it and another store's is refused; in PostgreSQL each store has
            a schema of its own, so that many services share one server. None takes what is there.

    Raises:
        StoreError: it cannot be opened or written, or is not ours.
    """

    def __init__(self, url: str, store: str | None = None) -> None:
        self._url = _parse(url)
        self.sqlite = self._url.get_backend_name() == "sqlite"
        self._lock = threading.Lock()
        if self.sqlite:
            _check_file(Path(self._url.database or ""))
            self.name = str(self._url.database)
        else:
            self.name = self._url.render_as_string(hide_password=True)
        self._engine = self._create_engine(store)
        self._file: tuple[int, int] | None = None
        try:
            self._prepare(store)
        except BaseException:
            self._engine.dispose()
            raise
        self._file = self._identity()

    @contextlib.contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that may write; it commits when the block ends without an error.

        Raises:
            StoreError: locked, full, read-only; nothing of the block is stored.
            DatabaseGoneError: the file was deleted or replaced; likewise.
        """
        connect = self._engine.connect
        with (
            self._lock,
            self._translated(),
            connect().execution_options(writing=True) as connection,
            connection.begin(),
        ):
            if (
                self._file is not None and self._file != self._identity()
            ):  # SQLite itself would go on writing into the deleted file
                raise DatabaseGoneError(
                    f"database {self.name} was deleted or replaced while in use; start the service again"
                )
            yield connection

    @contextlib.contextmanager
    def read(self) -> Iterator[Connection]:
        """A consistent view of the database for reading."""
        with self._translated(), self._engine.connect() as connection, connection.begin():
            yield connection

    def close(self) -> None:
        """Close every connection; a later use opens new ones."""
        with self._lock:
            self._engine.dispose()

    def _identity(self) -> tuple[int, int] | None:
        """Which file the path names; None for a server."""
        if not self.sqlite:
            return None
        try:
            found = Path(self.name).stat()
        except OSError:
            return (0, 0)
        return (found.st_dev, found.st_ino)

    def _create_engine(self, store: str | None) -> Engine:
        options: dict[str, Any] = {}
        if self.sqlite:
            options = {"connect_args": {"timeout": _BUSY_SECONDS, "check_same_thread": False}}
        else:
            options = {"pool_pre_ping": True, "connect_args": {"connect_timeout": 10}}
        try:
            engine = create_engine(self._url, **options)
        except ModuleNotFoundError as error:
            raise StoreError(
                f"database {self.name}: needs the Python package {error.name}; install shelfvision[postgres]"
            ) from None
        if self.sqlite:
            event.listen(engine, "connect", _prepare_sqlite_connection)
            event.listen(engine, "begin", _begin_sqlite)
        elif store is not None:
            schema = "shelfvision_" + _STORE_SCHEMA.sub(lambda match: f"_{ord(match[0]):x}_", store)

            def _use_schema(connection: Any, _record: object) -> None:
                connection.autocommit = True
                connection.execute(f'CREATE SCHEMA IF NOT EXISTS "{schema}"')
                connection.execute(f'SET search_path TO "{schema}"')
                connection.autocommit = False

            event.listen(engine, "connect", _use_schema)
        return engine

    def _prepare(self, store: str | None) -> None:
        with self.write() as connection:
            tables = set(inspect(connection).get_table_names())
            if meta.name not in tables:
                if tables:
                    raise StoreError(
                        f"database {self.name} belongs to another program (it has a table {min(tables)!r}); "
                        "give another path with --db"
                    )
                metadata.create_all(connection)
                connection.execute(insert(meta), [{"name": "schema_version", "value": str(SCHEMA_VERSION)}])
            found = {row.name: row.value for row in connection.execute(select(meta))}
            version = found.get("schema_version", "")
            if not version.isdigit():
                raise StoreError(f"database {self.name} has no schema version; it is damaged or not ours")
            if int(version) > SCHEMA_VERSION:
                raise StoreError(
                    f"database {self.name} is of version {version}, this shelfvision reads up to {SCHEMA_VERSION}; "
                    "upgrade shelfvision or give another database with --db"
                )
            if store is not None and "store" not in found:
                connection.execute(insert(meta), [{"name": "store", "value": store}])
            elif store is not None and found["store"] != store:
                raise StoreError(
                    f"database {self.name} belongs to store {found['store']!r}, the site file is of store {store!r}; "
                    "give another database with --db"
                )

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            raise StoreError(f"database {self.name}: {_explain(error)}") from error
        except SQLAlchemyError as error:
            raise StoreError(f"database {self.name}: {_one_line(error)}") from error


def _parse(text: str) -> URL:
    if "://" not in text:
        return URL.create("sqlite", database=text)
    try:
        url = make_url(text)
        backend = url.get_backend_name()
    except (ArgumentError, NoSuchModuleError, ValueError):
        raise StoreError(
            "database URL not understood; expected a file path, sqlite:///path or postgresql://user:password@host/name"
        ) from None
    if backend == "sqlite":
        if url.database in {None, "", ":memory:"}:
            raise StoreError("database sqlite:// is in memory and would lose events; give the path of a file")
        return url
    if backend in {"postgresql", "postgres"}:
        return url.set(drivername="postgresql+psycopg")
    raise StoreError(f"database {backend!r} is not supported; use a SQLite file or postgresql://")


def _check_file(path: Path) -> None:
    """What SQLite itself would report vaguely, or let root get away with."""
    try:
        if path.is_dir():
            raise StoreError(f"database {path} is a folder; give the path of a file")
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            if not stat.S_IMODE(path.stat().st_mode) & 0o222:
                raise StoreError(
                    f"database {path} is read-only; make it writable (chmod u+w) or give another with --db"
                )
            with path.open("rb") as file:
                header = file.read(16)
            if header and header != b"SQLite format 3\0":
                raise StoreError(f"database {path} is not an SQLite database; give another path with --db")
        elif not stat.S_IMODE(path.parent.stat().st_mode) & 0o222:
            raise StoreError(f"database {path} cannot be made: its folder is read-only; give another path with --db")
    except OSError as error:
        raise StoreError(f"database {path} cannot be opened: {error.strerror}; give another path with --db") from None


def _prepare_sqlite_connection(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # transactions begin where SQLAlchemy says, see _begin_sqlite
    cursor = connection.cursor()
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        f"busy_timeout={_BUSY_SECONDS * 1000}",
        "foreign_keys=ON",
        "cache_size=-32000",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    # a writer takes the lock at once: upgrading a read lock later can fail without waiting
    writing = connection.get_execution_options().get("writing", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")


def _explain(error: DBAPIError) -> str:
    text = _one_line(error.orig or error)
    known = {
        "locked": "locked by another program; stop the other service or wait",
        "readonly": "read-only; make the file and its folder writable or give another with --db",
        "not a database": "not an SQLite database; give another path with --db",
        "malformed": "damaged; move it away and start again, or restore a copy",
        "disk is full": "the disk is full; make room",
        "unable to open": "cannot be opened; check that the folder exists and is writable",
        "password authentication failed": "the server refuses the user name or password",
        "connection refused": "no server answers at this address; start it or check host and port",
        "could not connect": "no server answers at this address; start it or check host and port",
    }
    return next((words for part, words in known.items() if part in text.lower()), text)


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
