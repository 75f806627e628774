"""Device impulse responses: reading, convolving, the prepared copies, and a training with every augmentation on."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.signal
import soundfile

from keras_mtl.core import DataError, LogMelSettings, RecipeError
from keras_mtl.features import ImpulseCopies, LogMel, impulse_copies, scene_set
from keras_mtl.features.copies import convolved, read_impulse_responses
from keras_mtl.recipes import AugmentSettings
from keras_mtl.training import SceneStream, load_training_data, train

SETTINGS = LogMelSettings()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three responses, one of them at another rate, and a text that is none."""
    folder = tmp_path_factory.mktemp("responses")
    random = np.random.default_rng(0)
    for name, rate_hz, samples in (("a", 16_000, 400), ("b", 16_000, 64), ("c", 44_100, 900)):
        response = random.normal(size=samples) * np.exp(-np.arange(samples) / 40) * 0.3
        soundfile.write(folder / f"{name}.wav", response, rate_hz, subtype="FLOAT")
    (folder / "notes.txt").write_text("no recording")
    return folder


@pytest.fixture(scope="module")
def augment(folder):
    return AugmentSettings(ir_folder=str(folder), ir_probability=0.5, ir_copies=2, ir_devices="a,b")


def test_responses_are_read_in_order_and_have_energy_one(folder):
    responses = read_impulse_responses(folder, 16_000)
    assert [len(response) for response in responses[:2]] == [400, 64]
    assert len(responses[2]) == pytest.approx(900 * 16 / 44.1, abs=2)
    for response in responses:
        assert np.square(response).sum() == pytest.approx(1.0)


def test_convolution_is_scipys():
    random = np.random.default_rng(1)
    audio, response = random.normal(size=1000), random.normal(size=300)
    np.testing.assert_allclose(convolved(audio, response), scipy.signal.convolve(audio, response)[:1000], atol=1e-4)
    np.testing.assert_allclose(convolved(audio, np.ones(1)), audio, atol=1e-6)


def test_copies_are_the_features_of_convolved_audio(corpus, cache, folder, augment):
    clips = scene_set(corpus, "train", SETTINGS, cache)
    copies = impulse_copies(corpus, "train", clips, SETTINGS, cache, augment, seed=3)
    eligible = np.isin(clips.devices, ["a", "b"])
    np.testing.assert_array_equal(copies.rows >= 0, eligible)
    assert [len(levels) for levels in copies.log_mel] == [eligible.sum()] * 2
    responses, log_mel = read_impulse_responses(folder, 16_000), LogMel(SETTINGS)
    used = set()
    for number, example in enumerate(corpus.scenes["train"]):
        if not eligible[number] or copies.rows[number] > 10:
            continue
        audio = example["audio"] / 32768.0
        candidates = np.stack([scipy.signal.convolve(audio, response)[: len(audio)] for response in responses])
        expected = log_mel(candidates)
        for levels in copies.log_mel:
            errors = np.abs(expected - np.asarray(levels[copies.rows[number]], np.float32)).max(axis=(1, 2))
            assert errors.min() < 0.1, "one of the responses, to the precision of float16 dB"
            used.add(int(errors.argmin()))
    assert used == {0, 1, 2}


def test_copies_are_of_seed_content_and_devices(corpus, cache, augment):
    clips = scene_set(corpus, "train", SETTINGS, cache)
    first, again, other = (
        impulse_copies(corpus, "train", clips, SETTINGS, cache, augment, seed=seed) for seed in (3, 3, 4)
    )
    np.testing.assert_array_equal(first.log_mel[0], again.log_mel[0])
    assert (first.log_mel[0][:] != other.log_mel[0][:]).any()
    assert (first.log_mel[0][:] != first.log_mel[1][:]).any()
    everyone = impulse_copies(corpus, "train", clips, SETTINGS, cache, replace(augment, ir_devices="all"), seed=3)
    assert (everyone.rows == np.arange(len(clips))).all()
    assert impulse_copies(corpus, "train", clips, SETTINGS, cache, AugmentSettings(), seed=3) is None


def test_batches_take_their_part_from_copies():
    plain = np.zeros((6, 2, 3), np.float16)
    levels = tuple(np.full((4, 2, 3), 10.0 * k, np.float16) + np.arange(4)[:, None, None] for k in (1, 2))
    copies = ImpulseCopies(levels, np.asarray([0, 1, -1, 2, 3, -1]), probability=0.5, seed=0)
    index = np.tile(np.arange(6), 100)
    values = copies.into(plain[index], index, step=4)[:, 0, 0]
    np.testing.assert_array_equal(values, copies.into(plain[index], index, step=4)[:, 0, 0])
    assert (values != copies.into(plain[index], index, step=5)[:, 0, 0]).any()
    assert (values[copies.rows[index] < 0] == 0).all(), "clips without copies stay"
    taken = values > 0
    assert taken[copies.rows[index] >= 0].mean() == pytest.approx(0.5, abs=0.1)
    np.testing.assert_array_equal(values[taken] % 10, copies.rows[index][taken])
    assert {1, 2} == set((values[taken] // 10).astype(int))
    np.testing.assert_array_equal(copies.take(np.asarray([3, 2])).rows, [2, -1])


def test_the_training_data_keep_copies_with_their_clips(corpus, cache, recipe, augment):
    """Held-out clips go, and each of the others stays beside its own copy."""
    certain = replace(recipe, augment=replace(augment, ir_probability=1.0, ir_copies=1))
    data = load_training_data(certain, corpus, {"scenes"}, cache)
    assert data.scene_copies.rows.shape == data.scenes.scenes.shape
    np.testing.assert_array_equal(data.scene_copies.rows >= 0, np.isin(data.scenes.devices, ["a", "b"]))
    plain = SceneStream(data.scenes, 16, data.settings, recipe.train.seed)(0)
    heard = data.streams(("scenes",), certain, network=None)["scenes"](0)
    np.testing.assert_array_equal(plain["scene"], heard["scene"])
    changed = (plain["log_mel"] != heard["log_mel"]).any(axis=(1, 2, 3))
    assert 0 < changed.sum() < 16
    alike = [np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in zip(plain["log_mel"], heard["log_mel"], strict=True)]
    assert min(alike) > 0.5, "the same clip, in another colour"


def test_what_cannot_be_done_is_refused(corpus, cache, tmp_path, augment):
    clips = scene_set(corpus, "train", SETTINGS, cache)

    def prepare(**changes):
        impulse_copies(corpus, "train", clips, SETTINGS, cache, replace(augment, **changes), seed=0)

    with pytest.raises(RecipeError, match="ir_probability"):
        prepare(ir_folder="")
    with pytest.raises(RecipeError, match="ir_folder"):
        prepare(ir_probability=0.0)
    with pytest.raises(DataError, match="no folder of impulse responses"):
        prepare(ir_folder=str(tmp_path / "nowhere"))
    with pytest.raises(DataError, match="holds no recordings"):
        prepare(ir_folder=str(tmp_path))
    with pytest.raises(DataError, match="no scene clip of"):
        prepare(ir_devices="z9")
    soundfile.write(tmp_path / "silent.wav", np.zeros(100), 16_000)
    with pytest.raises(DataError, match="silent"):
        prepare(ir_folder=str(tmp_path))


@pytest.mark.slow
def test_a_training_with_everything_on(corpus, cache, recipe, augment, tmp_path):
    """All steps at once, in one epoch of both tasks; the run says so, and its figures are figures."""
    everything = replace(augment, mixup_alpha=0.3, roll_s=0.4, freq_mixstyle_probability=0.5)
    run = train(
        replace(recipe, train=replace(recipe.train, algorithm="soft", epochs=1), augment=everything),
        corpus,
        tmp_path / "run",
        cache,
    )
    assert run.recipe.augment == everything
    assert np.isfinite(run.info["metrics"]["scenes"]["log_loss"])
