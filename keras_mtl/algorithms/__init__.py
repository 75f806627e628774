"""Training algorithms: each a `keras.Model` that wraps a network and overrides the narrowest hook."""

from keras_mtl.algorithms.cross import CrossHardMTL, CrossSoftMTL
from keras_mtl.algorithms.decoders import TASKS, decoder_name, decoders_of, require_decoders
from keras_mtl.algorithms.distillation import Distiller, Ensemble, ensemble
from keras_mtl.algorithms.freeze import FreezeMTL
from keras_mtl.algorithms.frozen_events import FrozenEvents
from keras_mtl.algorithms.gradnorm import GradNormMTL
from keras_mtl.algorithms.hard import HardMTL
from keras_mtl.algorithms.mean_teacher import MeanTeacher
from keras_mtl.algorithms.multitask_model import MultitaskModel
from keras_mtl.algorithms.optimizer import PartialAdamW
from keras_mtl.algorithms.pcgrad import PCGradMTL
from keras_mtl.algorithms.phases import ALGORITHMS, Phase
from keras_mtl.algorithms.precision import use_precision
from keras_mtl.algorithms.replicas import Replicas
from keras_mtl.algorithms.saved_seeds import SavedSeeds
from keras_mtl.algorithms.single import SingleTask
from keras_mtl.algorithms.soft import SoftMTL
from keras_mtl.algorithms.teacher_terms import (
    HAS_TEACHER,
    TEACHER_EMBEDDING,
    TEACHER_EVENTS,
    TEACHER_SCENES,
    TEACHER_TAGS,
    TeacherTerms,
)  # fmt: skip
from keras_mtl.algorithms.uncertainty import UncertaintyMTL

__all__ = [
    "ALGORITHMS", "HAS_TEACHER", "TASKS", "TEACHER_EMBEDDING", "TEACHER_EVENTS", "TEACHER_SCENES", "TEACHER_TAGS",
    "CrossHardMTL", "CrossSoftMTL", "Distiller", "Ensemble", "FreezeMTL", "FrozenEvents", "GradNormMTL", "HardMTL",
    "MeanTeacher", "MultitaskModel", "PCGradMTL", "PartialAdamW", "Phase", "Replicas", "SavedSeeds", "SingleTask",
    "SoftMTL", "TeacherTerms", "UncertaintyMTL", "decoder_name", "decoders_of", "ensemble", "require_decoders",
    "use_precision",
]  # fmt: skip
