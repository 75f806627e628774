"""VAR_HANDLE, READ_VARIABLE and ASSIGN_VARIABLE: values that last from one inference to the next."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from keras_mtl.firmware_host.reference.node import Node, Tensor
from keras_mtl.tflite import flatbuffer


@dataclass(eq=False)
class Variables:
    """The resource variables of a file.

    Attributes:
        numbers: container and name of each, with its number, which is what a handle holds.
        first: bytes that each holds before anything is assigned.
        values: bytes that each holds.
    """

    numbers: dict[tuple[str, str], int] = field(default_factory=dict)
    first: dict[int, np.ndarray] = field(default_factory=dict)
    values: dict[int, np.ndarray] = field(default_factory=dict)

    def reset(self) -> None:
        """Gives each what it holds before anything is assigned."""
        self.values = dict(self.first)


@dataclass(frozen=True)
class Handle:
    """VAR_HANDLE.

    Attributes:
        number: of its variable.
    """

    number: int

    def __call__(self) -> tuple[np.ndarray]:
        """The handle."""
        return (np.array(self.number, np.int32),)


@dataclass(frozen=True, eq=False)
class Read:
    """READ_VARIABLE.

    Attributes:
        node: itself.
        variables: of the file.
    """

    node: Node
    variables: Variables

    def __call__(self, handle: np.ndarray) -> tuple[np.ndarray]:
        """The value of a handle's variable."""
        output, value = self.node.output, self.variables.values.get(int(handle))
        if value is None:
            raise self.node.refusal("nothing is ever assigned to its variable")
        kind = np.dtype(output.dtype)
        self.node.require(value.nbytes == np.prod(output.shape) * kind.itemsize, "its variable is of another size")
        return (value.view(kind).reshape(output.shape),)


@dataclass(frozen=True, eq=False)
class Assign:
    """ASSIGN_VARIABLE.

    Attributes:
        node: itself.
        variables: of the file.
    """

    node: Node
    variables: Variables

    def __call__(self, handle: np.ndarray, value: np.ndarray) -> tuple[()]:
        """Keeps a value in a handle's variable."""
        held = np.frombuffer(value.tobytes(), np.uint8)
        self.node.require(self.variables.first[int(handle)].size == held.size, "its variable is of another size")
        self.variables.values[int(handle)] = held
        return ()


def handle(node: Node, variables: Variables, known: dict[int, int]) -> Handle:
    """Prepares a VAR_HANDLE; `known`: the variable's number by a handle's tensor, which gets its own."""
    node.require(node.options is not None, "it names no variable")
    key = (flatbuffer.text(node.options.container), flatbuffer.text(node.options.sharedName))
    number = variables.numbers.setdefault(key, len(variables.numbers))
    known[node.output.index] = number
    return Handle(number)


def read(node: Node, variables: Variables, known: Mapping[int, int]) -> Read:
    """Prepares a READ_VARIABLE."""
    _number(node, known)
    node.require(node.output.dtype in _KEPT, f"no kernel for {node.output.dtype}")
    return Read(node, variables)


def assign(node: Node, variables: Variables, known: Mapping[int, int]) -> Assign:
    """Prepares an ASSIGN_VARIABLE, the first of which gives a variable its size and, of its zero point, its bytes."""
    value = node.input(1)
    node.require(value.dtype in _KEPT, f"no kernel for {value.dtype}")
    variables.first.setdefault(_number(node, known), _untouched(value))
    return Assign(node, variables)


def _number(node: Node, known: Mapping[int, int]) -> int:
    """The variable of a node's handle, which must come from a VAR_HANDLE of the same subgraph."""
    number = known.get(node.input(0).index)
    if number is None:
        raise node.refusal("its handle does not come from a VAR_HANDLE of its subgraph")
    return number


def _untouched(value: Tensor) -> np.ndarray:
    """Bytes that are each the zero point cut to 8 bits."""
    byte = (value.zero_points[0] if value.zero_points else 0) & 0xFF
    return np.full(int(np.prod(value.shape)) * np.dtype(value.dtype).itemsize, byte, np.uint8)


_KEPT = ("int8", "int16", "int32", "float32")
#: What prepares each of these operators, beside a node from the variables and the handles of its subgraph.
OPERATORS: Mapping[str, Callable[[Node, Variables, dict[int, int]], Handle | Read | Assign]] = {
    "VAR_HANDLE": handle,
    "READ_VARIABLE": read,
    "ASSIGN_VARIABLE": assign,
}
