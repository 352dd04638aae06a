"""Who asks, and may they: login sessions, cross-site request forgery, and where the page may be served."""

from __future__ import annotations

import base64
import binascii
import hmac
import ipaddress
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal
from urllib.parse import unquote

from fastapi import Request, Response

from shelfvision.config import UserSection, WebSection
from shelfvision.errors import ConfigError
from shelfvision.service.passwords import GuessLimit, password_fits
from shelfvision.service.problems import WebProblem
from shelfvision.service.sessions import Sessions

ACTOR_COOKIE = "sv_actor"  # without login: the name that the person gave, not a secret
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
_VERIFIED_SECONDS = 300.0
_MOST_VERIFIED = 1000


def check_binding(host: str, web: WebSection) -> None:
    """Refuse to listen beyond this machine without login and TLS.

    Raises:
        ConfigError: what is missing.
    """
    if is_loopback(host):
        return
    missing = [name for name, there in (("web.users", web.users), ("web.cert_file", web.cert_file)) if not there]
    if missing:
        raise ConfigError(
            f"host {host}: the page is served beyond this machine only with login and TLS; add "
            f"{' and '.join(missing)} to the site file, or use --host 127.0.0.1"
        )


def is_loopback(host: str) -> bool:
    """Whether a host name or address can only be reached from this machine."""
    if host.casefold() in LOOPBACK_NAMES:
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True, slots=True)
class Viewer:
    """The person or program behind a request."""

    name: str | None  # None: has not said yet who they are (only without login)
    role: Literal["staff", "manager"]
    csrf: str | None = None  # what unsafe requests of a login session must repeat

    @property
    def is_manager(self) -> bool:
        """Whether this person may also act on what others have claimed."""
        return self.role == "manager"


class Access:
    """Recognises viewers; with no users configured everybody on this machine is one."""

    def __init__(self, web: WebSection, sessions: Sessions | None, clock: Callable[[], float]) -> None:
        self._web = web
        self._sessions = sessions
        self._clock = clock
        self._limit = GuessLimit()
        self._secret = secrets.token_bytes(32)
        self._verified: dict[bytes, float] = {}  # keyed hash of name and password -> until when
        self._users: dict[str, UserSection] = {user.name.casefold(): user for user in web.users}
        self._hashes = {user.name: user.password_hash.get_secret_value() for user in web.users}

    @property
    def login_needed(self) -> bool:
        """Whether people must log in."""
        return bool(self._users)

    def viewer(self, request: Request) -> Viewer | None:
        """Who asks; None when a login is needed and there is none. Reads the database."""
        if not self.login_needed:
            return Viewer(_actor_of(request), "staff")
        token = request.cookies.get(self._cookie(request))
        session = self._sessions.find(token, self._hashes, self._clock()) if token and self._sessions else None
        user = self._users.get(session.user_name.casefold()) if session else None
        if session is not None and user is not None:
            return Viewer(user.name, user.role, session.csrf)
        return self._basic(request)

    def required(self, request: Request) -> Viewer:
        """The viewer of an API request; an unsafe one of a login session must carry its token.

        Raises:
            WebProblem: 401 without login, 403 without the token, 429 after too many wrong passwords.
        """
        viewer = self.viewer(request)
        if viewer is None:
            # no Basic challenge: it would make browsers open their own password window
            raise WebProblem(401, "log in first", headers={"WWW-Authenticate": 'Login realm="shelfvision"'})
        if request.method not in SAFE_METHODS:
            check_csrf(viewer, request.headers.get("x-csrf-token"))
        return viewer

    def log_in(self, request: Request, response: Response, name: str, password: str) -> bool:
        """Check name and password; on success set the session cookie.

        Raises:
            WebProblem: 429 after too many wrong passwords.
        """
        user = self._checked(request, name, password)
        if user is None or self._sessions is None:
            return False
        old = request.cookies.get(self._cookie(request))
        if old:
            self._sessions.end(old)
        password_hash = user.password_hash.get_secret_value()
        token, _ = self._sessions.begin(user.name, password_hash, now=self._clock(), hours=self._web.session_hours)
        response.set_cookie(
            self._cookie(request),
            token,
            max_age=round(self._web.session_hours * 3600),
            path="/",
            secure=self._secure(request),
            httponly=True,
            samesite="strict",
        )
        return True

    def log_out(self, request: Request, response: Response) -> None:
        """End the session and take the cookie away."""
        name = self._cookie(request)
        token = request.cookies.get(name)
        if token and self._sessions is not None:
            self._sessions.end(token)
        response.delete_cookie(name, path="/", secure=self._secure(request), httponly=True, samesite="strict")

    def _basic(self, request: Request) -> Viewer | None:
        """Programs may send name and password with each API request (HTTP Basic)."""
        scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
        if scheme.casefold() != "basic" or not request.url.path.startswith("/api/"):
            return None
        try:
            name, colon, password = base64.b64decode(encoded, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return None
        # argon2 is slow on purpose; a program that asks every second is checked every few minutes
        seen = hmac.digest(self._secret, f"{name}:{password}".encode(), "sha256")
        if self._verified.get(seen, 0.0) < time.monotonic():
            if not colon or self._checked(request, name, password) is None:
                return None
            if len(self._verified) >= _MOST_VERIFIED:
                self._verified.clear()
            self._verified[seen] = time.monotonic() + _VERIFIED_SECONDS
        user = self._users[name.strip().casefold()]
        return Viewer(user.name, user.role)

    def _checked(self, request: Request, name: str, password: str) -> UserSection | None:
        address = request.client.host if request.client else ""
        # monotonic: setting the machine's clock must not free anybody from waiting
        wait = self._limit.wait_seconds(address, name, time.monotonic())
        if wait > 0:
            minutes = max(1, round(wait / 60))
            raise WebProblem(
                429,
                f"too many wrong passwords; try again in {minutes} min",
                headers={"Retry-After": str(max(1, round(wait)))},
            )
        user = self._users.get(name.strip().casefold())
        if not password_fits(password, user.password_hash.get_secret_value() if user else None):
            self._limit.failed(address, name, time.monotonic())
            return None
        self._limit.succeeded(address, name)
        return user

    def _secure(self, request: Request) -> bool:
        return request.url.scheme == "https" or self._web.public_url is not None

    def _cookie(self, request: Request) -> str:
        # the __Host- prefix lets no other host or path set it; browsers take it only over https
        return "__Host-sv_session" if self._secure(request) else "sv_session"


def check_csrf(viewer: Viewer, token: str | None) -> None:
    """Compare the token of a login session.

    Raises:
        WebProblem: 403 when it is missing or another one.
    """
    if viewer.csrf is not None and not hmac.compare_digest(viewer.csrf.encode(), (token or "").encode()):
        raise WebProblem(403, "this page is out of date; reload it and try again")


def _actor_of(request: Request) -> str | None:
    name = " ".join(unquote(request.cookies.get(ACTOR_COOKIE, "")).split())
    return name[:100] or None
