"""The prediction stage: a recording in, its scene and its events out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from keras_mtl.datasets.audio_files import read_audio
from keras_mtl.decoding import decode
from keras_mtl.errors import DataError
from keras_mtl.labels import EVENTS, SCENES
from keras_mtl.listener import Listener
from keras_mtl.log_mel import LogMel
from keras_mtl.timeline import Event, Grid

_SCENE_S = 1
_EVENT_WINDOW_S = 10


@dataclass(frozen=True)
class Prediction:
    """What was heard in one recording.

    Attributes:
        path: the recording.
        duration_s: its length.
        levels: its log-mel levels in dB [frames, mel_bands].
        scene_scores: mean probability of each scene over the seconds of the recording; None where scenes are not heard.
        probabilities: frame probabilities [embeddings, events]; None where events are not heard.
        grid: the grid of `probabilities`.
        events: decoded events with their scores.
    """

    path: Path
    duration_s: float
    levels: np.ndarray
    scene_scores: dict[str, float] | None
    probabilities: np.ndarray | None
    grid: Grid | None
    events: tuple[tuple[Event, float], ...]

    @property
    def scene(self) -> str | None:
        """The scene with the highest score."""
        return max(self.scene_scores, key=self.scene_scores.__getitem__) if self.scene_scores else None

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        events = [
            {"onset_s": round(e.onset_s, 3), "offset_s": round(e.offset_s, 3), "label": e.label, "score": round(p, 4)}
            for e, p in self.events
        ]
        return {
            "file": str(self.path),
            "duration_s": round(self.duration_s, 3),
            "scene": self.scene,
            "scene_scores": self.scene_scores,
            "events": events if self.probabilities is not None else None,
        }


def predict(listener: Listener, path: str | Path) -> Prediction:
    """Hears one recording.

    The log-mel is computed over the whole recording. Scenes are heard in windows of one second, events in windows of
    ten (the last one as long as it is).

    Args:
        listener: the network.
        path: a sound file of any rate and number of channels.

    Raises:
        DataError: not a sound file, or shorter than a tenth of a second.
    """
    settings = listener.settings
    audio = read_audio(path, settings.sample_rate_hz)
    duration_s = len(audio) / settings.sample_rate_hz
    if duration_s < 0.1:
        raise DataError(f"{path} holds {duration_s * 1000:.0f} ms of audio", hint="at least 100 ms are needed")
    stride = listener.frames_per_embedding
    block = settings.hop * stride
    levels = LogMel(settings)(np.pad(audio, (0, -len(audio) % block))[None])[0]
    probabilities = grid = None
    events: tuple[tuple[Event, float], ...] = ()
    if listener.event_probabilities is not None:
        window = int(_EVENT_WINDOW_S * settings.frame_rate)
        parts = [levels[first : first + window] for first in range(0, len(levels), window)]
        probabilities = np.concatenate([listener.event_probabilities(part[None])[0][0] for part in parts])
        hop_s = settings.hop / settings.sample_rate_hz
        grid = Grid(hop_s * stride, -hop_s / 2, len(probabilities), duration_s)
        decoding = listener.decoding
        events = tuple(decode(probabilities, grid, EVENTS, decoding.threshold, decoding.median_s))
    return Prediction(Path(path), duration_s, levels, _scene_scores(listener, audio), probabilities, grid, events)


def _scene_scores(listener: Listener, audio: np.ndarray) -> dict[str, float] | None:
    if listener.scene_logits is None:
        return None
    second = _SCENE_S * listener.settings.sample_rate_hz
    if len(audio) < second:
        audio = np.pad(audio, (0, second - len(audio)))
    windows = len(audio) // second
    # As in training: each second is a clip of its own, with silence beyond its ends.
    levels = LogMel(listener.settings)(audio[: windows * second].reshape(windows, second))
    logits = listener.scene_logits(levels)
    exponents = np.exp(logits - logits.max(axis=1, keepdims=True))
    mean = (exponents / exponents.sum(axis=1, keepdims=True)).mean(axis=0)
    return {scene: round(float(p), 6) for scene, p in zip(SCENES, mean, strict=True)}
