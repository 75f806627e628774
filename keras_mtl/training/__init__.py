"""The training stage: batches, phases, checkpoints and logs."""

from typing import TYPE_CHECKING

from keras_mtl.core.lazy import lazy

if TYPE_CHECKING:
    from keras_mtl.training.batches import EventStream, SceneStream, Stream, as_dataset
    from keras_mtl.training.conflict import Row, conflict_logs, read_conflict
    from keras_mtl.training.data import TrainingData, load_training_data, require_same_clips
    from keras_mtl.training.distribution import open_strategy, same_bits
    from keras_mtl.training.held_out import hold_out_events
    from keras_mtl.training.stage import train
else:
    __getattr__, __dir__ = lazy(__name__)

__all__ = [
    "EventStream", "Row", "SceneStream", "Stream", "TrainingData", "as_dataset", "conflict_logs", "hold_out_events",
    "load_training_data", "open_strategy", "read_conflict", "require_same_clips", "same_bits", "train",
]  # fmt: skip
