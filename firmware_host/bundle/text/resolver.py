"""The operator resolver: exactly the operators of a file, with typed registrations where there are any.

A typed registration links the kernel of one type only, about 30 KB of code less in all. Names are those of
`micro_mutable_op_resolver.h` and `micro/kernels/*.h` of TensorFlow Lite Micro as of August 2026.
"""

from __future__ import annotations

from collections.abc import Sequence

from keras_mtl.core import VerdictFailed
from keras_mtl.firmware_host.bundle.source import identifier, opening
from keras_mtl.firmware_host.compute import OpRow

#: Operators whose method is not simply their name in camel case.
_METHODS = {
    "BATCH_MATMUL": "AddBatchMatMul",
    "CUMSUM": "AddCumSum",
    "PADV2": "AddPadV2",
    "UNIDIRECTIONAL_SEQUENCE_LSTM": "AddUnidirectionalSequenceLSTM",
}
#: Operators that have typed registrations, and for which types of the first input.
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


def registrations(rows: Sequence[OpRow]) -> tuple[str, ...]:
    """The calls that register a file's operators, as "AddConv2D(tflite::Register_CONV_2D_INT8())", sorted by operator.

    Args:
        rows: the operators of the file.

    Raises:
        VerdictFailed: a custom operator, which the firmware's author has to bring.
    """
    calls = []
    for op in sorted({row.op for row in rows}):
        if op.startswith(("CUSTOM:", "UNKNOWN_")):
            raise VerdictFailed(f"no resolver can be written for operator {op}", hint="convert the network without it")
        uses = {(row.input_dtypes[0] if row.input_dtypes else "-", row.output_dtype) for row in rows if row.op == op}
        source, result = next(iter(uses))
        typed = len(uses) == 1 and source in _TYPED.get(op, ()) and source == result
        calls.append(f"{_method(op)}({f'tflite::Register_{op}_{source.upper()}()' if typed else ''})")
    return tuple(calls)


def resolver_header(name: str, rows: Sequence[OpRow], file: str = "model_resolver.h") -> str:
    """The text of a resolver's header (C++).

    Args:
        name: the model's identifier.
        rows: the operators of the file.
        file: the header's name, for the include guard.
    """
    calls = registrations(rows)
    guard = f"KERAS_MTL_{name}_{identifier(file)}_".upper()
    adds = "\n".join(f"  if (resolver->{call} != kTfLiteOk) {{\n    return kTfLiteError;\n  }}" for call in calls)
    return f"""{opening(f"The {len(calls)} operators that {name} uses, and no other (C++).")}#ifndef {guard}
#define {guard}

#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"

namespace keras_mtl {{
namespace {name} {{

using OpResolver = tflite::MicroMutableOpResolver<{len(calls)}>;

inline TfLiteStatus RegisterOperators(OpResolver* resolver) {{
{adds}
  return kTfLiteOk;
}}

}}  // namespace {name}
}}  // namespace keras_mtl

#endif  // {guard}
"""


def _method(op: str) -> str:
    parts = (part if part[0].isdigit() else part.capitalize() for part in op.split("_"))
    return _METHODS.get(op) or "Add" + "".join(parts)
