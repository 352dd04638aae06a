"""``shelfvision password``: a password hash for the users of a site file."""

from __future__ import annotations

import sys
from getpass import getpass

from shelfvision.errors import UsageError

_SHORTEST = 8  # NIST SP 800-63B, section 5.1.1.2


def password() -> None:
    """Ask for a password and print its argon2 hash for web.users in the site file."""
    from shelfvision.service.passwords import hash_password

    if sys.stdin.isatty():
        text = getpass("Password: ")
        if getpass("Once more: ") != text:
            raise UsageError("the two passwords differ; nothing was printed")
    else:
        text = sys.stdin.readline().rstrip("\r\n")
    if len(text) < _SHORTEST:
        raise UsageError(f"the password has {len(text)} characters; give at least {_SHORTEST}")
    print(hash_password(text))
