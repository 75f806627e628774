"""Prediction of recordings: any rate and length, the picture, and the predictor behind it."""

import json

import numpy as np
import pytest
import soundfile

from keras_mtl.core import DCASE, DataError
from keras_mtl.decoding import Event
from keras_mtl.features import event_set
from keras_mtl.inference import Predictor, predict, run_predictor
from keras_mtl.metrics import evaluate
from keras_mtl.plots import plot_timeline


@pytest.fixture(scope="module")
def predictor(run):
    return run_predictor(run)


def write(path, seconds, rate=16_000, channels=1):
    random = np.random.default_rng(4)
    soundfile.write(path, random.normal(0, 0.1, (int(seconds * rate), channels)), rate)
    return path


@pytest.mark.parametrize(("seconds", "rate", "channels"), [(0.3, 16_000, 1), (2.51, 48_000, 2), (12.0, 16_000, 1)])
def test_recordings_of_any_length_and_rate(predictor, tmp_path, seconds, rate, channels):
    prediction = predict(predictor, write(tmp_path / "a.wav", seconds, rate, channels))
    assert prediction.duration_s == pytest.approx(seconds, abs=0.001)
    assert prediction.probabilities.shape == (int(np.ceil(seconds / 0.04 - 1e-9)), 10)
    assert set(prediction.scene_scores) == set(DCASE.scenes)
    assert sum(prediction.scene_scores.values()) == pytest.approx(1.0, abs=1e-4)
    assert prediction.scene in DCASE.scenes
    assert all(0 <= e.onset_s < e.offset_s <= seconds + 0.001 for e, _ in prediction.events)
    json.dumps(prediction.to_dict())


def test_a_clip_is_predicted_as_in_evaluation(predictor, run, corpus, cache, tmp_path):
    clips = event_set(corpus, "validation", run.settings, cache)
    example = next(iter(corpus.events["validation"]))
    soundfile.write(tmp_path / "clip.wav", example["audio"], 16_000)
    prediction = predict(predictor, tmp_path / "clip.wav")
    place = list(clips.filenames).index(example["filename"])
    expected, _ = predictor.event_probabilities(clips.log_mel[place : place + 1])
    np.testing.assert_allclose(prediction.probabilities, expected[0], atol=5e-3)  # log-mel of sets is float16


def test_picture_with_and_without_truth(predictor, tmp_path):
    prediction = predict(predictor, write(tmp_path / "a.wav", 2.0))
    for name, truth in (("a.png", None), ("b.svg", [Event(0.2, 1.1, "Dog")])):
        path = plot_timeline(prediction, tmp_path / name, truth)
        assert path.stat().st_size > 5000
    first = (tmp_path / "a.png").read_bytes()
    assert plot_timeline(prediction, tmp_path / "a.png").read_bytes() == first


def test_too_short_recordings_are_refused(predictor, tmp_path):
    with pytest.raises(DataError, match="50 ms"):
        predict(predictor, write(tmp_path / "a.wav", 0.05))


def test_only_what_is_predicted_is_scored(predictor, corpus, cache, run):
    scenes_only = Predictor(run.settings, predictor.scene_logits)
    assert set(evaluate(scenes_only, corpus, cache)) == {"scenes"}
    whole = evaluate(predictor, corpus, cache)
    assert whole == run.info["metrics"]
