"""Small networks of every kind of layer, with uneven weights, and what holds their twins against the engines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from keras_mtl import qat
from keras_mtl.firmware_host.engines import run
from keras_mtl.tflite.artifact import Artifact

layers = keras.layers
MAP, ROW, FLAT = (6, 5, 3), (7, 4), (11,)


#: Functions that are tables.
TABLES = ("selu", "celu", "gelu", "softplus", "softsign", "exponential", "mish")


def two(layer: Any) -> Callable[[Any], Any]:
    """A layer of two inputs, of a signal and a convolution of it."""
    return lambda x: layer([x, layers.Conv2D(x.shape[-1], 1)(x)])


#: Every kind, by a name: the shape of its input, and the layers, or a function of the input.
KINDS: dict[str, tuple[tuple[int, ...], Callable[[], Sequence[Any]]]] = {
    "conv2d": (MAP, lambda: [layers.Conv2D(5, 3, 2, padding="same")]),
    "conv2d_bn_relu": (MAP, lambda: [layers.Conv2D(4, (3, 2)), layers.BatchNormalization(), layers.ReLU()]),
    "conv2d_dilated_relu6": (MAP, lambda: [layers.Conv2D(4, 2, dilation_rate=2), layers.ReLU(6)]),
    "depthwise2d": (MAP, lambda: [layers.DepthwiseConv2D(3, 2, padding="same", depth_multiplier=2)]),
    "separable2d": (MAP, lambda: [layers.SeparableConv2D(4, 3, 2, padding="same")]),
    "transpose_same": (MAP, lambda: [layers.Conv2DTranspose(4, 3, 2, padding="same")]),
    "transpose_valid": (MAP, lambda: [layers.Conv2DTranspose(4, (3, 4), (2, 1)), layers.ReLU()]),
    "conv1d": (ROW, lambda: [layers.Conv1D(5, 3, 2, padding="same"), layers.BatchNormalization(), layers.ReLU()]),
    "conv1d_causal": (ROW, lambda: [layers.Conv1D(5, 2, padding="causal", dilation_rate=2)]),
    "depthwise1d": (ROW, lambda: [layers.DepthwiseConv1D(3, 2, padding="same")]),
    "separable1d": (ROW, lambda: [layers.SeparableConv1D(4, 3, padding="same")]),
    "dense": (FLAT, lambda: [layers.Dense(5)]),
    "dense_steps": (ROW, lambda: [layers.Dense(5, activation="relu")]),
    "normalization": (MAP, lambda: [layers.BatchNormalization()]),
    "normalization_flat": (FLAT, lambda: [layers.BatchNormalization(scale=False), layers.ReLU()]),
    "rescaling": (ROW, lambda: [layers.Rescaling(0.5, 0.1)]),
    "max_pool": (MAP, lambda: [layers.MaxPooling2D((3, 2), (2, 3), padding="same")]),
    "average_pool": (MAP, lambda: [layers.AveragePooling2D((3, 2), (2, 3), padding="same")]),
    "max_pool1d": (ROW, lambda: [layers.MaxPooling1D(3, 2)]),
    "average_pool1d": (ROW, lambda: [layers.AveragePooling1D(3, 2, padding="same")]),
    "global_average": (MAP, lambda: [layers.GlobalAveragePooling2D()]),
    "global_average1d": (ROW, lambda: [layers.GlobalAveragePooling1D(keepdims=True)]),
    "global_max": (MAP, lambda: [layers.GlobalMaxPooling2D()]),
    "moves": (MAP, lambda: [layers.Permute((3, 1, 2)), layers.Reshape((5, -1)), layers.Flatten()]),
    "pad_crop": (MAP, lambda: [layers.ZeroPadding2D(((1, 2), (0, 3))), layers.Cropping2D(((2, 0), (1, 1)))]),
    "pad_crop1d": (ROW, lambda: [layers.ZeroPadding1D((1, 2)), layers.Cropping1D((2, 0))]),
    "up": (MAP, lambda: [layers.UpSampling2D((2, 3))]),
    "up1d": (ROW, lambda: [layers.UpSampling1D(2)]),
    "relu": (MAP, lambda: [layers.ReLU()]),
    "relu_capped": (MAP, lambda: [layers.ReLU(0.5)]),
    "leaky_relu": (MAP, lambda: [layers.LeakyReLU(0.1)]),
    "prelu": (MAP, lambda: [layers.PReLU("random_normal", shared_axes=[1, 2])]),
    "elu": (MAP, lambda: [layers.ELU()]),
    **{name: (FLAT, lambda name=name: [layers.Activation(name)]) for name in TABLES},
    "sigmoid": (FLAT, lambda: [layers.Activation("sigmoid")]),
    "tanh": (FLAT, lambda: [layers.Activation("tanh")]),
    "softmax": (FLAT, lambda: [layers.Softmax()]),
    "hard_swish": (MAP, lambda: [layers.Activation("hard_swish")]),
    "hard_sigmoid": (ROW, lambda: [layers.Activation("hard_sigmoid")]),
    "silu": (ROW, lambda: [layers.Activation("silu")]),
    "inert": (FLAT, lambda: [layers.Dropout(0.5), layers.Activation("relu6"), layers.GaussianNoise(0.1)]),
    "add": (MAP, lambda: [two(layers.Add()), layers.ReLU()]),
    "add_three": (MAP, lambda: [lambda x: layers.Add()([x, layers.Conv2D(3, 1)(x), layers.ReLU()(x)])]),
    "subtract": (MAP, lambda: [two(layers.Subtract())]),
    "multiply": (MAP, lambda: [two(layers.Multiply())]),
    "multiply_gate": (MAP, lambda: [lambda x: layers.Multiply()([x, layers.GlobalMaxPooling2D(keepdims=True)(x)])]),
    "concatenate": (MAP, lambda: [two(layers.Concatenate())]),
    "concatenate_rows": (MAP, lambda: [two(layers.Concatenate(axis=1))]),
    "time_distributed": (ROW, lambda: [layers.TimeDistributed(layers.Dense(3, activation="relu"))]),
    "time_distributed2d": ((3, *MAP), lambda: [layers.TimeDistributed(layers.Conv2D(3, 3, 2, padding="same"))]),
    "prelu_flat": (FLAT, lambda: [layers.PReLU("random_normal")]),
    "relu_slope": (ROW, lambda: [layers.ReLU(negative_slope=0.2)]),
    "subtract_mean": (MAP, lambda: [lambda x: layers.Subtract()([x, layers.GlobalAveragePooling2D(keepdims=True)(x)])]),
    "multiply_three": (ROW, lambda: [lambda x: layers.Multiply()([x, layers.Dense(4)(x), layers.Dense(4)(x)])]),
    "transpose_wide_stride": (MAP, lambda: [layers.Conv2DTranspose(2, (2, 3), 3, padding="same", activation="relu")]),
    "functions": (ROW, lambda: [lambda x: keras.ops.relu(x + layers.Dense(4)(x)) * x]),
}
RECURRENT: dict[str, tuple[tuple[int, ...], Callable[[], Sequence[Any]]]] = {
    "gru": ((2, 4), lambda: [layers.GRU(3, return_sequences=True)]),
    "gru_backwards": ((2, 4), lambda: [layers.GRU(3, reset_after=False, go_backwards=True, return_sequences=True)]),
    "lstm": ((2, 4), lambda: [layers.LSTM(3)]),
    "simple": ((2, 4), lambda: [layers.SimpleRNN(3, return_sequences=True)]),
    "gru_started": ((2, 4), lambda: [lambda x: layers.GRU(3)(x, initial_state=layers.GRU(3, return_state=True)(x)[1])]),
    "time_distributed": ((2, 2, 4), lambda: [layers.TimeDistributed(layers.GRU(2))]),
    "bidirectional_sum": ((2, 4), lambda: [layers.Bidirectional(layers.LSTM(2), merge_mode="sum")]),
    "bidirectional": ((2, 4), lambda: [layers.Bidirectional(layers.GRU(3, return_sequences=True))]),
}


def side_by_side(kinds: dict[str, tuple[tuple[int, ...], Callable[[], Sequence[Any]]]]) -> keras.Model:
    """One model with an input of each shape and an output for each kind: one file tells of all."""
    keras.utils.set_random_seed(0)
    inputs: dict[tuple[int, ...], Any] = {}
    outputs = {}
    for name, (shape, made) in kinds.items():
        x = inputs.setdefault(shape, keras.Input(shape, name="x" + "_".join(map(str, shape))))
        for layer in made():
            x = layer(x)
        outputs[name] = x
    return uneven(keras.Model(list(inputs.values()), outputs))


def uneven(model: keras.Model, seed: int = 0) -> keras.Model:
    """Statistics and biases as a trained network has them."""
    random = np.random.default_rng(seed)
    for layer in model._flatten_layers():
        if isinstance(layer, layers.BatchNormalization):
            for weight in layer.weights:
                spread = random.uniform(0.5, 1.5, weight.shape)
                positive = weight.name in ("gamma", "moving_variance")
                weight.assign(spread if positive else spread - 1.0)
        else:
            for weight in getattr(layer, "_trainable_variables", []):
                if weight.name == "bias":
                    weight.assign(random.normal(0.0, 0.2, weight.shape))
    return model


def examples(model: keras.Model, count: int = 32, seed: int = 1) -> list[np.ndarray]:
    """Inputs of a model, a list for each."""
    random = np.random.default_rng(seed)
    return [random.normal(size=(count, *port.shape[1:])).astype(np.float32) for port in model.inputs]


def converted(
    model: keras.Model, scheme: str, schemes: dict[str, str] | None = None, rows: int = 6
) -> tuple[keras.Model, Artifact]:
    """A calibrated twin, and its artifact."""
    twin = qat.quantize_model(model, scheme, schemes)
    given = examples(model)
    qat.calibrate(twin, given)
    return twin, qat.convert(twin, [each[:rows] for each in given])


def steps_apart(artifact: Artifact, engine: str) -> dict[str, int]:
    """By how many steps an engine is off the twin at the most, for each output."""
    assert artifact.golden is not None
    found = run(engine, artifact, artifact.golden.inputs).outputs
    names = [port.name for port in artifact.network.outputs]
    golden = artifact.golden.outputs
    return {
        name: int(np.abs(found[key].reshape(golden[key].shape).astype(int) - golden[key]).max())
        for name, key in zip(names, golden, strict=True)
    }
