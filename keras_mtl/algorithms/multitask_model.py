"""The base of all training algorithms: a `keras.Model` around a network with one encoder and a decoder a task."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf
from keras import ops

from keras_mtl.algorithms.losses import consistency_loss, masked_bce, scene_loss
from keras_mtl.algorithms.mean_teacher import MeanTeacher, ramp
from keras_mtl.augmentation import Augmentation, Masking

TASKS = ("scenes", "events")


class MultitaskModel(keras.Model):
    """Trains some parts of a network on one or both tasks.

    A batch is a dict with an entry for each task that is trained:

        "scenes": {"log_mel" [b, 100, 128, 1], "scene" [b]}
        "events": {"log_mel" [b, 1000, 128, 1], "strong" [b, 250, events], "weak" [b, events],
                   "has_strong" [b], "has_weak" [b]}

    The event loss is BCE on strong frames + BCE on weak clip labels + ramp * w * (MSE(strong) + MSE(weak)) against the
    mean teacher on all clips. The teacher hears the clips without masking.

    In training, `augment` changes each batch first. It may add "scene_shares" [b, scenes], the labels of mixed clips,
    and "teacher_log_mel", what the teacher hears in place of "log_mel".

    A subclass says which tasks it trains and, in `combine`, what the two losses make together.

    Args:
        network: functional network with the layers "encoder", "scene_head" and "event_head".
        tasks: the tasks that are trained.
        consistency_weight: w above.
        ramp_steps: steps in which the consistency loss reaches its full weight.
        mask_fraction: part of each axis that the augmentation zeroes.
        mask_period: frames in which one stripe of time is zeroed: those of one second.
        seed: seed of the augmentation.
        augment: the steps before masking; by default none.
    """

    def __init__(
        self,
        network: keras.Model,
        tasks: tuple[str, ...] = TASKS,
        consistency_weight: float = 2.0,
        ramp_steps: int = 1,
        mask_fraction: float = 0.15,
        mask_period: int = 100,
        seed: int = 0,
        augment: Augmentation | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        unknown = set(tasks) - set(TASKS)
        if unknown or not tasks:
            raise ValueError(f"tasks {tasks}: must be some of {TASKS}")
        self.network = network
        self.tasks = tuple(tasks)
        self.consistency_weight = consistency_weight
        self.ramp_steps = ramp_steps
        self.mask_fraction = mask_fraction
        self.mask_period = mask_period
        self.seed = seed
        self.encoder = network.get_layer("encoder")
        self.heads = {task: network.get_layer(f"{task[:-1]}_head") for task in self.tasks}
        self.masking = Masking(mask_fraction, mask_period, seed)
        self.augment = augment or Augmentation(seed=seed)
        self.teacher = MeanTeacher([self.encoder, self.heads["events"]]) if "events" in tasks else None
        self._trackers = {name: keras.metrics.Mean(name=name) for name in ("loss", *self._measured())}
        self.built = True

    def _measured(self) -> list[str]:
        names = {"scenes": ["scene_loss", "scene_accuracy"], "events": ["strong_bce", "weak_bce", "consistency"]}
        return [name for task in self.tasks for name in names[task]]

    @property
    def metrics(self) -> list[keras.Metric]:
        """The means over an epoch, by name."""
        return list(self._trackers.values())

    def trained_variables(self) -> list[keras.Variable]:
        """The variables that a step updates: the encoder's and those of the trained tasks' heads."""
        parts = [self.encoder, *self.heads.values()]
        return [variable for part in parts for variable in part.trainable_variables]

    def call(self, inputs, training=False):  # type: ignore[no-untyped-def]
        """The network's own outputs."""
        return self.network(inputs, training=training)

    def embed(self, log_mel, training: bool):  # type: ignore[no-untyped-def]
        """[batch, frames, mel, 1] to embeddings [batch, embeddings, D], masked in training."""
        return self.encoder(self.masking(log_mel, training=training), training=training)

    def combine(self, losses: dict[str, Any]) -> Any:
        """One loss of the tasks' losses. Here: their sum."""
        return sum(losses.values())

    def task_losses(self, batch: dict[str, Any], training: bool) -> tuple[dict[str, Any], dict[str, Any]]:
        """Losses by task, and what is shown of them by metric name."""
        losses: dict[str, Any] = {}
        shown: dict[str, Any] = {}
        for task in self.tasks:
            of_task = self._scene_terms if task == "scenes" else self._event_terms
            losses[task], terms = of_task(self.augment(batch[task], training=training), training)
            shown |= terms
        return losses, shown

    def _scene_terms(self, batch: dict[str, Any], training: bool) -> tuple[Any, dict[str, Any]]:
        logits = self.heads["scenes"](self.embed(batch["log_mel"], training), training=training)
        loss = scene_loss(batch.get("scene_shares", batch["scene"]), logits)
        hit = ops.cast(ops.argmax(logits, axis=-1), "int32") == ops.cast(batch["scene"], "int32")
        return loss, {"scene_loss": loss, "scene_accuracy": ops.mean(ops.cast(hit, "float32"))}

    def _event_terms(self, batch: dict[str, Any], training: bool) -> tuple[Any, dict[str, Any]]:
        student = self.heads["events"](self.embed(batch["log_mel"], training), training=training)
        strong = masked_bce(batch["strong"], student["strong"], batch["has_strong"])
        weak = masked_bce(batch["weak"], student["weak"], batch["has_weak"])
        if not training:
            return strong + weak, {"strong_bce": strong, "weak_bce": weak}
        assert self.teacher is not None
        consistency = consistency_loss(student, self.teacher(batch.get("teacher_log_mel", batch["log_mel"])))
        weight = self.consistency_weight * ramp(self.teacher.step, self.ramp_steps)
        shown = {"strong_bce": strong, "weak_bce": weak, "consistency": consistency}
        return strong + weak + weight * consistency, shown

    def train_step(self, data):  # type: ignore[no-untyped-def]
        """One step on one batch of each trained task."""
        batch = data[0] if isinstance(data, tuple) else data
        variables = self.trained_variables()
        with tf.GradientTape() as tape:
            losses, shown = self.task_losses(batch, training=True)
            loss = self.combine(losses)
        gradients = tape.gradient(loss, [variable.value for variable in variables])
        self.optimizer.apply(gradients, variables)
        if self.teacher is not None:
            self.teacher.update([self.encoder, self.heads["events"]])
        return self._show({"loss": loss, **shown})

    def test_step(self, data):  # type: ignore[no-untyped-def]
        """The losses of one batch in inference mode; of the event loss, the part that has labels."""
        losses, shown = self.task_losses(data[0] if isinstance(data, tuple) else data, training=False)
        return self._show({"loss": self.combine(losses), **shown})

    def _show(self, values: dict[str, Any]) -> dict[str, Any]:
        for name, value in values.items():
            self._trackers[name].update_state(value)
        return {name: self._trackers[name].result() for name in values}

    def get_config(self) -> dict[str, Any]:
        """Every constructor argument; the network as its own configuration."""
        return {
            "network": keras.saving.serialize_keras_object(self.network),
            "tasks": self.tasks,
            "consistency_weight": self.consistency_weight,
            "ramp_steps": self.ramp_steps,
            "mask_fraction": self.mask_fraction,
            "mask_period": self.mask_period,
            "seed": self.seed,
            "augment": keras.saving.serialize_keras_object(self.augment),
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> MultitaskModel:
        """Rebuilds what `get_config` describes."""
        network = keras.saving.deserialize_keras_object(config.pop("network"), custom_objects)
        if config.get("augment") is not None:
            config["augment"] = keras.saving.deserialize_keras_object(config["augment"], custom_objects)
        if "tasks" in config:
            config["tasks"] = tuple(config["tasks"])
        return cls(network, **config)
