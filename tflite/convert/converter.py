"""The TensorFlow Lite converter as this project sets it, for networks of either Keras (imports TensorFlow)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from keras_mtl.core import ConversionError

#: Clips that ranges are measured on, where no range is known: [n, ...], or of several inputs each by its name.
Calibration = np.ndarray | dict[str, np.ndarray]
_REPRESENTATIVE_CLIPS = 100


def converted(concrete: Any, variables: Sequence[Any], kind: str, calibration: Calibration) -> bytes:
    """The converter's bytes for a concrete function of fixed shapes.

    Args:
        concrete: the function.
        variables: the plain variables that it reads: with the Keras model as their holder, READ_VARIABLE stays in the
            graph and int8 fails.
        kind: "float32", "float16", "int8" or "int16x8".
        calibration: read for "int8" only: normalised log-mel [n, frames, mel_bands], or for a function of several
            inputs [n, ...] of each by its name.

    Raises:
        ConversionError: the converter refused.
    """
    holder = tf.Module()
    holder.variables_ = list(variables)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete], holder)
    _configure(converter, kind, calibration)
    try:
        return bytes(converter.convert())
    except Exception as error:  # the converter raises RuntimeError, ValueError and its own
        lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
        raise ConversionError(f"the converter refused {kind}: {lines[0]}") from None


def _configure(converter: Any, kind: str, calibration: Calibration) -> None:
    if kind == "float32":
        return
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if kind == "float16":
        converter.target_spec.supported_types = [tf.float16]
        return
    # CMSIS-NN's int16x8 FULLY_CONNECTED refuses per-channel weights.
    converter._experimental_disable_per_channel_quantization_for_dense_layers = True
    if kind == "int8":
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.int8
        # Strict int8 needs data although the fake-quantized ranges win over what it measures.
        converter.representative_dataset = lambda: _representative(calibration)
    else:
        # No representative data here: with them the converter refuses the fake-quantized graph.
        int16x8 = tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
        converter.target_spec.supported_ops = [int16x8]
        converter.inference_input_type = converter.inference_output_type = tf.int16


def _representative(calibration: Calibration) -> Iterator[Any]:
    if isinstance(calibration, dict):
        for row in zip(*calibration.values(), strict=True):
            yield {name: value[None] for name, value in zip(calibration, row, strict=True)}
        return
    for clip in calibration[:_REPRESENTATIVE_CLIPS]:
        yield [clip[None, ..., None].astype(np.float32)]
