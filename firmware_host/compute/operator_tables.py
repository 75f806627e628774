"""What runtimes and kernel families have, as data: operators, versions, types; each table with its source and date.

`tests/firmware_host/test_operator_tables.py` asks the installed interpreters for every operator and holds the tables
against these tables.
"""

from __future__ import annotations

# `micro_mutable_op_resolver.h`, commit 90b983c of 20 August 2026; the Python package has the same hundred.
_TFLM = """
    ABS ADD ADD_N ARG_MAX ARG_MIN ASSIGN_VARIABLE AVERAGE_POOL_2D BATCH_MATMUL BATCH_TO_SPACE_ND BROADCAST_ARGS
    BROADCAST_TO CALL_ONCE CAST CEIL CONCATENATION CONV_2D COS CUMSUM DEPTHWISE_CONV_2D DEPTH_TO_SPACE DEQUANTIZE DIV
    DYNAMIC_UPDATE_SLICE ELU EMBEDDING_LOOKUP EQUAL EXP EXPAND_DIMS FILL FLOOR FLOOR_DIV FLOOR_MOD FULLY_CONNECTED
    GATHER GATHER_ND GREATER GREATER_EQUAL HARD_SWISH IF L2_NORMALIZATION L2_POOL_2D LEAKY_RELU LESS LESS_EQUAL LOG
    LOGICAL_AND LOGICAL_NOT LOGICAL_OR LOGISTIC LOG_SOFTMAX MAXIMUM MAX_POOL_2D MEAN MINIMUM MIRROR_PAD MUL NEG
    NOT_EQUAL PACK PAD PADV2 PRELU QUANTIZE READ_VARIABLE REDUCE_ALL REDUCE_MAX REDUCE_MIN RELU RELU6 RESHAPE
    RESIZE_BILINEAR RESIZE_NEAREST_NEIGHBOR REVERSE_V2 ROUND RSQRT SELECT_V2 SHAPE SIN SLICE SOFTMAX SPACE_TO_BATCH_ND
    SPACE_TO_DEPTH SPLIT SPLIT_V SQRT SQUARE SQUARED_DIFFERENCE SQUEEZE STRIDED_SLICE SUB SUM SVDF TANH TRANSPOSE
    TRANSPOSE_CONV UNIDIRECTIONAL_SEQUENCE_LSTM UNPACK VAR_HANDLE WHILE ZEROS_LIKE
"""
#: Builtin operators of TensorFlow Lite Micro, which looks at the operator alone, never at its version.
TFLM_OPERATORS = frozenset(_TFLM.split())
#: Prefix of a custom operator's name in a file (`flatbuffer.op_name`).
CUSTOM = "CUSTOM:"
# The same header: what TFLM calls its custom operators in a file, and the method that registers each.
_TFLM_CUSTOM = """
    CIRCULAR_BUFFER AddCircularBuffer
    SignalDelay AddDelay
    SignalEnergy AddEnergy
    SignalFftAutoScale AddFftAutoScale
    SignalFilterBank AddFilterBank
    SignalFilterBankLog AddFilterBankLog
    SignalFilterBankSpectralSubtraction AddFilterBankSpectralSubtraction
    SignalFilterBankSquareRoot AddFilterBankSquareRoot
    SignalFramer AddFramer
    SignalIrfft AddIrfft
    SignalOverlapAdd AddOverlapAdd
    SignalPCAN AddPCAN
    SignalRfft AddRfft
    SignalStacker AddStacker
    SignalWindow AddWindow
    TFLM_DECODE AddDecode
    TFLite_Detection_PostProcess AddDetectionPostprocess
    ethos-u AddEthosU
"""
_TFLM_CUSTOM_METHODS = {CUSTOM + name: method for name, method in map(str.split, _TFLM_CUSTOM.strip().splitlines())}
#: Custom operators of TensorFlow Lite Micro, as `flatbuffer.op_name` has them.
TFLM_CUSTOM_OPERATORS = frozenset(_TFLM_CUSTOM_METHODS)
#: Those that run on a neural processing unit and have no kernel on any host.
NPU_OPERATORS = frozenset({"CUSTOM:ethos-u"})
# Whose method is not simply the operator's name in camel case.
_OTHER_METHODS = {
    "BATCH_MATMUL": "AddBatchMatMul",
    "CUMSUM": "AddCumSum",
    "PADV2": "AddPadV2",
    "UNIDIRECTIONAL_SEQUENCE_LSTM": "AddUnidirectionalSequenceLSTM",
}


def _camel_case(name: str) -> str:
    return "".join(part if part[0].isdigit() else part.capitalize() for part in name.split("_"))


#: The method of TFLM's `MicroMutableOpResolver` that registers an operator.
RESOLVER_METHODS = {
    **{name: _OTHER_METHODS.get(name) or f"Add{_camel_case(name)}" for name in TFLM_OPERATORS},
    **_TFLM_CUSTOM_METHODS,
}

# As the interpreter of tflite-runtime 2.14.0 (2023) reported for every operator of the schema and versions 1 to 13.
_TFLITE_RUNTIME = """
    1 ADD_N ASSIGN_VARIABLE ATAN2 BITCAST BITWISE_XOR BROADCAST_ARGS BUCKETIZE CALL_ONCE CEIL COMPLEX_ABS CONV_3D
    1 CONV_3D_TRANSPOSE COS CUMSUM DENSIFY DYNAMIC_UPDATE_SLICE ELU EMBEDDING_LOOKUP_SPARSE EXPAND_DIMS FLOOR HARD_SWISH
    1 HASHTABLE HASHTABLE_FIND HASHTABLE_IMPORT HASHTABLE_LOOKUP HASHTABLE_SIZE IF IMAG L2_POOL_2D
    1 LOCAL_RESPONSE_NORMALIZATION LOG LOGICAL_AND LOGICAL_NOT LOGICAL_OR LSH_PROJECTION MATRIX_DIAG MATRIX_SET_DIAG
    1 MULTINOMIAL NEG NON_MAX_SUPPRESSION_V4 NON_MAX_SUPPRESSION_V5 ONE_HOT POW PRELU RANDOM_STANDARD_NORMAL
    1 RANDOM_UNIFORM RANK READ_VARIABLE REAL REDUCE_ALL REDUCE_ANY RELU_0_TO_1 RELU_N1_TO_1 RESHAPE REVERSE_SEQUENCE
    1 RFFT2D RIGHT_SHIFT ROUND SCATTER_ND SEGMENT_SUM SHAPE SIN SKIP_GRAM SQRT SQUARE UNIQUE UNSORTED_SEGMENT_MAX
    1 UNSORTED_SEGMENT_MIN UNSORTED_SEGMENT_PROD UNSORTED_SEGMENT_SUM VAR_HANDLE WHILE ZEROS_LIKE
    2 DEPTH_TO_SPACE DIV EXP FAKE_QUANT FLOOR_MOD GELU GREATER L2_NORMALIZATION LEAKY_RELU LESS_EQUAL LOG_SOFTMAX RANGE
    2 REDUCE_PROD RSQRT SELECT_V2 SIGN SPACE_TO_DEPTH SPLIT_V SQUARED_DIFFERENCE SQUEEZE SUM WHERE
    3 ARG_MAX ARG_MIN AVERAGE_POOL_2D BIDIRECTIONAL_SEQUENCE_LSTM BIDIRECTIONAL_SEQUENCE_RNN BROADCAST_TO
    3 EMBEDDING_LOOKUP FLOOR_DIV GREATER_EQUAL LESS LOGISTIC MAX_POOL_2D MEAN MIRROR_PAD NOT_EQUAL QUANTIZE REDUCE_MAX
    3 REDUCE_MIN RELU RELU6 REVERSE_V2 RNN SOFTMAX SPARSE_TO_DENSE TANH TILE TOPK_V2 UNIDIRECTIONAL_SEQUENCE_RNN
    4 BATCH_MATMUL BATCH_TO_SPACE_ND CONCATENATION EQUAL FILL GATHER_ND LSTM MAXIMUM MINIMUM PACK PAD PADV2
    4 RESIZE_BILINEAR RESIZE_NEAREST_NEIGHBOR SELECT SPACE_TO_BATCH_ND SPLIT SVDF TRANSPOSE_CONV
    4 UNIDIRECTIONAL_SEQUENCE_LSTM UNPACK
    5 ABS ADD CAST DEQUANTIZE SUB
    6 GATHER SLICE TRANSPOSE
    7 CONV_2D DEPTHWISE_CONV_2D MUL
    8 STRIDED_SLICE
    10 FULLY_CONNECTED
"""
#: Highest version of each operator that tflite-runtime 2.14 takes; an operator that is not here it lacks.
TFLITE_RUNTIME_VERSIONS = {
    name: int(version)
    for version, *names in (line.split() for line in _TFLITE_RUNTIME.strip().splitlines())
    for name in names
}

_CMSIS_NN = """
    ADD AVERAGE_POOL_2D BATCH_MATMUL CONV_2D DEPTHWISE_CONV_2D FULLY_CONNECTED MAX_POOL_2D MUL SOFTMAX
    UNIDIRECTIONAL_SEQUENCE_LSTM
"""
_CMSIS_NN_INT8 = "MAXIMUM MINIMUM PAD PADV2 SVDF TRANSPOSE TRANSPOSE_CONV"
_ESP_NN = "ADD AVERAGE_POOL_2D CONV_2D DEPTHWISE_CONV_2D FULLY_CONNECTED MAX_POOL_2D MUL SOFTMAX"
_MOVES_DATA = """
    BROADCAST_TO CONCATENATION EXPAND_DIMS FILL GATHER PACK QUANTIZE RESHAPE SHAPE SLICE SPLIT SPLIT_V SQUEEZE
    STRIDED_SLICE UNPACK ZEROS_LIKE
"""
#: Types of the first input that TFLM's folder `kernels/cmsis_nn` (the same commit) hands to CMSIS-NN. Others run TFLM's
#: own reference kernels. int16 DEPTHWISE_CONV_2D calls CMSIS-NN's generic function, a slow one.
CMSIS_NN_TYPES = {
    **dict.fromkeys(_CMSIS_NN.split(), ("int8", "int16")),
    **dict.fromkeys(_CMSIS_NN_INT8.split(), ("int8",)),
}
#: The same of esp-tflite-micro's folder `kernels/esp_nn`, commit 99f49e1 of 14 August 2026.
ESP_NN_TYPES = dict.fromkeys(_ESP_NN.split(), ("int8",))
#: Operators that only move or rename data: not worth a note where they run plain C.
MOVES_DATA = frozenset(_MOVES_DATA.split())
