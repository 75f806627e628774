"""Registers the layers of a saved `qat.keras`, so that Keras can read it."""

from keras_mtl.tflite.qat import arithmetic, fake_quant, grn, gru, layers

__all__ = ["arithmetic", "fake_quant", "grn", "gru", "layers"]
