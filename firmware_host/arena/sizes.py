"""Sizes of TensorFlow Lite Micro's own structures, on a 64-bit host and on a 32-bit device.

The figures are `sizeof` and `alignof` as GCC 12 gives them for TFLM's sources of August 2026, for x86-64 and for a
Cortex-M4 (`arm-none-eabi`, where an enumeration takes as many bytes as it needs). They change only when TFLM's
structures do; the tests hold them against the interpreter's own figures.
"""

from __future__ import annotations

from dataclasses import dataclass

# Operators of TFLM whose kernels keep nothing and take no options.
_NAMES = """
    BATCH_TO_SPACE_ND BROADCAST_ARGS BROADCAST_TO CEIL COS DYNAMIC_UPDATE_SLICE EXP EXPAND_DIMS FILL FLOOR FLOOR_DIV
    FLOOR_MOD GATHER_ND LOG LOGICAL_AND LOGICAL_NOT LOGICAL_OR MAXIMUM MINIMUM NEG READ_VARIABLE REVERSE_V2 ROUND SIN
    SLICE SQRT SQUARE TRANSPOSE ZEROS_LIKE
"""
_PLAIN = frozenset(_NAMES.split())


@dataclass(frozen=True)
class KernelSize:
    """What a kernel keeps, in bytes.

    Attributes:
        data: its own data, made in `Init` (by a few kernels in `Prepare`).
        options: the operator's options, read from the file.
        options_alignment: of these.
        known: whether this is the kernel's own figure, or an allowance for one that is not in the table.
    """

    data: int = 0
    options: int = 0
    options_alignment: int = 1
    known: bool = True


@dataclass(frozen=True)
class Sizes:
    """Sizes of structures on one kind of machine, in bytes. The names are those of TFLM's classes.

    Attributes:
        pointer: of a pointer, and what structures with pointers are aligned to.
        buffer_allocator: SingleArenaBufferAllocator; on the host, the one that records.
        memory_planner: GreedyMemoryPlanner.
        allocator: MicroAllocator; on the host, the one that records.
        options_allocator: MicroBuiltinDataAllocator.
        graph: SubgraphAllocations.
        node: NodeAndRegistration.
        eval_tensor: TfLiteEvalTensor.
        tensor: TfLiteTensor.
        quantization: TfLiteAffineQuantization.
        variables, variable: MicroResourceVariables and MicroResourceVariable.
        allocation_info: AllocationInfo, of which a plan has one for each tensor and scratch buffer.
        scratch_request: ScratchBufferRequest.
        matmul_quantization: QuantizationOpDataBatchMatmul.
    """

    pointer: int
    buffer_allocator: int
    memory_planner: int
    allocator: int
    options_allocator: int
    graph: int
    node: int
    eval_tensor: int
    tensor: int
    quantization: int
    variables: int
    variable: int
    allocation_info: int
    scratch_request: int
    matmul_quantization: int = 28

    def kernel(self, op: str, family: str = "reference") -> KernelSize:
        """What the kernel of an operator keeps; an allowance for one that is not known.

        `family`: of the kernels; those of a vendor are known for a 32-bit device.
        """
        if op in _PLAIN:
            return KernelSize()
        if op not in _KERNELS:
            return _ALLOWANCE
        if self.pointer == 8:
            return KernelSize(*_KERNELS[op][:3])
        data, options, alignment = _KERNELS[op][3:]
        return KernelSize(_VENDOR_DATA.get(family, {}).get(op, data), options, alignment)


# More than any kernel of the table but the LSTM's keeps.
_ALLOWANCE = KernelSize(256, 64, 8, known=False)
# The operator's data, its options and their alignment on x86-64, and the same on a Cortex-M4.
_KERNELS = {
    "ABS": (28, 0, 0, 28, 0, 0),
    "ADD": (60, 8, 4, 60, 2, 1),
    "ADD_N": (40, 0, 0, 40, 0, 0),
    "ARG_MAX": (0, 4, 4, 0, 1, 1),
    "ARG_MIN": (0, 4, 4, 0, 1, 1),
    "ASSIGN_VARIABLE": (4, 0, 0, 4, 0, 0),
    "AVERAGE_POOL_2D": (32, 40, 4, 32, 40, 4),
    "BATCH_MATMUL": (32, 3, 1, 16, 3, 1),
    "CALL_ONCE": (8, 4, 4, 8, 4, 4),
    "CAST": (0, 8, 4, 0, 2, 1),
    "CONCATENATION": (80, 8, 4, 24, 8, 4),
    "CONV_2D": (80, 28, 4, 56, 28, 4),
    "CUMSUM": (36, 2, 1, 36, 2, 1),
    "DEPTHWISE_CONV_2D": (80, 28, 4, 56, 28, 4),
    "DEPTH_TO_SPACE": (0, 4, 4, 0, 4, 4),
    "DEQUANTIZE": (32, 0, 0, 32, 0, 0),
    "DIV": (28, 4, 4, 28, 1, 1),
    "ELU": (256, 0, 0, 256, 0, 0),
    "EMBEDDING_LOOKUP": (16, 0, 0, 8, 0, 0),
    "EQUAL": (32, 0, 0, 32, 0, 0),
    "FULLY_CONNECTED": (72, 32, 8, 48, 24, 8),
    "GATHER": (0, 8, 4, 0, 8, 4),
    "GREATER": (32, 0, 0, 32, 0, 0),
    "GREATER_EQUAL": (32, 0, 0, 32, 0, 0),
    "HARD_SWISH": (20, 0, 0, 20, 0, 0),
    "IF": (8, 8, 4, 8, 8, 4),
    "L2_NORMALIZATION": (4, 4, 4, 4, 1, 1),
    "L2_POOL_2D": (0, 40, 4, 0, 40, 4),
    "LEAKY_RELU": (24, 4, 4, 24, 4, 4),
    "LESS": (32, 0, 0, 32, 0, 0),
    "LESS_EQUAL": (32, 0, 0, 32, 0, 0),
    "LOGISTIC": (16, 0, 0, 16, 0, 0),
    "LOG_SOFTMAX": (40, 0, 0, 28, 0, 0),
    "MAX_POOL_2D": (32, 40, 4, 32, 40, 4),
    "MEAN": (44, 1, 1, 44, 1, 1),
    "MIRROR_PAD": (20, 4, 4, 20, 1, 1),
    "MUL": (36, 4, 4, 36, 1, 1),
    "NOT_EQUAL": (32, 0, 0, 32, 0, 0),
    "PACK": (0, 8, 4, 0, 8, 4),
    "PAD": (56, 0, 0, 56, 0, 0),
    "PADV2": (56, 0, 0, 56, 0, 0),
    "PRELU": (28, 0, 0, 28, 0, 0),
    "QUANTIZE": (32, 0, 0, 32, 0, 0),
    "REDUCE_ALL": (44, 1, 1, 44, 1, 1),
    "REDUCE_MAX": (44, 1, 1, 44, 1, 1),
    "REDUCE_MIN": (44, 1, 1, 44, 1, 1),
    "RELU": (28, 0, 0, 28, 0, 0),
    "RELU6": (8, 0, 0, 8, 0, 0),
    "RESHAPE": (0, 36, 4, 0, 36, 4),
    "RESIZE_BILINEAR": (0, 2, 1, 0, 2, 1),
    "RESIZE_NEAREST_NEIGHBOR": (0, 2, 1, 0, 2, 1),
    "RSQRT": (28, 0, 0, 28, 0, 0),
    "SELECT_V2": (1, 0, 0, 1, 0, 0),
    "SHAPE": (0, 4, 4, 0, 1, 1),
    "SOFTMAX": (80, 4, 4, 56, 4, 4),
    "SPACE_TO_BATCH_ND": (4, 0, 0, 4, 0, 0),
    "SPACE_TO_DEPTH": (0, 4, 4, 0, 4, 4),
    "SPLIT": (0, 4, 4, 0, 4, 4),
    "SPLIT_V": (0, 4, 4, 0, 4, 4),
    "SQUARED_DIFFERENCE": (112, 0, 0, 112, 0, 0),
    "SQUEEZE": (0, 36, 4, 0, 36, 4),
    "STRIDED_SLICE": (84, 24, 4, 84, 24, 4),
    "SUB": (52, 8, 4, 52, 2, 1),
    "SUM": (44, 1, 1, 44, 1, 1),
    "SVDF": (36, 12, 4, 36, 8, 4),
    "TANH": (16, 0, 0, 16, 0, 0),
    "TRANSPOSE_CONV": (88, 20, 4, 72, 16, 4),
    "UNIDIRECTIONAL_SEQUENCE_LSTM": (688, 16, 4, 688, 16, 4),
    "UNPACK": (0, 8, 4, 0, 8, 4),
    "VAR_HANDLE": (4, 16, 8, 4, 8, 4),
    "WHILE": (8, 8, 4, 8, 8, 4),
}
#: The data of a vendor's kernels on a 32-bit device, where they are others than the reference kernel's.
_VENDOR_DATA = {
    "cmsis-nn": {
        "AVERAGE_POOL_2D": 36,
        "BATCH_MATMUL": 36,
        "CONV_2D": 60,
        "DEPTHWISE_CONV_2D": 60,
        "FULLY_CONNECTED": 72,
        "MAX_POOL_2D": 36,
        "SOFTMAX": 64,
        "SVDF": 40,
        "TRANSPOSE_CONV": 76,
        "UNIDIRECTIONAL_SEQUENCE_LSTM": 908,
    },
    "esp-nn": {"CONV_2D": 60, "DEPTHWISE_CONV_2D": 60, "SOFTMAX": 60},
}
#: The Python package of TFLM on a 64-bit host, whose allocator records.
HOST = Sizes(8, 104, 72, 272, 16, 24, 64, 24, 64, 24, 16, 40, 32, 16)
#: A 32-bit device.
DEVICE = Sizes(4, 36, 44, 36, 8, 8, 32, 12, 32, 12, 12, 20, 24, 12)
