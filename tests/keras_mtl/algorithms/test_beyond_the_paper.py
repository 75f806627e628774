"""Uncertainty weighting, GradNorm and PCGrad, each on its source's own small example."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_mtl.algorithms import GradNormMTL, PCGradMTL, UncertaintyMTL
from keras_mtl.algorithms.gradnorm import LEAST_WEIGHT, TaskBalance
from keras_mtl.algorithms.pcgrad import project_conflicts


@pytest.mark.slow
def test_log_variances_find_the_closed_form_optimum(little):
    """Kendall et al. 2018, equation 10: for fixed losses s_i = log(2 L_i), and the task weighs 1 / (2 L_i)."""
    model = UncertaintyMTL(little.network())
    losses = {"scenes": tf.constant(2.3), "events": tf.constant(0.05)}
    optimizer = keras.optimizers.Adam(0.05)
    optimizer.build([model.log_variances])
    for _ in range(600):
        with tf.GradientTape() as tape:
            loss = model.combine(losses)
        optimizer.apply([tape.gradient(loss, model.log_variances.value)], [model.log_variances])
    np.testing.assert_allclose(model.log_variances.numpy(), np.log([4.6, 0.1]), atol=1e-3)
    np.testing.assert_allclose(float(loss), 1.0 + 0.5 * np.log([4.6, 0.1]).sum(), atol=1e-4)
    assert float(model.held_out_loss(losses)) == pytest.approx(2.35)


def test_log_variances_are_trained_and_not_decayed(little, random):
    model = little.compiled(UncertaintyMTL(little.network()), rate=0.0, decay=0.5)
    model.log_variances.assign([1.0, -1.0])
    model.train_on_batch(little.both(random))
    np.testing.assert_array_equal(model.log_variances.numpy(), [1.0, -1.0])
    model = little.compiled(UncertaintyMTL(little.network()), rate=0.01, decay=0.5)
    assert not model.optimizer._use_weight_decay(model.log_variances)
    logs = model.train_on_batch(little.both(random), return_dict=True)
    assert all(np.abs(model.log_variances.numpy()) > 0.005)
    assert {"scenes_log_variance", "events_log_variance"} <= set(logs)


def toy_regression(random, sigmas, inputs=16, outputs=20, hidden=40):
    """Chen et al. 2018, section 4: y_i = sigma_i tanh((B + E_i) x), one trunk and a linear head a task."""
    base = random.normal(0, 10, (outputs, inputs))
    own = [base + random.normal(0, 3.5, base.shape) for _ in sigmas]
    x = random.normal(size=(256, inputs)) / np.sqrt(inputs) / 10
    targets = [tf.constant(s * np.tanh(x @ b.T), tf.float32) for s, b in zip(sigmas, own, strict=True)]
    trunk = [tf.Variable(random.normal(size=(inputs, hidden)).astype(np.float32) * 0.3)]
    heads = [tf.Variable(random.normal(size=(hidden, outputs)).astype(np.float32) * 0.1) for _ in sigmas]

    def losses():
        shared = tf.nn.relu(tf.constant(x, tf.float32) @ trunk[0])
        return [tf.reduce_mean(tf.square(shared @ head - y)) for head, y in zip(heads, targets, strict=True)]

    return trunk, heads, losses


@pytest.mark.parametrize(("sigmas", "alpha"), [((1.0, 10.0), 0.12), ((1.0, 1.0), 0.12)])
def test_gradnorm_rebalances_its_toy_regression(sigmas, alpha):
    """The task of large scale is held back, the norms come together, and the weights keep adding up to T."""
    random = np.random.default_rng(4)
    trunk, heads, losses = toy_regression(random, sigmas)
    balance = TaskBalance(2, alpha, rate=0.025)
    network = keras.optimizers.Adam(1e-3)
    variables = [keras.Variable(v) for v in (*trunk, *heads)]
    network.build(variables)
    trunk[0], heads[:] = variables[0], variables[1:]

    @tf.function
    def step():
        with tf.GradientTape(persistent=True) as tape:
            values = losses()
        shared = [tape.gradient(value, trunk[0].value) for value in values]
        own = [tape.gradient(value, head.value) for value, head in zip(values, heads, strict=True)]
        weights = tf.unstack(balance.weights_now())
        norms = tf.stack([tf.norm(g) for g in shared])
        total = tf.add_n([w * g for w, g in zip(weights, shared, strict=True)])
        network.apply([total, *(w * g for w, g in zip(weights, own, strict=True))], variables)
        balance.update(tf.stack(values), norms)
        return tf.stack(weights), norms, tf.stack(values)

    history = [step() for _ in range(400)]
    weights = np.stack([w.numpy() for w, *_ in history])
    norms = np.stack([n.numpy() for _, n, _ in history])
    np.testing.assert_allclose(weights.sum(axis=1), 2.0, rtol=1e-5)
    assert (weights >= LEAST_WEIGHT / 2).all()
    assert history[-1][2][0] < history[0][2][0] and history[-1][2][1] < history[0][2][1], "both tasks learn"
    apart = [np.abs(np.log(n[0] / n[1])) for n in (norms[0], (weights * norms)[-50:].mean(axis=0))]
    if sigmas[1] > 1:
        assert weights[-1][1] < 0.2 < 1.5 < weights[-1][0]
        assert apart[1] < 0.2 * apart[0], "w_i |g_i| are nearly equal, where |g_i| were not"
    else:
        assert np.abs(weights[-1] - 1).max() < 0.35, "tasks of one scale keep nearly the same weight"


def test_gradnorms_gradient_is_that_of_its_loss(random):
    """Against automatic differentiation of L_grad, the target a constant."""
    balance = TaskBalance(3, 1.5, 0.025)
    balance.task_weights.assign([0.5, 1.2, 1.3])
    balance.first_losses.assign([2.0, 1.0, 4.0])
    losses, norms = tf.constant([1.0, 0.9, 1.5]), tf.constant([0.3, 2.0, 0.7])
    ratios = losses / [2.0, 1.0, 4.0]
    rates = ratios / tf.reduce_mean(ratios)
    w = balance.weights_now()
    with tf.GradientTape() as tape:
        tape.watch(w)
        weighted = w * norms
        target = tf.stop_gradient(tf.reduce_mean(weighted) * rates**1.5)
        loss = tf.reduce_sum(tf.abs(weighted - target))
    np.testing.assert_allclose(balance.gradient(losses, norms), tape.gradient(loss, w), rtol=1e-6)


def test_gradnorm_applies_the_weighted_gradients(little, random):
    model = little.compiled(GradNormMTL(little.network()))
    for _ in range(3):
        logs = model.train_on_batch(little.both(random), return_dict=True)
    assert float(model.balance.task_weights.numpy().sum()) == pytest.approx(2.0, rel=1e-5)
    assert (model.balance.task_weights.numpy() != 1.0).all()
    assert logs["scenes_weight"] + logs["events_weight"] == pytest.approx(2.0, rel=1e-5)


def test_conflicting_gradients_lose_the_part_against_each_other():
    """Yu et al. 2020, figure 2: both are projected on the normal plane of the other one's original."""
    first = [tf.constant([1.0, 0.0]), tf.constant([[1.0]])]
    second = [tf.constant([-2.0, 1.0]), tf.constant([[0.5]])]
    a, b = (np.concatenate([np.ravel(part) for part in g]) for g in (first, second))
    assert a @ b < 0
    p, q = (np.concatenate([np.ravel(part) for part in g]) for g in project_conflicts([first, second]))
    np.testing.assert_allclose(p, a - (a @ b) / (b @ b) * b, rtol=1e-6)
    np.testing.assert_allclose(q, b - (a @ b) / (a @ a) * a, rtol=1e-6)
    np.testing.assert_allclose([p @ b, q @ a], 0.0, atol=1e-6)


def test_gradients_without_conflict_stay(random):
    gradient = random.normal(size=(3, 4)).astype(np.float32)
    other = gradient + 0.1 * random.normal(size=(3, 4)).astype(np.float32)
    kept = project_conflicts([[tf.constant(gradient)], [tf.constant(other)]])
    np.testing.assert_array_equal(kept[0][0], gradient)
    np.testing.assert_array_equal(kept[1][0], other)
    zero = project_conflicts([[tf.zeros(3)], [tf.constant([1.0, 2.0, 3.0])]])
    np.testing.assert_array_equal(zero[0][0], np.zeros(3))
    np.testing.assert_array_equal(zero[1][0], [1.0, 2.0, 3.0])


def test_pcgrad_leaves_the_decoders_gradients(little, random):
    """Opposite gradients cancel in the encoder; the decoders still learn."""
    model = PCGradMTL(little.network(), alpha=0.25)
    gradient = [tf.constant([1.0, 2.0]), tf.constant([3.0])]
    merged, factors, _ = model.merge([1.0, 1.0], [gradient, [-3.0 * g for g in gradient]])
    assert factors == [0.25, 0.75]
    assert all(np.abs(g).max() < 1e-6 for g in merged)
    merged, _, _ = model.merge([1.0, 1.0], [gradient, gradient])
    np.testing.assert_allclose(merged[0], gradient[0], rtol=1e-6)
