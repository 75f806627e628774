"""PCGrad: gradient surgery between conflicting tasks (Yu et al. 2020)."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from keras_mtl.algorithms.per_task import PerTaskMTL, dot
from keras_mtl.algorithms.soft import SoftMTL


@keras.saving.register_keras_serializable(package="keras_mtl")
class PCGradMTL(PerTaskMTL, SoftMTL):
    """Where g_asc . g_sed < 0, each loses its part along the other: g_i - (g_i . g_j) / |g_j|^2 g_j. Then they add up.

    g are the gradients of alpha L_asc and (1 - alpha) L_sed for the encoder's weights, taken as one vector each; the
    decoders' gradients stay as they are. Without a conflict this is SoftMTL. The paper's random order of the tasks
    matters from three tasks on.

    Args, and the loss that is shown: those of `SoftMTL`. The paper adds the losses as they are, which is an alpha of
    0.5 but for the scale.

    Example:
        >>> model = PCGradMTL(build_mt(scenes=10, events=10))
        >>> model.compile(optimizer=PartialAdamW(1e-3))
    """

    def merge(self, losses: list[Any], shared: list[list[Any]]) -> tuple[list[Any], list[Any], dict[str, Any]]:
        """The sum of the projected gradients."""
        factors = [self.alpha, 1.0 - self.alpha]
        weighted = [[f * gradient for gradient in task] for f, task in zip(factors, shared, strict=True)]
        projected = project_conflicts(weighted)
        return [tf.add_n(list(parts)) for parts in zip(*projected, strict=True)], factors, {}


def project_conflicts(gradients: list[list[Any]]) -> list[list[Any]]:
    """Each task's gradient without its part against the others' (algorithm 1 of the paper, tasks in their order).

    Args:
        gradients: by task, a list of tensors that are taken as one vector.

    Returns:
        The same shape. A gradient that conflicts with none comes back as it is.
    """
    projected = []
    for i, gradient in enumerate(gradients):
        for j, other in enumerate(gradients):
            if i != j:
                along = tf.minimum(dot(gradient, other), 0.0)
                factor = tf.math.divide_no_nan(along, dot(other, other))
                gradient = [a - factor * b for a, b in zip(gradient, other, strict=True)]
        projected.append(gradient)
    return projected
