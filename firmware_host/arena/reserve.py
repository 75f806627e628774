"""What an arena gets on a device beyond what the host measured: room for scratch buffers and records of its kernels."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from keras_mtl.firmware_host.compute import OpRow

#: The arena on a device was found within this of the host's figure (CMSIS-NN's scratch buffers).
ARENA_RESERVE_BYTES = 5 * 1024
#: Of networks without: CMSIS-NN's records of an operator are some bytes larger than those of the reference kernels.
SMALL_RESERVE_BYTES = 1024
#: TensorFlow Lite Micro aligns its arena to this.
_ALIGNMENT_BYTES = 16
#: Operators for which CMSIS-NN asks for scratch buffers; of dense layers only those of 8 bits.
_WITH_SCRATCH = {
    "AVERAGE_POOL_2D",
    "BATCH_MATMUL",
    "CONV_2D",
    "DEPTHWISE_CONV_2D",
    "SVDF",
    "TRANSPOSE_CONV",
    "UNIDIRECTIONAL_SEQUENCE_LSTM",
}


def arena_reserve_bytes(rows: Sequence[OpRow]) -> int:
    """Bytes that a network's arena may need on a device beyond what was measured on the host.

    Args:
        rows: the network's operators.
    """
    dense = any(row.op == "FULLY_CONNECTED" and row.input_dtypes[0] == "int8" for row in rows)
    scratch = dense or any(row.op in _WITH_SCRATCH for row in rows)
    return ARENA_RESERVE_BYTES if scratch else SMALL_RESERVE_BYTES


def shared_reserve_bytes(networks: Iterable[Sequence[OpRow]]) -> int:
    """The same of one arena that several networks share.

    Scratch buffers of a device's kernels lie in what is shared, so that the largest reserve is enough for them; of the
    other networks only the records of their operators may be larger.

    Args:
        networks: the operators of each; at least one network.
    """
    reserves = [arena_reserve_bytes(rows) for rows in networks]
    return max(reserves) + (len(reserves) - 1) * SMALL_RESERVE_BYTES


def arena_setting_bytes(measured: int, reserve: int) -> int:
    """Bytes to give the arena: what was measured on the host, plus the reserve, rounded up to the alignment."""
    return math.ceil((measured + reserve) / _ALIGNMENT_BYTES) * _ALIGNMENT_BYTES
