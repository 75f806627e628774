"""The files that the command line takes and writes: models, examples, twins with what they are checked on."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_mtl.core import ConversionError, files
from keras_mtl.qat.batches import ROWS, input_names
from keras_mtl.qat.calibration import calibrate
from keras_mtl.qat.conversion import convert, output_names
from keras_mtl.qat.network import load, quantize_model
from keras_mtl.tflite.artifact import Artifact
from keras_mtl.tflite.kinds import Operator

#: Examples that go with a twin, for the golden data of its artifact.
GOLDEN_ROWS = 16
_LEARNING_RATE = 1e-4


@dataclass(frozen=True)
class Nearness:
    """How near a twin is to its float network, on the calibration examples.

    Attributes:
        outputs: for each output, the signal's power over that of the difference, in decibels.
        agreement: part of the examples for which the largest value of the first output is at the same place.
    """

    outputs: dict[str, float]
    agreement: float


def quantize_file(
    path: Path,
    out: Path,
    calibration: Path,
    scheme: str,
    layers: dict[str, str] | None = None,
    *,
    method: str = "error",
    learning: str = "gradient",
    epochs: int = 0,
    labels: Path | None = None,
    seed: int = 0,
) -> Nearness:
    """Quantizes a `.keras` file, and writes its twin with some examples beside it (`NAME.golden.npz`).

    Args:
        path: a saved functional model.
        out: the `.keras` file of the twin.
        calibration: an `.npz` file with an array of examples for each input by its name, or one of any name.
        scheme: "int8" or "int16x8".
        layers: as of `quantize_model`.
        method: as of `calibrate`.
        learning: as of `quantize_model`.
        epochs: passes of fine-tuning over the examples; 0 for post-training quantization.
        labels: an `.npz` file with an array for each output, or one of any name: whole numbers are classes, real ones
            what the output should be. Without, the float network's outputs are the goal.
        seed: of the order of the examples.

    Raises:
        ConversionError: a file that can't be read or does not fit, or what `quantize_model` refuses.
    """
    if out.suffix != ".keras":
        raise ConversionError(f"{out} is no name of a twin", hint="name a file that ends in .keras")
    model = _model(path)
    examples = _arrays(calibration, input_names(model), "inputs")
    goals = None if labels is None else _arrays(labels, list(output_names(model)), "outputs")
    twin = quantize_model(model, scheme, layers, learning)
    calibrate(twin, examples, method)
    outputs = _outputs(model, examples)
    if epochs:
        _fine_tune(twin, examples, outputs if goals is None else goals, epochs, seed)
    twin.save(out)
    kept = io.BytesIO()
    named = dict(zip(input_names(model), (each[:GOLDEN_ROWS] for each in examples), strict=True))
    np.savez(kept, **named)
    files.write_bytes(_golden_of(out), kept.getvalue())
    return _nearness(twin, outputs, _outputs(twin, examples))


def convert_file(path: Path, hop_s: float | None = None) -> Artifact:
    """The artifact of a twin that `quantize_file` wrote.

    Raises:
        ConversionError: no twin, or the examples beside it are missing.
    """
    twin = _model(path)
    if not any(isinstance(layer, Operator) for layer in twin.layers):
        raise ConversionError(f"{path} is no twin", hint=f"keras_mtl quantize {path} makes one")
    return convert(twin, _arrays(_golden_of(path), input_names(twin), "inputs"), hop_s)


def _golden_of(path: Path) -> Path:
    return path.with_suffix(".golden.npz")


def _model(path: Path) -> Any:
    try:
        return load(path)
    except (OSError, ValueError, TypeError, KeyError) as error:
        first = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise ConversionError(f"{path} can't be read as a Keras model: {first[:200]}") from None


def _arrays(path: Path, names: Sequence[str], what: str) -> list[np.ndarray]:
    """The arrays of an `.npz` file in the order of the names; of one array the name does not matter."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = dict(stored)
    except (OSError, ValueError, EOFError, AttributeError) as error:
        raise ConversionError(f"{path} can't be read as an .npz file ({type(error).__name__})") from None
    if len(names) == 1 and len(arrays) == 1:
        return [*arrays.values()]
    missing = [name for name in names if name not in arrays]
    if missing:
        raise ConversionError(
            f"{path} has no {', '.join(missing)}",
            hint=f"it holds {', '.join(arrays)}; the {what} are {', '.join(names)}",
        )
    return [arrays[name] for name in names]


def _outputs(model: Any, examples: list[np.ndarray]) -> list[np.ndarray]:
    found = []
    for start in range(0, len(examples[0]), ROWS):
        rows = [each[start : start + ROWS].astype(np.float32) for each in examples]
        made = model(keras.tree.pack_sequence_as(model._inputs_struct, rows), training=False)
        found.append([np.asarray(each) for each in keras.tree.flatten(made)])
    return [np.concatenate(each) for each in zip(*found, strict=True)]


def _fine_tune(twin: Any, examples: list[np.ndarray], goals: list[np.ndarray], epochs: int, seed: int) -> None:
    for name, goal in zip(output_names(twin), goals, strict=True):
        if len(goal) != len(examples[0]):
            raise ConversionError(f"{len(goal)} labels of {name} for {len(examples[0])} examples")
    keras.utils.set_random_seed(seed)
    losses = [_loss(goal, output) for goal, output in zip(goals, twin.outputs, strict=True)]
    packed = keras.tree.pack_sequence_as(twin._outputs_struct, losses)
    twin.compile(optimizer=keras.optimizers.Adam(_LEARNING_RATE), loss=packed)
    x = keras.tree.pack_sequence_as(twin._inputs_struct, [each.astype(np.float32) for each in examples])
    y = keras.tree.pack_sequence_as(twin._outputs_struct, list(goals))
    twin.fit(x, y, epochs=epochs, batch_size=32, verbose=2)


def _loss(goal: np.ndarray, output: Any) -> Any:
    """Classes by cross-entropy, of probabilities or of logits; real values by their mean square error."""
    if goal.dtype.kind not in "iu":
        return keras.losses.MeanSquaredError()
    squashed = getattr(output._keras_history.operation, "function", "")
    if output.shape[-1] == 1:
        return keras.losses.BinaryCrossentropy(from_logits=squashed != "sigmoid")
    return keras.losses.SparseCategoricalCrossentropy(from_logits=squashed != "softmax")


def _nearness(twin: Any, goals: list[np.ndarray], found: list[np.ndarray]) -> Nearness:
    decibels = {}
    for name, goal, made in zip(output_names(twin), goals, found, strict=True):
        noise = float(np.mean(np.square(made - goal, dtype=np.float64)))
        signal = float(np.mean(np.square(goal, dtype=np.float64)))
        decibels[name] = round(10.0 * float(np.log10(max(signal, 1e-30) / max(noise, 1e-30))), 2)
    same = np.argmax(goals[0], axis=-1) == np.argmax(found[0], axis=-1)
    return Nearness(decibels, round(float(np.mean(same)), 4))
