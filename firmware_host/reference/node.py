"""One operator of a file with its tensors, as kernels are prepared from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from keras_mtl.core import EngineRefused
from keras_mtl.firmware_host.reference.arithmetic import Multipliers, limits, multipliers, round_half_away
from keras_mtl.tflite import flatbuffer

_ACTIVATION = schema.ActivationFunctionType
#: Real ranges of fused activations.
_RANGES: dict[int, tuple[float | None, float | None]] = {
    _ACTIVATION.NONE: (None, None),
    _ACTIVATION.RELU: (0.0, None),
    _ACTIVATION.RELU_N1_TO_1: (-1.0, 1.0),
    _ACTIVATION.RELU6: (0.0, 6.0),
}
#: Types whose constants are read; operators refuse others.
_HELD = ("int8", "uint8", "int16", "int32", "int64", "float32", "bool")
_NAMES = {number: name for name, number in vars(_ACTIVATION).items() if name.isupper()}


@dataclass(frozen=True, eq=False)
class Tensor:
    """A tensor of a subgraph.

    Attributes:
        index: in its subgraph.
        name, shape, dtype: of the file.
        scales: steps, float32, one or one for each index of `axis`; None for one without.
        zero_points: as many.
        constant: its data, if it is constant.
        variable: whether it keeps its values from one inference to the next.
    """

    index: int
    name: str
    shape: tuple[int, ...]
    dtype: str
    scales: np.ndarray | None
    zero_points: tuple[int, ...]
    axis: int
    constant: np.ndarray | None
    variable: bool


def read_tensor(model: Any, graph: Any, index: int) -> Tensor:
    """A tensor of a subgraph of an object tree."""
    tensor = graph.tensors[index]
    found, dtype = flatbuffer.quantization(tensor), flatbuffer.tensor_dtype(tensor)
    return Tensor(
        index,
        flatbuffer.tensor_name(tensor),
        flatbuffer.tensor_shape(tensor),
        dtype,
        np.array(found.scale, np.float32) if found else None,
        found.zero_point if found else (),
        found.axis if found else 0,
        flatbuffer.constant(model, tensor) if dtype in _HELD else None,
        bool(tensor.isVariable),
    )


@dataclass(frozen=True, eq=False)
class Node:
    """One operator.

    Attributes:
        op: its name, as "CONV_2D".
        number: in its subgraph.
        inputs: its tensors; None for an optional one that is left out.
        outputs: its tensors.
        options: of the schema.
    """

    op: str
    number: int
    inputs: tuple[Tensor | None, ...]
    outputs: tuple[Tensor, ...]
    options: Any

    def refusal(self, why: str, hint: str = "") -> EngineRefused:
        """The error that this operator can't be computed, with its layer."""
        tensor = next((tensor for tensor in (*self.outputs, *self.inputs) if tensor is not None), None)
        layer = f" (layer {tensor.name.partition(';')[0]})" if tensor else ""
        return EngineRefused(f"operator {self.number}, {self.op}{layer}: {why}", hint)

    def require(self, holds: bool, why: str, hint: str = "") -> None:
        """Raises EngineRefused with that reason unless it holds."""
        if not holds:
            raise self.refusal(why, hint)

    def input(self, place: int) -> Tensor:
        """An input that must be there."""
        tensor = self.optional(place)
        if tensor is None:
            raise self.refusal(f"input {place} is missing")
        return tensor

    def optional(self, place: int) -> Tensor | None:
        """An input that may be left out."""
        return self.inputs[place] if place < len(self.inputs) else None

    @property
    def output(self) -> Tensor:
        """The first output."""
        if not self.outputs:
            raise self.refusal("it has no output")
        return self.outputs[0]

    def constant(self, place: int) -> np.ndarray:
        """Data of an input that must be constant, as TensorFlow Lite Micro has it."""
        values = self.input(place).constant
        if values is None:
            raise self.refusal(f"input {place} must be constant")
        return values

    def require_types(self, *tensors: Tensor, among: Sequence[str] = ("int8", "int16")) -> str:
        """The type that all of these tensors have, which is one of those."""
        kinds = [tensor.dtype for tensor in tensors]
        self.require(len(set(kinds)) == 1 and kinds[0] in among, f"no kernel for {', '.join(kinds)}")
        return kinds[0]

    def require_shape(self, tensor: Tensor, shape: Sequence[int]) -> None:
        """That the file gives a tensor the shape that the operator has for it."""
        self.require(
            tensor.shape == tuple(shape), f"{tensor.name} of shape {list(tensor.shape)}, not {[int(n) for n in shape]}"
        )

    def scale(self, tensor: Tensor) -> np.float32:
        """The step of a tensor of which there is one for all elements (the first of several, as TFLM takes it)."""
        return np.float32(self.scales(tensor)[0])

    def scales(self, tensor: Tensor) -> np.ndarray:
        """The steps of a tensor, float32."""
        if tensor.scales is None:
            raise self.refusal(f"{tensor.name} is not quantized")
        return tensor.scales

    def zero_point(self, tensor: Tensor) -> int:
        """The zero point of a tensor: 0 of 16 bits, and of others a value of its type."""
        zero = tensor.zero_points[0] if tensor.zero_points else 0
        self.require(tensor.dtype != "int16" or zero == 0, f"{tensor.name} is int16 with a zero point other than 0")
        low, high = limits(tensor.dtype)
        self.require(low <= zero <= high, f"{tensor.name} is {tensor.dtype} with a zero point of {zero}")
        return zero

    def factors(self, real: Any, most_shift: int) -> Multipliers:
        """Real factors as integers, where the contract has them."""
        real = np.asarray(real, np.float64)
        self.require(bool(np.isfinite(real).all()), "steps whose quotient is no number")
        made = multipliers(real)
        self.require(
            bool((made.shifts <= most_shift).all()),
            f"a factor of 2^{most_shift} or more between its steps: {real.max():g}",
        )
        return made

    def symmetric(self, weights: Tensor) -> None:
        """That weights have zero points of 0: the kernels leave them out."""
        self.require(not any(weights.zero_points), f"{weights.name} has a zero point other than 0")

    def activation_range(self, output: Tensor, activation: int) -> tuple[int, int]:
        """Least and greatest integer of an output after a fused activation."""
        low, high = limits(output.dtype)
        if activation not in _RANGES:
            raise self.refusal(f"a fused {_NAMES.get(activation, activation)}, which TFLM leaves out without a word")
        least, most = _RANGES[activation]
        return (
            low if least is None else max(low, self.quantized(least, output)),
            high if most is None else min(high, self.quantized(most, output)),
        )

    def quantized(self, real: float, tensor: Tensor) -> int:
        """A real value as an integer of a tensor, not cut to its type: a quotient in float32, halves away from zero."""
        whole = float(round_half_away(np.float32(real) / self.scale(tensor)))
        self.require(abs(whole) < 1 << 31, f"the step of {tensor.name} is too small for {real:g} in 32 bits")
        return self.zero_point(tensor) + int(whole)


def read_node(model: Any, graph: Any, number: int, tensors: Sequence[Tensor]) -> Node:
    """An operator of a subgraph, whose tensors are given by their index."""
    operator = graph.operators[number]
    return Node(
        flatbuffer.op_name(model, operator),
        number,
        tuple(tensors[i] if i >= 0 else None for i in flatbuffer.indices(operator.inputs)),
        tuple(tensors[i] for i in flatbuffer.indices(operator.outputs)),
        operator.builtinOptions,
    )
