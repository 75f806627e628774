"""Loops and branches in a `.tflite` file: which subgraphs a WHILE or an IF runs, and a loop how often, by the file.

The converter writes a Keras GRU as a WHILE with two counters that start at a constant 0. The condition is the
LOGICAL_AND of LESS(counter, steps), and the body adds a constant 1 to each counter. A trip count is given for that form
alone: with any constants, one counter or several, and the limit in the condition or as a constant input that the body
hands on unchanged. Any other loop (one that stops by its data) is refused, so that nothing is guessed.
"""

from __future__ import annotations

from typing import Any

from keras_mtl.core import ArtifactError
from keras_mtl.tflite.flatbuffer import model as flatbuffer

#: Operators that TensorFlow Lite Micro loads and then never comes back from.
LOOPS = frozenset({"WHILE"})


class _Unknown(Exception):
    """The file does not hold how often the loop runs; the message is what was found instead."""


def loop_graphs(model: Any, operator: Any) -> tuple[int, int]:
    """Numbers of the subgraphs that a WHILE holds.

    Args:
        model: the object tree of a `.tflite` file, as `flatbuffer.read_model` checked it.
        operator: the WHILE.

    Returns:
        (condition, body).

    Raises:
        ArtifactError: the operator names none.
    """
    options = operator.builtinOptions
    try:
        return int(options.condSubgraphIndex), int(options.bodySubgraphIndex)
    except AttributeError:
        raise ArtifactError("operator WHILE names no subgraphs", hint="convert it again") from None


def branch_graphs(model: Any, operator: Any) -> tuple[int, int]:
    """Numbers of the subgraphs that an IF chooses from.

    Args:
        model: the object tree of a `.tflite` file.
        operator: the IF.

    Returns:
        (then, else).

    Raises:
        ArtifactError: the operator names none that is there.
    """
    options = operator.builtinOptions
    try:
        found = int(options.thenSubgraphIndex), int(options.elseSubgraphIndex)
    except AttributeError:
        found = (-1, -1)
    if not all(0 <= number < len(model.subgraphs) for number in found):
        raise ArtifactError("operator IF names no subgraphs", hint="convert it again")
    return found


def trip_count(model: Any, subgraph: Any, operator: Any) -> int:
    """How often the body of a WHILE runs.

    Args:
        model: the object tree of a `.tflite` file.
        subgraph: the subgraph that holds the operator.
        operator: the WHILE.

    Raises:
        ArtifactError: it is not in the file, and why.
    """
    try:
        loop = _Loop(model, subgraph, operator)
        return loop.trips(loop.single_output())
    except _Unknown as error:
        why = str(error)
    except (AttributeError, IndexError, TypeError, ValueError, RecursionError):
        why = "it is malformed"
    raise ArtifactError(
        f"MACs of operator WHILE can't be counted from the file: the number of its steps is not known ({why})",
        hint="convert the network with a fixed number of steps, or a loop's body as a model of its own",
    )


class _Loop:
    """One WHILE with its condition and body. Tensors are named by their number in their own subgraph."""

    def __init__(self, model: Any, subgraph: Any, operator: Any) -> None:
        condition, body = loop_graphs(model, operator)
        self._model, self._holder = model, subgraph
        self._condition, self._body = model.subgraphs[condition], model.subgraphs[body]
        self._given = flatbuffer.indices(operator.inputs)

    def single_output(self) -> int:
        """The tensor of the condition that is true while the loop goes on."""
        if len(self._condition.outputs) != 1:
            raise _Unknown(f"its condition has {len(self._condition.outputs)} outputs")
        return int(self._condition.outputs[0])

    def trips(self, verdict: int) -> int:
        """How often this truth value of the condition is true before it is false for the first time, and for good."""
        counts, seen, todo = [], set(), [verdict]
        while todo:
            part = todo.pop(0)
            if part in seen:  # a part that is used twice, or by itself
                continue
            seen.add(part)
            made_by = self._maker(self._condition, part)
            name = flatbuffer.op_name(self._model, made_by) if made_by else "nothing"
            if name == "LOGICAL_AND":
                todo += flatbuffer.indices(made_by.inputs)
            elif name == "LESS":
                counts.append(self._count(made_by))
            else:
                raise _Unknown(f"its condition ends in {name}, not in LESS or LOGICAL_AND")
        return min(counts)

    def _count(self, made_by: Any) -> int:
        """How often LESS(counter, limit) is true."""
        counter, limit = flatbuffer.indices(made_by.inputs)
        if counter not in self._condition.inputs:
            raise _Unknown("LESS does not compare a counter of the loop")
        place = self._place(self._condition.inputs, counter)
        start, step = self._constant(self._holder, self._given[place], "a counter's start"), self._step(place)
        return max(0, -((start - self._limit(limit)) // step))

    def _limit(self, tensor: int) -> int:
        if tensor not in self._condition.inputs:
            return self._constant(self._condition, tensor, "the counter's limit")
        place = self._place(self._condition.inputs, tensor)
        if int(self._body.outputs[place]) != int(self._body.inputs[place]):
            raise _Unknown("the body changes the counter's limit")
        return self._constant(self._holder, self._given[place], "the counter's limit")

    def _step(self, place: int) -> int:
        """What the body adds to the counter at this place of the loop's values."""
        made_by = self._maker(self._body, int(self._body.outputs[place]))
        name = flatbuffer.op_name(self._model, made_by) if made_by else "nothing"
        before = int(self._body.inputs[place])
        if name != "ADD" or before not in made_by.inputs:
            raise _Unknown(f"{name} makes a counter's next value, not ADD")
        other = [int(i) for i in made_by.inputs if int(i) != before]
        step = self._constant(self._body, other[0], "a counter's step") if other else 0
        if step < 1:
            raise _Unknown("a counter does not grow by a constant")
        return step

    def _constant(self, subgraph: Any, tensor: int, what: str) -> int:
        value = flatbuffer.constant(self._model, subgraph.tensors[tensor]) if tensor >= 0 else None
        if value is None or value.size != 1 or value.dtype.kind not in "iu":
            raise _Unknown(f"{what} is no constant integer")
        return int(value.reshape(-1)[0])

    @staticmethod
    def _place(tensors: Any, tensor: int) -> int:
        return flatbuffer.indices(tensors).index(tensor)

    @staticmethod
    def _maker(subgraph: Any, tensor: int) -> Any:
        """The operator that computes a tensor; None when none does."""
        made_by = [o for o in subgraph.operators or [] if tensor in flatbuffer.indices(o.outputs)]
        return made_by[0] if len(made_by) == 1 else None
