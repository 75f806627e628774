"""One task alone: the encoder and that task's decoder."""

from __future__ import annotations

from typing import Any

import keras

from keras_mtl.algorithms.multitask_model import MultitaskModel


@keras.saving.register_keras_serializable(package="keras_mtl")
class SingleTask(MultitaskModel):
    """L = L_task. The other decoder is not touched.

    The rows `cnn`, `crnn` and the like of table 3 in Surkov 2024, and the first phase of FreezeMTL.

    Args:
        network: functional network with the layer "encoder" and the decoder of `task`: "scene_head" or "event_head".
        task: "scenes" or "events".
        **kwargs: see `MultitaskModel`.

    Example:
        >>> model = SingleTask(build_mt(scenes=10, events=10), task="events")
        >>> model.compile(optimizer=keras.optimizers.AdamW(1e-3))
    """

    def __init__(self, network: keras.Model, task: str = "events", **kwargs: Any) -> None:
        super().__init__(network, tasks=(task,), **kwargs)

    def get_config(self) -> dict[str, Any]:
        """Every constructor argument."""
        return {**super().get_config(), "task": self.tasks[0]}
