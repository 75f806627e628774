"""Runs one engine on many inputs, in a process of its own; arrays travel as files in a temporary folder."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from keras_mtl.errors import EngineCrash, EngineError, EngineRefused, EngineTimeout
from keras_mtl.firmware_host.engines.refusals import explain
from keras_mtl.isolation import run_isolated
from keras_mtl.tflite import flatbuffer

_WORKERS = {
    "tflm": "keras_mtl.firmware_host.engines.tflm_worker",
    "litert": "keras_mtl.firmware_host.engines.litert_worker",
    "litert-reference": "keras_mtl.firmware_host.engines.litert_worker",
    "tflite-runtime": "keras_mtl.firmware_host.engines.tflite_runtime_worker",
}
#: Names of the engines.
ENGINES = tuple(_WORKERS)
#: What TensorFlow Lite Micro is given: far more than any microcontroller has, so that the need is measured.
ARENA_OFFERED_BYTES = 64 << 20


@dataclass(frozen=True, eq=False)
class EngineRun:
    """What one engine made of the inputs.

    Attributes:
        engine: its name, one of `ENGINES`.
        version: version of its package.
        outputs: [n, ...] in the model's output type, without the batch dimension.
        arena_bytes: bytes of tensor arena that were used; None for engines without one.
    """

    engine: str
    version: str
    outputs: np.ndarray
    arena_bytes: int | None = None


def run_engine(engine: str, content: bytes, inputs: np.ndarray, timeout_s: float = 120.0) -> EngineRun:
    """Runs a model on every input, one invocation each.

    Args:
        engine: one of `ENGINES`.
        content: bytes of a `.tflite` file with one input and one output tensor.
        inputs: [n, ...] in the model's input type, without the batch dimension.
        timeout_s: seconds after which the engine's process is stopped.

    Raises:
        EngineRefused: the engine said why it can't run the model, or isn't installed.
        EngineCrash: its process died.
        EngineTimeout: it did not come back in time.
        ArtifactError: not a TFLite file.
    """
    if engine not in _WORKERS:
        raise EngineError(f"unknown engine {engine}", hint=f"engines are {', '.join(ENGINES)}")
    model = flatbuffer.read_model(content)
    ports = flatbuffer.graph_inputs(model), flatbuffer.graph_outputs(model)
    if len(ports[0]) != 1 or len(ports[1]) != 1:
        raise EngineRefused(
            f"{engine} runs models with one input and one output; this one has {len(ports[0])} and {len(ports[1])}"
        )
    shape = flatbuffer.tensor_shape(ports[0][0])
    try:
        batches = np.ascontiguousarray(inputs).reshape((len(inputs), *shape))
    except ValueError:
        raise EngineRefused(f"inputs of shape {list(inputs.shape)} do not fit the model's {list(shape)}") from None
    with tempfile.TemporaryDirectory(prefix="keras_mtl_engine_") as name:
        folder = Path(name)
        (folder / "model.tflite").write_bytes(content)
        np.save(folder / "inputs.npy", batches)
        request = {"folder": name, "engine": engine, "arena_bytes": ARENA_OFFERED_BYTES}
        try:
            answer = run_isolated(_WORKERS[engine], request, timeout_s)
        except EngineTimeout as error:
            late = f"{engine} did not come back within {timeout_s:g} s and was stopped"
            raise EngineTimeout(late, error.hint) from None
        except EngineCrash as error:
            words = last_words(folder)
            death = error.message.replace(_WORKERS[engine], engine)
            raise EngineCrash(death + (f"; before that it said: {words}" if words else "")) from None
        except EngineRefused as error:
            raise explain(engine, model, error) from None
        outputs = np.load(folder / "outputs.npy")
    single = outputs[:, 0] if outputs.ndim > 1 and outputs.shape[1] == 1 else outputs
    return EngineRun(engine, answer["version"], single, answer["arena_bytes"])


def last_words(folder: Path) -> str:
    """The last line that an engine's native code wrote before it died."""
    path = folder / "words.txt"
    lines = path.read_text("utf-8", "replace").split("\n") if path.exists() else []
    return next((line.strip() for line in reversed(lines) if line.strip()), "")
