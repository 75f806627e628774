"""Runs an engine's worker in a process of its own, and says in one line how it ended where it gave no answer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from keras_mtl.core import EngineCrash, EngineRefused, EngineTimeout, last_line, run_isolated
from keras_mtl.firmware_host.engines.exchange import WORDS

#: What an engine's process may address: a file whose shapes ask for more is refused, and the machine goes on.
MOST_BYTES = 4 << 30
#: Workers multiply no matrices in NumPy: without its threads they start sooner, and address less.
ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1"}


def run_worker(
    engine: str,
    worker: str,
    request: dict[str, Any],
    timeout_s: float,
    explain: Callable[[EngineRefused], EngineRefused],
) -> dict[str, Any]:
    """Lets a worker answer a request.

    Args:
        engine: name of the engine, for messages.
        worker: module of the worker.
        request: for the worker; its `folder` is where the engine's last words go.
        timeout_s: seconds after which the process is stopped.
        explain: makes of a worker's refusal what a user should read.

    Raises:
        EngineRefused: what `explain` made of the refusal.
        EngineCrash: the process died; with its last words.
        EngineTimeout: it did not come back in time.
    """
    try:
        return run_isolated(worker, request, timeout_s, ENVIRONMENT, MOST_BYTES)
    except EngineTimeout as error:
        late = f"{engine} did not come back within {timeout_s:g} s and was stopped"
        raise EngineTimeout(late, error.hint) from None
    except EngineCrash as error:
        words = last_line(Path(request["folder"]) / WORDS)
        death = error.message.replace(worker, engine)
        raise EngineCrash(death + (f"; before that it said: {words}" if words else "")) from None
    except EngineRefused as error:
        raise explain(error) from None
