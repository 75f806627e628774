"""Ten sound events of homes, synthesised, and 10-s clips in which they come, overlap and go over a background noise."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from keras_mtl.core import DCASE
from keras_mtl.datasets.soundscapes import sounds
from keras_mtl.datasets.soundscapes.sounds import RATE_HZ
from keras_mtl.decoding import Event

#: Length of a clip.
SECONDS = 10.0
_SAMPLES = round(SECONDS * RATE_HZ)
_STEP_S = 0.01  # lengths are multiples of this, which keeps the Fourier transforms fast

#: Shortest and longest length of an event, in seconds.
_SECONDS = {
    "Alarm_bell_ringing": (1.0, 5.0),
    "Blender": (1.5, 6.0),
    "Cat": (0.5, 1.2),
    "Dishes": (0.4, 2.0),
    "Dog": (0.3, 1.6),
    "Electric_shaver_toothbrush": (2.0, 8.0),
    "Frying": (3.0, 9.0),
    "Running_water": (2.0, 8.0),
    "Speech": (1.0, 4.0),
    "Vacuum_cleaner": (3.0, 9.0),
}

Synthesis = Callable[[np.random.Generator, int], np.ndarray]


def event_clip(rng: np.random.Generator) -> tuple[np.ndarray, list[Event]]:
    """A clip float64 [160000] and its events: one to four, at levels from near the background to far above it."""
    clip = sounds.tilted_noise(rng, _SAMPLES, rng.uniform(-7.0, -1.0)) * (1.0 + 0.2 * sounds.wander(rng, _SAMPLES, 0.5))
    # Sounds are weighed without the bass, where most of a room's noise lies.
    clip /= sounds.level(_without_bass(clip))
    events = []
    for label in rng.choice(len(DCASE.events), rng.integers(1, 5)):
        shortest_s, longest_s = _SECONDS[DCASE.events[label]]
        samples = round(rng.uniform(shortest_s, longest_s) / _STEP_S) * round(_STEP_S * RATE_HZ)
        start = int(rng.integers(0, _SAMPLES - samples // 2))
        snr_db = rng.uniform(3.0, 20.0)
        sound = sounds.faded(_SYNTHESES[DCASE.events[label]](rng, samples))
        sounds.add_at(clip, sound / sounds.level(_without_bass(sound)) * 10.0 ** (snr_db / 20.0), start)
        events.append(Event(start / RATE_HZ, min(start + samples, _SAMPLES) / RATE_HZ, DCASE.events[label]))
    peak = np.abs(clip).max()
    return clip * min(10.0 ** (rng.uniform(-42.0, -30.0) / 20.0), 0.95 / peak), _joined(events)


def _joined(events: list[Event]) -> list[Event]:
    """Events of one class that overlap are one event."""
    joined: list[Event] = []
    for event in sorted(events, key=lambda event: (event.label, event.onset_s)):
        last = joined[-1] if joined else None
        if last and last.label == event.label and event.onset_s <= last.offset_s:
            joined[-1] = last._replace(offset_s=max(last.offset_s, event.offset_s))
        else:
            joined.append(event)
    return joined


def _without_bass(signal: np.ndarray) -> np.ndarray:
    return sounds.shaped(signal, lambda hz: np.minimum(0.0, 12.0 * np.log2(hz / 400.0)))


def _constant(hz: float, samples: int) -> np.ndarray:
    return np.full(samples, hz)


def _alarm(rng: np.random.Generator, samples: int) -> np.ndarray:
    """Beeps: one or two high tones, on and off evenly."""
    seconds = np.arange(samples) / RATE_HZ
    turn = (seconds * rng.uniform(2.0, 4.0)) % 1.0
    low_hz = rng.uniform(1200.0, 2800.0)
    high_hz = low_hz * rng.choice([1.0, 1.26])
    pitch_hz = np.where(turn < 0.5, low_hz, high_hz)
    gate = np.where((turn % 0.5) < 0.33, 1.0, 0.05)
    return sounds.tone(pitch_hz, partials=3, fall_db=6.0) * gate


def _blender(rng: np.random.Generator, samples: int) -> np.ndarray:
    """A motor that runs up, with chopping noise."""
    seconds = np.arange(samples) / RATE_HZ
    pitch_hz = rng.uniform(180.0, 300.0) * (1.0 - 0.5 * np.exp(-seconds / 0.25))
    pitch_hz *= 1.0 + 0.02 * sounds.wander(rng, samples, 3.0)
    motor = sounds.shaped(sounds.buzz(pitch_hz), lambda hz: sounds.band(hz, 1800.0, 4.0))
    noise = sounds.band_noise(rng, samples, 3000.0, 2.0) * (1.0 + 0.5 * sounds.wander(rng, samples, 8.0))
    return sounds.unit(motor) + 0.6 * noise


def _cat(rng: np.random.Generator, samples: int) -> np.ndarray:
    """A meow: voice that rises and falls while the mouth opens and closes."""
    course = np.arange(samples) / samples
    pitch_hz = rng.uniform(450.0, 750.0) * 2.0 ** (0.5 * np.sin(np.pi * course**0.7) - 0.2 * course)
    voice = sounds.buzz(pitch_hz)
    closed = sounds.shaped(voice, lambda hz: sounds.band(hz, 900.0, 1.2))
    opened = sounds.shaped(voice, lambda hz: sounds.band(hz, 2400.0, 1.2))
    share = np.sin(np.pi * course)
    return (closed * (1.0 - share) + 1.5 * opened * share) * np.minimum(1.0, 6.0 * np.minimum(course, 1.0 - course))


def _dishes(rng: np.random.Generator, samples: int) -> np.ndarray:
    """Plates and cutlery: bright resonances, struck and ringing briefly."""
    out = np.zeros(samples)
    strokes = np.sort(rng.uniform(0.0, 0.85, max(1, round(samples / RATE_HZ * rng.uniform(3.0, 6.0)))))
    strokes[0] = 0.0
    for share in strokes:
        length = round(0.3 * RATE_HZ)
        ring = np.zeros(length)
        for _ in range(4):
            pitch_hz = rng.uniform(2000.0, 7000.0)
            ring += sounds.tone(_constant(pitch_hz, length)) * sounds.decay(length, rng.uniform(0.1, 0.3))
        ring[:80] += rng.standard_normal(80) * 2.0
        sounds.add_at(out, ring * rng.uniform(0.5, 1.0), round(share * samples))
    return out


def _dog(rng: np.random.Generator, samples: int) -> np.ndarray:
    """Barks: short hoarse bursts, evenly apart."""
    out = np.zeros(samples)
    pitch_hz, formant_hz = rng.uniform(250.0, 450.0), rng.uniform(700.0, 1300.0)
    barks = max(1, round(samples / RATE_HZ / rng.uniform(0.3, 0.4)))
    length = round(0.22 * RATE_HZ)
    for start in np.linspace(0, max(0, samples - length), barks).astype(int):
        course = np.arange(length) / length
        voice = sounds.buzz(pitch_hz * (1.2 - 0.5 * course)) + 0.5 * rng.standard_normal(length)
        bark = sounds.shaped(voice, lambda hz: sounds.band(hz, formant_hz, 1.5, floor_db=-30.0))
        sounds.add_at(out, bark * np.minimum(1.0, 12.0 * course) * (1.0 - course), start)
    return out


def _shaver(rng: np.random.Generator, samples: int) -> np.ndarray:
    """A buzz: many steady partials of a small motor, up to high frequencies."""
    pitch_hz = rng.uniform(90.0, 140.0) * (1.0 + 0.005 * sounds.wander(rng, samples, 2.0))
    return sounds.shaped(sounds.buzz(pitch_hz), lambda hz: np.maximum(sounds.band(hz, 4500.0, 2.0), -25.0))


def _frying(rng: np.random.Generator, samples: int) -> np.ndarray:
    """Hiss full of crackles."""
    out = 0.35 * sounds.shaped(rng.standard_normal(samples), lambda hz: sounds.band(hz, 5500.0, 2.0))
    crackles = np.zeros(samples)
    at = rng.integers(0, samples, round(samples / RATE_HZ * rng.uniform(40.0, 90.0)))
    crackles[at] = rng.standard_normal(len(at)) * 30.0
    return out + sounds.shaped(crackles, lambda hz: sounds.band(hz, 4500.0, 2.5))


def _water(rng: np.random.Generator, samples: int) -> np.ndarray:
    """A tap: noise in the middle of the range that gurgles."""
    noise = sounds.band_noise(rng, samples, rng.uniform(1200.0, 2000.0), 2.0)
    bubbles = sounds.tone(600.0 * 2.0 ** (0.6 * sounds.wander(rng, samples, 12.0)))
    return noise * (1.0 + 0.4 * sounds.wander(rng, samples, 10.0)) + 0.5 * bubbles


def _speech(rng: np.random.Generator, samples: int) -> np.ndarray:
    """Syllables: a voice with moving pitch through changing vowels, with pauses and hissed consonants."""
    pitch_hz = rng.uniform(100.0, 220.0) * 2.0 ** (0.25 * sounds.wander(rng, samples, 2.5))
    voice = sounds.buzz(pitch_hz)
    out = np.zeros(samples)
    start = 0
    while start < samples:
        length = round(rng.uniform(0.14, 0.26) / _STEP_S) * round(_STEP_S * RATE_HZ)
        first_hz, second_hz = rng.uniform(300.0, 800.0), rng.uniform(1000.0, 2300.0)
        vowel = sounds.shaped(voice[start : start + length], _vowel(first_hz, second_hz))
        sounds.add_at(out, sounds.faded(sounds.unit(vowel), 0.04), start)
        if rng.random() < 0.4:
            hiss = sounds.band_noise(rng, round(0.07 * RATE_HZ), 5000.0, 1.0)
            sounds.add_at(out, 0.4 * sounds.faded(hiss, 0.02), start + length)
        start += length + round(rng.uniform(0.02, 0.1) * RATE_HZ)
    return out


def _vowel(first_hz: float, second_hz: float) -> Callable[[np.ndarray], np.ndarray]:
    """Gain curve of two formants."""
    return lambda hz: np.maximum(sounds.band(hz, first_hz, 0.5), sounds.band(hz, second_hz, 0.35) - 6.0)


def _vacuum(rng: np.random.Generator, samples: int) -> np.ndarray:
    """Steady broadband noise over the hum of a large motor."""
    hum = sounds.tone(_constant(rng.uniform(300.0, 600.0), samples), partials=4, fall_db=4.0)
    return sounds.band_noise(rng, samples, rng.uniform(700.0, 1100.0), 4.0) + 0.5 * hum


_SYNTHESES: dict[str, Synthesis] = {
    "Alarm_bell_ringing": _alarm,
    "Blender": _blender,
    "Cat": _cat,
    "Dishes": _dishes,
    "Dog": _dog,
    "Electric_shaver_toothbrush": _shaver,
    "Frying": _frying,
    "Running_water": _water,
    "Speech": _speech,
    "Vacuum_cleaner": _vacuum,
}
