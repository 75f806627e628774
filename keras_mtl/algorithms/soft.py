"""SoftMTL: both tasks in every step, their losses added (Surkov 2024, figure 5 a)."""

from __future__ import annotations

from typing import Any

import keras

from keras_mtl.algorithms.multitask_model import MultitaskModel


@keras.saving.register_keras_serializable(package="keras_mtl")
class SoftMTL(MultitaskModel):
    """L = alpha * L_asc + (1 - alpha) * L_sed, on one batch of each task.

    Args:
        network: functional network with the layers "encoder", "scene_head" and "event_head".
        alpha: weight of the scene loss, 0 to 1; the paper's mean of both losses is 0.5.
        **kwargs: see `MultitaskModel`.

    Example:
        >>> model = SoftMTL(build_mt(scenes=10, events=10), alpha=0.5)
        >>> model.compile(optimizer=keras.optimizers.AdamW(1e-3))
    """

    def __init__(self, network: keras.Model, alpha: float = 0.5, **kwargs: Any) -> None:
        super().__init__(network, **kwargs)
        if not 0.0 <= alpha <= 1.0:
            raise ValueError(f"alpha {alpha} is not in [0, 1]")
        self.alpha = alpha

    def combine(self, losses: dict[str, Any]) -> Any:
        """alpha * L_asc + (1 - alpha) * L_sed."""
        return self.alpha * losses["scenes"] + (1.0 - self.alpha) * losses["events"]

    def get_config(self) -> dict[str, Any]:
        """Every constructor argument."""
        return {**super().get_config(), "alpha": self.alpha}
