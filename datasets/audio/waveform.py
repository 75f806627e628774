"""Random changes of a waveform: speed, colour, gain and mixing. NumPy in, NumPy out, drawn from a generator alone.

All take float [samples] in [-1, 1] and give the same dtype; the same generator in the same state gives the same bytes.
"""

from __future__ import annotations

import numpy as np
import scipy.fft
import soxr

#: Points of an equaliser, evenly spaced over the logarithm of the frequency, from this one up to half the rate, and
#: those between which the gain is a straight line over the frequency itself.
_POINTS, _LOWEST_HZ, _DENSE_POINTS = 9, 50.0, 257
#: Zeros behind the audio before it is filtered, so that its end does not ring into its begin.
_RING_S = 0.1


def changed_speed(audio: np.ndarray, speed: float) -> np.ndarray:
    """The recording played `speed` times as fast, as of a tape: pitch and length change, [round(samples / speed)]."""
    samples = max(1, round(len(audio) / speed))
    resampled = soxr.resample(audio, speed, 1.0, quality="HQ")[:samples]
    return np.pad(resampled, (0, samples - len(resampled)))


def random_speed(
    audio: np.ndarray,
    rng: np.random.Generator,
    low: float = 0.9,
    high: float = 1.1,
    probability: float = 0.5,
    same_length: bool = False,
) -> np.ndarray:
    """With this probability, `changed_speed` by a factor from `low` to `high`.

    Args:
        audio: float [samples].
        rng: what draws.
        low: the least factor.
        high: the largest.
        probability: that anything is changed.
        same_length: whether the result has as many samples as `audio`: of a longer one a random part, and to a shorter
            one its end is added, mirrored.
    """
    if rng.random() >= probability:
        return audio
    changed = changed_speed(audio, rng.uniform(low, high))
    if not same_length:
        return changed
    first = int(rng.integers(0, max(len(changed) - len(audio), 0) + 1))
    part = changed[first : first + len(audio)]
    return np.pad(part, (0, len(audio) - len(part)), mode="symmetric")


def random_equaliser(
    audio: np.ndarray,
    rng: np.random.Generator,
    rate_hz: int,
    spread_db: float = 5.0,
    probability: float = 0.7,
) -> np.ndarray:
    """With this probability, another colour: a smooth gain over frequency, without delay, at the same level.

    The gain in dB is linear between nine points that are evenly spaced over the logarithm of the frequency: normal
    draws of their own, or, every other time, a drift, the sum of draws half as wide from the lowest point on. Its mean
    is removed, and the root mean square of the audio kept.

    Args:
        audio: float [samples].
        rng: what draws.
        rate_hz: samples per second.
        spread_db: standard deviation of a point.
        probability: that anything is changed.

    Returns:
        float [samples], as long as `audio`.
    """
    if rng.random() >= probability:
        return audio
    points = rng.normal(0.0, spread_db, _POINTS)
    if rng.random() < 0.5:
        points = np.cumsum(points / 2)
    points -= points.mean()
    size = scipy.fft.next_fast_len(len(audio) + round(_RING_S * rate_hz), real=True)
    spectrum = scipy.fft.rfft(audio, size)
    gains = np.power(10.0, np.interp(np.linspace(0.0, 1.0, _DENSE_POINTS), np.linspace(0.0, 1.0, _POINTS), points) / 20)
    dense_hz = np.geomspace(_LOWEST_HZ, rate_hz / 2, _DENSE_POINTS)
    spectrum *= np.interp(np.linspace(0.0, rate_hz / 2, len(spectrum)), dense_hz, gains).astype(audio.dtype)
    coloured = scipy.fft.irfft(spectrum, size)[: len(audio)]
    return (coloured * _ratio(level(audio), level(coloured))).astype(audio.dtype, copy=False)


def random_gain(audio: np.ndarray, rng: np.random.Generator, spread_db: float = 4.0) -> np.ndarray:
    """The audio louder or softer by a normal draw of this standard deviation; no louder than full scale allows."""
    gain = 10.0 ** (rng.normal(0.0, spread_db) / 20.0)
    return within_scale(audio * audio.dtype.type(gain))


def mixed(audio: np.ndarray, other: np.ndarray, snr_db: float) -> np.ndarray:
    """The audio with another under it whose root mean square is `snr_db` below its own; softer where it must fit.

    Args:
        audio: float [samples].
        other: as many samples. Where one of both is silent, the result is the other.
        snr_db: how far `other` lies below `audio`; above it where this is negative.
    """
    gain = _ratio(level(audio), level(other)) * 10.0 ** (-snr_db / 20.0) if level(audio) else 1.0
    return within_scale(audio + audio.dtype.type(gain) * other)


def level(audio: np.ndarray) -> float:
    """Root mean square."""
    return float(np.sqrt(np.square(audio, dtype=np.float64).mean()))


def within_scale(audio: np.ndarray, peak: float = 1.0) -> np.ndarray:
    """The audio, softer as a whole where its largest sample lies beyond `peak`."""
    largest = float(np.abs(audio).max())
    return audio * audio.dtype.type(peak / largest) if largest > peak else audio


def _ratio(wanted: float, found: float) -> float:
    return wanted / found if found else 1.0
