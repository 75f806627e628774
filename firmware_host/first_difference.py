"""Names the first operator of a file that two engines compute differently.

The file is written anew so that what every operator makes is an output; that is possible on every engine. Both run it
on one input, each in a process of its own, and the tensors are compared in the order of the operators.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from keras_mtl.errors import KerasMtlError
from keras_mtl.firmware_host.engines import EngineRun, run_engine
from keras_mtl.firmware_host.parity import REFERENCE, Parity, differences
from keras_mtl.tflite import flatbuffer

#: Types that all engines hand out as arrays.
_READABLE = ("int8", "uint8", "int16", "int32", "int64", "float32", "bool")


def first_difference(
    content: bytes,
    inputs: Sequence[np.ndarray],
    runs: Mapping[str, EngineRun],
    parity: Parity,
    limit_lsb: float,
    timeout_s: float,
) -> dict[str, Any] | None:
    """Where the two engines that differ most begin to.

    Args:
        content: bytes of a `.tflite` file.
        inputs: what the engines were given: an array [n, ...] for each input.
        runs: what they made of it.
        parity: how these differ.
        limit_lsb: the most that is allowed.
        timeout_s: for each engine.

    Returns:
        None where no more than the limit was found, or engines agree and only the file differs from the network that
        it was made from. Else `engine` and `against` (the one nearer to the base), `input` (number of the golden or
        random input), `operator` (number of the row), `op`, `layer`, `lsb` and `inputs_lsb` (largest difference of its
        inputs: 0 where the operator itself begins it), or `why` where it can't be named.
    """
    pairs = {pair: lsb for pair, lsb in parity.pairs.items() if REFERENCE not in pair}
    if not pairs or max(pairs.values()) <= limit_lsb:
        return None
    one, other = max(pairs, key=lambda pair: pairs[pair])
    engine, against = sorted((one, other), key=lambda name: -parity.from_base_lsb[name])
    row = _worst_row(runs[engine].outputs, runs[against].outputs)
    found: dict[str, Any] = {"engine": engine, "against": against, "input": row}
    single = [values[row : row + 1] for values in inputs]
    try:
        return found | first_operator(content, single, (engine, against), limit_lsb, timeout_s)
    except KerasMtlError as error:
        return found | {"why": f"not named: {error.message}"}


def first_operator(
    content: bytes, inputs: Sequence[np.ndarray], engines: tuple[str, str], limit_lsb: float, timeout_s: float
) -> dict[str, Any]:
    """The first operator of a file whose output differs by more than a limit between two engines.

    Args:
        content: bytes of a `.tflite` file.
        inputs: an array [n, ...] for each input of the file.
        engines: the one in question, and the one that it is compared with.
        limit_lsb: the most that is allowed.
        timeout_s: for each engine.

    Returns:
        `operator`, `op`, `layer`, `lsb` and `inputs_lsb`, or `why` where no operator differs by more.

    Raises:
        KerasMtlError: an engine does not run the file with its inner tensors as outputs.
    """
    exposed, tensors = expose(content)
    model = flatbuffer.read_model(content)
    graph = model.subgraphs[0]
    there, here = (run_engine(name, exposed, inputs, timeout_s).outputs for name in engines)
    largest = {
        tensor: float(np.max(differences(known, known, found), initial=0.0))
        for tensor, known, found in zip(tensors, here, there, strict=True)
    }
    for number, operator in enumerate(graph.operators):
        made = [int(tensor) for tensor in operator.outputs if int(tensor) in largest]
        lsb = max((largest[tensor] for tensor in made), default=0.0)
        if lsb > limit_lsb:
            return {
                "operator": number,
                "op": flatbuffer.op_name(model, operator),
                "layer": flatbuffer.tensor_name(graph.tensors[made[0]]),
                "lsb": round(lsb, 3) if np.isfinite(lsb) else None,
                "inputs_lsb": round(max((largest.get(int(tensor), 0.0) for tensor in operator.inputs), default=0.0), 3),
            }
    return {"why": "with all inner tensors kept, the engines agree: they differ in how they use memory"}


def expose(content: bytes) -> tuple[bytes, list[int]]:
    """The same network with what every operator of the main graph makes as an output.

    Args:
        content: bytes of a `.tflite` file.

    Returns:
        The file, and the numbers of the tensors that are its outputs now, in the order of the operators.
    """
    model = flatbuffer.read_model(content)
    graph = model.subgraphs[0]
    made = dict.fromkeys(int(tensor) for operator in graph.operators for tensor in operator.outputs)
    tensors = [tensor for tensor in made if flatbuffer.tensor_dtype(graph.tensors[tensor]) in _READABLE]
    graph.outputs = tensors
    # They name the outputs that the file had.
    model.signatureDefs = None
    return flatbuffer.write_model(model), tensors


def _worst_row(outputs: Sequence[np.ndarray], others: Sequence[np.ndarray]) -> int:
    """The input on which two engines differ most."""
    rows = [
        np.max(differences(other, found, other).reshape(len(found), -1), axis=1)
        for found, other in zip(outputs, others, strict=True)
    ]
    return int(np.argmax(np.max(rows, axis=0)))
