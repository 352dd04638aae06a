"""Files that appear under their name only when they are complete."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from shelfvision.errors import ShelfvisionError


class PartialFile:
    """A place to write beside the final name; ``keep`` moves it there, leaving the block without it removes it.

    A device or pipe (``/dev/null``, a FIFO) is written to directly: moving a file over it would destroy it.

    Raises:
        ShelfvisionError: the folder is missing or cannot be written to.
    """

    def __init__(self, final: Path) -> None:
        self.final = final.resolve() if final.is_symlink() else final
        self._direct = final.exists() and not final.is_file() and not final.is_dir()
        if self._direct:
            self.path = final
            return
        if final.is_dir():
            raise ShelfvisionError(f"{final}: is a folder, expected a file name")
        if not self.final.parent.is_dir():
            raise ShelfvisionError(f"{final}: there is no folder {self.final.parent}; make it first")
        try:
            if final.exists() and not os.access(final, os.W_OK):
                raise PermissionError(13, os.strerror(13))
            handle, name = tempfile.mkstemp(
                prefix=f".{self.final.stem}-", suffix=f".partial{self.final.suffix}", dir=self.final.parent
            )
            os.fchmod(handle, 0o666 & ~_umask())
            os.close(handle)
        except OSError as error:
            raise cannot_write(final, error) from None
        self.path = Path(name)

    def keep(self) -> None:
        """Give the file its final name; what was written is on the disk before.

        Raises:
            ShelfvisionError: the disk fails.
        """
        if self._direct:
            return
        try:
            with self.path.open("rb") as file:
                os.fsync(file.fileno())
            self.path.replace(self.final)
        except OSError as error:
            raise cannot_write(self.final, error) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._direct:
            self.path.unlink(missing_ok=True)


def write_file(path: Path, data: bytes) -> None:
    """Write a whole file or none.

    Raises:
        ShelfvisionError: it cannot be written.
    """
    with PartialFile(path) as output:
        try:
            output.path.write_bytes(data)
        except OSError as error:
            raise cannot_write(path, error) from None
        output.keep()


def cannot_write(path: Path, error: OSError) -> ShelfvisionError:
    """The error for an output that cannot be written."""
    return ShelfvisionError(f"{path}: cannot be written: {error.strerror or error}")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
