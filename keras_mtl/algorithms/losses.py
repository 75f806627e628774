"""The tasks' losses, for batches in which not every clip has every label, and the terms between two networks."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


def scene_loss(scenes, logits, known=None, count=None):  # type: ignore[no-untyped-def]
    """Mean cross-entropy of scene indices [batch], or of shares [batch, scenes], against logits [batch, scenes].

    `known` [batch] is 1 where the scene is known, and `count` by what their sum is divided; by default all are.
    """
    shares = len(scenes.shape) == 2
    crossentropy = keras.losses.categorical_crossentropy if shares else keras.losses.sparse_categorical_crossentropy
    per_clip = crossentropy(scenes, logits, from_logits=True)
    return ops.mean(per_clip) if known is None else ops.sum(per_clip * known) / count


def masked_bce(targets, probabilities, known, count=None):  # type: ignore[no-untyped-def]
    """Mean binary cross-entropy over the clips whose labels are known.

    Args:
        targets: 0 or 1, [batch, ..., events].
        probabilities: of the same shape.
        known: [batch], 1 where the clip's labels are known. Other clips have no part in the value or its gradient.
        count: by what the sum over known clips is divided; by default their number, or 1 where there is none.

    Returns:
        A scalar; 0 when no clip is known.
    """
    per_clip = keras.losses.binary_crossentropy(targets, probabilities)
    per_clip = ops.mean(ops.reshape(per_clip, (ops.shape(per_clip)[0], -1)), axis=1)
    return ops.sum(per_clip * known) / (ops.maximum(ops.sum(known), 1.0) if count is None else count)


def labelled_losses(task: str, clips: dict[str, Any], output: Any) -> tuple[Any, dict[str, Any]]:
    """The loss of a task against its labels, and what is shown of it.

    Args:
        task: "scenes" or "events".
        clips: a batch of the task, as `MultitaskModel.prepare` gives it.
        output: of the task's decoder.
    """
    if task == "scenes":
        known, count = clips.get("has_scene"), clips.get("scene_clips")
        loss = scene_loss(clips.get("scene_shares", clips["scene"]), output, known, count)
        hit = ops.cast(ops.cast(ops.argmax(output, axis=-1), "int32") == ops.cast(clips["scene"], "int32"), "float32")
        accuracy = ops.mean(hit) if known is None else ops.sum(hit * known) / count
        return loss, {"scene_loss": loss, "scene_accuracy": accuracy}
    strong = masked_bce(clips["strong"], output["strong"], clips["has_strong"], clips.get("strong_clips"))
    weak = masked_bce(clips["weak"], output["weak"], clips["has_weak"], clips.get("weak_clips"))
    return strong + weak, {"strong_bce": strong, "weak_bce": weak}


def consistency_loss(student, teacher):  # type: ignore[no-untyped-def]
    """MSE(strong) + MSE(weak) of student against teacher, over all clips."""
    return sum(ops.mean(ops.square(student[key] - teacher[key])) for key in ("strong", "weak"))


def cross_loss(task: str, student: Any, teacher: Any) -> Any:
    """MSE between the probabilities of student and teacher, on clips that have no labels of `task`.

    Scenes: of softmax(logits), over clips and classes. Events: MSE(strong) + MSE(weak), as `consistency_loss`.
    """
    if task == "scenes":
        return ops.mean(ops.square(ops.softmax(student) - ops.softmax(teacher)))
    return consistency_loss(student, teacher)


def fold_pieces(embeddings: Any, length: int) -> Any:
    """[batch, n, D] to [batch * (n // length), length, D]: consecutive pieces, what is left over at the end dropped.

    A clip shorter than one piece stays as it is. The scene decoder, which is trained on clips of one second, so takes
    a clip of ten seconds second by second.
    """
    count, size = embeddings.shape[1], embeddings.shape[2]
    if count <= length:
        return embeddings
    pieces = count // length
    return ops.reshape(embeddings[:, : pieces * length], (-1, length, size))
