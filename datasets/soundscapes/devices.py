"""Simulated recording devices: each one colours the sound in its own way, and the cheaper ones compress it."""

from __future__ import annotations

import numpy as np

from keras_mtl.datasets.soundscapes import sounds

#: Devices by split, as in TAU 2022 Mobile: s4 to s6 are heard in the test only.
TRAIN_DEVICES = ("a", "b", "c", "s1", "s2", "s3")
TEST_DEVICES = (*TRAIN_DEVICES, "s4", "s5", "s6")

_CURVE_POINTS = 9
_CURVE_HZ = np.geomspace(60.0, 8000.0, _CURVE_POINTS)


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
