"""How long each tensor of a file lives in TensorFlow Lite Micro: from what makes it to what reads it last.

The rule is that of TFLM's `micro_allocation_info.cc`. Time goes in steps. Each operator is one; so is the entry into a
subgraph that a control operator runs. A graph's inputs live from its entry on, and its outputs to its end. Nothing is
computed in place: input and output of an operator are alive together.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from keras_mtl.core import ArtifactError
from keras_mtl.tflite import flatbuffer

#: More than any file of use has; a hostile one could double its steps with each subgraph.
_MOST_STEPS = 20_000
#: The subgraphs that a control operator names, in the order in which TFLM plans them.
_SUBGRAPHS = {
    "IF": ("thenSubgraphIndex", "elseSubgraphIndex"),
    "WHILE": ("condSubgraphIndex", "bodySubgraphIndex"),
    "CALL_ONCE": ("initSubgraphIndex",),
}

#: A tensor as (number of its subgraph, its number there); an operator the same way.
Key = tuple[int, int]


@dataclass(frozen=True)
class Step:
    """One moment of an inference.

    Attributes:
        op: name of the operator that runs, as "CONV_2D"; "enter" for the entry into a subgraph.
        name: name of the operator's first output.
    """

    op: str
    name: str


@dataclass(frozen=True)
class Lives:
    """What is alive when.

    Attributes:
        steps: all moments, in order; the first is the entry into the main graph.
        tensors: the first and the last step of each tensor that any operator or graph names.
        operators: the first and the last step of each operator: those of its subgraphs are between them.
    """

    steps: tuple[Step, ...]
    tensors: Mapping[Key, tuple[int, int]]
    operators: Mapping[Key, tuple[int, int]]


def lives(model: Any) -> Lives:
    """Follows an inference of a file, given as its object tree.

    Raises:
        ArtifactError: a control operator that names no subgraph or its own one, or more steps than can be followed.
    """
    walk = _Walk(model)
    walk.graph(0, frozenset())
    return Lives(tuple(walk.steps), walk.tensors, walk.operators)


class _Walk:
    def __init__(self, model: Any) -> None:
        self._model = model
        self.steps: list[Step] = []
        self.tensors: dict[Key, tuple[int, int]] = {}
        self.operators: dict[Key, tuple[int, int]] = {}

    def graph(self, number: int, within: frozenset[int]) -> None:
        graph = self._model.subgraphs[number]
        self._step("enter", "")
        for tensor in _listed(graph.inputs):
            self._alive(number, tensor)
        for index, operator in enumerate(graph.operators or []):
            name, outputs = flatbuffer.op_name(self._model, operator), flatbuffer.op_outputs(graph, operator)
            self._step(name, flatbuffer.tensor_name(outputs[0]) if outputs else "")
            start = len(self.steps) - 1
            for tensor in _listed(operator.outputs):
                self._alive(number, tensor)
            for inner in self._subgraphs(name, operator):
                if inner in within | {number}:
                    raise ArtifactError(f"operator {name} runs the subgraph that it stands in")
                self.graph(inner, within | {number})
            for tensor in _listed(operator.inputs):
                # What no operator makes was there from the beginning.
                self.tensors.setdefault((number, tensor), (0, 0))
            for tensor in (*_listed(operator.inputs), *_listed(operator.outputs)):
                self._alive(number, tensor)
            first = self.operators.get((number, index), (start, start))[0]
            self.operators[number, index] = (first, len(self.steps) - 1)
        for tensor in _listed(graph.outputs):
            self._alive(number, tensor)

    def _subgraphs(self, name: str, operator: Any) -> Iterator[int]:
        for field in _SUBGRAPHS.get(name, ()):
            number = getattr(operator.builtinOptions, field, None)
            if number is None or not 0 <= number < len(self._model.subgraphs):
                raise ArtifactError(f"operator {name} names no subgraphs", hint="convert it again")
            yield int(number)

    def _step(self, op: str, name: str) -> None:
        if len(self.steps) >= _MOST_STEPS:
            raise ArtifactError(f"the file runs more than {_MOST_STEPS:,} operators in one inference")
        self.steps.append(Step(op, name))

    def _alive(self, graph: int, tensor: int) -> None:
        if tensor >= 0:  # an optional input that is left out has -1
            now = len(self.steps) - 1
            self.tensors[graph, tensor] = (self.tensors.get((graph, tensor), (now, now))[0], now)


def _listed(values: Any) -> list[int]:
    return [] if values is None else [int(value) for value in values]
