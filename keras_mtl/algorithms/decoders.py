"""The tasks, and which layer of a network is the decoder of each."""

from __future__ import annotations

from collections.abc import Iterable

import keras

from keras_mtl.core import RecipeError

TASKS = ("scenes", "events")


def decoder_name(task: str) -> str:
    """The layer's name: "scene_head" or "event_head"."""
    return f"{task.removesuffix('s')}_head"


def decoders_of(network: keras.Model) -> tuple[str, ...]:
    """The tasks that a network has a decoder for."""
    layers = {layer.name for layer in network.layers}
    return tuple(task for task in TASKS if decoder_name(task) in layers)


def require_decoders(network: keras.Model, tasks: Iterable[str]) -> None:
    """Refuses a network that lacks the decoder of one of the tasks.

    Raises:
        RecipeError: naming the network and the task.
    """
    has = decoders_of(network)
    missing = [task for task in TASKS if task in set(tasks) and task not in has]
    if missing:
        raise RecipeError(
            f"network {network.name!r} has no decoder for {' and '.join(missing)}, which this training needs",
            hint=f"algorithm=single with task={has[0]} trains it" if has else "take a system with that decoder",
        )
