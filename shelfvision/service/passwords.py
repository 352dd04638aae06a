"""Passwords: argon2id hashes, and a bound on guessing."""

from __future__ import annotations

import threading
from collections import OrderedDict

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

# RFC 9106, section 4, second recommended option (64 MiB, 3 passes, 4 lanes): argon2-cffi's default.
_HASHER = PasswordHasher()
# Each check takes 64 MiB for some 50 ms: a flood of logins must not take the machine's memory.
_AT_ONCE = threading.BoundedSemaphore(2)
# Checked when the name is unknown, so that the answer takes as long as for a known one.
_NOBODY = _HASHER.hash("shelfvision: no such user")


def hash_password(password: str) -> str:
    """An argon2id hash for the site file."""
    return _HASHER.hash(password)


def password_fits(password: str, password_hash: str | None) -> bool:
    """Whether the password belongs to the hash; takes the same time when there is no hash."""
    with _AT_ONCE:
        try:
            return _HASHER.verify(password_hash or _NOBODY, password) and password_hash is not None
        except (Argon2Error, InvalidHashError):
            return False


class GuessLimit:
    """Counts failed logins and says how long to wait.

    A pair of address and name may fail five times, an address twenty times in a quarter of an hour. The name
    alone is not counted: else anybody could lock out a colleague.
    """

    def __init__(self, *, per_name: int = 5, per_address: int = 20, window: float = 900.0, keys: int = 10_000) -> None:
        self._per_name = per_name
        self._per_address = per_address
        self._window = window
        self._keys = keys
        self._failures: OrderedDict[tuple[str, str], list[float]] = OrderedDict()
        self._lock = threading.Lock()

    def wait_seconds(self, address: str, name: str, now: float) -> float:
        """Seconds until another attempt is heard; 0 when it is heard now."""
        with self._lock:
            return max(
                self._left((address, name.casefold()), self._per_name, now),
                self._left((address, ""), self._per_address, now),
            )

    def failed(self, address: str, name: str, now: float) -> None:
        """Remember a failed attempt."""
        with self._lock:
            for key in ((address, name.casefold()), (address, "")):
                self._failures.setdefault(key, []).append(now)
                self._failures.move_to_end(key)
            while len(self._failures) > self._keys:
                self._failures.popitem(last=False)

    def succeeded(self, address: str, name: str) -> None:
        """Forget this person's failures; those of the address stay."""
        with self._lock:
            self._failures.pop((address, name.casefold()), None)

    def _left(self, key: tuple[str, str], most: int, now: float) -> float:
        recent = [at for at in self._failures.get(key, []) if at > now - self._window]
        if recent:
            self._failures[key] = recent
        else:
            self._failures.pop(key, None)
        return max(0.0, recent[-most] + self._window - now) if len(recent) >= most else 0.0
