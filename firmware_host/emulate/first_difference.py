"""Names the first operator of a file that two engines compute differently.

The file is written anew so that what every operator makes is an output; that is possible on every engine. Both run it
on one input, each in a process of its own, and the tensors are compared in the order of the operators.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from keras_mtl.core import KerasMtlError
from keras_mtl.firmware_host.emulate.inputs import random_inputs
from keras_mtl.firmware_host.emulate.parity import REFERENCE, Parity, differences, steps_apart
from keras_mtl.firmware_host.engines import EngineRun, run
from keras_mtl.tflite import flatbuffer
from keras_mtl.tflite.artifact import Artifact, Member

#: Types that all engines hand out as arrays.
_READABLE = ("int8", "uint8", "int16", "int32", "int64", "float32", "bool")


def first_difference(
    artifact: Artifact,
    inputs: Mapping[str, np.ndarray],
    runs: Mapping[str, EngineRun],
    parity: Parity,
    allowed_lsb: float,
    limit_lsb: float,
    timeout_s: float,
) -> dict[str, Any] | None:
    """Where the two engines that differ most begin to.

    Of an artifact that takes clips they run on the golden or random input on which they differ most. Each member of a
    streaming one gets random inputs of its own, so that one that differs is not blamed on those after it.

    `allowed_lsb`: the most that is allowed of the outputs. `limit_lsb`: the most that is allowed of a tensor.

    Returns:
        None where no more than is allowed was found, or engines agree and only the artifact differs from the network
        that it was made from. Else `engine` and `against` (the one nearer to the base), `input` (number of the golden
        or random input; of clips) or `member` (of a stream), `operator` (number of the row), `op`, `layer`, `lsb` and
        `inputs_lsb` (largest difference of its inputs: 0 where the operator itself begins it), or `why` where it can't
        be named.
    """
    pairs = {pair: lsb for pair, lsb in parity.pairs.items() if REFERENCE not in pair}
    if not pairs or max(pairs.values()) <= allowed_lsb:
        return None
    one, other = max(pairs, key=lambda pair: pairs[pair])
    engine, against = sorted((one, other), key=lambda name: -parity.from_base_lsb[name])
    if artifact.streams:
        return first_member(artifact.members, (engine, against), limit_lsb, timeout_s)
    row = _worst_row(*(tuple(runs[name].outputs.values()) for name in (engine, against)))
    found: dict[str, Any] = {"engine": engine, "against": against, "input": row}
    single = {name: values[row : row + 1] for name, values in inputs.items()}
    try:
        return found | first_operator(artifact.network, single, (engine, against), limit_lsb, timeout_s)
    except KerasMtlError as error:
        return found | {"why": f"not named: {error.message}"}


def first_member(
    members: Mapping[str, Member], engines: tuple[str, str], limit_lsb: float, timeout_s: float
) -> dict[str, Any]:
    """The first operator, member by member, that two engines compute differently on the same seeded random inputs.

    `engines`: the one in question, and the one that it is compared with.

    Returns:
        `engine`, `against`, `member` and the keys of `first_operator`.
    """
    found: dict[str, Any] = {"engine": engines[0], "against": engines[1]}
    for name, member in members.items():
        try:
            inputs = {key: values[:1] for key, values in random_inputs(member).items()}
            first = first_operator(member, inputs, engines, limit_lsb, timeout_s)
        except KerasMtlError as error:
            return found | {"member": name, "why": f"not named: {error.message}"}
        if "operator" in first:
            return found | {"member": name} | first
    return found | {"why": "no operator differs on random inputs"}


def first_operator(
    member: Member, inputs: Mapping[str, np.ndarray], engines: tuple[str, str], limit_lsb: float, timeout_s: float
) -> dict[str, Any]:
    """The first operator of a file whose output differs by more than a limit between two engines.

    `inputs`: `input_0`, ...: an array [n, ...] for each input of the file. `engines`: the one in question, and the one
    that it is compared with.

    Returns:
        `operator`, `op`, `layer`, `lsb` and `inputs_lsb`, or `why` where no operator differs by more.

    Raises:
        KerasMtlError: an engine does not run the file with its inner tensors as outputs.
    """
    exposed, tensors = expose(member)
    graph = member.model.subgraphs[0]
    step = partial(flatbuffer.tensor_step, member.model, graph)
    there, here = (run(name, exposed, inputs, timeout_s=timeout_s).outputs.values() for name in engines)
    largest = {
        tensor: float(np.max(steps_apart(known, known, found, step(tensor)), initial=0.0))
        for tensor, known, found in zip(tensors, here, there, strict=True)
    }
    for number, operator in enumerate(graph.operators):
        made = [int(tensor) for tensor in operator.outputs if int(tensor) in largest]
        lsb = max((largest[tensor] for tensor in made), default=0.0)
        if lsb > limit_lsb:
            return {
                "operator": number,
                "op": flatbuffer.op_name(member.model, operator),
                "layer": flatbuffer.tensor_name(graph.tensors[made[0]]),
                "lsb": round(lsb, 3) if np.isfinite(lsb) else None,
                "inputs_lsb": round(max((largest.get(int(tensor), 0.0) for tensor in operator.inputs), default=0.0), 3),
            }
    return {"why": "with all inner tensors kept, the engines agree: they differ in how they use memory"}


def expose(member: Member) -> tuple[Artifact, list[int]]:
    """The same network with what every operator of the main graph makes as an output.

    Returns:
        The file, and the numbers of the tensors that are its outputs now, in the order of the operators.
    """
    # A copy as far as it is changed: the tree of a member is for reading.
    model, graph = copy.copy(member.model), copy.copy(member.model.subgraphs[0])
    made = dict.fromkeys(int(tensor) for operator in graph.operators for tensor in operator.outputs)
    tensors = [tensor for tensor in made if flatbuffer.tensor_dtype(graph.tensors[tensor]) in _READABLE]
    graph.outputs = tensors
    model.subgraphs, model.buffers = [graph, *member.model.subgraphs[1:]], list(member.model.buffers)
    # They describe the outputs that the file had.
    model.signatureDefs = model.metadata = None
    return Artifact.of(flatbuffer.write_model(model)), tensors


def _worst_row(outputs: Sequence[np.ndarray], others: Sequence[np.ndarray]) -> int:
    """The input on which two engines differ most."""
    rows = [
        np.max(differences(other, found, other).reshape(len(found), -1), axis=1)
        for found, other in zip(outputs, others, strict=True)
    ]
    return int(np.argmax(np.max(rows, axis=0)))
