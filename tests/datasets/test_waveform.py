"""Random changes of a waveform: lengths, levels, spectra, and the same bytes from the same draws."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from keras_mtl.datasets.audio import changed_speed, mixed, random_equaliser, random_gain, random_speed

_RATE_HZ = 16_000


def _tone(hz: float, seconds: float = 1.0) -> np.ndarray:
    return (0.3 * np.sin(2 * np.pi * hz * np.arange(round(seconds * _RATE_HZ)) / _RATE_HZ)).astype(np.float32)


def _noise(seconds: float = 1.0) -> np.ndarray:
    return np.random.default_rng(0).normal(0.0, 0.1, round(seconds * _RATE_HZ)).astype(np.float32)


def _rms(audio: np.ndarray) -> float:
    return float(np.sqrt(np.square(audio, dtype=np.float64).mean()))


def test_speed_changes_length_and_pitch() -> None:
    fast = changed_speed(_tone(1000.0), 1.25)
    assert len(fast) == round(_RATE_HZ / 1.25)
    peak_hz = np.abs(np.fft.rfft(fast)).argmax() * _RATE_HZ / len(fast)
    assert peak_hz == pytest.approx(1250.0, abs=2.0)
    # A click stays where it belongs, to the sample.
    click = np.zeros(8000, np.float32)
    click[4000] = 1.0
    assert np.abs(changed_speed(click, 0.8)).argmax() == 5000
    assert changed_speed(np.ones(1, np.float32), 1.1).shape == (1,)


def test_random_speed_keeps_to_its_range_and_length() -> None:
    rng, audio = np.random.default_rng(1), _noise()
    lengths = [len(random_speed(audio, rng)) for _ in range(60)]
    assert 15 < lengths.count(_RATE_HZ) < 45
    assert min(lengths) >= round(_RATE_HZ / 1.1) and max(lengths) <= round(_RATE_HZ / 0.9)
    assert {len(random_speed(audio, rng, probability=1.0, same_length=True)) for _ in range(20)} == {_RATE_HZ}


def test_equaliser_colours_and_keeps_the_level() -> None:
    rng, audio = np.random.default_rng(2), _noise(4.0)
    frequencies = np.fft.rfftfreq(len(audio), 1 / _RATE_HZ)
    bands = [(frequencies > low) & (frequencies < 1.5 * low) for low in (100, 400, 1600, 5000)]
    gains = []
    for _ in range(30):
        coloured = random_equaliser(audio, rng, _RATE_HZ, probability=1.0)
        assert coloured.dtype == np.float32 and len(coloured) == len(audio)
        assert _rms(coloured) == pytest.approx(_rms(audio), rel=1e-3)
        before, after = np.abs(np.fft.rfft(audio)) ** 2, np.abs(np.fft.rfft(coloured)) ** 2
        gains.append([10 * np.log10(after[band].sum() / before[band].sum()) for band in bands])
    spread = np.std(gains, axis=0)
    assert (spread > 1.5).all() and (spread < 9.0).all()
    assert sum(random_equaliser(audio, rng, _RATE_HZ) is audio for _ in range(60)) in range(8, 30)


def test_equaliser_does_not_delay() -> None:
    click = np.zeros(8000, np.float32)
    click[4000] = 0.5
    for seed in range(10):
        coloured = random_equaliser(click, np.random.default_rng(seed), _RATE_HZ, probability=1.0)
        assert np.abs(coloured).argmax() == 4000
        assert np.square(coloured[3200:4800]).sum() > 0.99 * np.square(coloured).sum()


def test_gain_and_mixture_fit_into_full_scale() -> None:
    rng, audio = np.random.default_rng(3), _noise()
    gains_db = [20 * np.log10(_rms(random_gain(audio * 0.1, rng)) / _rms(audio * 0.1)) for _ in range(200)]
    assert np.std(gains_db) == pytest.approx(4.0, abs=0.8)
    assert max(np.abs(random_gain(audio, rng, spread_db=40.0)).max() for _ in range(20)) <= 1.0
    other, silence = _tone(500.0), np.zeros(_RATE_HZ, np.float32)
    for snr_db in (-10.0, 0.0, 10.0):
        under = mixed(audio * 0.2, other, snr_db) - audio * 0.2
        assert 20 * np.log10(_rms(audio * 0.2) / _rms(under)) == pytest.approx(snr_db, abs=0.01)
    assert np.array_equal(mixed(audio, silence, 3.0), audio)
    assert np.array_equal(mixed(silence, audio, 3.0), audio)
    assert np.abs(mixed(_tone(300.0), _tone(300.0), -20.0)).max() <= 1.0


@pytest.mark.parametrize(
    "change",
    [
        lambda audio, rng: random_speed(audio, rng, probability=1.0),
        lambda audio, rng: random_equaliser(audio, rng, _RATE_HZ, probability=1.0),
        random_gain,
    ],
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_same_draws_same_bytes(change: Callable[[np.ndarray, np.random.Generator], np.ndarray], dtype: type) -> None:
    audio = _noise().astype(dtype)
    kept = audio.copy()
    first, second = (change(audio, np.random.default_rng(7)) for _ in range(2))
    assert first.dtype == dtype and first.tobytes() == second.tobytes()
    assert np.array_equal(audio, kept), "what is changed is a copy"
    assert not np.array_equal(first, audio)
    silence = change(np.zeros(1600, dtype), np.random.default_rng(7))
    assert not silence.any()
