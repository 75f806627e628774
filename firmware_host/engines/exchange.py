"""What the engines' worker processes share: reading the request, writing the answer, hearing what native code says."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from keras_mtl.errors import EngineRefused

#: The file in the exchange folder that takes what native code says.
WORDS = "words.txt"
_MOST_WORDS_BYTES = 1 << 16
#: What an engine may give for all inputs together, and for each of many: ten seconds' events are ten thousand bytes.
_MOST_OUTPUT_BYTES, _SMALL_OUTPUT_BYTES = 64 << 20, 1 << 20
_LARGE = "see the shapes of its tensors"


@contextmanager
def native_words(folder: Path) -> Iterator[Callable[[], str]]:
    """Sends file descriptor 2, where native code speaks past Python, to a file for the length of the block.

    It lies in the exchange folder: the parent can read it even when this process dies.

    Yields:
        a function that gives what was said so far.
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


#: One invocation: an array for each input, or for each output, of a model.
Arrays = list[np.ndarray]


@dataclass(frozen=True)
class Opened:
    """A model that an engine has taken.

    Attributes:
        invoke: one inference: an array for each input, with the batch dimension, to one for each output.
        arena: bytes of tensor arena that it used, to be asked after the first inference; None for engines without one.
    """

    invoke: Callable[[Arrays], Arrays]
    arena: Callable[[], int | None] = lambda: None


@contextmanager
def clear_refusals(request: dict[str, Any], package: str) -> Iterator[None]:
    """Hears native code for the length of the block, and turns what an engine raises into one refusal.

    Raises:
        EngineRefused: with the interpreter's own words, or because it isn't installed.
    """
    with native_words(Path(request["folder"])) as words:
        try:
            yield
        except ImportError as error:
            raise EngineRefused(f"{package} can't be imported: {error}", hint=f"install {package}") from None
        except MemoryError:
            raise EngineRefused("the model needs more memory than an engine is given", hint=_LARGE) from None
        except (RuntimeError, ValueError, TypeError) as error:
            lines = [line.strip() for line in (*words().splitlines(), *str(error).splitlines())]
            said = " | ".join(dict.fromkeys(filter(None, lines)))
            raise EngineRefused(said or type(error).__name__) from None


def run_all(
    request: dict[str, Any], package: str, open_model: Callable[[bytes, dict[str, Any]], Opened]
) -> dict[str, Any]:
    """Runs a model on all inputs of a request and writes the outputs.

    Args:
        request: has `engine`, `inputs` (how many the model has) and `folder`, with `model.tflite` and, for each input,
            `input_0.npy`, ... [n, ...], each row in the shape of the model's input.
        package: the engine's package, for its version.
        open_model: (model, request) -> the model, opened.

    Returns:
        The answer: `version`, `arena_bytes` and `outputs`, how many files `output_0.npy`, ... lie in the folder.

    Raises:
        EngineRefused: with the interpreter's own words, or because it isn't installed.
    """
    folder = Path(request["folder"])
    with clear_refusals(request, package):
        given = [np.load(folder / f"input_{i}.npy") for i in range(request["inputs"])]
        model = open_model((folder / "model.tflite").read_bytes(), request)
        found: list[Arrays] = []
        for one in zip(*given, strict=True):
            found.append(model.invoke(list(one)))
            each = sum(values.nbytes for values in found[-1])
            if each > _SMALL_OUTPUT_BYTES and len(given[0]) * each > _MOST_OUTPUT_BYTES:
                raise EngineRefused(f"the outputs are larger than {_MOST_OUTPUT_BYTES:,} bytes", hint=_LARGE)
        arena_bytes = model.arena()
        outputs = [np.stack(values) for values in zip(*found, strict=True)]
    for i, values in enumerate(outputs):
        np.save(folder / f"output_{i}.npy", values)
    return {"version": package_version(package), "arena_bytes": arena_bytes, "outputs": len(outputs)}
