"""Events to the grid of embeddings and back, without a systematic shift."""

import numpy as np
import pytest

from keras_mtl.core import DCASE, LogMelSettings
from keras_mtl.decoding import DecodeSettings, Event, Grid, decode, median_filter, median_steps
from keras_mtl.features import LogMel

GRID = Grid.over(LogMelSettings(), 1000, 4)


def test_grid_covers_the_clip():
    edges = GRID.boundaries_s()
    assert GRID.count == 250
    assert edges[0] == 0.0
    assert edges[-1] == 10.0
    assert edges[1] == pytest.approx(0.035)
    assert (np.diff(edges) > 0).all()


def test_targets_decode_to_the_events_without_a_shift():
    random = np.random.default_rng(3)
    onset_errors, offset_errors = [], []
    for _ in range(200):
        onset = random.uniform(0.2, 6.0)
        event = Event(onset, onset + random.uniform(0.6, 3.0), "Dog")
        ((decoded, score),) = decode(GRID.targets([event], DCASE.events), GRID, DCASE.events)
        assert decoded.label == "Dog"
        assert score == 1.0
        onset_errors.append(decoded.onset_s - event.onset_s)
        offset_errors.append(decoded.offset_s - event.offset_s)
    for errors in (onset_errors, offset_errors):
        assert np.abs(errors).max() <= 0.0201
        assert abs(np.mean(errors)) < 0.004  # 20 ms / sqrt(3 * 200) is 0.8 ms


def test_bursts_in_audio_lie_where_the_grid_says():
    """Noise bursts: the loud embeddings decode to the stretch of the burst, with no shift on average."""
    log_mel, random, shifts_s = LogMel(LogMelSettings()), np.random.default_rng(0), []
    for start in range(0, 640, 40):  # a whole embedding in steps of 2.5 ms
        audio = np.zeros(16_000 * 10, np.float32)
        first, last = 32_000 + start, 96_000 + start
        audio[first:last] = random.normal(0, 0.1, last - first)
        levels = log_mel(audio[None])[0].mean(axis=1).reshape(250, 4).mean(axis=1)
        loud = np.zeros((250, 10), np.float32)
        loud[:, 4] = levels > (levels.max() + levels.min()) / 2
        ((event, _),) = decode(loud, GRID, DCASE.events, DecodeSettings(median_s=0.04))
        # The window smears both ends outwards by the same amount, so it drops out of the mean of the two errors.
        shifts_s.append((event.onset_s - first / 16_000 + event.offset_s - last / 16_000) / 2)
    assert abs(np.mean(shifts_s)) < 0.004


def test_a_very_short_event_marks_the_embedding_around_it():
    targets = GRID.targets([Event(3.001, 3.004, "Cat")], DCASE.events)
    assert targets.sum() == 1.0
    assert targets[:, DCASE.events.index("Cat")].argmax() == int((3.0025 + 0.005) / 0.04)


def test_an_event_at_the_very_end_is_kept():
    targets = GRID.targets([Event(9.99, 10.0, "Cat")], DCASE.events)
    assert targets[249, DCASE.events.index("Cat")] == 1.0


def test_median_filter_is_scipys():
    scipy_signal = pytest.importorskip("scipy.signal")
    probabilities = np.random.default_rng(0).random((250, 3))
    expected = np.stack([scipy_signal.medfilt(column, 11) for column in probabilities.T], axis=1)
    np.testing.assert_allclose(median_filter(probabilities, 11), expected)
    assert median_steps(0.45, GRID.step_s) == 11
    assert median_steps(0.01, GRID.step_s) == 1


def test_decode_drops_what_the_median_filter_drops():
    probabilities = np.zeros((250, 10))
    probabilities[100:103, 0] = 0.9
    probabilities[150:180, 1] = 0.9
    events = decode(probabilities, GRID, DCASE.events)
    assert [event.label for event, _ in events] == [DCASE.events[1]]
