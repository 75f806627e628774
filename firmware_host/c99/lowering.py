"""From the steps of a file to calls of kernels: what only names or cuts out rows vanishes, what can be one is one.

A reshape is another name. Rows that are joined or cut out, and zeros around them, are read by a convolution where they
lie. The maximum over windows behind a convolution is taken of its sums. A transposed factor is read across.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from keras_mtl.core import EngineRefused
from keras_mtl.firmware_host.c99 import convolution, dense, elementwise, moves, pools
from keras_mtl.firmware_host.c99.layer import Layer, Source, elements, zero_point
from keras_mtl.firmware_host.reference import Graph, Node, ReferenceInterpreter, Step, Tensor

_HINT = "run it on TensorFlow Lite Micro: --runtime tflm, --engine tflm"
_NAMES = ("RESHAPE", "EXPAND_DIMS", "SQUEEZE")
_DEEP = ("CONV_2D", "DEPTHWISE_CONV_2D")
#: Descriptions whose sizes have 16 bits, but for these fields.
_SHORT_KINDS = ("kmtl_nn_conv_t", "kmtl_nn_dense_t", "kmtl_nn_matmul_t", "kmtl_nn_pool_t", "kmtl_nn_softmax_t")
_LONG_FIELDS = ("held", "lowest", "highest", "multiplier")
_MOST_SHORT = 0xFFFF
#: Layers of which each operator becomes some, whatever is around it.
_PLAIN: Mapping[str, Callable[[Node, Any], Layer | list[Layer]]] = {
    "ADD": elementwise.sum_of_two,
    "AVERAGE_POOL_2D": pools.pool,
    "FULLY_CONNECTED": dense.dense,
    "LEAKY_RELU": elementwise.function,
    "LOGISTIC": elementwise.function,
    "MAX_POOL_2D": pools.pool,
    "MEAN": pools.reduction,
    "MUL": elementwise.product,
    "QUANTIZE": elementwise.function,
    "RELU": elementwise.function,
    "RELU6": elementwise.function,
    "RSQRT": elementwise.function,
    "SOFTMAX": elementwise.softmax,
    "SUB": elementwise.sum_of_two,
    "SUM": pools.reduction,
    "TANH": elementwise.function,
    "TRANSPOSE_CONV": convolution.transposed,
}
#: Layers that only move elements: left out where what reads them can do without.
_MOVES: Mapping[str, Callable[[Node, Any], list[Layer]]] = {
    "CONCATENATION": moves.concatenation,
    "PAD": moves.pad,
    "PADV2": moves.pad,
    "SLICE": moves.strided_slice,
    "SPLIT": moves.split,
    "SPLIT_V": moves.split,
    "STRIDED_SLICE": moves.strided_slice,
    "TRANSPOSE": moves.transpose,
}


@dataclass(frozen=True, eq=False)
class Program:
    """What a file computes, as calls.

    Attributes:
        inputs, outputs: tensors of the file.
        layers: the calls, in their order.
        names: of a tensor's index the tensor whose memory it has.
    """

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    layers: tuple[Layer, ...]
    names: Mapping[int, Tensor]

    def memory_of(self, tensor: Tensor) -> Tensor:
        """The tensor whose memory a tensor has: itself, or what it is another name of."""
        return self.names.get(tensor.index, tensor)


@dataclass(frozen=True)
class _Rows:
    """A map that lies in parts: rows of other tensors, and zeros around them.

    Attributes:
        parts: from the top.
        pads: rows before, rows behind, columns before, columns behind.
    """

    parts: tuple[Source, ...]
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)


def program_of(model: Any) -> Program:
    """The calls that compute a file, given as its object tree.

    Raises:
        EngineRefused: an operator that there is no C for, naming the layer.
    """
    try:
        return _Lowering(ReferenceInterpreter(model).graphs[0]).program()
    except EngineRefused as error:
        raise EngineRefused(f"no C99 for {error.message}", error.hint or _HINT) from None


@dataclass
class _Lowering:
    graph: Graph
    layers: list[Layer] = field(default_factory=list)
    names: dict[int, Tensor] = field(default_factory=dict)
    rows: dict[int, _Rows] = field(default_factory=dict)
    moved: dict[int, Step] = field(default_factory=dict)
    made: set[int] = field(default_factory=set)
    fused: set[int] = field(default_factory=set)

    def program(self) -> Program:
        for step in self.graph.steps:
            if step.node.number not in self.fused:
                self._step(step)
        for tensor in self.graph.outputs:
            self._own(tensor)
        for layer in self.layers:
            _require_sizes(layer)
        return Program(self.graph.inputs, self.graph.outputs, tuple(self.layers), self.names)

    def _step(self, step: Step) -> None:
        node = step.node
        kernel: Any = step.kernel
        if node.op in _NAMES:
            self._write(node.input(0))
            self.names[node.output.index] = self._root(node.input(0))
        elif node.op in _DEEP:
            self._convolution(step)
        elif node.op == "BATCH_MATMUL":
            self._matmul(step)
        elif node.op in _MOVES:
            # Made only if something asks for it.
            found = self._rows_of_move(step)
            if found is not None:
                self.rows[node.output.index] = found
            for output in node.outputs:
                self.moved[output.index] = step
        elif node.op in _PLAIN:
            for place in range(len(node.inputs)):
                if node.optional(place) is not None:
                    self._write(node.input(place))
            made = _PLAIN[node.op](node, kernel)
            self.layers += [made] if isinstance(made, Layer) else made
        else:
            raise node.refusal("the generator has no such operator", _HINT)

    def _root(self, tensor: Tensor) -> Tensor:
        return self.names.get(tensor.index, tensor)

    def _write(self, tensor: Tensor) -> None:
        """Makes a tensor that was only to be moved."""
        step = self.moved.get(tensor.index)
        if step is None or tensor.index in self.made:
            return
        found = self.rows.get(tensor.index)
        self.made |= {output.index for output in step.node.outputs}
        if found is not None and not any(found.pads):
            self._join(step.node, found.parts, tensor)
            return
        for place in range(len(step.node.inputs)):
            self._write(step.node.input(place))
        self.layers += _MOVES[step.node.op](step.node, step.kernel)

    def _join(self, node: Node, parts: Sequence[Source], tensor: Tensor) -> None:
        """Copies rows to where they lie one after the other."""
        start = 0
        for part in parts:
            self.layers.append(moves.copy(node, part, tensor, start))
            rows = part.tensor.shape[1] if part.rows is None else part.rows
            start += rows * moves.row_elements(tensor)

    def _own(self, tensor: Tensor) -> None:
        """Gives an output of the file memory of its own: outputs may lie over inputs, which it may be made of."""
        self._write(tensor)
        root = self._root(tensor)
        if root.constant is not None or any(root.index == source.index for source in self.graph.inputs):
            node = next(step.node for step in self.graph.steps if tensor in step.node.outputs)
            del self.names[tensor.index]
            self.layers.append(moves.block(node, (root, tensor), [elements(tensor)], [1], [1]))

    def _rows_of(self, tensor: Tensor) -> _Rows:
        """A map as parts; one of no parts is its own."""
        found = self.rows.get(tensor.index)
        if found is not None and tensor.index not in self.made:
            return found
        self._write(tensor)
        return _Rows((Source(tensor),))

    def _rows_of_move(self, step: Step) -> _Rows | None:
        """Rows that are joined, cut out or surrounded by zeros; None for any other move."""
        node = step.node
        kernel: Any = step.kernel
        shape = node.output.shape
        if len(shape) != 4 or shape[0] != 1 or len(node.outputs) != 1:
            return None
        if node.op == "CONCATENATION" and kernel.axis == 1:
            parts = [self._rows_of(node.input(place)) for place in range(len(node.inputs))]
            if not any(any(part.pads) for part in parts):
                return _Rows(tuple(source for part in parts for source in part.parts))
        if node.op in ("SLICE", "STRIDED_SLICE") and len(kernel.shape) == 4:
            data = node.input(0)
            whole = all(
                each == (0, size, 1)
                for axis, (each, size) in enumerate(zip(kernel.slices, data.shape, strict=True))
                if axis != 1
            )
            first, end, step_rows = kernel.slices[1]
            found = self._rows_of(data) if whole and step_rows == 1 else None
            if found is not None and not any(found.pads):
                return _Rows(_cut(found.parts, first, end))
        if node.op in ("PAD", "PADV2") and kernel.value == zero_point(node.output):
            (batch, rows, columns, channels), found = kernel.paddings, self._rows_of(node.input(0))
            if not any((*batch, *channels)):
                pads = tuple(a + b for a, b in zip(found.pads, (*rows, *columns), strict=True))
                return _Rows(found.parts, (pads[0], pads[1], pads[2], pads[3]))
        return None

    def _convolution(self, step: Step) -> None:
        node = step.node
        kernel: Any = step.kernel
        images = node.input(0)
        node.require(len(images.shape) == 4, "an input that is no map")
        found = self._rows_of(images)
        (top, bottom, left, right), output = found.pads, node.output
        size = (images.shape[1] - top - bottom, images.shape[2] - left - right)
        pads = (kernel.rows.before + top, kernel.columns.before + left)
        limits, pool = (kernel.accumulator.low, kernel.accumulator.high), (1, 1)
        behind = self._pool_behind(node)
        if behind is not None:
            self.fused.add(behind.node.number)
            output, pool = behind.node.output, (behind.kernel.rows.size, behind.kernel.columns.size)
            low, high = behind.kernel.low, behind.kernel.high
            limits = min(max(limits[0], low), high), max(min(limits[1], high), low)
        self.layers.append(convolution.convolution(node, kernel, found.parts, size, pads, pool, output, limits))

    def _pool_behind(self, node: Node) -> Any:
        """The maximum over windows that lie side by side and alone reads a convolution's output; else None."""
        readers = self._readers(node.output)
        if node.op != "CONV_2D" or len(readers) != 1 or readers[0] is None or readers[0].node.op != "MAX_POOL_2D":
            return None
        step, shape = readers[0], node.output.shape
        kernel: Any = step.kernel
        for window, length in ((kernel.rows, shape[1]), (kernel.columns, shape[2])):
            if window.stride != window.size or window.before or window.outputs * window.size > length:
                return None
        return step

    def _readers(self, tensor: Tensor) -> Sequence[Step | None]:
        """The steps that read a tensor; None stands for the file's outputs."""
        found: list[Step | None] = [step for step in self.graph.steps if tensor in step.node.inputs]
        return [*found, *[None for output in self.graph.outputs if output is tensor]]

    def _matmul(self, step: Step) -> None:
        node, factors, swapped = step.node, [], []
        for place, adjoint in ((0, node.options.adjX), (1, node.options.adjY)):
            tensor = node.input(place)
            turn = self.moved.get(tensor.index)
            across = turn is not None and turn.node.op == "TRANSPOSE" and tensor.index not in self.made
            if across and turn is not None and dense.is_swap(getattr(turn.kernel, "axes", ())):
                tensor = turn.node.input(0)
                adjoint = not adjoint
            self._write(tensor)
            factors.append(tensor)
            swapped.append(bool(adjoint))
        made = dense.matmul(node, step.kernel, (factors[0], factors[1]), (swapped[0], swapped[1]))
        self.layers.append(made)


def _require_sizes(layer: Layer) -> None:
    """Refuses numbers that the description's fields of 16 bits do not hold."""
    if layer.kind in _SHORT_KINDS:
        sizes = [value for key, value in layer.fields.items() if isinstance(value, int) and key not in _LONG_FIELDS]
        layer.node.require(max(sizes) <= _MOST_SHORT, f"a size of {max(sizes):,}, where the kernel has 16 bits")


def _cut(parts: Sequence[Source], first: int, end: int) -> tuple[Source, ...]:
    """Rows `first` to `end` of rows in parts."""
    found, begin = [], 0
    for part in parts:
        rows = part.tensor.shape[1] if part.rows is None else part.rows
        low, high = max(first, begin), min(end, begin + rows)
        if low < high:
            found.append(replace(part, first=part.first + low - begin, rows=high - low))
        begin += rows
    return tuple(found)
