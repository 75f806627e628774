"""Ten scene textures of 1 s, and simulated devices that record them.

The textures differ by what happens in time: glides, strokes, syllables, swells.
Their mean spectra are confounded on purpose. Each texture's place on the frequency axis overlaps widely with that of
the others, and its level against a background noise, the tilt of that noise and the device's colour are drawn from the
same distributions for all scenes, so that an average over time shows little, and the pattern nearly all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from keras_mtl.core import DCASE
from keras_mtl.datasets.soundscapes import sounds
from keras_mtl.datasets.soundscapes.sounds import RATE_HZ

#: Length of a clip.
SECONDS = 1.0
_SAMPLES = round(SECONDS * RATE_HZ)
#: What remains in the mean spectrum: some scenes lie a little higher than others.
_BRIGHTNESS_OCTAVES = {
    "airport": 0.0,
    "bus": 0.1,
    "metro": 0.2,
    "metro_station": 0.6,
    "park": 1.0,
    "public_square": 0.7,
    "shopping_mall": 0.5,
    "street_pedestrian": 0.8,
    "street_traffic": 0.3,
    "tram": 0.4,
}
_TIME_S = np.arange(_SAMPLES) / RATE_HZ
#: Devices by split, as in TAU 2022 Mobile: s4 to s6 are in the test only.
TRAIN_DEVICES = ("a", "b", "c", "s1", "s2", "s3")
TEST_DEVICES = (*TRAIN_DEVICES, "s4", "s5", "s6")

_CURVE_POINTS = 9
_CURVE_HZ = np.geomspace(60.0, 8000.0, _CURVE_POINTS)


@dataclass(frozen=True)
class Place:
    """What the clips of one recording share.

    Attributes:
        scene: index in `DCASE.scenes`.
        centre_hz: where the texture lies.
        pace: factor on all its rates.
        width_octaves: how broad its noises are.
        tilt_db: tilt of the background noise, dB an octave.
        snr_db: level of the texture over the background.
        gain_db: level of the whole.
        hum_hz: frequency of a steady tone in the background.
    """

    scene: int
    centre_hz: float
    pace: float
    width_octaves: float
    tilt_db: float
    snr_db: float
    gain_db: float
    hum_hz: float

    @classmethod
    def draw(cls, rng: np.random.Generator, scene: int) -> Place:
        """A place of that scene."""
        return cls(
            scene=scene,
            centre_hz=float(450.0 * 2.0 ** (rng.uniform(0.0, 1.8) + _BRIGHTNESS_OCTAVES[DCASE.scenes[scene]])),
            pace=float(rng.uniform(0.85, 1.15)),
            width_octaves=float(rng.uniform(0.6, 1.4)),
            tilt_db=float(rng.uniform(-9.0, 1.0)),
            snr_db=float(rng.uniform(0.0, 14.0)),
            gain_db=float(rng.uniform(-36.0, -16.0)),
            hum_hz=float(100.0 * 2.0 ** rng.uniform(0.0, 5.0)),
        )


def scene_clip(rng: np.random.Generator, place: Place) -> np.ndarray:
    """One clip of a place, before the device: float64 [16000]."""
    texture = sounds.unit(_TEXTURES[DCASE.scenes[place.scene]](rng, place))
    background = sounds.tilted_noise(rng, _SAMPLES, place.tilt_db + rng.uniform(-1.0, 1.0))
    background += 0.4 * np.sin(2.0 * np.pi * (place.hum_hz * _TIME_S + rng.random()))
    # The background is weighed where the texture lies, or a falling noise would never cover anything.
    near = sounds.level(sounds.shaped(background, lambda hz: sounds.band(hz, place.centre_hz, 2.0)))
    snr_db = place.snr_db + rng.uniform(-2.0, 2.0)
    mixed = texture * 10.0 ** (snr_db / 20.0) + background / near
    return sounds.unit(mixed) * 10.0 ** ((place.gain_db + rng.uniform(-2.0, 2.0)) / 20.0)


def _airport(rng: np.random.Generator, place: Place) -> np.ndarray:
    """A roar that sinks: a band of noise gliding down."""
    return _gliding_noise(rng, place, octaves=-1.6)


def _street_traffic(rng: np.random.Generator, place: Place) -> np.ndarray:
    """A car passes: a band of noise that swells and fades."""
    noise = sounds.band_noise(rng, _SAMPLES, place.centre_hz, place.width_octaves)
    middle_s, spread_s = rng.uniform(0.3, 0.7), 0.13 / place.pace
    return noise * np.exp(-0.5 * ((_TIME_S - middle_s) / spread_s) ** 2)


def _tram(rng: np.random.Generator, place: Place) -> np.ndarray:
    """A motor that speeds up: partials gliding up together."""
    glide = rng.uniform(0.5, 0.9) * place.pace * (_TIME_S - rng.uniform(0.3, 0.7))
    return sounds.tone(place.centre_hz / 2.0 * 2.0**glide, partials=3, fall_db=2.0, start=rng.random())


def _bus(rng: np.random.Generator, place: Place) -> np.ndarray:
    """An engine: steady partials that shake evenly."""
    shake = np.sin(2.0 * np.pi * (3.5 * place.pace * _TIME_S + rng.random()))
    engine = sounds.tone(np.full(_SAMPLES, place.centre_hz / 2.0), partials=3, fall_db=2.0, start=rng.random())
    return engine * (1.0 + 0.85 * shake)


def _metro(rng: np.random.Generator, place: Place) -> np.ndarray:
    """Wheels over rail joints: strokes in pairs, with a rest between the pairs."""
    period_s, gap_s = 0.7 / place.pace, 0.19 / place.pace
    first_s = rng.uniform(-period_s, 0.0)
    pairs = first_s + period_s * np.arange(4)
    return _strokes(rng, place, np.concatenate([pairs, pairs + gap_s]), seconds=0.12)


def _street_pedestrian(rng: np.random.Generator, place: Place) -> np.ndarray:
    """Steps: strokes at even distances."""
    period_s = 0.4 / place.pace
    steps = rng.uniform(-period_s, 0.0) + period_s * np.arange(5)
    return _strokes(rng, place, steps + rng.normal(0.0, 0.008, 5), seconds=0.12)


def _metro_station(rng: np.random.Generator, place: Place) -> np.ndarray:
    """A chime before an announcement: notes that step down and ring."""
    out = np.zeros(_SAMPLES)
    length_s = 0.3 / place.pace
    start_s = rng.uniform(-0.1, 0.1)
    for number in range(3):
        pitch_hz = place.centre_hz * 2.0 ** ((4 - 4 * number) / 12.0)
        ring = sounds.tone(np.full(round(length_s * RATE_HZ), pitch_hz), partials=2, fall_db=8.0)
        sounds.add_at(out, sounds.faded(ring), round((start_s + number * length_s) * RATE_HZ))
    return out


def _park(rng: np.random.Generator, place: Place) -> np.ndarray:
    """Birds: short whistles that sweep, here and there."""
    out = np.zeros(_SAMPLES)
    for start_s in rng.uniform(0.0, 0.9, rng.integers(5, 9)):
        samples = round(rng.uniform(0.06, 0.11) * RATE_HZ)
        sweep = np.linspace(-0.5, 0.5, samples) * rng.choice([-1.0, 1.0]) * rng.uniform(0.4, 0.9)
        pitch_hz = place.centre_hz * 2.0 ** (sweep + rng.uniform(-0.7, 0.7))
        sounds.add_at(out, sounds.faded(sounds.tone(pitch_hz), 0.02), round(start_s * RATE_HZ))
    return out


def _public_square(rng: np.random.Generator, place: Place) -> np.ndarray:
    """Children calling: partials in arcs, up and down again, one over another."""
    out = np.zeros(_SAMPLES)
    for start_s in rng.uniform(-0.1, 0.8, rng.integers(3, 6)):
        samples = round(rng.uniform(0.25, 0.4) / place.pace * RATE_HZ)
        arc = rng.uniform(0.5, 0.8) * np.sin(np.pi * np.arange(samples) / samples)
        pitch_hz = place.centre_hz / 2.0 * 2.0 ** (arc + rng.uniform(-0.5, 0.3))
        sounds.add_at(out, sounds.faded(sounds.tone(pitch_hz, 3, 3.0), 0.04), round(start_s * RATE_HZ))
    return out


def _shopping_mall(rng: np.random.Generator, place: Place) -> np.ndarray:
    """Babble: narrow bands of noise that come and go each for itself."""
    out = np.zeros(_SAMPLES)
    for shift in (-1.0, -0.5, 0.0, 0.5, 1.0):
        centre_hz = place.centre_hz * 2.0 ** (shift * place.width_octaves)
        if centre_hz < 7000.0:
            gate = 1.0 / (1.0 + np.exp(-4.0 * sounds.wander(rng, _SAMPLES, 6.0 * place.pace)))
            out += gate * sounds.band_noise(rng, _SAMPLES, centre_hz, 0.3)
    return out


def _gliding_noise(rng: np.random.Generator, place: Place, octaves: float) -> np.ndarray:
    """Low-passed noise set on a gliding carrier: a band whose centre moves."""
    half_hz = place.centre_hz * (2.0 ** (place.width_octaves / 4.0) - 1.0)
    in_phase, quadrature = (
        sounds.shaped(rng.standard_normal(_SAMPLES), lambda hz: -6.0 * (hz / half_hz) ** 2.0) for _ in range(2)
    )
    glide = octaves * place.pace * (_TIME_S - rng.uniform(0.4, 0.6))
    turns = 2.0 * np.pi * sounds.phase(np.minimum(place.centre_hz * 2.0**glide, 7500.0))
    return in_phase * np.cos(turns) + quadrature * np.sin(turns)


def _strokes(rng: np.random.Generator, place: Place, starts_s: np.ndarray, seconds: float) -> np.ndarray:
    """Short noises in the place's band."""
    out = np.zeros(_SAMPLES)
    samples = round(2.0 * seconds * RATE_HZ)
    for start_s in starts_s:
        stroke = sounds.band_noise(rng, samples, place.centre_hz, 1.5 * place.width_octaves)
        sounds.add_at(out, stroke * sounds.decay(samples, seconds) * rng.uniform(0.7, 1.0), round(start_s * RATE_HZ))
    return out


_TEXTURES: dict[str, Callable[[np.random.Generator, Place], np.ndarray]] = {
    "airport": _airport,
    "bus": _bus,
    "metro": _metro,
    "metro_station": _metro_station,
    "park": _park,
    "public_square": _public_square,
    "shopping_mall": _shopping_mall,
    "street_pedestrian": _street_pedestrian,
    "street_traffic": _street_traffic,
    "tram": _tram,
}


def record(signal: np.ndarray, device: str) -> np.ndarray:
    """The signal [n] as that device would give it: its frequency response, and for s1 to s6 soft compression."""
    curve_db = _response(device)
    coloured = sounds.shaped(signal, lambda hz: np.interp(np.log(hz), np.log(_CURVE_HZ), curve_db))
    if device.startswith("s"):
        drive = 2.0 * sounds.level(coloured)
        coloured = drive * np.tanh(coloured / drive)
    return coloured


def _response(device: str) -> np.ndarray:
    """Gain in dB at `_CURVE_HZ`: a fixed curve for each name, flat for device a."""
    if device == "a":
        return np.zeros(_CURVE_POINTS)
    rng = np.random.default_rng([7, *device.encode()])
    steps = rng.normal(0.0, 4.0, _CURVE_POINTS)
    curve_db = np.cumsum(steps) * 0.7
    curve_db -= curve_db.mean()
    curve_db[0] -= rng.uniform(3.0, 15.0)  # small microphones lose the bass
    return curve_db
