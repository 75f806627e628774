"""Writing files and folders so that they are there whole or not at all."""

from __future__ import annotations

import errno
import json
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

try:
    import fcntl
except ImportError:  # Windows: nothing is held, as on a file system without locks
    fcntl = None  # type: ignore[assignment]


def read_bytes(path: str | Path, most_bytes: int) -> bytes:
    """The content of a file that others may have made.

    Args:
        path: the file; a link is followed.
        most_bytes: what it may hold.

    Raises:
        OSError: missing, not to be read, larger, or no file at all: a folder, a pipe that nobody writes to, a device.
    """
    # A pipe would else wait here for somebody to open its other end.
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0))
    with os.fdopen(handle, "rb", closefd=True) as file:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "it is not a file", str(path))
        if found.st_size > most_bytes:
            raise OSError(errno.EFBIG, f"it holds {found.st_size:,} bytes, more than {most_bytes:,}", str(path))
        content = file.read(most_bytes + 1)
    if len(content) > most_bytes:  # it grew, or is one of those that say they are empty
        raise OSError(errno.EFBIG, f"it holds more than {most_bytes:,} bytes", str(path))
    return content


def write_bytes(path: str | Path, content: bytes) -> Path:
    """Writes `content` to `path` by a temporary neighbour and a rename. Returns the path."""
    with new_file(path) as file:
        file.write(content)
    return Path(path)


def write_text(path: str | Path, content: str) -> Path:
    """Writes text as UTF-8, whole or not at all."""
    return write_bytes(path, content.encode("utf-8"))


def to_json(document: Any) -> str:
    """JSON as the project writes it everywhere: keys in the document's order, two spaces, a newline at the end."""
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def write_json(path: str | Path, document: Any) -> Path:
    """Writes a JSON document, whole or not at all."""
    return write_text(path, to_json(document))


def is_free(path: str | Path) -> bool:
    """Whether a folder can be made there without a loss: nothing is there, or an empty folder."""
    path = Path(path)
    return not path.exists() or (path.is_dir() and not any(path.iterdir()))


@contextmanager
def new_folder(path: str | Path, ours: Callable[[Path], bool] = lambda _: False) -> Iterator[Path]:
    """Gives a temporary folder beside `path` that takes its place when the block ends without an error.

    Args:
        path: the folder to make. Of a link it is the folder that the link names.
        ours: whether all that a folder at `path` holds is of the caller's making, so that it may be replaced. It is
            asked before the block, and again after it.

    Raises:
        FileExistsError: before the block, when `path` is there and holds something that is not `ours`.
        OSError: after it, when something came there meanwhile. What was made stays in the temporary folder.
    """
    path = Path(path).resolve()
    if not is_free(path) and not ours(path):
        raise FileExistsError(errno.EEXIST, "it holds something", str(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        yield temporary
        temporary.chmod(0o755)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    if not is_free(path) and ours(path):
        shutil.rmtree(path)
    try:
        temporary.replace(path)  # of a folder the system replaces an empty one only
    except OSError as error:
        raise OSError(error.errno, f"{error.strerror}; what was made is in {temporary}", str(path)) from None


@contextmanager
def new_file(path: str | Path) -> Iterator[BinaryIO]:
    """Gives a temporary neighbour of `path`, open for bytes, that takes its place when the block ends without error."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def left_over(folder: Path, name: str = "*") -> Iterator[Path]:
    """What `new_file` left in a folder and those within it, where a kill kept it from the place of a file `name`."""
    yield from folder.rglob(f".{name}." + 8 * "[a-z0-9_]")


@contextmanager
def one_at_a_time(folder: str | Path, waits: Callable[[], None] = lambda: None) -> Iterator[int | None]:
    """Makes a folder and holds it for this process: another one that asks for it waits here until this one is done.

    A process that dies lets go. Where a file system or Windows knows no such locks, nothing is held: what is written
    into the folder must be written whole in any case, so that two at once cost time and no more. The block gets the
    file descriptor of the lock, which a process that inherits it holds too; None where nothing is held.

    Args:
        folder: the folder; made where it is not there.
        waits: called once when another process holds it; it may raise instead of waiting.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    if fcntl is None:
        yield None
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waits()
            fcntl.flock(handle, fcntl.LOCK_EX)
        except OSError:
            yield None
            return
        yield handle
    finally:
        os.close(handle)
