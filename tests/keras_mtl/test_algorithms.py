"""The training algorithms: equations against NumPy, and what a step must leave alone."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_mtl.algorithms import ALGORITHMS, FreezeMTL, MeanTeacher, SingleTask, SoftMTL
from keras_mtl.algorithms.losses import consistency_loss, masked_bce, scene_loss
from keras_mtl.algorithms.mean_teacher import ema_decay, ramp
from keras_mtl.augmentation import Masking
from keras_mtl.models import build_mt
from keras_mtl.recipes import TrainSettings
from keras_mtl.training import same_bits


def small_network():
    return build_mt(channels=(4, 6), pools=((2, 8), (2, 4)), attention_units=4, recurrent_units=6, scenes=10, events=10)


def scene_batch(random, clips=6):
    return {
        "log_mel": random.normal(size=(clips, 100, 128, 1)).astype(np.float32),
        "scene": random.integers(0, 10, clips).astype(np.int32),
    }


def event_batch(random, strong=2, weak=2, unlabelled=3):
    clips = strong + weak + unlabelled
    return {
        "log_mel": random.normal(size=(clips, 200, 128, 1)).astype(np.float32),
        "strong": (random.random((clips, 50, 10)) < 0.1).astype(np.float32),
        "weak": (random.random((clips, 10)) < 0.3).astype(np.float32),
        "has_strong": np.repeat([1, 0, 0], [strong, weak, unlabelled]).astype(np.float32),
        "has_weak": np.repeat([0, 1, 0], [strong, weak, unlabelled]).astype(np.float32),
    }


def both(random):
    return {"scenes": scene_batch(random), "events": event_batch(random)}


def compiled(model):
    model.compile(optimizer=keras.optimizers.AdamW(1e-2, weight_decay=0.01), jit_compile=False)
    model.optimizer.build(model.trained_variables())
    return model


def bits(part):
    return [weight.numpy().tobytes() for weight in part.weights]


@pytest.fixture
def random():
    keras.utils.set_random_seed(11)
    return np.random.default_rng(11)


def test_single_leaves_the_other_decoder_alone(random):
    model = compiled(SingleTask(small_network(), task="events"))
    other, encoder = bits(model.network.get_layer("scene_head")), bits(model.encoder)
    model.train_on_batch({"events": event_batch(random)})
    assert bits(model.network.get_layer("scene_head")) == other
    assert bits(model.encoder) != encoder


def test_frozen_parts_keep_every_bit(random):
    model = compiled(FreezeMTL(small_network(), task="scenes"))
    encoder, events = bits(model.encoder), bits(model.network.get_layer("event_head"))
    head = bits(model.network.get_layer("scene_head"))
    for _ in range(3):
        model.train_on_batch({"scenes": scene_batch(random)})
    assert bits(model.encoder) == encoder, "batch normalisation's statistics included"
    assert bits(model.network.get_layer("event_head")) == events
    assert all(a != b for a, b in zip(bits(model.network.get_layer("scene_head")), head, strict=True))
    moments = [v.path for v in model.optimizer.variables]
    assert not [path for path in moments if "conv" in path or "gru" in path]


@pytest.mark.slow
def test_gradients_are_the_same_bits_each_time(random):
    """Two paths into one encoder: sums of several gradients must not depend on which comes first."""
    model = SoftMTL(build_mt(scenes=10, events=10), mask_fraction=0.0)
    variables = model.trained_variables()

    @tf.function
    def gradients(batch):
        with tf.GradientTape() as tape:
            loss = model.combine(model.task_losses(batch, training=True)[0])
        return tape.gradient(loss, [variable.value for variable in variables])

    batch = tf.nest.map_structure(tf.constant, both(random))
    with same_bits():
        first = [gradient.numpy().tobytes() for gradient in gradients(batch)]
        assert all([g.numpy().tobytes() for g in gradients(batch)] == first for _ in range(20))


def test_soft_is_the_weighted_mean_of_the_losses(random):
    model = compiled(SoftMTL(small_network(), alpha=0.25, mask_fraction=0.0))
    batch = both(random)
    losses, _ = model.task_losses(batch, training=False)
    assert float(model.combine(losses)) == pytest.approx(
        0.25 * float(losses["scenes"]) + 0.75 * float(losses["events"])
    )
    before = bits(model.network)
    model.train_on_batch(batch)
    assert all(a != b for a, b in zip(bits(model.network), before, strict=True))


def test_labels_of_one_task_do_not_reach_the_others_loss(random):
    model = compiled(SoftMTL(small_network(), mask_fraction=0.0))
    batch = both(random)
    before, _ = model.task_losses(batch, training=False)
    batch["scenes"]["scene"] = (batch["scenes"]["scene"] + 1) % 10
    after, _ = model.task_losses(batch, training=False)
    assert float(before["events"]) == float(after["events"])
    assert float(before["scenes"]) != float(after["scenes"])


def test_unknown_labels_have_no_part_in_the_loss(random):
    batch = event_batch(random)
    probabilities = random.random((7, 50, 10)).astype(np.float32)
    whole = masked_bce(batch["strong"], probabilities, batch["has_strong"])
    t, p = batch["strong"][:2].astype(float), np.clip(probabilities[:2].astype(float), 1e-7, 1 - 1e-7)
    expected = -(t * np.log(p) + (1 - t) * np.log(1 - p)).mean()
    assert float(whole) == pytest.approx(expected, rel=1e-5)
    assert float(masked_bce(batch["strong"], probabilities, np.zeros(7, np.float32))) == 0.0


def test_losses_against_numpy(random):
    logits = random.normal(size=(6, 10)).astype(np.float32)
    scenes = random.integers(0, 10, 6)
    expected = np.mean(np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(6), scenes])
    assert float(scene_loss(scenes, logits)) == pytest.approx(float(expected), rel=1e-5)
    student, teacher = (
        {k: random.random((3, *s)).astype(np.float32) for k, s in shapes} for shapes in [SHAPES, SHAPES]
    )
    squares = sum(((student[k] - teacher[k]) ** 2).mean() for k in student)
    assert float(consistency_loss(student, teacher)) == pytest.approx(float(squares), rel=1e-5)


SHAPES = (("strong", (50, 10)), ("weak", (10,)))


def test_teacher_is_the_average_of_two_steps(random):
    model = compiled(SingleTask(small_network(), task="events", consistency_weight=2.0, ramp_steps=4))
    parts = [model.encoder, model.heads["events"]]
    expected = None
    for step in range(2):
        model.train_on_batch({"events": event_batch(random)})
        student = [weight.numpy() for part in parts for weight in part.weights if "float" in weight.dtype]
        decay = min(1 - 1 / (step + 1), 0.999)
        expected = (
            student
            if expected is None
            else [decay * e + (1 - decay) * s for e, s in zip(expected, student, strict=True)]
        )
    teacher = [weight.numpy() for copy in model.teacher.copies for weight in copy.weights if "float" in weight.dtype]
    for mine, theirs in zip(teacher, expected, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=1e-7)


def test_without_consistency_there_is_no_teacher_and_the_labelled_losses_stay(random):
    """The first step is that of a training whose ramp has only begun: its weight is exp(-5) of nearly nothing."""
    batch, steps = {"events": event_batch(random)}, []
    for weight in (1e-9, 0.0):
        keras.utils.set_random_seed(11)
        model = compiled(SingleTask(small_network(), task="events", consistency_weight=weight, ramp_steps=4))
        assert (model.teacher is None) == (weight == 0.0)
        shown = model.train_on_batch(batch, return_dict=True)
        assert ("consistency" in shown) == (weight > 0.0)
        steps.append((shown["strong_bce"], shown["weak_bce"], [w.numpy() for w in model.network.trainable_weights]))
    assert steps[0][:2] == pytest.approx(steps[1][:2])
    for one, other in zip(steps[0][2], steps[1][2], strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_schedules_against_numpy():
    for step in (0, 1, 5, 2000):
        assert float(ema_decay(step)) == pytest.approx(min(1 - 1 / (step + 1), 0.999))
        assert float(ramp(step, 10)) == pytest.approx(np.exp(-5 * (1 - min(step / 10, 1)) ** 2), rel=1e-5)


def test_no_gradient_reaches_the_teacher(random):
    model = compiled(SingleTask(small_network(), task="events"))
    trained = {id(variable) for variable in model.trained_variables()}
    assert not trained & {id(weight) for copy in model.teacher.copies for weight in copy.weights}
    assert isinstance(model.teacher, MeanTeacher)


def test_masking_zeroes_its_part_of_each_axis():
    keras.utils.set_random_seed(0)
    ones = np.ones((16, 1000, 128, 1), np.float32)
    masked = np.asarray(Masking(0.15, seed=1)(ones, training=True))[..., 0]
    frames = masked.max(axis=2) == 0
    bands = masked.max(axis=1) == 0
    assert (frames.reshape(16, 10, 100).sum(axis=2) == 15).all()
    assert (bands.sum(axis=1) == 19).all()
    assert len({row.tobytes() for row in frames}) == 16, "each clip has places of its own"
    np.testing.assert_array_equal(Masking(0.15)(ones, training=False), ones)


def test_masking_is_seeded():
    ones = np.ones((2, 100, 128, 1), np.float32)
    first, second = (np.asarray(Masking(0.15, seed=7)(ones, training=True)) for _ in range(2))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("algorithm", [SingleTask, SoftMTL, FreezeMTL])
def test_algorithms_keep_their_arguments(algorithm):
    extra = {"alpha": 0.3} if algorithm is SoftMTL else {"task": "scenes"}
    model = algorithm(
        small_network(), consistency_weight=1.5, ramp_steps=9, mask_fraction=0.2, mask_period=62, seed=3, **extra
    )
    again = algorithm.from_config(model.get_config())
    config, other = model.get_config(), again.get_config()
    config.pop("network"), other.pop("network")
    assert config["mask_period"] == again.masking.period == 62
    assert other == config


def test_registry_has_phases_in_order():
    phases = ALGORITHMS["freeze_sed_asc"](TrainSettings(epochs=3, second_epochs=7))
    assert [(p.name, p.tasks, p.epochs) for p in phases] == [("events", ("events",), 3), ("scenes", ("scenes",), 7)]
    with pytest.raises(ValueError, match="tasks"):
        SingleTask(small_network(), task="speech")
    with pytest.raises(ValueError, match="alpha"):
        SoftMTL(small_network(), alpha=2.0)


@pytest.mark.slow
@pytest.mark.parametrize(("task", "batch"), [("scenes", scene_batch), ("events", event_batch)])
def test_each_task_overfits_a_small_batch(random, task, batch):
    keras.utils.set_random_seed(3)
    network = build_mt(
        channels=(8, 16), pools=((2, 8), (2, 4)), attention_units=8, recurrent_units=24, scenes=10, events=10
    )
    model = SingleTask(network, task=task, mask_fraction=0.0, consistency_weight=0.0)
    model.compile(optimizer=keras.optimizers.AdamW(1e-2, weight_decay=0.0), jit_compile=False)
    data = {task: batch(random)}
    first = model.train_on_batch(data, return_dict=True)["loss"]
    for _ in range(250):
        model.reset_metrics()
        last = model.train_on_batch(data, return_dict=True)["loss"]
        if last < first / 10:
            break
    assert last < first / 10
