"""The networks, as builders of functional Keras models, by the id of their system."""

from collections.abc import Callable

import keras

from keras_mtl.errors import RecipeError
from keras_mtl.models.encoder import build_encoder
from keras_mtl.models.event_head import WeakPooling, build_event_head
from keras_mtl.models.mt import build_mt
from keras_mtl.models.scene_head import build_scene_head
from keras_mtl.models.scene_part import build_scene_part
from keras_mtl.models.timing import embeddings_of, frames_per_embedding

#: Every system by its id.
SYSTEMS: dict[str, Callable[..., keras.Model]] = {"mt": build_mt}


def build(system: str) -> keras.Model:
    """Builds a system by its id.

    Raises:
        RecipeError: no such system.
    """
    if system not in SYSTEMS:
        raise RecipeError(f"no system {system!r}", hint=f"systems: {', '.join(SYSTEMS)}")
    return SYSTEMS[system]()


__all__ = [
    "SYSTEMS",
    "WeakPooling",
    "build",
    "build_encoder",
    "build_event_head",
    "build_mt",
    "build_scene_head",
    "build_scene_part",
    "embeddings_of",
    "frames_per_embedding",
]
