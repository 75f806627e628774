"""A test sound, and its log-mel in plain numpy: what a device's front end is held against, without audio packages.

The sound is made, not recorded, so that a bundle can carry it. It has what goes wrong in front ends: a sweep over all
bands, clicks (frames that are centred wrongly show), noise from faint to loud, and silence, which lies on the floor.
The log-mel is that of `keras_mtl.core.log_mel_settings`, frame by frame in float64: slow and exact.
"""

from __future__ import annotations

import numpy as np

from keras_mtl.core import LogMelSettings, frame_window, mel_filters
from keras_mtl.tflite.artifact import Port

#: Full scale of 16-bit samples: the integer that stands for 1.0.
FULL_SCALE = 32768
#: Where the parts of the sound end, as shares of its length: sweep, clicks, noise; the rest is silence.
_ENDS = (0.4, 0.55, 0.9)
#: Noise below the sweep and the clicks, as a real microphone has; a share of full scale.
_BACKGROUND = 1e-3
#: First and last amplitude of the growing noise, and the clicks a second.
_FAINT, _LOUD, _CLICKS_PER_SECOND = 2e-3, 0.2, 40
_FRAMES_AT_A_TIME = 256


def golden_waveform(settings: LogMelSettings, seconds: float, seed: int = 0) -> np.ndarray:
    """A test sound at the settings' rate.

    Returns:
        int16 [round(seconds * sample_rate_hz)]: a sweep from 50 Hz to 0.45 of the sample rate (2/5 of the length),
        clicks, noise that grows by 40 dB, and digital silence (the last tenth). The same arguments give the same
        samples.

    Example:
        >>> golden_waveform(LogMelSettings(), 1.0).shape
        (16000,)
    """
    rate, samples = settings.sample_rate_hz, round(seconds * settings.sample_rate_hz)
    sweep, clicks, noise = (round(share * samples) for share in _ENDS)
    generator = np.random.default_rng(seed)
    random = generator.integers(-(2**20), 2**20, samples).astype(np.float64) / 2**20
    audio = np.zeros(samples)
    audio[:clicks] = _BACKGROUND * random[:clicks]
    octaves = np.log(0.45 * rate / 50.0) / max(sweep, 1)
    phase = 2.0 * np.pi * 50.0 / rate * np.expm1(octaves * np.arange(sweep)) / octaves
    audio[:sweep] += 0.3 * np.sin(phase)
    step = max(1, rate // _CLICKS_PER_SECOND)
    # A step that is no multiple of usual hops: the clicks lie differently in each frame.
    audio[sweep + step // 2 : clicks : step + 7] += 0.8
    loudness = np.geomspace(_FAINT, _LOUD, max(noise - clicks, 1))[: noise - clicks]
    audio[clicks:noise] = loudness * random[clicks:noise]
    return np.rint(audio * FULL_SCALE).clip(-FULL_SCALE, FULL_SCALE - 1).astype(np.int16)


def log_mel_db(waveform: np.ndarray, settings: LogMelSettings) -> np.ndarray:
    """Log-mel of a clip, as `keras_mtl.core.log_mel_settings` defines it.

    Args:
        waveform: [samples], int16 or float in [-1, 1], at the settings' rate.
        settings: the features' settings; `mean_db` and `std_db` are not applied.

    Returns:
        float64 [settings.frames(samples), mel_bands] in dB.
    """
    waveform = np.asarray(waveform)
    audio = waveform.astype(np.float64) / (FULL_SCALE if waveform.dtype == np.int16 else 1.0)
    frames, half = settings.frames(len(audio)), settings.fft // 2
    log_mel = np.empty((frames, settings.mel_bands))
    window, filters = frame_window(settings), mel_filters(settings)
    # One FFT more of zeros than is needed, so that there is a frame to view in an empty clip too.
    padded = np.pad(audio, (half, half + settings.fft))
    framed = np.lib.stride_tricks.sliding_window_view(padded, settings.fft)[:: settings.hop]
    for first in range(0, frames, _FRAMES_AT_A_TIME):
        part = slice(first, min(first + _FRAMES_AT_A_TIME, frames))
        power = np.abs(np.fft.rfft(framed[part] * window)) ** 2
        log_mel[part] = 10.0 * np.log10(np.maximum(power @ filters, settings.floor))
    return log_mel


def input_scaling(settings: LogMelSettings, port: Port) -> tuple[np.float32, np.float32]:
    """Normalisation and quantization of log-mel in one step: integer = clamp(round(dB * per_db + at_0_db)).

    Of a float input nothing is rounded, and there is no quantization in it.

    Returns:
        per_db and at_0_db, in float32 as a device has them.
    """
    per_db = 1.0 / (settings.std_db * (port.scale or 1.0))
    return np.float32(per_db), np.float32(port.zero - settings.mean_db * per_db)


def quantized_log_mel(log_mel: np.ndarray, scaling: tuple[np.float32, np.float32], dtype: str) -> np.ndarray:
    """Log-mel in dB, any shape, as the network's input, in float32 arithmetic as on a device.

    `dtype`: "int8", "int16", or "float32", of which nothing is rounded.
    """
    per_db, at_0_db = scaling
    scaled = np.asarray(log_mel, np.float32) * per_db + at_0_db
    if np.dtype(dtype).kind == "f":
        return scaled.astype(dtype)
    limits = np.iinfo(dtype)
    return np.rint(scaled).clip(limits.min, limits.max).astype(dtype)
