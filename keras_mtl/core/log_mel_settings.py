"""The log-mel features: their settings, and the pieces that every implementation shares (no TensorFlow here).

One definition serves training, host and device; `librosa` is its reference. Frame t is centred at sample t x hop, zeros
stand beyond the ends, and the window lies in the middle of the FFT with zeros around it. The values are
10 log10(max(S, 1e-10)) dB of the mel power spectrum, then one scalar (x - mean_db) / std_db from the training set. A
scalar, so that it folds into the scale and zero point of a quantized input at no cost. What differs between networks
(rate, window, FFT, hop, bands, whether the frame centred on the end of the clip is kept) is in the settings.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from keras_mtl.core.errors import FeatureMismatch, RecipeError
from keras_mtl.core.typed import read


@dataclass(frozen=True)
class LogMelSettings:
    """Settings of the log-mel features. Saved with every run, embedded in every artifact.

    Attributes:
        sample_rate_hz: samples per second.
        window: samples of the periodic Hann window.
        fft: points of the Fourier transform: even, and at least the window; 0 stands for the window's length
            (the next even number).
        hop: samples from one frame to the next.
        mel_bands: number of mel filters (HTK scale, not normalised).
        low_hz, high_hz: edges of the mel filters; a `high_hz` of 0 stands for half the sample rate.
        floor: the least power, 1e-10.
        keep_last_frame: whether the frame that is centred on the end of the clip is kept.
        mean_db, std_db: the scalar normalisation, from the training set.

    Raises:
        RecipeError: settings that make no features, such as a window longer than the FFT.
    """

    sample_rate_hz: int = 16_000
    window: int = 2048
    fft: int = 0
    hop: int = 160
    mel_bands: int = 128
    low_hz: float = 0.0
    high_hz: float = 0.0
    floor: float = 1e-10
    keep_last_frame: bool = False
    mean_db: float = 0.0
    std_db: float = 1.0

    def __post_init__(self) -> None:
        for name in ("sample_rate_hz", "window", "hop", "mel_bands"):
            if getattr(self, name) < 1:
                raise RecipeError(f"features: {name} {getattr(self, name)} is not a positive number")
        # Written out here, so that saved settings never depend on what 0 stands for.
        object.__setattr__(self, "fft", self.fft or self.window + self.window % 2)
        object.__setattr__(self, "high_hz", self.high_hz or self.sample_rate_hz / 2)
        if self.fft < self.window:
            raise RecipeError(f"features: fft {self.fft} is shorter than the window of {self.window} samples")
        if self.fft % 2:
            raise RecipeError(f"features: fft {self.fft} is odd", hint="take an even number, best a power of two")
        if not 0.0 <= self.low_hz < self.high_hz:
            raise RecipeError(f"features: mel filters from {self.low_hz:g} to {self.high_hz:g} Hz")
        if self.high_hz > self.sample_rate_hz / 2:
            raise RecipeError(
                f"features: high_hz {self.high_hz:g} is over half the sample rate of {self.sample_rate_hz} Hz",
                hint=f"at most {self.sample_rate_hz / 2:g}",
            )
        if not (self.floor > 0.0 and self.std_db > 0.0):
            raise RecipeError(f"features: floor {self.floor} and std_db {self.std_db} must be above 0")

    @property
    def frame_rate(self) -> float:
        """Frames per second of audio; not always a whole number (16 kHz with a hop of 256: 62.5)."""
        return self.sample_rate_hz / self.hop

    @property
    def hop_s(self) -> float:
        """Seconds from one frame to the next."""
        return self.hop / self.sample_rate_hz

    def frames(self, samples: int) -> int:
        """Frames that `samples` samples give: one for each whole hop, and the last one where it is kept."""
        return samples // self.hop + int(self.keep_last_frame)

    def seconds(self, frames: int) -> float:
        """Seconds of a clip that gives `frames` frames; a last frame that is kept adds nothing to its length."""
        return (frames - self.keep_last_frame) * self.hop / self.sample_rate_hz

    def normalised(self, mean_db: float, std_db: float) -> LogMelSettings:
        """The same settings with the scalar normalisation of a training set."""
        return replace(self, mean_db=float(mean_db), std_db=float(std_db))

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> LogMelSettings:
        """Reads what `to_dict` wrote, also before there were `fft` and `keep_last_frame`.

        Raises:
            FeatureMismatch: a key is missing or unknown, or the values make no features.
        """
        values = {"fft": values.get("window"), "keep_last_frame": False} | values
        try:
            return read(cls, values, "feature settings", FeatureMismatch, complete=True)
        except (RecipeError, ArithmeticError) as error:
            raise FeatureMismatch(f"feature settings that can't be used: {error}") from None

    def differences(self, other: LogMelSettings) -> list[str]:
        """Each setting that differs, as "hop 160 against 256"; none for the same features."""
        mine, theirs = self.to_dict(), other.to_dict()
        return [f"{key} {mine[key]} against {theirs[key]}" for key in mine if mine[key] != theirs[key]]


def hann_window(length: int) -> np.ndarray:
    """Periodic Hann window, float64 [length]."""
    return 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(length) / length)


def frame_window(settings: LogMelSettings) -> np.ndarray:
    """The window in the middle of the FFT, zeros around it: float64 [fft]. As librosa does with win_length < n_fft."""
    before = (settings.fft - settings.window) // 2
    return np.pad(hann_window(settings.window), (before, settings.fft - settings.window - before))


def mel_edges_hz(settings: LogMelSettings) -> np.ndarray:
    """Where the mel filters begin, peak and end, in Hz: float64 [mel_bands + 2], filter b from edge b to edge b + 2."""

    def to_mel(hz: float) -> float:
        return 2595.0 * np.log10(1.0 + hz / 700.0)

    mels = np.linspace(to_mel(settings.low_hz), to_mel(settings.high_hz), settings.mel_bands + 2)
    return 700.0 * (10.0 ** (mels / 2595.0) - 1.0)


def mel_filters(settings: LogMelSettings) -> np.ndarray:
    """Triangular filters on the HTK mel scale, not normalised: float64 [fft // 2 + 1, mel_bands].

    The same numbers as `librosa.filters.mel(htk=True, norm=None)`, transposed.
    """
    edges = mel_edges_hz(settings)
    bins = np.linspace(0.0, settings.sample_rate_hz / 2, settings.fft // 2 + 1)[:, None]
    lower = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    upper = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    return np.maximum(0.0, np.minimum(lower, upper))
