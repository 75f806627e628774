"""The raw material of the embedded sounds: noises, tones and strokes, NumPy only, all at 16 kHz."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

RATE_HZ = 16_000

_LOWEST_HZ = 30.0


def shaped(signal: np.ndarray, gain_db: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Filters a signal [n] by a gain curve: `gain_db` gives dB for frequencies in Hz. Zero phase, circular."""
    spectrum = np.fft.rfft(signal)
    hz = np.maximum(np.fft.rfftfreq(len(signal), 1.0 / RATE_HZ), _LOWEST_HZ)
    return np.fft.irfft(spectrum * 10.0 ** (gain_db(hz) / 20.0), len(signal))


def level(signal: np.ndarray) -> float:
    """Root mean square, never zero."""
    return float(np.sqrt(np.mean(signal**2)) + 1e-12)


def unit(signal: np.ndarray) -> np.ndarray:
    """The signal scaled to a root mean square of 1."""
    return signal / level(signal)


def tilted_noise(rng: np.random.Generator, samples: int, db_per_octave: float) -> np.ndarray:
    """Gaussian noise whose spectrum rises or falls by so many dB an octave; unit level."""
    return unit(shaped(rng.standard_normal(samples), lambda hz: db_per_octave * np.log2(hz / 1000.0)))


def band(hz: np.ndarray, centre_hz: float, octaves: float, floor_db: float = -50.0) -> np.ndarray:
    """Gain in dB of a bell on the logarithmic frequency axis, `octaves` wide at -3 dB."""
    return np.maximum(-3.0 * (np.log2(hz / centre_hz) / (octaves / 2.0)) ** 2, floor_db)


def band_noise(rng: np.random.Generator, samples: int, centre_hz: float, octaves: float) -> np.ndarray:
    """Noise in one band; unit level."""
    return unit(shaped(rng.standard_normal(samples), lambda hz: band(hz, centre_hz, octaves)))


def phase(pitch_hz: np.ndarray, start: float = 0.0) -> np.ndarray:
    """Turns [n] of an oscillator that follows a pitch contour [n]."""
    return start + np.cumsum(pitch_hz) / RATE_HZ


def tone(pitch_hz: np.ndarray, partials: int = 1, fall_db: float = 6.0, start: float = 0.0) -> np.ndarray:
    """Harmonic tone on a pitch contour [n]; partial k is `fall_db` x log2 k below the first; none above 7.5 kHz."""
    turns = 2.0 * np.pi * phase(pitch_hz, start)
    out = np.zeros(len(pitch_hz))
    for number in range(1, partials + 1):
        if number * float(pitch_hz.min()) > 7500.0:
            break
        audible = number * pitch_hz < 7500.0
        out += 10.0 ** (-fall_db * np.log2(number) / 20.0) * np.sin(number * turns) * audible
    return out


def buzz(pitch_hz: np.ndarray) -> np.ndarray:
    """Sawtooth on a pitch contour [n]: all harmonics at once, for motors and voices that are filtered afterwards."""
    return 2.0 * (phase(pitch_hz) % 1.0) - 1.0


def faded(signal: np.ndarray, seconds: float = 0.01) -> np.ndarray:
    """Raised-cosine rise and fall at the two ends."""
    edge = min(round(seconds * RATE_HZ), len(signal) // 2)
    if edge == 0:
        return signal
    ramp = 0.5 - 0.5 * np.cos(np.pi * (np.arange(edge) + 0.5) / edge)
    out = signal.copy()
    out[:edge] *= ramp
    out[-edge:] *= ramp[::-1]
    return out


def add_at(target: np.ndarray, sound: np.ndarray, start: int) -> None:
    """Adds a sound into a longer signal from sample `start`; what reaches beyond either end is lost."""
    first, last = max(start, 0), min(start + len(sound), len(target))
    if last > first:
        target[first:last] += sound[first - start : last - start]


def decay(samples: int, seconds: float) -> np.ndarray:
    """Exponential decay: -60 dB after `seconds`."""
    return np.exp(-6.9 * np.arange(samples) / (seconds * RATE_HZ))


def wander(rng: np.random.Generator, samples: int, rate_hz: float) -> np.ndarray:
    """A smooth random curve of unit deviation that changes about `rate_hz` times a second."""
    knots = max(4, int(np.ceil(samples / RATE_HZ * rate_hz)) + 3)
    values = rng.standard_normal(knots)
    position = np.arange(samples) * (rate_hz / RATE_HZ) + rng.random()
    index = np.minimum(position.astype(int), knots - 2)
    share = 0.5 - 0.5 * np.cos(np.pi * np.minimum(position - index, 1.0))
    return values[index] * (1.0 - share) + values[index + 1] * share
