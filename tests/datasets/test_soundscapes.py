"""The embedded data: complete, the same every time, and learnable but not by a linear model."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from keras_mtl.core import DCASE, DataError, Labels, LogMelSettings, hann_window, mel_filters
from keras_mtl.datasets import Corpus, open_corpus
from keras_mtl.datasets.soundscapes import events, scenes
from keras_mtl.datasets.soundscapes.soundscapes_dataset_builder import Builder, fingerprint


@pytest.fixture(scope="module")
def tiny_cache(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def tiny(tiny_cache: Path) -> Corpus:
    return open_corpus("soundscapes:tiny", tiny_cache, progress=False)


def test_the_tiny_corpus_holds_both_tasks(tiny: Corpus) -> None:
    assert tiny.name == "soundscapes"
    assert {name: clips.count for name, clips in tiny.scenes.items()} == {"train": 40, "test": 20}
    assert {name: clips.count for name, clips in tiny.events.items()} == {
        "strong_synthetic": 8,
        "weak": 4,
        "unlabelled": 4,
        "validation": 6,
    }


def test_scene_clips(tiny: Corpus) -> None:
    train, test = list(tiny.scenes["train"]), list(tiny.scenes["test"])
    for split in (train, test):
        assert {clip["scene"] for clip in split} == set(range(len(DCASE.scenes)))
        assert all(clip["audio"].shape == (16_000,) and clip["audio"].dtype == np.int16 for clip in split)
        assert all(np.abs(clip["audio"].astype(int)).max() > 10 for clip in split)
    assert {clip["device"] for clip in train} <= {"a", "b", "c", "s1", "s2", "s3"}
    assert {clip["device"] for clip in test} & {"s4", "s5", "s6"}
    recordings = [{clip["recording"] for clip in split} for split in (train, test)]
    assert not recordings[0] & recordings[1]
    scenes_of = {recording: {c["scene"] for c in train if c["recording"] == recording} for recording in recordings[0]}
    assert all(len(found) == 1 for found in scenes_of.values())


def test_event_clips_have_the_labels_of_their_split(tiny: Corpus) -> None:
    assert set(tiny.events) == {"strong_synthetic", "weak", "unlabelled", "validation"}
    for name, clips in tiny.events.items():
        assert clips.count > 0
        for clip in clips:
            assert clip["audio"].shape == (160_000,)
            strong = set(clip["events"]["label"].tolist())
            weak = set(np.flatnonzero(clip["weak"]).tolist())
            if name in ("strong_synthetic", "validation"):
                assert strong == weak != set()
                assert (clip["events"]["onset_s"] < clip["events"]["offset_s"]).all()
                assert clip["events"]["offset_s"].max() <= 10.0
            else:
                assert strong == set()
                assert bool(weak) == (name == "weak")


def test_prepared_twice_the_bytes_are_the_same(tiny: Corpus, tmp_path: Path) -> None:
    again = open_corpus("soundscapes:tiny", tmp_path / "other", progress=False)
    assert again.fingerprint == tiny.fingerprint
    for name in tiny.events:
        for one, other in zip(tiny.events[name], again.events[name], strict=True):
            assert one["filename"] == other["filename"]
            np.testing.assert_array_equal(one["audio"], other["audio"])


def test_the_sounds_are_those_of_this_version(tiny: Corpus) -> None:
    """Prepared data are kept by version: when this sum changes on purpose, the builder's VERSION must rise with it."""
    total = hashlib.sha256()
    for clips in (*tiny.scenes.values(), *tiny.events.values()):
        for clip in clips:
            total.update(clip["audio"].tobytes())
    assert (str(Builder.VERSION), total.hexdigest()[:16]) == ("1.0.0", "2488966f7f72b25e")


def test_at_another_rate_they_are_the_same_sounds(tiny: Corpus, tiny_cache: Path) -> None:
    before = sorted(tiny_cache.rglob("*"))
    higher = open_corpus("soundscapes:tiny", tiny_cache, progress=False, sample_rate_hz=44_100)
    assert sorted(tiny_cache.rglob("*")) == before
    assert (higher.fingerprint, higher.sample_rate_hz) == (tiny.fingerprint, 44_100)
    for split, seconds in ((higher.scenes["test"], 1), (higher.events["weak"], 10)):
        usual = (tiny.scenes["test"], tiny.events["weak"])[seconds == 10]
        for clip, same in zip(split, usual, strict=True):
            assert clip["audio"].shape == (44_100 * seconds,)
            assert clip["audio"].dtype == np.int16
            assert clip["filename"] == same["filename"]
            power, expected = (np.abs(np.fft.rfft(a["audio"] / 32768.0)) ** 2 for a in (clip, same))
            assert power[8100 * seconds :].sum() < 1e-3 * power.sum()  # nothing above 8 kHz
            low = slice(0, 7000 * seconds)
            assert power[low].sum() == pytest.approx(expected[low].sum() * (44_100 / 16_000) ** 2, rel=0.02)


def test_the_fingerprint_tells_sizes_and_seeds_apart() -> None:
    configs = Builder.BUILDER_CONFIGS
    assert len({fingerprint([config]) for config in configs}) == len(configs)


def _by_name(corpus: Corpus) -> dict[str, tuple]:
    """What each clip is, in words: scene; or events with their times, and the classes in it."""
    found = {}
    for split in corpus.scenes.values():
        found |= {clip["filename"]: corpus.labels.scenes[clip["scene"]] for clip in split}
    names = corpus.labels.events
    for split in corpus.events.values():
        for clip in split:
            columns = (clip["events"][key].tolist() for key in ("onset_s", "offset_s", "label"))
            events = [(onset, offset, names[label]) for onset, offset, label in zip(*columns, strict=True)]
            found[clip["filename"]] = (events, {names[label] for label in np.flatnonzero(clip["weak"])})
    return found


def test_class_numbers_follow_the_labels(tiny: Corpus, tiny_cache: Path) -> None:
    """Two names of each task swapped, and back, all in one cache: no number of the other list is left."""
    train, strong = tiny.scenes["train"], tiny.events["strong_synthetic"]
    labels = {}
    for task, numbers in (
        ("scenes", {clip["scene"] for clip in train}),
        ("events", {label for clip in strong for label in clip["events"]["label"].tolist()}),
    ):
        first, second, *_ = sorted(numbers)
        names = list(DCASE.by_task()[task])
        names[first], names[second] = names[second], names[first]
        labels[task] = tuple(names)
    turned = open_corpus("soundscapes:tiny", tiny_cache, progress=False, labels=Labels(**labels))
    assert turned.fingerprint == tiny.fingerprint
    assert turned.key != tiny.key
    again = open_corpus("soundscapes:tiny", tiny_cache, progress=False)
    assert again.key == tiny.key
    named = _by_name(tiny)
    assert len(named) == 40 + 20 + 8 + 4 + 4 + 6
    assert _by_name(turned) == _by_name(again) == named
    for task, key in (("scenes", "train"), ("events", "strong_synthetic"), ("events", "weak")):
        usual, other, back = ([*getattr(corpus, task)[key]] for corpus in (tiny, turned, again))
        column = "scene" if task == "scenes" else "weak"
        numbers = [[np.asarray(clip[column]).tolist() for clip in clips] for clips in (usual, other, back)]
        assert numbers[0] == numbers[2] != numbers[1]
        for a, b in zip(usual, other, strict=True):
            assert a["filename"] == b["filename"]
            np.testing.assert_array_equal(a["audio"], b["audio"])


def test_an_unknown_size_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match='no embedded data "soundscapes:huge"') as caught:
        open_corpus("soundscapes:huge", tmp_path)
    assert "full, tiny" in caught.value.hint


@pytest.mark.parametrize("label", DCASE.events)
def test_every_event_can_be_heard(label: str) -> None:
    sound = events._SYNTHESES[label](np.random.default_rng(3), 16_000)
    assert sound.shape == (16_000,)
    assert np.isfinite(sound).all()
    assert np.abs(sound).max() > 0.05


def test_events_lie_where_their_labels_say() -> None:
    """The loudest clips of one event: the level rises at its onset and falls at its offset."""
    found = 0
    for index in range(60):
        clip, heard = events.event_clip(np.random.default_rng([5, index]))
        if len(heard) != 1 or heard[0].offset_s > 9.5 or heard[0].onset_s < 0.5:
            continue
        first, last = round(heard[0].onset_s * 16_000), round(heard[0].offset_s * 16_000)
        treble = np.diff(clip)  # the background lies low
        inside, before, after = treble[first:last], treble[:first], treble[last:]
        assert inside.std() > before.std()
        assert inside.std() > after.std()
        found += 1
    assert found >= 5


@pytest.mark.parametrize("device", [name for name in scenes.TEST_DEVICES if name != "a"])
def test_a_device_colours_the_sound_always_alike(device: str) -> None:
    noise = 0.01 * np.random.default_rng(1).standard_normal(16_000)
    recorded = scenes.record(noise, device)
    np.testing.assert_array_equal(recorded, scenes.record(noise, device))
    assert np.abs(recorded - noise).max() > 0.1 * np.abs(noise).max()


def _scene_features(seed: int, places: int, clips: int, names: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Log-mel [n, 100, 128] of clips of places drawn anew, and their scenes [n]."""
    settings = LogMelSettings()
    filters, window = mel_filters(settings), hann_window(settings.window)
    features, labels = [], []
    for number in range(places):
        place = scenes.Place.draw(np.random.default_rng([seed, 0, number]), number % len(DCASE.scenes))
        for index in range(clips):
            rng = np.random.default_rng([seed, 1, number, index])
            audio = scenes.record(scenes.scene_clip(rng, place), names[rng.integers(len(names))])
            padded = np.pad(audio, settings.window // 2)
            frames = np.lib.stride_tricks.sliding_window_view(padded, settings.window)[:: settings.hop][:100]
            power = np.abs(np.fft.rfft(frames * window)) ** 2
            features.append(10.0 * np.log10(np.maximum(power @ filters, settings.floor)))
            labels.append(place.scene)
    return np.float32(features), np.array(labels)


def _linear_accuracy(train: tuple[np.ndarray, np.ndarray], test: tuple[np.ndarray, np.ndarray]) -> float:
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=3000))
    model.fit(train[0].mean(axis=1), train[1])
    return float(model.score(test[0].mean(axis=1), test[1]))


@pytest.mark.slow
def test_a_linear_model_on_the_mean_spectrum_learns_little() -> None:
    train = _scene_features(1, 160, 3, scenes.TRAIN_DEVICES)
    test = _scene_features(2, 100, 3, scenes.TEST_DEVICES)
    assert 0.15 < _linear_accuracy(train, test) < 0.45


@pytest.mark.slow
def test_the_network_learns_far_more_than_a_linear_model() -> None:
    import keras

    from keras_mtl.models import build_mt, build_scene_part

    train = _scene_features(1, 200, 5, scenes.TRAIN_DEVICES)
    test = _scene_features(2, 60, 5, scenes.TEST_DEVICES)
    linear = _linear_accuracy(train, test)
    mean, deviation = train[0].mean(), train[0].std()
    inputs, unseen = (((features - mean) / deviation)[..., None] for features in (train[0], test[0]))
    keras.utils.set_random_seed(1)
    network = build_scene_part(build_mt(scenes=10, events=10))
    rate = keras.optimizers.schedules.CosineDecay(0.0, 135, warmup_target=3e-3, warmup_steps=15)
    network.compile(keras.optimizers.AdamW(rate), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    rng = np.random.default_rng(1)
    for _ in range(150):
        batch = rng.choice(len(inputs), 128, replace=False)
        network.train_on_batch(inputs[batch], train[1][batch])
    accuracy = float((network.predict(unseen, verbose=0).argmax(axis=1) == test[1]).mean())
    assert accuracy > linear + 0.2
