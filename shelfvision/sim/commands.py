"""Orders to a simulated store from outside: files in a spool folder."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path

from shelfvision.sim.script import Order

_NAME = re.compile(r"^refill-(.+)\.json$")


class Spool:
    """A folder into which ``refill-<slot>-<key>.json`` files are dropped; the names say everything.

    A file stays until its refill is done, so that an order survives a restart of the camera.
    """

    def __init__(self, folder: Path, slots: Collection[str]) -> None:
        self._folder = folder
        # the longest first, since one slot's id may begin like another's
        self._slots = sorted(slots, key=len, reverse=True)
        folder.mkdir(parents=True, exist_ok=True)

    def orders(self) -> list[Order]:
        """The refills that are asked for now, by name; files with other names or slots are left alone."""
        found = []
        for path in sorted(self._folder.iterdir()):
            match = _NAME.match(path.name)
            slot = next((slot for slot in self._slots if match and match[1].startswith(f"{slot}-")), None)
            if match and slot is not None and (key := match[1][len(slot) + 1 :]):
                found.append(Order(slot, key))
        return found

    def finish(self, order: Order) -> None:
        """Take a done order away."""
        (self._folder / f"refill-{order.slot}-{order.key}.json").unlink(missing_ok=True)
