"""The fused batch normalisation is Keras's own: outputs, gradients, moving statistics, and where it steps aside."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_mtl.models import FusedBatchNorm

CHANNELS = 5
ARGUMENTS = {"momentum": 0.9, "epsilon": 1e-2, "name": "bn"}


@pytest.fixture
def pair():
    """Keras's layer and the fused one, with the same uneven weights."""
    random = np.random.default_rng(7)

    def make(shape, **more):
        layers = [kind(**ARGUMENTS | more) for kind in (keras.layers.BatchNormalization, FusedBatchNorm)]
        for layer in layers:
            layer.build(shape)
        weights = [random.uniform(0.5, 2.0, weight.shape) for weight in layers[0].weights]
        for layer in layers:
            layer.set_weights(weights)
        return layers

    return make


def _after_a_step(layer, x, upstream, training):
    variables = [variable.value for variable in layer.trainable_variables]
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x, training=training)
        loss = tf.reduce_sum(tf.cast(y, tf.float32) * upstream)
    return [y, *tape.gradient(loss, [x, *variables]), *(weight.numpy() for weight in layer.weights)]


@pytest.mark.parametrize("shape", [(3, 7, 6, CHANNELS), (4, 9, CHANNELS)])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("more", [{}, {"scale": False}, {"center": False}])
def test_it_is_keras_s(pair, shape, training, more):
    random = np.random.default_rng(8)
    x = tf.constant(random.normal(3.0, 2.0, shape), tf.float32)
    upstream = tf.constant(random.normal(size=shape), tf.float32)
    theirs, ours = (_after_a_step(layer, x, upstream, training) for layer in pair(shape, **more))
    for one, other in zip(theirs, ours, strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-5, atol=2e-5)


def test_frozen_it_keeps_its_statistics_and_uses_them(pair):
    shape = (3, 7, 6, CHANNELS)
    x = tf.constant(np.random.default_rng(8).normal(size=shape), tf.float32)
    theirs, ours = pair(shape)
    before = ours.get_weights()
    for layer in (theirs, ours):
        layer.trainable = False
    np.testing.assert_allclose(theirs(x, training=True), ours(x, training=True), rtol=2e-5, atol=2e-5)
    assert all((a == b).all() for a, b in zip(before, ours.get_weights(), strict=True))


def test_half_precision_keeps_float32_statistics(pair):
    shape = (3, 7, 6, CHANNELS)
    x = tf.constant(np.random.default_rng(8).normal(size=shape), tf.bfloat16)
    theirs, ours = pair(shape, dtype="mixed_bfloat16")
    one, other = theirs(x, training=True), ours(x, training=True)
    assert one.dtype == other.dtype == tf.bfloat16
    np.testing.assert_allclose(tf.cast(one, tf.float32), tf.cast(other, tf.float32), atol=0.04)
    np.testing.assert_allclose(theirs.moving_variance, ours.moving_variance, rtol=1e-3)


def test_statistics_over_replicas_are_left_to_keras(pair):
    theirs, ours = pair((2, 4, 4, CHANNELS), synchronized=True)
    x = tf.constant(np.random.default_rng(8).normal(size=(2, 4, 4, CHANNELS)), tf.float32)
    np.testing.assert_array_equal(theirs(x, training=True), ours(x, training=True))


def test_it_is_saved_and_loaded(pair, tmp_path):
    inputs = keras.Input((4, 4, CHANNELS))
    model = keras.Model(inputs, FusedBatchNorm(**ARGUMENTS)(inputs))
    model.save(tmp_path / "bn.keras")
    (_, layer) = keras.models.load_model(tmp_path / "bn.keras").layers
    assert type(layer) is FusedBatchNorm
    assert (layer.momentum, layer.epsilon) == (0.9, 1e-2)
