"""The twin of global response normalisation: every step of it is an operator of the file, with a range of its own."""

from __future__ import annotations

from typing import Any

from keras_mtl.models.grn import GRN
from keras_mtl.tflite.fake_quant import FakeQuant
from keras_mtl.tflite.qat_arithmetic import Mean, Product, ReciprocalRoot, Sum
from keras_mtl.tflite.qat_layers import FakeQuantVector
from keras_mtl.tflite.scheme import Scheme


class GrnTwin:
    """Builds the operators of one GRN: y = x (gamma n + 1) + beta, all but the range of y.

    With s_c = mean over time and mel of x_c^2 and q_c = s_c rsqrt(s_c), n_c = q_c r r, r = rsqrt(mean_k q_k). epsilon is
    left out: it is below a step of any range.

    Args:
        scheme: how activations are quantized.
        layer: the float layer.
        name: name of the twin; its operators are called NAME_WHAT.
    """

    def __init__(self, scheme: Scheme, layer: GRN, name: str) -> None:
        self.scheme, self.layer, self.name = scheme, layer, name

    def __call__(self, values: Any, step: Any, rectified: bool) -> Any:
        """A map [batch, time, mel, channels] and its step to y, with a ReLU or without, before its range."""
        square = self._product("square", values, step, values, step, positive=True)
        mean_square = self._mean("mean_square", square[0], (1, 2))
        root = self._product("root", *mean_square, *self._reciprocal_root("reciprocal", *mean_square), positive=True)
        reciprocal = self._reciprocal_root("reciprocal_mean", *self._mean("mean", root[0], (3,)))
        half = self._product("half_normalised", *root, *reciprocal, positive=True)
        normalised = self._product("normalised", *half, *reciprocal, positive=True)
        gamma, beta = self.layer.get_weights()
        scaled = self._product("scaled", *normalised, *self._vector("gamma", gamma, normalised[0]))
        one = FakeQuantVector(1, self.scheme.bits, 1.0, learns=False, name=f"{self.name}_one")(scaled[0])
        gain = self._ranged("gain", Sum(name=f"{self.name}_gain")(scaled[0], others=one[0]))
        amplified = self._product("amplified", values, step, *gain)
        vector, _ = self._vector("beta", beta, amplified[0])
        return Sum(rectified, name=self.name)(amplified[0], others=vector)

    def _product(self, name: str, one: Any, one_step: Any, other: Any, other_step: Any, positive: bool = False) -> Any:
        product = Product(name=f"{self.name}_{name}")
        values, step = product(one, others=other, input_step=one_step, other_step=other_step)
        return self._ranged(name, values, positive, accumulator_step=step)

    def _mean(self, name: str, values: Any, axes: tuple[int, ...]) -> Any:
        return self._ranged(name, Mean(axes, keepdims=True, name=f"{self.name}_{name}")(values), positive=True)

    def _reciprocal_root(self, name: str, values: Any, step: Any) -> Any:
        layer = ReciprocalRoot(name=f"{self.name}_{name}")
        return self._ranged(name, layer(values, input_step=step), positive=True)

    def _vector(self, name: str, weights: Any, values: Any) -> Any:
        layer = FakeQuantVector(len(weights), self.scheme.bits, name=f"{self.name}_{name}")
        given = layer(values)
        layer.set_weights([weights])
        return given

    def _ranged(self, name: str, values: Any, positive: bool = False, **steps: Any) -> Any:
        return FakeQuant.for_scheme(self.scheme, positive, name=f"{self.name}_{name}_range")(values, **steps)
