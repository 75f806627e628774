"""Trainings on several devices: what a recipe's `train.strategy` stands for, and what goes with what."""

from __future__ import annotations

from collections.abc import Mapping

import keras
import tensorflow as tf

from keras_mtl.batches import Stream
from keras_mtl.errors import RecipeError
from keras_mtl.recipes import Recipe

_TAKE_TURNS = ("hard", "cross_hard")


def open_strategy(name: str) -> tf.distribute.Strategy | None:
    """The strategy of a name, to build a network under.

    Args:
        name: "none", or "mirrored": a replica on each GPU; without one, on each logical CPU.
    """
    if name == "none":
        return None
    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    return tf.distribute.MirroredStrategy([device.name for device in devices])


def synchronise(network: keras.Model) -> None:
    """Lets batch normalisation take its statistics from the clips of all replicas, as one replica would."""
    for layer in network._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.synchronized = True


def require_possible(recipe: Recipe) -> None:
    """Refuses what does not work together.

    Raises:
        RecipeError: naming the keys.
    """
    train = recipe.train
    if train.strategy == "multi_worker":
        raise RecipeError(
            "train.strategy = 'multi_worker' is not there: workers beside the chief would write the run folder too",
            hint="mirrored uses all GPUs of one machine",
        )
    if train.strategy != "none" and train.precision == "mixed_float16":
        reason = "Keras's LossScaleOptimizer can't be applied to the gradients of all replicas"
        raise RecipeError(f"train.precision = 'mixed_float16' with train.strategy: {reason}", hint="mixed_bfloat16")
    if train.precision == "mixed_float16" and train.algorithm == "gradnorm":
        reason = "a step whose scaled gradients overflow would spoil the tasks' weights"
        raise RecipeError(f"algorithm gradnorm with train.precision = 'mixed_float16': {reason}", hint="mixed_bfloat16")
    if train.strategy != "none" and train.jit_compile:
        raise RecipeError("train.jit_compile with train.strategy: XLA can't compile a step over several devices")
    if train.jit_compile and train.algorithm in _TAKE_TURNS:
        reason = "its batches change their size from step to step, and XLA wants one"
        raise RecipeError(f"train.jit_compile with algorithm {train.algorithm}: {reason}", hint="soft, cross_soft")
    if train.jit_compile and (recipe.augment.mixup_alpha or recipe.augment.freq_mixstyle_probability):
        key = "mixup_alpha" if recipe.augment.mixup_alpha else "freq_mixstyle_probability"
        raise RecipeError(f"train.jit_compile with augment.{key}: XLA has no Beta distribution")


def require_whole_parts(streams: Mapping[str, Stream], replicas: int) -> None:
    """Refuses batches that can't be shared out evenly.

    Raises:
        RecipeError: naming the task.
    """
    for task, stream in streams.items():
        clips = len(stream(0)["log_mel"])
        if clips % replicas:
            raise RecipeError(
                f"a batch of {clips} clips ({task}) can't be shared out over {replicas} replicas", hint="a multiple"
            )
