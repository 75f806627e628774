"""The resolver of a network as source: the operators of all its subgraphs, and no other; and a check of that list."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from ai_edge_litert import schema_py_generated as schema

from keras_mtl.core import VerdictFailed
from keras_mtl.firmware_host.c99 import identifier, opening
from keras_mtl.firmware_host.compute import RESOLVER_METHODS
from keras_mtl.tflite import flatbuffer
from keras_mtl.tflite.artifact import Artifact, Member

#: Operators that have typed registrations, and for which type of the data. Weights have 8 bits, the other factor of
#: BATCH_MATMUL and the other part of a sum or product the type of the first.
_TYPED = {
    "ADD": ("int8", "int16"),
    "AVERAGE_POOL_2D": ("int8", "int16"),
    "BATCH_MATMUL": ("int8", "int16"),
    "CONV_2D": ("int8", "int16"),
    "DEPTHWISE_CONV_2D": ("int8", "int16"),
    "FULLY_CONNECTED": ("int8", "int16"),
    "MAX_POOL_2D": ("int8", "int16"),
    "MUL": ("int8",),
    "SOFTMAX": ("int8", "int16"),
    "SVDF": ("int8",),
    "TRANSPOSE_CONV": ("int8",),
}
#: The places of data and weights among the inputs. A kernel that is registered for weights of 8 bits reads those of 4
#: bits wrong: they have registrations of their own where there are any.
_WEIGHTED = {
    "CONV_2D": (0, 1),
    "DEPTHWISE_CONV_2D": (0, 1),
    "FULLY_CONNECTED": (0, 1),
    "SVDF": (0, 1),
    "TRANSPOSE_CONV": (2, 1),
}
_WITH_INT4 = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
_OF_ONE_TYPE = ("ADD", "BATCH_MATMUL", "MUL")
#: The signal library's: what their registrations begin with, and the ends by the type of the input.
_SIGNAL = {"CUSTOM:SignalRfft": "RFFT", "CUSTOM:SignalIrfft": "IRFFT"}
_SIGNAL_TYPES = {"float32": "FLOAT", "int16": "INT16", "int32": "INT32"}
_CALL = re.compile(r"resolver->(\w+)\(")


def registrations(model: Any) -> tuple[str, ...]:
    """The calls that register a file's operators, as "AddConv2D(tflite::Register_CONV_2D_INT8())", sorted by operator.

    Those of the branches of an IF and of what runs once at the start are among them: TensorFlow Lite Micro looks for
    the operators of all subgraphs when it loads a file.

    Args:
        model: the object tree of the file.

    Raises:
        VerdictFailed: an operator that TensorFlow Lite Micro has no registration for.
    """
    uses: dict[str, set[str]] = {}
    for graph, operator in flatbuffer.operators(model):
        op = flatbuffer.op_name(model, operator)
        if op not in RESOLVER_METHODS:
            raise VerdictFailed(f"no resolver can be written for operator {op}", hint="convert the network without it")
        ends = (flatbuffer.op_inputs(graph, operator), flatbuffer.op_outputs(graph, operator))
        inputs, outputs = (["-" if t is None else flatbuffer.tensor_dtype(t) for t in tensors] for tensors in ends)
        uses.setdefault(op, set()).add(_typed(op, inputs, outputs))
    return tuple(f"{RESOLVER_METHODS[op]}({each.pop() if len(each) == 1 else ''})" for op, each in sorted(uses.items()))


def resolver_header(name: str, model: Any, file: str = "model_resolver.h") -> str:
    """The text of a resolver's header (C++)."""
    calls, variables = registrations(model), len(flatbuffer.resource_variables(model))
    guard = f"KERAS_MTL_{name}_{identifier(file)}_".upper()
    adds = "\n".join(f"  if (resolver->{call} != kTfLiteOk) {{\n    return kTfLiteError;\n  }}" for call in calls)
    return f"""{opening(f"The {len(calls)} operators that {name} uses, and no other (C++).")}#ifndef {guard}
#define {guard}

#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"

namespace keras_mtl {{
namespace {name} {{

using OpResolver = tflite::MicroMutableOpResolver<{len(calls)}>;

/* Variables that keep their values from one inference to the next, for tflite::MicroResourceVariables::Create. */
constexpr int kResourceVariables = {variables};

inline TfLiteStatus RegisterOperators(OpResolver* resolver) {{
{adds}
  return kTfLiteOk;
}}

}}  // namespace {name}
}}  // namespace keras_mtl

#endif  // {guard}
"""


def restricted(artifact: Artifact) -> Artifact:
    """The artifact as a firmware runs it: with the operators that its resolvers' texts register, and no other.

    The interpreter on this host has all operators. So what a resolver does not register becomes an operator that no
    interpreter has, named after it: where the interpreter asks for it, the file does not start.
    """
    return replace(artifact, members={name: _restricted(member) for name, member in artifact.members.items()})


def _restricted(member: Member) -> Member:
    operators = {method: op for op, method in RESOLVER_METHODS.items()}
    calls = _CALL.findall(resolver_header("network", member.model))
    model = flatbuffer.read_model(member.content)
    named = [(code, flatbuffer.code_name(code)) for code in model.operatorCodes]
    missing = [(code, name) for code, name in named if name not in {operators[method] for method in calls}]
    for code, name in missing:
        code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM
        code.customCode = f"{name} (not in the resolver)"
    return replace(member, content=flatbuffer.write_model(model), model=model) if missing else member


def _typed(op: str, inputs: list[str], outputs: list[str]) -> str:
    """The registration for the types of one use; empty where there is none but that for all types."""
    return next(_registrations(op, inputs, outputs), "")


def _registrations(op: str, inputs: list[str], outputs: list[str]) -> Iterator[str]:
    place, weights = _WEIGHTED.get(op, (0, 0))
    source = inputs[place] if place < len(inputs) else "-"
    if op in _SIGNAL and source in _SIGNAL_TYPES:
        yield f"tflite::tflm_signal::Register_{_SIGNAL[op]}_{_SIGNAL_TYPES[source]}()"
    if source not in _TYPED.get(op, ()) or outputs[:1] != [source]:
        return
    if op in _OF_ONE_TYPE and inputs[1:2] != [source]:
        return
    kept = inputs[weights] if op in _WEIGHTED else "int8"
    if kept == "int8":
        yield f"tflite::Register_{op}_{source.upper()}()"
    elif (kept, source) == ("int4", "int8") and op in _WITH_INT4:
        yield f"tflite::Register_{op}_INT4()"
