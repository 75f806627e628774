"""Log-mel frame by frame, as on a device: against the batches of the training, and however the samples are cut."""

from __future__ import annotations

import numpy as np
import pytest

from keras_mtl.core import LogMelSettings
from keras_mtl.features import LogMel, normalise
from keras_mtl.firmware_host.device.predictor import LogMelStream

SETTINGS = {
    "default": LogMelSettings(mean_db=-30.0, std_db=15.0),
    "window shorter than the FFT": LogMelSettings(8000, window=300, fft=512, hop=97, mel_bands=20),
    "hop longer than the window": LogMelSettings(8000, window=64, hop=200, mel_bands=8),
}


def samples_of(settings: LogMelSettings, seconds: float = 1.5) -> np.ndarray:
    """A tone that fades under noise, int16."""
    time = np.arange(int(settings.sample_rate_hz * seconds)) / settings.sample_rate_hz
    noise = np.random.default_rng(2).normal(size=len(time))
    return (8000 * np.sin(2 * np.pi * 900 * time) * np.exp(-3 * time) + 40 * noise).astype(np.int16)


@pytest.mark.parametrize("name", SETTINGS)
def test_frames_are_those_of_the_training(name):
    settings = SETTINGS[name]
    samples = samples_of(settings)
    found = LogMelStream(settings).push(samples)
    goal = normalise(LogMel(settings)(samples[None])[0], settings)
    # A frame comes when its window is full: (samples - fft / 2) // hop + 1 of them.
    assert len(found) == (len(samples) - settings.fft // 2) // settings.hop + 1 > 30
    np.testing.assert_allclose(found, goal[: len(found)], atol=0.01 / settings.std_db)
    assert np.ptp(found) > 20 / settings.std_db


@pytest.mark.parametrize("name", SETTINGS)
def test_frames_do_not_hang_on_how_samples_are_cut(name):
    settings = SETTINGS[name]
    samples = samples_of(settings)
    goal = LogMelStream(settings).push(samples)
    stream, generator = LogMelStream(settings), np.random.default_rng(3)
    for _ in range(3):
        found, first = [], 0
        while first < len(samples):
            size = int(2 ** generator.uniform(-1, 13))
            found.append(stream.push(samples[first : first + size]))
            first += size
        np.testing.assert_array_equal(np.concatenate(found), goal)
        stream.reset()
    one_by_one = [stream.push(samples[number : number + 1]) for number in range(3000)]
    np.testing.assert_array_equal(np.concatenate(one_by_one), goal[: sum(map(len, one_by_one))])
    as_floats = LogMelStream(settings).push((samples / 32768).astype(np.float32))
    np.testing.assert_array_equal(as_floats, goal)
