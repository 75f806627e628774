"""The signatures of a `.tflite` file: networks in one file that share constants, each a subgraph of its own.

An interpreter on a microcontroller runs the first subgraph alone. Another one is run by a file in which it comes first.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

from ai_edge_litert import schema_py_generated as schema

from keras_mtl.core import ArtifactError
from keras_mtl.tflite.flatbuffer import model as flatbuffer

#: Fields of operators' options that name a subgraph end in this.
_NAMES_A_SUBGRAPH = "SubgraphIndex"


def signatures(model: Any) -> dict[str, int]:
    """The subgraph of each signature by its name, in the file's order; none of a file that has none."""
    found = {flatbuffer.text(each.signatureKey): int(each.subgraphIndex) for each in model.signatureDefs or []}
    return {name: number for name, number in found.items() if 0 <= number < len(model.subgraphs)}


def of_signature(model: Any, name: str) -> Any:
    """The object tree of a file that has one signature alone: its subgraph first, and what that runs.

    The tree that is given stays as it is, and is given back where that subgraph comes first already. Constants that are
    of no use any more are left out.

    Raises:
        ArtifactError: no signature of that name.
    """
    known = signatures(model)
    if name not in known:
        listed = ", ".join(known) or "none"
        raise ArtifactError(f"the TFLite file has no signature {name}", hint=f"its signatures: {listed}")
    if known[name] == 0:
        return model
    kept: list[int] = []
    waiting = [known[name]]
    while waiting:
        number = waiting.pop(0)
        if number not in kept:
            kept.append(number)
            waiting += [inner for _, _, inner in _named(model.subgraphs[number])]
    places = {number: place for place, number in enumerate(kept)}
    made = copy.copy(model)
    made.subgraphs = [_renumbered(model.subgraphs[number], places) for number in kept]
    made.signatureDefs = []
    for each in model.signatureDefs:
        if flatbuffer.text(each.signatureKey) == name:
            signature = copy.copy(each)
            signature.subgraphIndex = 0
            made.signatureDefs.append(signature)
    used = {tensor.buffer for graph in made.subgraphs for tensor in graph.tensors}
    used |= {entry.buffer for entry in model.metadata or []}
    made.buffers = [buffer if i in used else schema.BufferT() for i, buffer in enumerate(model.buffers)]
    return made


def _named(graph: Any) -> Iterator[tuple[Any, str, int]]:
    """(options, field, number) of the subgraphs that a subgraph's operators name."""
    for operator in graph.operators or []:
        for options in (operator.builtinOptions, operator.builtinOptions2):
            for field, value in vars(options).items() if options is not None else ():
                if field.endswith(_NAMES_A_SUBGRAPH) and value >= 0:
                    yield options, field, int(value)


def _renumbered(graph: Any, places: dict[int, int]) -> Any:
    made = copy.copy(graph)
    made.operators = copy.deepcopy(graph.operators)
    for options, field, number in list(_named(made)):
        setattr(options, field, places[number])
    return made
