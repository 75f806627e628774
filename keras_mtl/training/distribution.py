"""Devices of a training: what `train.strategy` stands for, what goes with what, and the same bits each time."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Iterator, Mapping

import keras
import tensorflow as tf

from keras_mtl.core import RecipeError, RunError
from keras_mtl.recipes import Recipe
from keras_mtl.training.batches import Stream

_TAKE_TURNS = ("hard", "cross_hard")


@functools.cache
def open_strategy(name: str) -> tf.distribute.Strategy | None:
    """The strategy of a name, to build a network under; the same one each time.

    Args:
        name: "none"; "mirrored": a replica on each GPU, or without one on each logical CPU; "multi_worker": the
            processes of `TF_CONFIG`, to be opened before TensorFlow does anything else.

    Raises:
        RecipeError: there is no `TF_CONFIG`, or TensorFlow has begun its work.
    """
    if name == "none":
        return None
    if name == "multi_worker":
        if not os.environ.get("TF_CONFIG"):
            raise RecipeError("train.strategy = 'multi_worker' without TF_CONFIG", hint="see docs/algorithms.md")
        try:
            return tf.distribute.MultiWorkerMirroredStrategy()
        except RuntimeError as error:
            raise RecipeError(f"train.strategy = 'multi_worker': {error}", hint="open_strategy comes first") from None
    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    return tf.distribute.MirroredStrategy([device.name for device in devices])


def is_chief(strategy: tf.distribute.Strategy | None) -> bool:
    """Whether this process is the one that writes the run folder."""
    cluster = strategy.cluster_resolver if strategy else None
    if cluster is None or not cluster.task_type:
        return True
    first = "chief" if "chief" in cluster.cluster_spec().jobs else "worker"
    return (cluster.task_type, cluster.task_id) == (first, 0)


def require_same(strategy: tf.distribute.Strategy | None, number: int) -> None:
    """Waits for all workers, and checks that they bring the same number.

    Raises:
        RunError: they do not.
    """
    if strategy is None:
        return
    total = strategy.reduce("SUM", strategy.run(lambda: tf.constant(number, tf.int64)), axis=None)
    if int(total) != number * strategy.num_replicas_in_sync:
        raise RunError(f"the workers are not at the same step: here it is {number}", hint="--out has to be shared")


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
    if not train.encoder_rate and not train.init:
        reason = "an encoder that was not trained would be frozen"
        raise RecipeError(f"train.encoder_rate = 0 without train.init: {reason}", hint="--set train.init=RUN")
    if not train.encoder_rate and train.conflict_every:
        raise RecipeError("train.conflict_every with train.encoder_rate = 0: a frozen encoder has no gradients")
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


_OPTION = "disable_meta_optimizer"


@contextlib.contextmanager
def same_bits() -> Iterator[None]:
    """Graphs that first run in this context give the same bits each time, on a CPU with the same number of threads.

    TensorFlow's graph optimizer turns sums of several gradients into accumulations in the order of arrival, also under
    `enable_op_determinism`. Without it a training step of `mt` takes 8 % longer.
    """
    before = tf.config.optimizer.get_experimental_options().get(_OPTION, False)
    tf.config.optimizer.set_experimental_options({_OPTION: True})
    try:
        yield
    finally:
        tf.config.optimizer.set_experimental_options({_OPTION: before})
