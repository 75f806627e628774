"""What the code of a firmware takes of the flash: an estimate, part by part and operator by operator.

Kernels were measured by linking: TensorFlow Lite Micro 90b983c2 with CMSIS-NN 4ab83cc3 (both of 2026), GCC 12.2.1 for a
Cortex-M4F, -O2, NDEBUG, error strings stripped, what nothing uses left out. Each is what it adds to the interpreter.
The other parts are those of whole firmwares of the same tools. Their code was 143,216 and 128,752 bytes, of streaming
artifacts in int8 and int16x8; by the sums here it is 151,718 and 137,066, since operators share more than is told
apart. A kernel that is not in the table has an allowance, ESP-NN is taken for as large as CMSIS-NN, and any core for
an M4F.
"""

from __future__ import annotations

from typing import Any

from keras_mtl.firmware_host.targets import Target
from keras_mtl.tflite import flatbuffer
from keras_mtl.tflite.artifact import Artifact

#: The interpreter, its allocator and planner, what reads the file, and helpers that every kernel needs.
_INTERPRETER_BYTES = 12_268 + 2_344
#: The C++ around the networks of a bundle, and around each of them.
_GLUE_BYTES, _NETWORK_BYTES = 444, 964
#: The C library and its mathematics, as newlib has them.
_LIBC_BYTES = 8_430
#: Tables of the front end of `mt` (2,048 points, 128 bands): window, twiddle factors and filters.
_FRONT_END_TABLES_BYTES = 25_324
#: The C of a bundle: front end and scene smoother of a file; all of it for a streaming artifact.
_C_BYTES, _LISTENER_BYTES = 5_224, 8_080
#: Parts of CMSIS-NN that several operators share.
_SHARED = {"rows": 3_732, "columns": 2_620, "windows": 3_968}
_ALLOWANCE = (3_000, 0)
#: The reference kernel in place of a library's.
_REFERENCE_BYTES = 2_000
# By operator: kernel and library for int8, for int16, and for all types, where there is a registration of its own for
# them; and which shared parts it uses in 8 bits.
_Sizes = tuple[int, int] | None
_KERNELS: dict[str, tuple[_Sizes, _Sizes, tuple[int, int], tuple[str, ...]]] = {
    "ABS": (None, None, (1116, 0), ()),
    "ADD": ((3184, 1772), (3148, 948), (8128, 2720), ()),
    "ASSIGN_VARIABLE": (None, None, (416, 0), ()),
    "AVERAGE_POOL_2D": ((1528, 1212), (1528, 1212), (2092, 1212), ()),
    "BATCH_MATMUL": ((3832, 324), (3812, 1108), (5588, 1428), ("rows",)),
    "CALL_ONCE": (None, None, (232, 0), ()),
    "CONCATENATION": (None, None, (3476, 0), ()),
    "CONV_2D": ((2004, 616), (2652, 3324), (4064, 3748), ("columns", "windows")),
    "DEPTHWISE_CONV_2D": ((2420, 5256), (2404, 992), (3952, 6172), ()),
    "DEQUANTIZE": (None, None, (940, 0), ()),
    "DIV": (None, None, (6792, 0), ()),
    "EQUAL": (None, None, (7756, 0), ()),
    "FULLY_CONNECTED": ((2252, 4236), (2004, 1072), (3128, 5192), ("rows", "columns")),
    "HARD_SWISH": (None, None, (1548, 0), ()),
    "IF": (None, None, (464, 0), ()),
    "LESS": (None, None, (6632, 0), ()),
    "LOGISTIC": (None, None, (3176, 0), ()),
    "MAX_POOL_2D": ((1360, 1580), (1368, 1580), (1948, 1580), ()),
    "MEAN": (None, None, (3956, 0), ()),
    "MUL": ((4024, 1068), None, (7784, 1068), ()),
    "PACK": (None, None, (1612, 0), ()),
    "PAD": (None, None, (3768, 376), ()),
    "PADV2": (None, None, (3768, 376), ()),
    "PRELU": (None, None, (4008, 0), ()),
    "QUANTIZE": (None, None, (1960, 0), ()),
    "READ_VARIABLE": (None, None, (184, 0), ()),
    "REDUCE_MAX": (None, None, (1736, 0), ()),
    "RELU": (None, None, (1188, 0), ()),
    "RELU6": (None, None, (1080, 0), ()),
    "RESHAPE": (None, None, (532, 0), ()),
    "RSQRT": (None, None, (1832, 0), ()),
    "SLICE": (None, None, (2632, 0), ()),
    "SOFTMAX": ((1396, 3692), (1412, 460), (2132, 4180), ()),
    "SPLIT": (None, None, (1820, 0), ()),
    "SPLIT_V": (None, None, (1904, 0), ()),
    "STRIDED_SLICE": (None, None, (10988, 0), ()),
    "SUB": (None, None, (8956, 0), ()),
    "SUM": (None, None, (3280, 0), ()),
    "SVDF": ((1916, 3028), None, (2772, 3028), ("rows",)),
    "TANH": (None, None, (3224, 0), ()),
    "TRANSPOSE": (None, None, (1660, 560), ()),
    "TRANSPOSE_CONV": ((2136, 3048), None, (4748, 3048), ("windows",)),
    "UNIDIRECTIONAL_SEQUENCE_LSTM": (None, None, (5856, 5912), ()),
    "VAR_HANDLE": (None, None, (396, 0), ()),
    "WHILE": (None, None, (488, 0), ()),
}


def code_parts(artifact: Artifact, target: Target) -> dict[str, int]:
    """Bytes of the code by part: what a bundle of the artifact links for a board, an estimate.

    Returns:
        `interpreter`, each operator with its type as "CONV_2D int8" (its kernel and what it has of the library by
        itself), `kernel library` (what operators share of it), `networks`, `front end` and `listener` (where a bundle
        has them), `libc`. With `interpreter_code_bytes` in the target that is `interpreter` and all kernels.
    """
    kernels = {"interpreter": _INTERPRETER_BYTES, **_kernels(artifact, target.kernels == "reference")}
    if target.interpreter_code_bytes is not None:
        kernels = {"interpreter": target.interpreter_code_bytes}
    found = {**kernels, "networks": _GLUE_BYTES + _NETWORK_BYTES * len(artifact.members)}
    if isinstance(artifact.facts.get("features"), dict):
        found["front end"] = _FRONT_END_TABLES_BYTES + (0 if artifact.streams else _C_BYTES)
    if artifact.streams:
        found["listener"] = _LISTENER_BYTES
    return {**found, "libc": _LIBC_BYTES}


def _kernels(artifact: Artifact, reference: bool) -> dict[str, int]:
    uses: dict[str, set[str]] = {}
    for member in artifact.members.values():
        for graph, operator in flatbuffer.operators(member.model):
            name = flatbuffer.op_name(member.model, operator)
            uses.setdefault(name, set()).add(_type(flatbuffer.op_inputs(graph, operator), flatbuffer.data_input(name)))
    found, shared = {}, set()
    for name, types in sorted(uses.items()):
        kind = next(iter(types)) if len(types) == 1 else ""
        (kernel, library), parts = _sizes(name, kind)
        replaced = _REFERENCE_BYTES if library or parts else 0
        found[f"{name} {kind}".strip()] = kernel + (replaced if reference else library)
        shared |= set(parts)
    if shared and not reference:
        found["kernel library"] = sum(_SHARED[part] for part in shared)
    return found


def _sizes(name: str, kind: str) -> tuple[tuple[int, int], tuple[str, ...]]:
    """Kernel and library of an operator for one type, or for all of them, and the shared parts that it uses."""
    narrow, wide, whole, shared = _KERNELS.get(name, (None, None, _ALLOWANCE, ()))
    typed = {"int8": narrow, "int16": wide}.get(kind)
    return typed or whole, () if kind == "int16" and typed else shared


def _type(inputs: list[Any], place: int) -> str:
    tensor = inputs[place] if place < len(inputs) else None
    return "" if tensor is None else flatbuffer.tensor_dtype(tensor)
