"""The ends and calls of a model, and inputs as users give them: arrays, lists or dicts of them, batches."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_mtl.core import ConversionError

#: Examples that are computed at a time.
ROWS = 64


def input_names(model: Any) -> list[str]:
    """Names of a functional model's inputs, in order."""
    return [tensor._keras_history.operation.name for tensor in model.inputs]


def nodes_of(twin: keras.Model) -> list[Any]:
    """The calls of a twin in the order of computation, without its inputs."""
    depths = sorted(twin._nodes_by_depth, reverse=True)
    return [node for depth in depths for node in twin._nodes_by_depth[depth] if not node.is_input]


def batches_of(twin: keras.Model, batches: Any) -> Iterable[Any]:
    """Batches of an array, of arrays by input, or of an iterable of either.

    A list of as many arrays as a twin has inputs, if these are several, is one of inputs; else it is one of batches.
    """
    listed = isinstance(batches, list | tuple) and len(batches) == len(twin.inputs) > 1
    several = isinstance(batches, Mapping) or (listed and all(np.ndim(each) > 0 for each in batches))
    if isinstance(batches, np.ndarray | tf.Tensor) or several:
        rows = len(keras.tree.flatten(batches)[0])
        for start in range(0, rows, ROWS):
            yield keras.tree.map_structure(lambda each, start=start: each[start : start + ROWS], batches)
        return
    for batch in batches:
        yield batch[0] if isinstance(batch, tuple) else batch


def arrays_of(twin: keras.Model, batch: Any) -> list[np.ndarray]:
    """The arrays of a batch in the order of the twin's inputs."""
    if isinstance(batch, Mapping):
        missing = [name for name in input_names(twin) if name not in batch]
        if missing:
            raise ConversionError(f"the batch has no input {', '.join(missing)}", hint=f"it has {', '.join(batch)}")
        arrays = [batch[name] for name in input_names(twin)]
    else:
        arrays = list(batch) if len(twin.inputs) > 1 else [batch[0] if isinstance(batch, list) else batch]
    found = [np.asarray(array, np.float32) for array in arrays]
    for name, array, tensor in zip(input_names(twin), found, twin.inputs, strict=True):
        if array.shape[1:] != tuple(tensor.shape[1:]):
            raise ConversionError(
                f"input {name} has rows of shape {list(array.shape[1:])}", hint=f"{list(tensor.shape[1:])} is wanted"
            )
    return found
