"""Logins that last: kept in the service's database, so that a restart logs nobody out."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass

from sqlalchemy import Column, Double, MetaData, String, Table, delete, insert, select

from shelfvision.service.database import Database

_METADATA = MetaData()
_SESSIONS = Table(
    "web_sessions",
    _METADATA,
    Column("token_sha256", String(64), primary_key=True),  # a copy of the database opens no session
    Column("user_name", String(100), nullable=False, index=True),
    Column("credential_sha256", String(64), nullable=False),  # of the password hash: a new password ends old logins
    Column("csrf", String(64), nullable=False),
    Column("expires_at", Double, nullable=False, index=True),  # POSIX seconds
)


@dataclass(frozen=True, slots=True)
class Session:
    """One login on one browser."""

    user_name: str
    csrf: str
    expires_at: float  # POSIX seconds


class Sessions:
    """The logins of this service."""

    def __init__(self, database: Database) -> None:
        self._database = database
        with database.write() as connection:
            _METADATA.create_all(connection)

    def begin(self, user_name: str, password_hash: str, *, now: float, hours: float) -> tuple[str, Session]:
        """Start a login; returns the secret for the cookie and the session. Old logins are tidied up."""
        token = secrets.token_urlsafe(32)
        session = Session(user_name, secrets.token_urlsafe(32), now + hours * 3600)
        with self._database.write() as connection:
            connection.execute(delete(_SESSIONS).where(_SESSIONS.c.expires_at <= now))
            connection.execute(
                insert(_SESSIONS).values(
                    token_sha256=_sha256(token),
                    user_name=user_name,
                    credential_sha256=_sha256(password_hash),
                    csrf=session.csrf,
                    expires_at=session.expires_at,
                )
            )
        return token, session

    def find(self, token: str, password_hashes: dict[str, str], now: float) -> Session | None:
        """The session of a cookie, unless it ended or its user is gone or has a new password."""
        query = select(_SESSIONS).where(_SESSIONS.c.token_sha256 == _sha256(token), _SESSIONS.c.expires_at > now)
        with self._database.read() as connection:
            row = connection.execute(query).one_or_none()
        if row is None:
            return None
        expected = _sha256(password_hashes.get(row.user_name, ""))
        if not hmac.compare_digest(row.credential_sha256, expected):
            return None
        return Session(row.user_name, row.csrf, row.expires_at)

    def end(self, token: str) -> None:
        """Log out."""
        with self._database.write() as connection:
            connection.execute(delete(_SESSIONS).where(_SESSIONS.c.token_sha256 == _sha256(token)))


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
