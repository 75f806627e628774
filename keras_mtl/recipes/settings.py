"""What a recipe holds: frozen settings with their defaults, grouped as in the TOML file."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from msgspec import Meta

from keras_mtl.core import Labels, LogMelSettings
from keras_mtl.datasets import DataSettings
from keras_mtl.decoding import DecodeSettings

Count = Annotated[int, Meta(ge=0)]
Amount = Annotated[float, Meta(ge=0)]
Share = Annotated[float, Meta(ge=0, le=1)]


@dataclass(frozen=True)
class ModelSettings:
    """The network.

    Attributes:
        system: id of the system, see `keras_mtl.recipes`. It brings its own features: those of the recipe's group
            `features` that are not given.
        options: arguments of the system's builder in `keras_mtl.models`, such as widths, that differ from its defaults.
    """

    system: str = "mt"
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class TrainSettings:
    """The training.

    Attributes:
        algorithm: id of the training algorithm, see `keras_mtl.algorithms`.
        task: for `single`: "scenes" or "events".
        epochs: passes of the first (or only) phase; one pass goes once over the longer of its streams.
        second_epochs: passes of the second phase, for algorithms that have one.
        scene_batch: clips of a scene batch.
        strong_batch, weak_batch, unlabelled_batch: clips of each kind in an event batch. Data without weak clips take
            the classes of the strong ones as weak labels, unless `weak_batch` is 0.
        learning_rate: peak of the schedule.
        second_learning_rate: peak in the second phase; 0 stands for that of the first.
        warmup_fraction: part of the steps in which the rate rises from 0; then it falls to 0 by a cosine.
        weight_decay: of AdamW.
        alpha: weight of the scene loss where two losses are added.
        consistency_weight: full weight of the mean teacher's consistency loss; 0 trains without a mean teacher.
        cross_weight: of the cross terms of `cross_soft` and `cross_hard`.
        gradnorm_alpha: of `gradnorm`: how strongly a task that learns more slowly is pulled.
        gradnorm_rate: of `gradnorm`: learning rate of the tasks' weights.
        teacher: path of the run of a larger network to learn from as well (distillation), or of several, whose outputs
            are averaged; or a teacher from outside: a `.toml` that describes one, a `.tflite` or `.keras` file, or a
            folder with `targets.npz` (see `keras_mtl.teachers`). "" for none.
        distillation_weight: of the teacher's term in the loss of each task it was trained on; of a teacher from
            outside, of its probe's soft labels of the scenes.
        distillation_temperature: of the scene logits in that term.
        embedding_weight: of the distance to the embedding of a teacher from outside.
        tag_weight: of the cross-entropy to the tags of a teacher from outside.
        event_weight: of the cross-entropy to the event probabilities of a teacher from outside, frame by frame; not on
            clips that are mixed anew.
        pool_batch: clips without a label in a scene batch, beside those of `scene_batch`: a teacher from outside tells
            what they are.
        average: decay of the moving average of the weights, which is what is judged and handed on; 0 for none.
        embedding_dropout: of `distil_freeze`: part of an embedding's channels that a clip loses.
        embedding_noise: of `distil_freeze`: noise on embeddings, in deviations of their channels.
        init: path of the run whose weights the training starts from (transfer); "" for none.
        encoder_rate: factor of the encoder's learning rate. 0 freezes it: all its weights and statistics stay as they
            are, which takes `init`.
        balance_scenes: whether every scene is drawn equally often, clips of rarer scenes more often within a pass, and
            its part of recordings is held out of every scene.
        conflict_every: steps from one measurement of the tasks' gradients' cosine to the next; 0 for none.
        mask_fraction: part of each axis that the masking augmentation zeroes.
        validation_fraction: part of the training clips held out to pick the best checkpoint.
        keep: "last" or "best": which weights a phase hands on: those of its last epoch, or of the one with the lowest
            held-out loss (training loss, where nothing is held out).
        patience: a phase stops after this many epochs in a row without a lower held-out loss; 0 for never. The rate's
            schedule stays that of all epochs. With keep = "last" the last of these epochs is handed on.
        checkpoint_steps: steps from one checkpoint within an epoch to the next; 0 for one at each epoch's end only.
        precision: "float32", "mixed_bfloat16" or "mixed_float16" (with a scaled loss): what the convolutions and dense
            layers compute in. Weights, mean teacher, losses and the run's network are float32 all the same.
        jit_compile: whether XLA compiles the steps.
        strategy: "none"; "mirrored": every batch is shared out over the machine's GPUs (without one, over its logical
            CPUs), with the result of one device; "multi_worker": over the processes that `TF_CONFIG` names. The number
            of clips of a batch must be a multiple of theirs.
        seed: of everything random.
    """

    algorithm: str = "freeze_sed_asc"
    task: Literal["scenes", "events"] = "events"
    epochs: Count = 14
    second_epochs: Count = 50
    scene_batch: Count = 256
    strong_batch: Count = 12
    weak_batch: Count = 12
    unlabelled_batch: Count = 24
    learning_rate: Amount = 1e-3
    second_learning_rate: Amount = 0.0
    warmup_fraction: Amount = 0.1
    weight_decay: Amount = 0.01
    alpha: Amount = 0.5
    consistency_weight: Amount = 2.0
    cross_weight: Amount = 1.0
    gradnorm_alpha: Amount = 1.5
    gradnorm_rate: Amount = 0.025
    teacher: str | tuple[str, ...] = ""
    distillation_weight: Amount = 1.0
    distillation_temperature: Amount = 2.0
    embedding_weight: Amount = 0.0
    tag_weight: Amount = 0.0
    event_weight: Amount = 0.0
    pool_batch: Count = 0
    average: Annotated[float, Meta(ge=0, lt=1)] = 0.0
    embedding_dropout: Annotated[float, Meta(ge=0, lt=1)] = 0.1
    embedding_noise: Amount = 0.1
    init: str = ""
    encoder_rate: Share = 1.0
    balance_scenes: bool = False
    conflict_every: Count = 0
    mask_fraction: Amount = 0.15
    validation_fraction: Amount = 0.05
    keep: Literal["last", "best"] = "last"
    patience: Count = 0
    checkpoint_steps: Count = 0
    precision: Literal["float32", "mixed_bfloat16", "mixed_float16"] = "float32"
    jit_compile: bool = False
    strategy: Literal["none", "mirrored", "multi_worker"] = "none"
    seed: Count = 0

    @property
    def teachers(self) -> tuple[str, ...]:
        """The paths of `teacher`."""
        return tuple(path for path in ((self.teacher,) if isinstance(self.teacher, str) else self.teacher) if path)


@dataclass(frozen=True)
class AugmentSettings:
    """Augmentation beyond masking; all of it is off by default.

    Attributes:
        mixup_alpha: clips are mixed in pairs with shares by Beta(alpha, alpha); 0 is off.
        roll_s: largest circular shift in time, in seconds; 0 is off.
        freq_mixstyle_probability: part of the batches whose mel bands trade their statistics; 0 is off.
        freq_mixstyle_alpha: their shares are by Beta(alpha, alpha).
        filter_db: largest gain of a random filter over the mel bands (FilterAugment), in dB; 0 is off.
        freq_mixstyle_by: "batch", or "clip": then it is the part of the clips of each batch.
        waveform_copies: versions of each scene clip at another speed, in another colour, at another level, prepared
            once; they keep their label.
        waveform_mixes: mixes of two scene clips for each scene clip; for a teacher from outside alone, as they have
            no label.
        waveform_cuts: parts of event clips as long as a scene clip, for each scene clip; likewise.
        ir_folder: folder of device impulse responses for scene clips; empty is off.
        ir_copies: copies of each clip's features that are prepared, each as large as the features themselves.
        ir_probability: part of the scene clips of these devices that are replaced by such a copy.
        ir_devices: whose clips, comma-separated; "all" for every device.
    """

    mixup_alpha: Amount = 0.0
    roll_s: Amount = 0.0
    freq_mixstyle_probability: Share = 0.0
    freq_mixstyle_alpha: Annotated[float, Meta(gt=0)] = 0.4
    freq_mixstyle_by: Literal["batch", "clip"] = "batch"
    filter_db: Amount = 0.0
    waveform_copies: Count = 0
    waveform_mixes: Count = 0
    waveform_cuts: Count = 0
    ir_folder: str = ""
    ir_copies: Annotated[int, Meta(ge=1)] = 1
    ir_probability: Share = 0.0
    ir_devices: str = "a"


@dataclass(frozen=True)
class QuantizeSettings:
    """Quantization-aware fine-tuning, of the scene part or of a whole network.

    Attributes:
        epochs: passes over the scene training clips or, with events, over the strongly labelled event clips; 0 is
            post-training quantization.
        batch: scene clips of a batch.
        learning_rate: peak of the schedule.
    """

    epochs: Count = 3
    batch: Count = 64
    learning_rate: Amount = 1e-4


@dataclass(frozen=True)
class Recipe:
    """A whole recipe. `name` is its file's name. Labels of a task that has none are those of the data."""

    name: str = "default"
    model: ModelSettings = field(default_factory=ModelSettings)
    features: LogMelSettings = field(default_factory=LogMelSettings)
    labels: Labels = field(default_factory=Labels)
    data: DataSettings = field(default_factory=DataSettings)
    train: TrainSettings = field(default_factory=TrainSettings)
    augment: AugmentSettings = field(default_factory=AugmentSettings)
    decode: DecodeSettings = field(default_factory=DecodeSettings)
    quantize: QuantizeSettings = field(default_factory=QuantizeSettings)
