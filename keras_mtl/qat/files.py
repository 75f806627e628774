"""The files that the command line takes and writes: models, examples, twins with what they are checked on."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_mtl.core import ConversionError, files
from keras_mtl.firmware_host.targets import Target
from keras_mtl.qat.batches import input_names
from keras_mtl.qat.calibration import calibrate
from keras_mtl.qat.conversion import convert, output_names
from keras_mtl.qat.mixed import Mix, OperatorCost, Report, mixes_for, operator_costs
from keras_mtl.qat.nearness import Nearness, nearness, outputs_of
from keras_mtl.qat.network import load, quantize_model
from keras_mtl.qat.post_training import correct_biases, equalise
from keras_mtl.tflite.artifact import Artifact
from keras_mtl.tflite.kinds import Operator

#: Examples that go with a twin, for the golden data of its artifact.
GOLDEN_ROWS = 16
_LEARNING_RATE = 1e-4


def quantize_file(
    path: Path,
    out: Path,
    calibration: Path,
    scheme: str,
    layers: Mapping[str, str] | None = None,
    *,
    method: str = "error",
    equalised: bool = False,
    corrected: bool = False,
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
        equalised: whether `equalise` comes before the calibration.
        corrected: whether `correct_biases` comes after it.
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
    if equalised:
        equalise(twin)
    given = dict(zip(input_names(twin), examples, strict=True))
    calibrate(twin, given, method)
    if corrected:
        correct_biases(twin, given)
    outputs = outputs_of(model, examples)
    if epochs:
        _fine_tune(twin, examples, outputs if goals is None else goals, epochs, seed)
    twin.save(out)
    kept = io.BytesIO()
    named = dict(zip(input_names(model), (each[:GOLDEN_ROWS] for each in examples), strict=True))
    np.savez(kept, **named)
    files.write_bytes(_golden_of(out), kept.getvalue())
    return nearness(twin, outputs, outputs_of(twin, examples))


def sensitivity_file(
    path: Path, calibration: Path, scheme: str, target: Target | None = None, report: Report = lambda text: None
) -> tuple[list[OperatorCost], list[Mix]]:
    """What the operators of a `.keras` file's twin cost, and the mixes that fit a target, if one is given.

    Args:
        path: a saved functional model.
        calibration: as of `quantize_file`.
        scheme: of the costs.
        target: as of `mixes_for`.
        report: as of `mixes_for`.

    Raises:
        ConversionError: a file that can't be read or does not fit, or what `quantize_model` or `mixes_for` refuse.
    """
    model = _model(path)
    examples = _arrays(calibration, input_names(model), "inputs")
    costs = operator_costs(model, scheme, examples)
    return costs, [] if target is None else mixes_for(model, target, examples, report)


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
