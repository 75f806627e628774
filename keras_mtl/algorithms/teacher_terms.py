"""What a teacher from outside adds to the tasks' losses: a tagger trained on far more audio than there is here.

It has other classes and other features than the student, and is never on a device: its outputs were computed before.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from keras_mtl.algorithms.distillation import scene_distillation
from keras_mtl.algorithms.losses import masked_bce
from keras_mtl.core import RecipeError

#: The targets of a teacher in a scene batch, each for all of its clips.
TEACHER_SCENES, TEACHER_EMBEDDING, TEACHER_TAGS = "teacher_scenes", "teacher_embedding", "teacher_tags"
#: The one of an event batch, on the network's embeddings; its `HAS_TEACHER` is 1 of clips that have it.
TEACHER_EVENTS, HAS_TEACHER = "teacher_events", "has_teacher"


@keras.saving.register_keras_serializable(package="keras_mtl")
class TeacherTerms(keras.layers.Layer):
    """Soft labels of scenes, regression of the embedding, and tags, over all clips of a batch, labelled or not.

    D_asc = w_s T^2 KL(softmax(p / T) || softmax(z / T)) + w_e MSE(A e + a, g) + w_t BCE(t, sigmoid(B e + b))
    D_sed = w_v BCE(q, strong), mean over the clips that have q

    with z the student's logits, e the mean over time of its embeddings; p the logits of a probe on the teacher's
    embeddings, g the teacher's embedding, standardised, and t its tags; q are the probabilities of events, frame by
    frame. A, a, B and b learn with the student, and are no part of the network. (Hinton et al. 2015 for the soft
    labels; Romero et al. 2015, "FitNets", for the regression.)

    Args:
        embedding: size of the teacher's embedding; 0 where there is none.
        tags: number of its tags; 0 where there are none.
        scene_weight: w_s; 0 where there is no probe.
        temperature: T.
        embedding_weight: w_e.
        tag_weight: w_t.
        event_weight: w_v; 0 where there are no events.
    """

    def __init__(
        self,
        embedding: int = 0,
        tags: int = 0,
        scene_weight: float = 1.0,
        temperature: float = 2.0,
        embedding_weight: float = 0.0,
        tag_weight: float = 0.0,
        event_weight: float = 0.0,
        **options: Any,
    ) -> None:
        super().__init__(**{"name": "teacher_terms", **options})
        if temperature <= 0.0:
            raise RecipeError(f"distillation_temperature {temperature:g} is not above 0")
        self.embedding, self.tags = embedding, tags
        self.scene_weight, self.temperature = scene_weight, temperature
        self.embedding_weight, self.tag_weight, self.event_weight = embedding_weight, tag_weight, event_weight
        self.to_embedding = keras.layers.Dense(embedding) if embedding and embedding_weight else None
        self.to_tags = keras.layers.Dense(tags) if tags and tag_weight else None

    def build(self, shape: Any) -> None:
        """Makes the layers that are thrown away, for embeddings [batch, time, size]."""
        for layer in (self.to_embedding, self.to_tags):
            if layer is not None:
                layer.build((None, shape[-1]))
        self.built = True

    def loss(self, task: str, clips: Mapping[str, Any], embeddings: Any, output: Any) -> tuple[Any, dict[str, Any]]:
        """D of a task's batch, and its parts without their weights, by the metrics' names.

        Args:
            task: "scenes" or "events".
            clips: the batch.
            embeddings: of the student, [batch, time, size].
            output: of the student's decoder.
        """
        if task == "scenes":
            return self._scenes(clips, embeddings, output)
        if not self.event_weight:
            return 0.0, {}
        told, count = clips[HAS_TEACHER], clips.get("teacher_clips")
        distance = masked_bce(clips[TEACHER_EVENTS], output["strong"], told, count)
        return self.event_weight * distance, {"events_distillation": distance}

    def _scenes(self, clips: Mapping[str, Any], embeddings: Any, logits: Any) -> tuple[Any, dict[str, Any]]:
        total, shown = 0.0, {}
        if self.scene_weight and TEACHER_SCENES in clips:
            shown["scenes_distillation"] = scene_distillation(logits, clips[TEACHER_SCENES], self.temperature)
            total += self.scene_weight * shown["scenes_distillation"]
        pooled = ops.mean(ops.cast(embeddings, "float32"), axis=1)
        if self.to_embedding is not None:
            shown["scenes_embedding"] = ops.mean(ops.square(self.to_embedding(pooled) - clips[TEACHER_EMBEDDING]))
            total += self.embedding_weight * shown["scenes_embedding"]
        if self.to_tags is not None:
            tags = ops.sigmoid(self.to_tags(pooled))
            shown["scenes_tags"] = ops.mean(keras.losses.binary_crossentropy(clips[TEACHER_TAGS], tags))
            total += self.tag_weight * shown["scenes_tags"]
        return total, shown

    def shown(self, task: str) -> list[str]:
        """Names of the metrics of `loss`."""
        if task == "events":
            return ["events_distillation"] if self.event_weight else []
        names = ["scenes_distillation"] if self.scene_weight else []
        names += ["scenes_embedding"] if self.to_embedding is not None else []
        return names + (["scenes_tags"] if self.to_tags is not None else [])

    def get_config(self) -> dict[str, Any]:
        """All constructor arguments."""
        names = ["embedding", "tags", "scene_weight", "temperature", "embedding_weight", "tag_weight", "event_weight"]
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
