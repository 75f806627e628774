"""A listener: a trained network, in whatever form, as functions of log-mel levels.

Evaluation and prediction need no more than this, so they serve a Keras network, one under fake quantization and a
`.tflite` artifact alike.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from keras_mtl.core import LogMelSettings
from keras_mtl.decoding import DecodeSettings
from keras_mtl.features import AnyLevels


@dataclass(frozen=True)
class Listener:
    """What a network hears.

    Attributes:
        settings: the features it was trained on; levels are given in dB, it normalises them itself.
        scene_logits: levels [clips, frames, mel_bands] of one second to logits [clips, scenes]; None where it hears no
            scenes.
        event_probabilities: levels [clips, frames, mel_bands] to frame probabilities
            [clips, embeddings, events] and clip probabilities [clips, events]; None where it hears no events.
        frames_per_embedding: log-mel frames behind one row of frame probabilities; of no meaning without events.
        decoding: from probabilities to events.
        event_frames: the number of frames that `event_probabilities` takes, where it takes no other.
    """

    settings: LogMelSettings
    scene_logits: Callable[[AnyLevels], np.ndarray] | None = None
    event_probabilities: Callable[[AnyLevels], tuple[np.ndarray, np.ndarray]] | None = None
    frames_per_embedding: int = 4
    decoding: DecodeSettings = field(default_factory=DecodeSettings)
    event_frames: int | None = None

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks it does: some of "scenes" and "events"."""
        pairs = (("scenes", self.scene_logits), ("events", self.event_probabilities))
        return tuple(task for task, hears in pairs if hears is not None)
