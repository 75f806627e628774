"""The terms of a teacher from outside against NumPy, averaged weights, and a decoder on embeddings."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from keras_mtl.algorithms import (
    CrossHardMTL,
    CrossSoftMTL,
    FrozenEvents,
    GradNormMTL,
    HardMTL,
    PCGradMTL,
    SingleTask,
    SoftMTL,
    TeacherTerms,
    UncertaintyMTL,
)
from keras_mtl.core import RecipeError

EMBEDDING, TAGS = 7, 3


def taught_batch(little, random, labelled=4, pool=3):
    clips = labelled + pool
    batch = little.scene_batch(random, clips)
    return {
        "scenes": batch
        | {
            "has_scene": np.repeat([1.0, 0.0], [labelled, pool]).astype(np.float32),
            "teacher_scenes": random.normal(size=(clips, 10)).astype(np.float32),
            "teacher_embedding": random.normal(size=(clips, EMBEDDING)).astype(np.float32),
            "teacher_tags": random.random((clips, TAGS)).astype(np.float32),
        }
    }


def terms(**options):
    weights = {"scene_weight": 0.5, "temperature": 3.0, "embedding_weight": 2.0, "tag_weight": 0.25}
    return TeacherTerms(EMBEDDING, TAGS, **{**weights, **options})


def log_softmax(values):
    values = values - values.max(axis=-1, keepdims=True)
    return values - np.log(np.exp(values).sum(axis=-1, keepdims=True))


def test_terms_against_numpy(random):
    layer, size = terms(), 5
    layer.build((None, None, size))
    embeddings, logits = random.normal(size=(6, 4, size)), random.normal(size=(6, 10))
    clips = {
        "teacher_scenes": random.normal(size=(6, 10)).astype(np.float32),
        "teacher_embedding": random.normal(size=(6, EMBEDDING)).astype(np.float32),
        "teacher_tags": random.random((6, TAGS)).astype(np.float32),
    }
    total, shown = layer.loss("scenes", clips, keras.ops.cast(embeddings, "float32"), keras.ops.cast(logits, "float32"))
    soft = log_softmax(clips["teacher_scenes"] / 3.0)
    divergence = 9.0 * (np.exp(soft) * (soft - log_softmax(logits / 3.0))).sum(axis=1).mean()
    pooled = embeddings.mean(axis=1)
    kernel, bias = (weight.numpy() for weight in layer.to_embedding.weights)
    distance = ((pooled @ kernel + bias - clips["teacher_embedding"]) ** 2).mean()
    kernel, bias = (weight.numpy() for weight in layer.to_tags.weights)
    p, t = 1 / (1 + np.exp(-(pooled @ kernel + bias))), clips["teacher_tags"]
    tags = -(t * np.log(p) + (1 - t) * np.log(1 - p)).mean()
    expected = {"scenes_distillation": divergence, "scenes_embedding": distance, "scenes_tags": tags}
    assert {name: float(value) for name, value in shown.items()} == pytest.approx(expected, rel=1e-4)
    assert float(total) == pytest.approx(0.5 * divergence + 2.0 * distance + 0.25 * tags, rel=1e-4)
    assert list(shown) == layer.shown("scenes")


def test_soft_labels_of_events_against_numpy(random):
    layer = TeacherTerms(event_weight=0.5)
    told, strong = random.random((4, 6, 3)), random.uniform(0.05, 0.95, (4, 6, 3))
    clips = {"teacher_events": told.astype(np.float32), "has_teacher": np.asarray([1, 0, 1, 0], np.float32)}
    total, shown = layer.loss("events", clips, None, {"strong": keras.ops.cast(strong, "float32")})
    entropy = -(told * np.log(strong) + (1 - told) * np.log(1 - strong))[[0, 2]].mean()
    assert float(shown["events_distillation"]) == pytest.approx(entropy, rel=1e-4)
    assert float(total) == pytest.approx(0.5 * entropy, rel=1e-4) and layer.shown("events") == list(shown)
    assert layer.loss("scenes", clips, keras.ops.zeros((4, 6, 3)), None) == (0.0, {})


def test_only_labelled_clips_have_a_part_in_the_labels_loss_and_all_in_the_teachers(little, random):
    model = little.compiled(SingleTask(little.network(dropout=0.0), "scenes", terms=terms(), mask_fraction=0.0))
    batch = taught_batch(little, random)

    def losses():
        return {name: float(value) for name, value in model.task_losses(batch, training=True)[1].items()}

    before = losses()
    batch["scenes"]["scene"][4:] = (batch["scenes"]["scene"][4:] + 1) % 10
    assert losses() == before
    batch["scenes"]["teacher_scenes"][6] += np.arange(10)
    batch["scenes"]["teacher_embedding"][6] += 1.0
    changed = losses()
    assert changed["scene_loss"] == before["scene_loss"]
    for name in ("scenes_distillation", "scenes_embedding"):
        assert changed[name] != before[name]


def test_what_is_thrown_away_learns_and_is_no_part_of_the_network(little, random):
    network = little.network()
    parameters = network.count_params()
    model = little.compiled(SingleTask(network, "scenes", terms=terms()))
    before = little.bits(model.terms)
    logs = model.train_on_batch(taught_batch(little, random), return_dict=True)
    assert {"scenes_distillation", "scenes_embedding", "scenes_tags"} <= set(logs)
    assert all(new != old for new, old in zip(little.bits(model.terms), before, strict=True))
    assert network.count_params() == parameters
    assert not {id(w) for w in model.terms.weights} & {id(w) for w in network.weights}


def test_held_out_clips_are_judged_by_their_labels(little, random):
    model = little.compiled(SingleTask(little.network(), "scenes", terms=terms()))
    logs = model.test_on_batch({"scenes": little.scene_batch(random)}, return_dict=True)
    assert logs["loss"] == pytest.approx(logs["scene_loss"])


@pytest.mark.parametrize(
    "algorithm", [SoftMTL, HardMTL, CrossSoftMTL, CrossHardMTL, UncertaintyMTL, GradNormMTL, PCGradMTL]
)
def test_every_algorithm_of_both_tasks_has_them(algorithm, little, random):
    model = little.compiled(algorithm(little.network(), terms=terms(event_weight=1.0)))
    events = little.event_batch(random)
    told = {"teacher_events": events["strong"], "has_teacher": np.ones(len(events["strong"]), np.float32)}
    batch, before = taught_batch(little, random) | {"events": events | told}, little.bits(model.terms)
    for _ in range(2):
        logs = model.train_on_batch(batch, return_dict=True)
    assert {"scenes_distillation", "scenes_embedding", "scenes_tags", "events_distillation"} <= set(logs)
    assert all(np.isfinite(value) for value in logs.values())
    assert all(new != old for new, old in zip(little.bits(model.terms), before, strict=True))


def test_a_temperature_of_0_is_refused():
    with pytest.raises(RecipeError, match="temperature 0 is not above 0"):
        terms(temperature=0.0)


def test_the_average_is_judged_and_kept(little, random):
    model = little.compiled(SingleTask(little.network(), "scenes", average=0.6))
    batch = {"scenes": little.scene_batch(random)}
    history = []
    for _ in range(4):
        model.train_on_batch(batch)
        history.append([weight.numpy() for weight in model.network.weights])
    expected = history[0]
    for step, weights in enumerate(history[1:], 1):
        decay = min(1 - 1 / (step + 1), 0.6)
        expected = [decay * mine + (1 - decay) * theirs for mine, theirs in zip(expected, weights, strict=True)]
    for mine, theirs in zip(model.kept.weights, expected, strict=True):
        np.testing.assert_allclose(mine.numpy(), theirs, rtol=1e-4, atol=1e-6)
    alone = little.compiled(SingleTask(model.kept, "scenes"))
    judged = model.test_on_batch(batch, return_dict=True)["loss"]
    assert judged == pytest.approx(alone.test_on_batch(batch, return_dict=True)["loss"], rel=1e-5)
    assert judged != pytest.approx(
        little.compiled(SingleTask(model.network, "scenes")).test_on_batch(batch, return_dict=True)["loss"], rel=1e-5
    )


def test_a_resumed_training_with_all_of_it_ends_as_an_uninterrupted_one(little, random, tmp_path):
    batches = [taught_batch(little, random) for _ in range(3)]

    def fresh():
        keras.utils.set_random_seed(3)
        return little.compiled(SingleTask(little.network(), "scenes", terms=terms(), average=0.9, seed=3))

    whole, half, resumed = fresh(), fresh(), fresh()
    for batch in batches:
        whole.train_on_batch(batch)
    half.train_on_batch(batches[0])
    half.save_weights(tmp_path / "half.weights.h5")
    resumed.load_weights(tmp_path / "half.weights.h5")
    for batch in batches[1:]:
        resumed.train_on_batch(batch)
    assert little.bits(resumed) == little.bits(whole)
    assert little.bits(resumed.kept) == little.bits(whole.kept)


def test_a_decoder_learns_on_embeddings(little, random):
    """Without noise its losses are those of the frozen network on log-mel."""
    network = little.network(dropout=0.0)
    batch = {"events": little.event_batch(random, weak=0, unlabelled=0)}
    embeddings = np.asarray(network.get_layer("encoder")(batch["events"]["log_mel"], training=False))
    given = {"events": {**batch["events"], "log_mel": embeddings[..., None]}}
    model = little.compiled(FrozenEvents(network, embedding_dropout=0.0, embedding_noise=0.0))
    plain = SingleTask(network, "events", encoder_rate=0.0, consistency_weight=0.0, mask_fraction=0.0)
    ours, theirs = (m.task_losses(b, training=True)[1] for m, b in ((model, given), (plain, batch)))
    assert float(ours["strong_bce"]) == pytest.approx(float(theirs["strong_bce"]), rel=1e-5)
    before, head = little.bits(model.encoder), little.bits(model.heads["events"])
    model.train_on_batch(given)
    assert little.bits(model.encoder) == before and little.bits(model.heads["events"]) != head
    noisy = FrozenEvents(network, embedding_dropout=0.5, embedding_noise=0.5).prepare("events", given, training=True)
    masked = np.asarray(noisy["events"]["masked"])
    lost = (masked == 0.0).all(axis=1)[..., 0]
    assert lost.any() and not lost.all()
    assert model.teacher is None
