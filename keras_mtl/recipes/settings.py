"""What a recipe holds: frozen settings with their defaults, grouped as in the TOML file."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from keras_mtl.datasets.scene_subsets import WHOLE
from keras_mtl.errors import RecipeError
from keras_mtl.features import LogMelSettings


@dataclass(frozen=True)
class ModelSettings:
    """The network.

    Attributes:
        system: id of the system, see `keras_mtl.systems`. It brings its own features: those of the recipe's group
            `features` that are not given.
        options: arguments of the system's builder in `keras_mtl.models`, such as widths, that differ from its defaults.
    """

    system: str = "mt"
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class DataSettings:
    """The data.

    Attributes:
        scene_subset: how much of TAU's training split is trained on, in per cent: one of the subsets of DCASE 2024
            (5, 10, 25, 50), whose tables must be there, or all of it (100).
    """

    scene_subset: int = WHOLE


@dataclass(frozen=True)
class TrainSettings:
    """The training.

    Attributes:
        algorithm: id of the training algorithm, see `keras_mtl.algorithms`.
        task: for `single`: "scenes" or "events".
        epochs: passes of the first (or only) phase; one pass goes once over the longer of its streams.
        second_epochs: passes of the second phase, for algorithms that have one.
        scene_batch: clips of a scene batch.
        strong_batch, weak_batch, unlabelled_batch: clips of each kind in an event batch.
        learning_rate: peak of the schedule.
        second_learning_rate: peak in the second phase; 0 stands for that of the first.
        warmup_fraction: part of the steps in which the rate rises from 0; then it falls to 0 by a cosine.
        weight_decay: of AdamW.
        alpha: weight of the scene loss where two losses are added.
        consistency_weight: full weight of the mean teacher's consistency loss.
        cross_weight: of the cross terms of `cross_soft` and `cross_hard`.
        gradnorm_alpha: of `gradnorm`: how strongly a task that learns more slowly is pulled.
        gradnorm_rate: of `gradnorm`: learning rate of the tasks' weights.
        teacher: path of the run of a larger network to learn from as well (distillation); "" for none.
        distillation_weight: of the teacher's term in the loss of each task it was trained on.
        distillation_temperature: of the scene logits in that term.
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
    task: str = "events"
    epochs: int = 14
    second_epochs: int = 50
    scene_batch: int = 256
    strong_batch: int = 12
    weak_batch: int = 12
    unlabelled_batch: int = 24
    learning_rate: float = 1e-3
    second_learning_rate: float = 0.0
    warmup_fraction: float = 0.1
    weight_decay: float = 0.01
    alpha: float = 0.5
    consistency_weight: float = 2.0
    cross_weight: float = 1.0
    gradnorm_alpha: float = 1.5
    gradnorm_rate: float = 0.025
    teacher: str = ""
    distillation_weight: float = 1.0
    distillation_temperature: float = 2.0
    conflict_every: int = 0
    mask_fraction: float = 0.15
    validation_fraction: float = 0.05
    keep: str = "last"
    patience: int = 0
    checkpoint_steps: int = 0
    precision: str = "float32"
    jit_compile: bool = False
    strategy: str = "none"
    seed: int = 0


@dataclass(frozen=True)
class AugmentSettings:
    """Augmentation beyond masking; all of it is off by default.

    Attributes:
        mixup_alpha: clips are mixed in pairs with shares by Beta(alpha, alpha); 0 is off.
        roll_s: largest circular shift in time, in seconds; 0 is off.
        freq_mixstyle_probability: part of the batches whose mel bands trade their statistics; 0 is off.
        freq_mixstyle_alpha: their shares are by Beta(alpha, alpha).
        ir_folder: folder of device impulse responses for scene clips; empty is off.
        ir_copies: copies of each clip's features that are prepared, each as large as the features themselves.
        ir_probability: part of the scene clips of these devices that are replaced by such a copy.
        ir_devices: whose clips, comma-separated; "all" for every device.
    """

    mixup_alpha: float = 0.0
    roll_s: float = 0.0
    freq_mixstyle_probability: float = 0.0
    freq_mixstyle_alpha: float = 0.4
    ir_folder: str = ""
    ir_copies: int = 1
    ir_probability: float = 0.0
    ir_devices: str = "a"

    def __post_init__(self) -> None:
        for name in ("freq_mixstyle_probability", "ir_probability"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise RecipeError(f"augment.{name} = {getattr(self, name)} is not a probability", hint="0 to 1")
        if self.freq_mixstyle_alpha <= 0.0:
            raise RecipeError(f"augment.freq_mixstyle_alpha = {self.freq_mixstyle_alpha}", hint="above 0")
        if self.ir_copies < 1:
            raise RecipeError(f"augment.ir_copies = {self.ir_copies}", hint="at least 1; ir_probability = 0 is off")


@dataclass(frozen=True)
class DecodeSettings:
    """From probabilities to events.

    Attributes:
        threshold: an event is where the filtered probability is above this.
        median_s: length of the median filter in seconds.
    """

    threshold: float = 0.5
    median_s: float = 0.45


@dataclass(frozen=True)
class QuantizeSettings:
    """Quantization-aware fine-tuning, of the scene part or of a whole network.

    Attributes:
        epochs: passes over the scene training clips or, with events, over the strongly labelled event clips; 0 is
            post-training quantization.
        batch: scene clips of a batch.
        learning_rate: peak of the schedule.
    """

    epochs: int = 3
    batch: int = 64
    learning_rate: float = 1e-4


@dataclass(frozen=True)
class Recipe:
    """A whole recipe. `name` is its file's name."""

    name: str = "default"
    model: ModelSettings = field(default_factory=ModelSettings)
    features: LogMelSettings = field(default_factory=LogMelSettings)
    data: DataSettings = field(default_factory=DataSettings)
    train: TrainSettings = field(default_factory=TrainSettings)
    augment: AugmentSettings = field(default_factory=AugmentSettings)
    decode: DecodeSettings = field(default_factory=DecodeSettings)
    quantize: QuantizeSettings = field(default_factory=QuantizeSettings)
