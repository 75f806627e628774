"""A predictor: a trained network, in whatever form, as functions of log-mel.

Evaluation and prediction need no more than this, so they serve a Keras network, one under fake quantization and a
`.tflite` artifact alike.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from keras_mtl.core import DCASE, Labels, LogMelSettings
from keras_mtl.datasets import DataSettings
from keras_mtl.decoding import DecodeSettings
from keras_mtl.features import AnyLogMel


@dataclass(frozen=True)
class Predictor:
    """A network's outputs.

    Attributes:
        settings: the features it was trained on; log-mel is given in dB, the predictor normalises it.
        scene_logits: log_mel [clips, frames, mel_bands] of one scene clip to logits [clips, scenes]; None without the
            task.
        event_probabilities: log_mel [clips, frames, mel_bands] to frame probabilities
            [clips, embeddings, events] and clip probabilities [clips, events]; None without the task.
        frames_per_embedding: log-mel frames behind one row of frame probabilities; of no meaning without events.
        decoding: from probabilities to events.
        event_frames: the number of frames that `event_probabilities` takes, where it takes no other.
        labels: the classes, in the order of the outputs.
        data: which clips of a user's data it was trained and scored on: their lengths, the split of own sounds.
    """

    settings: LogMelSettings
    scene_logits: Callable[[AnyLogMel], np.ndarray] | None = None
    event_probabilities: Callable[[AnyLogMel], tuple[np.ndarray, np.ndarray]] | None = None
    frames_per_embedding: int = 4
    decoding: DecodeSettings = field(default_factory=DecodeSettings)
    event_frames: int | None = None
    labels: Labels = DCASE
    data: DataSettings = field(default_factory=DataSettings)

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks it does: some of "scenes" and "events"."""
        pairs = (("scenes", self.scene_logits), ("events", self.event_probabilities))
        return tuple(task for task, function in pairs if function is not None)
