"""Log-mel features: computed, cached, and put into sets with their labels."""

from typing import TYPE_CHECKING

from keras_mtl.core.lazy import lazy

if TYPE_CHECKING:
    from keras_mtl.features.arrays import AnyLevels, Levels
    from keras_mtl.features.copies import ImpulseCopies, impulse_copies
    from keras_mtl.features.log_mel import LogMel, normalise
    from keras_mtl.features.preparation import prepare
    from keras_mtl.features.sets import EventSet, SceneSet, event_set, level_statistics, scene_set
    from keras_mtl.features.stream import LogMelStream, shared_log_mel
else:
    __getattr__, __dir__ = lazy(__name__)

__all__ = [
    "AnyLevels", "EventSet", "ImpulseCopies", "Levels", "LogMel", "LogMelStream", "SceneSet", "event_set",
    "impulse_copies", "level_statistics", "normalise", "prepare", "scene_set", "shared_log_mel",
]  # fmt: skip
