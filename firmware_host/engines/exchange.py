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


#: One invocation: an array for each input, or for each output, of a model.
Arrays = list[np.ndarray]


def run_all(
    request: dict[str, Any], package: str, run: Callable[[bytes, list[Arrays]], tuple[list[Arrays], int | None]]
) -> dict[str, Any]:
    """Runs a model on all inputs of a request and writes the outputs.

    Args:
        request: has `engine`, `inputs` (how many the model has) and `folder`, with `model.tflite` and, for each input,
            `input_0.npy`, ... [n, ...], each row in the shape of the model's input.
        package: the engine's package, for its version.
        run: (model, the inputs of each invocation) -> (the outputs of each, arena bytes or None).

    Returns:
        The answer: `version`, `arena_bytes` and `outputs`, how many files `output_0.npy`, ... lie in the folder.

    Raises:
        EngineRefused: with the interpreter's own words, or because it isn't installed.
    """
    folder = Path(request["folder"])
    with native_words(folder) as words:
        try:
            given = [np.load(folder / f"input_{i}.npy") for i in range(request["inputs"])]
            invocations = [list(one) for one in zip(*given, strict=True)]
            found, arena_bytes = run((folder / "model.tflite").read_bytes(), invocations)
        except ImportError as error:
            raise EngineRefused(f"{package} can't be imported: {error}", hint=f"install {package}") from None
        except (RuntimeError, ValueError, TypeError) as error:
            lines = [line.strip() for line in (*words().splitlines(), *str(error).splitlines())]
            said = " | ".join(dict.fromkeys(filter(None, lines)))
            raise EngineRefused(said or type(error).__name__) from None
    outputs = [np.stack(values) for values in zip(*found, strict=True)]
    for i, values in enumerate(outputs):
        np.save(folder / f"output_{i}.npy", values)
    return {"version": package_version(package), "arena_bytes": arena_bytes, "outputs": len(outputs)}
