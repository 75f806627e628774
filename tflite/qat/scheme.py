"""The two quantization schemes, and the arithmetic of a range (no TensorFlow here).

`int8`: 8-bit asymmetric activations. `int16x8`: 16-bit symmetric activations. In both, weights are 8-bit symmetric
without -128, one scale for each output channel of a convolution and one for the whole of a dense layer (CMSIS-NN's
int16x8 FULLY_CONNECTED takes no other), and biases are integers at scale input x weight.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from keras_mtl.core import ConversionError

#: Kinds of file that `convert` makes.
FORMATS = ("float32", "float16", "int8", "int16x8")


@dataclass(frozen=True)
class Scheme:
    """How activations are quantized.

    Attributes:
        name: "int8" or "int16x8".
        bits: bits of an activation.
        symmetric: whether the range is +-limit with zero point 0, and the lowest integer is not used.
        headroom: factor from the largest calibrated value to the end of the range. 16 bits can spend one on values
            louder than any that was calibrated; 8 bits can't.
        output_headroom: the same for the logits. 16-bit kernels of tanh and softmax are good for some 12 bits; finer
            steps of the output would only show where engines round differently.
        learning: how the ranges change in training, one of `LEARNING`.
    """

    name: str
    bits: int
    symmetric: bool
    headroom: float
    output_headroom: float
    learning: str = "gradient"


#: How ranges change in training: by their gradient, where they clip ("PACT"), or as a moving average of the extremes.
LEARNING = ("gradient", "moving_average")

SCHEMES = {
    "int8": Scheme("int8", bits=8, symmetric=False, headroom=1.0, output_headroom=1.0),
    "int16x8": Scheme("int16x8", bits=16, symmetric=True, headroom=2.0, output_headroom=8.0),
}


def scheme_of(name: str, learning: str = "gradient") -> Scheme:
    """A scheme by its name, with ranges that change in training one way or the other.

    Raises:
        ConversionError: an unknown scheme, or an unknown way.
    """
    for value, known, what in ((name, tuple(SCHEMES), "scheme"), (learning, LEARNING, "way for ranges to learn")):
        if value not in known:
            raise ConversionError(f"unknown {what} {value!r}", hint=f"one of {', '.join(known)}")
    return replace(SCHEMES[name], learning=learning)


def scale_and_zero_point(low: float, high: float, bits: int, symmetric: bool) -> tuple[float, int]:
    """Scale (rounded to float32, as in the file) and zero point of a signed integer range.

    Args:
        low: real value of the lowest level, at most 0.
        high: real value of the highest level, above 0.
        bits: bits of the integer.
        symmetric: whether the lowest integer is left out.
    """
    lowest = -(2 ** (bits - 1)) + int(symmetric)
    highest = 2 ** (bits - 1) - 1
    scale = (float(high) - float(low)) / (highest - lowest)
    zero_point = int(np.clip(np.floor(lowest - float(low) / scale + 0.5), lowest, highest))
    return float(np.float32(scale)), zero_point
