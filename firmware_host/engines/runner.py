"""Runs one engine on many inputs, in a process of its own; arrays travel as files in a temporary folder."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from keras_mtl.errors import EngineError, EngineRefused
from keras_mtl.firmware_host.engines.process import run_worker
from keras_mtl.firmware_host.engines.refusals import explain, require_runnable
from keras_mtl.tflite import flatbuffer

#: The worker module of each engine.
WORKERS = {
    "tflm": "keras_mtl.firmware_host.engines.tflm_worker",
    "litert": "keras_mtl.firmware_host.engines.litert_worker",
    "litert-reference": "keras_mtl.firmware_host.engines.litert_worker",
    "tflite-runtime": "keras_mtl.firmware_host.engines.tflite_runtime_worker",
}
#: Names of the engines.
ENGINES = tuple(WORKERS)
#: What TensorFlow Lite Micro is given: far more than any microcontroller has, so that the need is measured.
ARENA_OFFERED_BYTES = 64 << 20


@dataclass(frozen=True, eq=False)
class EngineRun:
    """What one engine made of the inputs.

    Attributes:
        engine: its name, one of `ENGINES`.
        version: version of its package.
        outputs: an array for each output, in the file's order: [n, ...] in the output's type, without the batch
            dimension.
        arena_bytes: bytes of tensor arena that were used; None for engines without one.
    """

    engine: str
    version: str
    outputs: tuple[np.ndarray, ...]
    arena_bytes: int | None = None

    @property
    def arenas_in_all(self) -> int | None:
        """The one arena, under the name that runs of sets have for theirs."""
        return self.arena_bytes


def run_engine(engine: str, content: bytes, inputs: Sequence[np.ndarray], timeout_s: float = 120.0) -> EngineRun:
    """Runs a model n times, each time on one row of every input.

    Args:
        engine: one of `ENGINES`.
        content: bytes of a `.tflite` file.
        inputs: an array for each input, in the file's order: [n, ...] in the input's type, without the batch dimension.
        timeout_s: seconds after which the engine's process is stopped.

    Raises:
        EngineRefused: the inputs don't fit the model, the engine said why it can't run it, or isn't installed.
        EngineCrash: its process died.
        EngineTimeout: it did not come back in time.
        ArtifactError: not a TFLite file.
    """
    if engine not in WORKERS:
        raise EngineError(f"unknown engine {engine}", hint=f"engines are {', '.join(ENGINES)}")
    model = flatbuffer.read_model(content)
    batches = _batches(model, inputs)
    require_runnable(engine, model)
    with tempfile.TemporaryDirectory(prefix="keras_mtl_engine_") as name:
        folder = Path(name)
        (folder / "model.tflite").write_bytes(content)
        for i, values in enumerate(batches):
            np.save(folder / f"input_{i}.npy", values)
        ends = {"inputs": len(batches), "outputs": len(flatbuffer.graph_outputs(model))}
        request = {"folder": name, "engine": engine, "arena_bytes": ARENA_OFFERED_BYTES, **ends}
        answer = run_worker(engine, WORKERS[engine], request, timeout_s, lambda error: explain(engine, model, error))
        outputs = [np.load(folder / f"output_{i}.npy") for i in range(answer["outputs"])]
    single = tuple(o[:, 0] if o.ndim > 1 and o.shape[1] == 1 else o for o in outputs)
    return EngineRun(engine, answer["version"], single, answer["arena_bytes"])


def _batches(model: Any, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The inputs, each row in the shape of the model's input."""
    shapes = [flatbuffer.tensor_shape(port) for port in flatbuffer.graph_inputs(model)]
    if len(inputs) != len(shapes) or not shapes:
        raise EngineRefused(f"the model takes {len(shapes)} inputs, not {len(inputs)}")
    counts = {len(values) for values in inputs}
    if len(counts) > 1 or 0 in counts:
        raise EngineRefused(f"inputs of {', '.join(map(str, sorted(counts)))} rows: as many of each are needed, not 0")
    batches = []
    for values, shape in zip(inputs, shapes, strict=True):
        try:
            batches.append(np.ascontiguousarray(values).reshape((len(values), *shape)))
        except ValueError:
            raise EngineRefused(f"inputs of shape {list(values.shape)} do not fit the model's {list(shape)}") from None
    return batches
