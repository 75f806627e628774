"""Time roll: each clip begins somewhere else, and what leaves at its end comes in at its start."""

from __future__ import annotations

import keras
from keras import ops

from keras_mtl.augmentation.seeded import Seeded


@keras.saving.register_keras_serializable(package="keras_mtl")
class TimeRoll(Seeded):
    """x[t] becomes x[(t - n) mod T], with n drawn for each clip from -most_frames to most_frames.

    Of an event clip, n is a whole number of embeddings and the strong labels move along: features and labels keep their
    grid. Frames at the end that fill no embedding stay where they are. Scene clips move by any number of frames; their
    label has no time.

    Args:
        most_frames: the largest shift; 0 moves nothing.
        frames_per_embedding: frames that one row of the strong labels stands for.
        seed: seed of the shifts.
    """

    def __init__(  # type: ignore[no-untyped-def]
        self, most_frames: int = 0, frames_per_embedding: int = 4, seed: int = 0, **kwargs
    ) -> None:
        super().__init__(seed=seed, **kwargs)
        self.most_frames = most_frames
        self.frames_per_embedding = frames_per_embedding

    def call(self, batch, training=False):  # type: ignore[no-untyped-def]
        """A batch of one task (see `MultitaskModel`) to the same keys and shapes."""
        if not training or self.most_frames == 0:
            return batch
        step = self.frames_per_embedding if "strong" in batch else 1
        most = self.most_frames // step
        clips, frames = ops.shape(batch["log_mel"])[0], batch["log_mel"].shape[1]
        whole = min(frames // step, batch["strong"].shape[1]) if "strong" in batch else frames
        shift = keras.random.randint((clips,), -most, most + 1, seed=self._seeds)
        out = {**batch, "log_mel": rolled(batch["log_mel"], shift * step, whole * step)}
        return out | {key: rolled(batch[key], shift, whole) for key in ("strong", "teacher_events") if key in batch}

    def get_config(self):  # type: ignore[no-untyped-def]
        """Every constructor argument."""
        own = {"most_frames": self.most_frames, "frames_per_embedding": self.frames_per_embedding}
        return {**super().get_config(), **own}


def rolled(values, shift, circle: int):  # type: ignore[no-untyped-def]
    """[clips, time, ...] with the first `circle` rows of each clip moved by its `shift` [clips], in a circle."""
    clips, length = ops.shape(values)[0], values.shape[1]
    at = ops.arange(length, dtype="int32")[None, :]
    at = ops.where(at < circle, ops.mod(at - shift[:, None], circle), at)
    flat = ops.reshape(at + length * ops.arange(clips, dtype="int32")[:, None], (-1,))
    rows = ops.reshape(values, (-1, *values.shape[2:]))
    return ops.reshape(ops.take(rows, flat, axis=0), ops.shape(values))
