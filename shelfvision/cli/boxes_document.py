"""The JSON that ``shelfvision detect`` writes, a picture at a time."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from shelfvision.edge.partial_file import PartialFile, cannot_write


class _ImageList:
    """``{"images": [...]}``, written a picture at a time.

    Args:
        file: unbuffered, so that a full disk is met by the picture that no longer fits.
        name: of the file, for messages.

    Attributes:
        length: bytes up to the last whole picture.

    Raises:
        ShelfvisionError: it cannot be written; by all methods.
    """

    def __init__(self, file: BinaryIO, name: Path) -> None:
        self._file, self._name = file, name
        self._between = ""
        self.length = 0
        self._write('{"images": [')

    def add(self, image: dict[str, Any]) -> None:
        """Write the next picture's object."""
        self._write(self._between + json.dumps(image))
        self._between = ", "

    def close(self) -> None:
        """Write the end of the document."""
        self._write("]}\n")

    def _write(self, text: str) -> None:
        data = rest = text.encode()
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
        except BrokenPipeError:
            raise
        except OSError as error:
            raise cannot_write(self._name, error) from None
        self.length += len(data)


@contextmanager
def boxes_document(path: Path | None) -> Iterator[Callable[[dict[str, Any]], None]]:
    """Takes the pictures' objects; however the block is left, the document with those that came is put in place.

    Args:
        path: of the file; ``-`` is stdout, None nowhere.

    Raises:
        ShelfvisionError: it cannot be written.
    """
    if path is None:
        yield lambda _: None
        return
    if str(path) == "-":
        with closing(_ImageList(sys.stdout.buffer, path)) as images:
            yield images.add
        return
    with PartialFile(path) as output, _open_unbuffered(output.path, path) as file:
        images = _ImageList(file, path)
        try:
            yield images.add
        finally:
            with suppress(OSError):  # a pipe cannot be cut
                file.truncate(images.length)
            images.close()
            output.keep()


def _open_unbuffered(path: Path, name: Path) -> BinaryIO:
    try:
        return path.open("ab", buffering=0)
    except OSError as error:
        raise cannot_write(name, error) from None
