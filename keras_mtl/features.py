"""The log-mel features: their settings, and the pieces that every implementation shares (no TensorFlow here).

One definition serves training, host and device; `librosa` is its reference. Frame t is centred at t x hop, zeros stand
beyond the ends, and there are exactly `frame_rate` frames per second of audio. Levels are 10 log10(max(S, 1e-10)) dB
of the mel power spectrum, then one scalar (x - mean_db) / std_db from the training set. It is a scalar so that it folds
into the scale and zero point of a quantized input at no cost.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import numpy as np

from keras_mtl.errors import FeatureMismatch


@dataclass(frozen=True)
class LogMelSettings:
    """Settings of the log-mel features. Saved with every run, embedded in every artifact.

    Attributes:
        sample_rate_hz: samples per second.
        window: samples of the periodic Hann window, and the length of the FFT.
        hop: samples from one frame to the next.
        mel_bands: number of mel filters (HTK scale, not normalised).
        low_hz, high_hz: edges of the mel filters.
        floor: the power below which a level is cut, 1e-10.
        mean_db, std_db: the scalar normalisation, from the training set.
    """

    sample_rate_hz: int = 16_000
    window: int = 2048
    hop: int = 160
    mel_bands: int = 128
    low_hz: float = 0.0
    high_hz: float = 8000.0
    floor: float = 1e-10
    mean_db: float = 0.0
    std_db: float = 1.0

    @property
    def frame_rate(self) -> int:
        """Frames per second of audio."""
        return self.sample_rate_hz // self.hop

    def frames(self, samples: int) -> int:
        """Frames that `samples` samples give: the extra last frame of a centred transform is dropped."""
        return samples // self.hop

    def normalised(self, mean_db: float, std_db: float) -> LogMelSettings:
        """The same settings with the scalar normalisation of a training set."""
        return replace(self, mean_db=float(mean_db), std_db=float(std_db))

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> LogMelSettings:
        """Reads what `to_dict` wrote.

        Raises:
            FeatureMismatch: a key is missing or unknown.
        """
        known = {field.name for field in fields(cls)}
        if set(values) != known:
            odd = ", ".join(sorted(set(values) ^ known))
            raise FeatureMismatch(f"feature settings with missing or unknown keys: {odd}")
        return cls(**values)

    def require_equal(self, other: LogMelSettings, where: str) -> None:
        """Refuses features of another kind.

        Raises:
            FeatureMismatch: naming each setting that differs.
        """
        if self != other:
            mine, theirs = self.to_dict(), other.to_dict()
            differing = ", ".join(f"{k} {mine[k]} against {theirs[k]}" for k in mine if mine[k] != theirs[k])
            raise FeatureMismatch(
                f"features differ at {where}: {differing}", hint="use the features saved with the run"
            )


def hann_window(length: int) -> np.ndarray:
    """Periodic Hann window, float64 [length]."""
    return 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(length) / length)


def mel_filters(settings: LogMelSettings) -> np.ndarray:
    """Triangular filters on the HTK mel scale, not normalised: float64 [window // 2 + 1, mel_bands].

    The same numbers as `librosa.filters.mel(htk=True, norm=None)`, transposed.
    """

    def to_mel(hz: float) -> float:
        return 2595.0 * np.log10(1.0 + hz / 700.0)

    mels = np.linspace(to_mel(settings.low_hz), to_mel(settings.high_hz), settings.mel_bands + 2)
    edges = 700.0 * (10.0 ** (mels / 2595.0) - 1.0)
    bins = np.linspace(0.0, settings.sample_rate_hz / 2, settings.window // 2 + 1)[:, None]
    lower = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    upper = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    return np.maximum(0.0, np.minimum(lower, upper))
