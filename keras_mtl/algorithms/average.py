"""The moving average of a network's weights, which hears better than the weights of the last step."""

from __future__ import annotations

from typing import Any

import keras

from keras_mtl.algorithms.mean_teacher import ema_decay


class WeightAverage(keras.layers.Layer):
    """Holds a copy of a network whose weights follow: a = d a + (1 - d) w with d = min(1 - 1 / (step + 1), decay).

    (Tarvainen and Valpola 2017, whose mean teacher is such an average; Izmailov et al. 2018 for what it is good for.)

    Args:
        network: the network that learns; it keeps its own weights.
        decay: of the average, once it has as many steps.
    """

    def __init__(self, network: keras.Model, decay: float) -> None:
        super().__init__(name="weight_average", trainable=False)
        self.decay = decay
        self.network = keras.models.clone_model(network)
        self.network.set_weights(network.get_weights())
        self.network.trainable = False
        self.step = self.add_weight(shape=(), dtype="int32", initializer="zeros", trainable=False, name="step")
        self.built = True

    def update(self, network: keras.Model) -> None:
        """Follows the network; then counts the step."""
        decay = ema_decay(self.step, self.decay)
        for mine, theirs in zip(self.network.weights, network.weights, strict=True):
            _follow(mine, theirs, decay)
        self.step.assign_add(1)


def _follow(mine: Any, theirs: Any, decay: Any) -> None:
    if "float" in mine.dtype:
        mine.assign(decay * mine + (1.0 - decay) * theirs)
