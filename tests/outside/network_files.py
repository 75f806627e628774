"""Small `.tflite` files of the kinds that others make, and engines that give what a test says, without a process."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from keras_mtl.core import EngineRefused
from keras_mtl.firmware_host.engines import EngineRun
from keras_mtl.tflite.artifact import Artifact

sys.path.insert(0, str(Path(__file__).parents[1] / "firmware_host"))
from file_builder import Builder

ENGINES = ("tflm", "litert", "litert-reference", "tflite-runtime")


def one_operator(
    op: str,
    inputs: list[tuple[Any, ...]],
    output: tuple[tuple[int, ...], str],
    options: Any = None,
    version: int = 1,
    step: float | None = None,
) -> bytes:
    """A file of one operator.

    Args:
        op: its name.
        inputs: of each input (shape, type), with its data and its step if it has them; None: left out. What has no data
            is an input of the file.
        output: shape and type.
        options, version: of the operator.
        step: of the output.
    """
    made = Builder()
    places = []
    for number, each in enumerate(inputs):
        if each is None:
            places.append(-1)
            continue
        shape, dtype, data, steps = (*each, None, None)[:4]
        places.append(made.tensor(f"in_{number}", shape, dtype, data, steps))
    sources = [place for place, each in zip(places, inputs, strict=True) if each is not None and len(each) < 3]
    sources += [
        p for p, each in zip(places, inputs, strict=True) if each is not None and len(each) > 2 and each[2] is None
    ]
    result = made.tensor("out", *output, None, step)
    made.op(op, version, places, [result], options)
    made.ends[0] = (sorted(sources), [result])
    return made.bytes()


def summed() -> bytes:
    """The sum of 64 int8 values: LiteRT's reference kernel adds them up in 8 bits."""
    return one_operator(
        "SUM", [((1, 8, 8, 4), "int8", None, 0.05), ((2,), "int32", [1, 2])], ((1, 4), "int8"),
        schema.ReducerOptionsT(), 2, 0.5,
    )  # fmt: skip


def dense(made: Builder, source: int, size: tuple[int, int], name: str, graph: int = 0) -> int:
    """Adds a float dense layer; gives its output."""
    inputs, outputs = size
    weights = np.linspace(-1, 1, inputs * outputs).reshape(outputs, inputs)
    held = made.tensor(f"{name}_weights", weights.shape, "float32", weights, graph=graph)
    result = made.tensor(name, (1, outputs), "float32", graph=graph)
    made.op("FULLY_CONNECTED", 1, [source, held, -1], [result], schema.FullyConnectedOptionsT(), graph)
    return result


def two_signatures() -> bytes:
    """Two dense layers in a file, each a signature of its own: `classify` [1, 2], and `embed` [1, 4]."""
    made = Builder()
    second = made.graph()
    for graph, size in ((0, 2), (second, 4)):
        source = made.tensor("x", (1, 8), "float32", graph=graph)
        made.ends[graph] = ([source], [dense(made, source, (8, size), f"dense_{size}", graph)])
    made.signatures = {"classify": 0, "embed": second}
    return made.bytes()


def branched(then: int = 3, other: int = 5) -> bytes:
    """A branch with a dense layer of so many outputs on either side; only for counting."""
    made = Builder()
    sides = [made.graph(), made.graph()]
    for side, outputs in zip(sides, (then, other), strict=True):
        inner = made.tensor("inner", (1, 4), "float32", graph=side)
        made.ends[side] = ([inner], [dense(made, inner, (4, outputs), "side", side)])
    options = schema.IfOptionsT()
    options.thenSubgraphIndex, options.elseSubgraphIndex = sides
    which, source = made.tensor("which", (1,), "bool"), made.tensor("x", (1, 4), "float32")
    result = made.tensor("out", (1, then), "float32")
    made.op("IF", 1, [which, source], [result], options)
    made.ends[0] = ([which, source], [result])
    return made.bytes()


def remembering() -> bytes:
    """A running sum in a resource variable, which CALL_ONCE sets to 0."""
    made = Builder()
    start = made.graph()
    once, handle, assign = schema.CallOnceOptionsT(), schema.VarHandleOptionsT(), schema.AssignVariableOptionsT()
    once.initSubgraphIndex, handle.container, handle.sharedName = start, "", "sum"
    first = made.tensor("handle", (), "resource", graph=start)
    zeros = made.tensor("zeros", (1, 4), "float32", np.zeros((1, 4)), graph=start)
    made.op("VAR_HANDLE", 1, [], [first], handle, start)
    made.op("ASSIGN_VARIABLE", 1, [first, zeros], [], assign, start)
    source, sum_so_far, total = (made.tensor(name, (1, 4), "float32") for name in ("x", "sum_so_far", "total"))
    variable = made.tensor("variable", (), "resource")
    made.op("CALL_ONCE", 1, [], [], once)
    made.op("VAR_HANDLE", 1, [], [variable], handle)
    made.op("READ_VARIABLE", 1, [variable], [sum_so_far], schema.ReadVariableOptionsT())
    made.op("ADD", 1, [source, sum_so_far], [total], schema.AddOptionsT())
    made.op("ASSIGN_VARIABLE", 1, [variable, total], [], assign)
    made.ends[0] = ([source], [total])
    return made.bytes()


def ends_in_float(op: str = "") -> bytes:
    """int8 values as real ones at the end, with a step of 0.25; `op`: what follows on DEQUANTIZE."""
    made = Builder()
    source, flat, real, out = (
        made.tensor("x", (1, 4), "int8", None, 0.25), made.tensor("flat", (1, 4), "int8", None, 0.25),
        made.tensor("real", (1, 4), "float32"), made.tensor("out", (1, 4), "float32"),
    )  # fmt: skip
    made.op("RELU", 2, [source], [flat])
    made.op("DEQUANTIZE", 2, [flat], [real], schema.DequantizeOptionsT())
    if op:
        made.op(op, 1, [real, *([real] if op == "MUL" else [])], [out])
    made.ends[0] = ([source], [out if op else real])
    return made.bytes()


def engines(moved: Mapping[str, float], **kinds: Any) -> Callable[..., EngineRun]:
    """What `engines.run` is replaced by: zeros in the shapes of the outputs, moved for an engine by so much.

    Args:
        moved: engine -> what is added to its outputs; one that is not there refuses the file.
        kinds: `from_reset`: the same of runs from a reset, of a file that keeps a state.
    """

    def run(engine: str, artifact: Artifact, inputs: Mapping[str, np.ndarray], *_: Any, **__: Any) -> EngineRun:
        if engine not in moved:
            raise EngineRefused(f"{engine} refused the model")
        rows = len(next(iter(inputs.values())))

        def outputs(by: float) -> dict[str, np.ndarray]:
            ports = artifact.network.outputs
            return {f"output_{i}": np.full((rows, *p.shape), by).astype(p.dtype) for i, p in enumerate(ports)}

        again = {"from_reset": outputs(kinds["from_reset"][engine])} if "from_reset" in kinds else {}
        arena = {"network": 1000 if engine == "tflm" else None}
        return EngineRun(engine, "1.0", outputs(moved[engine]), arena, **again)

    return run
