"""Where a folder is made over a long time: hidden beside it, by one process at once; an interrupt costs little.

.NAME.unfinished/            held by the process that works (a lock on the folder, which a process that dies lets go)
.NAME.unfinished/KEY.part/   what is there so far of what KEY stands for; it becomes NAME when it is whole
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from keras_mtl.core import DataError, files

_PART = ".part"


@contextlib.contextmanager
def workplace(out: Path, key: str) -> Iterator[Path]:
    """Gives the folder that takes the place of `out` when the block ends without an error.

    What another block for the same key left behind when it was interrupted is in it, but for files that were not whole.
    What blocks for other keys left is removed. After a `DataError` nothing is kept: the sources have to change.

    Args:
        out: the folder to make; it must be new or empty.
        key: the same where the result would have the same bytes; a folder's name.

    Raises:
        DataError: `out` holds something, or another process makes it.
        OSError: the folder can't be written.
    """
    _require_free(out)
    hidden = out.with_name(f".{out.name}.unfinished")
    with files.one_at_a_time(hidden, lambda: _refuse(out)) as alone:
        work = hidden / f"{key}{_PART}"
        try:
            _require_free(out)  # another process may have made it until now
            if alone:
                _clear(hidden, work)
            work.mkdir(exist_ok=True)
            yield work
            if out.is_dir():
                out.rmdir()
            work.rename(out)
        except DataError:
            shutil.rmtree(work, ignore_errors=True)
            raise
        finally:
            with contextlib.suppress(OSError):
                hidden.rmdir()  # it is empty now, or else the next one goes on there


def _require_free(out: Path) -> None:
    if not files.is_free(out):
        raise DataError(f"{out} is there already", hint="give a new folder")


def _refuse(out: Path) -> None:
    raise DataError(f"another process makes {out} now", hint="wait for it, or give another folder")


def _clear(hidden: Path, work: Path) -> None:
    for other in hidden.glob(f"*{_PART}"):
        if other != work:
            shutil.rmtree(other, ignore_errors=True)
    for part in files.left_over(work):
        part.unlink()
