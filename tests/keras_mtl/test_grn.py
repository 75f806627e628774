"""Global response normalisation against its defining formula."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_mtl.models import GRN


def _defined(x: np.ndarray, gamma: np.ndarray, beta: np.ndarray) -> np.ndarray:
    """Woo et al. 2023, algorithm 1, in double precision."""
    x = x.astype(np.float64)
    norm = np.sqrt((x**2).sum(axis=(1, 2), keepdims=True))
    return gamma * x * (norm / (norm.mean(axis=-1, keepdims=True) + 1e-6)) + beta + x


def _layer(channels: int, seed: int = 0) -> tuple[GRN, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    layer = GRN(name="grn")
    layer.build((None, None, None, channels))
    gamma, beta = generator.normal(size=(2, channels)).astype(np.float32)
    layer.set_weights([gamma, beta])
    return layer, gamma, beta


@pytest.mark.parametrize("loudness", [1e-5, 1.0, 1e4])
def test_is_the_defining_formula(loudness):
    layer, gamma, beta = _layer(6)
    x = np.random.default_rng(1).normal(size=(3, 7, 5, 6)) * np.array([1, 2, 0.1, 5, 0, 0.01]) * loudness
    x = x.astype(np.float32)
    goal = _defined(x, gamma, beta)
    np.testing.assert_allclose(np.asarray(layer(x)), goal, rtol=2e-5, atol=2e-6 * np.abs(goal).max())


def test_silence_stays_finite_and_so_does_its_gradient():
    layer, _, beta = _layer(4)
    x = tf.zeros((2, 3, 3, 4))
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x)
        total = tf.reduce_sum(y * y)
    np.testing.assert_array_equal(np.asarray(y), np.broadcast_to(beta, (2, 3, 3, 4)))
    for gradient in tape.gradient(total, [x, layer.gamma.value, layer.beta.value]):
        assert np.isfinite(np.asarray(gradient)).all()


def test_starts_as_the_identity_and_is_saved(tmp_path):
    inputs = keras.Input((None, 5, 6))
    model = keras.Model(inputs, GRN(name="grn", epsilon=1e-5)(inputs))
    x = np.random.default_rng(2).normal(size=(2, 7, 5, 6)).astype(np.float32)
    np.testing.assert_array_equal(np.asarray(model(x)), x)
    model.get_layer("grn").set_weights([np.ones(6), np.ones(6)])
    model.save(tmp_path / "grn.keras")
    loaded = keras.saving.load_model(tmp_path / "grn.keras")
    assert loaded.get_layer("grn").epsilon == 1e-5
    np.testing.assert_array_equal(np.asarray(loaded(x)), np.asarray(model(x)))
