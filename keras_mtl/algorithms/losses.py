"""The two tasks' losses, for batches in which not every clip has every label."""

from __future__ import annotations

import keras
from keras import ops


def scene_loss(scenes, logits):  # type: ignore[no-untyped-def]
    """Mean cross-entropy of scene indices [batch], or of shares [batch, scenes], against logits [batch, scenes]."""
    if len(scenes.shape) == 2:
        return ops.mean(keras.losses.categorical_crossentropy(scenes, logits, from_logits=True))
    return ops.mean(keras.losses.sparse_categorical_crossentropy(scenes, logits, from_logits=True))


def masked_bce(targets, probabilities, known):  # type: ignore[no-untyped-def]
    """Mean binary cross-entropy over the clips whose labels are known.

    Args:
        targets: 0 or 1, [batch, ..., events].
        probabilities: of the same shape.
        known: [batch], 1 where the clip's labels are known. Other clips have no part in the value or its gradient.

    Returns:
        A scalar; 0 when no clip is known.
    """
    per_clip = keras.losses.binary_crossentropy(targets, probabilities)
    per_clip = ops.mean(ops.reshape(per_clip, (ops.shape(per_clip)[0], -1)), axis=1)
    return ops.sum(per_clip * known) / ops.maximum(ops.sum(known), 1.0)


def consistency_loss(student, teacher):  # type: ignore[no-untyped-def]
    """MSE(strong) + MSE(weak) of student against teacher, over all clips."""
    return sum(ops.mean(ops.square(student[key] - teacher[key])) for key in ("strong", "weak"))
