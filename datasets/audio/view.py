"""A part of a file behind other bytes, as a file: what libsndfile reads in place of a file with a wrong header."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any


class View(io.RawIOBase):
    """Bytes, and behind them a part of a file.

    Args:
        path: the file.
        header: the bytes.
        start: where the part begins.
        length: its bytes.
    """

    def __init__(self, path: Path, header: bytes, start: int, length: int) -> None:
        self._file = path.open("rb")
        self._header, self._start, self._position = header, start, 0
        self._size = len(header) + length

    def readable(self) -> bool:
        """See `io.RawIOBase`."""
        return True

    def seekable(self) -> bool:
        """See `io.RawIOBase`."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """See `io.RawIOBase`."""
        self._position = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        return self._position

    def tell(self) -> int:
        """See `io.RawIOBase`."""
        return self._position

    def readinto(self, target: Any) -> int:
        """See `io.RawIOBase`."""
        wanted = max(0, min(len(target), self._size - self._position))
        found = self._header[self._position : self._position + wanted]
        if len(found) < wanted:
            self._file.seek(self._start + self._position + len(found) - len(self._header))
            found += self._file.read(wanted - len(found))
        target[: len(found)] = found
        self._position += len(found)
        return len(found)

    def close(self) -> None:
        """Closes the file."""
        self._file.close()
        super().close()
