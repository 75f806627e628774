"""Training algorithms: each a `keras.Model` that wraps a network and overrides the narrowest hook."""

from keras_mtl.algorithms.freeze import FreezeMTL
from keras_mtl.algorithms.mean_teacher import MeanTeacher
from keras_mtl.algorithms.multitask_model import MultitaskModel
from keras_mtl.algorithms.phases import ALGORITHMS, Phase
from keras_mtl.algorithms.single import SingleTask
from keras_mtl.algorithms.soft import SoftMTL

__all__ = ["ALGORITHMS", "FreezeMTL", "MeanTeacher", "MultitaskModel", "Phase", "SingleTask", "SoftMTL"]
