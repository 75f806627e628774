"""How an artifact goes to a worker: its files in a folder, a request, a process; and refusals as one clear line."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from keras_mtl.core import (
    EngineCrash,
    EngineError,
    EngineMissing,
    EngineRefused,
    EngineTimeout,
    last_line,
    run_isolated,
)
from keras_mtl.firmware_host.compute import tflm_blocks
from keras_mtl.firmware_host.engines.exchange import PACKAGES, WORDS
from keras_mtl.tflite import flatbuffer
from keras_mtl.tflite.artifact import Artifact
from keras_mtl.tflite.flatbuffer import ALIGNMENT_BYTES

#: Names of the engines that run where none is chosen: the interpreters of others.
ENGINES = ("tflm", "litert", "litert-reference", "tflite-runtime")
#: What an engine's process may address: a file whose shapes ask for more is refused, and the machine goes on.
MOST_BYTES = 4 << 30
#: Workers multiply no matrices in NumPy: without its threads they start sooner, and address less.
ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1"}
#: What TensorFlow Lite Micro is given: far more than any microcontroller has, so that the need is measured.
_ARENA_OFFERED_BYTES = 64 << 20
_NODE = re.compile(r"Node (\w+) \(number (\d+)[^)]*\)")
_MISSING = re.compile(r"Didn't find op for builtin opcode '(\w+)'(?: version '(\d+)')?")
_LONGEST_CHARACTERS = 240


def make_request(engine: str, artifact: Artifact, folder: Path) -> dict[str, Any]:
    """Writes an artifact's files into a folder and makes what `interpreters.open_members` opens them by.

    Raises:
        EngineRefused: TensorFlow Lite Micro and a member with an operator or a type that it lacks, or a loop.
        EngineError: an unknown engine.
    """
    if engine not in PACKAGES:
        raise EngineError(f"unknown engine {engine}", hint=f"engines are {', '.join(PACKAGES)}")
    members = {}
    for number, (name, member) in enumerate(artifact.members.items()):
        blocking = tflm_blocks(member.model) if engine == "tflm" else ()
        if blocking:  # the interpreter would not take it, hang in it, or give wrong results
            raise EngineRefused(f"{blocking[0].why} (layer {blocking[0].layer})", hint=blocking[0].remedy)
        (folder / f"{number}.tflite").write_bytes(member.content)
        ports = {"inputs": member.inputs, "outputs": member.outputs}
        listed = {end: [port.to_dict() for port in each] for end, each in ports.items()}
        members[name] = {"file": f"{number}.tflite", **listed}
    return {
        "folder": str(folder),
        "engine": engine,
        "members": members,
        "wiring": artifact.wiring.to_dict(),
        # Of each member; aligned, since what an odd end wastes is counted as used.
        "arena_bytes": _ARENA_OFFERED_BYTES // len(members) // ALIGNMENT_BYTES * ALIGNMENT_BYTES,
    }


def run_worker(worker: str, request: dict[str, Any], artifact: Artifact, timeout_s: float) -> dict[str, Any]:
    """Lets a worker answer a request.

    `worker`: module of the worker. `request`: of `make_request`, and what else the worker takes.

    Raises:
        EngineMissing: its package is not installed.
        EngineRefused: with what to change.
        EngineCrash: the process died; with the last line that it printed.
        EngineTimeout: it did not come back in time.
    """
    engine = request["engine"]
    try:
        return run_isolated(worker, request, timeout_s, ENVIRONMENT, MOST_BYTES)
    except EngineTimeout as error:
        late = f"{engine} did not come back within {timeout_s:g} s and was stopped"
        raise EngineTimeout(late, error.hint) from None
    except EngineCrash as error:
        raise EngineCrash(error.message.replace(worker, engine) + last_words(request["folder"])) from None
    except EngineMissing:
        raise
    except EngineRefused as error:
        raise _explained(engine, artifact, error) from None


def last_words(folder: str | Path) -> str:
    """What an engine that died printed last, to follow the news of its death; empty where it printed nothing."""
    words = last_line(Path(folder, WORDS))
    return f"; before that it printed: {words}" if words else ""


def _explained(engine: str, artifact: Artifact, refusal: EngineRefused) -> EngineRefused:
    """The same refusal with the layer's name, for a person who has to change it."""
    words = refusal.message
    if len(artifact.members) > 1:
        return EngineRefused(f"{engine} refused the artifact: {words}", refusal.hint)
    short = words if len(words) <= _LONGEST_CHARACTERS else words[:_LONGEST_CHARACTERS].rstrip() + "…"
    node, missing = _NODE.search(words), _MISSING.search(words)
    if missing:
        version = f" version {missing[2]}" if missing[2] else ""
        return EngineRefused(
            f"{engine} has no kernel for {missing[1]}{version}", hint="convert the network without that operator"
        )
    if node:
        layer = _layer(artifact.network.model, int(node[2]))
        return EngineRefused(f"{engine} refused operator {node[2]}, {node[1]}{layer}: {short}", refusal.hint)
    return EngineRefused(f"{engine} refused the model: {short}", refusal.hint)


def _layer(model: Any, number: int) -> str:
    """Name of the main graph's operator of that number, to follow its operator; empty where there is none."""
    graph = model.subgraphs[0]
    outputs = flatbuffer.op_outputs(graph, graph.operators[number]) if number < len(graph.operators) else []
    return f" (layer {flatbuffer.tensor_name(outputs[0]).partition(';')[0]})" if outputs else ""
