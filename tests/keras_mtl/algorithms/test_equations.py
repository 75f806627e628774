"""Two steps of the algorithms against the same computation in NumPy, and what must not reach a loss."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_mtl.algorithms import CrossHardMTL, CrossSoftMTL, GradNormMTL, HardMTL, PCGradMTL, SoftMTL, UncertaintyMTL
from keras_mtl.algorithms.losses import cross_loss, fold_pieces

EMBEDDING = 5


def plain_network():
    """Dense layers alone, as NumPy can recompute them: no normalisation, no dropout."""
    log_mel = keras.Input((None, 6, 1))
    x = keras.layers.Conv2D(EMBEDDING, (1, 6), activation="tanh", name="conv")(log_mel)
    encoder = keras.Model(log_mel, keras.layers.Reshape((-1, EMBEDDING))(x), name="encoder")
    e = keras.Input((None, EMBEDDING))
    logits = keras.layers.Dense(10, name="logits")(keras.layers.GlobalAveragePooling1D()(e))
    scene_head = keras.Model(e, logits, name="scene_head")
    e = keras.Input((None, EMBEDDING))
    strong = keras.layers.Dense(10, activation="sigmoid", name="strong_dense")(e)
    weak = keras.layers.GlobalAveragePooling1D()(strong)
    event_head = keras.Model(e, {"strong": strong, "weak": weak}, name="event_head")
    inputs = keras.Input((None, 6, 1))
    x = encoder(inputs)
    return keras.Model(inputs, {"scenes": scene_head(x), **event_head(x)}, name="plain")


class Plain:
    """The network above in NumPy, from a list of its six weights."""

    def __init__(self, weights):
        self.k, self.b, self.u, self.d, self.a, self.c = weights

    def embed(self, log_mel):
        return np.tanh(log_mel[..., 0] @ self.k[0, :, 0] + self.b)

    def logits(self, embeddings):
        return embeddings.mean(axis=1) @ self.u + self.d

    def scenes(self, embeddings):
        z = np.exp(self.logits(embeddings))
        return z / z.sum(axis=1, keepdims=True)

    def events(self, embeddings):
        strong = 1 / (1 + np.exp(-(embeddings @ self.a + self.c)))
        return strong, strong.mean(axis=1)


def weights_of(network):
    parts = [network.get_layer(name) for name in ("encoder", "scene_head", "event_head")]
    return [w.numpy().astype(np.float64) for part in parts for w in part.weights]


def bce(target, p):
    return float(-(target * np.log(p) + (1 - target) * np.log(1 - p)).mean())


def mse(a, b):
    return float(((a - b) ** 2).mean())


class Expected:
    """The losses of the next step, from the student's and the teacher's weights now."""

    def __init__(self, student, teacher, batch, step, ramp_steps, weight):
        self.s, self.t = Plain(student), Plain(teacher)
        scenes, events = batch["scenes"], batch["events"]
        here, there = self.s.embed(scenes["log_mel"]), self.s.embed(events["log_mel"])
        self.teacher_here, self.teacher_there = self.t.embed(scenes["log_mel"]), self.t.embed(events["log_mel"])
        chance = self.s.scenes(here)
        self.asc = float(-np.log(chance[np.arange(len(chance)), scenes["scene"]]).mean())
        strong, weak = self.s.events(there)
        known = events["has_strong"] == 1, events["has_weak"] == 1
        self.consistency = sum(
            mse(a, b) for a, b in zip((strong, weak), self.t.events(self.teacher_there), strict=True)
        )
        ramp = np.exp(-5 * (1 - min(step / ramp_steps, 1)) ** 2)
        self.sed = (
            bce(events["strong"][known[0]], strong[known[0]])
            + bce(events["weak"][known[1]], weak[known[1]])
            + ramp * weight * self.consistency
        )
        # The scene decoder hears the 40 frames of an event clip as 5 pieces of a scene clip's 8.
        pieces = [e.reshape(-1, 8, EMBEDDING) for e in (there, self.teacher_there)]
        self.cross_scenes = mse(self.s.scenes(pieces[0]), self.t.scenes(pieces[1]))
        pairs = zip(self.s.events(here), self.t.events(self.teacher_here), strict=True)
        self.cross_events = sum(mse(a, b) for a, b in pairs)


def expected_loss(kind, x, step, variances):
    """The loss of a step, of its parts."""
    cross = {"cross_soft": x.cross_scenes + x.cross_events, "cross_hard": (x.cross_events, x.cross_scenes)[step % 2]}
    if kind.endswith("hard"):
        return (x.asc, x.sed)[step % 2] + 0.6 * cross.get(kind, 0.0)
    if kind == "uncertainty":
        return float((np.exp(-variances) * [x.asc, x.sed] + variances / 2).sum())
    return 0.3 * x.asc + 0.7 * x.sed + 0.6 * cross.get(kind, 0.0)


@pytest.mark.parametrize("kind", ["soft", "hard", "cross_soft", "cross_hard", "uncertainty", "pcgrad"])
def test_two_steps_against_numpy(little, random, kind):
    """EMA, ramp, cross terms and the losses' weights, over two steps of training."""
    common = {"mask_fraction": 0.0, "consistency_weight": 2.0, "ramp_steps": 3}
    make = {
        "soft": lambda n: SoftMTL(n, alpha=0.3, **common),
        "hard": lambda n: HardMTL(n, **common),
        "cross_soft": lambda n: CrossSoftMTL(n, alpha=0.3, cross_weight=0.6, **common),
        "cross_hard": lambda n: CrossHardMTL(n, cross_weight=0.6, **common),
        "uncertainty": lambda n: UncertaintyMTL(n, **common),
        "pcgrad": lambda n: PCGradMTL(n, alpha=0.3, **common),
    }
    network = plain_network()
    model = little.compiled(make[kind](network), rate=0.05)
    model.teacher.copies[0].set_weights([0.5 * w for w in model.teacher.copies[0].get_weights()])  # so that they differ
    teacher, variances = None, np.zeros(2)
    for step in range(3):
        batch = {"scenes": little.scene_batch(random), "events": little.event_batch(random)}
        batch["events"]["strong"] = (random.random((7, 40, 10)) < 0.1).astype(np.float32)
        student = weights_of(network)
        if teacher is None:
            teacher = [0.5 * w for w in student[:2]] + student[2:]
        x = Expected(student, teacher, batch, step, 3, 2.0)
        loss = expected_loss(kind, x, step, variances)
        model.reset_metrics()
        logs = model.train_on_batch(batch, return_dict=True)
        assert float(logs["loss"]) == pytest.approx(loss, rel=2e-4)
        if kind == "cross_soft":
            assert float(logs["cross_scenes"]) == pytest.approx(x.cross_scenes, rel=1e-3)
            assert float(logs["cross_events"]) == pytest.approx(x.cross_events, rel=1e-3)
        decay = min(1 - 1 / (step + 1), 0.999)
        teacher = [decay * t + (1 - decay) * s for t, s in zip(teacher, weights_of(network), strict=True)]
        if kind == "uncertainty":
            variances = model.log_variances.numpy().astype(np.float64)
        held = [w.numpy() for copy in model.teacher.copies for w in copy.weights]
        expected = teacher if kind.startswith("cross") else teacher[:2] + teacher[4:]
        for mine, theirs in zip(held, expected, strict=True):
            np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-6)


def test_soft_and_hard_apply_adamw_to_the_gradients_of_these_losses(little, random):
    """The first step of AdamW by hand: w - rate * decay * w - rate * g / (|g| + eps), for what the step trains."""
    for algorithm, alpha in ((SoftMTL, 0.5), (HardMTL, 1.0)):
        network = plain_network()
        model = little.compiled(algorithm(network, mask_fraction=0.0), rate=0.05, decay=0.1)
        batch = little.both(random)
        batch["events"]["strong"] = (random.random((7, 40, 10)) < 0.1).astype(np.float32)
        head = network.get_layer("scene_head").trainable_variables
        before = [v.numpy() for v in head]
        with tf.GradientTape() as tape:
            loss = alpha * model.task_losses(batch, training=True)[0]["scenes"]
        gradients = tape.gradient(loss, [v.value for v in head])
        model.train_on_batch(batch)
        epsilon = 1e-7 / np.sqrt(1 - 0.999)  # Keras adds it to the root of the uncorrected moment
        for w, g, variable in zip(before, gradients, head, strict=True):
            g = g.numpy()
            expected = w - 0.05 * 0.1 * w - 0.05 * g / (np.abs(g) + epsilon)
            np.testing.assert_allclose(variable.numpy(), expected, rtol=1e-3, atol=1e-5)


def losses_and_gradients(model, batch):
    """By task: its loss's value, and its gradients for all trained variables, as bytes."""
    found = {}
    for state in model.seeds.states:
        state.assign(keras.ops.ones_like(state))
    for task in ("scenes", "events"):
        variables = [v.value for v in model.trained_variables()]
        with tf.GradientTape() as tape:
            loss = model.losses_of(task, batch, training=True)[0][task]
        gradients = tape.gradient(loss, variables, unconnected_gradients="zero")
        found[task] = (float(loss), [g.numpy().tobytes() for g in gradients])
    return found


@pytest.mark.parametrize(
    "algorithm", [SoftMTL, HardMTL, CrossSoftMTL, CrossHardMTL, UncertaintyMTL, GradNormMTL, PCGradMTL]
)
def test_labels_of_one_task_reach_nothing_of_the_other(little, random, algorithm):
    model = little.compiled(algorithm(little.network(), mask_fraction=0.0))
    batch = little.both(random)
    before = losses_and_gradients(model, batch)
    batch["scenes"]["scene"] = (batch["scenes"]["scene"] + 1) % 10
    after = losses_and_gradients(model, batch)
    assert after["events"] == before["events"]
    assert after["scenes"][0] != before["scenes"][0]
    batch["events"]["strong"] = 1 - batch["events"]["strong"]
    batch["events"]["weak"] = 1 - batch["events"]["weak"]
    last = losses_and_gradients(model, batch)
    assert last["scenes"] == after["scenes"]
    assert last["events"][0] != after["events"][0]


def test_cross_terms_do_not_see_labels(little, random):
    model = little.compiled(CrossSoftMTL(plain_network(), mask_fraction=0.0))
    model.teacher.copies[0].set_weights([0.5 * w for w in model.teacher.copies[0].get_weights()])
    batch = little.both(random)
    batch["events"]["strong"] = np.zeros((7, 40, 10), np.float32)
    before = model.task_losses(batch, training=True)[0]
    batch["scenes"]["scene"] = (batch["scenes"]["scene"] + 1) % 10
    batch["events"]["weak"] = 1 - batch["events"]["weak"]
    after = model.task_losses(batch, training=True)[0]
    assert float(before["scenes"]) != float(after["scenes"])
    for name in ("cross_scenes", "cross_events"):
        assert float(before[name]) == float(after[name]) > 0


def test_cross_terms_teach_the_student_only(little, random):
    model = little.compiled(CrossSoftMTL(little.network(), mask_fraction=0.0))
    model.teacher.copies[0].set_weights([0.5 * w for w in model.teacher.copies[0].get_weights()])
    heads = [v.value for head in model.heads.values() for v in head.trainable_variables]
    copies = [w.value for copy in model.teacher.copies for w in copy.weights]
    with tf.GradientTape() as tape:
        tape.watch(copies)
        losses, _ = model.task_losses(little.both(random), training=True)
        loss = losses["cross_scenes"] + losses["cross_events"]
    to_student, to_teacher = tape.gradient(loss, [heads, copies])
    assert all(float(tf.norm(g)) > 0 for g in to_student if g is not None)
    assert sum(g is not None for g in to_student) == len(heads)
    assert not [g for g in to_teacher if g is not None]


def test_ten_seconds_are_folded_into_pieces():
    embeddings = np.arange(2 * 11 * 3, dtype=np.float32).reshape(2, 11, 3)
    pieces = np.asarray(fold_pieces(keras.ops.convert_to_tensor(embeddings), 5))
    assert pieces.shape == (4, 5, 3)
    np.testing.assert_array_equal(pieces[1], embeddings[0, 5:10])
    np.testing.assert_array_equal(pieces[2], embeddings[1, :5])
    short = keras.ops.convert_to_tensor(embeddings[:, :4])
    assert fold_pieces(short, 5).shape == (2, 4, 3)


def test_cross_loss_of_scenes_is_on_probabilities(random):
    student, teacher = random.normal(size=(2, 6, 10)).astype(np.float32)
    p, q = (np.exp(z) / np.exp(z).sum(axis=1, keepdims=True) for z in (student, teacher))
    assert float(cross_loss("scenes", student, teacher)) == pytest.approx(mse(p, q), rel=1e-5)


def test_the_other_decoder_is_frozen_to_the_end_in_both_orders(little, random):
    """Both phases of both orders: after the second, encoder and first decoder are the first phase's bit for bit."""
    from keras_mtl.algorithms import ALGORITHMS
    from keras_mtl.recipes import TrainSettings

    for name, decoder in (("freeze_sed_asc", "event_head"), ("freeze_asc_sed", "scene_head")):
        network = little.network()
        first, second = ALGORITHMS[name](TrainSettings())
        model = little.compiled(first.wrap(network))
        for _ in range(3):
            model.train_on_batch(little.both(random))
        frozen = [little.bits(network.get_layer(part)) for part in ("encoder", decoder)]
        model = little.compiled(second.wrap(network))
        for _ in range(4):
            model.train_on_batch(little.both(random))
        assert [little.bits(network.get_layer(part)) for part in ("encoder", decoder)] == frozen
