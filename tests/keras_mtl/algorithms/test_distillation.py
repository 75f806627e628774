"""Distillation from a frozen network, with every algorithm: its equation, its tasks, and what must stay out of it."""

import numpy as np
import pytest
import tensorflow as tf

from keras_mtl.algorithms import (
    CrossHardMTL,
    Distiller,
    FreezeMTL,
    GradNormMTL,
    HardMTL,
    PCGradMTL,
    SingleTask,
    SoftMTL,
    UncertaintyMTL,
)
from keras_mtl.algorithms.distillation import event_distillation, resize_time, scene_distillation
from keras_mtl.core import RecipeError


def softmax(z):
    p = np.exp(z - z.max(axis=1, keepdims=True))
    return p / p.sum(axis=1, keepdims=True)


def test_scene_term_against_numpy(random):
    """T^2 KL(teacher || student) of softened probabilities (Hinton et al. 2015, section 2)."""
    student, teacher = random.normal(size=(2, 6, 10)).astype(np.float32) * 3
    for temperature in (1.0, 4.0):
        p, q = softmax(teacher / temperature), softmax(student / temperature)
        expected = temperature**2 * (p * np.log(p / q)).sum(axis=1).mean()
        assert float(scene_distillation(student, teacher, temperature)) == pytest.approx(expected, rel=1e-4)
    assert float(scene_distillation(teacher, teacher, 4.0)) == pytest.approx(0.0, abs=1e-6)


def test_gradient_at_high_temperature_is_that_of_matching_logits(random):
    """Hinton et al. 2015, equation 4, times T^2: with centred logits (z - v) / N for each class."""
    student, teacher = (z - z.mean(axis=1, keepdims=True) for z in random.normal(size=(2, 1, 10)).astype(np.float32))
    z = tf.constant(student)
    with tf.GradientTape() as tape:
        tape.watch(z)
        loss = scene_distillation(z, tf.constant(teacher), 100.0)
    np.testing.assert_allclose(tape.gradient(loss, z), (student - teacher) / 10, atol=3e-3)


def test_event_term_against_numpy(random):
    student, teacher = (
        {"strong": random.uniform(0.05, 0.95, (3, 8, 10)), "weak": random.uniform(0.05, 0.95, (3, 10))} for _ in "ab"
    )
    expected = sum(
        -(teacher[k] * np.log(student[k]) + (1 - teacher[k]) * np.log(1 - student[k])).mean() for k in teacher
    )
    given = [{k: tf.constant(v, tf.float32) for k, v in side.items()} for side in (student, teacher)]
    assert float(event_distillation(*given)) == pytest.approx(expected, rel=1e-5)


def test_time_axes_of_other_length_are_resized():
    """Doubled and halved, values stay where they are in the clip; a constant stays a constant."""
    values = tf.reshape(tf.range(8.0), (1, 8, 1))
    np.testing.assert_allclose(np.ravel(resize_time(values, 16))[3:13], np.arange(1.25, 6.25, 0.5), atol=1e-5)
    half = np.ravel(resize_time(values, 4))
    np.testing.assert_allclose(half[1:3], [2.5, 4.5], atol=0.1)
    np.testing.assert_allclose(resize_time(tf.fill((2, 7, 3), 0.3), 16), np.full((2, 16, 3), 0.3), rtol=1e-5)
    assert resize_time(values, 8) is values


@pytest.mark.parametrize("algorithm", [SoftMTL, HardMTL, CrossHardMTL, UncertaintyMTL, GradNormMTL, PCGradMTL])
def test_every_two_task_algorithm_takes_a_teacher(little, random, algorithm):
    teacher = little.network(name="large", embedding=9)
    distiller = Distiller(teacher, ("scenes", "events"), weight=0.7)
    before = little.bits(teacher)
    model = little.compiled(algorithm(little.network(), distiller=distiller, mask_fraction=0.0))
    plain = algorithm(model.network, mask_fraction=0.0)
    batch = little.both(random)
    for state in model.seeds.states:
        state.assign(tf.ones_like(state.value))
    losses, shown = model.task_losses(batch, training=True)
    for state in model.seeds.states:
        state.assign(tf.ones_like(state.value))
    without, _ = plain.task_losses(batch, training=True)
    for task in ("scenes", "events"):
        term = float(shown[f"{task}_distillation"])
        assert float(losses[task]) == pytest.approx(float(without[task]) + 0.7 * term, rel=1e-4)
    assert "scenes_distillation" not in model.task_losses(batch, training=False)[1]
    for _ in range(2):
        logs = model.train_on_batch(batch, return_dict=True)
    assert {"scenes_distillation", "events_distillation"} <= set(logs)
    assert little.bits(teacher) == before, "statistics included"
    ours = {id(weight) for weight in model.weights}
    assert not ours & {id(weight) for weight in teacher.weights}, "not in the checkpoints"


@pytest.mark.parametrize("algorithm", [SingleTask, FreezeMTL])
def test_a_teacher_speaks_only_of_what_it_was_trained_on(little, random, algorithm):
    teacher = little.network(("scene_head",), name="cp_mobile", embedding=9)
    distiller = Distiller(teacher, ("scenes",))
    model = little.compiled(algorithm(little.network(), task="events", distiller=distiller))
    assert "scenes_distillation" not in model.train_on_batch(little.both(random), return_dict=True)
    model = little.compiled(algorithm(little.network(), task="scenes", distiller=distiller))
    encoder = little.bits(model.encoder)
    assert model.train_on_batch(little.both(random), return_dict=True)["scenes_distillation"] > 0
    assert (little.bits(model.encoder) == encoder) == (algorithm is FreezeMTL)
    with pytest.raises(RecipeError, match="'cp_mobile' has no decoder for events"):
        Distiller(teacher, ("scenes", "events"))
    with pytest.raises(RecipeError, match="temperature 0 is not above 0"):
        Distiller(teacher, ("scenes",), temperature=0.0)


def test_another_normalisation_is_made_up_for(little, random):
    """Levels in dB are the same: (x * 20 - 40 - (-30)) / 10 = 2 x - 1."""
    teacher = little.network()
    x = random.normal(size=(2, 8, 6, 1)).astype(np.float32)
    output = Distiller(teacher, ("scenes",), scale=2.0, shift=-1.0).predict("scenes", tf.constant(x))
    expected = Distiller(teacher, ("scenes",)).predict("scenes", tf.constant(2 * x - 1))
    np.testing.assert_allclose(output, expected, rtol=1e-5, atol=1e-6)
