"""Distillation: a small network learns from the output of a larger, trained one (Hinton, Vinyals and Dean 2015)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from keras_mtl.algorithms.decoders import decoder_name, require_decoders
from keras_mtl.core import RecipeError


@keras.saving.register_keras_serializable(package="keras_mtl")
class Distiller:
    """A frozen network and the loss of a student against it; any algorithm takes one as its `distiller`.

    D_asc = T^2 KL(softmax(z_teacher / T) || softmax(z_student / T)), mean over clips      (Hinton et al. 2015)
    D_sed = BCE(teacher's strong, student's strong) + BCE(teacher's weak, student's weak), mean over all clips

    The BCE has probabilities as its targets; its least value is the teacher's entropy, not 0. Where the teacher's time
    axis has another length than the student's, it is resized linearly: both cover the clip evenly. The loss of each
    task that the teacher has becomes L_task + weight * D_task. The teacher has the mean teacher's input.

    Args:
        network: the teacher, with the layer "encoder" and the decoders of `tasks`.
        tasks: what it was trained on.
        weight: of D in the task's loss.
        temperature: T of the scene logits; the event decoder gives probabilities, and has none.
        scale, shift: the teacher's input is scale * log_mel + shift, for a teacher whose features differ from the
            student's by the scalar normalisation alone.

    Example:
        >>> model = SoftMTL(build_mt(scenes=10, events=10), distiller=Distiller(trained, tasks=("scenes", "events")))
    """

    def __init__(
        self,
        network: keras.Model,
        tasks: Sequence[str],
        weight: float = 1.0,
        temperature: float = 2.0,
        scale: float = 1.0,
        shift: float = 0.0,
    ) -> None:
        require_decoders(network, tasks)
        if temperature <= 0.0:
            raise RecipeError(f"distillation_temperature {temperature:g} is not above 0")
        self.network = network
        self.tasks = tuple(tasks)
        self.weight = weight
        self.temperature = temperature
        self.scale = scale
        self.shift = shift

    def predict(self, task: str, log_mel: Any) -> Any:
        """The teacher's output for [batch, frames, mel, 1]: logits, or {"strong", "weak"}; without a gradient."""
        embeddings = self.network.get_layer("encoder")(log_mel * self.scale + self.shift, training=False)
        output = self.network.get_layer(decoder_name(task))(embeddings, training=False)
        return keras.tree.map_structure(ops.stop_gradient, output)

    def loss(self, task: str, log_mel: Any, student: Any) -> Any:
        """D of the student's output for these clips."""
        return distillation(task, student, self.predict(task, log_mel), self.temperature)

    def get_config(self) -> dict[str, Any]:
        """Every constructor argument; the network as its own configuration."""
        return {
            "network": keras.saving.serialize_keras_object(self.network),
            "tasks": self.tasks,
            "weight": self.weight,
            "temperature": self.temperature,
            "scale": self.scale,
            "shift": self.shift,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Distiller:
        """Rebuilds what `get_config` describes."""
        return cls(keras.saving.deserialize_keras_object(config.pop("network")), **config)


@keras.saving.register_keras_serializable(package="keras_mtl")
class Ensemble:
    """Several teachers as one: the mean of their logits and of their probabilities; of a task, those that have it.

    Args:
        members: with one weight and one temperature.
    """

    def __init__(self, members: Sequence[Distiller]) -> None:
        self.members = list(members)
        self.tasks = tuple(sorted({task for member in members for task in member.tasks}))
        self.weight, self.temperature = members[0].weight, members[0].temperature

    def predict(self, task: str, log_mel: Any) -> Any:
        """See `Distiller.predict`."""
        found = [member.predict(task, log_mel) for member in self.members if task in member.tasks]
        if task == "scenes":
            return sum(found) / len(found)
        length = found[0]["strong"].shape[1]
        strong = sum(resize_time(each["strong"], length) for each in found) / len(found)
        return {"strong": strong, "weak": sum(each["weak"] for each in found) / len(found)}

    def loss(self, task: str, log_mel: Any, student: Any) -> Any:
        """See `Distiller.loss`."""
        return distillation(task, student, self.predict(task, log_mel), self.temperature)

    def get_config(self) -> dict[str, Any]:
        """The members as their own configurations."""
        return {"members": [keras.saving.serialize_keras_object(member) for member in self.members]}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Ensemble:
        """Rebuilds what `get_config` describes."""
        return cls([keras.saving.deserialize_keras_object(member) for member in config["members"]])


def ensemble(members: Sequence[Distiller]) -> Distiller | Ensemble | None:
    """The one, several as one, or None."""
    return Ensemble(members) if len(members) > 1 else members[0] if members else None


def distillation(task: str, student: Any, teacher: Any, temperature: float) -> Any:
    """D of a task, see `Distiller`."""
    if task == "scenes":
        return scene_distillation(student, teacher, temperature)
    return event_distillation(student, teacher)


def scene_distillation(student: Any, teacher: Any, temperature: float) -> Any:
    """T^2 KL(softmax(teacher / T) || softmax(student / T)) of logits [batch, scenes], mean over the batch."""
    soft = ops.log_softmax(teacher / temperature)
    per_clip = ops.sum(ops.exp(soft) * (soft - ops.log_softmax(student / temperature)), axis=-1)
    return temperature**2 * ops.mean(per_clip)


def event_distillation(student: dict[str, Any], teacher: dict[str, Any]) -> Any:
    """BCE of strong [batch, time, events] and weak [batch, events] probabilities; the times may differ in length."""
    strong = resize_time(teacher["strong"], student["strong"].shape[1])
    return ops.mean(keras.losses.binary_crossentropy(strong, student["strong"])) + ops.mean(
        keras.losses.binary_crossentropy(teacher["weak"], student["weak"])
    )


def resize_time(values: Any, length: int) -> Any:
    """[batch, time, events] to [batch, length, events], linearly between the middles of the steps."""
    if values.shape[1] == length:
        return values
    return tf.image.resize(values[..., None], (length, values.shape[2]), method="bilinear", antialias=True)[..., 0]
