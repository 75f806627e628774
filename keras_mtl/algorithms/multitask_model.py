"""The base of all training algorithms: a `keras.Model` around a network with one encoder and a decoder a task."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_mtl.algorithms.average import WeightAverage
from keras_mtl.algorithms.decoders import TASKS, decoder_name, require_decoders
from keras_mtl.algorithms.distillation import Distiller, Ensemble
from keras_mtl.algorithms.losses import consistency_loss, labelled_losses
from keras_mtl.algorithms.mean_teacher import MeanTeacher, ramp
from keras_mtl.algorithms.optimizer import PartialAdamW
from keras_mtl.algorithms.replicas import Replicas, StepMean, TaskGradients
from keras_mtl.algorithms.saved_seeds import SavedSeeds
from keras_mtl.algorithms.teacher_terms import TeacherTerms
from keras_mtl.augmentation import Augmentation, Masking

_SHOWN = {"scenes": ("scene_loss", "scene_accuracy"), "events": ("strong_bce", "weak_bce")}


class MultitaskModel(TaskGradients):
    """Trains some parts of a network on one or both tasks.

    A batch is a dict with an entry for each task that is trained:

        "scenes": {"log_mel" [b, 100, 128, 1], "scene" [b]}; "has_scene" [b], where not all have one
        "events": {"log_mel" [b, 1000, 128, 1], "strong" [b, 250, events], "weak" [b, events],
                   "has_strong" [b], "has_weak" [b]}

    A teacher from outside adds its targets, see `TeacherTerms`: of scenes each batch has those of all of its clips, of
    events "teacher_events" [b, 250, events] and "has_teacher" [b].

    The event loss is BCE on strong frames + BCE on weak clip labels + ramp * w * (MSE(strong) + MSE(weak)) against the
    mean teacher on all clips. The teacher takes the clips without masking.

    In training, `augment` changes each batch first. It may add "scene_shares" [b, scenes], the labels of mixed clips,
    and "teacher_log_mel", the teachers' input in place of "log_mel".

    A subclass says which tasks it trains and overrides one of these: `combine` (what the losses make together),
    `update` (what a step updates), `further_losses` (terms beside the tasks' own losses).

    Args:
        network: functional network with the layer "encoder" and, for each trained task, "scene_head" or "event_head".
        tasks: the tasks that are trained.
        consistency_weight: w above.
        ramp_steps: steps in which the consistency loss reaches its full weight.
        mask_fraction: part of each axis that the augmentation zeroes.
        mask_period: frames in which one stripe of time is zeroed: those of one second.
        distiller: a larger network to learn from, or None. Its terms are added to the losses of the tasks it has.
        encoder_rate: factor of the encoder's learning rate, 0 to 1. With 0 it is frozen: it runs in inference mode,
            and keeps every bit. In between, the optimiser has to be `PartialAdamW`.
        seed: seed of the augmentation.
        augment: the steps before masking; by default none.
        terms: what a teacher from outside adds to the losses, whose targets the batches then hold; or None.
        average: decay of the moving average of the weights, by which held-out clips are judged; 0 for none.

    Raises:
        RecipeError: the network has no decoder for one of the tasks.
    """

    def __init__(
        self,
        network: keras.Model,
        tasks: tuple[str, ...] = TASKS,
        consistency_weight: float = 2.0,
        ramp_steps: int = 1,
        mask_fraction: float = 0.15,
        mask_period: int = 100,
        distiller: Distiller | Ensemble | None = None,
        encoder_rate: float = 1.0,
        seed: int = 0,
        augment: Augmentation | None = None,
        terms: TeacherTerms | None = None,
        average: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        unknown = set(tasks) - set(TASKS)
        if unknown or not tasks:
            raise ValueError(f"tasks {tasks}: must be some of {TASKS}")
        if not 0.0 <= encoder_rate <= 1.0:
            raise ValueError(f"encoder_rate {encoder_rate} is not in [0, 1]")
        require_decoders(network, tasks)
        self.network = network
        self.__dict__["replicas"] = Replicas.of(network)
        self.tasks = tuple(tasks)
        self.consistency_weight = consistency_weight
        self.ramp_steps = ramp_steps
        self.mask_fraction = mask_fraction
        self.mask_period = mask_period
        self.encoder_rate = encoder_rate
        self.seed = seed
        # Not through Keras's attribute tracking: a frozen network of another run has no place in every checkpoint.
        self.__dict__["distiller"] = distiller
        self.encoder = network.get_layer("encoder")
        self.heads = {task: network.get_layer(decoder_name(task)) for task in self.tasks}
        self.masking = Masking(mask_fraction, mask_period, seed)
        self.augment = augment or Augmentation(seed=seed)
        self.seeds = SavedSeeds(network)
        taught = {task: head for task, head in self.heads.items() if task in self.teacher_tasks()}
        self.teacher = MeanTeacher(self.encoder, taught) if taught else None
        self.terms = terms
        if self.terms is not None and not self.terms.built:
            self.terms.build(self.encoder.output_shape)
        self.average = WeightAverage(network, average) if average else None
        self.steps_done = self.add_weight(shape=(), dtype="int32", initializer="zeros", trainable=False, name="steps")
        self._trackers = {name: StepMean(name=name) for name in ("loss", *self.shown())}
        self.built = True

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """As Keras's, and slows the encoder down."""
        super().compile(*args, **kwargs)
        if 0.0 < self.encoder_rate < 1.0:
            optimizer = self.inner_optimizer()
            if not isinstance(optimizer, PartialAdamW):
                raise ValueError(f"encoder_rate {self.encoder_rate} with {optimizer.name}: it has to be PartialAdamW")
            optimizer.slow_down(self.encoder.trainable_variables, self.encoder_rate)

    def inner_optimizer(self) -> keras.optimizers.Optimizer:
        """The optimiser itself, where another one around it scales the loss."""
        scaled = isinstance(self.optimizer, keras.optimizers.LossScaleOptimizer)
        return self.optimizer.inner_optimizer if scaled else self.optimizer

    def shown(self) -> list[str]:
        """Names of the metrics besides "loss"."""
        names = [name for task in self.tasks for name in _SHOWN[task]]
        names += ["consistency"] if self._is_consistent("events") else []
        names += [name for task in self.tasks if self.terms is not None for name in self.terms.shown(task)]
        return names + [f"{task}_distillation" for task in self.tasks if self._distils(task)]

    @property
    def metrics(self) -> list[keras.Metric]:
        """The means over an epoch, by name."""
        return list(self._trackers.values())

    def teacher_tasks(self) -> tuple[str, ...]:
        """The tasks whose decoders the mean teacher has."""
        return ("events",) if self._is_consistent("events") else ()

    def uses_teacher(self, task: str) -> bool:
        """Whether a loss on the batch of `task` needs the mean teacher's embeddings."""
        return self._is_consistent(task)

    def _is_consistent(self, task: str) -> bool:
        """Whether the loss of a task has the term against the mean teacher."""
        return task == "events" and task in self.tasks and self.consistency_weight > 0

    def encoder_variables(self) -> list[keras.Variable]:
        """The encoder's variables that steps update: none of a frozen one."""
        return list(self.encoder.trainable_variables) if self.encoder_rate else []

    def trained_variables(self) -> list[keras.Variable]:
        """The variables that the steps update: the encoder's and those that each trained task has alone."""
        return [*self.encoder_variables(), *(variable for task in self.tasks for variable in self.own_variables(task))]

    def own_variables(self, task: str) -> list[keras.Variable]:
        """What a task's loss alone updates: its decoder's variables, and those of a teacher's terms."""
        terms = self.terms.trainable_variables if self.terms is not None and task == "scenes" else []
        return [*self.heads[task].trainable_variables, *terms]

    @property
    def kept(self) -> keras.Model:
        """The network that is judged and handed on: the one that learns, or its average."""
        return self.network if self.average is None else self.average.network

    def call(self, inputs, training=False):  # type: ignore[no-untyped-def]
        """The network's own outputs."""
        return self.network(inputs, training=training)

    def embed(self, log_mel, training: bool):  # type: ignore[no-untyped-def]
        """[batch, frames, mel, 1] to embeddings [batch, embeddings, D].

        A frozen encoder runs in inference mode: its statistics do not move, and no gradient reaches it.
        """
        if not training:
            return self.kept.get_layer("encoder")(log_mel, training=False)
        if not self.encoder_rate:
            return ops.stop_gradient(self.encoder(log_mel, training=False))
        return self.encoder(log_mel, training=training)

    def combine(self, losses: dict[str, Any]) -> Any:
        """One loss of the tasks' losses. Here: their sum."""
        return sum(losses.values())

    def held_out_loss(self, losses: dict[str, Any]) -> Any:
        """The loss by which held-out clips are judged; one whose scale does not move during the training."""
        return self.combine(losses)

    def further_losses(
        self, task: str, batch: dict[str, Any], student: Any, teacher: Any
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Training losses beside the task's own on its batch, of both embeddings; and what is shown. Here: none."""
        return {}, {}

    def task_losses(self, batch: dict[str, Any], training: bool) -> tuple[dict[str, Any], dict[str, Any]]:
        """Losses of the whole batch by name (tasks, and what `further_losses` adds), and what is shown by metric."""
        losses: dict[str, Any] = {}
        shown: dict[str, Any] = {}
        for task in self.tasks:
            more, terms = self.losses_of(task, batch, training)
            losses, shown = losses | more, shown | terms
        return losses, shown

    def losses_of(self, task: str, batch: dict[str, Any], training: bool) -> tuple[dict[str, Any], dict[str, Any]]:
        """The losses on the batch of one task, and what is shown of them."""
        return self.losses_on(task, self.prepare(task, batch, training), training)

    def prepare(self, task: str, batch: dict[str, Any], training: bool) -> dict[str, Any]:
        """The batch with the clips of a task as a step needs them: augmented, and "masked", the student's input.

        All that is drawn for clips is drawn here, and what a mean divides by is counted, both for the whole batch: each
        of the replicas then has a part of this.
        """
        clips = self.augment(batch[task], training=training)
        clips = {**clips, "masked": self.masking(clips["log_mel"], training=training)}
        if "has_scene" in clips:
            clips["scene_clips"] = ops.maximum(ops.sum(clips["has_scene"]), 1.0) / self.replicas.count
        if training and task == "events":
            for kind in [kind for kind in ("strong", "weak", "teacher") if f"has_{kind}" in clips]:
                known = ops.maximum(ops.sum(clips[f"has_{kind}"]), 1.0)
                clips[f"{kind}_clips"] = known / self.replicas.count
        return {**batch, task: clips}

    def losses_on(self, task: str, batch: dict[str, Any], training: bool) -> tuple[dict[str, Any], dict[str, Any]]:
        """The losses on what `prepare` gave, or on a replica's part of it, and what is shown of them."""
        clips = batch[task]
        embeddings = self.embed(clips["masked"], training)
        head = self.heads[task] if training else self.kept.get_layer(decoder_name(task))
        output = head(embeddings, training=training)
        loss, shown = labelled_losses(task, clips, output)
        if not training:
            return {task: loss}, shown
        log_mel, teacher_embeddings = clips.get("teacher_log_mel", clips["log_mel"]), None
        if self.teacher is not None and self.uses_teacher(task):
            teacher_embeddings = self.teacher.embed(log_mel)
        if self._is_consistent(task):
            assert self.teacher is not None
            shown["consistency"] = consistency_loss(output, self.teacher.decode("events", teacher_embeddings))
            weight = self.consistency_weight * ramp(self.teacher.step, self.ramp_steps)
            loss = loss + weight * shown["consistency"]
        if self._distils(task):
            shown[f"{task}_distillation"] = self.distiller.loss(task, log_mel, output)
            loss = loss + self.distiller.weight * shown[f"{task}_distillation"]
        if self.terms is not None:
            term, terms = self.terms.loss(task, clips, embeddings, output)
            loss, shown = loss + term, shown | terms
        further, more = self.further_losses(task, batch, embeddings, teacher_embeddings)
        return {task: loss, **further}, shown | more

    def _distils(self, task: str) -> bool:
        return self.distiller is not None and task in self.distiller.tasks

    def update(self, batch: dict[str, Any]) -> None:
        """Updates the weights once and tracks the metrics. Here: the gradient of `combine` on all trained variables."""
        variables = self.trained_variables()
        loss, _, shown, gradients = self.gradients(self.tasks, batch, variables, self.combine)
        self.optimizer.apply(gradients, variables)
        self.track({"loss": loss, **shown})

    def train_step(self, data):  # type: ignore[no-untyped-def]
        """One step: `update`, then the mean teacher follows."""
        with self.replicas.scope():
            self.update(data[0] if isinstance(data, tuple) else data)
            if self.teacher is not None:
                self.teacher.update(self.encoder, self.heads)
            if self.average is not None:
                self.average.update(self.network)
            self.steps_done.assign_add(1)
            return {name: tracker.result() for name, tracker in self._trackers.items()}

    def test_step(self, data):  # type: ignore[no-untyped-def]
        """The losses of one batch in inference mode; of the event loss, the part that has labels."""
        with self.replicas.scope():
            losses, shown = self.task_losses(data[0] if isinstance(data, tuple) else data, training=False)
            values = {"loss": self.held_out_loss(losses), **shown}
            self.track(values)
            return {name: self._trackers[name].result() for name in values}

    def track(self, values: dict[str, Any]) -> None:
        """Adds a step's values to the metrics."""
        for name, value in values.items():
            self._trackers[name].update_state(value)

    def get_config(self) -> dict[str, Any]:
        """Every constructor argument but `tasks`, which a subclass sets; the network as its own configuration."""
        return {
            "network": keras.saving.serialize_keras_object(self.network),
            "consistency_weight": self.consistency_weight,
            "ramp_steps": self.ramp_steps,
            "mask_fraction": self.mask_fraction,
            "mask_period": self.mask_period,
            "distiller": keras.saving.serialize_keras_object(self.distiller),
            "encoder_rate": self.encoder_rate,
            "seed": self.seed,
            "augment": keras.saving.serialize_keras_object(self.augment),
            "terms": keras.saving.serialize_keras_object(self.terms),
            "average": self.average.decay if self.average is not None else 0.0,
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> MultitaskModel:
        """Rebuilds what `get_config` describes."""
        for part in ("network", "distiller", "augment", "terms"):
            config[part] = keras.saving.deserialize_keras_object(config.get(part), custom_objects)
        return cls(config.pop("network"), **config)
