"""A simulated camera by its address: ``NAME?seed=1&fps=10&control=DIR``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl

from shelfvision.errors import CameraError
from shelfvision.sim.commands import Spool
from shelfvision.sim.footage import Footage, Picture
from shelfvision.sim.stores import STORES, build_store
from shelfvision.sim.visits import ScriptOptions

_FPS = 10.0
_FPS_LIMIT = 60.0


@dataclass(frozen=True, slots=True)
class SimulatedAddress:
    """What follows ``sim:`` in a camera's source."""

    store: str
    seed: int = 1
    fps: float = _FPS
    control: Path | None = None


def parse_address(text: str) -> SimulatedAddress:
    """Read ``NAME?seed=1&fps=10&control=DIR``.

    Raises:
        CameraError: unknown store or option, or a value out of range.
    """
    name, _, query = text.partition("?")
    shown = f"sim:{text}"
    if name not in STORES:
        raise CameraError(f"source {shown!r}: no simulated store {name!r}; there are {', '.join(STORES)}")
    options = dict(parse_qsl(query, keep_blank_values=True))
    if unknown := sorted(set(options) - {"seed", "fps", "control"}):
        raise CameraError(f"source {shown!r}: unknown option {unknown[0]!r}; expected seed, fps or control")
    try:
        seed, fps = int(options.get("seed", "1")), float(options.get("fps", _FPS))
    except ValueError:
        raise CameraError(f"source {shown!r}: seed and fps must be numbers") from None
    if not 0 <= seed < 2**63:
        raise CameraError(f"source {shown!r}: seed must be from 0 to 2^63 - 1")
    if not 0.1 <= fps <= _FPS_LIMIT:  # also catches NaN
        raise CameraError(f"source {shown!r}: fps must be from 0.1 to {_FPS_LIMIT:g}")
    control = options.get("control")
    return SimulatedAddress(name, seed, fps, Path(control) if control else None)


class SimulatedShelf:
    """Pictures of a simulated store, one after another; orders come in through the control folder."""

    def __init__(self, address: SimulatedAddress) -> None:
        self.address = address
        store = build_store(address.store, address.seed)
        self.footage = Footage(
            store, address.seed, fps=address.fps, script=ScriptOptions(attended=address.control is not None)
        )
        try:
            self._spool = None if address.control is None else Spool(address.control, [slot.id for slot in store.slots])
        except OSError as error:
            raise CameraError(f"simulated camera: control folder {address.control}: {error.strerror}") from None

    def picture(self, *, skip: int = 0) -> Picture:
        """The next picture, after passing over ``skip`` others undrawn."""
        if self._spool is not None:
            for order in self._spool.orders():
                self.footage.order(order)
        for _ in range(skip):
            self.footage.step(draw=False)
        frame = self.footage.step()
        if self._spool is not None:
            while self.footage.script.done:
                self._spool.finish(self.footage.script.done.pop(0))
        assert frame.image is not None
        return frame.image.copy()
