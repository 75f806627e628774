"""A quantized run folder as a predictor: the scene part under fake quantization, read back from the folder."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from keras_mtl.core import RunError
from keras_mtl.features import AnyLogMel
from keras_mtl.inference import SCENE_BATCH, Predictor, network_predictor, predict_in_batches
from keras_mtl.runs import Run
from keras_mtl.tflite.qat import registered  # noqa: F401  registers the layers of the file
from keras_mtl.tflite.tfmot import TfmotNetwork


def qat_network(run: Run) -> keras.Model:
    """The network with fake quantization of a natively quantized run.

    Raises:
        RunError: the run was not quantized, or by tfmot, or the file can't be read.
    """
    if run.info["stage"] != "qat":
        raise RunError(f"{run.path} is not quantized", hint="keras_mtl quantize RUN --scheme int8 --out QAT_RUN")
    if is_of_tfmot(run):
        raise RunError(f"{run.path} was quantized by tfmot: no Keras network", hint="quantize with --engine native")
    return run.load_keras("qat.keras")


def is_of_tfmot(run: Run) -> bool:
    """Whether tfmot quantized a run. Those from before there was a choice are native."""
    return run.info.get("engine", "native") == "tfmot"


def quantized_predictor(run: Run) -> Predictor:
    """A predictor of a quantized run, for the tasks that are quantized."""
    settings, recipe, of_tfmot = run.settings, run.recipe, is_of_tfmot(run)
    network: Any = TfmotNetwork(run) if of_tfmot else qat_network(run)
    if not of_tfmot and "event_head" in {layer.name for layer in network.layers}:
        return network_predictor(network, settings, recipe.decode, run.labels, run.info["tasks"], recipe.data)

    def scene_logits(log_mel: AnyLogMel) -> np.ndarray:
        return predict_in_batches(network, log_mel, settings, SCENE_BATCH)

    return Predictor(settings, scene_logits, decoding=recipe.decode, labels=run.labels, data=recipe.data)
