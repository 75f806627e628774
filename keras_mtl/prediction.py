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
    ten seconds (the last one about as long as it is), see `event_windows`.

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
    frames = -(-len(audio) // settings.hop)
    windows = _windows(listener, frames) if listener.event_probabilities is not None else []
    heard = max([frames, *(first + length for first, length, _ in windows)])
    levels = LogMel(settings)(np.pad(audio, (0, heard * settings.hop - len(audio)))[None])[0]
    probabilities = grid = None
    events: tuple[tuple[Event, float], ...] = ()
    if listener.event_probabilities is not None:
        parts = [
            listener.event_probabilities(levels[None, first : first + length])[0][0][:kept]
            for first, length, kept in windows
        ]
        probabilities = np.concatenate(parts)
        step_s = settings.hop_s * listener.frames_per_embedding
        grid = Grid(step_s, -settings.hop_s / 2, len(probabilities), duration_s)
        decoding = listener.decoding
        events = tuple(decode(probabilities, grid, EVENTS, decoding.threshold, decoding.median_s))
    scene_scores = _scene_scores(listener, audio)
    return Prediction(Path(path), duration_s, levels[:frames], scene_scores, probabilities, grid, events)


def event_windows(frames: int, window: int, stride: int) -> list[tuple[int, int, int]]:
    """How a recording is cut so that the probabilities of the parts, one after the other, keep the time axis.

    Windows begin at multiples of the stride, and leave the same rest when divided by it as `window` does, the length
    of the training clips: strided "same" convolutions pad by parity, so that at a length of another rest their
    embeddings would lie up to a stride earlier or later than in training. Where that rest is not 0, windows overlap
    by it, and what an earlier one says past the beginning of the next one is dropped.

    Args:
        frames: log-mel frames of the recording.
        window: frames of the longest window.
        stride: frames from one embedding to the next.

    Returns:
        (first frame, frames, embeddings to keep at most) of each window. The last one may reach beyond the recording.
    """
    rest = window % stride
    first, windows = 0, []
    while frames - first > window:
        windows.append((first, window, window // stride))
        first += max(window - rest, stride)
    left = frames - first
    blocks = max(1, -(-(left - rest) // stride))
    return [*windows, (first, blocks * stride + rest, -(-left // stride))]


def _windows(listener: Listener, frames: int) -> list[tuple[int, int, int]]:
    settings, stride, fixed = listener.settings, listener.frames_per_embedding, listener.event_frames
    if fixed is None:
        return event_windows(frames, settings.frames(_EVENT_WINDOW_S * settings.sample_rate_hz), stride)
    return [(first, fixed, kept) for first, _, kept in event_windows(frames, fixed, stride)]


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
