"""The network of `qat.py`, for Keras 3 and for the old Keras that tensorflow-model-optimization takes."""

from __future__ import annotations

from typing import Any

WIDTH = 12


def network(keras: Any) -> Any:
    """A small ResNet for images of 8 x 8 pixels, ten classes. Every layer with weights has a name of its own.

    Args:
        keras: the package `keras` or `tf_keras`.
    """
    layers = keras.layers
    inputs = keras.Input((8, 8, 1), name="image")
    x = layers.ReLU()(layers.Conv2D(WIDTH, 3, padding="same", name="stem")(inputs))
    for block in (1, 2):
        y = layers.Conv2D(WIDTH, 3, padding="same", use_bias=False, name=f"first_{block}")(x)
        y = layers.ReLU()(layers.BatchNormalization(momentum=0.9, name=f"first_norm_{block}")(y))
        y = layers.Conv2D(WIDTH, 3, padding="same", use_bias=False, name=f"second_{block}")(y)
        y = layers.BatchNormalization(momentum=0.9, name=f"second_norm_{block}")(y)
        x = layers.MaxPooling2D(2)(layers.ReLU()(layers.Add()([x, y])))
        x = layers.ReLU()(layers.Conv2D(WIDTH, 1, name=f"mix_{block}")(x))
    x = layers.Dense(10, activation="softmax", name="digit")(layers.GlobalAveragePooling2D()(x))
    return keras.Model(inputs, x, name="digits")
