"""What the engines' worker processes share: what native code prints, and one clear line of what an engine raises."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

from keras_mtl.core import EngineMissing, EngineRefused

#: The Python package of each engine.
PACKAGES = {
    "tflm": "tflite-micro",
    "litert": "ai-edge-litert",
    "litert-reference": "ai-edge-litert",
    "tflite-runtime": "tflite-runtime",
    "numpy": "keras_mtl",
    "c99": "keras_mtl",
}
#: What to try where a package is not there, if it is not to install it.
_WHERE = {
    "tflite-runtime": "pip install 'keras_mtl[tflite-runtime]', on Python 3.11 and Linux",
    "tflite-micro": "install tflite-micro, which there is for Linux on x86-64",
}
#: The engine that is no interpreter: what `c99` makes of the files, compiled.
C99 = "c99"
#: The file in the exchange folder that takes what native code prints.
WORDS = "words.txt"
#: What the names of outputs begin with before each of which there was a reset.
FROM_RESET = "from_reset_"
_MOST_WORDS_BYTES = 1 << 16
#: What to try where an engine has too little memory.
LARGE = "see the shapes of its tensors"


@contextmanager
def native_words(folder: Path) -> Iterator[Callable[[], str]]:
    """Sends file descriptor 2, where native code prints past Python, to a file for the length of the block.

    It lies in the exchange folder: the parent can read it even when this process dies.

    Yields:
        a function that gives what was printed so far.
    """
    path = folder / WORDS
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    kept = os.dup(2)
    os.dup2(handle, 2)
    try:
        yield lambda: _end_of(path)
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(handle)


def _end_of(path: Path) -> str:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _MOST_WORDS_BYTES))
        return file.read().decode("utf-8", "replace")


def package_version(package: str) -> str:
    """Version of an installed package."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "unknown"


@contextmanager
def clear_refusals(request: dict[str, Any]) -> Iterator[None]:
    """Keeps what native code prints for the length of the block, and turns what an engine raises into one refusal.

    Raises:
        EngineMissing: it isn't installed.
        EngineRefused: with the interpreter's own message.
    """
    package = PACKAGES[request["engine"]]
    with native_words(Path(request["folder"])) as words:
        try:
            yield
        except ImportError as error:
            hint = _WHERE.get(package, f"install {package}")
            raise EngineMissing(f"{package} can't be imported: {error}", hint=hint) from None
        except MemoryError:
            raise EngineRefused("the model needs more memory than an engine is given", hint=LARGE) from None
        except (RuntimeError, ValueError, TypeError) as error:
            lines = [line.strip() for line in (*words().splitlines(), *str(error).splitlines())]
            message = " | ".join(dict.fromkeys(filter(None, lines)))
            raise EngineRefused(message or type(error).__name__) from None
