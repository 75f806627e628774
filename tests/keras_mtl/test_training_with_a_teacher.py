"""A training with a teacher from outside: batches, what is refused, and a run that is as small as any."""

from __future__ import annotations

from dataclasses import replace

import keras
import numpy as np
import pytest
from little_training import LITTLE_NETWORK

from keras_mtl.core import DataError, RecipeError
from keras_mtl.features import NO_SCENE
from keras_mtl.models import build
from keras_mtl.recipes import load_recipe
from keras_mtl.runs import Run
from keras_mtl.training import train
from keras_mtl.training.data import load_training_data
from keras_mtl.training.lessons import open_from_outside

SETTINGS = (
    "algorithm=distil_freeze",
    "train.epochs=1",
    "train.second_epochs=2",
    "scene_batch=16",
    "pool_batch=8",
    "strong_batch=4",
    "average=0.9",
    "embedding_weight=2",
    "tag_weight=0.5",
    "waveform_copies=1",
    "waveform_mixes=1",
    "waveform_cuts=1",
    "freq_mixstyle_probability=0.5",
    "freq_mixstyle_by=clip",
    "validation_fraction=0.2",
    LITTLE_NETWORK,
)


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    """A small network of a waveform, as a `.keras` file, and what describes it."""
    folder = tmp_path_factory.mktemp("teacher")
    keras.utils.set_random_seed(2)
    audio = keras.Input((4000,), name="audio")
    x = keras.layers.Reshape((250, 16))(audio)
    x = keras.layers.Dense(12, activation="relu")(x)
    embedding = keras.layers.GlobalAveragePooling1D(name="embedding")(x)
    scores = keras.layers.Dense(5, activation="sigmoid", name="scores")(embedding)
    keras.Model(audio, [scores]).save(folder / "small.keras")
    (folder / "small.toml").write_text(
        'model = "small.keras"\ninput = "waveform"\nsample_rate_hz = 16000\nwindow = 4000\nhop_s = 0.25\n'
        'embedding = "embedding"\nscores = "scores"\n'
    )
    return folder / "small.toml"


@pytest.fixture(scope="module")
def taught(teacher):
    return load_recipe("mt", (*SETTINGS, f"train.teacher={teacher}"))


@pytest.fixture(scope="module")
def data(taught, corpus, cache):
    outside = open_from_outside(taught, corpus, cache)
    return load_training_data(taught, corpus, {"scenes", "events"}, cache, 0, outside)


@pytest.fixture(scope="module")
def taught_run(taught, corpus, cache, tmp_path_factory) -> Run:
    return train(taught, corpus, tmp_path_factory.mktemp("runs") / "taught", cache)


def test_every_clip_that_is_trained_on_has_targets(data):
    lessons, scenes = data.lessons, len(data.scenes) + len(data.varied)
    assert {key: values.shape for key, values in lessons.scenes.targets.items()} == {
        "teacher_scenes": (scenes, 10),
        "teacher_embedding": (scenes, 12),
        "teacher_tags": (scenes, 5),
    }
    assert {len(values) for values in lessons.pool.targets.values()} == {len(data.pool)}
    assert set(data.pool.scenes.tolist()) == {NO_SCENE}
    embedding = lessons.scenes.targets["teacher_embedding"]
    assert len(np.unique(np.round(embedding, 4), axis=0)) > 0.9 * scenes, "a copy sounds otherwise than its source"
    whole = np.concatenate([embedding, lessons.pool.targets["teacher_embedding"]])
    np.testing.assert_allclose([whole.mean(axis=0), whole.std(axis=0)], np.repeat([[0.0], [1.0]], 12, 1), atol=1e-3)


def test_held_out_recordings_have_no_part_in_anything(data):
    held = set(data.held_out_scenes.recordings.tolist())
    heard = [name for each in (data.scenes, data.varied, data.pool) for name in each.recordings.tolist()]
    assert held and not held & {part for name in heard for part in name.split("\t")}
    cut = {name.partition("#cut")[0] for name in data.pool.filenames.tolist() if "#cut" in name}
    assert not cut & set(data.held_out_events.filenames.tolist())


def test_a_batch_has_labelled_clips_first_and_the_targets_of_its_own_clips(data, taught):
    (stream,) = data.streams(("scenes",), taught, None).values()
    batch, names = stream(1), stream.filenames(1)
    assert [len(values) for values in batch.values()] == [24] * len(batch) and len(names) == 24
    np.testing.assert_array_equal(batch["has_scene"], np.repeat([1.0, 0.0], [16, 8]))
    every = data.scenes.join(data.varied).join(data.pool)
    places = [every.filenames.tolist().index(name) for name in names]
    for key, values in data.lessons.scenes.targets.items():
        whole = np.concatenate([values, data.lessons.pool.targets[key]])
        np.testing.assert_allclose(batch[key], whole[places], rtol=1e-6)
    np.testing.assert_array_equal(batch["scene"][:16], every.scenes[places[:16]])
    assert stream(1)["log_mel"].tobytes() == batch["log_mel"].tobytes()


def test_the_network_of_the_run_is_as_large_as_ever(taught_run, taught):
    plain = load_recipe("mt", (LITTLE_NETWORK,))
    network = taught_run.network()
    assert network.count_params() == build("mt", taught_run.labels, plain.features, plain.model.options).count_params()
    assert {layer.name for layer in network.layers} == {"log_mel", "encoder", "scene_head", "event_head"}
    log = (taught_run.path / "scenes.csv").read_text().splitlines()[0]
    assert {"scenes_distillation", "scenes_embedding", "scenes_tags", "val_scene_loss"} <= set(log.split(","))
    assert "strong_bce" in (taught_run.path / "events.csv").read_text().splitlines()[0]


def test_same_seed_same_bytes_from_what_is_cached(taught_run, taught, corpus, cache, tmp_path):
    again = train(taught, corpus, tmp_path / "again", cache)
    for one, other in zip(taught_run.network().get_weights(), again.network().get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_folder_of_targets_says_of_a_copy_what_it_says_of_its_source(taught, data, corpus, cache, tmp_path):
    scenes = corpus.scenes["train"]
    names = [str(example["filename"]) for example in scenes]
    random = np.random.default_rng(1)
    np.savez(tmp_path / "targets.npz", filename=np.asarray(names), embedding=random.normal(size=(len(names), 6)))
    recipe = replace(taught, train=replace(taught.train, teacher=str(tmp_path)))
    found = load_training_data(recipe, corpus, {"scenes"}, cache, 0, open_from_outside(recipe, corpus, cache))
    assert found.pool is None and found.lessons.pool is None
    targets = found.lessons.scenes.targets
    assert set(targets) == {"teacher_embedding"}
    count = len(found.scenes)
    np.testing.assert_array_equal(targets["teacher_embedding"][:count], targets["teacher_embedding"][count:])


def test_soft_labels_of_events_are_of_their_own_clips(taught, corpus, cache, tmp_path):
    random, names, kinds = np.random.default_rng(1), corpus.labels.events, ("weak", "strong_synthetic")
    clips = [str(example["filename"]) for kind in kinds if kind in corpus.events for example in corpus.events[kind]]
    events = random.random((len(clips), 21, len(names)))
    np.savez(tmp_path / "targets.npz", filename=np.asarray(clips), events=events, hop_s=0.5)
    settings = replace(taught.train, algorithm="single", teacher=str(tmp_path), event_weight=0.5)
    recipe = replace(taught, train=replace(settings, weak_batch=2, unlabelled_batch=0, validation_fraction=0.0))
    outside = open_from_outside(recipe, corpus, cache)
    lessons = load_training_data(recipe, corpus, {"events"}, cache, 0, outside).lessons
    assert lessons.scenes is None and lessons.terms(recipe.train, ("scenes",)) is None
    assert lessons.terms(recipe.train, ("events",)).event_weight == 0.5
    data = load_training_data(recipe, corpus, {"events"}, cache, 0, outside)
    network = build("mt", corpus.labels, recipe.features, recipe.model.options)
    (stream,) = data.streams(("events",), recipe, network).values()
    batch, heard = stream(0), stream.filenames(0)
    assert batch["teacher_events"].shape == batch["strong"].shape and set(batch["has_teacher"]) <= {0.0, 1.0}
    told = [number for number, name in enumerate(heard) if name in clips]
    assert told and batch["has_teacher"].sum() == len(told)
    for number in told:
        # Window 4 is centred at 2 s, embedding 50 at 2.015 s.
        near = events[clips.index(heard[number]), 4:6] * [[0.97], [0.03]]
        np.testing.assert_allclose(batch["teacher_events"][number, 50], near.sum(axis=0), atol=0.002)
    with pytest.raises(RecipeError, match="has nothing to say of events"):
        quiet = replace(recipe, train=replace(recipe.train, event_weight=0.0))
        load_training_data(quiet, corpus, {"events"}, cache, 0, outside)


def test_without_a_teacher_there_are_copies_alone(taught, corpus, cache):
    recipe = replace(taught, train=replace(taught.train, teacher=""))
    found = load_training_data(recipe, corpus, {"scenes"}, cache)
    assert (found.pool, found.lessons) == (None, None) and len(found.varied) == len(found.scenes)
    batch = found.streams(("scenes",), recipe, None)["scenes"](0)
    assert set(batch) == {"log_mel", "scene"} and len(batch["scene"]) == 16


def test_what_can_not_be_used_is_one_line(taught, teacher, corpus, cache, tmp_path):
    def refusal(error, **given):
        recipe = replace(taught, train=replace(taught.train, **given))
        with pytest.raises(error) as caught:
            outside = open_from_outside(recipe, corpus, cache)
            load_training_data(recipe, corpus, {"scenes"}, cache, 0, outside)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    assert "names 2 teachers" in refusal(RecipeError, teacher=(str(teacher), "RUN"))
    text = teacher.read_text()
    (tmp_path / "small.keras").symlink_to(teacher.parent / "small.keras")
    (tmp_path / "fast.toml").write_text(text.replace("16000", "48000"))
    assert "takes 48,000 Hz, the features 16,000 Hz" in refusal(RecipeError, teacher=str(tmp_path / "fast.toml"))
    np.savez(tmp_path / "targets.npz", filename=np.asarray(["a.wav"]), tags=np.zeros((1, 3)))
    assert "no targets of" in refusal(DataError, teacher=str(tmp_path))
    recipe = replace(taught, augment=replace(taught.augment, mixup_alpha=0.3))
    with pytest.raises(RecipeError, match="has nothing to say of mixup"):
        open_from_outside(recipe, corpus, cache)


def test_embeddings_are_those_of_the_encoder_and_computed_once(data, taught, taught_run, tmp_path):
    network = taught_run.network()
    here = replace(data, cache=(tmp_path, "key"))
    stream = here.streams(("events",), taught, network, embedded=True)["events"]
    batch = stream(0)
    plain = {name: place for place, name in enumerate(data.events["strong"].filenames.tolist())}
    log_mel = data.events["strong"].log_mel
    from keras_mtl.features import normalise

    for row, name in zip(batch["log_mel"][..., 0], stream.filenames(0), strict=True):
        clip = normalise(log_mel[plain[name]], data.settings)[None, ..., None]
        goal = np.asarray(network.get_layer("encoder")(clip, training=False))[0]
        np.testing.assert_allclose(row, goal, rtol=2e-3, atol=2e-3)
    assert batch["has_weak"].tolist() == batch["has_strong"].tolist() == [1.0] * 4
    (file,) = tmp_path.rglob("pass-*.npy")
    made = file.stat().st_mtime_ns
    again = here.streams(("events",), taught, network, embedded=True)["events"](0)
    assert again["log_mel"].tobytes() == batch["log_mel"].tobytes()
    assert file.stat().st_mtime_ns == made
