"""Hearing recordings: any rate and length, the picture, and the listener behind it."""

import json

import numpy as np
import pytest
import soundfile

from keras_mtl.core import SCENES, DataError
from keras_mtl.decoding import Event
from keras_mtl.features import event_set
from keras_mtl.inference import Listener, listen_with_run, predict
from keras_mtl.metrics import evaluate
from keras_mtl.plots import plot_timeline


@pytest.fixture(scope="module")
def listener(run):
    return listen_with_run(run)


def write(path, seconds, rate=16_000, channels=1):
    random = np.random.default_rng(4)
    soundfile.write(path, random.normal(0, 0.1, (int(seconds * rate), channels)), rate)
    return path


@pytest.mark.parametrize(("seconds", "rate", "channels"), [(0.3, 16_000, 1), (2.51, 48_000, 2), (12.0, 16_000, 1)])
def test_recordings_of_any_length_and_rate(listener, tmp_path, seconds, rate, channels):
    heard = predict(listener, write(tmp_path / "a.wav", seconds, rate, channels))
    assert heard.duration_s == pytest.approx(seconds, abs=0.001)
    assert heard.probabilities.shape == (int(np.ceil(seconds / 0.04 - 1e-9)), 10)
    assert set(heard.scene_scores) == set(SCENES)
    assert sum(heard.scene_scores.values()) == pytest.approx(1.0, abs=1e-4)
    assert heard.scene in SCENES
    assert all(0 <= e.onset_s < e.offset_s <= seconds + 0.001 for e, _ in heard.events)
    json.dumps(heard.to_dict())


def test_a_clip_is_heard_as_in_evaluation(listener, run, corpus, cache, tmp_path):
    clips = event_set(corpus, "validation", run.settings, cache)
    example = next(iter(corpus.events["validation"]))
    soundfile.write(tmp_path / "clip.wav", example["audio"], 16_000)
    heard = predict(listener, tmp_path / "clip.wav")
    place = list(clips.filenames).index(example["filename"])
    expected, _ = listener.event_probabilities(clips.levels[place : place + 1])
    np.testing.assert_allclose(heard.probabilities, expected[0], atol=5e-3)  # levels of sets are float16


def test_picture_with_and_without_truth(listener, tmp_path):
    heard = predict(listener, write(tmp_path / "a.wav", 2.0))
    for name, truth in (("a.png", None), ("b.svg", [Event(0.2, 1.1, "Dog")])):
        path = plot_timeline(heard, tmp_path / name, truth)
        assert path.stat().st_size > 5000
    first = (tmp_path / "a.png").read_bytes()
    assert plot_timeline(heard, tmp_path / "a.png").read_bytes() == first


def test_too_short_recordings_are_refused(listener, tmp_path):
    with pytest.raises(DataError, match="50 ms"):
        predict(listener, write(tmp_path / "a.wav", 0.05))


def test_only_what_is_heard_is_scored(listener, corpus, cache, run):
    scenes_only = Listener(run.settings, listener.scene_logits)
    assert set(evaluate(scenes_only, corpus, cache)) == {"scenes"}
    whole = evaluate(listener, corpus, cache)
    assert whole == run.info["metrics"]
