"""Log-mel by librosa, and how far that of the C lies from it."""

from __future__ import annotations

from pathlib import Path

import librosa
import numpy as np
import soundfile

from keras_mtl.core import LogMelSettings

#: Bands that lie so far below a frame's loudest one at most are held against librosa in fixed point.
_NEAR_DB = 50.0


def librosa_levels(samples: np.ndarray, settings: LogMelSettings) -> np.ndarray:
    mel = librosa.feature.melspectrogram(
        y=np.pad(samples, (0, settings.hop + settings.fft)) / 32768, sr=settings.sample_rate_hz, n_fft=settings.fft,
        win_length=settings.window, hop_length=settings.hop, n_mels=settings.mel_bands, fmin=settings.low_hz,
        fmax=settings.high_hz, htk=True, norm=None, power=2.0, center=True, pad_mode="constant", dtype=np.float64,
    )  # fmt: skip
    return librosa.power_to_db(mel, ref=1.0, amin=1e-10, top_db=None).T[: settings.frames(len(samples))]


def largest_difference(levels: np.ndarray, samples: np.ndarray, settings: LogMelSettings) -> float:
    """In dB, where librosa is above the floor; below it the C must be as low."""
    expected = librosa_levels(samples, settings)
    assert levels.shape == expected.shape
    above = expected > -99.9
    assert levels[~above].max(initial=-100.0) < -99.8
    return float(np.abs(levels - expected)[above].max(initial=0.0))


def fixed_difference(levels: np.ndarray, samples: np.ndarray, settings: LogMelSettings) -> float:
    """In dB, of bands within `_NEAR_DB` of a frame's loudest one and above the floor."""
    expected = librosa_levels(samples, settings)
    near = (expected > expected.max(axis=1, keepdims=True) - _NEAR_DB) & (expected > -99.9)
    assert near.any()
    return float(np.abs(levels - expected)[near].max())


def pcm(path: Path, rate: int, seconds: float) -> np.ndarray:
    """The first seconds of a recording, mono, at a rate, as a device's converter would give it."""
    info = soundfile.info(path)
    audio, found = soundfile.read(path, frames=int(seconds * info.samplerate), dtype="float32", always_2d=True)
    mono = librosa.resample(audio.mean(axis=1), orig_sr=found, target_sr=rate)
    return np.rint(mono * 32768).clip(-32768, 32767).astype(np.int16)


def spread(folder: Path, most: int) -> list[Path]:
    """Recordings anywhere in a folder; of more than `most` as many, evenly spread."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix in (".wav", ".flac"))
    assert paths, f"no .wav and no .flac in {folder}"
    return [paths[at] for at in np.unique(np.linspace(0, len(paths) - 1, min(most, len(paths))).astype(int))]
