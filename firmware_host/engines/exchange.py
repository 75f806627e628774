"""What the engines' worker processes share: reading the request, writing the answer, hearing what native code says."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from keras_mtl.errors import EngineRefused


@contextmanager
def native_words(folder: Path) -> Iterator[Callable[[], str]]:
    """Sends file descriptor 2, where native code speaks past Python, to a file for the length of the block.

    The file is `words.txt` in the exchange folder: the parent can read it even when this process dies.

    Yields:
        a function that gives what was said so far.
    """
    path = folder / "words.txt"
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    kept = os.dup(2)
    os.dup2(handle, 2)
    try:
        yield lambda: path.read_text("utf-8", "replace")
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(handle)


def package_version(package: str) -> str:
    """Version of an installed package."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "unknown"


def run_all(request: dict[str, Any], package: str, run: Callable[[bytes, np.ndarray], tuple[list, Any]]) -> dict:
    """Runs a model on all inputs of a request and writes the outputs.

    Args:
        request: has `folder` (with `model.tflite` and `inputs.npy` [n, batch 1, ...]) and `engine`.
        package: the engine's package, for its version.
        run: (model, inputs) -> (list of outputs, arena bytes or None).

    Returns:
        The answer: `version` and `arena_bytes`.

    Raises:
        EngineRefused: with the interpreter's own words, or because it isn't installed.
    """
    folder = Path(request["folder"])
    with native_words(folder) as words:
        try:
            outputs, arena_bytes = run((folder / "model.tflite").read_bytes(), np.load(folder / "inputs.npy"))
        except ImportError as error:
            raise EngineRefused(f"{package} can't be imported: {error}", hint=f"install {package}") from None
        except (RuntimeError, ValueError, TypeError) as error:
            lines = [line.strip() for line in (*words().splitlines(), *str(error).splitlines())]
            said = " | ".join(dict.fromkeys(filter(None, lines)))
            raise EngineRefused(said or type(error).__name__) from None
    np.save(folder / "outputs.npy", np.stack(outputs))
    return {"version": package_version(package), "arena_bytes": arena_bytes}
