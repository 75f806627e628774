"""Augmentation of training batches: steps that are seeded, apply in training only, and keep the shapes."""

from keras_mtl.augmentation.augmentation import Augmentation
from keras_mtl.augmentation.embedding_noise import EmbeddingNoise
from keras_mtl.augmentation.filter_augment import FilterAugment
from keras_mtl.augmentation.freq_mixstyle import FreqMixStyle
from keras_mtl.augmentation.masking import Masking
from keras_mtl.augmentation.mixup import Mixup
from keras_mtl.augmentation.time_roll import TimeRoll

__all__ = ["Augmentation", "EmbeddingNoise", "FilterAugment", "FreqMixStyle", "Masking", "Mixup", "TimeRoll"]
