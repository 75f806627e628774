"""Runs whole files by the reference kernels, with every tensor to be seen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_mtl.core import EngineRefused
from keras_mtl.firmware_host.reference import variables
from keras_mtl.firmware_host.reference.node import Node, Tensor, read_node, read_tensor
from keras_mtl.firmware_host.reference.registry import Kernel, prepare
from keras_mtl.tflite import flatbuffer

_CALL_ONCE = "CALL_ONCE"


@dataclass(frozen=True, eq=False)
class Step:
    """A prepared operator.

    Attributes:
        node: the operator.
        kernel: what computes it.
    """

    node: Node
    kernel: Kernel | Callable[..., tuple[np.ndarray, ...]]


@dataclass(frozen=True, eq=False)
class Graph:
    """A prepared subgraph.

    Attributes:
        tensors: by index.
        steps: in the order of execution.
        inputs, outputs: its ends.
    """

    tensors: tuple[Tensor, ...]
    steps: tuple[Step, ...]
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]


class ReferenceInterpreter:
    """A `.tflite` file on the reference kernels; variables last from one inference to the next.

    Args:
        content: the file, or its object tree.

    Attributes:
        graphs: all subgraphs that are run, by number; the main one is 0.

    Raises:
        ArtifactError: no `.tflite` file.
        EngineRefused: an operator that the contracts have not, with its layer.
    """

    def __init__(self, content: bytes | Any) -> None:
        self._model = flatbuffer.read_model(content) if isinstance(content, bytes) else content
        self._variables = variables.Variables()
        self.graphs: dict[int, Graph] = {}
        self._called: set[int] = set()
        self._prepare(0)
        self.reset()

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """Input tensors of the file."""
        return self.graphs[0].inputs

    @property
    def outputs(self) -> tuple[Tensor, ...]:
        """Output tensors of the file."""
        return self.graphs[0].outputs

    def reset(self) -> None:
        """As it was when it was opened: variables are empty, and what runs once is run again."""
        self._variables.reset()
        self._done: set[int] = set()
        self._values = {number: self._at_rest(graph) for number, graph in self.graphs.items()}

    def run(self, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        """One inference.

        Args:
            inputs: arrays in the shapes and types of `inputs`.

        Returns:
            The outputs, in the shapes and types of `outputs`.

        Raises:
            EngineRefused: inputs that do not fit.
        """
        wanted = self.inputs
        if len(inputs) != len(wanted):
            raise EngineRefused(f"{len(inputs)} inputs, not {len(wanted)}")
        for values, tensor in zip(inputs, wanted, strict=True):
            if values.dtype != tensor.dtype or values.shape != tensor.shape:
                given = f"input {tensor.name} of {list(values.shape)} {values.dtype}"
                raise EngineRefused(f"{given}, not {list(tensor.shape)} {tensor.dtype}")
            self._values[0][tensor.index] = values
        self._run(0)
        return [self.value(tensor.index) for tensor in self.outputs]

    def value(self, tensor: int | str, graph: int = 0) -> np.ndarray:
        """What a tensor, by its index or its name, holds after an inference.

        Raises:
            EngineRefused: there is no such tensor, or it was not computed.
        """
        named = (each.index for each in self.graphs[graph].tensors if tensor in (each.index, each.name))
        found = next((self._values[graph][index] for index in named if index in self._values[graph]), None)
        if found is None:
            raise EngineRefused(f"no values of a tensor {tensor}")
        return found

    def _prepare(self, number: int) -> None:
        """Prepares a subgraph and those that it calls."""
        self._called.add(number)
        graph = self._model.subgraphs[number]
        tensors = tuple(self._tensor(graph, index) for index in range(len(graph.tensors)))
        nodes = [read_node(self._model, graph, each, tensors) for each in range(len(graph.operators or []))]
        ends = [tuple(tensors[index] for index in flatbuffer.indices(end)) for end in (graph.inputs, graph.outputs)]
        handles: dict[int, int] = {}
        steps = tuple(Step(node, self._kernel(node, handles)) for node in nodes)
        self.graphs[number] = Graph(tensors, steps, *ends)

    def _tensor(self, graph: Any, index: int) -> Tensor:
        try:
            return read_tensor(self._model, graph, index)
        except (IndexError, TypeError):  # of a damaged file: a buffer that is not there
            raise EngineRefused(f"tensor {index} has no buffer in the file", hint="convert it again") from None

    def _kernel(self, node: Node, handles: dict[int, int]) -> Kernel | Callable[..., tuple[np.ndarray, ...]]:
        if node.op in variables.OPERATORS:
            return variables.OPERATORS[node.op](node, self._variables, handles)
        if node.op != _CALL_ONCE:
            return prepare(node)
        called = getattr(node.options, "initSubgraphIndex", 0)
        node.require(0 < called < len(self._model.subgraphs), f"no subgraph {called}")
        node.require(called not in self._called - self.graphs.keys(), f"subgraph {called} calls itself")
        if called not in self.graphs:
            self._prepare(called)

        def once() -> tuple[()]:
            if id(node) not in self._done:
                self._run(called)
                self._done.add(id(node))
            return ()

        return once

    def _at_rest(self, graph: Graph) -> dict[int, np.ndarray]:
        """What is in a subgraph's tensors before it runs: constants, and variable tensors of the value 0."""
        values = {tensor.index: tensor.constant for tensor in graph.tensors if tensor.constant is not None}
        for tensor in graph.tensors:
            if tensor.variable:
                zero = tensor.zero_points[0] if tensor.dtype == "int8" and tensor.zero_points else 0
                values[tensor.index] = np.full(tensor.shape, zero, tensor.dtype)
        return values

    def _run(self, number: int) -> None:
        values = self._values[number]
        for step in self.graphs[number].steps:
            for tensor in filter(None, step.node.inputs):
                known = tensor.index in values
                step.node.require(known, f"its input {tensor.name} is computed by no operator before it")
            given = [values[tensor.index] if tensor is not None else None for tensor in step.node.inputs]
            for tensor, output in zip(step.node.outputs, step.kernel(*given), strict=True):
                values[tensor.index] = output
