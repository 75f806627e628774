"""Log-mel features: computed, cached, and put into sets with their labels."""

from typing import TYPE_CHECKING

from keras_mtl.core.lazy import lazy

if TYPE_CHECKING:
    from keras_mtl.features.arrays import AnyLogMel, MappedLogMel
    from keras_mtl.features.copies import ImpulseCopies, impulse_copies
    from keras_mtl.features.feeder import Feeder
    from keras_mtl.features.log_mel import FrontEnd, LogMel, LogMelStream, normalise, shared_log_mel
    from keras_mtl.features.mixtures import FreshMixtures, occurrence
    from keras_mtl.features.preparation import prepare
    from keras_mtl.features.sets import EventSet, SceneSet, event_set, log_mel_statistics, scene_set, scenes_of
    from keras_mtl.features.shards import Batches, Rows, open_shards, split_folder
    from keras_mtl.features.varied import NO_SCENE, recordings_in, varied_scenes
else:
    __getattr__, __dir__ = lazy(__name__)

__all__ = [
    "NO_SCENE", "AnyLogMel", "Batches", "EventSet", "Feeder", "FreshMixtures", "FrontEnd", "ImpulseCopies", "LogMel",
    "LogMelStream", "MappedLogMel", "Rows", "SceneSet", "event_set", "impulse_copies",
    "log_mel_statistics", "normalise", "occurrence", "open_shards", "prepare", "recordings_in", "scene_set",
    "scenes_of", "shared_log_mel", "split_folder", "varied_scenes",
]  # fmt: skip
