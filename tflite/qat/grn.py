"""The twin of global response normalisation: every step of it is an operator of the file, with a range of its own."""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_mtl.models import GRN
from keras_mtl.tflite.qat.arithmetic import Mean, Product, ReciprocalRoot
from keras_mtl.tflite.qat.fake_quant import FakeQuant
from keras_mtl.tflite.qat.layers import FakeQuantDepthwiseConv2D
from keras_mtl.tflite.qat.scheme import Scheme

#: gamma starts at 0. Finer levels than those of +-0.01 would cut the 1 that is added, in 32 bits.
_SMALLEST_GAMMA_LIMIT = 0.01
#: Level of 255 where 1 / sqrt(x) ends: what is smaller is taken for quieter than it is. Channels of one map differ by
#: far more than maps do; so theirs begins at 1/16 of the loudest one's amplitude, and that of maps at 1/64 of the mean.
_LEAST_MEAN_SQUARE = 1
_LEAST_MEAN = 4
#: Means go through 8 bits, which have little to spare for headroom.
_ROOM_OF_MEANS = 1.25

#: Values and the step of their levels.
Pair = tuple[Any, Any]


class GrnTwin:
    """Builds the operators of one GRN: y = x (gamma n + 1) + beta, all but the range of y.

    With s_c = mean over time and mel of x_c^2 and q_c = s_c rsqrt(s_c), n_c = q_c r r, r = rsqrt(mean_k q_k). epsilon
    is left out: it is below a step of any range.

    gamma n + 1 and the addition of beta are depthwise 1 x 1 convolutions with a bias: in int16x8 the converter adds
    neither constants nor signals of different shapes. The weights of the second one start at 1.

    Args:
        scheme: how activations are quantized.
        layer: the float layer.
        name: name of the twin; its operators are called NAME_WHAT.
    """

    def __init__(self, scheme: Scheme, layer: GRN, name: str) -> None:
        self.scheme, self.layer, self.name = scheme, layer, name

    def __call__(self, map_: Pair, rectified: bool) -> Pair:
        """A map [batch, time, mel, channels] and its step to y, with a ReLU or without, and its accumulators' steps."""
        square = self._product("square", map_, map_, positive=True)
        mean_square = self._mean("mean_square", square, (1, 2))
        reciprocal = self._reciprocal_root("reciprocal", mean_square, _LEAST_MEAN_SQUARE)
        root = self._product("root", mean_square, reciprocal, positive=True)
        reciprocal = self._reciprocal_root("reciprocal_mean", self._mean("mean", root, (3,)), _LEAST_MEAN)
        half = self._product("half_normalised", root, reciprocal, positive=True)
        normalised = self._product("normalised", half, reciprocal, positive=True)
        gamma, beta = self.layer.get_weights()
        scale = FakeQuantDepthwiseConv2D(1, _SMALLEST_GAMMA_LIMIT, name=f"{self.name}_gain")
        gain = self._convolved(scale, normalised, gamma, np.ones_like(gamma))
        amplified = self._product("amplified", map_, gain)
        shift = FakeQuantDepthwiseConv2D(1, activation="relu" if rectified else None, name=self.name)
        shifted = shift(amplified[0], input_step=amplified[1])
        shift.set_weights([np.ones((1, 1, len(beta), 1)), beta])
        return shifted

    def _product(self, name: str, one: Pair, other: Pair, positive: bool = False) -> Pair:
        product = Product(name=f"{self.name}_{name}")
        values, step = product(one[0], others=other[0], input_step=one[1], other_step=other[1])
        # The 16-bit kernel multiplies by 32 bits, and once: nothing to imitate.
        return self._ranged(product, values, step if self.scheme.bits == 8 else None, positive)

    def _mean(self, name: str, signal: Pair, axes: tuple[int, ...]) -> Pair:
        layer = Mean(axes, name=f"{self.name}_{name}")
        values, step = signal
        headroom, divisor = min(self.scheme.headroom, _ROOM_OF_MEANS), layer.divisor(values.shape)
        return self._ranged(layer, layer(values), step, True, headroom=headroom, divisor=divisor)

    def _reciprocal_root(self, name: str, signal: Pair, least: int) -> Pair:
        """1 / sqrt(x); for 16 bits with a step of Newton's after it, r (1.5 - 0.5 x r r)."""
        layer = ReciprocalRoot(self.scheme.bits, least, name=f"{self.name}_{name}")
        root = layer(signal[0], input_step=signal[1])
        if self.scheme.bits == 8:
            return root
        square = self._product(f"{name}_square", root, root, positive=True)
        unity = self._product(f"{name}_unity", signal, square, positive=True)
        correction = FakeQuantDepthwiseConv2D(1, name=f"{layer.name}_correction")
        channels = unity[0].shape[-1]
        corrected = self._convolved(correction, unity, np.full(channels, -0.5), np.full(channels, 1.5))
        correction.trainable = False
        return self._product(f"{name}_better", root, corrected, positive=True)

    def _convolved(self, layer: Any, signal: Pair, weights: np.ndarray, bias: np.ndarray) -> Pair:
        values, step = layer(signal[0], input_step=signal[1])
        layer.set_weights([weights[None, None, :, None], bias])
        return self._ranged(layer, values, step)

    def _ranged(self, layer: Any, values: Any, step: Any, positive: bool = False, **options: Any) -> Pair:
        range_of = FakeQuant.for_scheme(self.scheme, positive, name=f"{layer.name}_range", **options)
        return range_of(values) if step is None else range_of(values, accumulator_step=step)
