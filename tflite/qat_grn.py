"""The twin of global response normalisation: every step of it is an operator of the file, with a range of its own."""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_mtl.models.grn import GRN
from keras_mtl.tflite.fake_quant import FakeQuant
from keras_mtl.tflite.qat_arithmetic import Mean, Product
from keras_mtl.tflite.qat_layers import FakeQuantDepthwiseConv2D
from keras_mtl.tflite.qat_root import ReciprocalRoot
from keras_mtl.tflite.scheme import Scheme

#: gamma starts at 0. Finer levels than those of +-0.01 would cut the 1 that is added, in 32 bits.
_SMALLEST_GAMMA_LIMIT = 0.01
#: Channels with less than 1/8 of the loudest one's amplitude, and maps with less than 1/16 of the loudest map's, are
#: taken for quieter than they are: the levels of 1 / sqrt(x) go to the louder ones.
_LEAST_MEAN_SQUARE = 4
_LEAST_MEAN = 16
#: Means go through 8 bits, which have little to spare for headroom.
_ROOM_OF_MEANS = 1.25


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

    def __call__(self, values: Any, step: Any, rectified: bool) -> Any:
        """A map [batch, time, mel, channels] and its step to y, with a ReLU or without, and its accumulators' steps."""
        square = self._product("square", values, step, values, step, positive=True)
        mean_square = self._mean("mean_square", *square, (1, 2))
        reciprocal = self._reciprocal_root("reciprocal", *mean_square, _LEAST_MEAN_SQUARE)
        root = self._product("root", *mean_square, *reciprocal, positive=True)
        reciprocal = self._reciprocal_root("reciprocal_mean", *self._mean("mean", *root, (3,)), _LEAST_MEAN)
        half = self._product("half_normalised", *root, *reciprocal, positive=True)
        normalised = self._product("normalised", *half, *reciprocal, positive=True)
        gamma, beta = self.layer.get_weights()
        scale = FakeQuantDepthwiseConv2D(1, _SMALLEST_GAMMA_LIMIT, name=f"{self.name}_gain")
        gain, gain_step = scale(normalised[0], input_step=normalised[1])
        scale.set_weights([gamma[None, None, :, None], np.ones_like(gamma)])
        amplified = self._product("amplified", values, step, *self._ranged(scale, gain, accumulator_step=gain_step))
        shift = FakeQuantDepthwiseConv2D(1, activation="relu" if rectified else None, name=self.name)
        shifted = shift(amplified[0], input_step=amplified[1])
        shift.set_weights([np.ones((1, 1, len(beta), 1)), beta])
        return shifted

    def _product(self, name: str, one: Any, one_step: Any, other: Any, other_step: Any, positive: bool = False) -> Any:
        product = Product(name=f"{self.name}_{name}")
        values, step = product(one, others=other, input_step=one_step, other_step=other_step)
        # The 16-bit kernel multiplies by 32 bits, and once: nothing to imitate.
        steps = {"accumulator_step": step} if self.scheme.bits == 8 else {}
        return self._ranged(product, values, positive, **steps)

    def _mean(self, name: str, values: Any, step: Any, axes: tuple[int, ...]) -> Any:
        layer = Mean(axes, name=f"{self.name}_{name}")
        options = {"headroom": min(self.scheme.headroom, _ROOM_OF_MEANS), "divisor": layer.divisor(values.shape)}
        return self._ranged(layer, layer(values), True, options, accumulator_step=step)

    def _reciprocal_root(self, name: str, values: Any, step: Any, least: int) -> Any:
        """1 / sqrt(x); for 16 bits with a step of Newton's after it, r (1.5 - 0.5 x r r)."""
        layer = ReciprocalRoot(self.scheme.bits, least, name=f"{self.name}_{name}")
        root = layer(values, input_step=step)
        if self.scheme.bits == 8:
            return root
        square = self._product(f"{name}_square", *root, *root, positive=True)
        unity = self._product(f"{name}_unity", values, step, *square, positive=True)
        channels = values.shape[-1]
        correct = FakeQuantDepthwiseConv2D(1, name=f"{layer.name}_correction")
        correction, correction_step = correct(unity[0], input_step=unity[1])
        correct.set_weights([np.full((1, 1, channels, 1), -0.5), np.full(channels, 1.5)])
        correct.trainable = False
        corrected = self._ranged(correct, correction, accumulator_step=correction_step)
        return self._product(f"{name}_better", *root, *corrected, positive=True)

    def _ranged(
        self, layer: Any, values: Any, positive: bool = False, options: dict[str, Any] | None = None, **steps: Any
    ) -> Any:
        range_of = FakeQuant.for_scheme(self.scheme, positive, name=f"{layer.name}_range", **(options or {}))
        return range_of(values, **steps)
