"""Plans the tensor arena from the file alone, as TensorFlow Lite Micro does when it loads it.

The arena has two ends. At its beginning lie activations and kernels' scratch memory, laid out by size and lifetime
(`flatbuffer.offsets`, `lives`). At its end lies what is kept: the interpreter's structures and kernels' data
(`persistent_bytes`). On the host the kernels are the reference kernels; on a device they may be a vendor's, whose
scratch memory is placed with the tensors.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from keras_mtl.core import ArtifactError
from keras_mtl.firmware_host.arena.kernels import MADE_IN_PREPARE, Operator, Requests, operator_of, requests
from keras_mtl.firmware_host.arena.lives import Key, Lives, Step, lives
from keras_mtl.firmware_host.arena.sizes import DEVICE, HOST, Sizes
from keras_mtl.firmware_host.arena.variables import Variables, variables_of
from keras_mtl.firmware_host.arena.vendor_kernels import vendor_requests
from keras_mtl.firmware_host.targets import REFERENCE, KernelBuild
from keras_mtl.tflite import flatbuffer
from keras_mtl.tflite.flatbuffer import ALIGNMENT_BYTES, Block, aligned, end_of, extent_bytes, offsets

#: A list of integers begins with their number.
_INT_BYTES = 4
#: Bytes of an element as TFLM counts them: four bits take a whole byte there.
_ELEMENT_BYTES = {"bool": 1, "int4": 1, "bfloat16": 2, "complex64": 8, "complex128": 16, "resource": 4}
_ELEMENT_BYTES |= {f"{kind}{bits}": bits // 8 for kind in ("int", "uint") for bits in (8, 16, 32, 64)}
_ELEMENT_BYTES |= {f"float{bits}": bits // 8 for bits in (16, 32, 64)}
#: Files of use have hundreds; placing is quadratic.
_MOST_BLOCKS = 2048
#: What the planner keeps for each block while it plans (`GreedyMemoryPlanner::per_buffer_size`), and the requests for
#: scratch memory that one operator may make (`kMaxScratchBuffersPerOp`).
_PLANNED_BLOCK_BYTES, _MOST_REQUESTS = 40, 12
_NEVER = (-1, -1)


class _Tail:
    """The end of the arena, which fills downwards."""

    def __init__(self) -> None:
        self.used = 0
        self.parts: dict[str, int] = {}

    def take(self, part: str, size_bytes: int, alignment: int = ALIGNMENT_BYTES) -> None:
        before = self.used
        self.used = math.ceil((before + size_bytes) / max(1, alignment)) * max(1, alignment)
        self.parts[part] = self.parts.get(part, 0) + self.used - before


def persistent_bytes(
    model: Any, asked: Iterable[Requests], sizes: Sizes, variables_bytes: int, family: str = "reference"
) -> dict[str, int]:
    """Bytes that are kept, by what they are for.

    `asked`: what each operator's kernel asks for, in the order of the file, subgraph after subgraph. `variables_bytes`:
    bytes of all tensors that keep their values between inferences, each aligned. `family`: of the kernels.

    Returns:
        The bytes under `interpreter`, `tensors`, `operators` (nodes and their options), `kernels`, `variables` and
        `ports` (the inputs and outputs that a program sees).
    """
    tail, pointer = _Tail(), sizes.pointer
    operators = [(flatbuffer.op_name(model, operator), operator) for _, operator in flatbuffer.operators(model)]
    requests = list(asked)
    for structure in (sizes.buffer_allocator, sizes.memory_planner, sizes.allocator):
        tail.take("interpreter", structure, pointer)
    variables = flatbuffer.resource_variables(model)
    if variables:
        tail.take("variables", sizes.variables)
        tail.take("variables", sizes.variable * len(variables))
    tail.take("interpreter", sizes.options_allocator, pointer)
    tail.take("interpreter", sizes.graph * len(model.subgraphs), pointer)
    for graph in model.subgraphs:
        tail.take("tensors", sizes.eval_tensor * len(graph.tensors), pointer)
    for graph in model.subgraphs:
        tail.take("operators", sizes.node * len(graph.operators or []), pointer)
    kernels = [sizes.kernel(name, family) for name, _ in operators]
    for kernel in kernels:
        if kernel.options:
            tail.take("operators", kernel.options, kernel.options_alignment)
    for (name, _), kernel in zip(operators, kernels, strict=True):
        if kernel.data and name not in MADE_IN_PREPARE:
            tail.take("kernels", kernel.data)
    for request in requests:
        for size in request.persistent:
            tail.take("kernels", size)
    tail.take("kernels", pointer * sum(len(request.scratch) for request in requests), pointer)
    if variables_bytes:
        tail.take("variables", variables_bytes)
    for ports in (flatbuffer.graph_inputs(model), flatbuffer.graph_outputs(model)):
        tail.take("ports", pointer * len(ports))
        for port in ports:
            tail.take("ports", sizes.tensor, pointer)
            steps = flatbuffer.quantization(port)
            if steps is not None:
                tail.take("ports", sizes.quantization, pointer)
                tail.take("ports", _INT_BYTES * (1 + len(steps.scale)), _INT_BYTES)
    return tail.parts


@dataclass(frozen=True)
class Placed:
    """One block of the arena.

    Attributes:
        name: of the tensor; for scratch memory, "scratch of" and the operator's output.
        kind: "input", "output", "activation" or "scratch".
        size_bytes: that it takes, aligned.
        offset: in bytes from the arena's beginning.
        first: the first step at which it is alive; -1 where no operator uses it.
        last: the last one.
    """

    name: str
    kind: str
    size_bytes: int
    offset: int
    first: int
    last: int


@dataclass(frozen=True)
class Scratch:
    """What one operator's kernel asks for while it runs.

    Attributes:
        op: the operator, as "CONV_2D".
        name: of its first output.
        size_bytes: of all its buffers, each aligned.
    """

    op: str
    name: str
    size_bytes: int


@dataclass(frozen=True)
class DevicePlan:
    """The arena of one file on a 32-bit device.

    Attributes:
        activations_bytes: what activations and scratch memory are laid out in.
        persistent_bytes: what is kept.
        planning_bytes: what the interpreter needs in the place of the activations while it plans them, at its start:
            more than these where a file has many small tensors. Inputs and outputs are not kept yet then.
        scratch: of each operator whose kernel asks for any, in the order of the file.
    """

    activations_bytes: int
    persistent_bytes: int
    planning_bytes: int
    scratch: tuple[Scratch, ...]

    @property
    def planned_bytes(self) -> int:
        """What is used of the arena once it is planned, to be compared with the interpreter's own figure."""
        return aligned(self.activations_bytes + self.persistent_bytes)


@dataclass(frozen=True)
class ArenaPlan:
    """The arena of one file.

    Attributes:
        steps: the moments of an inference; step 0 is the entry into the main graph.
        blocks: activations and scratch memory, in the order of the file.
        activations_bytes: what these are laid out in, gaps included.
        kept: bytes of what is kept on the host (64-bit pointers), by what it is for.
        planning_bytes: as of the device, on the host.
        device: the arena on a 32-bit device.
        assumed: operators whose kernels are not known: an allowance was made for them.
    """

    steps: tuple[Step, ...]
    blocks: tuple[Placed, ...]
    activations_bytes: int
    kept: dict[str, int]
    planning_bytes: int
    device: DevicePlan
    assumed: tuple[str, ...]

    @property
    def persistent_bytes(self) -> int:
        """All that is kept on the host."""
        return sum(self.kept.values())

    @property
    def planned_bytes(self) -> int:
        """The whole arena on the host, to be compared with the interpreter's own figure."""
        return self.activations_bytes + self.persistent_bytes

    def alive(self, step: int) -> tuple[Placed, ...]:
        """What is alive at a step, the largest first."""
        found = [block for block in self.blocks if block.first <= step <= block.last]
        return tuple(sorted(found, key=lambda block: -block.size_bytes))

    def timeline(self) -> list[int]:
        """Bytes that are alive at each step."""
        changes = [0] * (len(self.steps) + 1)
        for block in self.blocks:
            if block.first >= 0:
                changes[block.first] += block.size_bytes
                changes[block.last + 1] -= block.size_bytes
        total, alive = 0, []
        for change in changes[:-1]:
            total += change
            alive.append(total)
        return alive


def plan_arena(model: Any, builds: Sequence[KernelBuild] = (REFERENCE,)) -> ArenaPlan:
    """Plans the arena of a file, given as its object tree.

    `builds`: of the device's kernels; of several, each operator is planned for the one that asks for the most.

    Raises:
        ArtifactError: operators with missing tensors, or a file that has no arena: tensors without a fixed shape or of
            a type without a fixed size, a loop that runs itself.
    """
    try:
        return _plan(model, builds)
    except (AttributeError, IndexError, TypeError, ValueError, ZeroDivisionError, OverflowError, RecursionError):
        raise ArtifactError("the TFLite file has operators with missing tensors", hint="convert it again") from None


def _plan(model: Any, builds: Sequence[KernelBuild]) -> ArenaPlan:
    life, variables = lives(model), variables_of(model)
    host = _asked(model, HOST, variables, requests)
    device = _asked(model, DEVICE, variables, lambda operator: vendor_requests(operator, builds))
    named, blocks = _blocks(model, life, host, variables)
    starts = offsets(blocks)
    placed = tuple(
        Placed(name, kind, block.taken_bytes, offset, block.first, block.last)
        for (name, kind), block, offset in zip(named, blocks, starts, strict=True)
    )
    state = sum(aligned(_tensor_bytes(t)) for graph in model.subgraphs for t in graph.tensors if t.isVariable)
    kept = persistent_bytes(model, host.values(), HOST, state)
    narrow = _blocks(model, life, device, variables)[1]
    small = end_of(blocks, starts) if narrow == blocks else extent_bytes(narrow)
    there = persistent_bytes(model, device.values(), DEVICE, state, builds[0].family)
    names = (flatbuffer.op_name(model, operator) for _, operator in flatbuffer.operators(model))
    unknown = dict.fromkeys(name for name in names if not HOST.kernel(name).known)
    planning = _planning_bytes(model, host, len(blocks), HOST) - kept["ports"]
    planning_there = _planning_bytes(model, device, len(narrow), DEVICE) - there["ports"]
    planned = DevicePlan(small, sum(there.values()), planning_there, _scratch(model, device))
    return ArenaPlan(life.steps, placed, end_of(blocks, starts), kept, planning, planned, tuple(unknown))


def _planning_bytes(model: Any, asked: dict[Key, Requests], blocks: int, sizes: Sizes) -> int:
    """As `MicroAllocator::CommitStaticMemoryPlan` takes it: requests, a record for each tensor, and the planner's."""
    buffers = sum(len(request.scratch) for request in asked.values())
    tensors = sum(len(graph.tensors) for graph in model.subgraphs)
    found = aligned(sizes.scratch_request * (buffers + _MOST_REQUESTS)) + sizes.pointer * len(model.subgraphs)
    return aligned(found + sizes.allocation_info * (tensors + buffers)) + _PLANNED_BLOCK_BYTES * blocks


def _asked(model: Any, sizes: Sizes, variables: Variables, ask: Callable[[Operator], Requests]) -> dict[Key, Requests]:
    """What every operator's kernel asks for."""
    found = {}
    for number, graph in enumerate(model.subgraphs):
        for index, operator in enumerate(graph.operators or []):
            found[number, index] = ask(operator_of(model, graph, operator, sizes))
            if (number, index) in variables.made:
                found[number, index].persistent.append(_tensor_bytes(variables.made[number, index]))
    return found


def _scratch(model: Any, asked: dict[Key, Requests]) -> tuple[Scratch, ...]:
    found = []
    for (number, index), request in asked.items():
        graph, size = model.subgraphs[number], sum(aligned(each) for each in request.scratch)
        if size:
            operator = graph.operators[index]
            outputs = flatbuffer.op_outputs(graph, operator)
            name = flatbuffer.tensor_name(outputs[0]) if outputs else ""
            found.append(Scratch(flatbuffer.op_name(model, operator), name, size))
    return tuple(found)


def _blocks(
    model: Any, life: Lives, asked: dict[Key, Requests], variables: Variables
) -> tuple[list[tuple[str, str]], list[Block]]:
    """Names and kinds of all that is placed, and the blocks: tensors of all subgraphs, then scratch memory."""
    names, blocks = [], []
    inputs, outputs = (set(map(int, ports)) for ports in (model.subgraphs[0].inputs, model.subgraphs[0].outputs))
    for number, graph in enumerate(model.subgraphs):
        for index, tensor in enumerate(graph.tensors):
            if tensor.isVariable or (number, index) in variables.handles:
                continue
            if flatbuffer.constant_bytes(model, tensor) is not None:
                continue
            size = _tensor_bytes(tensor)
            if size:
                port = "input" if index in inputs else "output" if index in outputs else "activation"
                names.append((flatbuffer.tensor_name(tensor), port if number == 0 else "activation"))
                blocks.append(Block(size, *life.tensors.get((number, index), _NEVER)))
    for (number, index), request in asked.items():
        graph = model.subgraphs[number]
        result = flatbuffer.op_outputs(graph, graph.operators[index])
        for size in filter(None, request.scratch):
            names.append((f"scratch of {flatbuffer.tensor_name(result[0]) if result else index}", "scratch"))
            blocks.append(Block(size, *life.operators.get((number, index), _NEVER)))
    if len(blocks) > _MOST_BLOCKS:
        raise ArtifactError(f"the file has more than {_MOST_BLOCKS:,} activations: too many to plan")
    return names, blocks


def _tensor_bytes(tensor: Any) -> int:
    dtype, values = flatbuffer.tensor_dtype(tensor), 1
    if dtype not in _ELEMENT_BYTES:
        raise ArtifactError(f"tensor {flatbuffer.tensor_name(tensor)} is of type {dtype}, which has no fixed size")
    for size in flatbuffer.tensor_shape(tensor):
        if size < 0:
            raise ArtifactError(
                f"tensor {flatbuffer.tensor_name(tensor)} has no fixed shape", hint="convert with a fixed batch of 1"
            )
        values *= size
    if values >= 1 << 60:
        raise ArtifactError(f"tensor {flatbuffer.tensor_name(tensor)} does not fit any memory", hint="convert it again")
    return values * _ELEMENT_BYTES[dtype]
