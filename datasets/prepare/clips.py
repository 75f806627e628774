"""What a clip is: the features that TFDS stores, the nominal length, and the events inside it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from keras_mtl.core import Labels
from keras_mtl.datasets.audio import SAMPLE_RATE_HZ, AudioFormat, Inspected
from keras_mtl.datasets.audio import files as audio_files
from keras_mtl.datasets.prepare.census import Census
from keras_mtl.decoding import Event

_TOLERANCE_S = 0.001  # a recording whose length differs by less counts as of the nominal length


def scene_features(labels: Labels, clip_s: float, sample_rate_hz: int) -> tfds.features.FeaturesDict:
    """Features of a scene clip of `clip_s` seconds; audio is stored as raw 16-bit samples."""
    return tfds.features.FeaturesDict(
        {
            "audio": _audio(clip_s, sample_rate_hz),
            "scene": tfds.features.ClassLabel(names=list(labels.scenes)),
            "device": tfds.features.Text(),
            "recording": tfds.features.Text(),
            "filename": tfds.features.Text(),
        }
    )


def event_features(labels: Labels, clip_s: float, sample_rate_hz: int) -> tfds.features.FeaturesDict:
    """Features of an event clip of `clip_s` seconds; audio is stored as raw 16-bit samples."""
    return tfds.features.FeaturesDict(
        {
            "audio": _audio(clip_s, sample_rate_hz),
            "events": tfds.features.Sequence(
                {
                    "onset_s": tfds.features.Scalar(dtype=np.float32),
                    "offset_s": tfds.features.Scalar(dtype=np.float32),
                    "label": tfds.features.ClassLabel(names=list(labels.events)),
                }
            ),
            "weak": tfds.features.Tensor(shape=(len(labels.events),), dtype=np.int64),
            "filename": tfds.features.Text(),
        }
    )


def scene_example(audio: np.ndarray, scene: int, device: str, recording: str, filename: str) -> dict[str, Any]:
    """An example of `scene_features`: audio int16 [samples]."""
    return {"audio": audio, "scene": scene, "device": device, "recording": recording, "filename": filename}


def event_example(
    labels: Labels,
    audio: np.ndarray,
    events: Iterable[Event],
    weak: Iterable[int],
    filename: str,
    strong: bool = True,
) -> dict[str, Any]:
    """An example of `event_features`: audio int16 [samples].

    Args:
        labels: the classes.
        audio: the samples.
        events: all events of the clip.
        weak: class indices known to sound in the clip, besides those of `events`.
        filename: the clip's name.
        strong: whether the times of the events are part of the example.
    """
    ordered = sorted(events)
    present = np.zeros(len(labels.events), np.int64)
    present[[*weak, *(labels.events.index(event.label) for event in ordered)]] = 1
    kept = ordered if strong else []
    return {
        "audio": audio,
        "events": [event._asdict() for event in kept],
        "weak": present,
        "filename": filename,
    }


def read_clip(
    path: Path, seconds: float, census: Census, sample_rate_hz: int = SAMPLE_RATE_HZ, name: str = ""
) -> np.ndarray:
    """Reads a recording as a clip of `seconds`: float32 at the given rate. Counts what had to be changed.

    Args:
        path: the recording.
        seconds: length of the clip.
        census: what counts the changes.
        sample_rate_hz: rate of the clip.
        name: what the census calls the clip.

    Raises:
        DataError: as of `files.read_channels`.
    """
    channels, rate_hz = audio_files.read_channels(path)
    known = AudioFormat(rate_hz, channels.shape[1], len(channels))
    count_changes(Inspected(known, audio_files.measured(channels)), seconds, census, sample_rate_hz, name or path.name)
    return fit_audio(audio_files.to_mono(channels, rate_hz, sample_rate_hz), seconds, sample_rate_hz)


def count_changes(
    recording: Inspected, seconds: float, census: Census, sample_rate_hz: int = SAMPLE_RATE_HZ, name: str = ""
) -> None:
    """Counts what makes a clip of `seconds` at the given rate differ from its recording, but for rate and depth."""
    known, levels = recording.format, recording.levels
    for kind, changed in (
        ("mixed", known.channels > 1),
        ("upsampled", known.rate_hz < sample_rate_hz),
        ("padded", known.seconds < seconds - _TOLERANCE_S),
        ("cut", known.seconds > seconds + _TOLERANCE_S),
        ("loud", levels.beyond > 0),
        ("cancelling", levels.cancelled_db > 0),
    ):
        if changed:
            census.count(kind, name)


def fit_audio(audio: np.ndarray, seconds: float, sample_rate_hz: int = SAMPLE_RATE_HZ) -> np.ndarray:
    """Zero-pads or cuts samples [n] to `seconds`."""
    wanted = _samples(seconds, sample_rate_hz)
    return audio[:wanted] if len(audio) >= wanted else np.pad(audio, (0, wanted - len(audio)))


def fit_events(events: Iterable[Event], seconds: float, census: Census, name: str = "") -> list[Event]:
    """Clips events to a clip of `seconds`, and counts those that changed under the clip's name."""
    kept = []
    for event in events:
        if event.onset_s >= seconds or event.offset_s <= 0.0:
            census.count("lost_events", name)
            continue
        onset_s, offset_s = max(0.0, event.onset_s), min(seconds, event.offset_s)
        if (onset_s, offset_s) != (event.onset_s, event.offset_s):
            census.count("clipped_events", name)
        kept.append(Event(onset_s, offset_s, event.label))
    return kept


def _audio(seconds: float, sample_rate_hz: int) -> tfds.features.Tensor:
    return tfds.features.Tensor(shape=(_samples(seconds, sample_rate_hz),), dtype=np.int16, encoding="bytes")


def _samples(seconds: float, sample_rate_hz: int) -> int:
    return round(seconds * sample_rate_hz)
