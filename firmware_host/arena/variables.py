"""Resource variables of a file, as TensorFlow Lite Micro's `micro_resource_variable.cc` and their kernels keep them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from keras_mtl.firmware_host.arena.lives import Key
from keras_mtl.tflite import flatbuffer


@dataclass(frozen=True)
class Variables:
    """The resource variables of a file. Handles of one container and one name are one variable.

    Attributes:
        handles: tensors that hold a handle. They point to their kernel's data and take nothing themselves.
        made: the operators that make a variable's memory, the first assignment to each, with the tensor that is
            assigned: later ones find it there.
    """

    handles: frozenset[Key]
    made: Mapping[Key, Any]


def variables_of(model: Any) -> Variables:
    """Follows the handles of a file, given as its object tree, in the order in which its kernels are prepared.

    Raises:
        AttributeError, IndexError, TypeError: an operator with missing tensors or options.
    """
    handles: dict[Key, tuple[str, str]] = {}
    made: dict[Key, Any] = {}
    known: set[tuple[str, str]] = set()
    for number, graph in enumerate(model.subgraphs):
        for index, operator in enumerate(graph.operators or []):
            name = flatbuffer.op_name(model, operator)
            if name == "VAR_HANDLE":
                options = operator.builtinOptions
                called = flatbuffer.text(options.container), flatbuffer.text(options.sharedName)
                handles[number, int(operator.outputs[0])] = called
            elif name == "ASSIGN_VARIABLE":
                variable = handles.get((number, int(operator.inputs[0])))
                if variable is not None and variable not in known:
                    known.add(variable)
                    made[number, index] = flatbuffer.op_inputs(graph, operator)[1]
    return Variables(frozenset(handles), made)
