"""What networks in C99 take of the flash: constants to the byte, code by what each kernel takes on a Cortex-M4F.

Code was measured: GCC 12.2.1 (arm-none-eabi) for a Cortex-M4F, -O2, each function in a section of its own. Constants
are those of the arrays, and of the descriptions with 32-bit pointers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np

from keras_mtl.firmware_host.c99.networks import CNetwork

#: Code of each function with what it alone calls.
_FUNCTIONS: Mapping[str, int] = {
    "kmtl_nn_conv": 68 + 504,
    "kmtl_nn_conv_any_row": 1_182 + 718,
    "kmtl_nn_conv_transposed": 890,
    "kmtl_nn_conv_wide_row": 1_060,
    "kmtl_nn_dense": 1_484 + 862,
    "kmtl_nn_depthwise": 1_380 + 504,
    "kmtl_nn_fill": 32,
    "kmtl_nn_matmul": 912,
    "kmtl_nn_move": 166,
    "kmtl_nn_pool": 420,
    "kmtl_nn_product": 676,
    "kmtl_nn_reduce": 488,
    "kmtl_nn_requantize": 242,
    "kmtl_nn_sigmoid": 208 + 512,
    "kmtl_nn_softmax_int16": 648,
    "kmtl_nn_softmax_int8": 488,
    "kmtl_nn_sum": 988,
    "kmtl_nn_table": 32,
}
#: The functions of a convolution of its own, a call of a layer, and what is around the calls of a network.
_OWN_BYTES, _CALL_BYTES, _NETWORK_BYTES = 520, 24, 60
#: Bytes of each kind of description on 32 bits.
_DESCRIPTIONS: Mapping[str, int] = {
    "kmtl_nn_conv_t": 88,
    "kmtl_nn_dense_t": 44,
    "kmtl_nn_matmul_t": 68,
    "kmtl_nn_move_t": 52,
    "kmtl_nn_pool_t": 36,
    "kmtl_nn_product_t": 76,
    "kmtl_nn_reduce_t": 84,
    "kmtl_nn_requantize_t": 28,
    "kmtl_nn_sigmoid_t": 12,
    "kmtl_nn_softmax_t": 28,
    "kmtl_nn_sum_t": 88,
}
_CALLED = re.compile(r"\bkmtl_nn_\w+(?=\()")


def constant_bytes(network: CNetwork) -> int:
    """Bytes of a network's constants: arrays that are the same are there once."""
    layers = network.program.layers
    arrays = [array for layer in layers for array in layer.arrays.values()]
    tensors = {
        root.index: root.constant
        for layer in layers
        for root in (network.program.memory_of(source.tensor) for source in layer.sources)
        if root.constant is not None
    }
    found = {(each.dtype.name, each.tobytes()) for each in map(np.ascontiguousarray, (*arrays, *tensors.values()))}
    return sum(len(content) for _, content in found) + sum(_DESCRIPTIONS.get(layer.kind, 0) for layer in layers)


def code_bytes(networks: Sequence[CNetwork]) -> int:
    """Bytes of the code of networks and their kernels, as on a Cortex-M4F."""
    layers = [layer for network in networks for layer in network.program.layers]
    used = {name for layer in layers for name in _CALLED.findall(layer.call)}
    used |= {row for layer in layers if isinstance(row := layer.fields.get("row"), str)}
    own = sum(_OWN_BYTES + _CALL_BYTES if layer.functions[0] else _CALL_BYTES for layer in layers)
    return sum(_FUNCTIONS.get(name, 0) for name in used) + own + _NETWORK_BYTES * len(networks)
