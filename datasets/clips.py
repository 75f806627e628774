"""What a clip is: the features that TFDS stores, the nominal length, and the events inside it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from keras_mtl.datasets import audio_files
from keras_mtl.datasets.audio_files import SAMPLE_RATE_HZ
from keras_mtl.labels import EVENTS, SCENES

#: Length of a scene clip (TAU 2022 Mobile) and of an event clip (DESED), in seconds.
SCENE_CLIP_S = 1.0
EVENT_CLIP_S = 10.0


@dataclass(frozen=True)
class Event:
    """One labelled event: class index in `labels.EVENTS`, and seconds from the clip's start."""

    label: int
    onset_s: float
    offset_s: float


@dataclass
class Census:
    """What was found while preparing one split. Kept in the prepared data.

    Attributes:
        clips: clips that were stored.
        missing: clips that a table names and that are not on disk.
        repeated: rows of a table that name a clip a second time; the first one counts.
        padded: recordings shorter than the nominal length, filled up with zeros.
        mixed: recordings of several channels, mixed down to one.
        upsampled: recordings of a lower rate than the clips': nothing above half of theirs is in them.
        cut: recordings longer than the nominal length, cut there.
        clipped_events: events that reached beyond the clip, and end with it now.
        lost_events: events that lay wholly beyond the clip.
        missing_names: names of the first missing clips.
    """

    clips: int = 0
    missing: int = 0
    repeated: int = 0
    padded: int = 0
    mixed: int = 0
    upsampled: int = 0
    cut: int = 0
    clipped_events: int = 0
    lost_events: int = 0
    missing_names: list[str] = field(default_factory=list)

    def changes(self) -> dict[str, int]:
        """Counts, other than zero, of what was changed or passed over in the clips that are there."""
        counts = {
            "rows repeated": self.repeated,
            "clips mixed down to one channel": self.mixed,
            "clips recorded at a lower rate": self.upsampled,
            "clips padded": self.padded,
            "clips cut": self.cut,
            "events clipped": self.clipped_events,
            "events lost": self.lost_events,
        }
        return {what: count for what, count in counts.items() if count}


def scene_features(sample_rate_hz: int = SAMPLE_RATE_HZ) -> tfds.features.FeaturesDict:
    """Features of a scene clip; audio is stored as raw 16-bit samples."""
    return tfds.features.FeaturesDict(
        {
            "audio": tfds.features.Tensor(
                shape=(_samples(SCENE_CLIP_S, sample_rate_hz),), dtype=np.int16, encoding="bytes"
            ),
            "scene": tfds.features.ClassLabel(names=list(SCENES)),
            "device": tfds.features.Text(),
            "recording": tfds.features.Text(),
            "filename": tfds.features.Text(),
        }
    )


def event_features(sample_rate_hz: int = SAMPLE_RATE_HZ) -> tfds.features.FeaturesDict:
    """Features of an event clip; audio is stored as raw 16-bit samples."""
    return tfds.features.FeaturesDict(
        {
            "audio": tfds.features.Tensor(
                shape=(_samples(EVENT_CLIP_S, sample_rate_hz),), dtype=np.int16, encoding="bytes"
            ),
            "events": tfds.features.Sequence(
                {
                    "onset_s": tfds.features.Scalar(dtype=np.float32),
                    "offset_s": tfds.features.Scalar(dtype=np.float32),
                    "label": tfds.features.ClassLabel(names=list(EVENTS)),
                }
            ),
            "weak": tfds.features.Tensor(shape=(len(EVENTS),), dtype=np.int64),
            "filename": tfds.features.Text(),
        }
    )


def scene_example(audio: np.ndarray, scene: int, device: str, recording: str, filename: str) -> dict[str, Any]:
    """An example of `scene_features`: audio int16 [samples], one second."""
    return {"audio": audio, "scene": scene, "device": device, "recording": recording, "filename": filename}


def event_example(
    audio: np.ndarray, events: Iterable[Event], weak: Iterable[int], filename: str, strong: bool = True
) -> dict[str, Any]:
    """An example of `event_features`: audio int16 [samples], ten seconds.

    Args:
        audio: the samples.
        events: all events of the clip.
        weak: class indices known to sound in the clip, besides those of `events`.
        filename: the clip's name.
        strong: whether the times of the events are part of the example.
    """
    ordered = sorted(events, key=lambda event: (event.onset_s, event.offset_s, event.label))
    present = np.zeros(len(EVENTS), np.int64)
    present[[*weak, *(event.label for event in ordered)]] = 1
    kept = ordered if strong else []
    return {
        "audio": audio,
        "events": [{"onset_s": e.onset_s, "offset_s": e.offset_s, "label": e.label} for e in kept],
        "weak": present,
        "filename": filename,
    }


def read_clip(path: Path, seconds: float, census: Census, sample_rate_hz: int = SAMPLE_RATE_HZ) -> np.ndarray:
    """Reads a recording as a clip of `seconds`: float32 at the given rate. Counts what had to be changed.

    Raises:
        DataError: as of `audio_files.read_channels`.
    """
    channels, rate_hz = audio_files.read_channels(path)
    census.mixed += channels.shape[1] > 1
    census.upsampled += rate_hz < sample_rate_hz
    return fit_audio(audio_files.to_mono(channels, rate_hz, sample_rate_hz), seconds, census, sample_rate_hz)


def fit_audio(audio: np.ndarray, seconds: float, census: Census, sample_rate_hz: int = SAMPLE_RATE_HZ) -> np.ndarray:
    """Zero-pads or cuts samples [n] to `seconds`, and counts it when it changed more than 1 ms."""
    wanted = _samples(seconds, sample_rate_hz)
    tolerance = sample_rate_hz // 1000  # resampling may be a sample off
    census.padded += len(audio) < wanted - tolerance
    census.cut += len(audio) > wanted + tolerance
    if len(audio) >= wanted:
        return audio[:wanted]
    return np.pad(audio, (0, wanted - len(audio)))


def fit_events(events: Iterable[Event], seconds: float, census: Census) -> list[Event]:
    """Clips events to a clip of `seconds`, and counts those that changed."""
    kept = []
    for event in events:
        if event.onset_s >= seconds or event.offset_s <= 0.0:
            census.lost_events += 1
            continue
        onset_s, offset_s = max(0.0, event.onset_s), min(seconds, event.offset_s)
        census.clipped_events += (onset_s, offset_s) != (event.onset_s, event.offset_s)
        kept.append(Event(event.label, onset_s, offset_s))
    return kept


def _samples(seconds: float, sample_rate_hz: int) -> int:
    return round(seconds * sample_rate_hz)
